"""The defences, each with a way to undo it and the tests that should notice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """One defence undone.

    old: what is written in `path` (below ``oms_gate``), exactly once; replaced by `new`.
    tests: what should notice: test files, or tests in them, below ``tests``.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """A module, and the tests that look after it."""

    path: str
    tests: tuple[str, ...]

    def __call__(self, name: str, old: str, new: str, *tests: str) -> Mutant:
        return Mutant(name, self.path, old, new, tests or self.tests)


def _in(path: str, *tests: str) -> _Place:
    return _Place(path, tests)


_breaker = _in("policy/breaker.py", "policy/test_policy_transport.py")
_wire = _in("policy/wire.py", "policy/test_policy_transport.py", "policy/test_policy_server.py")
_retries = _in("policy/transport.py", "policy/test_policy_transport.py")
_opa_bundle = _in("policy/bundle.py", "policy/test_policy_bundle_signature.py")
_bundle_signature = _in("policy/bundle_signature.py", "policy/test_policy_bundle_signature.py")
_policy_source = _in("policy_source.py", "policy/test_policy_source.py")
_denial = _in("gateway/answers.py", "gateway/test_gateway_clients.py")
_decision_log = _in("policy/decision_log.py", "policy/test_policy_decision_log.py")
_reload = _in("reload.py", "test_reload.py")
_followed_gate = _in("gate.py", "test_reload.py")
_following = _in("following.py", "test_reload.py")
_followed_cache = _in("cache/cache.py", "test_reload.py")
_followed_book = _in("server/rulebook.py", "test_reload.py")
_logs = _in("server/logs.py", "server/test_serving_observed.py")
_requests = _in("server/requests.py", "server/test_serving_hostile.py")
_bounded = _in("server/connections.py", "server/test_serving_hostile.py")
_serving = _in("server/serving.py", "server/test_serving_processes.py")
_workers = _in("server/workers.py", "server/test_serving_processes.py")
_epoch = _in("oms/trust.py", "test_reload.py")
_statement = _in("oms/statement.py", "oms/test_statement.py")
_old_format = _in("oms/old_format.py", "oms/test_old_format.py")
_attestation = _in("oms/attestation.py", "oms/test_attestation.py")
_attestations = _in("attestations.py", "test_gate_attestations.py")
_log_file = _in("evidence/log_file.py", "evidence/test_audit_log.py")
_log_head = _in("evidence/head.py", "evidence/test_audit_log.py")
_log_entries = _in("evidence/entries.py", "evidence/test_audit_log_verification.py")
_log_verification = _in("evidence/verification.py", "evidence/test_audit_log_verification.py")
_checkpoints = _in("evidence/checkpoints.py", "evidence/test_audit_log_verification.py")
_gates = _in("evidence/gates.py", "evidence/test_gate_signer.py")
_sinks = _in("evidence/sinks.py", "evidence/test_audit_log_sinks.py")
_kept = _in("evidence/evidence.py", "evidence/test_evidence_of_verdicts.py")
_boms = _in("boms.py", "bom/test_bom_inputs.py")
_bom_facts = _in("bom/facts.py", "bom/test_bom_document.py")
_bom_card = _in("bom/card.py", "bom/test_bom_card.py")
_bom_document = _in("bom/document.py", "bom/test_bom_document.py")
_accepting = _in("evidence/accepting.py", "evidence/test_accepting.py")
_summary = _in("evidence/summary.py", "evidence/test_summaries.py")
_predicates = _in("policy/predicates.py", "policy/test_policy_predicates.py")
_destination = _in("signing/destination.py", "signing/test_destination.py")
_changes = _in("signing/changes.py", "signing/test_changes.py")
_review = _in("signing/review.py", "signing/test_changes.py")
_standing = _in("signing/standing.py", "signing/test_standing.py")
_cli_diff = _in("cli/diff.py", "test_cli_resign.py")
_cli_resign = _in("cli/resign.py", "test_cli_resign.py")
_ignored = _in("signing/ignored.py", "signing/test_sign_model.py")
_contents = _in("cache/contents.py", "cache/test_further_names.py")
_hashed = _in("cache/hashed.py", "cache/test_further_names.py")
_cached = _in("cache/model.py", "cache/test_further_names.py")
_known = _in("cache/known.py", "cache/test_upkeep.py")
_upkeep = _in("cache/upkeep.py", "cache/test_upkeep.py")
_verification = _in("cache/verification.py", "cache/test_upkeep.py")
_pruning = _in("cache/pruning.py", "cache/test_upkeep.py")
_history = _in("history/history.py", "history/test_history_signers.py")
_history_order = _in("history/history.py", "history/test_history_rollback.py")
_observation = _in("history/observation.py", "history/test_history_signers.py")
_recollection = _in("history/recollection.py", "history/test_history_signers.py")
_database = _in("history/database.py", "history/test_history_database.py")
_recorded = _in("check.py", "history/test_history_signers.py")
_remembering = _in("judging.py", "history/test_history_signers.py")
_cli_trust = _in("cli/trust.py", "test_cli_trust.py")
_bootstrap = _in("loading/bootstrap/sitecustomize.py", "loading/test_run.py")
_run = _in("loading/run.py", "loading/test_run.py")
_cli_signers = _in(
    "cli/signers.py", "test_cli_sign.py::test_what_signs_does_not_give_way_to_the_signature"
)
_PODS = (
    "kubernetes/test_pod_models.py",
    "kubernetes/test_pod_injection.py",
    "kubernetes/test_ways_around.py",
)
_commands = _in("kubernetes/commands.py", *_PODS)
_mentions = _in("kubernetes/mentions.py", *_PODS)
_pod_models = _in("kubernetes/models.py", *_PODS)
_scripts = _in("kubernetes/scripts.py", "kubernetes/test_pod_models.py")
_budget = _in("kubernetes/budget.py", "kubernetes/test_pod_models.py")
_arguments = _in("kubernetes/arguments.py", *_PODS)
_paths = _in("kubernetes/paths.py", *_PODS)
_pins = _in("kubernetes/pins.py", *_PODS)
_webhook = _in("server/webhook.py", "kubernetes/test_service.py")
_containers = _in("kubernetes/containers.py", *_PODS)
_injection = _in("kubernetes/injection.py", *_PODS)
_volumes = _in("kubernetes/volumes.py", *_PODS)
_asked_of_pods = _in("server/admission.py", "kubernetes/test_requirements_where.py")
_asked_of_gates = _in("gate.py", "test_gate_operations.py")
_asked_of_loads = _in("loading/pretrained.py", "test_gate_operations.py")
_admission = _in("server/admission.py", "kubernetes/test_admission.py")
_decisions = _in("server/decisions.py", "kubernetes/test_decisions.py")
_checks = _in("server/checks.py", "kubernetes/test_decisions.py")
_api = _in("server/api.py", "server/test_api.py")
_api_settings = _in("service_settings/api.py", "server/test_api_clients.py")
_clients = _in("server/clients.py", "server/test_api_clients.py")
_questions = _in("server/questions.py", "server/test_api_hostile.py")
_s3_origin = _in("gateway/s3_origin.py", "gateway/test_gateway_s3.py")
_hub_origin = _in("gateway/hub_origin.py", "gateway/test_gateway_access.py")
_gateway_models = _in("gateway/models.py", "gateway/test_gateway_access.py")
_gateway_entries = _in("gateway/entries.py", "gateway/test_gateway_protocol.py")
_gateway = _in("gateway/app.py", "gateway/test_gateway_protocol.py")
_gateway_files = _in("gateway/files.py", "gateway/test_gateway_protocol.py")
_gateway_sending = _in("gateway/sending.py", "gateway/test_gateway_room.py")
_gateway_journal = _in("gateway/journal.py", "gateway/test_gateway_room.py")
_room = _in("gateway/room.py", "gateway/test_gateway_room.py")
_problems = _in("server/problems.py", "server/test_api_hostile.py")
_verdict_record = _in("server/verdicts.py", "server/test_verdict_record.py")
_page = _in("server/page.py", "server/test_page.py")
_templating = _in("templating.py", "server/test_page.py", "report/test_report_hostile.py")
_report_page = _in("report/page.py", "report/test_report_hostile.py")
_report_table = _in("report/table.py", "report/test_report_hostile.py")
_report_markdown = _in("report/markdown.py", "report/test_report_hostile.py")
_report_reading = _in("report/reading.py", "report/test_report_reading.py")
_report_summary = _in("report/summary.py", "report/test_report_summary.py")
_evidence_reading = _in("evidence/reading.py", "report/test_report_reading.py")
_report_command = _in("cli/report.py", "report/test_cli_report.py")
_config = _in("config.py", "test_config_rules.py")
_cli_config = _in("cli/config.py", "test_config_rules.py")
_strict_yaml = _in("strict_yaml.py", "test_config_rules.py")
_mistakes = _in("mistakes.py", "test_config_rules.py")
_requirements = _in("policy/requirements.py", "test_config_rules.py")
_exceptions = _in("policy/exceptions.py", "test_config_rules.py", "policy/test_policy_packs.py")
_rulebook = _in("server/rulebook.py", "kubernetes/test_policies_in_force.py")
_gate_policies = _in("server/gate_policies.py", "kubernetes/test_policies_in_force.py")
_server_tls = _in("server/tls.py", "kubernetes/test_service.py")
_publication = _in("publish/publication.py", "publish/test_publication.py")
_overlay = _in("publish/overlay.py", "publish/test_publication.py")
_RESUMING = "gateway/test_gateway_resuming.py"
_REQUESTS = "gateway/test_gateway_requests.py"
_arrival = _in("gateway/arrival.py", _RESUMING)
_journal = _in("gateway/journal.py", _RESUMING)
_sending = _in("gateway/sending.py", _RESUMING)
_served_files = _in("gateway/files.py", _RESUMING)
_served_ranges = _in("gateway/ranges.py", _REQUESTS)
_served_paths = _in("gateway/paths.py", _REQUESTS)
_answers = _in("gateway/answers.py", "gateway/test_gateway_hostile.py")
_served = _in("gateway/app.py", "gateway/test_gateway_hostile.py")
_consistency = _in("publish/consistency.py", "publish/test_publication.py")
_rollback = _in("publish/rollback.py", "publish/test_publication.py")
_publish_signature = _in("publish/signature.py", "publish/test_publication.py")
_release = _in("publish/release.py", "publish/test_publication.py")
_folder = _in("publish/folder.py", "publish/test_publication.py")
_SECRETS = ("inspection/test_inspection_secrets.py",)
_ANCHORS = ("inspection/test_inspection_anchors.py",)
_inspect = _in("inspection/inspect.py", *_SECRETS)
_search = _in("inspection/search.py", *_SECRETS)
_windows = _in("inspection/windows.py", *_SECRETS)
_armour = _in("inspection/armour.py", *_SECRETS)
_credentials = _in("inspection/credentials.py", *_SECRETS)
_key_files = _in("inspection/key_files.py", *_SECRETS)
_FORMATS = ("inspection/test_inspection_formats.py",)
_PACE = ("inspection/test_inspection_pace.py",)
_formats = _in("inspection/formats.py", *_FORMATS)
_pickles = _in("inspection/pickles.py", *_FORMATS)
_archives = _in("inspection/archives.py", *_FORMATS)
_json_keys = _in("inspection/json_keys.py", *_SECRETS)
_credential_files = _in("inspection/credential_files.py", *_SECRETS)
_globs = _in("policy/globs.py", "policy/test_policy_globs.py")
_sarif = _in("cli/sarif.py", "test_cli_sarif.py")
_s3 = _in("stores/s3.py", "publish/test_s3_releases.py")
_s3_releases = _in("stores/s3_releases.py", "publish/test_s3_releases.py")
_s3_uploading = _in("stores/s3_uploading.py", "publish/test_s3_registry.py")
_s3_registry = _in("publish/s3_registry.py", "publish/test_s3_registry.py")
_s3_transfer = _in("publish/s3_transfer.py", "publish/test_promote.py::test_the_command")
_checked = _in("publish/checked.py", "publish/test_s3_registry.py")
_promotion = _in("publish/promotion.py", "publish/test_promote.py")
_hub_api = _in("stores/hub_api.py", "stores/test_hub_listing.py")
_hub_commit = _in("publish/hub_commit.py", "publish/test_hub_commit.py")
_hub_registry = _in("publish/hub_registry.py", "publish/test_hub_registry.py")
_hub_errors = _in("publish/hub_errors.py", "publish/test_hub_registry.py")
_hub_uploads = _in("publish/hub.py", "publish/test_upload.py")
_trainer = _in("publish/trainer.py", "publish/test_trainer.py")
_git_program = _in("publish/git/program.py", "publish/test_git_tree.py")
_git_objects = _in("publish/git/objects.py", "publish/test_git_tree.py")
_git_tree = _in("publish/git/tree.py", "publish/test_git_tree.py")
_git_lfs = _in("publish/git/lfs.py", "publish/test_git_tree.py")
_git_history = _in("publish/git/history.py", "publish/test_git_push.py")
_git_push = _in("publish/git/push.py", "publish/test_git_push.py")
_git_tags = _in("publish/git/push.py", "publish/test_git_past.py")
_git_past_history = _in("publish/git/history.py", "publish/test_git_past.py")
_git_past_push = _in("publish/git/past.py", "publish/test_git_push.py")
_git_past = _in("publish/git/past.py", "publish/test_git_past.py")
_inspected_names = _in("inspection/names.py", "inspection/test_inspection_names.py")
_git_messages = _in("publish/git/messages.py", "publish/test_git_past.py")
_git_pointers = _in("publish/git/lfs.py", "publish/test_git_past.py")
_git_checked_out = _in("publish/git/checked_out.py", "publish/test_git_hooks.py")
_git_work_tree = _in("publish/git/work_tree.py", "publish/test_git_hooks.py")
_git_destination = _in("publish/git/destination.py", "publish/test_git_push.py")
_hook_files = _in("publish/git/hook_files.py", "publish/test_git_hook_files.py")
_cli_hooks = _in("cli/hooks.py", "publish/test_git_hooks.py")
_reference = _in("reference.py", "test_reference.py")
_signing = _in("signing/model.py", "signing/test_sign_model.py")
_manifest_of = _in("streaming/manifest.py", "signing/test_sign_model.py")
_ignored = _in("signing/ignored.py", "signing/test_sign_model.py")
_writing = _in("stores/local_writing.py", "stores/test_local_writing.py")
_local = _in("stores/local.py", "stores/test_local_store.py")
_generic = _in("stores/generic.py", "stores/test_other_writing.py")
_hub = _in("stores/hub.py", "stores/test_hub_listing.py")
_tokens = _in("signing/identity_tokens.py", "signing/test_identity_tokens.py")
_cli = _in("cli/__init__.py", "test_cli_endings.py")
_output = _in("cli/output.py", "test_cli_endings.py")
_local_names = _in("stores/local_names.py", "test_cli_locale.py")
_manifest = _in("oms/manifest.py", "oms/test_manifest.py")
_names = _in("oms/names.py", "oms/test_resource_names.py")
_json = _in("oms/strict_json.py", "oms/test_strict_json.py")
_bundle = _in("oms/bundle.py", "oms/test_oms_bundle.py", "oms/test_envelope.py")
_evidence = _in("oms/evidence.py", "oms/test_oms_bundle.py")
_dsse = _in("oms/dsse.py", "oms/test_key_method.py")
_key = _in("oms/key.py", "oms/test_key_method.py")
_trust = _in("oms/trust.py", "oms/test_trust_roots.py")
_certificate = _in(
    "oms/certificate.py", "oms/test_certificate_method.py", "oms/test_certificate_windows.py"
)
_alternative_names = _in("oms/general_names.py", "oms/test_certificate_identity.py")
_times = _in("oms/timestamps.py", "oms/test_timestamps.py")
_verify = _in("oms/verify.py", "oms/test_statement.py", "oms/test_key_method.py")
_sigstore = _in("oms/sigstore.py", "oms/test_private_sigstore_timestamp.py")
_coverage = _in("coverage.py", "test_gate.py::test_a_spoilt_folder_is_denied")
_measure = _in(
    "streaming/measure.py", "test_measure.py", "test_gate.py::test_a_spoilt_folder_is_denied"
)
_hashing = _in("streaming/hashing.py", "test_measure.py", "test_windows.py")
_window = _in("streaming/window.py", "test_windows.py")
_received = _in("stores/received.py", "stores/test_connections.py")
_connections = _in("stores/connections.py", "stores/test_tls.py")
_tls = _in("stores/tls.py", "stores/test_tls.py")
_http = _in("stores/http.py", "stores/test_hub_store.py")
_redirects = _in("stores/redirects.py", "stores/test_hub_store.py")
_pull = _in("delivery/pull.py", "delivery/test_pull.py")
_selection = _in("delivery/selection.py", "delivery/test_pull.py")
_staging = _in("delivery/staging.py", "delivery/test_staging.py")
_stage = _in("delivery/stage.py", "delivery/test_staging.py", "delivery/test_places.py")
_place = _in("delivery/place.py", "delivery/test_places.py")
_receipt = _in("delivery/receipt.py", "delivery/test_pull.py")
_present = _in("delivery/present.py", "delivery/test_staging.py")
_publishing = _in(
    "delivery/publishing.py",
    "delivery/test_places.py::test_killed_at_each_step_it_leaves_nothing_wrong",
)
_access = _in("delivery/access.py", "delivery/test_pull.py")
_signature_file = _in("signature_file.py", "delivery/test_pinned.py")
_cli_admission = _in("cli/admission.py", "test_cli_pull.py::test_a_pin_says_it_all")
_pinned = _in("oms/pinned.py", "delivery/test_pinned.py")
_hub_cache = _in("delivery/hub_cache.py", "delivery/test_hub_cache.py")
_kserve = _in("kserve.py", "test_kserve.py")
_storage_initializer = _in("cli/storage_initializer.py", "test_cli_storage_initializer.py")
_gate = _in("check.py", "test_gate.py::test_a_spoilt_folder_is_denied")
_judging = _in("judging.py", "test_gate.py::test_a_spoilt_folder_is_denied")
_cache = _in("cache/cache.py", "cache/test_cache.py")
_view = _in("cache/view.py", "cache/test_cache.py")
_model = _in("cache/model.py", "cache/test_cache.py")
_layout = _in("cache/layout.py", "cache/test_cache.py")
_files = _in("filesystem/files.py", "filesystem/test_attacks.py")
_models = _in("filesystem/models.py", "filesystem/test_models.py")
_filesystem = _in("filesystem/filesystem.py", "filesystem/test_reading.py")
_pretrained = _in("loading/pretrained.py", "loading/test_pretrained.py")
_guard = _in("loading/guard.py", "loading/test_guard.py")
_opened_gate = _in("gate.py", "test_gate.py::test_one_gate_is_for_all_who_ask")
_admitted = _in("loading/admitted.py", "loading/test_guard_calls.py")
_swaps = _in("loading/swaps.py", "loading/test_guard_internals.py")
_hub_calls = _in("loading/hub_calls.py", "loading/test_guard_calls.py")
_hub_client = _in("loading/hub_client.py", "loading/test_guard_client.py")
_hub_filesystem = _in("loading/hub_filesystem.py", "loading/test_guard_filesystem.py")
_opened = _in("loading/opened.py", "loading/test_opened.py")
_judgement = _in("loading/judgement.py", "loading/test_opened.py")
_threads = _in("loading/threads.py", "loading/test_threads.py")
_native = _in("loading/native.py", "loading/test_native.py")
_made = _in("loading/made.py", "loading/test_made.py")
_modules_folder = _in("loading/modules_folder.py", "loading/test_guard_libraries.py")
_starting = _in("authoring/starting.py", "authoring/test_policy_init.py")
_packs = _in("authoring/packs.py", "authoring/test_policy_init.py")
_checking = _in("authoring/checking.py", "authoring/test_policy_check.py")
_building = _in("authoring/building.py", "authoring/test_policy_build.py")
_replay = _in("authoring/replay.py", "authoring/test_policy_replay.py")
_policy_tests = _in("authoring/testing.py", "authoring/test_policy_replay.py")
_tracing = _in("authoring/tracing.py", "authoring/test_policy_tracing.py")
_trusting = _in("authoring/trusting.py", "authoring/test_policy_trusting.py")
_explaining = _in("authoring/trusting.py", "authoring/test_policy_explain.py")
_explained = _in(
    "check.py",
    "authoring/test_policy_explain.py::test_bytes_that_are_not_read_are_not_vouched_for",
)
_recording = _in("cli/verify.py", "authoring/test_policy_replay.py")
_EVENT_ROUTES = "events/test_event_routes.py"
_S3_EVENTS = "events/test_s3_events.py"
_INTERRUPTED = "events/test_events_interrupted.py"
_event_routes = _in("server/event_routes.py", _EVENT_ROUTES)
_event_secrets = _in("server/shared_secrets.py", _EVENT_ROUTES)
_hub_events = _in("server/hub_events.py", _EVENT_ROUTES)
_s3_events = _in("server/s3_events.py", _EVENT_ROUTES)
_event_queue = _in("server/event_queue.py", _S3_EVENTS)
_event_worker = _in("server/event_worker.py", _S3_EVENTS, "events/test_hub_events.py")
_consequences = _in("server/consequences.py", _S3_EVENTS)
_hub_report = _in("server/hub_report.py", "events/test_hub_events.py")
_webhook_report = _in("server/webhook_report.py", "events/test_hub_events.py")
_event_settings = _in("service_settings/events.py", _EVENT_ROUTES)
_examination = _in("annotation/examination.py", "events/test_annotation.py")
_annotate = _in("annotation/annotate.py", "events/test_annotation.py")
_tags = _in("annotation/tags.py", "events/test_annotation.py")
_objects = _in("annotation/objects.py", "events/test_annotation.py", _INTERRUPTED)
_quarantine = _in("annotation/quarantine.py", _S3_EVENTS, _INTERRUPTED)

MUTANTS: tuple[Mutant, ...] = (
    _breaker("a circuit that never opens", "if self._failures < self._most:", "if True:"),
    _breaker("a circuit that never closes", "if left > 0 or self._probing:", "if True:"),
    _breaker("many probes at once", "if left > 0 or self._probing:", "if left > 0:"),
    _breaker("an answer is no recovery", "+ 1 if ill else 0", "+ 1 if ill else self._failures"),
    _breaker("a refusal is an illness", "ill = error.reason.code in _ILLNESS", "ill = True"),
    _wire("redirects are followed to nowhere", "if 300 <= answer.status < 400 and", "if 0 and"),
    _wire("an answer of any size", "if len(answer.body) > self._most_bytes:", "if 0:"),
    _wire(
        "bytes that trickle", "threading.Timer(seconds, cut)", "threading.Timer(seconds * 8, cut)"
    ),
    _wire("a stale connection fails", "                if used:\n", "                if 0:\n"),
    _wire("authorities of before", "if known is context and", "if"),
    _wire(
        "an answer of before",
        "if known is context and _is_quiet(connection.sock):",
        "if known is context:",
    ),
    _wire("no client certificate", "if tls.certificate is not None:", "if 0:"),
    _retries("attempts without end", "if failures > self._retries or", "if"),
    _retries("no other attempt", "if failures > self._retries or", "if True or"),
    _retries("a deadline for each attempt", "deadline=deadline", "deadline=time.monotonic() + 9"),
    _retries("a proxy's answer counts", "if answer.status in _PASSING:", "if 0:"),
    _opa_bundle(
        "names that lead out", '{"", ".", ".."}.isdisjoint(parts)', '{"."}.isdisjoint(parts)'
    ),
    _opa_bundle("links", "if not member.isreg() or", "if"),
    _opa_bundle("a policy bundle with a name twice", "if name in files:", "if 0:"),
    _opa_bundle("data elsewhere", "if name != _DATA and", "if 0 and"),
    _bundle_signature(
        "files of a policy that nobody signed", "if added := sorted(", "if 0 and sorted("
    ),
    _bundle_signature(
        "files that are gone", "if missing := sorted(", "if missing := 0 and sorted("
    ),
    _bundle_signature(
        "changed files", "if not hmac.compare_digest(", "if 0 and hmac.compare_digest("
    ),
    _bundle_signature(
        "weak digests", '    "SHA-256": h', '    "MD5": hashlib.md5,\n    "SHA-256": h'
    ),
    _bundle_signature(
        "whatever algorithm the token names",
        "algorithms=list(key.algorithms)",
        'algorithms=["none", "HS256", "RS256", "ES256", "ES384", "ES512"]',
    ),
    _bundle_signature(
        "a signature is not checked",
        "algorithms=list(key.algorithms)",
        "options={'verify_signature': False}",
    ),
    _bundle_signature("another scope", "if stated.scope != scope:", "if 0:"),
    _bundle_signature("a name is signed twice", "if len(files) != len(stated.files):", "if 0:"),
    _bundle_signature("two signatures of a policy", "len(signatures.signatures) != 1 or", ""),
    _bundle_signature("weak RSA keys", "and key.key_size >= _RSA_BITS", ""),
    _bundle_signature("a key of JSON twice", "if len(made) != len(pairs):", "if 0:"),
    _bundle_signature(
        "numbers that are equal", "parse_int=_Number, parse_float=_Number,", "parse_int=_Number,"
    ),
    _policy_source("nothing is verified", "check_signature(bundle, key, settings.scope)", "pass"),
    _policy_source("older revisions", "if found < least:", "if 0:"),
    _policy_source("revisions of two kinds", " or least[0] != found[0]", ""),
    _policy_source(
        "back below the one before",
        "if active is not None:\n        floors",
        "if 0:\n        floors",
    ),
    _policy_source(
        "the old one by another key", "active is None or active.terms != terms:", "active is None:"
    ),
    _policy_source(
        "a bad one replaces the old", "if active is None or active.terms != terms:", "if True:"
    ),
    _decision_log("a log of nothing changes nothing", "    none = True\n", "    none = False\n"),
    Mutant(
        "half a line stays",
        "durable.py",
        "os.ftruncate(descriptor, before)",
        "pass",
        ("policy/test_policy_decision_log.py",),
    ),
    _decision_log(
        "what is not logged is decided",
        "except OSError as error:\n        raise PolicyError(",
        "except OSError as error:\n        return\n        raise PolicyError(",
    ),
    _reload(
        "the bad replaces the old",
        "if state != self._seen:",
        "if self.mistake is None and state != self._seen:",
    ),
    _reload("a folder's files", "*_below(path)", ""),
    _reload(
        "a change is not seen",
        "return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns",
        "return found.st_ino",
    ),
    _following(
        "a policy of before",
        "self._followed.now()\n        with self._counting",
        "with self._counting",
    ),
    _followed_gate("which files are attestations", "revision, named,", "revision,"),
    _followed_gate("decisions of another mode", "named = self.mode, ", 'named = "", '),
    _followed_gate("which memory", "return str(self.history.file), ", 'return "", '),
    _following("an engine in use is closed", "if not users]", "]"),
    _following("engines stay open", "                made.close()\n", ""),
    _followed_gate(
        "an epoch without trust", "self.trust.epoch, self.policy.kind", "self.policy.kind"
    ),
    _followed_gate(
        "an epoch without policy", "self.policy.kind, self.policy.revision", "self.policy.kind"
    ),
    _followed_cache("decisions of another epoch", "asked = (*place, now.epoch)", "asked = place"),
    _followed_book(
        "gates of before",
        "            self._gates.clear()\n            self._config,",
        "            self._config,",
    ),
    _followed_book("verdicts of another epoch", "(self.epoch, self.mode,", "(self.mode,"),
    _epoch(
        "names of roots do not count",
        "(name, root.sha256) for name, root in kind",
        "root.sha256 for root in kind",
    ),
    # -- The statement
    _statement(
        "any statement type", 'if (kind := statement.text("_type")) != STATEMENT_TYPE:', "if False:"
    ),
    _statement("any predicate type", "if predicate_type != PREDICATE_TYPE:", "if False:"),
    _statement("no root digest", "if stated_root != manifest.root_digest:", "if False:"),
    _statement("two subjects", "if len(subjects) != 1:", "if not subjects:"),
    _statement("unknown settings", 'settings.only("method",', '(lambda *_: None)("method",'),
    _statement(
        "algorithms that disagree with the hash type",
        "not in algorithms:",
        'not in (*algorithms, "blake2b"):',
    ),
    _statement(
        "as many entries as come",
        "if (count := holder.count(name)) > limits.resources:",
        "if (count := 0):",
    ),
    _statement(
        "as many ignored paths as come",
        '_check_count(settings, "ignore_paths", limits)',
        "pass",
        "oms/test_statement.py",
    ),
    _statement("lenient shard ranges", r"(.+):(0|[1-9][0-9]{0,18})", r"(.+):([0-9]{1,19})"),
    # -- The manifest
    _manifest("unknown hash types", "if self.hash_type not in HASH_TYPES:", "if False:"),
    _manifest("nothing signed", "if not self.resources:", "if False:"),
    _manifest("digests of any length", "len(resource.digest) != length or ", ""),
    _manifest("digests in upper case", 're.compile(r"[0-9a-f]*")', 're.compile(r"[0-9a-fA-F]*")'),
    _manifest("one name twice", "if len(self._paths) < len(self.resources):", "if False:"),
    # Examples first: properties alone find these only most of the time.
    _manifest(
        "gaps between shards, and overlaps",
        "if part.start != expected:",
        "if False:",
        "oms/test_statement.py",
    ),
    _manifest(
        "empty shards",
        "if not expected < end <=",
        "if not expected <= end <=",
        "oms/test_statement.py",
    ),
    _manifest(
        "short shards amid a file",
        "part is not parts[-1] and",
        "False and",
        "oms/test_statement.py",
    ),
    _manifest(
        "unsafe names",
        "if flaw := names.flaw(path):\n                    raise",
        "if False:\n                    raise",
    ),
    _manifest(
        "unsafe ignored paths",
        "if flaw := names.flaw(path):\n                raise",
        "if False:\n                raise",
    ),
    _manifest("names that collide", "if pair := names.clash(self._paths):", "if pair := None:"),
    _manifest("signed and ignored", "if self.ignore_paths:", "if False:"),
    _manifest(
        "a root digest by the manifest's hash",
        "return hashlib.sha256(raw).hexdigest()",
        "return hashlib.blake2b(raw).hexdigest()",
        "oms/test_manifest.py",
    ),
    _manifest(
        "shards in the order of their numbers",
        "left.name <= right.name",
        "(left.path, left.start or 0) <= (right.path, right.start or 0)",
        "oms/test_statement.py",
    ),
    # -- Names
    _names("absolute names", 'if name[0] == "/":', "if False:"),
    _names("the segment ..", 'for segment in ("", ".", ".."):', 'for segment in ("", "."):'),
    _names("empty segments", 'for segment in ("", ".", ".."):', 'for segment in (".", ".."):'),
    _names("backslashes", 'if "\\\\" in name:', "if False:"),
    _names("control characters", "if _CONTROL.search(name):", "if False:"),
    _names("drive letters", "if _DRIVE.match(name):", "if False:"),
    _names("names that differ by case", "return name.lower()", "return name"),
    _names("names that differ by normalization", 'unicodedata.normalize("NFD", name)', "name"),
    _names("names that differ by case beyond ASCII", "name).casefold()", "name).lower()"),
    _names("marks without end", "if len(text) <= MARKS:", "if text:"),
    _names(
        "marks without a combining class",
        "map(unicodedata.category, text)",
        '("Mn" if unicodedata.combining(c) else "Lo" for c in text)',
    ),
    _names("a file that is also a folder", "if key.startswith(folder):", "if False:"),
    _names(
        "ignored folders and what begins like them",
        'return path.replace("/", "\\0") + "\\0"',
        'return path.replace("/", "\\0")',
        "oms/test_manifest.py",
    ),
    # -- JSON
    _json("keys that occur twice", "if members != colons:", "if False:"),
    _json("NaN", "parse_constant=_constant", "parse_constant=float"),
    _json("byte order marks", 'data.decode("utf-8")', 'data.decode("utf-8-sig")'),
    _json("halves of surrogate pairs", "if _HALF_PAIR.search(written):", "if False:"),
    _json(
        "numbers beyond any reader",
        "not math.isfinite(value := float(digits))",
        "(value := float(digits)) is None",
    ),
    _json("deep nesting", "if level > most:", "if False:"),
    _json("as many values as come", "> values:", "> 10 * values + 10**6:"),
    _json(
        "base64 with more than one spelling",
        'if base64.b64encode(data).decode("ascii") != text:',
        "if False:",
    ),
    _json("true as a number", "if type(value) is not kind:", "if not isinstance(value, kind):"),
    _json(
        "unknown members",
        "if not self._members.keys() <= set(names):",
        "if False:",
    ),
    # -- The bundle
    _bundle("two signatures", "if len(signatures) != 1:", "if not signatures:"),
    _bundle("any payload type", "!= PAYLOAD_TYPE:", '== "":'),
    _bundle("any media type", "not in _MEDIA_TYPES:", '== "":'),
    _bundle("two methods at once", "if len(methods) != 1:", "if not methods:"),
    _bundle("bundles of any size", "if len(data) > limits.bundle_bytes:", "if False:"),
    _bundle(
        "chains of any length",
        "if not 1 <= len(certificates) <= MOST_CERTIFICATES:",
        "if not certificates:",
    ),
    _bundle("two log entries", "if len(entries) > 1:", "if False:"),
    _evidence(
        "unknown members of a proof", 'proof.only("logIndex",', '(lambda *_: None)("logIndex",'
    ),
    # -- Keys
    _dsse(
        "any signature",
        "public_key.verify(signature, pae(PAYLOAD_TYPE, payload), ec.ECDSA(digest))",
        "pass",
    ),
    _dsse(
        "a signature that is another each time",
        "deterministic_signing=True",
        "deterministic_signing=False",
        "oms/test_oms_sign.py",
    ),
    _dsse(
        "signatures of the bare payload",
        'return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)',
        "return payload",
        "oms/test_oms_bundle.py::test_the_signed_bytes_are_those_of_dsse",
    ),
    _key(
        "a hint that names another key",
        "return bundle.key_hint in (None, key_hint(key), _cosign_hint(key)) and",
        "return",
    ),
    _key("any key in the bundle", "and bundle.key_raw in (", "and True or bundle.key_raw in ("),
    _trust("private keys as trusted keys", 'if b"PRIVATE KEY-----" in pem:', "if False:"),
    # -- Certificates
    _trust("one root under two names", "found.setdefault(root, name)) != name", "name) != name"),
    _certificate(
        "an anchor from the bundle",
        ".store(Store(ends))",
        ".store(Store([*ends, *others]))",
    ),
    _certificate(
        "an authority in the way of its double",
        "links = [other for other in others if _may_certify(other, is_anchor=False)]",
        "links = list(others)",
    ),
    _certificate(
        "an anchor in the way of its double",
        "anchor == leaf or _may_certify(anchor, is_anchor=True)",
        "True",
    ),
    _certificate(
        "strangers who certify themselves",
        "return is_anchor or not _issued(certificate, certificate)",
        "return True",
    ),
    _certificate("no trusted certificate needed", "if not roots:", "if False:"),
    _certificate("expired certificates", "if at > member.not_valid_after_utc:", "if False:"),
    _certificate(
        "certificates before their time", "if at < member.not_valid_before_utc:", "if False:"
    ),
    _certificate(
        "time at the leaf's beginning",
        "path, expired_at = _path_in_time(leaf, others, anchors, at, times)",
        "path, expired_at = _path_in_time(leaf, others, anchors, leaf.not_valid_before_utc, times)",
    ),
    _certificate(
        "certificates for other purposes",
        "ExtendedKeyUsageOID.CODE_SIGNING not in purposes",
        "not purposes",
    ),
    _certificate(
        "any purpose as code signing",
        "ExtendedKeyUsageOID.CODE_SIGNING not in purposes",
        "not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}"
        " & set(purposes)",
    ),
    _certificate("authorities that may not issue", "not usage.key_cert_sign", "False"),
    _certificate("signers that may not sign", "not usage.digital_signature", "False"),
    _certificate(
        "name constraints",
        "if _extension(certificate, x509.NameConstraints) is not None:",
        "if False:",
    ),
    _certificate(
        "SHA-1",
        "(hashes.SHA256, hashes.SHA384, hashes.SHA512)",
        "(hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)",
    ),
    _certificate(
        "unchecked envelopes", "    check(public_key, bundle.payload, bundle.signature)\n", ""
    ),
    _certificate(
        "the first of many names",
        "if len(alternative_names) == 1:",
        "if alternative_names:",
        "oms/test_certificate_identity.py",
    ),
    _certificate(
        "unreadable identities",
        "printable(identity) != identity",
        "False",
        "oms/test_certificate_identity.py",
    ),
    _certificate(
        "a time at which the signer's certificate was not valid",
        "if _is_valid(leaf, proof.time)]",
        "if True]",
        "oms/test_timestamps.py",
    ),
    _certificate(
        "signatures with bits to spare", "[-len(certificate.signature) - 1] != 0:", "[0] == 0:"
    ),
    _certificate(
        "certificates of version 1", "if certificate.version is not x509.Version.v3:", "if False:"
    ),
    _trust(
        "timestamp authorities without a root",
        "if not any(anchor.subject == anchor.issuer for anchor in root.issuers):",
        "if False:",
        "oms/test_timestamps.py",
    ),
    _evidence(
        "timestamps of any size",
        "if len(der) > LARGEST_TIMESTAMP:",
        "if False:",
        "oms/test_timestamps.py",
    ),
    _bundle("certificates of any size", "if len(der) > LARGEST_CERTIFICATE:", "if False:"),
    _certificate(
        "an expired certificate for any timestamp",
        "_verified_path(leaf, others, anchors, earliest)",
        "_verified_path(leaf, others, anchors, leaf.not_valid_after_utc)",
        "oms/test_timestamps.py",
    ),
    _alternative_names("URIs for other kinds of names", "(?!(?i:directory|ip|oid|other):)", ""),
    _alternative_names(
        "names that look like another kind", "if not shape.fullmatch(text):", "if False:"
    ),
    _times(
        "timestamps that do not verify",
        "return verifier.verify_message(timestamp, message)",
        "return True",
    ),
    _times("timestamps from the future", "time is not None and time <= at", "time is not None"),
    # -- Verification
    _verify("the old format unasked", "if not trust.old_format or", "if", "oms/test_old_format.py"),
    # -- Sigstore
    _sigstore(
        "user names of any form",
        'if _USER_NAME.fullmatch(text := _utf8_string(name.value).decode("utf-8")):',
        'if text := _utf8_string(name.value).decode("utf-8"):',
        "oms/test_sigstore_identity.py",
    ),
    _sigstore(
        "authorities out of force",
        "_covers(authority.valid_for, times) and ",
        "",
        "oms/test_private_sigstore.py",
        "oms/test_private_sigstore_certificate.py",
        "oms/test_private_sigstore_timestamp.py",
    ),
    _sigstore(
        "members of an authority out of time",
        " and _were_valid(authority, times)",
        "",
        "oms/test_private_sigstore.py",
        "oms/test_private_sigstore_certificate.py",
        "oms/test_private_sigstore_timestamp.py",
    ),
    _sigstore(
        "any log of the root",
        "if not named:",
        "if False:",
        "oms/test_private_sigstore.py",
        "oms/test_private_sigstore_entry.py",
        "oms/test_private_sigstore_proof.py",
        "oms/test_private_sigstore_promise.py",
    ),
    _sigstore(
        "checkpoints of another tree",
        "if entry.checkpoint_size != str(entry.tree_size):",
        "if False:",
        "oms/test_private_sigstore_proof.py",
    ),
    _sigstore(
        "checkpoints of another log",
        "entry.checkpoint_origin not in origins",
        "False",
        "oms/test_private_sigstore_proof.py",
    ),
    _sigstore(
        "log keys out of force",
        "if _covers(log.public_key.valid_for, times)]",
        "]",
        "oms/test_private_sigstore_promise.py",
        "oms/test_private_sigstore_proof.py",
        "oms/test_private_sigstore_entry.py",
        "oms/test_private_sigstore.py",
    ),
    _sigstore(
        "certificate log keys out of force",
        "if _covers(log.public_key.valid_for, logged)]",
        "]",
        "oms/test_private_sigstore.py",
        "oms/test_private_sigstore_certificate.py",
    ),
    _sigstore(
        "timestamps by nobody",
        "_check_timestamp(timestamp, document.signature, trusted)",
        "pass",
    ),
    _sigstore(
        "timestamp authorities out of force",
        "if issuers and in_force and",
        "if issuers and",
        "oms/test_private_sigstore_timestamp.py",
        "oms/test_sigstore_method.py",
    ),
    _sigstore(
        "two identities", "if len(names) != 1:", "if not names:", "oms/test_sigstore_identity.py"
    ),
    _sigstore(
        "issuers that disagree",
        "if old_issuer not in (None, issuer):",
        "if False:",
        "oms/test_sigstore_identity.py",
    ),
    _sigstore(
        "another statement than the one read",
        "payload != bundle.payload",
        "False",
        "oms/test_private_sigstore.py",
        "oms/test_sigstore_method.py",
    ),
    # -- What came before OMS v1.0
    _old_format("the old format with any hashing", "!= _HASHING:", "== '':"),
    _old_format("the old format with any predicate", ")) != expected:", ")) is None:"),
    # -- Signing
    _destination("files that are no signatures", "not self._is_signature(content)", "False"),
    _destination("files too large for signatures", "content is None or", ""),
    _destination("what came to the place meanwhile", "bundle, check)", "bundle, lambda: None)"),
    _destination("links for signatures", "if not stat.S_ISREG(mode):", "if stat.S_ISDIR(mode):"),
    _destination("folders of others", "if not os.access(", "if False and not os.access("),
    _destination("folders of others, beside the model", "if reference.is_local:", "if False:"),
    _destination(
        "names of the model's own", "if name in (names.clash([*files, name]) or ()):", "if False:"
    ),
    _destination("unsafe names of signatures", "if flaw is not None:", "if False:"),
    _ignored(
        "patterns to leave out", 'in path for character in "*?["', 'in path for character in ""'
    ),
    _ignored("unsafe paths to leave out", "if flaw := flaw_of(path):", "if flaw := None:"),
    _signing(
        "what is beside a single file",
        'beside="" if signing.output else BESIDE',
        'beside=""',
        "stores/test_signed_in_place_writing.py::test_beside_a_file_only_a_signature_gives_way",
    ),
    _signing("what an interrupted signing left", "if is_temporary(path):", "if False:"),
    _signing(
        "signatures that do not verify",
        "raise self.refused(error) from error",
        "return None  # type: ignore",
        "signing/test_sigstore_signing.py::test_a_model_is_not_given_what_does_not_verify",
    ),
    _signing("signatures over something else", "if verified.manifest != manifest:", "if False:"),
    _signing(
        "certificates that verifiers refuse",
        "check_own_chain(chain, at=datetime.now(UTC))",
        "pass",
        "signing/test_sign_model.py::test_a_certificate_that_verifiers_refuse_signs_nothing",
    ),
    _certificate(
        "certificates out of order",
        "in pairwise(chain):",
        "in ():",
        "signing/test_sign_model.py::test_the_certificate_that_is_out_of_order_is_named",
    ),
    _manifest_of("unknown hash types to sign", "if hash_type not in HASH_TYPES:", "if False:"),
    _manifest_of("shards of any size", "not 1 <= shard_size <= LARGEST_OFFSET", "False"),
    _manifest_of("too many entries", "if count > limits.resources:", "if False:"),
    _manifest_of("a signature too large", "if size > limits.bundle_bytes:", "if False:"),
    _manifest_of("links followed", "allow_symlinks=False,", "allow_symlinks=True,"),
    _manifest_of(
        "shards signed in the order of their numbers",
        'tuple(sorted(resources, key=attrgetter("name")))',
        "tuple(resources)",
    ),
    _manifest_of("shards of nothing", "if not size:", "if size is None:"),
    _writing("a lock of no end", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH"),
    _writing("links in the way", "if not _is_free(folder, base):", "if False:"),
    _local(
        "times set back before writing",
        "check_same(pins, self._listed(named, root, single, native(name))[1])",
        "check_same(files, self._listed(named, root, single, native(name))[0])",
        "stores/test_local_writing.py",
    ),
    _local(
        "what came beside a single file",
        "single, native(name))[1]",
        "single, named.name)[1]",
        "stores/test_local_writing.py",
    ),
    _generic("what is beside a single file elsewhere", "if single and beside:", "if False:"),
    _hub(
        "a folder beside a single file of the Hub",
        "if file is None:\n        raise",
        "if False:\n        raise",
        "stores/test_hub_listing.py::test_a_file_is_listed_with_the_one_beside_it",
    ),
    _hub(
        "no token to write with",
        "if not self._headers:",
        "if False:",
        "signing/test_destination.py::test_without_a_token_nothing_is_read_from_the_hub",
    ),
    _reference("local by another name", 'if scheme in ("file", "local"):', 'if scheme == "file":'),
    _review("digests signed that were not read", "believe=False,", "believe=True,"),
    _review(
        "the bookkeeping of a download signed again",
        'if kind_of(path) == "cache"}',
        "if path is None}",
    ),
    _review("other shards than were signed", "shard_size=shard_size,", "shard_size=None,"),
    _review(
        "what a signature says that does not count",
        "if standing is None or standing.signer is not None else None",
        "",
        "signing/test_standing.py",
        "test_cli_resign.py",
    ),
    _standing("somebody else under the same root", "not in (None, before.identity)", "== ''"),
    _standing("a Sigstore's anybody", "conditional=signer.identity is None", "conditional=False"),
    _standing("what a policy says of the signer", "if decision.deny:", "if False:"),
    _standing("a certificate that has expired", "at=min(last, now)", "at=now"),
    _signing(
        "another Sigstore identity",
        "and _who(verified) != _who(only_as)",
        "and False",
        "signing/test_standing.py",
    ),
    _cli_resign(
        "the answer yes, where nobody signed before", "        if yes:\n", "        if False:\n"
    ),
    _cli_diff(
        "a green mark for what nobody verified", '"[bold]·[/]", f"{said}, as', 'mark, f"{said}, as'
    ),
    _changes("what a stranger leaves out not shown", 'scope == "signer" or', "path is None or"),
    _changes("what the format leaves out not shown", "kind not in INERT", "path is None"),
    _changes(
        "what is signed no more not shown",
        "path in files and path not in present",
        "path is None",
    ),
    _cli_resign(
        "signed where nobody could be asked",
        "if not yes and not (for_people and sys.stdin.isatty()):",
        "if False:",
    ),
    _in("cli/output.py", "test_cli_resign.py")(
        "signed without an answer", '("y", "yes")', '("y", "yes", "")'
    ),
    _cli_signers(
        "what signs gives way to the signature", "path.resolve() == place.resolve()", "False"
    ),
    _cli_signers(
        "keys in the model",
        "path.resolve().is_relative_to(root)",
        "False",
        "test_cli_sign.py::test_a_key_in_the_model_would_be_published_with_it",
    ),
    _ignored("left out and not there", "if not files:", "if False:"),
    _ignored("left out and read", "if kind_of(file) not in INERT", "if False"),
    _ignored(
        "patterns of what is left out",
        'if any(character in path for character in "*?["):',
        "if False:",
    ),
    _local("times set back", "if _Pin.of(self.target, os.fstat(descriptor)) != self:", "if False:"),
    _local(
        "the name beside a file as a locale writes it",
        "single, native(name))[1]",
        "single, name)[1]",
        "test_cli_locale.py",
    ),
    _local_names(
        "names as a locale reads them",
        'return os.fsencode(name).decode("utf-8", "surrogateescape")',
        "return name",
    ),
    _local_names(
        "names as a locale writes them",
        'return os.fsdecode(name.encode("utf-8", "surrogateescape"))',
        "return name",
    ),
    _hub(
        "requests of the Hub's own client",
        'self._headers = _authorization(options.get("token"))',
        "import huggingface_hub.utils as u; self._headers = u.build_hf_headers()",
        "test_cli.py::test_nothing_is_asked_but_the_configured_endpoint",
    ),
    _cli(
        "a store that failed as the model's fault",
        "code in store_failed",
        "False",
        "test_cli_sign.py::test_a_hub_that_refuses_is_not_the_models_fault",
    ),
    _cli("no clean-up", "signal.signal(signal.SIGTERM, _terminated)", "pass"),
    _cli(
        "a store that is too slow as the model's fault",
        "        ReasonCode.STORE_TOO_SLOW,\n",
        "",
        "test_cli_sign.py::test_nor_is_one_that_is_too_slow",
    ),
    _cli("clean-up that is broken off", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "pass"),
    _cli("signals that were to be ignored", "is signal.SIG_DFL:", "is not None:"),
    _cli("errors that nobody sees", "sys.stderr is not None and ", ""),
    _output("readers that left", "if not isinstance(error, BrokenPipeError):", "if True:"),
    _output("output that fails again at the end", "self._given_up = True", "pass"),
    _tokens("the job's token in place of an empty one", "if not token.strip():", "if False:"),
    # -- The flow
    _coverage("files that nobody signed", "unsigned.append(file)", "pass"),
    _coverage(
        "files that are not there",
        "path for path in resources if path not in signed",
        "path for path in ()",
        "test_gate.py::test_a_spoilt_folder_is_denied",
    ),
    _coverage(
        "sizes other than signed",
        "if size is not None and size != file.size:",
        "if False:",
        "test_gate.py::test_a_longer_file_than_its_shards_is_denied",
    ),
    _coverage(
        "declared digests other than signed",
        "resources[0].digest != file.sha256",
        "False",
        "test_gate.py::test_a_denied_model_costs_no_weight_byte",
    ),
    _measure("changed bytes", "if part.digest == part.signed:", "if True:"),
    _measure(
        "files that the store does not give",
        "return part.error.reason",
        "return None",
        "test_gate.py::test_a_server_that_ignores_ranges_is_denied",
    ),
    _hashing("readers that fail", "raise error", "pass"),
    _hashing(
        "bytes written after the end",
        "self._check_stop()\n            writer.write(",
        "writer.write(",
    ),
    _window(
        "readers that go on after the end",
        '            if self.closed:\n                raise InterruptedError("nobody',
        '            if False:\n                raise InterruptedError("nobody',
    ),
    _hashing(
        "windows that come after the end",
        "window.closed = self._stop.is_set()",
        "window.closed = False",
    ),
    _hashing("memory that nobody needs any more", "            self._buffers.drop()\n", ""),
    _hashing(
        "more connections than allowed", "return self._pace.count + len(self._windows)", "return 99"
    ),
    _window("pieces that fail", "raise piece.error", "return"),
    _window("bytes that are overwritten", "is_full = self.filled", "is_full = 0 and self.filled"),
    _window("fetching on for what nobody takes", "while self._fetching:", "while False:"),
    _window(
        "as much memory as comes",
        "return min(self.most, _MOST_PIECES)",
        "return 99",
    ),
    _window(
        "a window that was closed taken for whole",
        'raise InterruptedError("the hashing was ended")',
        "return None",
    ),
    _window("errors after the last byte", "if piece.error is not None:", "if False:"),
    _pull(
        "changes after the hashing",
        "            self._check_present()\n",
        "",
        "delivery/test_meanwhile.py",
    ),
    _publishing(
        "files that come at the last moment",
        "if strange := sorted(found - set(before)):",
        "if strange := []:",
        "delivery/test_meanwhile.py",
    ),
    _publishing(
        "folders that cannot be moved",
        "if failure.errno != errno.EXDEV:",
        "if True:",
        "delivery/test_meanwhile.py",
    ),
    _place(
        "who is in the folder",
        "or folder == Path(os.path.realpath(os.curdir))",
        "",
        "delivery/test_meanwhile.py",
    ),
    # -- What servers send
    _received("servers that dribble", "if self._bytes <", "if False and self._bytes <"),
    _received("waiting for the reader", "+= time.monotonic() - start", "+= 99"),
    _tls(
        "servers that nobody vouches for",
        "context.load_verify_locations(authorities)",
        "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE",
    ),
    _tls("names that are no alternative names", '    "hostname_checks_common_name",\n', ""),
    _tls("what the system's authorities vouch for", "context.load_default_certs()", "pass"),
    _tls("records that come with an answer", "len(view) > io.DEFAULT_BUFFER_SIZE", "True"),
    _tls("a time-out for all parts", "elif time.monotonic() > until:", "elif False:"),
    _tls("records that nobody asked for", "self.incoming.pending or ", ""),
    _tls("content that nobody asked for", " or self.sslobj.pending()", ""),
    _connections(
        "handshakes through a proxy that nobody ends",
        ' or self.proxy.scheme == "http":',
        ":",
    ),
    _connections("an end that waits for files", "with self._tls_lock:", "with self._lock:"),
    _connections("which limit was passed", "except TimeoutError as error:", "except () as error:"),
    _tls("why a server is refused", "with suppress(OSError):", "if False:"),
    _tls(
        "the protocol that is agreed on",
        "ssl.SSLContext.set_alpn_protocols(context, ALPN_PROTOCOLS)",
        "pass",
    ),
    _tls("keys that are logged", "if usual.keylog_filename:", "if False:"),
    _tls("a setting of the library's", '    "post_handshake_auth",\n', ""),
    _connections(
        "authorities of a proxy",
        'if self.proxy is None or self.proxy.scheme == "http":',
        "if True:",
    ),
    _connections("connections with more than was asked for", "and not unread", ""),
    _connections("sockets that a connection let go of", "self._guard.watch(sock)", "pass"),
    _http("addresses that have expired", "if response.status == 206:", "if True:"),
    _http("bodies that end early", "count < left:\n            raise", "False:\n            raise"),
    _http("bodies that do not end", "elif count == left and", "elif False and"),
    _http("other ranges than asked for", "if (first, last + 1) !=", "if False and () !="),
    _http("other tags than before", "found is not None and found != etag", "False"),
    _http("whole files for ranges", "if partial != (response.status == 206):", "if False:"),
    _redirects("other files than listed", "found.strip('\"') != value:", "False:"),
    _redirects(
        "credentials for others",
        "source.headers if origin(target) == origin(source.url) else {}",
        "source.headers",
    ),
    _judging(
        "what the listing contradicts",
        "self.reasons += comparison.contradictions",
        "pass",
        "test_gate.py::test_a_longer_file_than_its_shards_is_denied",
    ),
    _judging(
        "what the policy denies",
        "self.reasons += decision.deny",
        "pass",
        "test_gate.py::test_another_namespace_is_denied",
    ),
    _gate(
        "what was found in the bytes",
        "self.reasons += measured.findings",
        "pass",
        "test_gate.py::test_a_spoilt_folder_is_denied",
    ),
    _gate(
        "less than the policy requires",
        "max(self.asked, required or Assurance.SIGNATURE,",
        "max(self.asked, Assurance.SIGNATURE,",
        "test_gate.py::test_the_policy_may_require_more_than_was_asked",
    ),
    # -- What somebody else has decided on, or adds
    _opened_gate(
        "an admission that reads the bytes",
        "if assurance is Assurance.BYTES:",
        "if False:",
        "test_gate_admit.py::test_an_admission_does_not_read_the_bytes",
    ),
    _gate(
        "an admission as far as the store declares",
        "if wanted is not Assurance.SIGNATURE and not self.reasons:",
        "if False:",
        "test_gate_admit.py::test_a_file_that_was_replaced_after_signing",
    ),
    _judging(
        "what the caller adds to the input",
        "            context=self.context,\n",
        "",
        "test_gate_admit.py::test_a_policy_sees_what_the_caller_adds",
    ),
    _pinned("a pinned signature: another one", "if found != sha256:", "if False:"),
    _pinned("a pinned signature: the old format", "or not accept_old", "or False"),
    _pinned(
        "a pinned signature: the old format by key",
        'or parsed.method != "certificate":',
        "or False:",
    ),
    _judging(
        "a pinned signature: signed files that are missing",
        "self.reasons += comparison.absent()",
        "pass",
        "delivery/test_pinned.py",
    ),
    _gate(
        "a pinned signature: mode annotate",
        'return self.gate.mode if self.pinned is None else "enforce"',
        "return self.gate.mode",
        "delivery/test_pinned.py",
    ),
    _signature_file(
        "a pinned signature: what is no digest", "if not _SHA256.fullmatch(text):", "if False:"
    ),
    _cli_admission(
        "a pinned signature: signers beside it",
        "if self.signer.given or self.policy is not None:",
        "if False:",
    ),
    # -- Models as KServe writes them
    _kserve("kserve: what it would read otherwise", "if not _NAME.fullmatch(name) or", "if"),
    _kserve(
        "kserve: revisions that are none",
        "(colon and not _REVISION.fullmatch(revision)):",
        "False:",
    ),
    _kserve("kserve: datasets for models", "(?!datasets/|spaces/)", ""),
    _kserve("kserve: what it has no word for", "if not known or", "if False and"),
    _storage_initializer(
        "kserve: models after a denied one",
        "                return status\n",
        "                pass\n",
    ),
    # -- A cache of the Hub's client
    _hub_cache(
        "a hub cache: what is no repository", 'if model.scheme != "hf" or model.path:', "if False:"
    ),
    _hub_cache(
        "a hub cache: names that lead elsewhere",
        'if not all(map(_REF_PART.fullmatch, parts)) or ".." in name or "@{" in name:',
        "if False:",
    ),
    _hub_cache("a hub cache: names of commits", "if COMMIT.fullmatch(name.lower()):", "if False:"),
    _hub_cache("a hub cache: two repositories in one", "if _SEPARATOR in name:", "if False:"),
    _pull(
        "a hub cache: a pull without its name",
        "if self._last is not None:",
        "if self._last is not None and not self._unchanged:",
        "delivery/test_hub_cache.py::test_a_pull_that_was_killed_before_the_name_is_completed",
    ),
    # -- Delivery
    _gate(
        "pulls of denied models",
        "if self.reasons and not (self.report_all or self._delivers_denied):",
        "if self.reasons and not (self.report_all or self.pull is not None):",
        "delivery/test_pull.py::test_a_denial_before_the_bytes_costs_nothing",
    ),
    _pull(
        "files that were changed after signing",
        "if not self._source.lets_through or not readable:",
        "if not readable:",
    ),
    _pull(
        "files that could not be read, let through",
        "if not self._source.lets_through or not readable:",
        "if not self._source.lets_through:",
    ),
    _pull(
        "files of the folder that are not as signed",
        "there = right(folder, missing)",
        "there = {path: os.stat(path, dir_fd=folder) for path in missing}",
    ),
    _pull(
        "files of the stage that are not as signed",
        "self._staged = right(model, self._wanted.signed)",
        "self._staged = {path: os.stat(path, dir_fd=model) for path in _files(model)}",
        "delivery/test_staging.py::test_files_that_were_complete_are_hashed_again",
    ),
    _pull(
        "what is left of other files",
        "remove_files(model, _files(model) - self._staged.keys())",
        "pass",
        "delivery/test_places.py::test_killed_at_each_step_it_leaves_nothing_wrong",
    ),
    _pull(
        "another signature beside the same files",
        "content_of(folder, bundle.name) == bundle.content",
        "True",
        "delivery/test_pull.py::test_the_signature_is_the_one_that_was_checked",
    ),
    _pull(
        "what comes into the folder meanwhile",
        "before = set(delivered_files(self._place))",
        "before = set(self._before)",
        "delivery/test_meanwhile.py",
    ),
    _selection("patterns over the check", "{**comparison.signed, **comparison", "{**comparison"),
    _selection("names that are in the way", "if pair is not None:", "if False:"),
    _receipt(
        "files of the user's",
        "if printable(path) not in ours or not stat.S_ISREG(status.st_mode):",
        "if not stat.S_ISREG(status.st_mode):",
    ),
    _receipt("links in the folder", " or not stat.S_ISREG(status.st_mode):", ":"),
    _receipt(
        "what was put in place and has no verdict",
        "if (content := content_of(stage, _OURS)) is not None:",
        'if (content := b"[]"):',
        "delivery/test_places.py::test_killed_at_each_step_it_leaves_nothing_wrong",
    ),
    _staging(
        "names for files that others have changed",
        "self.sizes[path] not in (None, status.st_size) or not _is_own(status)",
        "False",
    ),
    _staging("partial files with other names", "if _is_own(os.fstat(descriptor)):", "if True:"),
    _staging("partial files of other contents", "if name not in ours:", "if False:"),
    _staging(
        "one partial file for all contents",
        "{path}\\0{self._hash_type}\\0{signed}",
        "{path}",
        "delivery/test_staging.py",
    ),
    _staging("what follows the last shard", "os.ftruncate(descriptor, size)", "pass"),
    _staging("gaps taken for what was written", "- AHEAD_BYTES)", ")"),
    _staging(
        "writing after the end",
        "writers = list(self._writers)",
        "writers = []",
    ),
    _staging(
        "transfers that do not fit",
        "if room.f_blocks and needed > free:",
        "if False:",
        "delivery/test_places.py::test_a_disk_that_is_too_small_is_noticed_first",
    ),
    _stage(
        "stages of other users",
        "if not made and owner not in (0, os.geteuid(), os.fstat(parent).st_uid):",
        "if False:",
        "delivery/test_staging.py::test_a_stage_of_somebody_else_is_refused",
    ),
    _stage(
        "two pulls at once",
        "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "delivery/test_places.py",
    ),
    _stage(
        "locks of a stage that is gone",
        "if not os.path.samestat(current, os.fstat(lock)) or not os.path.samestat(",
        "if not os.path.samestat(current, current) and os.path.samestat(",
        "delivery/test_places.py::test_a_lock_on_a_stage_that_is_gone_is_none",
    ),
    _stage(
        "groups of shared volumes",
        "os.fchmod(stage, stat.S_IMODE(now.st_mode) & ~others)",
        "pass\n            os.fchmod(stage, 0o700)",
        "delivery/test_places.py::test_what_arrives_belongs_to_the_group_of_a_shared_volume",
    ),
    _place(
        "mounts on the same file system", "return os.fsencode(folder) in points", "return False"
    ),
    _place(
        "folders that cannot be replaced",
        "or not _can_be_written(folder.parent)",
        "",
        "delivery/test_places.py::test_a_folder_that_cannot_be_replaced_is_filled_in_place",
    ),
    _present(
        "hashes that differ",
        "if printable(path) not in wrong}",
        "}",
        "delivery/test_pull.py::test_a_good_copy_that_was_changed_is_mended",
    ),
    _publishing("a folder that was moved aside", "if status_of(stage, _OLD) is None:", "if True:"),
    _publishing("a verdict on half a folder", "os.unlink(VERDICT_FILE, dir_fd=folder)", "pass"),
    _publishing("files that nobody would remember", "remember(stage, place, files)", "pass"),
    _access("the umask's modes", "os.fchmod(descriptor, mode)", "pass"),
    # -- The file system
    _files(
        "shards that nobody reads",
        "if len(view) <= io.DEFAULT_BUFFER_SIZE:",
        "if False:",
        "filesystem/test_users.py::test_a_slice_reads_its_shards_only",
    ),
    _files(
        "good files beside a bad one",
        "for _ in range(_ATTEMPTS - 1):",
        "for _ in range(0):",
        "filesystem/test_attacks.py::test_of_many_who_read_at_once_those_with_good_files_get_them",
    ),
    _files(
        "open files whose model was signed anew",
        "if model.parts(self.name) != self._parts:",
        "if False:",
        "filesystem/test_attacks.py::test_an_open_file_does_not_become_another",
    ),
    _files(
        "transfers that were ended by another file",
        "if self._model.failure is not None:",
        "if False:",
        "filesystem/test_attacks.py::test_an_open_file_does_not_become_another",
    ),
    _models(
        "one signature for all folders",
        "if gate.signature.elsewhere is not None:",
        "if False:",
        "filesystem/test_models.py::test_one_signature_for_all_models_says_nothing_of_folders",
    ),
    _models(
        "denied files that are read",
        "if denied.verdict.lets_through:",
        "if True:",
        "filesystem/test_attacks.py",
    ),
    _models(
        "a denial that is told of once",
        "if verdict.model.url in self._said:",
        "if False:",
        "filesystem/test_annotate.py",
    ),
    _models(
        "models that have vanished",
        "known = reference in self._folders or reference in self._files",
        "known = False",
        "filesystem/test_models.py::test_a_denial_is_no_missing_file_later",
    ),
    _models(
        "signatures that are nearer",
        "next(filter(self._holds_signature, folders), None)",
        "next(filter(self._holds_signature, reversed(folders)), None)",
        "filesystem/test_models.py::test_the_nearest_signature_counts",
    ),
    _models(
        "stores that fail to say whether there is a signature",
        "if error.reason.code in {*_ABSENT, ReasonCode.STORE_FORBIDDEN}:",
        "if True:",
        "filesystem/test_models.py::test_a_store_that_fails_is_no_store_without_signatures",
    ),
    _models(
        "folders that are no files",
        "if not model.single:",
        "if False:",
        "filesystem/test_reading.py::test_of_a_file_all_is_known",
    ),
    _filesystem(
        "other file systems between store and gate",
        'if options.keys() & {"target_protocol", "fo", "fs"}:',
        "if False:",
        "filesystem/test_models.py::test_an_unsigned_chain_or_none_is_refused",
    ),
    _filesystem(
        "files that are opened for writing",
        'if mode != "rb":\n            self._refuse()',
        "pass",
    ),
    _filesystem(
        "listed names that lead elsewhere",
        "if _is_directly_in(path, name)",
        "if True",
        "filesystem/test_attacks.py::test_names_in_a_listing_that_lead_elsewhere_are_left_out",
    ),
    _filesystem(
        "files above all models",
        'for entry in entries if entry["type"] == "directory")',
        "for entry in entries)",
        "filesystem/test_models.py::test_above_all_models_there_are_folders_only",
    ),
    _filesystem(
        "half a model for a model",
        "if reference is not None and self._models.above(reference) is not None:",
        "if False:",
        "filesystem/test_attacks.py::test_a_subfolder_signed_by_somebody_else_is_denied",
    ),
    _filesystem(
        "files of a listing that are not signed",
        "if (entry := found.tree.entry(found.path)) is None:",
        'if (entry := found.tree.entry(found.path) or {"type": "file"}) is None:',
        "filesystem/test_reading.py::test_only_signed_files_and_their_folders_are_listed",
    ),
    _filesystem(
        "copies of denied files that are begun",
        "self._fetch_whole(self._strip_protocol(rpath))",
        "pass",
        "filesystem/test_attacks.py::test_a_changed_byte_is_denied_where_its_shard_is_read",
    ),
    _filesystem(
        "connections of the process before a fork",
        "if process != os.getpid():",
        "if False:",
        "filesystem/test_processes.py::test_a_process_that_is_forked_decides_for_itself",
    ),
    _filesystem(
        "gates that are sent to other processes",
        "if self._gate is not None:",
        "if False:",
        "filesystem/test_processes.py::test_with_a_gate_of_its_own_it_stays",
    ),
    # -- The cache
    _hashed("a further name taken for a change", "if not any(", "if True or any("),
    _hashed(
        "what follows the last part",
        "{path: parts[-1].end for path, parts in left.items()}",
        "dict.fromkeys(left)",
        "cache/test_upkeep.py::test_parts_are_held_and_verified",
    ),
    _contents(
        "a receipt for what a file became later",
        "self._view.note(arrived)",
        "self._view.note({p: self._view.now(p, self._names[p]) for p in wanted})",
    ),
    _cached(
        "one look at names that come and go",
        "for _ in range(_ATTEMPTS):\n            self._bring_once",
        "for _ in range(1):\n            self._bring_once",
        "cache/test_further_names.py::test_a_file_that_gets_a_name_when_it_has_arrived_is_handed_out",
    ),
    _cached(
        "one attempt to open what others give names",
        "for _ in range(_ATTEMPTS):\n            self.fetch",
        "for _ in range(1):\n            self.fetch",
        "cache/test_further_names.py::test_a_file_that_gets_a_name_before_it_is_opened_is_opened",
    ),
    _known(
        "records through links",
        "content = content_of(folder, name)",
        "content = (self._folder / name).read_bytes()",
    ),
    _upkeep("a view that is above", r"(?!\.)[^/]+", "[^/]+"),
    _upkeep("a view of another manifest", "== signature.root_digest", "!= ''"),
    _upkeep(
        "folders of the cache that are links",
        "for name in FOLDERS:",
        "for name in ():",
        "test_cli_cache.py::test_a_cache_that_cannot_be_read_is_3",
    ),
    _verification("a bundle of another manifest", " or manifest.root_digest != model.root", ""),
    _verification(
        "files in the cache that nobody signed",
        "in sorted(files.keys() - signed.keys()):",
        "in ():",
    ),
    _verification("what the gate did not put there", "in folder.strange:", "in ():"),
    _verification(
        "the content of a file that was changed",
        "remove_below(self._cache, content)",
        "pass",
        "cache/test_upkeep.py::test_of_one_model_only_its_files_are_verified",
    ),
    _verification("what killed transfers left", "remove_stage(stage, place)", "pass"),
    _pruning("files that a model has", "and left == 1:", "and left <= 2:"),
    _pruning(
        "what is being brought",
        "locked_stage(place, time.monotonic())",
        "locked_stage(place, time.monotonic() + 60)",
        "cache/test_upkeep.py::test_what_is_being_brought_stays",
    ),
    _pruning("another record of the same files", "if len(going) < len(models):", "if False:"),
    _pruning("what was used lately", "if not self._is_forgotten(view):", "if False:"),
    _pruning("models that nobody named", "and model.file not in self._chosen:", "and False:"),
    _pruning("a record that is being written", "> _WRITING_SECONDS", "> -1"),
    _pruning(
        "what was only to be said",
        "if not self._dry_run:\n            remove_below",
        "if True:\n            remove_below",
    ),
    # -- Loading under a guard
    _hub_calls(
        "files of the library's cache",
        "        (try_to_load_from_cache, _from_cache),\n",
        "",
    ),
    _hub_calls(
        "denials that the library is to make up for",
        "if not denied.verdict.lets_through:",
        "if False:",
    ),
    _hub_calls(
        "parameters of unknown meaning",
        "if strange := sorted(asked.keys() - known):",
        "if strange := []:",
        "loading/test_guard_internals.py",
    ),
    _hub_calls(
        "parameters that are missing",
        "if lacking := [name for name in wanted if name not in taken]:",
        "if lacking := []:",
        "loading/test_guard_internals.py",
    ),
    _hub_calls(
        "transfers where no request may be made",
        "path = model.present(name) if offline else fetched(model, name)",
        "path = fetched(model, name)",
    ),
    _hub_calls(
        "snapshots where no request may be made",
        "    if not offline:\n        fetch(model, names)",
        "    if True:\n        fetch(model, names)",
    ),
    _hub_calls("names that lead elsewhere", "if name in model.files:", "if True:"),
    _judgement("folders that were never verified", "        refuse(load, name)", "        pass"),
    _judgement("links to what was verified", "load, os.path.abspath(", "load, os.path.realpath("),
    _judgement(
        "folders around the working directory",
        " if not here.is_relative_to(entry)]",
        "]",
    ),
    _judgement(
        "a load that goes on when a part of it has ended",
        "        load = load.around\n",
        "        load = None\n",
        "loading/test_threads.py",
    ),
    _opened(
        "folders with code that was never verified",
        '{"open", "shutil.copyfile", ',
        '{"open", ',
    ),
    _opened("folders that were passed over", "    if load.refused:\n", "    if False:\n"),
    _opened(
        "a folder that came after its repository was looked for",
        "if isinstance(place, str) and",
        "if False and",
    ),
    _opened("folders that cannot be listed", "return True  # Who", "return False  # Who"),
    _opened("weights without a configuration", "return kind in _ALWAYS", "return False"),
    _opened(
        "threads that outlive a load",
        "        load.is_on = False\n",
        "        pass\n",
        "loading/test_threads.py",
    ),
    _threads("threads of a load", "thread.run = run_in_load", "pass"),
    _threads("work that a load gives to threads", "work = _within(load, work)", "pass"),
    _threads("threads for all that a load starts", "with part_of(None):", "if True:"),
    _native(
        "what is read past Python", "                        judge(", "                        str("
    ),
    _native("what is named", "strict=False)) | kwargs", "strict=False))"),
    _native("a second path", '("vocab", "merges")', '("vocab",)'),
    _native("vocabularies that are read as they are made", '("__init__", ("self",)), ', ""),
    _swaps(
        "what somebody else has replaced",
        "if vars(owner).get(name) is not replacement:",
        "if False:",
        "loading/test_guard_client.py",
    ),
    _swaps(
        "readers that somebody else has replaced",
        "if vars(owner).get(name) is not replacement:",
        "if False:",
        "loading/test_native.py",
    ),
    _opened("shards of any name", r"|.+\.index\.json", ""),
    _opened("files that are opened by descriptors", " and not os.path.lexists(path)", ""),
    _made("files that could not be made", "_files[path] != _state(path):", "_files:"),
    _made(
        "folders that could not be made",
        "elif is_here and _state(folder := os.path.abspath(os.fsdecode(first))) is None:",
        "elif is_here and (folder := os.path.abspath(os.fsdecode(first))):",
    ),
    _made("what descriptors bring", "self._folders.clear()", "pass"),
    _made("files that were there before", "if before is not None and not", "if False and not"),
    _made("what was brought", "            self._brought.add(to)\n", "            pass\n"),
    _made(
        "files over what was made",
        "            return path not in self._brought",
        "            return True",
    ),
    _made(
        "folders that were brought",
        "for each in (path, *folders)):\n            return False",
        "for each in [path]):\n            return False",
    ),
    _made(
        "names of another folder",
        "elif is_here and",
        "elif",
    ),
    _made("links from where they are", "source if is_symlink else source", "source"),
    _admitted(
        "what was used unverified",
        "for each in cache.folders]",
        "for each in [cache.folders[0].parent]]",
        "loading/test_opened.py",
    ),
    _pretrained(
        "what loads later",
        "if any(is_later(loader) for is_later in _LATER):",
        "if False:",
        "loading/test_opened.py",
    ),
    _admitted(
        "kinds that are never verified",
        "if kind not in _KINDS:",
        "if False:",
    ),
    _admitted(
        "branches that the library has resolved",
        'revision = getattr(revision, "resolved", revision)',
        "pass",
    ),
    _admitted(
        "changes before a decision is made again",
        "if before is not None and before is not model:",
        "if False:",
        "loading/test_guard.py",
    ),
    _admitted(
        "changes while a model was loaded",
        "            self._check(model)\n",
        "            pass\n",
        "loading/test_guard.py",
    ),
    _guard("reasons that a library hides", "error.add_note(str(hidden))", "pass"),
    _guard(
        "generators that run later",
        "if inspect.isgeneratorfunction(func) or ",
        "if ",
    ),
    _guard("functions that run later", "if not inspect.iscoroutinefunction(func):", "if True:"),
    _guard(
        "half a guard",
        "        swaps.undo()\n        raise",
        "        raise",
        "loading/test_guard_internals.py",
    ),
    _guard(
        "the file system",
        "        swap_filesystem(swaps, _current)\n",
        "",
        "loading/test_guard_filesystem.py",
    ),
    _guard(
        "requests by other ways",
        "        swap_clients(swaps, _current)\n",
        "",
        "loading/test_guard_client.py",
    ),
    _guard(
        "code that is there already",
        "        swap_modules_folder(swaps)\n",
        "",
        "loading/test_guard_libraries.py",
    ),
    _swaps("what the library does not have", "if name not in vars(owner):", "if False:"),
    _hub_filesystem(
        "another revision of a file",
        'fs, path, asked.arguments["revision"])',
        "fs, path, None)",
    ),
    _hub_filesystem("files that are fetched", "AbstractFileSystem.get_file(fs", "original(fs"),
    _hub_filesystem("buckets", 'if not hasattr(resolved, "repo_id"):', "if False:"),
    _hub_client(
        "a second warning of what is let through",
        "if models is None or is_let_through():",
        "if models is None:",
    ),
    _hub_client("clients that are there already", "backstop.watch(client)", "pass"),
    _hub_client("asynchronous clients", "self.watch(make(), asynchronous=True)", "make()"),
    _hub_client(
        "paths that are written otherwise", "unquote(urlsplit(url).path)", "urlsplit(url).path"
    ),
    _hub_client("where files are kept", "self._hosts[_origin(target)] = name", "pass"),
    _hub_client("other hubs", " and not _repository(target):", ":"),
    _hub_client("streams of Xet", 'if "download" not in name:', "if True:"),
    _hub_client("files of Xet", 'backstop.refuse("", "hf_xet.download_files")', "pass"),
    _hub_client(
        "another way to Xet",
        'raise unknown("its Xet transport is none that is known")',
        "pass",
        "loading/test_guard_internals.py",
    ),
    _hub_client(
        "sessions of requests",
        "session.send = watched",
        "pass",
        "loading/test_guard_versions.py",
    ),
    _modules_folder(
        "code that was loaded before",
        "self._code = {name: sys.modules.pop(name) for name, _ in _loaded_code()}",
        "self._code = {}",
    ),
    _modules_folder(
        "folders that are searched first",
        "*(entry for entry in sys.path if entry not in folders)]",
        "*sys.path][1:] + [self._private]",
    ),
    _modules_folder(
        "libraries that are imported later",
        "        os.environ[MODULES_VARIABLE] = self._private\n",
        "",
    ),
    _modules_folder(
        "libraries that are there already",
        "self._point_to(dict.fromkeys(self._libraries, self._private))",
        "pass",
    ),
    _modules_folder("children that end", "if os.getpid() == owner:", "if True:"),
    # -- The verified cache, and loading
    _view(
        "a cached file that was changed",
        "return now if self._receipts.get(path) == now else None",
        "return now if path in self._receipts else None",
    ),
    _view("only times that can be set", "            status.st_ctime_ns,", "            0,"),
    _view("a change that was undone", "self.names != now.names and ", ""),
    _view(
        "receipts of others",
        "            self.reload()\n        return now if",
        "            pass\n        return now if",
    ),
    _contents(
        "cached content that its store does not have any more",
        "if self._sizes[path] not in (None, size):",
        "if False:",
        "cache/test_cache.py",
    ),
    Mutant(
        "a file that was exchanged before it was opened",
        "cache/view.py",
        "receipt = self._confirmed(path, _receipt(os.fstat(descriptor), content))",
        "receipt = _receipt(os.fstat(descriptor), content)",
        ("cache/test_small_files.py",),
    ),
    Mutant(
        "a file in the place of one that is there",
        "cache/contents.py",
        "if self._view.sound_at(path, content, view, name) is not None:",
        "if False:",
        ("cache/test_small_files.py",),
    ),
    Mutant(
        "small files as they come",
        "streaming/measure.py",
        "        if (finding := finding_of(part, hash_type)) is not None:\n            raise",
        "        if (finding := finding_of(part, hash_type)) and not part:\n            raise",
        ("gateway/test_gateway_small.py",),
    ),
    Mutant(
        "a redirect with an endless body",
        "stores/redirects.py",
        "if length is not None and length <= _PROSE_BYTES:",
        "if length is not None:",
        ("stores/test_connections.py",),
    ),
    Mutant(
        "small files without bound",
        "gateway/small.py",
        "if found.is_kept or size > _MOST_BYTES:",
        "if found.is_kept:",
        ("gateway/test_gateway_small.py",),
    ),
    Mutant(
        "small files for clients that have gone",
        "gateway/small.py",
        "if not self._fetching.is_wanted(key):",
        "if False:",
        ("gateway/test_gateway_queue.py",),
    ),
    Mutant(
        "small files that came while others were kept",
        "gateway/small.py",
        "while self._groups:\n",
        "if self._groups:\n",
        ("gateway/test_gateway_small.py",),
    ),
    _contents(
        "those before one that cannot be kept",
        "                # Those that came before one that failed have their places.\n",
        "                if len(receipts) == len(contents):\n    ",
        "cache/test_small_files.py::test_those_before_one_that_cannot_be_kept_are_there",
    ),
    Mutant(
        "a thread of each for one client",
        "gateway/turns.py",
        "if self._running[each] < self._each)",
        "if self._running[each] < self._threads)",
        ("gateway/test_gateway_turns.py",),
    ),
    Mutant(
        "a queue for one client",
        "gateway/turns.py",
        " or theirs >= self._each_waiting:",
        ":",
        ("gateway/test_gateway_turns.py",),
    ),
    Mutant(
        "the first come first",
        "gateway/turns.py",
        "                self._waiting[client] = calls\n",
        "                self._waiting[client] = calls\n"
        "                self._waiting.move_to_end(client, last=False)\n",
        ("gateway/test_gateway_turns.py",),
    ),
    Mutant(
        "as many turns as a client has addresses",
        "gateway/client.py",
        "return str(IPv6Network((int(address), 64), strict=False))",
        "return str(address)",
        ("gateway/test_gateway_turns.py",),
    ),
    Mutant(
        "a denial that lets something through",
        "gateway/shared_decisions.py",
        "if not verdict.lets_through:",
        "if True:",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "a denial of long ago",
        "gateway/shared_decisions.py",
        "if 0 <= self.age < seconds:",
        "if 0 <= self.age:",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "a denial from the future",
        "gateway/shared_decisions.py",
        "if 0 <= self.age < seconds:",
        "if self.age < seconds:",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "a denial that nobody else hears of",
        "gateway/models.py",
        "                            known.record(decided.verdict)\n",
        "                            pass\n",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "what another commit has of a small file",
        "gateway/small.py",
        "key = layout.folder, model.content(path), model.declared(path)",
        "key = layout.folder, model.content(path)",
        ("gateway/test_gateway_commits.py",),
    ),
    Mutant(
        "what another commit has of a file",
        "gateway/arrivals.py",
        "key = journal.file, model.declared(path)",
        'key = journal.file, ""',
        ("gateway/test_gateway_commits.py",),
    ),
    Mutant(
        "what arrives of another commit",
        "gateway/arrival.py",
        "if state.source != self._source:",
        "if False:",
        ("gateway/test_gateway_commits.py",),
    ),
    Mutant(
        "a small file by another client's token",
        "gateway/small.py",
        "if not is_others or not denied.reason.code.of_store:",
        "if True:",
        ("gateway/test_gateway_commits.py",),
    ),
    Mutant(
        "a file by another client's token",
        "gateway/sending.py",
        "if reason is None or (is_others and reason.code.of_store):",
        "if reason is None:",
        ("gateway/test_gateway_commits.py",),
    ),
    Mutant(
        "a small file for which the disk fails",
        "gateway/small.py",
        "if reason.code is ReasonCode.CACHE_CHANGED:",
        "if True:",
        ("gateway/test_gateway_small.py",),
    ),
    Mutant(
        "a descriptor for each lock that cannot be had",
        "file_locks.py",
        "    except BaseException:\n        os.close(descriptor)\n",
        "    except BaseException:\n",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "a lock that was removed",
        "file_locks.py",
        "if os.path.samestat(os.fstat(descriptor), file.stat()):",
        "if True:",
        ("gateway/test_gateway_processes.py",),
    ),
    Mutant(
        "decisions of all processes at once",
        "file_locks.py",
        "(fcntl.LOCK_SH if shared else fcntl.LOCK_EX)",
        "fcntl.LOCK_SH",
        ("gateway/test_gateway_processes.py",),
    ),
    _model(
        "a file that was changed in use",
        "if now is None or not _is_same(receipt, now):",
        "if False:",
    ),
    _model(
        "a file that is right again",
        "        if not _is_same(before, receipt):",
        "        if False:",
    ),
    _cache("a model that failed", "return None if spent or", "return None if"),
    _cache(
        "requests of who may make none",
        "            if offline:\n                raise StoreError(",
        "            if False:\n                raise StoreError(",
    ),
    _known(
        "the record of another model",
        "if known.url == reference.url and",
        "if",
        "cache/test_cache.py",
    ),
    _known(
        "transfers of who may make none",
        "listed = replace(listed, read_range=_offline)",
        "pass",
        "cache/test_cache.py",
    ),
    _pretrained(
        "a load of two commits",
        '{"decision_seconds": gate.limits.total_seconds}',
        '{"decision_seconds": 0}',
    ),
    _pretrained(
        "a revision of what has none",
        'if reference.scheme != "hf" or reference.revision is not None:',
        "if False:",
    ),
    # -- Programs that are run
    _bootstrap(
        "the guard behind all others",
        "insert(0, _GuardedImport())",
        "append(_GuardedImport())",
        "loading/test_run.py::test_of_a_denied_model_the_reason_is_the_last_line",
    ),
    _bootstrap(
        "a guard that could not be installed",
        "raise SystemExit(_CANNOT_GUARD) from error",
        "raise ImportError from error",
        "loading/test_run.py::test_without_a_guard_nothing_is_loaded",
    ),
    _bootstrap(
        "what is imported before all else",
        "if _GUARDED in sys.modules:",
        "if False:",
        "loading/test_run.py::test_what_is_imported_before_all_else_is_guarded",
    ),
    _bootstrap(
        "an end that Python takes for a defect",
        "os._exit(_CANNOT_GUARD)",
        "raise",
        "loading/test_run.py::test_what_is_imported_before_all_else_is_guarded",
    ),
    _bootstrap(
        "what it hides",
        "\n_run_hidden()\n",
        "\n",
        "loading/test_run.py::test_the_file_that_it_hides_is_run_as_ever",
    ),
    _guard(
        "a guard of a program's own, swapped twice",
        "import huggingface_hub  # noqa: F401",
        "pass",
        "loading/test_run.py::test_a_program_may_have_a_guard_of_its_own",
    ),
    _run(
        "a configuration that is elsewhere for who is elsewhere",
        "os.path.abspath(config)",
        "str(config)",
        "loading/test_run.py::test_programs_and_what_they_start_are_guarded",
    ),
    _run(
        "another file of the name before it",
        "[bootstrap, *others]",
        "[*others, bootstrap]",
        "loading/test_run.py::test_the_file_that_it_hides_is_run_as_ever",
    ),
    _run(
        "signals that Python ignores",
        "signal.signal(getattr(signal, name), signal.SIG_DFL)",
        "pass",
        "loading/test_run.py::test_a_program_ignores_no_signal_that_it_would_not",
    ),
    _guard(
        "what an installed guard starts",
        "if self.gate.config_file is not None:",
        "if False:",
        "loading/test_run.py::test_what_an_installed_guard_starts_is_guarded",
    ),
    _layout(
        "a cache of another user's",
        "            if not _is_own(os.fstat(descriptor)):",
        "            if False:",
    ),
    _layout("a folder of something else", "if filled and missing:", "if False:"),
    Mutant(
        "decisions that a store has spoilt",
        "verdict.py",
        "any(reason.code.of_store for reason in self.reasons)",
        "False",
        ("cache/test_cache.py",),
    ),
    _cache(
        "locks of another process",
        "if self._process != os.getpid():",
        "if False:",
    ),
    _cache("decisions that are over", "if now >= until]:", "if False]:"),
    _model(
        "a folder with something else in it",
        "        if others:",
        "        if False:",
        "loading/test_guard_calls.py::test_a_folder_is_handed_out_with_signed_files_only",
    ),
    _model(
        "files of a folder that nobody asked for",
        "self.fetch(there)",
        "pass",
        "loading/test_guard_calls.py::test_a_folder_is_handed_out_with_signed_files_only",
    ),
    _admitted(
        "a change that a library hides",
        "self._changed.append(before)",
        "pass",
    ),
    _guard(
        "a guard elsewhere that annotates",
        'active.sort(key=lambda on: on.gate.mode == "enforce")',
        "pass",
    ),
    _opened_gate(
        "a shared gate that one of its users closes",
        "_SharedGate.following(Path(path))",
        "Gate.from_config(path)",
    ),
    _stage("a lock that a forked process has", "fcntl.flock(lock, fcntl.LOCK_UN)", "pass"),
    _guard("the innermost guard", "return here[-1]", "return here[0]"),
    _guard(
        "the guard of another thread",
        "if here := [on for on in _entered.get() if on in active]:",
        "if here := []:",
    ),
    _cache(
        "a branch that moves between two files",
        "self._decided[key] = now + seconds, decided",
        "self._decided[key] = now, decided",
    ),
    _layout(
        "a cache that others may change",
        "status.st_uid == os.geteuid() and not status.st_mode & others",
        "status.st_uid == os.geteuid()",
    ),
    # What a pod says of models.
    _commands(
        "a word that may be a script", 'if not re.search(r"[\\s;&|$]", text.strip()):', "if True:"
    ),
    _commands("a script in a script", "yield from self.commands(word, deep - 1)", "pass"),
    _commands(
        "a variable whose value is elsewhere",
        "certain = certain and not self.is_unknown(name)",
        "pass",
    ),
    _commands(
        "a variable of a script whose value is elsewhere",
        "elif self._variables.is_unknown(name):",
        "elif False:",
    ),
    _commands("variables that may be elsewhere", "(self.open and name not in self.known)", "False"),
    _commands(
        "a substitution of a shell",
        'certain = not _SHELL_ONLY.search(_SHELL_VARIABLE.sub("", token))',
        "certain = True",
    ),
    _commands(
        "a variable with several words",
        "if word.text != token and word.certain and",
        "if False and",
    ),
    _commands("a script that takes variables away", 'if text == "unset":', "if False:"),
    _commands("a folder that a script goes to", 'if word.text in ("cd", "pushd") or', "if"),
    _scripts("a quoted separator", """if character in "'`":""", """if character in "`":"""),
    _scripts(
        "a document given to a shell",
        "yield rest if match is None else rest[: match.start()]",
        "pass",
    ),
    _budget("more than can be read", "if left < 0:", "if False:"),
    _arguments(
        "an abbreviated option",
        "min((option for option in known if option.startswith(text)), key=len, default=None)",
        "None",
    ),
    _arguments(
        "a path that may be a model",
        "if _may_be_model(word.text)]\n\n    @property\n    def _loose",
        "if False]\n\n    @property\n    def _loose",
    ),
    _arguments(
        "an unknown word that may be a model",
        "word.certain or (word.place",
        "True or (word.place",
    ),
    _arguments(
        "a variable of a script that may be several words",
        "(word.place is not None and (",
        "(True and (",
    ),
    _mentions(
        "an image's own program",
        'if own is not None and not container.get("command"):',
        "if False:",
    ),
    _mentions(
        "a command that nobody knows",
        "elif own is not None and not found and own.needs_model:",
        "elif False:",
    ),
    _mentions("a server that names no model", "if client.default is None:", "if False:"),
    _mentions(
        "a script that cannot be read",
        "if any(_is_named(client, text) for text in unreadable)",
        "if False",
    ),
    _mentions("a script that takes over", "if not taken or run.problem is not None:", "if True:"),
    _mentions(
        "what loads from elsewhere",
        'found.unclear += [f"what {name} makes it load" for name in refused]',
        "pass",
    ),
    _mentions(
        "a module in another guise",
        "if (named := _module(word.text, table.modules)) is not None:",
        "if (named := table.modules.get(word.text)) is not None:",
    ),
    _pod_models("a place that is no folder", 'or ".." in folder', ""),
    _pod_models("a variable in a folder", 'if "$" in folder:', "if False:"),
    _pod_models(
        "a container that looks like the gate's",
        'and container in (pod.get("initContainers") or ())',
        "",
    ),
    # What is made of it.
    _containers(
        "an init container that keeps what it had",
        "**{key: before[key] for key in _ADDED if key in before}",
        "**{key: before[key] for key in before if key in (*_ADDED, 'command', 'lifecycle')}",
    ),
    _containers(
        "a variable that leads the init container astray",
        'if entry.get("name") in CREDENTIALS:',
        "if True:",
    ),
    _containers(
        "a volume over the gate's own code",
        'if is_below(normal(str(mount.get("mountPath"))), _TOKENS)',
        'if str(mount.get("mountPath")).startswith("/var/run/secrets")',
    ),
    _containers("a variable in the init container's arguments", 'word.replace("$", "$$")', "word"),
    _containers(
        "a right that the init container must not have",
        '{**(before.get("securityContext") or {}), **security}',
        '{**security, **(before.get("securityContext") or {})}',
    ),
    _containers("a cache that would have precedence", "elif name not in _OVERRULING:", "else:"),
    _containers("a variable that is there twice", "[] if name in done else", ""),
    _injection(
        "init containers that come first",
        '[*fetchers, *(work.pod.get("initContainers") or ())]',
        '[*(work.pod.get("initContainers") or ()), *fetchers]',
    ),
    _injection(
        "a container of the gate's name",
        "if OWN_CONTAINER.fullmatch(name) or name == INITIALIZER:\n                work.problems",
        "if False:\n                work.problems",
    ),
    _injection(
        "two models in one folder", "if use.folder is not None and other is not None:", "if False:"
    ),
    _injection(
        "a path that nothing has verified",
        "verified = work.volumes.holds(container, local.path)",
        "verified = True",
    ),
    _injection(
        "a path that may hold another",
        "verified = not work.volumes.may_hold_others(container, local.path)",
        "verified = True",
    ),
    _injection("a doubt", "if work.volumes.may_hold_others(_container(work, name)):", "if False:"),
    _injection(
        "a folder of a model's name",
        "if (place := work.volumes.hides(container, name)) is not None:",
        "if (place := None) is not None:",
    ),
    _volumes("a writable mount of a filled volume", 'mount["readOnly"] = True', "pass"),
    _volumes(
        "a volume that is mounted over a model",
        "if is_below(_path(mount), place) and not _location(mount).is_in(filled):",
        "if False:",
    ),
    _volumes(
        "a volume in the place of the gate's",
        'if _location(mount) != _Location(wanted["name"], "") or',
        "if",
    ),
    _volumes("a claim by another name", "theirs == claim or", ""),
    _volumes(
        "the claim of an ephemeral volume",
        'or ("ephemeral" in other and claim.endswith(f"-{other[\'name\']}"))',
        "",
    ),
    _volumes("a claim as a device", 'if device.get("name") in volumes:', "if False:"),
    _volumes(
        "a volume that others write to",
        "if not any(kind in volume for kind in _FILLABLE):",
        "if False:",
    ),
    _volumes(
        "another part of a filled volume",
        "self.volume == other.volume and is_below",
        "self.volume == other.volume or is_below",
    ),
    _volumes(
        "the volumes of the node",
        'if path.startswith("/") and (is_below(_KUBELET, path) or is_below(path, _KUBELET)):',
        "if False:",
    ),
    _volumes(
        "a mount of a model that is gone",
        "if any(self._is_stale(mount) for mount in mounts):",
        "if False:",
    ),
    _paths("a link that images have", "if is_below(plain, link):", "if False:"),
    # Admission.
    _admission("what came after admission", "if patch and review.sound:", "if False:"),
    _admission(
        "a model of an ephemeral container",
        "if (use.reference.url, use.folder) not in places",
        "if False",
    ),
    _admission("a path of an ephemeral container", "if local not in had.paths", "if False"),
    _admission(
        "a signature that is not the pinned one", "before.signature != pin.signature", "False"
    ),
    _admission(
        "an update that changes what is run",
        "return before == workload and all(",
        "return before == workload or all(",
    ),
    _admission(
        "an update that is what admission made",
        "patch if _is_as_before(patch, request.old or {}) else []",
        "[]",
    ),
    _pins(
        "what was decided, made up",
        "if _is_sound(pin):",
        "if True:",
        "kubernetes/test_admission.py",
    ),
    _admission(
        "a signature that no init container takes",
        'if model.verdict.signature.format != "v1.0":',
        "if False:",
        "kubernetes/test_what_is_not_pinned.py",
    ),
    _admission(
        "a store that the gate is not to ask",
        "if asked.scheme not in self._settings.schemes:",
        "if False:",
        "kubernetes/test_service.py",
    ),
    _admission(
        "a review of more models than may be",
        "if len(uses) > self._settings.models:",
        "if False:",
        "kubernetes/test_service.py",
    ),
    _webhook(
        "a client that nobody knows",
        "if known_clients and not _has_certificate(request):",
        "if False:",
    ),
    _decisions("an end to waiting", "max(seconds, 0)", "None"),
    _checks("more checks than may wait", "len(self._running) >= self._most or", ""),
    _checks("a namespace that keeps the others waiting", "or theirs >= most:", ":"),
    _checks("an old verdict", "known[0] > time.monotonic()", "True"),
    _rulebook(
        "whoever comes first in a cluster",
        "if isinstance(signer, FirstUseSigner):",
        "if False:",
        "kubernetes/test_rulebook.py",
    ),
    _asked_of_pods("labels of a namespace", "dict(labels),", "{},"),
    _asked_of_pods("a pod's namespace", '"namespace": request.namespace,', '"namespace": "x",'),
    _asked_of_pods("a pod's account", 'pod.get("serviceAccountName") or', ""),
    _asked_of_pods("admission that is said", '"operation": "admit",', '"operation": "load",'),
    _asked_of_gates("pulling that is said", '_wanted_for("pull", context)', "context"),
    _asked_of_gates("loading that is said", '_wanted_for("load", context)', "context"),
    _asked_of_loads("loading of what is pulled", '{"operation": "load"}', "{}"),
    _config(
        "rules that have no effect", "self.policy.server is not None and getattr", "0 and getattr"
    ),
    _config("whoever comes first, forgotten", "if self.history is None:", "if False:"),
    _config("the same signer, forgotten", "if requirement.same_signer and", "if 0 and"),
    _config("attestations that nobody reads", "if requirement.attestations and", "if 0 and"),
    _cli_config("exceptions that have ended", "exception.expires_at <= now", "False"),
    _strict_yaml(
        "the place of what is no date", "except ValueError as error:", "except OSError as error:"
    ),
    _mistakes("the place of a signer's mistake", 'if "signers" in location:', "if False:"),
    _requirements(
        "a namespace that there cannot be", "if not _KUBERNETES_GLOB", "if 0 and _KUBERNETES_GLOB"
    ),
    _requirements(
        "a requirement of nothing", "if not self.model_dump(", "if 0 and self.model_dump("
    ),
    _exceptions("an exception for ever", "lt=date.max, ", ""),
    _exceptions("an exception a day too long", "timedelta(days=1)", "timedelta(days=2)"),
    _rulebook("what is not delegated", "policy.namespace is None or delegated", "True"),
    _rulebook("the stricter mode", 'if "enforce" in modes:', "if False:"),
    _rulebook(
        "a policy that cannot be used",
        "if names.get(root, root) not in known[ROOT_KINDS[signer.method]]:",
        "if False:",
    ),
    _gate_policies(
        "a root of the policy's own",
        "and name in roots.get(ROOT_KINDS[signer.method], {}):",
        "and False:",
    ),
    _gate_policies("what cannot be read and tightens", '_Spec(mode="enforce")', "_Spec()"),
    _server_tls("a certificate without its key", "_context(pair)  # What", "pass  # What"),
    _publication(
        "a policy that is not told of publishing",
        "OPERATION,\n        records",
        "{},\n        records",
    ),
    _overlay(
        "where it is to be",
        "        target,\n        {path",
        "        added.reference if added else target,\n        {path",
    ),
    _publication(
        "a part that is not read",
        "Assurance.BYTES if complete else Assurance.DECLARED",
        "Assurance.SIGNATURE",
    ),
    _publication("a signed file that is not sent", "publication.left_out(path):", '"":'),
    _publication(
        "what is published in mode annotate",
        'gate.mode = "enforce"\n    # However',
        "# However",
    ),
    _publication("what would be gone", "if publication.gone:", "if False:"),
    _rollback(
        "a statement in another spelling",
        "hashlib.sha256(parse_bundle(bundle, limits).payload)",
        "hashlib.sha256(bundle)",
    ),
    _publish_signature(
        "what was there before", "if statement in publication", "if False and publication"
    ),
    _publish_signature("what another signer vouches for", "_who(kept.by) != _who(by)", "False"),
    _publish_signature("a store that fails meanwhile", "if denied.verdict.undecided:", "if False:"),
    _consistency("shards that are missing", "    if missing:", "    if False:"),
    _consistency("a signature of a file that changed", "elif file in signed and", "elif False and"),
    _folder("a gitignore that takes forever", 'line.count("*") > _MOST_STARS', "False"),
    _folder("a signature that patterns leave out", "== self.signature", "== 0"),
    _publication("what stays there unsigned", "if stays and file.path", "if False and file.path"),
    _rollback(
        "a release that was replaced", "statement in publication.earlier(), False", "False, False"
    ),
    _rollback("a release that is older", "proven < before", "False"),
    _publish_signature(
        "what others have put there",
        """    try:
        admission = gate.admit(""",
        """    return {path: "0" * 64 for path in kept}
    try:
        admission = gate.admit(""",
    ),
    _release("what may not be published", "if not judgement.verdict.lets_through:", "if False:"),
    _release(
        "a signature of what may not be published",
        "    judgement = judge(",
        """    if bundle is not None:
        keep(bundle)
    judgement = judge(""",
    ),
    _release("what the Hub keeps", " and path != _KEPT", ""),
    _release("what a gitignore there leaves out", "if base is None or GITIGNORE", "if GITIGNORE"),
    _folder("what no upload takes along", "if _NEVER_SENT.fullmatch(path):", "if False:"),
    _folder("files of the gate's own", "path == VERDICT_FILE or is_temporary(path)", "False"),
    _windows("a secret across two windows", "end = len(content) - ahead", "end = len(content)"),
    _windows("a secret in UTF-16", 'if b"\\0" in self.content:', "if False:"),
    _windows("the line of a secret", 'line += content.count(b"\\n", start, end)', "pass"),
    _search("text read to its end", "chunks if text else _first", "_first"),
    _search("binary files read to an end", "else _first(chunks, binary_bytes)", "else chunks"),
    _search("a credential file", "        credential_file(path, head),\n", ""),
    _armour("a private key in base64 once more", "_PRIVATE in (label", "not (label"),
    _armour(
        "a header without a key",
        "return len(content) >= _CHARACTERS and len(set(content)) >= _DISTINCT_CHARACTERS",
        "return True",
    ),
    _credentials("a token of an example", "steps < len(text) / 2", "True"),
    _credentials("a token that repeats itself", "and not _PLACEHOLDER.search(text)", ""),
    _key_files(
        "an encrypted key in DER", 'return _private("an encrypted private key")', "return None"
    ),
    _key_files("a certificate in DER", 'return _public("a certificate")', "return None", *_ANCHORS),
    _inspect("what documents quote", 'in ("document", "code")', "in ()", *_ANCHORS),
    _inspect("secrets of files that may have none", "if path not in globs", "", *_SECRETS),
    _formats("a pickle under another name", "or names_protocol(head):", ":"),
    _formats("numbers that are no pickle", 'kind == "pickle" or', "False or"),
    _formats("compressed arrays of objects", "if _has_objects(head) or any(", "if any(() and "),
    _formats("an archive without a directory", "if readable else _UNREADABLE", ""),
    _pickles("a pickle without a protocol", "names and operation.name in _CALLING", "False"),
    _pickles("numbers on no stack", "if depth < (marks[-1] if marks else 0):", "if False:"),
    _pickles("a pickle of a long text", "return cut and stream", "return False and stream"),
    _archives("another name in the directory", "if size is None:\n        return", "return"),
    _archives("a directory of more than 4 GiB", "if 0 <= large <=", "if 0 > large <="),
    _json_keys("a private key in JSON", "if private := _PRIVATE.search(members[0]):", "if False:"),
    _json_keys("a public key in JSON", "    return public\n", "    return None\n", *_ANCHORS),
    _credentials(
        "a password without a digit",
        "return _WORDS.fullmatch(password) is None or _UNSPEAKABLE.search(password) is not None",
        "return False",
    ),
    _credentials("a key id without a digit", "[0-9BJOUXZ]", "[0-9]"),
    _armour("a key in short lines", "+/]{16,}+=", "+/]{60,}+="),
    _armour("nothing but a certificate", "replace(one, alone=True)", "one", *_ANCHORS),
    _key_files(
        "a certificate of an unknown version",
        "suppress(x509.InvalidVersion)",
        "suppress()",
        *_ANCHORS,
    ),
    _key_files("a key and a line break", 'in (b"\\r", b"\\n"):', "in ():"),
    _key_files("a key after a certificate", "one.code is ReasonCode.PUBLISH_SECRET", "True"),
    _inspect("what fails over a file", "if not is_failure(error):", "if True:"),
    _windows(
        "lines counted once",
        "                position = sighting.position\n",
        "",
        *_PACE,
    ),
    _windows(
        "one of a line",
        'self.content.find(b"\\n", match.end())',
        "match.end()",
        *_PACE,
    ),
    _credential_files(
        "spaces taken once",
        r'_LINE = rb"(?m)^[^\S\n]*+"',
        r'_LINE = rb"(?m)^\s*"',
        *_PACE,
    ),
    _credential_files("the environment of another name", r'r"[^/]*\.env', r'r"\.env'),
    _formats("a PyTorch archive", 'endswith((b".pkl", b".pickle"))', "endswith(b'?')"),
    _formats("safetensors cut off", "if end > size else None", "if False else None"),
    _formats("a Git LFS pointer", "if _LFS_POINTER.match(head) and", "if False and"),
    _globs("a part of a path", 'self._across if character == "/" else wildcards', "wildcards"),
    _sarif("a link in a name", '.replace("](", "] (")', ""),
    _sarif("a placeholder in a name", '.replace("{", "{{").replace("}", "}}")', ""),
    _s3(
        "a pointer in a release",
        "if reference.release is None:\n            p",
        "if True:\n            p",
    ),
    _s3("a release that is not there", "if pointer is not None and not keys:", "if False:"),
    _s3(
        "a release written to",
        "write_file if found.reference.release is None else None",
        "write_file",
    ),
    _s3("releases among the files of a model", "not is_apart(key.removeprefix(root))", "True"),
    _s3("a model released while it was signed", 'check_same({"": found', 'dict({"": found'),
    _s3_releases("a pointer that is too long", "if len(content) > _POINTER_BYTES:", "if False:"),
    _s3_releases("members of a pointer twice", "or len(members) != 2", ""),
    _s3_releases(
        "any folder as a release",
        "return release if RELEASE_ID.fullmatch(release) else None",
        "return release",
    ),
    _s3_releases(
        "a release that never was current",
        "name[: len(time)] < time",
        "True",
        "publish/test_s3_registry.py::test_a_release_that_never_was_one_is_not_older",
    ),
    _s3_uploading(
        "an object in another's place", '{"IfNoneMatch": "*"}, {"If-None-Match": "*"}', "{}, {}"
    ),
    _s3_uploading("where uploads are sent on to", 'update={"redirects": 0}', "update={}"),
    _s3_uploading(
        "a copy with another digest",
        'return (declared_sha256(head), head.get("ContentLength")) == (sha256, size)',
        "return True",
        "publish/test_promote.py::test_a_copy_with_other_bytes",
    ),
    _checked(
        "bytes that were not judged",
        "if (reason := finding_of(part, self._hash_type)) is not None:",
        "if (reason := None) is not None:",
    ),
    _s3_registry(
        "what a lost race leaves",
        "if error.reason.code not in _REFUSED:",
        "if True:",
        "publish/test_s3_registry.py::test_somebody_else_was_first",
        "publish/test_s3_registry.py::test_what_was_refused_goes_again",
    ),
    _s3_registry(
        "a release that is current already",
        "if self._is_current(release, error):",
        "if False:",
        "publish/test_s3_registry.py::test_what_was_refused_only_when_it_was_done_stays",
    ),
    _s3_registry(
        "a release that may be current",
        "pointer = self._current()\n        except (Con",
        "pointer = None\n        except (Con",
        "publish/test_s3_registry.py::test_where_it_cannot_be_read_whether_it_was_done_all_stays",
    ),
    _s3_registry(
        "no way on from a release that is gone",
        "else self.target.at_release(self._pointer.release)",
        "else self.target",
        "publish/test_s3_registry.py::test_a_release_that_is_gone_is_replaced",
    ),
    _rollback(
        "back, as the present release is gone",
        "in publication.earlier(), False",
        "in (publication.earlier() if published else ()), False",
        "publish/test_s3_registry.py::test_a_release_that_is_gone_is_replaced",
    ),
    _s3_registry(
        "what is left of a failure",
        "self._remove(names)\n            raise",
        "raise",
    ),
    _s3_transfer(
        "a transfer without end",
        "if time.monotonic() > self._deadline:",
        "if False:",
        "publish/test_s3_registry.py::test_no_longer_than_the_whole_may_take",
    ),
    _s3_transfer(
        "a file that nobody has read",
        "return was_read or",
        "return True or",
        "publish/test_promote.py::test_a_source_is_read_although_the_right_bytes_are_there",
    ),
    _promotion("what may not be promoted", "if not judgement.verdict.admitted:", "if False:"),
    _pins(
        "any place as a release",
        "return release and pin.asked.release in (None, pin.revision)",
        "return True",
        "kubernetes/test_pins.py",
    ),
    _hub_commit("what the Hub leaves out", "if addition._should_ignore:", "if False:"),
    _hub_commit("what the Hub says is there", "addition._remote_oid = None", "pass"),
    _hub_commit("on top of what was judged", "parent_commit=self.parent,", ""),
    _hub_commit(
        "the digest of what was sent",
        "if found != digest:",
        "if False:",
        "publish/test_hub_commit.py",
    ),
    _hub_commit(
        "what is in the commit itself",
        "unproven[path] = signed",
        "pass",
        "publish/test_hub_commit.py",
    ),
    _hub_commit(
        "what nobody signed and is sent",
        "self._check_listed(path)\n                if digest",
        "if digest",
    ),
    _hub_commit("a signature that is read once more", "return signature.content", "pass"),
    _hub_registry(
        "a repository that others have made",
        "if not self._found.files.keys() <= _INITIAL:",
        "if False:",
        "publish/test_hub_commit.py",
    ),
    _hub_registry(
        "a branch that moved and has the same",
        "if self._store.resolve(self.target).revision != commit.parent:",
        "if False:",
        "publish/test_hub_commit.py",
    ),
    _hub_registry("a tag or a commit", "if branch is None:", "if False:"),
    _hub_registry("a folder of a repository", "if target.path:", "if False:"),
    _hub_registry("a commit that is none", "if not COMMIT.fullmatch(made.oid):", "if False:"),
    _hub_registry("contents that were seen", "or file.version in seen", ""),
    _hub_registry("how far back", "islice(history, self._limits.history_commits + 1)", "history"),
    _hub_errors("an answer that was lost", "if committing and", "if False and"),
    _hub_errors(
        "an error of the gate's own",
        "if own is not None:",
        "if False:",
        "publish/test_hub_commit.py",
    ),
    _hub_errors(
        "who comes second",
        "if status == _PRECONDITION_FAILED:",
        "if False:",
        "publish/test_hub_commit.py",
    ),
    _hub_uploads("a name that becomes another", "    check_name(path_in_repo)\n", ""),
    _hub_uploads("a folder that becomes another", "        check_name(below)\n", "        pass\n"),
    _hub_uploads("what is denied", "if came.published is None:", "if False:"),
    _trainer("pushes of the trainer's own", "if args.push_to_hub:", "if False:"),
    _trainer("a part of the model", "if args.fsdp or args.deepspeed:", "if False:"),
    _trainer("every process", "if not state.is_world_process_zero:", "if False:"),
    _trainer("pickles of the trainer's", ', "training_args.bin")', ")"),
    _git_program("a replacement of a pushed object", '"GIT_NO_REPLACE_OBJECTS": "1",', ""),
    _git_program("a long answer", "if room < 0:", "if False:"),
    _git_program("a long silence", "max(seconds, 0) * 1000", "None"),
    _git_objects("what one blob leaves behind", "whole = False", "whole = True"),
    _git_tree(
        "links and submodules", "                if strict:\n", "                if False:\n"
    ),
    _git_tree("what only some take for a pointer", "if strict and unclear:", "if False:"),
    _git_tree("a large file that is new", "None if file.path in here else", "None if 0 else"),
    _git_tree(
        "a large file that is not here",
        "pointers, here, fresh - here, unclear)",
        "pointers, here, set(), unclear)",
    ),
    _git_lfs("a large file that is too short", "path.stat().st_size == large.size", "True"),
    _git_history("the first commit", '"--root", ', ""),
    _git_history("what a merge brings", '"-c", ', ""),
    _git_history("more than is looked into", "if count > git.limits.files:", "if False:"),
    _git_past_history(
        "more commits than are looked into", "if len(found) ==", "if 0 and len(found) =="
    ),
    _git_push("a pointer to something else", "if digest != pointer.sha256:", "if False:"),
    _git_push(
        "a pointer to something else, signed in parts",
        "judgement.sha256_of(path) or _sha256(tree.snapshot, path)",
        "judgement.sha256_of(path) or pointer.sha256",
    ),
    _git_push("a reference that is shown elsewhere", "if not _OF_A_MODEL.fullmatch(ref)", "if 0"),
    _git_push(
        "names of large files that are elsewhere",
        "*named.reasons]",
        "]",
    ),
    _git_tags("the messages of tags", "if commit != new:", "if False:"),
    _git_past_push(
        "secrets of the past", "if reason.code is ReasonCode.PUBLISH_SECRET:", "if False:"
    ),
    _git_past("what only Git LFS takes for a pointer", "if path in tree.ambiguous:", "if False:"),
    _inspected_names("keys by their name", "or credential_file(", "or 0 and credential_file("),
    _inspected_names("pickles by their name", 'kind_of(path) == "pickle"', "False"),
    _git_past("a name twice", "            while files :=", "            if files :="),
    _git_past("no end of commits", "if time.monotonic() > self._until:", "if False:"),
    _git_past(
        "the same secret twice",
        "frozenset(commits(self._git, tip, *self._unknown))",
        "frozenset(commits(self._git, tip, *self._unknown)[:1])",
    ),
    _git_past("a process for each commit", "self._trees.objects.sizes(", "any("),
    _git_messages("secrets in messages", "is ReasonCode.PUBLISH_SECRET and", "is None and"),
    _git_messages("a tag of a tag", "        if match is None:", "        if True:"),
    _git_pointers("white space that only Git LFS passes over", '"replace").strip()', '"replace")'),
    _git_checked_out("links that are pushed", "for step in {place, *way}", "for step in {place}"),
    _git_checked_out("a folder around the work tree", "tree.is_relative_to(place) or", ""),
    _git_checked_out("a work tree that git lists", 'if what == b"worktree" and', "if 0 and"),
    _git_checked_out(
        "a work tree elsewhere",
        "        yield (folder / elsewhere)",
        "        (folder / elsewhere)",
    ),
    _git_work_tree("a folder of files", "if given.is_dir():", "if False:"),
    _git_push("what is there and not here", "if old is not None and published is None:", "if 0:"),
    _git_push(
        "a pushed release that was replaced", "if change.blob != before", "if False and before"
    ),
    _git_push("where the commit goes", "known = (commit, published)", "known = (commit, None)"),
    _git_past_push("a secret by another name", "(change.path, change.blob) not in at_tip", "False"),
    _git_destination("another model than the URL's", 'named.partition("@")[0] != meant', "False"),
    _git_destination("another host", "elif host not in _HUB_HOSTS or", "elif"),
    _hook_files("modules of the repository's own", '"$program" -P -m', '"$program" -m'),
    _hook_files("a push that is denied", ' "$@" || exit\n#', ' "$@"\n#'),
    _hook_files("a gate that is gone", 'if ! [ -x "$program" ]', "if false"),
    _hook_files("a hook that Git passes over", "os.O_EXCL, 0o777)", "os.O_EXCL, 0o666)"),
    _cli_hooks("a configuration that is pushed", "if checked_out(", "if 0 and checked_out("),
    _cli_hooks("what was once there", "target, known=())", "target, known=['--remotes'])"),
    _cli_hooks("files of the configuration's", "*named_files(load_config(Path(config)))", ""),
    _history("the first signer", "if not now.pinned:", "if True:"),
    _history(
        "what changed since it was told",
        "return now\n            values = _values(observation, at, approved=False)",
        "pass\n            values = _values(observation, at, approved=False)",
    ),
    _history(
        "whom an operator knew of",
        "return now\n            values = _values(observation, at, approved=True)",
        "pass\n            values = _values(observation, at, approved=True)",
        "history/test_history_rollback.py",
    ),
    _history("whose signature it is", "in identities,", "in identities or True,"),
    _history("one signer of several", "identity is None or identity in", "True or identity in"),
    _history("a change by an operator", 'SET count = count + 1")', 'SET count = count")'),
    _history_order("a proven time", "THEN signed_at > :signed_at", "THEN 0"),
    _history_order("equal times", "THEN signed_at > :signed_at", "THEN signed_at >= :signed_at"),
    _history_order(
        "the order of the first admission",
        "        ELSE place > (SELECT min",
        "        ELSE 0 AND place > (SELECT min",
    ),
    _history_order(
        "a proof that was left out", "THEN signed_at IS NOT NULL AND place =", "THEN 0 AND place ="
    ),
    _history_order(
        "the reference that was asked for",
        "WHERE model = :model AND asked = :asked AND statement <> :statement\n",
        "WHERE model = :model AND statement <> :statement\n",
    ),
    _history_order(
        "another model",
        "WHERE model = :model AND asked = :asked AND statement <> :statement\n",
        "WHERE asked = :asked AND statement <> :statement\n",
    ),
    _history_order("a commit that was asked for", "[] if observation.fixed else", ""),
    _history_order(
        "what came after an approval",
        "SELECT :model, :asked, :statement, max(place)",
        "SELECT :model, :asked, :statement, 1000",
    ),
    _history_order(
        "an approval that is taken back",
        "DELETE FROM approvals WHERE model = ?",
        "DELETE FROM approvals WHERE 0 = ?",
    ),
    _observation(
        "an issuer",
        'json.dumps(["sigstore", signer.root.name, signer.issuer, signer.identity])',
        'json.dumps(["sigstore", signer.root.name, signer.identity])',
    ),
    _observation(
        "a root", 'json.dumps(["sigstore", signer.root.name, ', 'json.dumps(["sigstore", '
    ),
    _observation(
        "a subject",
        '"subject" if signer.identity == signer.subject else "alternative name"',
        '"name"',
    ),
    _observation(
        "a certificate's new key",
        "signer.root.name, by, signer.identity]",
        "signer.root.name, by, signer.identity, signer.key_sha256]",
    ),
    _observation(
        "the first proof", "min((proof.time", "max((proof.time", "history/test_history_rollback.py"
    ),
    _recollection(
        "a decision by what is remembered now",
        "            if not admits(now):\n                return\n",
        "            admits(now)\n",
    ),
    _recorded(
        "what is admitted before its bytes are read",
        "                self._record()\n            verdict =",
        "            verdict =",
    ),
    _recorded(
        "what is delivered",
        "            self._record()\n            if transfer",
        "            if transfer",
    ),
    _recorded(
        "what is denied meanwhile",
        "transfer.complete and (not self.reasons or self._delivers_denied)",
        "transfer.complete",
    ),
    _remembering(
        "what is only to be published",
        " or not self.records:",
        ":",
        "publish/test_publication.py::"
        "test_what_is_to_be_published_is_not_remembered_as_if_it_were_there",
    ),
    _remembering(
        "what is denied is remembered",
        "is None or self.reasons or",
        "is None or",
    ),
    _in("server/rulebook.py", "history/test_history_signers.py")(
        "whom one namespace trusts", "history if shared else None", "history"
    ),
    _database("a log just made taken for one left", "if self.file.exists():", "if False:"),
    _database("a database of others", "!= APPLICATION_ID:", "!= APPLICATION_ID and False:"),
    _database("a newer version", "if version > len(MIGRATIONS):", "if False:"),
    _database("damaged pages", '.fetchall() != [("ok",)]', ".fetchall() == []"),
    _database(
        "a log that was left",
        'f"{self.file.name}-wal").exists():',
        'f"{self.file.name}-wal").exists() and False:',
    ),
    _database("what everybody can write", "status.st_mode & stat.S_IWOTH", "False"),
    _database("a folder for all", "folder.mkdir(mode=0o700, ", "folder.mkdir("),
    _database(
        "rows of others", "(sqlite3.Error, ValidationError, OSError)", "(sqlite3.Error, OSError)"
    ),
    _database("a lock that is waited for", "timeout=self._wait,", "timeout=6,"),
    _database(
        "a migration in one piece",
        '    connection.execute("BEGIN IMMEDIATE")\n    # Another',
        '    connection.execute("SELECT 1")\n    # Another',
    ),
    _database(
        "two that make it at once",
        "            except FileExistsError:\n                return",
        "            except FileExistsError:\n                raise",
        "history/test_history_processes.py",
    ),
    _database(
        "two that write at once",
        '            connection.execute("BEGIN IMMEDIATE")\n            # What',
        '            connection.execute("BEGIN")\n            # What',
        "history/test_history_processes.py",
    ),
    _cli_trust("a question", 'if changes and not yes and not agreed("Trust it?"):', "if False:"),
    _cli_trust("nobody to ask", "if not yes and (json or not sys.stdin.isatty()):", "if False:"),
    _hook_files("a remote called like an option", '{hook} -- "$@"', '{hook} "$@"'),
    # -- What authors of policies do
    _starting("a file that is there", "if os.path.lexists(folder / name)", "if False"),
    _starting("a link to nowhere", "os.path.lexists(folder / name)", "(folder / name).exists()"),
    _starting("half a policy", "for path in reversed(made):", "for path in ():"),
    _packs(
        "a pack's folder for its policy's",
        'if (folder / "gate.yaml").is_file() and',
        "if False and",
    ),
    _packs("a pack that is a path", "if name not in packs():", "if False:"),
    _checking("hidden files", "        IGNORE_HIDDEN,\n", ""),
    _checking(
        "what only a server evaluates", "except HostBuiltinError as error:", "except ()as error:"
    ),
    _building("a bundle that cannot be used", "            _try(written, folder)\n", ""),
    _building("a key that is not there", 'read_secret(key.file, "the signing key")', "..."),
    _building("what is left of a bundle", "            written.unlink()\n", ""),
    _replay("a model that is denied now", "if before.admitted != after.admitted:", "if False:"),
    _replay("another reason", "_told(before.reasons) == _told(after.reasons)", "True"),
    _replay("another warning", "_told(before.warnings) == _told(after.warnings)", "True"),
    _replay("another assurance", "and before.require == after.require", ""),
    _policy_tests("a test that fails", 'if result.get("fail") or error:', "if error:"),
    _policy_tests(
        "a library that was changed", "return there.is_file() and", "return there.is_file() or"
    ),
    _tracing(
        "lines of another decision",
        "if done.returncode or not _agrees(trace, decision):",
        "if done.returncode:",
    ),
    _tracing("lines that mention a rule", "if _is_head(", "if True or _is_head("),
    _trusting(
        "another reason in its place",
        "if helped and _codes(after) <= _codes(denied):",
        "if helped:",
    ),
    _trusting("a rule that does not trust", "if key not in left]", "]"),
    _trusting(
        "a signer for more models than the one",
        "[*(alone or [len(publishers)]), *others]",
        "[*others, *(alone or [len(publishers)])]",
    ),
    _trusting(
        "an exception for every older release",
        "if code in _EXCEPTED and code != ReasonCode.HISTORY_ROLLBACK:",
        "if code in _EXCEPTED:",
    ),
    _explaining(
        "a second signer for all that is first come",
        "    ReasonCode.PUBLISHER_EXPIRED_SIGNER,\n)",
        "    ReasonCode.PUBLISHER_EXPIRED_SIGNER,\n    ReasonCode.HISTORY_SIGNER_CHANGED,\n)",
    ),
    _trusting("an expired certificate for all", 'if signer["expired_at"] else rule', ""),
    _trusting(
        "an exception without an end",
        '"expires": None, **exception',
        '"expires": "2099-01-01", **exception',
    ),
    _explained(
        "an explanation that is remembered",
        "                self.assurance = Assurance.SIGNATURE\n        finally:",
        "                self.assurance = Assurance.SIGNATURE; self._record()\n        finally:",
    ),
    _recording("nothing recorded", "if record is not None:", "if False:"),
    _attestation(
        "an attestation by nobody",
        "signer, times, log_index = check_signature(parsed, trust, at)",
        "signer, times, log_index = Signer(method='key', identity='x', key_sha256='x', "
        "root={'name': 'key 0', 'sha256': 'x'}), (), None",
    ),
    _attestation(
        "a model's signature as its attestation",
        'statement.text("predicateType")) in _MODEL_SIGNATURES',
        'statement.text("predicateType")) in ()',
    ),
    _attestation("any type of statement", "not in _STATEMENT_TYPES", "not in (kind,)"),
    _attestation(
        "an attestation about something else",
        "if not whole and not files:",
        "if 0 and not whole:",
    ),
    _attestation("values without number", "values=limits.attestation_values", "values=10**9"),
    _attestation(
        "a digest of another length",
        "attestation.subjects.isdisjoint((self.root_digest, self.bundle_sha256))",
        "any(self.root_digest.startswith(s) for s in attestation.subjects) is False",
    ),
    _attestations("files without number", "paths[: self.limits.attestations]", "paths"),
    _attestations("room that never ends", "room -= (", "room -= 0 * ("),
    _attestations("a large file", "limit = self.limits.attestation_bytes", "limit = 10**9"),
    _attestations(
        "an unsigned file with a line that counts",
        "if file.content and found and not faults and",
        "if file.content and found and",
    ),
    _attestations(
        "code that is attested", "and not faults and _is_no_more(file.path)", "and not faults"
    ),
    _attestations("prose for an agent", "path.lower().endswith(_JSON)", "True"),
    _attestations("a tokenizer that is attested", 'kind == "config" and', 'kind != "code" and'),
    _boms("a bill by a stranger", "if signed is None:", "if False:"),
    _boms(
        "a bill that was changed",
        "check_measured(content, path, signed, hash_type)",
        "pass",
    ),
    _boms("a large bill", "snapshot.read(path, limits.bom_bytes)", "snapshot.read(path, 10**9)"),
    _boms("bills without number", "raise _too_many(limits)", "pass"),
    _boms("bills that crowd out others", "(path not in signed, path)", "path"),
    _boms("a bill of values without end", "values=limits.bom_values,", "values=10**9,"),
    _boms("a bill of another format", 'if kind != "CycloneDX":', "if 0:"),
    _boms("a bill that hides", "document=shown(value),", "document=value,"),
    Mutant(
        "bills that no policy sees",
        "judging.py",
        "boms=boms.accepted,",
        "boms=(),",
        ("bom/test_bom_inputs.py",),
    ),
    Mutant(
        "refused bills of which nobody is warned",
        "judging.py",
        "self.warnings += (reason for _, reason in found.refused)\n        return",
        "return",
        ("bom/test_bom_inputs.py",),
    ),
    Mutant(
        "a decision that lasts while other bills are read",
        "gate.py",
        "dict(self.attestations), dict(self.boms)",
        "dict(self.attestations)",
        ("test_reload.py",),
    ),
    _bom_facts(
        "a card that was changed",
        "check_measured(content, CARD, signed, admission.hash_type)",
        "pass",
    ),
    _bom_facts(
        "a configuration that was changed",
        "check_measured(content, CONFIG, signed, admission.hash_type)",
        "pass",
    ),
    _bom_facts("a configuration by a stranger", "if signed is None:", "if 0:"),
    _bom_facts("a large card", "read(CARD, limits.card_bytes)", "read(CARD, 10**9)"),
    _bom_facts("a large configuration", "read(CONFIG, limits.card_bytes)", "read(CONFIG, 10**9)"),
    _bom_facts("a bill without end", "if len(snapshot.files) > limits.bom_files:", "if 0:"),
    Mutant(
        "a bill below what the policy requires",
        "check.py",
        "wanted = assurance or self._wanted(required)",
        "wanted = assurance or self.asked",
        ("bom/test_bom_document.py",),
    ),
    _bom_card("a card that hides", "text = printable(member.strip())", "text = member.strip()"),
    _bom_card("a card of anything", "if not isinstance(member, str):", "if 0:"),
    _bom_card("a card of long texts", "if not 0 < len(text) <= LONGEST_TEXT:", "if 0:"),
    _bom_card("a card of many values", "if len(values) > MOST_VALUES:", "if 0:"),
    _bom_document(
        "a bill of no valid form",
        "validator.validate_str(json.dumps(part))",
        "None",
    ),
    _bom_document(
        "bytes that nobody hashed",
        "verdict.assurance is Assurance.BYTES and",
        "verdict.assurance and",
    ),
    _bom_document("missing files that seem hashed", "and not coverage.missing", ""),
    _bom_document(
        "missing files that are not named",
        'yield from (("missing", path) for path in coverage.missing)',
        "pass",
    ),
    _bom_document(
        "files that nobody validated", "range(0, len(files), _TOGETHER)", "range(0, 1, _TOGETHER)"
    ),
    _bom_document("a card that seems signed", "card.path, card.signed, of", "card.path, True, of"),
    _bom_document(
        "licences that seem signed", 'yield from _by_card(facts, "license:")', "yield from ()"
    ),
    _bom_document("whose machine it was", 'location.rpartition("/")[2], safe', "location, safe"),
    _bom_document("whose machine it was, by another name", '("file", "local")', '("file",)'),
    _bom_document("names that are URLs", 'quote(attestation.path, safe="/@")', "attestation.path"),
    _bom_document("a model of another hub", 'qualifiers={"repository_url": hub}', "qualifiers={}"),
    Mutant(
        "the password of a hub",
        "stores/hub.py",
        'netloc=parts.netloc.rpartition("@")[2], query=""',
        'query=""',
        ("bom/test_bom_document.py",),
    ),
    Mutant(
        "links that run",
        "bom/licences.py",
        'if urlsplit(text).scheme in ("", "http", "https") else None',
        "",
        ("bom/test_bom_document.py",),
    ),
    Mutant(
        "a bill of what was denied",
        "cli/bom.py",
        "return exit_status(denied.verdict) or 1",
        "return 0",
        ("bom/test_bom_command.py",),
    ),
    _accepting("a summary of what can be changed", "if not snapshot.immutable:", "if False:"),
    _accepting(
        "a summary by anybody", "if not any(is_by(known,", "if False and not any(is_by(known,"
    ),
    _accepting("another gate's name", "if summary.verifier != gate.verifier:", "if False:"),
    _accepting("a summary of a failure", 'if summary.result != "PASSED":', "if False:"),
    _accepting(
        "a summary of less", "if LEVELS[Assurance.BYTES] not in summary.levels:", "if False:"
    ),
    _accepting(
        "a summary of another name",
        "if summary.resource != model.url:",
        "if False:",
    ),
    _accepting(
        "a summary of another revision", "elif summary.revision != model.revision:", "elif False:"
    ),
    _accepting(
        "a summary of another signature",
        "elif subject.signature.sha256 not in summary.inputs:",
        "elif False:",
    ),
    _accepting(
        "a summary of other files", "elif summary.digests != subject.digests:", "elif False:"
    ),
    _accepting(
        "a summary by another policy",
        "if (summary.engine, summary.policy) != (policy.engine, policy.revision):",
        "if False:",
    ),
    _accepting(
        "a policy that nobody can name",
        'if policy.engine == "server" and policy',
        "if 0 and policy",
    ),
    _accepting("a summary from the future", "if age < -gate.skew_seconds:", "if False:"),
    _accepting("a summary for ever", "if age > gate.max_age_seconds:", "if False:"),
    _summary("some files for all", "came.left_out or ", ""),
    _summary(
        "a pinned signature as judged",
        'verdict.policy is not None and verdict.policy.engine != "pinned"',
        "verdict.policy is not None",
    ),
    _summary("what was denied", "if not verdict.admitted or not judged", "if not judged"),
    _summary(
        "one file for all levels",
        'f"{self.signature.sha256}-{short}.{assurance}.vsa.json"',
        'f"{self.signature.sha256}-{short}.bytes.vsa.json"',
    ),
    Mutant(
        "a summary of what was not logged",
        "evidence/evidence.py",
        "if made is None or not logged.admitted:",
        "if made is None:",
        ("evidence/test_summaries.py",),
    ),
    Mutant(
        "entity tags as contents",
        "stores/s3.py",
        "immutable=all(versions[path] or file.sha256",
        "immutable=all(versions[path] or file.version",
        ("evidence/test_accepting.py",),
    ),
    Mutant(
        "tags for what others hashed",
        "check.py",
        "if not self.accepts_summaries or not accepted:",
        "if not accepted:",
        ("evidence/test_accepting.py",),
    ),
    Mutant(
        "a gate that is accepted no more",
        "gate.py",
        "dict(self.boms), gates",
        "dict(self.boms)",
        ("evidence/test_accepting.py",),
    ),
    _predicates("keys that hide", "{printable(key): _shown", "{key: _shown"),
    _predicates("strings that hide", "return printable(value)", "return value"),
    _predicates("keys that look the same", "if len(members) < len(predicate):", "if 0:"),
    _predicates("times without number", "if len(times) > MOST_TIMES:", "if 0:"),
    _predicates("pointers without end", "if len(pointer) > LONGEST_POINTER:", "if 0:"),
    _predicates("times that are none", "if not _TIME.fullmatch(text):", "if 0:"),
    Mutant(
        "attestations that nobody verified arrive",
        "coverage.py",
        "if file.path in files:",
        "if file.path in files or file.path.endswith('.jsonl'):",
        ("test_gate_attestations.py",),
    ),
    Mutant(
        "refused attestations that no policy hears of",
        "judging.py",
        "refused_attestations=[seen for seen, _ in attested.refused],",
        "refused_attestations=[],",
        ("test_gate_attestations.py",),
    ),
    _event_routes(
        "events of strangers",
        "if not secrets.accepts(request.headers.getall(HUB_HEADER, [])):",
        "if False:",
    ),
    _event_routes(
        "notifications of strangers",
        "if len(given) != 1 or not tokens.accepts(bearer):",
        "if False:",
    ),
    _event_routes("events of any size", "if len(body) > most:", "if False:"),
    _event_routes("events for ever", "asyncio.timeout(seconds)", "asyncio.timeout(None)"),
    _event_secrets("a secret twice", "if len(given) != 1:", "if not given:"),
    _event_secrets(
        "a secret that can be guessed", "if len(secret) < _LEAST_BYTES:", "if not secret:"
    ),
    _hub_events(
        "events of any repository",
        "if repository.name not in Globs(settings.repositories):",
        "if False:",
    ),
    _hub_events(
        "a model for a data set", "if not plain or owner in _KINDS.values():", "if not plain:"
    ),
    _hub_events("deleted branches", "if reference.new is not None and (", "if ("),
    _hub_events("references without end", "len(updated) > most", "False"),
    _s3_events("records without end", 'len(document["Records"]) > most', "False"),
    _s3_events(
        "models of any bucket",
        "if bucket != self._bucket or len(own) < len(self._parts):",
        "if len(own) < len(self._parts):",
    ),
    _s3_events("keys as they are encoded", '.replace("+", " ")', ""),
    _s3_events("tags as changes", 'or change["what"] in _NO_CHANGES', ""),
    _event_queue(
        "a queue without end",
        "<= self._most",
        "<= self._most + 10**9",
    ),
    _event_worker("decisions at an event's commit alone", "commit in self._commits or ", ""),
    _event_worker(
        "decisions about one's own tags",
        "if known is not None and self._remembers(",
        "if known is not None and False and self._remembers(",
    ),
    _event_worker("verdicts at the end", "if self._stopping.is_set():", "if False:", _S3_EVENTS),
    _event_worker("verdicts that are none", "if verdict.undecided:", "if False:", _S3_EVENTS),
    _consequences(
        "a quarantine in mode annotate",
        "and not verdict.lets_through and can_be_moved",
        "and can_be_moved",
    ),
    _quarantine("releases in quarantine", "and snapshot.reference.release is None", ""),
    _quarantine(
        "what is newer than its copy is deleted",
        "if (version_id(now), etag) != (item.version, item.etag or etag):",
        "if False:",
        _INTERRUPTED,
    ),
    _quarantine(
        "deletion of what was written since",
        'await client.call("delete_object", item.name, IfMatch=etag)',
        'await client.call("delete_object", item.name)',
        _INTERRUPTED,
    ),
    _quarantine(
        "deletion before all is copied",
        "        await for_each(objects, copied)\n"
        "        await for_each(objects.values(), deleted)\n",
        "        await for_each(objects.values(), deleted)\n"
        "        await for_each(objects, copied)\n",
        _INTERRUPTED,
    ),
    _quarantine(
        "copies that keep their tags", 'TaggingDirective="REPLACE"', 'TaggingDirective="COPY"'
    ),
    _objects(
        "tags on what was changed before",
        "    await check_same(client, item)\n    answer =",
        "    answer =",
    ),
    _objects(
        "tags on what was changed meanwhile",
        "        await _put_tags(client, item, wanted)\n        await check_same(client, item)\n",
        "        await _put_tags(client, item, wanted)\n",
        _INTERRUPTED,
    ),
    _objects(
        "tags that stay on what was changed",
        "if item.version is None:\n            await",
        "if False:\n            await",
        _INTERRUPTED,
    ),
    _objects(
        "tags of the newest version",
        'return {} if self.version is None else {"VersionId": self.version}',
        "return {}",
    ),
    _tags(
        "tags of others are gone",
        'others = [tag for tag in present if tag["Key"] not in _OWN]',
        "others: list[Mapping[str, str]] = []",
    ),
    _tags("no room for tags", "if own and room < 1:", "if False:"),
    _examination(
        "unsigned files of admitted models are vouched for",
        "vouched = frozenset({*check.comparison.signed, *verified})",
        "vouched = frozenset(check.snapshot.files) if check.snapshot else vouched",
    ),
    _examination("denied models are vouched for", "if verdict.admitted and proven", "if proven"),
    _examination(
        "as little as the gate's own assurance",
        "wanted = max(held.assurance, assurance, key=lambda level: level.rank)",
        "wanted = held.assurance",
    ),
    _annotate(
        "tags without a decision",
        "if snapshot is None or verdict.undecided:",
        "if snapshot is None:",
    ),
    _annotate(
        "a pointer that leads elsewhere",
        "if pointer is None or pointer.release != release.release:",
        "if pointer is None:",
    ),
    _hub_report(
        "a stranger's report is one",
        'author=str(client.whoami()["name"]),',
        "author=None,",
    ),
    _hub_report("markup of strangers", r'return _PUNCTUATION.sub(r"\\\1", short)', "return short"),
    _hub_report("mentions", '.replace("@", "(at)")', ""),
    _webhook_report("redirected reports", '"redirects": 0, ', ""),
    _webhook_report(
        "reports in the clear", 'if parts.scheme != "https" and not private:', "if False:"
    ),
    _webhook_report(
        "reports to anywhere inside",
        "frozenset(config.stores.private_hosts)",
        'frozenset({*config.stores.private_hosts, urlsplit(settings.url).hostname or ""})',
    ),
    _event_settings(
        "a quarantine among the models",
        "and _overlap(parts[3:], own[3:])",
        "and False",
    ),
    _api_settings(
        "a client whom nobody can know", "if not (self.token_sha256 or", "if False and not ("
    ),
    _api_settings("two clients of one name", "if len(set(known)) < len(known):", "if False:"),
    _clients("more than one Authorization", "if len(given) > 1:", "if False:"),
    _clients("a name with another's token", "and user in (None, one.caller.name):", ":"),
    _clients("short tokens", "len(text) >= _SHORTEST_TOKEN and", ""),
    _clients("two clients with one token", "if len(set(every)) < len(every):", "if False:"),
    _clients(
        "a token that may be anybody's",
        "read_secret(client.token_file, what)",
        "client.token_file.read_bytes()",
    ),
    _clients(
        "a certificate besides a wrong token", "if given else _by_certificate", "or _by_certificate"
    ),
    _clients("models of others", "models is None or any(", "True or any(", "server/test_api.py"),
    _api(
        "an answer by other rules",
        "            epoch,\n            gate.mode,",
        "            gate.mode,",
    ),
    _api(
        "a client that says who it is",
        "**question.context, CLIENT_KEY: caller.name}",
        "**question.context}",
    ),
    _api(
        "models that a client may not ask about",
        "if not caller.may_ask_about(reference):",
        "if False:",
    ),
    _api(
        "a check that outlives the service",
        "            raise StepError(",
        "            StepError(",
    ),
    _api("no client, no login", "if caller is None:", "if False:", "server/test_api_clients.py"),
    _api("bytes that nobody hashes", "if assurance is Assurance.BYTES:", "if False:"),
    _questions("other types", "if request.content_type != _JSON or", "if"),
    _questions("compressed requests", 'or request.headers.get("Content-Encoding"):', ":"),
    _questions("large requests", "if len(body) > most:", "if False:"),
    _questions("slow requests", "asyncio.timeout(settings.request_seconds)", "asyncio.timeout(30)"),
    _questions("other stores", "if reference.scheme not in settings.schemes:", "if False:"),
    _questions("a client's own name", "if CLIENT_KEY in context:", "if False:"),
    _questions("operations that there are not", 'context["operation"] not in known:', "False:"),
    _questions("parameters twice", "if len(dict(given)) < len(given):", "if False:"),
    _problems(
        "mistakes that hide",
        'printable(".".join(map(str, detail["loc"])))',
        '".".join(map(str, detail["loc"]))',
    ),
    _verdict_record(
        "what other clients asked",
        '(row["source"], row["tenant"]) != ("api", tenant)',
        "False",
        "server/test_api.py",
    ),
    _verdict_record(
        "lists of what others asked",
        "if tenant is not None and wanted.tenant not in (None, tenant):",
        "if False:",
        "server/test_api.py",
    ),
    _verdict_record(
        "verdicts of the gateway",
        "(source = :of_tenants AND tenant = :tenant)",
        "tenant = :tenant",
        "server/test_api.py",
    ),
    _verdict_record(
        "a cursor of others",
        "AND (? IS NULL OR (source = 'api' AND ",
        "AND (1 OR ? IS NULL OR (source = 'api' AND ",
        "server/test_api.py",
    ),
    _verdict_record("verdicts without number", "number > :most OR", ""),
    _verdict_record("verdicts of any size", "OR (number > 1 AND total > :most_bytes)", ""),
    _verdict_record(
        "a record that stops decisions",
        "except (sqlite3.Error, OSError) as error:\n            _LOG",
        "except ZeroDivisionError as error:\n            _LOG",
    ),
    _verdict_record("checks that run for ever", 'row["alive"] < time.time() - longest', "False"),
    _verdict_record(
        "a file that others read", "os.O_RDWR | os.O_CREAT, 0o600", "os.O_RDWR | os.O_CREAT, 0o644"
    ),
    _verdict_record("a file that others write", "or status.st_mode & stat.S_IWOTH:", ":"),
    _verdict_record(
        "another program's database", "if found != (0, 0) or connection", "if connection"
    ),
    _verdict_record(
        "a database that is not looked at", "self._is_new(connection)  # Before", "...  # Before"
    ),
    _templating(
        "names that turn the text around",
        "printable(value) if type(value) is str else value",
        "value",
    ),
    _templating("names that are markup", "autoescape=True", "autoescape=False"),
    _page("pages that run scripts", "default-src 'none'; ", ""),
    _page("pages in frames", "frame-ancestors 'none'\"", '"'),
    _s3_origin(
        "readers of a bucket",
        'if served.readers != "everybody" and not _is_among(token, served.readers):',
        "if False:",
    ),
    _s3_origin("names of owners in another case, at the Hub", "owner.lower() in", "owner in"),
    _s3_origin("names of owners in another case", "if owner != served.owner:", "if False:"),
    _s3_origin("commits that are of a listing", "\\0{snapshot.revision}", ""),
    _s3_origin("releases that were changed", "if now == commit:", "if True:"),
    _s3_origin(
        "where a bucket is", "if error.reason.code is not ReasonCode.STORE_NOT_FOUND:", "if True:"
    ),
    _s3_origin("files as repositories", "if not snapshot.single:", "if True:"),
    _hub_origin(
        "the gateway's tokens, shown to the Hub",
        "return None if self._is_own(token) else token",
        "return token",
        "gateway/test_gateway_s3.py",
    ),
    _hub_origin(
        "the gateway's tokens, asked about",
        "if self._is_own(token):",
        "if False:",
        "gateway/test_gateway_s3.py",
    ),
    _hub_origin("the machine's own token", "token if token is not None else False", "token"),
    _hub_origin(
        "gated repositories",
        'if document.get("gated") not in (False, None) or document.get("private"):',
        "if False:",
    ),
    _gateway_models("what one client may see", '_digest(token or "")', '_digest("")'),
    _gateway_models("each client's own token", "_digest(described.access)", '""'),
    _gateway_models(
        "a file that was wrong for others",
        "self._denied.get(content) or self._decided.get(own)",
        "self._decided.get(own) or self._denied.get(content)",
    ),
    _gateway_models(
        "what was described, and decided about",
        "if described.origin.commit(snapshot) != described.commit:",
        "if False:",
        "gateway/test_gateway_s3.py",
    ),
    Mutant(
        "files for clients that have gone",
        "gateway/flights.py",
        "return waiting > 0 or time.monotonic()",
        "return True or time.monotonic()",
        ("gateway/test_gateway_queue.py",),
    ),
    Mutant(
        "a queue of files without end",
        "gateway/turns.py",
        "if count >= self._most_waiting or theirs >= self._each_waiting:",
        "if False:",
        ("gateway/test_gateway_queue.py",),
    ),
    Mutant(
        "prefixes in prefixes",
        "service_settings/gateway.py",
        "if inner != outer and inner.startswith(outer):",
        "if False:",
        ("gateway/test_gateway_s3.py::test_what_some_may_read_is_in_nothing_that_others_may",),
    ),
    _gateway_models("a cache of each repository", "_digest(described.reference.name)", '"0" * 64'),
    _gateway_entries("unsigned files", 'if model.verdict.mode == "annotate":', "if True:"),
    _gateway_files(
        "the verified attestation",
        "if content is None or hashlib.sha256(content).hexdigest() != entry.etag:",
        "if content is None:",
    ),
    _gateway_files(
        "a file that went",
        "if denied.reason.code is ReasonCode.CACHE_CHANGED and not renewed:",
        "if False:",
        "gateway/test_gateway_room.py",
    ),
    _served(
        "nobody waits for longer than clients do",
        "async with asyncio.timeout(self._settings.waiting_seconds):",
        "if True:",
    ),
    _in("gateway/passing.py", "gateway/test_gateway_annotate.py")(
        "threads of their own for slow stores",
        "reading = threads.submit(following)\n    try:",
        "reading = asyncio.get_running_loop().run_in_executor(None, following)\n    try:",
    ),
    _gateway_files(
        "what is not signed, where all passes",
        "verdict = decided.model.admission.denied([_unsigned(path)]).verdict",
        "...",
        "gateway/test_gateway_annotate.py",
    ),
    _gateway(
        "fields that lead past the gateway", 'if not key.lower().startswith("xet")', "if True"
    ),
    _gateway_journal("the beginning of what went", "if self.state().released:", "if False:"),
    _gateway_journal("a wrong beginning", "if state.is_remembered:", "if False:"),
    _room(
        "the bound of the caches", "if left >= 0 and (is_old or self._used > left):", "if False:"
    ),
    _room("nothing goes in vain", "if left >= 0 and (is_old or", "if (is_old or"),
    _room("what is used least", "key=lambda each: each[:2])", "key=lambda e: -e[0])"),
    _room("what is arriving", "- sum(self._arriving.values()) - size", "- size"),
    _logs("tokens in lines", 'r"hf_[A-Za-z0-9]{4,}"', 'r"hf_none"'),
    _logs("other tokens in lines", "(bearer|basic) {1,4}", "(none) {1,4}"),
    _logs("queries in lines", '"?***"', 'r"\\g<0>"'),
    _logs("fields that hide", "printable(masked(value))", "masked(value)"),
    _logs(
        "events that hide", "printable(masked(record.getMessage()))", "masked(record.getMessage())"
    ),
    _requests("targets of others", 'if not path.startswith("/"):', "if 0:"),
    _requests("broken escapes", 'if _BAD_ESCAPE.search(path) or "#"', 'if "#"'),
    _requests("hidden slashes", "if _HIDDEN.search(decoded):", "if 0:"),
    _requests("ways up", 'if any(part in (b"", b".", b"..")', 'if any(part in (b".",)'),
    _requests("requests that go around", "if self._instance in _passed(request):", "if 0:"),
    _requests(
        "an answer that never begins",
        "asyncio.timeout(self._settings.answer_seconds)",
        "asyncio.timeout(60)",
    ),
    _requests("an answer that is cut off at that", "visit.deadline.reschedule(None)", "pass"),
    _requests(
        "an answer that only looks complete", "if visit.response is not None:  # It", "if 0:  # It"
    ),
    _requests(
        "ids of strangers",
        "asked if _USABLE_ID.fullmatch(asked) else secrets.token_hex(8)",
        "asked or secrets.token_hex(8)",
        "server/test_serving_observed.py",
    ),
    _requests(
        "a second answer",
        "            if visit.response is not None:\n                self._failed(visit, answer)\n",
        "",
    ),
    Mutant(
        "words of defects in traces",
        "server/tracing.py",
        "set_status_on_exception=False",
        "set_status_on_exception=True",
        ("server/test_serving_observed.py",),
    ),
    _bounded(
        "connections without number", "if len(self._inside) >= self.settings.connections:", "if 0:"
    ),
    _bounded("a request without end", "if self._asking_since is not None and now", "if 0 and now"),
    _bounded("an answer that nobody reads", "return before - waiting < least", "return False"),
    _bounded("a server that says what it is", 'headers={"Server": SERVER}', "headers={}"),
    _serving(
        "transfers that are cut",
        "self._door.emptied(self.config.service.drain_seconds)",
        "self._door.emptied(0)",
    ),
    _serving("work that nobody looks after", "if self._gates.look() is not None:", "if 0:"),
    _workers(
        "requests that come at the end",
        'if self._ending.is_set():\n            return "the',
        'if 0:\n            return "the',
    ),
    _workers("a socket that stays open", "stack.callback(listener.close)", "pass"),
    Mutant(
        "processes that end again and again",
        "server/workers.py",
        "if len(self._restarts) > settings.restarts:",
        "if 0:",
        ("server/test_serving_processes.py",),
    ),
    Mutant(
        "a request that does not say whose it is",
        "stores/connections.py",
        'self._via = {"Via": f"1.1 {name}"} if name else {}',
        "self._via: dict[str, str] = {}",
        ("server/test_serving_hostile.py",),
    ),
    Mutant(
        "labels without number",
        "server/metrics.py",
        'method if method in _METHODS else "other"',
        "method",
        ("server/test_serving_observed.py",),
    ),
    Mutant(
        "a process that goes on alone",
        "server/worker.py",
        "await reader.read()\n            serving.end()",
        "await reader.read()",
        ("server/test_serving_processes.py",),
    ),
    _denial(
        "clients take a denied model from their caches",
        '_FINAL = "RevisionNotFound"',
        '_FINAL = "GatedRepo"',
    ),
    _denial(
        "the hf command says nothing of why",
        '"X-HF-Warning": _header(f"oms-gate',
        '"X-OMS-Warning": _header(f"oms-gate',
    ),
    _arrival(
        "bytes that a killed process would not know of",
        "            self._journal.release(state)\n            self.state = state\n",
        "            self.state = state\n            self._journal.release(state)\n",
        f"{_RESUMING}::test_nobody_gets_more_than_a_killed_process_would_know_of",
    ),
    _arrival(
        "the end of a file before it is verified",
        "min(start + part.bytes_done, end - HELD_BACK_BYTES)",
        "start + part.bytes_done",
        f"{_RESUMING}::test_the_end_is_held_back_where_it_has_come",
    ),
    _arrival(
        "a wrong beginning that is not written down",
        "self._set(self._journal.distrust())\n                    self._transfer(deadline)",
        "self._journal.discard()\n                    self._transfer(deadline)",
        f"{_RESUMING}::test_a_wrong_beginning_is_found_where_it_is_gone_on_with",
    ),
    _arrival(
        "a beginning of what came another way",
        "self._set(self._journal.settle())",
        "pass",
        f"{_RESUMING}::test_what_comes_another_way_says_nothing_of_what_was_handed_out",
    ),
    _arrival(
        "another process that was wrong meanwhile",
        "            self._set(self._journal.state())\n            # Another",
        "            # Another",
        f"{_RESUMING}::test_who_follows_another_process_does_not_miss_that_it_was_wrong",
    ),
    _journal(
        "who has the beginning of a wrong file",
        "self.turn > 0 and time.time() < self.distrusted + DISTRUST_SECONDS",
        "False",
        f"{_RESUMING}::test_a_beginning_is_gone_on_with_unless_it_was_wrong",
    ),
    _journal(
        "the same turn after a wrong file",
        "turn=before.turn + 1, ",
        "turn=max(before.turn, 1), ",
        f"{_RESUMING}::test_a_wrong_beginning_of_every_turn_is_another",
    ),
    _journal(
        "a right file that is distrusted when it comes again",
        "self.release(state._replace(released=0))",
        "pass",
        f"{_RESUMING}::test_who_has_a_right_file_is_trusted_after_a_wrong_one",
    ),
    Mutant(
        "two processes that write one file",
        "file_locks.py",
        "(fcntl.LOCK_SH if shared else fcntl.LOCK_EX)",
        "fcntl.LOCK_SH",
        (f"{_RESUMING}::test_who_waits_for_the_rest_hears_that_the_beginning_was_wrong",),
    ),
    _sending(
        "shards beside what nobody has verified",
        "is_rest = begun and part.start > 0",
        "is_rest = False",
        f"{_RESUMING}::test_the_rest_of_what_nobody_has_verified_is_not_given_in_shards",
    ),
    _sending(
        "a part before it is verified",
        "whole = part.start == 0 and part.end == model.files[path]",
        "whole = True",
        "gateway/test_gateway_kills.py",
    ),
    _sending(
        "a tag of a later beginning",
        "turns.add(source.followed.arrival.state.turn)",
        "pass",
        f"{_RESUMING}::test_a_tag_is_never_that_of_a_later_beginning",
    ),
    _sending(
        "the rest after the beginning was wrong",
        "await asyncio.to_thread(self._turn_now)",
        "self._turn",
        f"{_RESUMING}::test_who_waits_for_the_rest_hears_that_the_beginning_was_wrong",
    ),
    _sending(
        "a refusal in the middle of a file",
        "            if not response.prepared:\n                raise\n",
        "            if error:\n                raise\n",
        f"{_RESUMING}::test_an_answer_that_cannot_go_on_ends",
    ),
    _sending(
        "a turn that is over",
        "            if state.turn != self._turn:\n",
        "            if False:\n",
        f"{_RESUMING}::test_who_follows_another_process_does_not_miss_that_it_was_wrong",
    ),
    _sending(
        "clients that take nothing",
        "self._limits.read_seconds + count / rate if rate else None",
        "None",
        _REQUESTS,
    ),
    _served_files(
        "the rest of a wrong beginning",
        "if part.start and state.is_distrusted",
        "if False and state.is_distrusted",
        f"{_RESUMING}::test_a_beginning_is_gone_on_with_unless_it_was_wrong",
    ),
    _served_files(
        "one entity tag for two beginnings",
        "if state.turn else",
        "if False else",
        f"{_RESUMING}::test_a_beginning_is_gone_on_with_unless_it_was_wrong",
    ),
    _served_ranges(
        "ranges of HEAD",
        'or outdated or method != "GET"',
        "or outdated",
    ),
    _served_ranges(
        "a range of another content",
        "condition is not None and condition != etag",
        "False",
    ),
    _served_ranges(
        "ranges that end before they begin",
        "if last and int(last) < int(first):",
        "if False:",
    ),
    _served_ranges(
        "ranges of nothing",
        "if start < end else None",
        "",
    ),
    _served_ranges(
        "conditions that do not hold",
        'return all(tag.strip() not in (etag, "*") for tag in tags)',
        "return False",
    ),
    _served_paths(
        "folders above",
        'part in ("", ".", "..") for part in path',
        'part == "" for part in path',
        "gateway/test_gateway_requests.py::test_a_path_names_something_inside_a_repository_or_nothing",
    ),
    _served_paths(
        "names of folders above",
        ' and ".." not in part for part in name',
        " for part in name",
        "gateway/test_gateway_requests.py::test_a_path_names_something_inside_a_repository_or_nothing",
    ),
    _served_paths(
        "revisions that lead elsewhere",
        '".." in revision or revision.startswith("/")',
        "False",
        "gateway/test_gateway_requests.py::test_a_path_names_something_inside_a_repository_or_nothing",
    ),
    _served_paths(
        "characters that deceive",
        "return _UNSAFE.search(part) is not None",
        "return False",
        "gateway/test_gateway_requests.py::test_a_path_names_something_inside_a_repository_or_nothing",
    ),
    _answers(
        "what strangers wrote in a body",
        '{"error": printable(message)}',
        '{"error": message}',
        "gateway/test_gateway_hostile.py::test_what_strangers_wrote_is_escaped",
    ),
    _answers(
        "numbers that JSON has not",
        ", allow_nan=False",
        "",
        "gateway/test_gateway_hostile.py::test_what_is_passed_on_is_json",
    ),
    _answers(
        "an answer without its reason",
        'headers: dict[str, str] = {"X-OMS-Gate-Reason": reason.code}',
        "headers: dict[str, str] = {}",
        "gateway/test_gateway_hostile.py::test_a_description_is_believed_or_nothing_is_served",
    ),
    _served(
        "documents that are too deep",
        "except (RecursionError, ValueError):",
        "except ValueError:",
        "gateway/test_gateway_hostile.py::test_what_is_passed_on_is_json",
    ),
    _served(
        "ways past the gateway",
        'if not key.lower().startswith("xet")',
        "if key",
        "gateway/test_gateway_hostile.py::test_nothing_of_xet_reaches_a_client",
    ),
    _hub_api(
        "a token that upstream says again",
        'said.replace(credentials.rpartition(" ")[2], "***")',
        "said",
        "gateway/test_gateway_hostile.py::test_a_token_is_written_nowhere",
    ),
    Mutant(
        "turns of the audit log's writers",
        "file_locks.py",
        "fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)",
        "pass",
        ("evidence/test_audit_log.py",),
    ),
    Mutant(
        "half a line of the audit log",
        "durable.py",
        "os.ftruncate(descriptor, before)",
        "pass",
        ("evidence/test_audit_log.py",),
    ),
    _log_file("lines of the audit log that are gone", 'fault = "missing"', "pass"),
    _log_file("another last line of the audit log", 'fault = "changed"', "pass"),
    _log_file("a line of the audit log before its head", "found.seq > head.seq:", "False:"),
    _log_file(
        "an audit log between two files", "rotated_file(self.file, head.seq).exists():", "False:"
    ),
    _log_file("older files of the audit log", "if full.exists():", "if False:"),
    _log_file("what is no audit log", "if head is None and found is None:", "if False:"),
    _log_file(
        "a last line that is not sealed",
        "return read_entry(line) if is_sealed(line) else None",
        "return read_entry(line)",
    ),
    _log_head("one checkpoint at a time", "and now - self.claimed_at >= _CLAIM_SECONDS", ""),
    _log_head(
        "checkpoints after so long", "or now - self.signed_at >= settings.checkpoint_seconds", ""
    ),
    _log_entries(
        "seals of the audit log", "return digest.encode() == seal.group(1)", "return True"
    ),
    _log_verification("lines that are moved", "if link.seq <= self.seq:", "if False:"),
    _log_verification("lines that are gone", "if link.seq > self.seq + 1:", "if False:"),
    _log_verification(
        "lines that do not follow", "elif link.previous != self.hash:", "elif False:"
    ),
    _log_verification("lines of another log", "if link.log != self.log:", "if False:"),
    _log_verification("lines without an end", "if not line.ended:", "if False:"),
    _log_verification("the end of the audit log", "if head.seq > self.seq:", "if False:"),
    _log_verification(
        "a line that was kept elsewhere", "if self.expected_hash is not None:", "if False:"
    ),
    _log_verification(
        "logs that nobody has signed",
        "if self.signer is not None and self.signed_by is None:",
        "if False:",
    ),
    _log_verification(
        "who signs the audit log", "if not signer.accepts(stated.signer):", "if False:"
    ),
    _log_verification(
        "of which line a checkpoint is", "or self.hashes.get(stated.seq) != stated.digest", ""
    ),
    _log_verification("of which log a checkpoint is", "if stated.log != entry.log or ", "if "),
    _log_verification("checkpoints that came late", " or stated.seq <= self.signed_seq", ""),
    _log_verification(
        "recoveries that tell of lines that are gone",
        'if recovery.fault == "torn":',
        "if True:",
        "evidence/test_audit_log.py",
    ),
    _checkpoints("what is no checkpoint", "verified.predicate_type != PREDICATE_TYPE", "False"),
    _checkpoints("numbers of lines in checkpoints", "or type(seq) is not int", ""),
    _sinks("syslog that has hung up", "or _has_ended(self._socket)", ""),
    _sinks(
        "long lines for syslog",
        'if len(line) <= SYSLOG_BYTES or "verdict" not in entry:',
        "if True:",
    ),
    _kept(
        "verdicts that are not written",
        "return verdict.with_findings((error.reason,), ())",
        "return verdict",
    ),
    _kept(
        "verdicts that warn of it",
        "return verdict.with_findings((), (error.reason,))",
        "return verdict",
    ),
    Mutant(
        "verdicts of checks in the audit log",
        "check.py",
        "return self.published or self._kept(self.verdict())",
        "return self.published or self.verdict()",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "admissions in the audit log",
        "check.py",
        "verdict = self._kept(self.verdict())\n            if not",
        "verdict = self.verdict()\n            if not",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "pulls in the audit log",
        "check.py",
        "verdict = self._kept(self.verdict(transfer.delivery()))",
        "verdict = self.verdict(transfer.delivery())",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "pulls whose verdict is not written",
        "check.py",
        "if verdict.lets_through:\n                    self._publish",
        "if True:\n                    self._publish",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "pulls that fail in the end",
        "check.py",
        "self._kept(verdict.with_findings((unchecked(self.reference, error),), ()))",
        "pass",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "what is wrong after an admission in the audit log",
        "admission.py",
        "AdmissionDenied(self.keep(Verdict.model_validate(dict(self.verdict) | found)))",
        "AdmissionDenied(Verdict.model_validate(dict(self.verdict) | found))",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "publications in the audit log",
        "publish/release.py",
        ".kept(gate)",
        "",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "verdicts before all is found",
        "publish/publication.py",
        "keeps=False,",
        "keeps=True,",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    _report_page(
        "styles in a report that are not its own",
        "style-src 'sha256-{digest}'",
        "style-src 'unsafe-inline'",
    ),
    _report_table(
        "cells that are formulas",
        "if text.lstrip().startswith(_FORMULA) or",
        "if",
    ),
    _report_table("blanks before a formula", "text.lstrip().", "text."),
    _report_markdown("markup in a report", 'return _SPECIAL.sub(r"\\\\\\g<0>", ', "return ("),
    _report_markdown("cells that end in a name", '.replace("|", "\\\\|")', ""),
    _report_markdown("code spans that end in a name", "1 + max(", "1 + 0 * max("),
    Mutant(
        "a pipe that is read twice",
        "operator_files.py",
        "if not stat.S_ISREG(",
        "if False and (",
        ("report/test_report_reading.py",),
    ),
    _report_reading("logs that were changed", "found.is_whole", "True"),
    _report_reading("files of a log that are gone", "archived=archived)", "archived=True)"),
    _report_reading(
        "logs that a stranger signed",
        "verify_log(path, gate,",
        "verify_log(path, None,",
        "report/test_cli_report.py",
    ),
    _report_summary("models without end", "len(self.models) >= self.bounds.models", "False"),
    _report_summary(
        "verdicts of a model without end", "len(self._lines) < most", "len(self._lines) < 10**9"
    ),
    _report_summary("codes without end", "len(self.codes) >= self.bounds.codes", "False"),
    _report_summary("signers without end", "len(model.signers) < self.bounds.signers", "True"),
    _report_summary(
        "an older verdict for the latest", "line.time >= model.line.time", "line.time is not None"
    ),
    _report_command("a changed log that is no failure", "if not report.intact:", "if False:"),
    _report_command(
        "a model that stops the report",
        "except OmsGateError as error:  #",
        "except StoreError as error:  #",
    ),
    _evidence_reading(
        "a line that was torn off for one",
        "if not line.ended:",
        "if False:",
        "evidence/test_audit_log.py",
    ),
    Mutant(
        "others of the gate's authority",
        "cli/audit_log.py",
        "lambda found: found.identity == identity",
        "lambda _: True",
        ("evidence/test_gate_signer.py",),
    ),
    Mutant(
        "whom the options of audit-log verify mean",
        "cli/audit_log.py",
        "lambda found: is_by(known, found)",
        "lambda _: True",
        ("evidence/test_gate_signer.py",),
    ),
    _gates("roots of other gates", "if signer.root.name != known.root:", "if False:"),
    _gates("expired certificates of other gates", "return in_time and (", "return ("),
    _gates("names that read like subjects", "and speaks_of_subject == goes_by_subject", ""),
    _gates("issuers of other gates", "and signer.issuer == known.issuer", ""),
    _log_file(
        "what was torn off in the audit log", 'fault = "torn" if torn else None', "fault = None"
    ),
    _log_file(
        "when a file of the audit log is full", "if size and after.size", "if False and after.size"
    ),
    _log_file(
        "an audit log without its head", 'fault, now = "headless", time.time()', "now = time.time()"
    ),
    _log_file("the first line of the audit log", "and not self._last_line(size)[1]:", "and False:"),
    _log_file("a head before the first line", "_write_head(lock, new)", "pass"),
    _log_file(
        "a link in place of the audit log",
        "os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "os.O_NONBLOCK | os.O_CLOEXEC",
    ),
    _log_file("lines that nobody could read", "if len(line) > LINE_BYTES:", "if False:"),
    _log_verification("lines that are not sealed", "if not sealed:", "if False:"),
    _log_verification(
        "another log in its place", "if self.log is not None and head.log != self.log:", "if False:"
    ),
    _log_verification(
        "what is beside the log and was not", 'elif recovery.fault == "headless":', "elif False:"
    ),
    _log_verification("lines of a newer gate", "self.unread += 1\n            return", "raise"),
    Mutant(
        "locks that forked processes keep",
        "file_locks.py",
        "fcntl.flock(descriptor, fcntl.LOCK_UN)",
        "pass",
        ("evidence/test_audit_log.py",),
    ),
    Mutant(
        "threads that a forked process lacks",
        "process_lock.py",
        "lock.renew()",
        "pass",
        ("evidence/test_audit_log_sinks.py",),
    ),
    Mutant(
        "the order of lines without a file",
        "evidence/audit_log.py",
        "with nullcontext() if self._is_in_file else self._turn:",
        "with nullcontext():",
        ("evidence/test_audit_log_sinks.py",),
    ),
    Mutant(
        "verdicts that a receiver did not take",
        "evidence/audit_log.py",
        "self._written(verdict, context, () if",
        "return\n            self._written(verdict, context, () if",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "what cannot be read again of a context",
        "evidence/audit_log.py",
        "parse(json.dumps(said).encode(), depth=_DEPTH, values=_VALUES)",
        "pass",
        ("evidence/test_audit_log.py",),
    ),
    Mutant(
        "files of the audit log as of one moment",
        "file_locks.py",
        "fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)",
        "shared or fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        ("evidence/test_audit_log_verification.py",),
    ),
    Mutant(
        "pipes among the files of the audit log",
        "operator_files.py",
        "if not stat.S_ISREG(",
        "if False and (",
        ("evidence/test_audit_log_verification.py",),
    ),
    Mutant(
        "a gate without its key",
        "evidence/evidence.py",
        "signer.check()",
        "pass",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "evidence that others still need",
        "gate.py",
        "if self._own_evidence is not None:\n            self._own_evidence.close()",
        "if self.evidence is not None:\n            self.evidence.close()",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "declared digests in revisions",
        "stores/snapshot.py",
        'declared = "" if',
        'declared = "" if True or',
        ("evidence/test_accepting.py",),
    ),
    Mutant(
        "an older summary for that of this check",
        "cli/verify.py",
        "if os.path.lexists(file):",
        "if False:",
        ("evidence/test_summaries.py",),
    ),
    _report_reading(
        "signatures over a part of a log",
        "self.signed_seq >= self.last_seq - 1",
        "True",
        "report/test_cli_report.py",
    ),
    Mutant(
        "logs that are named twice",
        "cli/report.py",
        "if file not in older}",
        "}",
        ("report/test_cli_report.py",),
    ),
    _report_command(
        "the gate's own log for verdicts, by its name",
        "is_log(path) or os.path.realpath(path) == own",
        "is_log(path)",
    ),
    _report_command(
        "the gate's own log for verdicts",
        "{configured_log(settings): True}",
        "{log: is_log(log) for log in [configured_log(settings)]}",
    ),
    _report_command(
        "signed logs for verdicts", "if asked.gate.given and not any(paths.values()):", "if False:"
    ),
    _report_command("times of many kinds", "if not _TIME.fullmatch(text):", "if False:"),
    _report_reading("verdicts that were amended", "and entry.seq not in amended", ""),
    _report_reading("lines that amend themselves", "and entry.amends < entry.seq:", "and True:"),
    _report_reading(
        "lines since a log was looked at",
        "islice(entries(path), lines)",
        "islice(entries(path), None)",
    ),
    _report_table("control characters in a cell", "printable(str(value))", "str(value)"),
    Mutant(
        "one wrong time for all of a chart",
        "report/trend.py",
        "in self._counts.items() if start <= now}",
        "in self._counts.items()}",
        ("report/test_report_summary.py",),
    ),
    _boms("versions of bills of materials", "if not _VERSION.fullmatch(version):", "if False:"),
    _boms("bills of two formats", 'if "bomFormat" in document:', "if False:"),
    Mutant(
        "what an earlier pull left in summaries",
        "evidence/summary.py",
        "or came.reused_bytes",
        "",
        ("evidence/test_accepting.py::test_what_an_earlier_pull_left_says_nothing_of_the_store",),
    ),
    Mutant(
        "what an interrupted pull left in summaries",
        "delivery/pull.py",
        " + sum(self.staging.kept.values())",
        "",
        ("delivery/test_staging.py",),
    ),
    Mutant(
        "lines that take the place of others",
        "evidence/audit_log.py",
        "self._checks.note(of, appended.seq)",
        "pass",
        ("evidence/test_evidence_of_verdicts.py",),
    ),
    Mutant(
        "an audit log without a line",
        "evidence/verification.py",
        "if not self.lines:",
        "if False:",
        ("evidence/test_audit_log_verification.py",),
    ),
)


def misplaced(mutants: Iterable[Mutant] = MUTANTS) -> list[str]:
    """What is wrong with the list itself: code that is not there just once, unknown tests."""
    faults = []
    for mutant in mutants:
        sound = (PROJECT / "oms_gate" / mutant.path).read_text()
        if (count := sound.count(mutant.old)) != 1:
            faults.append(f"{mutant.name}: its code occurs {count} times in {mutant.path}")
        try:
            compile(sound.replace(mutant.old, mutant.new), mutant.path, "exec")
        except SyntaxError as error:
            faults.append(f"{mutant.name}: it is no Python: {error}")
        for test in mutant.tests:
            file, _, function = test.partition("::")
            path = PROJECT / "tests" / file
            if not path.exists() or f"def {function}" not in path.read_text():
                faults.append(f"{mutant.name}: there is no tests/{test}")
    return faults
