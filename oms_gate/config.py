"""The gate's configuration: ``gate.yaml``, strict.

An unknown key, a wrong type or an unreadable file is an error that says where: nobody should
believe that a misspelt rule protects them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from oms_gate.errors import ConfigError, UsageError
from oms_gate.inspection.settings import PublishSettings
from oms_gate.kubernetes.clients import Client
from oms_gate.kubernetes.settings import KubernetesSettings
from oms_gate.limits import Limits
from oms_gate.mistakes import MisplacedError, mistakes
from oms_gate.operator_files import read_file
from oms_gate.policy.publishers import (
    CertificateSigner,
    KeySigner,
    Publisher,
    SigstoreSigner,
    data_document,
)
from oms_gate.stores import StoreSettings
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import Assurance

if TYPE_CHECKING:
    from oms_gate.oms.trust import Trust
    from oms_gate.policy.engine import Engine


CONFIG_VARIABLE: Final = "OMS_GATE_CONFIG"
"""The environment variable that names the configuration where none is given."""


def _not_empty(value: object) -> object:
    if value == "":
        raise ValueError("is empty; name a file or a folder")
    return value


# An empty path would be the working directory, which may be the model's own.
FilePath = Annotated[Path, BeforeValidator(_not_empty)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrustSettings(_Section):
    """Trust roots by the names that publisher rules use; each value is a file's path."""

    keys: Mapping[str, FilePath] = Field(
        default_factory=dict, description="Public keys, PEM, EC P-256, P-384 or P-521."
    )
    certificates: Mapping[str, FilePath] = Field(
        default_factory=dict, description="Certificate roots, PEM, one or more in a file."
    )
    sigstore: Mapping[str, FilePath] = Field(
        default_factory=dict, description="Private Sigstore instances: trusted_root.json."
    )
    public_good: bool = Field(
        default=True, description="Whether to trust the public Sigstore, as root 'public-good'."
    )
    timestamp_authorities: Mapping[str, FilePath] = Field(
        default_factory=dict,
        description="RFC 3161 authorities, PEM: the root, or the whole chain, of each. They prove "
        "when a key or a certificate signed; a Sigstore root has its own.",
    )
    old_format: bool = Field(
        default=False,
        description="Whether to accept the format before OMS v1.0 where a certificate signed.",
    )

    @model_validator(mode="after")
    def _names_are_free(self) -> TrustSettings:
        if "public-good" in self.sigstore:
            raise ValueError("the name 'public-good' is that of the public Sigstore")
        return self


class OpaServer(_Section):
    """An OPA server that decides; its policy and publishers are its own."""

    url: str = Field(description="Base URL, such as http://localhost:8181.", pattern="^https?://")
    token_file: FilePath | None = Field(default=None, description="File with the bearer token.")
    ca_file: FilePath | None = Field(default=None, description="CA certificates for https, PEM.")
    path: str = Field(
        default="oms_gate/admission/decision", description="Path of the decision below /v1/data."
    )


class PolicySettings(_Section):
    """What decides. Without either: the policy that comes with the gate."""

    rego: FilePath | None = Field(
        default=None,
        description="A folder of .rego files, compiled with a local opa; or a bundle.tar.gz that "
        "was compiled before (opa build -t wasm -e oms_gate/admission/decision).",
    )
    server: OpaServer | None = None

    @model_validator(mode="after")
    def _one_at_most(self) -> PolicySettings:
        if self.rego is not None and self.server is not None:
            raise ValueError("give either 'rego' or 'server', not both")
        return self


class GateConfig(_Section):
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

    @model_validator(mode="after")
    def _rules_can_be_used(self) -> GateConfig:
        if self.policy.server is not None and self.publishers:
            raise ValueError(
                "'publishers' have no effect with 'policy: server'; load them into the server "
                "(oms-gate config data prints them)"
            )
        known = {
            "key": set(self.trust.keys),
            "certificate": set(self.trust.certificates),
            "sigstore": {*self.trust.sigstore, *(["public-good"] * self.trust.public_good)},
        }
        for number, publisher in enumerate(self.publishers):
            for place, signer in enumerate(publisher.signers):
                root = signer.key if signer.method == "key" else signer.root
                if root not in known[signer.method]:
                    raise MisplacedError(
                        ("publishers", number, "signers", place),
                        f"the {signer.method} trust root '{root}' is not under 'trust'",
                    )
        return self


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
    models = (*sections, Publisher, *signers, KubernetesSettings, Client, PublishSettings)
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
        }
    )


def named_files(config: GateConfig) -> Iterator[Path]:
    """The files and folders that decide, besides the configuration, where it names any."""
    trust, policy = config.trust, config.policy
    for roots in (trust.keys, trust.certificates, trust.sigstore, trust.timestamp_authorities):
        yield from roots.values()
    server = () if policy.server is None else (policy.server.token_file, policy.server.ca_file)
    yield from (path for path in (policy.rego, *server) if path is not None)


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

    data = data_document(config.publishers)
    if config.policy.rego is not None and config.policy.rego.is_file():
        return WasmEngine.from_bundle(config.policy.rego, data, config.limits)
    if config.policy.rego is not None:
        return WasmEngine.from_rego(config.policy.rego, data, config.limits)
    return WasmEngine.bundled(data, config.limits)
