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


class Section(BaseModel):
    """A part of the configuration: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    url: str = Field(description="Base URL, such as http://localhost:8181.", pattern="^https?://")
    token_file: FilePath | None = Field(default=None, description="File with the bearer token.")
    ca_file: FilePath | None = Field(default=None, description="CA certificates for https, PEM.")
    path: str = Field(
        default="oms_gate/admission/decision", description="Path of the decision below /v1/data."
    )


class PolicySettings(Section):
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


class HistorySettings(Section):
    """What the gate remembers of models: who signed them, and which releases it admitted."""

    file: FilePath = Field(description="An SQLite database; it is made where there is none.")
