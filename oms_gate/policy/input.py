"""The input document: all that a policy sees of a model, as JSON of a published schema.

The schema is in ``policies/input.schema.json``; ``opa check --strict -s`` checks policies by it.
Names in the document are escaped as in a verdict (`oms_gate.verdict.printable`), so that neither
an engine nor a message of a policy meets a control character or a lone surrogate.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    signed_files: tuple[InputFile, ...]
    missing: tuple[Printable, ...] = Field(description="Signed files that are not there.")
    unsigned: tuple[InputFile, ...] = Field(description="Files that are there and not signed.")
    ignored: tuple[InputIgnoredFile, ...] = Field(description="Files outside its scope.")


class InputDocument(_Part):
    """What a policy decides on, as ``input``."""

    schema_version: Literal["oms-gate/input/v1"] = Field(default=INPUT_SCHEMA, alias="schema")
    model: InputModel
    signer: Signer
    signature: InputSignature
    coverage: InputCoverage
    assurance: Assurance = Field(description="What the gate was asked for.")
    now: float = Field(description="The time of the check, in Unix seconds.")
    context: dict[str, JsonValue] = Field(description="What the caller adds, such as a namespace.")


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
) -> dict[str, object]:
    """The input document of one check, ready for `Engine.decide`.

    signer, signature: of the verified bundle.
    sorted_names: whether its resources are in code point order.
    allow_symlinks: as the signer declared it.
    assurance: what the gate was asked for.
    now: the time of the check, with its time zone.
    """
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
            signed_files=tuple(
                InputFile(path=path, size=size, kind=kind_of(path))
                for path, size in coverage.signed
            ),
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
        assurance=assurance,
        now=now.timestamp(),
        context=dict(context or {}),
    )
    return document.model_dump(mode="json", by_alias=True)


def input_schema() -> dict[str, object]:
    """The JSON Schema of the input document."""
    return InputDocument.model_json_schema(mode="serialization")
