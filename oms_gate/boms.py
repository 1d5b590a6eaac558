"""The bills of materials in a model: looked for by name, read, and shown to the policy.

Only what the model's signature covers counts: whoever could add a file could otherwise say what the
model is made of. What is wrong with one is told and denies nothing by itself; whether a model needs
one is for the policy to say. One that is not the file that was signed denies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from oms_gate.errors import StepError
from oms_gate.limits import Limits
from oms_gate.oms import strict_json
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.policy.globs import Globs
from oms_gate.policy.input import InputBom, InputRefusedBom
from oms_gate.policy.predicates import shown
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot, within
from oms_gate.streaming.measure import check_measured
from oms_gate.verdict import Reason, printable

_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}")


class _RefusedError(StepError):
    """A file that is called a bill of materials does not count."""


@dataclass(frozen=True)
class Boms:
    """What was found in a model.

    accepted: signed documents, by each of their names.
    refused: the rest, and why; as policies see it, and as a verdict warns of it.
    """

    accepted: tuple[InputBom, ...] = ()
    refused: tuple[tuple[InputRefusedBom, Reason], ...] = ()


def read_boms(
    places: Mapping[str, str],
    snapshot: Snapshot,
    signed: Mapping[str, tuple[Resource, ...]],
    hash_type: HashType,
    limits: Limits,
) -> Boms:
    """Find and read the bills of materials of one model.

    places: globs over paths in the model, by the names that policies use.
    signed: the signed resources of each file that is there, by its path.

    Raises:
        StoreError: the store failed.
        MeasureError: a file is not the one that was signed.
    """
    named: dict[str, list[str]] = {}
    for name, glob in places.items():
        globs = Globs([glob])
        for path in snapshot.files:
            if path in globs:
                named.setdefault(path, []).append(name)
    accepted: list[InputBom] = []
    refused: list[tuple[InputRefusedBom, Reason]] = []
    # Nobody can take the place of a signed one by adding others.
    for number, path in enumerate(sorted(named, key=lambda path: (path not in signed, path))):
        try:
            if number >= limits.boms:
                raise _too_many(limits)
            content = _content(snapshot, path, signed.get(path), hash_type, limits)
            accepted += (_document(name, path, content, limits) for name in named[path])
        except _RefusedError as error:
            refused += (_refusal(name, path, error.reason) for name in named[path])
            if number >= limits.boms:
                break
    return Boms(tuple(accepted), tuple(refused))


def _content(
    snapshot: Snapshot,
    path: str,
    signed: tuple[Resource, ...] | None,
    hash_type: HashType,
    limits: Limits,
) -> bytes:
    if signed is None:
        raise _RefusedError(
            ReasonCode.BOM_UNSIGNED,
            "the model's signature does not cover it, so anybody may have written it; sign the "
            "model with it",
        )
    content = within(limits.listing_seconds, lambda: snapshot.read(path, limits.bom_bytes))
    if content is None:
        raise _RefusedError(
            ReasonCode.BOM_TOO_LARGE,
            f"it is larger than {limits.bom_bytes} bytes; if it is genuine, raise the limit "
            "'bom_bytes'",
        )
    check_measured(content, path, signed, hash_type)
    return content


def _document(name: str, path: str, content: bytes, limits: Limits) -> InputBom:
    """What policies see of it. That it is valid by its own schema is for others to say."""
    try:
        value = strict_json.parse(
            content, depth=limits.json_depth, values=limits.bom_values, limit="limits.bom_values"
        )
        document = strict_json.JsonObject(value, "the document")
        assert isinstance(value, dict)
        if "spdxVersion" in document:
            member, kind = "spdxVersion", "SPDX"
            if "bomFormat" in document:
                document.fault("bomFormat", "is that of another format than spdxVersion")
        else:
            member, kind = "specVersion", document.text("bomFormat")
            if kind != "CycloneDX":
                document.fault("bomFormat", "is not CycloneDX")
        version = document.text(member).removeprefix("SPDX-")
        if not _VERSION.fullmatch(version):
            document.fault(member, "is no version, such as 1.6")
        return InputBom(
            name=name,
            path=path,
            format=kind,
            spec_version=version,
            document=shown(value),
        )
    except ValueError as error:
        raise _RefusedError(
            ReasonCode.BOM_MALFORMED,
            f"it is no CycloneDX or SPDX document in JSON that can be used: {error}; make it anew, "
            "and sign the model with it",
        ) from error


def _too_many(limits: Limits) -> _RefusedError:
    return _RefusedError(
        ReasonCode.BOM_TOO_MANY,
        f"with it and what follows, there are more than {limits.boms} bills of materials in the "
        "model (limits.boms); raise the limit if they are genuine",
    )


def _refusal(name: str, path: str, why: Reason) -> tuple[InputRefusedBom, Reason]:
    message = f"the bill of materials {printable(path)} does not count: {why.message}"
    reason = Reason(code=why.code, message=message, path=path)
    return InputRefusedBom(name=name, path=path, code=reason.code, msg=message), reason
