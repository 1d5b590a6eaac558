"""What the files of a model say of each other: an index of its shards, signatures beside files."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping

from oms_gate.errors import SignatureError
from oms_gate.gate import Gate
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.statement import parse_statement
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason

_INDEX = ".index.json"
_SIGNATURE = ".sig"


def inconsistencies(gate: Gate, result: Snapshot, signed: Mapping[str, str]) -> Iterator[Reason]:
    """A reason for each file that says of others what is not so.

    signed: the signed SHA-256 of whole files, in hex, by path.

    Raises:
        StoreError: a file cannot be read.
    """
    for path in sorted(result.files):
        if path.endswith(_INDEX):
            yield from _shards(gate, result, path)
        elif path.endswith(_SIGNATURE) and path != gate.signature.location:
            yield from _beside(gate, result, path, signed)


def _shards(gate: Gate, result: Snapshot, path: str) -> Iterator[Reason]:
    """Weights in several files have an index, which names them all."""
    content = result.read(path, gate.limits.listing_bytes) or b""
    try:
        index = json.loads(content)
    except (ValueError, RecursionError):
        return
    match index:
        case {"weight_map": dict(weights)}:
            names = {name for name in weights.values() if isinstance(name, str)}
        case _:
            return
    folder = posixpath.dirname(path)
    missing = sorted({posixpath.join(folder, name) for name in names} - result.files.keys())
    if missing:
        others = f" and {len(missing) - 1} more files" * (len(missing) > 1)
        yield Reason(
            code=ReasonCode.PUBLISH_INCOMPLETE,
            message=f"{path} says that weights are in {missing[0]}{others}, which would not be "
            "there; add what is missing, or the index that belongs to these weights",
            path=path,
        )


def _beside(gate: Gate, result: Snapshot, path: str, signed: Mapping[str, str]) -> Iterator[Reason]:
    """A file's own signature, as of GGUF files, is by the name of that file."""
    file = path.removesuffix(_SIGNATURE)
    content = result.read(path, gate.limits.bundle_bytes) or b""
    try:
        manifest = parse_statement(parse_bundle(content, gate.limits).payload, gate.limits).manifest
    except SignatureError:
        return  # Of another kind.
    if file not in result.files:
        what = "which would not be there; remove the signature, or add the file"
    elif file in signed and signed[file] not in {part.digest for part in manifest.resources}:
        what = "which was changed since; sign that file anew, or remove its signature"
    else:
        return
    yield Reason(
        code=ReasonCode.PUBLISH_STALE_SIGNATURE,
        message=f"{path} is a signature of {file}, {what}",
        path=path,
    )
