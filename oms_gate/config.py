"""The gate's configuration: ``gate.yaml``, strict.

An unknown key, a wrong type or an unreadable file is an error that says where: nobody should
believe that a misspelt rule protects them.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, ValidationError, model_validator

from oms_gate.errors import ConfigError, UsageError
from oms_gate.evidence_settings import (
    AcceptedVerifier,
    AuditLogSettings,
    EvidenceSettings,
    GateSigner,
    SummarySettings,
    SyslogSettings,
)
from oms_gate.inspection.settings import PublishSettings
from oms_gate.kubernetes.clients import Client
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.limits import Limits
from oms_gate.mistakes import MisplacedError, mistakes
from oms_gate.operator_files import read_file
from oms_gate.policy.exceptions import PolicyException
from oms_gate.policy.publishers import (
    CertificateSigner,
    KeySigner,
    KnownSigner,
    PathGlob,
    Publisher,
    Signer,
    SigstoreSigner,
)
from oms_gate.policy.requirements import Requirement, WantedAttestation, Where
from oms_gate.policy.rules import data_document
from oms_gate.reload import files_state
from oms_gate.service_settings import (
    ApiClient,
    ApiSettings,
    EventSettings,
    GatewaySettings,
    S3Repositories,
    ServiceSettings,
)
from oms_gate.service_settings.events import EVENT_SECTIONS
from oms_gate.settings import (
    HistorySettings,
    OpaServer,
    PolicyBundle,
    PolicySettings,
    Section,
    TrustSettings,
)
from oms_gate.stores import StoreSettings
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import Assurance

if TYPE_CHECKING:
    from oms_gate.evidence.evidence import Evidence
    from oms_gate.history import History
    from oms_gate.oms.trust import Trust
    from oms_gate.policy.engine import Engine


CONFIG_VARIABLE: Final = "OMS_GATE_CONFIG"
"""The environment variable that names the configuration where none is given."""


class GateConfig(Section):
    """The whole of ``gate.yaml``."""

    mode: Literal["enforce", "annotate"] = Field(
        default="enforce", description="Whether a denied model is stopped, or only marked."
    )
    assurance: Assurance = Field(
        default=Assurance.BYTES, description="How far each check must reach."
    )
    signature: str = Field(
        default="model.sig",
        min_length=1,
        description="The bundle's name in the model's folder. A single file has its own name "
        "with .sig added.",
    )
    trust: TrustSettings = TrustSettings()
    publishers: tuple[Publisher, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    exceptions: tuple[PolicyException, ...] = ()
    attestations: Mapping[str, PathGlob] = Field(
        default_factory=dict,
        description="Attestations beside models, by names that policies use: globs over paths.",
    )
    boms: Mapping[str, PathGlob] = Field(
        default_factory=dict,
        description="Bills of materials in models, by names that policies use: globs over paths.",
    )
    history: HistorySettings | None = None
    evidence: EvidenceSettings = EvidenceSettings()
    policy: PolicySettings = PolicySettings()
    stores: StoreSettings = StoreSettings()
    limits: Limits = Limits()
    kubernetes: KubernetesSettings = KubernetesSettings()
    publish: PublishSettings = PublishSettings()
    service: ServiceSettings = ServiceSettings()
    gateway: GatewaySettings = GatewaySettings()
    api: ApiSettings = ApiSettings()
    events: EventSettings = EventSettings()

    @property
    def says_who_signs(self) -> bool:
        """Whether there is anything to judge a signer by."""
        policy = self.policy
        own = (policy.server, policy.rego, policy.bundle)
        return bool(self.publishers) or any(given is not None for given in own)

    @property
    def data(self) -> dict[str, object]:
        """What policies judge by: the data document of the engines."""
        return data_document(self.publishers, self.requirements, self.exceptions)

    @model_validator(mode="after")
    def _rules_can_be_used(self) -> GateConfig:
        for name in ("publishers", "requirements", "exceptions"):
            if self.policy.server is not None and getattr(self, name):
                raise ValueError(
                    f"'{name}' have no effect with 'policy: server'; load them into the server "
                    "(oms-gate config data prints them)"
                )
        for number, requirement in enumerate(self.requirements):
            if requirement.same_signer and self.history is None:
                raise MisplacedError(
                    ("requirements", number, "same_signer"),
                    "'same_signer' needs a memory: name its file under 'history'",
                )
            if requirement.attestations and not self.attestations:
                raise MisplacedError(
                    ("requirements", number, "attestations"),
                    "no attestation would ever be read: name their files under 'attestations'",
                )
            for index, name in enumerate(requirement.boms or ()):
                if name not in self.boms:
                    raise MisplacedError(
                        ("requirements", number, "boms", index),
                        f"no bill of materials '{name}' would ever be read: name its file under "
                        "'boms'",
                    )
        known = {
            "key": set(self.trust.keys),
            "certificate": set(self.trust.certificates),
            "sigstore": {*self.trust.sigstore, *(["public-good"] * self.trust.public_good)},
        }
        for place, signer in self._signers():
            if signer.method == "first-use":
                if self.history is None:
                    raise MisplacedError(
                        place, "'first-use' needs a memory: name its file under 'history'"
                    )
                continue
            root = signer.key if signer.method == "key" else signer.root
            if root not in known[signer.method]:
                raise MisplacedError(
                    place, f"the {signer.method} trust root '{root}' is not under 'trust'"
                )
        return self

    def _signers(self) -> Iterator[tuple[tuple[str | int, ...], Signer | KnownSigner]]:
        """Each signer of the rules, and where it is."""
        for number, publisher in enumerate(self.publishers):
            for index, signer in enumerate(publisher.signers):
                yield ("publishers", number, "signers", index), signer
        for number, requirement in enumerate(self.requirements):
            for count, wanted in enumerate(requirement.attestations or ()):
                for index, known in enumerate(wanted.signers):
                    where = ("requirements", number, "attestations", count, "signers", index)
                    yield where, known
        for number, gate in enumerate(self.evidence.accept_summaries):
            for index, known in enumerate(gate.signers):
                yield ("evidence", "accept_summaries", number, "signers", index), known


def load_config(path: Path) -> GateConfig:
    """Read ``gate.yaml``. Relative paths in it start at its folder.

    Raises:
        ConfigError: with line and column of each mistake.
    """
    document = parse_yaml(str(path), read_file(path, "the configuration"))
    try:
        config = GateConfig.model_validate(document.value or {})
    except ValidationError as error:
        lines = [
            f"{document.place(mistake.location)}: {mistake}" for mistake in mistakes(error, _keys())
        ]
        raise ConfigError("\n".join(lines)) from None
    return _with_absolute_paths(config, path.resolve().parent)


def revised(config: GateConfig, **sections: object) -> GateConfig:
    """The configuration with other sections, such as those that command line options make.

    Raises:
        UsageError: together they cannot be meant.
    """
    try:
        return GateConfig.model_validate({**dict(config), **sections})
    except ValidationError as error:
        raise UsageError("; ".join(map(str, mistakes(error, _keys())))) from None


def _keys() -> list[str]:
    """Every key that a configuration can have, to guess what a misspelt one means."""
    signers = (SigstoreSigner, CertificateSigner, KeySigner)
    policy = (PolicySettings, PolicyBundle, OpaServer)
    sections = (GateConfig, TrustSettings, *policy, StoreSettings, Limits)
    rules = (Publisher, Requirement, Where, WantedAttestation, PolicyException, HistorySettings)
    summaries = (SummarySettings, AcceptedVerifier)
    evidence = (EvidenceSettings, GateSigner, AuditLogSettings, SyslogSettings, *summaries)
    services = (ServiceSettings, GatewaySettings, S3Repositories, ApiSettings, EventSettings)
    others = (KubernetesSettings, Client, PublishSettings, ApiClient, *EVENT_SECTIONS)
    models = (*sections, *rules, *signers, *evidence, *services, *others)
    return [key for model in models for key in model.model_fields]


def _with_absolute_paths(config: GateConfig, base: Path) -> GateConfig:
    def absolute(path: Path) -> Path:
        return base / path.expanduser()

    def under(paths: Mapping[str, Path]) -> dict[str, Path]:
        return {name: absolute(path) for name, path in paths.items()}

    trust, policy = config.trust, config.policy

    def with_files(section: OpaServer | PolicyBundle) -> Section:
        files = {name: path for name, path in dict(section).items() if isinstance(path, Path)}
        return section.model_copy(update=under(files))

    signature = config.signature
    if signature.startswith(("./", "../", "~")):
        signature = os.path.normpath(absolute(Path(signature)))
    return config.model_copy(
        update={
            "trust": trust.model_copy(
                update={
                    "keys": under(trust.keys),
                    "certificates": under(trust.certificates),
                    "sigstore": under(trust.sigstore),
                    "timestamp_authorities": under(trust.timestamp_authorities),
                }
            ),
            "policy": policy.model_copy(
                update={
                    "rego": policy.rego and absolute(policy.rego),
                    "bundle": policy.bundle and with_files(policy.bundle),
                    "server": policy.server and with_files(policy.server),
                    "decision_log": policy.decision_log and absolute(policy.decision_log),
                }
            ),
            "signature": signature,
            "api": config.api.with_files(absolute),
            "history": config.history
            and config.history.model_copy(update={"file": absolute(config.history.file)}),
            "evidence": config.evidence.with_files(absolute),
            "events": config.events.with_files(absolute),
        }
    )


def named_files(config: GateConfig) -> Iterator[Path]:
    """The files and folders that decide, besides the configuration, where it names any."""
    yield from _roots_and_rules(config)
    for section in (config.policy.server, config.policy.bundle):
        if section is not None:
            yield from (value for _, value in section if isinstance(value, Path))
    if config.history is not None:
        yield config.history.file
    for client in config.api.clients:
        yield from (file for file in (client.token_file, client.config) if file is not None)


def _roots_and_rules(config: GateConfig) -> Iterator[Path]:
    trust = config.trust
    for roots in (trust.keys, trust.certificates, trust.sigstore, trust.timestamp_authorities):
        yield from roots.values()
    if config.policy.rego is not None:
        yield config.policy.rego


def load_trust(settings: TrustSettings) -> Trust:
    """Read every trust root that the configuration names.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, TimestampRoot, Trust

    sigstore = {
        name: SigstoreRoot.from_json(name, read_file(path, "the trusted root"))
        for name, path in settings.sigstore.items()
    }
    if settings.public_good:
        sigstore["public-good"] = SigstoreRoot.public_good()
    return Trust(
        keys={
            name: KeyRoot.from_pem(name, read_file(path, "the public key"))
            for name, path in settings.keys.items()
        },
        certificates={
            name: CertificateRoot.from_pem(name, read_file(path, "the certificate root"))
            for name, path in settings.certificates.items()
        },
        sigstore=sigstore,
        timestamp_authorities={
            name: TimestampRoot.from_pem(name, read_file(path, "the timestamp authority"))
            for name, path in settings.timestamp_authorities.items()
        },
        old_format=settings.old_format,
    )


def open_history(config: GateConfig) -> History | None:
    """The memory that the configuration names, which is read at each decision; None without."""
    from oms_gate.history import History

    return None if config.history is None else History(config.history.file, config.limits)


def open_evidence(config: GateConfig) -> Evidence | None:
    """What keeps the verdicts, as the configuration says; None where nothing does.

    Raises:
        ConfigError: what it needs is not installed, or the gate's key cannot be used.
    """
    from oms_gate.evidence.evidence import Evidence

    return Evidence.from_settings(config.evidence)


def policy_state(config: GateConfig) -> Hashable:
    """What changes when the configuration's engine and trust roots are to be made anew.

    The files that a server is spoken with, such as a token, are followed by who speaks with it.

    Raises:
        ConfigError, PolicyError, StoreError: as `oms_gate.policy_source.latest_bundle`.
    """
    files = files_state(_roots_and_rules(config))
    bundle = config.policy.bundle
    if bundle is None:
        return files
    from oms_gate.policy_source import bundle_digest

    return files, bundle_digest(bundle, config.stores, config.limits)


def open_engine(config: GateConfig) -> Engine:
    """The policy engine that the configuration names.

    Raises:
        ConfigError: the policy cannot be read or compiled.
        PolicyError: its server does not give it.
    """
    engine = _engine(config)
    if config.policy.decision_log is None:
        return engine
    from oms_gate.policy.decision_log import LoggedEngine

    return LoggedEngine(engine, config.policy.decision_log)


def _engine(config: GateConfig) -> Engine:
    policy, limits = config.policy, config.limits
    if policy.server is not None:
        from oms_gate.policy.server import ServerEngine
        from oms_gate.policy.wire import TlsFiles

        server = policy.server
        return ServerEngine(
            server.url,
            token=os.environ.get("OMS_GATE_OPA_TOKEN"),
            token_file=server.token_file,
            tls=TlsFiles(server.ca_file, server.cert_file, server.key_file),
            path=server.path,
            timeout=limits.policy_seconds,
            retries=limits.policy_retries,
            failures=limits.policy_failures,
            rest=limits.policy_rest_seconds,
        )
    from oms_gate.policy.wasm import WasmEngine

    data = config.data
    if policy.bundle is not None:
        from oms_gate.policy_source import latest_bundle

        bundle = latest_bundle(policy.bundle, config.stores, limits)
        return WasmEngine.from_bundle(bundle, data, limits)
    if policy.rego is not None and policy.rego.is_file():
        return WasmEngine.from_bundle(policy.rego, data, limits)
    if policy.rego is not None:
        return WasmEngine.from_rego(policy.rego, data, limits)
    return WasmEngine.bundled(data, limits)
