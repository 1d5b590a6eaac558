"""The section ``evidence:`` of ``gate.yaml``: what is left of each verdict, and who signs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from oms_gate.errors import UsageError
from oms_gate.limits import MIB
from oms_gate.policy.publishers import KeySigner, KnownSigner
from oms_gate.reference import Reference
from oms_gate.settings import FilePath, Section, is_token_uri
from oms_gate.verdict import Assurance

SUMMARY_ENDING: Final = ".json"
"""What ends so in place of a folder of summaries is the one summary itself."""

Uri = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$")]


class GateSigner(Section):
    """The gate's own identity, by which it signs what it says: by one method."""

    key: str | None = Field(
        default=None,
        min_length=1,
        description="Private key: a file in PEM (EC P-256, P-384 or P-521), or the URI of a key in "
        "a token (pkcs11:...).",
    )
    passphrase_file: FilePath | None = Field(
        default=None, description="File with the key's passphrase; else OMS_GATE_KEY_PASSPHRASE."
    )
    certificate: Literal["token"] | FilePath | None = Field(
        default=None,
        description="The gate's certificate for the key, PEM; or the word token: the one that the "
        "token holds.",
    )
    certificate_chain: tuple[FilePath, ...] = Field(
        default=(), description="Intermediate certificates, towards the root, PEM."
    )
    timestamp_url: str | None = Field(
        default=None, description="RFC 3161 authority that proves when the key signed."
    )
    sigstore: Literal["public", "private"] | None = Field(
        default=None,
        description="Sign by the identity of where the gate runs (SIGSTORE_ID_TOKEN, or that of "
        "the job), in place of a key.",
    )
    trusted_root: FilePath | None = Field(
        default=None, description="Of a private Sigstore: its trusted_root.json."
    )
    signing_config: FilePath | None = Field(
        default=None, description="Of a private Sigstore: its signing_config.json."
    )

    @model_validator(mode="after")
    def _has_one_method(self) -> GateSigner:
        of_key = (self.passphrase_file, self.certificate, self.timestamp_url)
        if (self.key is None) == (self.sigstore is None):
            raise ValueError("give one of 'key' and 'sigstore'")
        if self.key is None and (self.certificate_chain or any(of_key)):
            raise ValueError("'sigstore' has a key, certificate and timestamps of its own")
        if self.certificate is None and self.certificate_chain:
            raise ValueError("'certificate_chain' follows 'certificate'; give both")
        private = {self.trusted_root is not None, self.signing_config is not None}
        if private != {self.sigstore == "private"}:
            raise ValueError(
                "a private Sigstore, and no other, has 'trusted_root' and 'signing_config'"
            )
        return self

    @property
    def token_uri(self) -> str | None:
        """The URI of a key in a token, if it is in one."""
        return self.key if self.key is not None and is_token_uri(self.key) else None

    def with_files(self, absolute: Callable[[Path], Path]) -> GateSigner:
        """The same with the files that it names made absolute."""
        named = {
            name: absolute(value) for name, value in dict(self).items() if isinstance(value, Path)
        }
        if self.key is not None and self.token_uri is None:
            named["key"] = str(absolute(Path(self.key)))  # type: ignore[assignment]
        chain = tuple(absolute(file) for file in self.certificate_chain)
        return self.model_copy(update={**named, "certificate_chain": chain})


class SyslogSettings(Section):
    """Where syslog listens (RFC 5424)."""

    address: str = Field(
        default="unix:///dev/log",
        pattern=r"^(unix:///.+|(udp|tcp)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})$",
        description="unix:///dev/log, udp://host:514 or tcp://host:601.",
    )
    facility: Literal[
        "auth", "authpriv", "daemon", "local0", "local1", "local2", "local3", "local4", "local5",
        "local6", "local7", "user",
    ] = Field(default="authpriv", description="The facility of the messages.")  # fmt: skip
    seconds: float = Field(default=5, gt=0, description="Longest wait for it, in seconds.")

    @property
    def is_stream(self) -> bool:
        """Whether it is spoken to by a connection rather than by datagrams."""
        return self.address.startswith("tcp://")


class AuditLogSettings(Section):
    """Where each verdict is written down."""

    file: FilePath | None = Field(
        default=None,
        description="JSON lines; several processes may write it. Rotated files are beside it.",
    )
    stream: Literal["stdout", "stderr"] | None = Field(
        default=None, description="A standard stream that gets each line, too."
    )
    syslog: SyslogSettings | None = None
    otlp: bool = Field(
        default=False,
        description="Whether OpenTelemetry gets each line as a log record, as the environment says "
        "(OTEL_EXPORTER_OTLP_ENDPOINT). It is a copy: what it loses is not noticed.",
    )
    unwritten: Literal["deny", "warn"] = Field(
        default="deny",
        description="What becomes of a verdict that cannot be written down: the model is denied, "
        "or the verdict warns.",
    )
    sync: Literal["always", "never"] = Field(
        default="always",
        description="Whether a line is on the disk before its verdict is given, or when the "
        "operating system finds the time.",
    )
    rotate_bytes: int = Field(
        default=128 * MIB, ge=4096, description="Size from which on a new file is begun, in bytes."
    )
    wait_seconds: float = Field(
        default=10, gt=0, description="Longest wait for other processes that write it, in seconds."
    )
    checkpoint_lines: int = Field(
        default=1000, ge=1, description="Lines after which the gate signs what is written, a count."
    )
    checkpoint_seconds: float = Field(
        default=3600,
        gt=0,
        description="Longest time, in seconds, after which it does so with the next line.",
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> AuditLogSettings:
        if not (self.file or self.stream or self.syslog or self.otlp):
            raise ValueError("name where it goes: 'file', 'stream', 'syslog' or 'otlp'")
        return self


class SummarySettings(Section):
    """What the gate states of the models that it admits, for other gates (SLSA VSA)."""

    verifier: Uri = Field(description="What the gate calls itself, a URI; see verifier.id.")
    folder: FilePath = Field(
        description="Where summaries are written, one file for each. What ends in .json is the one "
        "file itself."
    )
    assurance: Assurance = Field(
        default=Assurance.SIGNATURE,
        description="The least assurance of an admission of which a summary is made.",
    )
    policy_uri: Uri | None = Field(
        default=None, description="Where people find the policy; else a URN of its revision."
    )
    unwritten: Literal["deny", "warn"] = Field(
        default="deny",
        description="What becomes of an admission whose summary cannot be signed or written: the "
        "model is denied, or the verdict warns.",
    )


class AcceptedVerifier(Section):
    """Another gate, whose summaries count in place of hashing the bytes of a model here."""

    verifier: Uri = Field(description="What that gate calls itself, exactly.")
    signers: tuple[KnownSigner, ...] = Field(
        min_length=1, description="Who signs for it: roots under trust, and exact identities."
    )
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="Where its summaries are: a folder, or the URL of one in a store. What ends in "
        ".json is the one summary itself. Without it, --accept-vsa names it.",
    )
    max_age_seconds: float = Field(
        default=86_400, gt=0, description="Longest time since it hashed a model, in seconds."
    )
    skew_seconds: float = Field(
        default=60, ge=0, description="How far its clock may be ahead of this one, in seconds."
    )

    @field_validator("signers")
    @classmethod
    def _are_exact(cls, signers: tuple[KnownSigner, ...]) -> tuple[KnownSigner, ...]:
        for signer in signers:
            if not isinstance(signer, KeySigner) and signer.identity_pattern is not None:
                raise ValueError("a gate has one identity: give 'identity', and no pattern")
        return signers

    @field_validator("folder")
    @classmethod
    def _is_a_place(cls, folder: str | None) -> str | None:
        try:
            if folder is not None:
                Reference.parse(folder)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return folder

    def with_folder(self, absolute: Callable[[Path], Path]) -> Self:
        """The same with its folder made absolute, if it is one of this machine."""
        if self.folder is None or "://" in self.folder:
            return self
        return self.model_copy(update={"folder": os.path.normpath(absolute(Path(self.folder)))})


class EvidenceSettings(Section):
    """What the gate leaves behind of its verdicts, and what it accepts of other gates."""

    signer: GateSigner | None = None
    audit_log: AuditLogSettings | None = None
    summaries: SummarySettings | None = None
    accept_summaries: tuple[AcceptedVerifier, ...] = ()

    @model_validator(mode="after")
    def _can_sign(self) -> Self:
        if self.summaries is not None and self.signer is None:
            raise ValueError("'summaries' are signed: name the gate's key under 'signer'")
        return self

    def with_files(self, absolute: Callable[[Path], Path]) -> EvidenceSettings:
        """The same with the files that it names made absolute."""
        log = self.audit_log
        if log is not None and log.file is not None:
            log = log.model_copy(update={"file": absolute(log.file)})
        made = self.summaries
        if made is not None:
            made = made.model_copy(update={"folder": absolute(made.folder)})
        return self.model_copy(
            update={
                "signer": self.signer and self.signer.with_files(absolute),
                "audit_log": log,
                "summaries": made,
                "accept_summaries": tuple(
                    gate.with_folder(absolute) for gate in self.accept_summaries
                ),
            }
        )
