"""What each pack of ``examples/packs`` must decide, with look-alikes beside what it admits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from oms_gate.verdict import Assurance, Signer
from tests.policy.decision_table import (
    EXPIRED,
    IGNORED,
    MISSING,
    UNKNOWN,
    UNSIGNED,
    WRONG,
    Case,
    without,
)
from tests.policy.samples import COVERAGE, NOW, certificate, document, key, sigstore

CHANGED, ROLLBACK = "history.signer-changed", "history.rollback"
TIME, LOG, AGE = "requirement.time", "requirement.log", "requirement.age"
HASH, FORMAT, CLAIMS = "requirement.hash-type", "requirement.format", "requirement.claims"
BROKEN = "policy.error"

DAY = 86400.0


def model(
    name: str,
    signer: Signer,
    *more: str,
    days: float | None = 0,
    log: int | None = 7,
    hash_type: str = "sha256",
    history: Mapping[str, Any] | None = None,
    at: datetime = NOW,
    context: Mapping[str, Any] | None = None,
    **coverage: Any,
) -> dict[str, Any]:
    """A model as the gate describes it.

    more: signed files besides the usual ones.
    days: how long ago it is proven to have been signed; None where nothing proves it.
    history: of what is remembered, what differs from nothing.
    """
    signed = (*COVERAGE.signed, *((path, 1) for path in more))
    made = document(name, signer, context=context, **{"signed": signed, **coverage})
    now = at.timestamp()
    times = [] if days is None else [now - days * DAY]
    proof = {"times": times, "log_index": log, "hash_type": hash_type}
    nothing: dict[str, Any] = {
        "first_seen": None,
        "pinned": [],
        "signer_pinned": False,
        "newer": None,
    }
    return {
        **made,
        "signature": {**made["signature"], **proof},
        "history": None if history is None else {**nothing, **history},
        "now": now,
    }


def changed(whole: dict[str, Any], *path: str, value: Any) -> dict[str, Any]:
    """The document with a member that the gate would not write so."""
    head, *rest = path
    inner = changed(whole[head], *rest, value=value) if rest else value
    return {**whole, head: inner}


def pinned(*signers: Signer) -> dict[str, Any]:
    return {"first_seen": 1.0, "pinned": [signer.model_dump(mode="json") for signer in signers]}


GRANITE = sigstore("Granite-sign@ibm.com", issuer="https://sigstore.verify.ibm.com/oauth2")
GRANITE_MODEL = "hf://ibm-granite/granite-4.1-3b"


def ibm(identity: str, issuer: str = "https://sigstore.verify.ibm.com/oauth2") -> Signer:
    return sigstore(identity, issuer=issuer)


SOMEONE = sigstore("someone@example.com", issuer="https://accounts.google.com")
ANOTHER = sigstore("another@example.com", issuer="https://accounts.google.com")
OLDER = {"revision": "1" * 40, "root_digest": "34" * 32, "signed_at": 1.0, "seen_at": 1.0}

LAPTOP = [
    Case("a known publisher", model(GRANITE_MODEL, GRANITE, history={})),
    Case(
        "a known publisher's name, and somebody who comes first",
        model(GRANITE_MODEL, SOMEONE, history={}),
        {WRONG},
        says=("(IBM Granite) names only anyone who matches",),
    ),
    Case(
        "a known publisher's name, and somebody who was pinned",
        model(GRANITE_MODEL, SOMEONE, history={**pinned(SOMEONE), "signer_pinned": True}),
        {WRONG},
    ),
    Case("whoever comes first", model("hf://someone/model", SOMEONE, history={})),
    Case("whoever comes first, with a dataset", model("hf://datasets/a/b", SOMEONE, history={})),
    Case(
        "the same again",
        model("hf://someone/model", SOMEONE, history={**pinned(SOMEONE), "signer_pinned": True}),
    ),
    Case(
        "another one after that",
        model("hf://someone/model", ANOTHER, history=pinned(SOMEONE)),
        {CHANGED},
        says=("someone@example.com", "oms-gate trust add"),
    ),
    Case(
        "the same name of another issuer",
        model(
            "hf://someone/model",
            sigstore("someone@example.com", issuer="https://accounts.evil.example"),
            history=pinned(SOMEONE),
        ),
        {CHANGED},
    ),
    Case(
        "an older release",
        model(
            "hf://someone/model",
            SOMEONE,
            history={**pinned(SOMEONE), "signer_pinned": True, "newer": OLDER},
        ),
        {ROLLBACK},
    ),
    Case(
        "first, with an expired certificate",
        model(
            "hf://a/b",
            certificate("CN=A", "CN=A", expired_at=datetime(2026, 1, 2, tzinfo=UTC)),
            history={},
        ),
        {WRONG},
    ),
    Case("not of the Hub", model("s3://someone/model", SOMEONE, history={}), {UNKNOWN}),
    Case("no memory", model("hf://someone/model", SOMEONE), {WRONG}),
    Case(
        "a pin that is no truth",
        changed(
            model("hf://someone/model", ANOTHER, history=pinned(SOMEONE)),
            "history",
            "signer_pinned",
            value="true",
        ),
        {BROKEN},
    ),
    Case("a signed pickle", model("hf://a/b", SOMEONE, "a.pkl", history={}), warn={FORMAT}),
    Case(
        "unsigned weights",
        model("hf://a/b", SOMEONE, history={}, unsigned=(("a.gguf", 1),)),
        {UNSIGNED},
    ),
]

TEAM, BEFORE = key("team-2026"), key("team-2025")

TEAM_KEY = [
    Case("the key", model("hf://acme-labs/new", TEAM, days=None, log=None)),
    Case("the key, in the bucket", model("s3://acme-labs-models/a/b", TEAM)),
    Case("the key, on disk", model("file:///srv/models/a", TEAM)),
    Case("the key before, for what it signed", model("hf://acme-labs/summarizer-v1", BEFORE)),
    Case("the same, signed again", model("hf://acme-labs/summarizer-v1", TEAM)),
    Case("the key before, for a new model", model("hf://acme-labs/new", BEFORE), {WRONG}),
    Case("a longer name", model("hf://acme-labs/summarizer-v10", BEFORE), {WRONG}),
    Case("a stranger's key", model("hf://acme-labs/new", key("stranger")), {WRONG}),
    Case(
        "an identity called as the key",
        model("hf://acme-labs/new", sigstore("team-2026", root="team-2026")),
        {WRONG},
    ),
    Case("another namespace", model("hf://acme-labs-evil/new", TEAM), {UNKNOWN}),
    Case("a signed pickle", model("hf://acme-labs/new", TEAM, "a.bin"), {FORMAT}),
    Case("a Keras model", model("hf://acme-labs/new", TEAM, "a.KERAS"), {FORMAT}),
    Case(
        "an unknown file left out",
        model("hf://acme-labs/new", TEAM, ignored=(("x.xyz", 1, "signer"),)),
        {IGNORED, UNSIGNED},
        {IGNORED},
    ),
    Case(
        "a document left out",
        model("hf://acme-labs/new", TEAM, ignored=(("x.md", 1, "signer"),)),
    ),
    Case("no signer", without("signer"), {BROKEN}),
]


def employee(unit: str, name: str = "Ann Lee", *, root: str = "acme-root", **more: Any) -> Signer:
    subject = f"CN={name},OU={unit},O=Acme Corporation,C=US"
    return certificate(subject, subject, root, **more)


RELEASE, RESEARCH = employee("Model Release"), employee("Data Science")
LEFT = employee("Model Release", expired_at=datetime(2026, 8, 1, tzinfo=UTC))
FRAUD = "s3://acme-models/production/fraud-2023"


def production(signer: Signer, *more: str, **changes: Any) -> dict[str, Any]:
    return model("s3://acme-models/production/x", signer, *more, **{"log": None, **changes})


def admitted_to(namespace: Any, **more: Any) -> dict[str, Any]:
    told = {"namespace_labels": {}, "service_account": "default"}
    return {"operation": "admit", "namespace": namespace, **told, **more}


ENTERPRISE_PKI = [
    Case("the department", production(RELEASE), require=Assurance.BYTES),
    Case("the department, on the Hub", model("hf://acme/x", RELEASE)),
    Case("no timestamp", production(RELEASE, days=None), {TIME}),
    Case("another department", production(RESEARCH), {WRONG}),
    Case("another root", production(employee("Model Release", root="other")), {WRONG}),
    Case("an escaped comma", production(employee("x", "Eve\\,OU=Model Release")), {WRONG}),
    Case("a unit in a name", production(employee("x", "Eve,OU=Model Release")), {WRONG}),
    Case("a unit of several values", production(employee("Model Release+OU=x")), {WRONG}),
    Case("a longer unit", production(employee("Model Release Interns")), {WRONG}),
    Case(
        "a subject in an alternative name",
        production(certificate(RELEASE.identity, "CN=Eve", "acme-root")),
        {WRONG},
    ),
    Case("other digests", production(RELEASE, hash_type="blake3"), {HASH}),
    Case("a signed pickle", production(RELEASE, "model.pt"), {FORMAT}),
    Case("a signed pickle of research", model("s3://acme-models/research/x", RESEARCH, "a.pt")),
    Case(
        "an archive of research", model("s3://acme-models/research/x", RESEARCH, "a.zip"), {FORMAT}
    ),
    Case("a certificate that expired since", production(LEFT)),
    Case("the same in production", production(LEFT, context=admitted_to("prod-eu")), {EXPIRED}),
    Case("the same in development", production(LEFT, context=admitted_to("dev"))),
    Case(
        "too old for production",
        production(RELEASE, days=366, context=admitted_to("prod-eu")),
        {AGE},
    ),
    Case("just in time", production(RELEASE, days=365, context=admitted_to("prod-eu"))),
    Case("old, and pulled", production(RELEASE, days=366, context={"operation": "pull"})),
    Case("an exception", model(FRAUD, RELEASE, "model.pkl"), warn={FORMAT}),
    Case("not of another file", model(FRAUD, RELEASE, "more.pkl"), {FORMAT}),
    Case("not of one beside it", model(FRAUD, RELEASE, "model.pkl", "z.pkl"), {FORMAT}, {FORMAT}),
    Case("not of another model", model(FRAUD + "b", RELEASE, "model.pkl"), {FORMAT}),
    Case("not of another signer", model(FRAUD, RESEARCH, "model.pkl"), {WRONG}, {FORMAT}),
    Case(
        "its last moment",
        model(
            FRAUD, RELEASE, "model.pkl", at=datetime(2027, 3, 31, 23, 59, 59, 999000, tzinfo=UTC)
        ),
        warn={FORMAT},
    ),
    Case(
        "after its last day",
        model(FRAUD, RELEASE, "model.pkl", at=datetime(2027, 4, 1, tzinfo=UTC)),
        {FORMAT},
        says=("the exception of ml-platform@acme.example for this ended at 2027-03-31",),
    ),
    Case("no time", changed(production(RELEASE), "now", value=None), {BROKEN}),
]

RUN = {
    "source_repository_uri": "https://github.com/acme/train",
    "source_repository_owner_identifier": "1234567",
    "source_repository_ref": "refs/heads/main",
    "runner_environment": "github-hosted",
    "build_trigger": "push",
}
WORKFLOW = "https://github.com/acme/train/.github/workflows/release.yml@"


def workflow(identity: str = WORKFLOW + "refs/heads/main", **claims: str) -> Signer:
    issuer = "https://token.actions.githubusercontent.com"
    return sigstore(identity, issuer=issuer, claims={**RUN, **claims})


def run(**claims: str) -> dict[str, Any]:
    return model("hf://acme/model", workflow(**claims))


GITHUB_ACTIONS = [
    Case("a run of main", run()),
    Case(
        "a run of a tag",
        run(identity=WORKFLOW + "refs/tags/v1.20.3", source_repository_ref="refs/tags/v1.20.3"),
    ),
    Case("another branch", run(identity=WORKFLOW + "refs/heads/dev"), {WRONG}),
    Case("a pull request", run(identity=WORKFLOW + "refs/pull/1/merge"), {WRONG}),
    Case("a branch called as a tag", run(identity=WORKFLOW + "refs/heads/tags/v1.2.3"), {WRONG}),
    Case("a tag with more", run(identity=WORKFLOW + "refs/tags/v1.2.3-evil"), {WRONG}),
    Case("another workflow", run(identity=WORKFLOW.replace("release.yml", "x.yml")), {WRONG}),
    Case(
        "a dot that is none",
        run(identity=(WORKFLOW + "refs/heads/main").replace("github.com", "githubXcom")),
        {WRONG},
    ),
    Case(
        "a line more",
        changed(run(), "signer", "identity", value=WORKFLOW + "refs/heads/main\n"),
        {WRONG},
    ),
    Case("for a fork", run(source_repository_uri="https://github.com/eve/train"), {CLAIMS}),
    Case(
        "for a longer name",
        run(source_repository_uri="https://github.com/acme/train-evil"),
        {CLAIMS},
    ),
    Case(
        "an owner of the same name",
        run(source_repository_owner_identifier="7654321"),
        {CLAIMS},
        says=("source_repository_owner_identifier is 7654321", "wants 1234567"),
    ),
    Case("a runner of somebody's own", run(runner_environment="self-hosted"), {CLAIMS}),
    Case("started by a pull request", run(build_trigger="pull_request_target"), {CLAIMS}),
    Case(
        "another ref in the claims", run(source_repository_ref="refs/heads/maintenance"), {CLAIMS}
    ),
    Case("a claim in capitals", run(runner_environment="GitHub-hosted"), {CLAIMS}),
    Case(
        "no claims",
        model(
            "hf://acme/model",
            sigstore(workflow().identity, issuer="https://token.actions.githubusercontent.com"),
        ),
        {CLAIMS},
    ),
    Case("claims that are a list", changed(run(), "signer", "claims", value=["push"]), {BROKEN}),
    Case(
        "a claim that is none",
        changed(run(), "signer", "claims", value={**RUN, "build_trigger": None}),
        {BROKEN},
    ),
    Case(
        "another issuer",
        model(
            "hf://acme/model",
            sigstore(workflow().identity, claims=RUN, issuer="https://token.actions.example.com"),
        ),
        {WRONG},
    ),
    Case("in no log", model("hf://acme/model", workflow(), log=None), {LOG}),
    Case("a signed pickle", model("hf://acme/model", workflow(), "a.pkl"), {FORMAT}),
    Case("another organization", model("hf://acme-2/model", workflow()), {UNKNOWN}),
]


def nvidia(subject: str = "CN=NVIDIA Agent Skills Signing 001", root: str = "nvidia") -> Signer:
    whole = f"{subject},O=NVIDIA Corporation,C=US"
    return certificate(whole, whole, root)


SKILL = "file:///srv/skills/nvidia/aiq-deploy"

GRANITE_NVIDIA = [
    Case("signed by IBM", model(GRANITE_MODEL, GRANITE)),
    Case("by its other identity", model(GRANITE_MODEL, ibm("Granite-verify@ibm.com"))),
    Case("by somebody else there", model(GRANITE_MODEL, ibm("someone@ibm.com")), {WRONG}),
    Case("a longer name", model(GRANITE_MODEL, ibm("x.Granite-sign@ibm.com")), {WRONG}),
    Case("a longer domain", model(GRANITE_MODEL, ibm("Granite-sign@ibm.com.evil.com")), {WRONG}),
    Case("a dot that is none", model(GRANITE_MODEL, ibm("Granite-sign@ibmXcom")), {WRONG}),
    Case(
        "of another issuer",
        model(GRANITE_MODEL, ibm("Granite-sign@ibm.com", "https://accounts.google.com")),
        {WRONG},
    ),
    Case("a copy elsewhere", model("hf://unsloth/granite-4.1-3b", GRANITE), {UNKNOWN}),
    Case(
        "a copy, with the weights unsigned",
        model(
            "hf://cyankiwi/granite",
            GRANITE,
            missing=("a.safetensors",),
            unsigned=(("b.safetensors", 1),),
        ),
        {UNKNOWN, MISSING, UNSIGNED},
    ),
    Case("in no log", model(GRANITE_MODEL, GRANITE, log=None), {LOG}),
    Case("with code of its own", model(GRANITE_MODEL, GRANITE, "modeling_granite.py")),
    Case("with a pickle", model(GRANITE_MODEL, GRANITE, "pytorch_model.bin"), {FORMAT}),
    Case("a skill with scripts", model(SKILL, nvidia(), "SKILL.md", "run.py", log=None, days=None)),
    Case("by the next certificate", model(SKILL, nvidia("CN=NVIDIA Agent Skills Signing 002"))),
    Case(
        "by an authority itself",
        model(SKILL, nvidia("CN=NVIDIA Agent Capabilities ICA 01")),
        {WRONG},
    ),
    Case(
        "NVIDIA in a name",
        model(SKILL, nvidia("CN=NVIDIA Agent Skills Signing 001\\,O=NVIDIA Corporation,O=Eve")),
        {WRONG},
    ),
    Case("another root", model(SKILL, nvidia(root="other")), {WRONG}),
    Case(
        "a document beside the skill",
        model(SKILL, nvidia(), "SKILL.md", unsigned=(("more.md", 1),)),
        {UNSIGNED},
    ),
    Case("NVIDIA for Granite", model(GRANITE_MODEL, nvidia()), {WRONG}),
    Case("IBM for a skill", model(SKILL, GRANITE), {WRONG}),
]


def insider(identity: str, realm: str, root: str = "internal") -> Signer:
    return sigstore(identity, issuer=f"https://oidc.corp.example/realms/{realm}", root=root)


RELEASER = insider("model-release@corp.example", "models")
IMPORTER = insider("ann.lee@import.corp.example", "import")

AIR_GAPPED = [
    Case("a release", model("s3://models/released/x", RELEASER, days=2000)),
    Case(
        "by the public instance",
        model(
            "s3://models/released/x", insider("model-release@corp.example", "models", "public-good")
        ),
        {WRONG},
    ),
    Case(
        "of another realm",
        model("s3://models/released/x", insider("model-release@corp.example", "import")),
        {WRONG},
    ),
    Case("in no log", model("s3://models/released/x", RELEASER, log=None), {LOG}),
    Case("at no proven time", model("s3://models/released/x", RELEASER, days=None), {TIME}),
    Case("other digests", model("s3://models/released/x", RELEASER, hash_type="blake3"), {HASH}),
    Case(
        "digests that are allowed", model("s3://models/released/x", RELEASER, hash_type="blake2b")
    ),
    Case(
        "a digest that nobody knows",
        model("s3://models/released/x", RELEASER, hash_type="md5"),
        {BROKEN},
    ),
    Case("an import", model("s3://models/imported/x", IMPORTER)),
    Case("an import of long ago", model("s3://models/imported/x", IMPORTER, days=184), {AGE}),
    Case(
        "an import at no proven time",
        model("s3://models/imported/x", IMPORTER, days=None),
        {TIME, AGE},
    ),
    Case(
        "times that are texts",
        changed(model("s3://models/imported/x", IMPORTER), "signature", "times", value=["0"]),
        {BROKEN},
    ),
    Case("the import desk for a release", model("s3://models/released/x", IMPORTER), {WRONG}),
    Case(
        "a longer name",
        model("s3://models/imported/x", insider("ann.lee@import.corp.example.com", "import")),
        {WRONG},
    ),
    Case("from the Hub", model("hf://models/released", RELEASER), {UNKNOWN}),
    Case("a signed pickle", model("s3://models/released/x", RELEASER, "a.ckpt"), {FORMAT}),
]

ACME, STRANGER = key("acme"), key("stranger")
ENFORCED = {"namespace_labels": {"acme.example/models": "enforced"}}


def staged(signer: Signer, *more: str, **context: Any) -> dict[str, Any]:
    return model("hf://acme/x", signer, *more, context=context or None)


STAGED_ROLLOUT = [
    Case("the publisher", staged(ACME, **admitted_to("production"))),
    Case(
        "the publisher, announced",
        staged(ACME, **admitted_to("sandbox")),
        annotations={"publisher": "Acme"},
    ),
    Case(
        "a stranger, announced",
        staged(STRANGER, **admitted_to("team-a")),
        warn={WRONG},
        annotations={"rollout": "announced"},
    ),
    *(
        Case(f"a stranger: {text}", staged(STRANGER, **admitted_to(namespace)), {WRONG})
        for text, namespace in {
            "in a namespace that nobody named": "production",
            "in one that is named twice": "team-payments",
            "in one with a longer name": "sandbox-2",
            "in one without a name": "",
        }.items()
    ),
    Case("a stranger: a namespace is not said", staged(STRANGER, operation="admit"), {WRONG}),
    Case(
        "a stranger: no admission", staged(STRANGER, operation="load", namespace="sandbox"), {WRONG}
    ),
    Case("a stranger: no context", staged(STRANGER), {WRONG}),
    Case(
        "an operation that nobody knows",
        staged(STRANGER, operation="Admit", namespace="sandbox"),
        {BROKEN},
    ),
    Case(
        "unsigned weights, announced",
        model("hf://acme/x", ACME, unsigned=(("a.gguf", 1),), context=admitted_to("sandbox")),
        warn={UNSIGNED},
    ),
    Case(
        "a model that no rule covers, announced",
        model("hf://other/x", ACME, context=admitted_to("sandbox")),
        warn={UNKNOWN},
    ),
    Case("a signed pickle", staged(ACME, "a.pkl", **admitted_to("production")), warn={FORMAT}),
    Case(
        "a signed pickle where it is enforced",
        staged(ACME, "a.pkl", **admitted_to("production", **ENFORCED)),
        {FORMAT},
        {FORMAT},
    ),
    Case(
        "no whole document",
        changed(staged(STRANGER, **admitted_to("sandbox")), "coverage", value={}),
        {BROKEN},
    ),
]

PACKS: Mapping[str, Sequence[Case]] = {
    "laptop": LAPTOP,
    "team-key": TEAM_KEY,
    "enterprise-pki": ENTERPRISE_PKI,
    "github-actions": GITHUB_ACTIONS,
    "granite-nvidia": GRANITE_NVIDIA,
    "air-gapped": AIR_GAPPED,
    "staged-rollout": STAGED_ROLLOUT,
}
