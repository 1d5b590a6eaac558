"""The gate's configuration: ``gate.yaml``, strict.

An unknown key, a wrong type or an unreadable file is an error that says where: nobody should
believe that a misspelt rule protects them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, ValidationError, model_validator

from oms_gate.errors import ConfigError, UsageError
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
from oms_gate.settings import HistorySettings, OpaServer, PolicySettings, Section, TrustSettings
from oms_gate.stores import StoreSettings
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import Assurance

if TYPE_CHECKING:
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
    history: HistorySettings | None = None
    policy: PolicySettings = PolicySettings()
    stores: StoreSettings = StoreSettings()
    limits: Limits = Limits()
    kubernetes: KubernetesSettings = KubernetesSettings()
    publish: PublishSettings = PublishSettings()

    @property
    def says_who_signs(self) -> bool:
        """Whether there is anything to judge a signer by."""
        policy = self.policy
        return bool(self.publishers) or policy.server is not None or policy.rego is not None

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
    sections = (GateConfig, TrustSettings, PolicySettings, OpaServer, StoreSettings, Limits)
    rules = (Publisher, Requirement, Where, WantedAttestation, PolicyException, HistorySettings)
    models = (*sections, *rules, *signers, KubernetesSettings, Client, PublishSettings)
    return [key for model in models for key in model.model_fields]


def _with_absolute_paths(config: GateConfig, base: Path) -> GateConfig:
    def absolute(path: Path) -> Path:
        return base / path.expanduser()

    def under(paths: Mapping[str, Path]) -> dict[str, Path]:
        return {name: absolute(path) for name, path in paths.items()}

    trust, policy = config.trust, config.policy
    server = policy.server
    if server is not None:
        files = {
            name: absolute(path)
            for name in ("token_file", "ca_file")
            if (path := getattr(server, name)) is not None
        }
        server = server.model_copy(update=files)
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
                update={"rego": policy.rego and absolute(policy.rego), "server": server}
            ),
            "signature": signature,
            "history": config.history
            and config.history.model_copy(update={"file": absolute(config.history.file)}),
        }
    )


def named_files(config: GateConfig) -> Iterator[Path]:
    """The files and folders that decide, besides the configuration, where it names any."""
    trust, policy = config.trust, config.policy
    for roots in (trust.keys, trust.certificates, trust.sigstore, trust.timestamp_authorities):
        yield from roots.values()
    server = () if policy.server is None else (policy.server.token_file, policy.server.ca_file)
    yield from (path for path in (policy.rego, *server) if path is not None)
    if config.history is not None:
        yield config.history.file


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


def open_engine(config: GateConfig) -> Engine:
    """The policy engine that the configuration names.

    Raises:
        ConfigError: the policy cannot be read or compiled.
    """
    if config.policy.server is not None:
        from oms_gate.policy.server import ServerEngine

        server = config.policy.server
        token = os.environ.get("OMS_GATE_OPA_TOKEN")
        if server.token_file is not None:
            token = read_file(server.token_file, "the OPA token").decode("ascii", "replace").strip()
        return ServerEngine(
            server.url,
            token=token,
            ca_file=server.ca_file,
            path=server.path,
            timeout=config.limits.policy_seconds,
        )
    from oms_gate.policy.wasm import WasmEngine

    data = config.data
    if config.policy.rego is not None and config.policy.rego.is_file():
        return WasmEngine.from_bundle(config.policy.rego, data, config.limits)
    if config.policy.rego is not None:
        return WasmEngine.from_rego(config.policy.rego, data, config.limits)
    return WasmEngine.bundled(data, config.limits)
