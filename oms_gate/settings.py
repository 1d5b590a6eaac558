"""Sections of ``gate.yaml`` that name files and servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _not_empty(value: object) -> object:
    if value == "":
        raise ValueError("is empty; name a file or a folder")
    return value


# An empty path would be the working directory, which may be the model's own.
FilePath = Annotated[Path, BeforeValidator(_not_empty)]


def is_token_uri(key: str) -> bool:
    """Whether a key is named by the URI of one in a token (RFC 7512), and not by a file."""
    return key[:7].lower() == "pkcs11:"


class Section(BaseModel):
    """A part of the configuration: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrustSettings(Section):
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


class OpaServer(Section):
    """An OPA server that decides; its policy and publishers are its own."""

    url: str = Field(
        description="Base URL, such as https://opa.example.org or unix:///run/opa.sock.",
        pattern="^(https?|unix)://",
    )
    token_file: FilePath | None = Field(
        default=None, description="File with the bearer token; read again when it changes."
    )
    ca_file: FilePath | None = Field(
        default=None, description="CA certificates for https, PEM; read again when they change."
    )
    cert_file: FilePath | None = Field(
        default=None,
        description="The gate's own certificate for the server, PEM; read again when it changes.",
    )
    key_file: FilePath | None = Field(
        default=None, description="Its key, PEM, without a password, if it is not in cert_file."
    )
    path: str = Field(
        default="oms_gate/admission/decision", description="Path of the decision below /v1/data."
    )

    @model_validator(mode="after")
    def _files_have_a_use(self) -> OpaServer:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("'key_file' needs 'cert_file', the certificate that it belongs to")
        if not self.url.startswith("https://") and (self.ca_file or self.cert_file):
            raise ValueError("'ca_file' and 'cert_file' have no effect without https://")
        return self


class PolicyBundle(Section):
    """A bundle of OPA with a compiled policy, from a server; it counts only if it is signed."""

    url: str = Field(
        description="https://host/bundle.tar.gz or s3://bucket/bundle.tar.gz.",
        # Of a server without credentials, which messages would show.
        pattern=r"^(https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/[!\"$->@-~]+"
        r"|s3://[^?#]+)$",
    )
    key: FilePath = Field(description="Public key that signs it (opa build --signing-key), PEM.")
    scope: str = Field(default="", description="Scope that its signature must state, if any.")
    minimum_revision: str | None = Field(
        default=None, description="Lowest revision: numbers with dots, or a time (RFC 3339)."
    )
    poll_seconds: float = Field(
        default=60,
        ge=1,
        description="How often a process that lasts asks for a new one, in seconds.",
    )
    token_file: FilePath | None = Field(
        default=None, description="File with the bearer token for https; read when it changes."
    )
    ca_file: FilePath | None = Field(default=None, description="CA certificates for https, PEM.")

    @model_validator(mode="after")
    def _files_have_a_use(self) -> PolicyBundle:
        if not self.url.startswith("https://") and (self.ca_file or self.token_file):
            raise ValueError("'ca_file' and 'token_file' are for https://; leave them out")
        return self


class PolicySettings(Section):
    """What decides. Without 'rego', 'bundle' and 'server': the policy that comes with the gate."""

    rego: FilePath | None = Field(
        default=None,
        description="A folder of .rego files, compiled with a local opa; or a bundle.tar.gz that "
        "was compiled before (opa build -t wasm -e oms_gate/admission/decision).",
    )
    bundle: PolicyBundle | None = None
    server: OpaServer | None = None
    decision_log: FilePath | None = Field(
        default=None,
        description="File to which each decision is added, as OPA logs decisions: a line of JSON.",
    )

    @model_validator(mode="after")
    def _one_at_most(self) -> PolicySettings:
        if sum(given is not None for given in (self.rego, self.bundle, self.server)) > 1:
            raise ValueError("give one of 'rego', 'bundle' and 'server', not more")
        return self


class HistorySettings(Section):
    """What the gate remembers of models: who signed them, and which releases it admitted."""

    file: FilePath = Field(description="An SQLite database; it is made where there is none.")
