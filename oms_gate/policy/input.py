"""The input document: all that a policy sees of a model, as JSON of a published schema.

The schema is in ``policies/input.schema.json``; ``opa check --strict -s`` checks policies by it.
Names in the document are escaped as in a verdict (`oms_gate.verdict.printable`), so that neither
an engine nor a message of a policy meets a control character or a lone surrogate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from oms_gate.policy.kinds import Kind, kind_of
from oms_gate.verdict import (
    Assurance,
    FileFact,
    IgnoreScope,
    Model,
    Printable,
    Signature,
    Signer,
)

INPUT_SCHEMA: Final = "oms-gate/input/v1"


@dataclass(frozen=True)
class CoverageInput:
    """The signed manifest against the listing, as the gate found it.

    Paths are relative to the model; sizes are in bytes, None where the store does not say.

    signed: signed files that are there.
    missing: signed files that are not there.
    unsigned: files that are there and not signed.
    ignored: files outside the signature's scope, and why: the format's own exclusions (default),
        the signer's ``ignore_paths`` (signer), the bundle itself (signature), or the bookkeeping
        of a download client (cache).
    """

    signed: tuple[tuple[str, int | None], ...] = ()
    missing: tuple[str, ...] = ()
    unsigned: tuple[tuple[str, int | None], ...] = ()
    ignored: tuple[tuple[str, int | None, IgnoreScope], ...] = ()


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputModel(Model):
    """The model, by its reference."""

    scheme: str = Field(description="What comes before '://' in its name, such as 'hf' or 's3'.")


class InputFile(FileFact):
    """A file of the model."""

    kind: Kind = Field(description="What it is to a loader, by its name.")


class InputIgnoredFile(InputFile):
    """A file outside the signature's scope."""

    scope: IgnoreScope = Field(
        description="Who put it there: the format (default), the signer, or that it is the "
        "signature itself or a download client's bookkeeping (cache)."
    )


class InputSignature(_Part):
    """The verified bundle."""

    format: Literal["v1.0", "v0.2"] = Field(description="Of OMS; v0.2 was asked for.")
    root_digest: str = Field(
        description="SHA-256 over the resources' digests, in hex; in v0.2 nobody signed it."
    )
    serialization: Literal["files", "shards"]
    hash_type: Literal["sha256", "blake2b", "blake3"]
    allow_symlinks: bool = Field(description="Whether the signer followed symbolic links.")
    sorted: bool = Field(description="Whether the resources are in code point order.")
    times: tuple[float, ...] = Field(
        description="When the signature is proven to have existed, in Unix seconds."
    )
    log_index: int | None = Field(description="Place in the transparency log, if in one.")
    bundle_sha256: str = Field(description="SHA-256 of the bundle file, in hex.")


class InputCoverage(_Part):
    """The signed manifest against the listing."""

    signed: int = Field(description="Signed files that are there, as a count.")
    signed_bytes: int | None = Field(
        description="Their total size in bytes; null where the store does not say all of it."
    )
    signed_files: dict[Kind, tuple[Printable, ...]] = Field(
        description="Signed files that are there: their paths by their kind."
    )
    missing: tuple[Printable, ...] = Field(description="Signed files that are not there.")
    unsigned: tuple[InputFile, ...] = Field(description="Files that are there and not signed.")
    ignored: tuple[InputIgnoredFile, ...] = Field(description="Files outside its scope.")


class InputAttestation(_Part):
    """A signed statement about the model, verified with the gate's trust and bound to it."""

    name: Printable = Field(description="What the gate's configuration calls it.")
    path: Printable = Field(description="The file beside the model.")
    predicate_type: Printable
    predicate: dict[str, JsonValue] = Field(description="What is stated; strings are escaped.")
    predicate_times: dict[str, float] = Field(
        description="Each time (RFC 3339) in it by its JSON pointer, in Unix seconds."
    )
    signer: Signer
    times: tuple[float, ...] = Field(
        description="When its signature is proven to have existed, in Unix seconds."
    )
    log_index: int | None = Field(description="Place in the transparency log, if in one.")
    model: bool = Field(description="Whether it is about the model as a whole.")
    files: tuple[Printable, ...] = Field(description="Signed files that it is about.")


class InputRefusedAttestation(_Part):
    """A file with an attestation that proves nothing here."""

    name: Printable
    path: Printable
    code: str = Field(description="Reason code.")
    msg: Printable = Field(description="Why, in one sentence.")


class InputBom(_Part):
    """A bill of materials in the model, which the model's signature covers."""

    name: Printable = Field(description="What the gate's configuration calls it.")
    path: Printable = Field(description="The file in the model.")
    format: Literal["CycloneDX", "SPDX"]
    spec_version: Printable = Field(description="Of the format, as the document says it.")
    document: dict[str, JsonValue] = Field(
        description="All of it; strings are escaped. Nobody has compared it with its schema."
    )


class InputRefusedBom(_Part):
    """A file that is called a bill of materials, and does not count."""

    name: Printable
    path: Printable
    code: str = Field(description="Reason code.")
    msg: Printable = Field(description="Why, in one sentence.")


class InputRelease(_Part):
    """A release of the model that was admitted before."""

    revision: Printable | None
    root_digest: str
    signed_at: float | None = Field(description="Proven time of its signature, in Unix seconds.")
    seen_at: float = Field(description="When it was admitted first, in Unix seconds.")


class InputHistory(_Part):
    """What the gate remembers of the model, by its name."""

    first_seen: float | None = Field(
        description="When it was admitted first, in Unix seconds; null where it never was."
    )
    pinned: tuple[Signer, ...] = Field(description="The signers that are approved for it.")
    signer_pinned: bool = Field(description="Whether this signer is one of them.")
    newer: InputRelease | None = Field(
        description="The newest release that was admitted under the same reference, where this one "
        "is older, or lacks the proof of its time that would show it is not, and nobody has "
        "approved going back to it."
    )


class InputDocument(_Part):
    """What a policy decides on, as ``input``."""

    schema_version: Literal["oms-gate/input/v1"] = Field(default=INPUT_SCHEMA, alias="schema")
    model: InputModel
    signer: Signer
    signature: InputSignature
    coverage: InputCoverage
    attestations: tuple[InputAttestation, ...] = Field(
        description="Statements about the model that its configuration names."
    )
    refused_attestations: tuple[InputRefusedAttestation, ...]
    boms: tuple[InputBom, ...] = Field(
        description="Signed bills of materials that its configuration names."
    )
    refused_boms: tuple[InputRefusedBom, ...]
    history: InputHistory | None = Field(description="Null where the gate keeps no memory.")
    assurance: Assurance = Field(description="What the gate was asked for.")
    now: float = Field(description="The time of the check, in Unix seconds.")
    context: dict[str, JsonValue] = Field(
        description="What the model is wanted for ('operation': verify, load, pull, admit, publish "
        "or proxy), and what the caller adds, such as a namespace."
    )


def input_document(
    *,
    model: Model,
    signer: Signer,
    signature: Signature,
    sorted_names: bool,
    allow_symlinks: bool,
    coverage: CoverageInput,
    assurance: Assurance,
    now: datetime,
    context: Mapping[str, JsonValue] | None = None,
    attestations: Sequence[InputAttestation] = (),
    refused_attestations: Sequence[InputRefusedAttestation] = (),
    boms: Sequence[InputBom] = (),
    refused_boms: Sequence[InputRefusedBom] = (),
    history: InputHistory | None = None,
) -> dict[str, object]:
    """The input document of one check, ready for `Engine.decide`.

    signer, signature: of the verified bundle.
    sorted_names: whether its resources are in code point order.
    allow_symlinks: as the signer declared it.
    assurance: what the gate was asked for.
    now: the time of the check, with its time zone.
    context: what the caller adds; the operation is ``verify`` where it names no other.
    attestations, refused_attestations: statements beside the model.
    boms, refused_boms: bills of materials in it.
    history: what is remembered of it, where a memory is kept.
    """
    signed_files: dict[Kind, list[str]] = {}
    for path, _ in coverage.signed:
        signed_files.setdefault(kind_of(path), []).append(path)
    document = InputDocument(
        model=InputModel(**dict(model), scheme=model.name.partition("://")[0]),
        signer=signer,
        signature=InputSignature(
            format=signature.format,
            root_digest=signature.root_digest,
            serialization=signature.serialization,
            hash_type=signature.hash_type,
            allow_symlinks=allow_symlinks,
            sorted=sorted_names,
            times=tuple(proof.time.timestamp() for proof in signature.times),
            log_index=signature.log_index,
            bundle_sha256=signature.sha256,
        ),
        coverage=InputCoverage(
            signed=len(coverage.signed),
            signed_bytes=_total(size for _, size in coverage.signed),
            signed_files={kind: tuple(paths) for kind, paths in signed_files.items()},
            missing=coverage.missing,
            unsigned=tuple(
                InputFile(path=path, size=size, kind=kind_of(path))
                for path, size in coverage.unsigned
            ),
            ignored=tuple(
                InputIgnoredFile(path=path, size=size, kind=kind_of(path), scope=scope)
                for path, size, scope in coverage.ignored
            ),
        ),
        attestations=tuple(attestations),
        refused_attestations=tuple(refused_attestations),
        boms=tuple(boms),
        refused_boms=tuple(refused_boms),
        history=history,
        assurance=assurance,
        now=now.timestamp(),
        context={"operation": "verify", **(context or {})},
    )
    return document.model_dump(mode="json", by_alias=True)


def _total(sizes: Iterable[int | None]) -> int | None:
    known = [0, *sizes]
    return None if None in known else sum(size for size in known if size is not None)


def input_schema() -> dict[str, object]:
    """The JSON Schema of the input document."""
    return InputDocument.model_json_schema(mode="serialization")
