"""The signed statement: an in-toto Statement v1 around the OMS predicate v1.0.

Reading and writing sit together: what `serialize_statement` writes, `parse_statement` reads back.
The reference implementation's own spellings (``blake2``, ``sha256-sharded-<n>``,
``shard_size: 4.0``) are read as what they mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Manifest, Resource, Serialization
from oms_gate.oms.quoting import quoted
from oms_gate.oms.strict_json import JsonObject, MalformedJson, parse
from oms_gate.reason_codes import ReasonCode

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
OLD_PREDICATE_TYPE: Final = "https://model_signing/Digests/v0.1"

_HASH_NAMES: Final[dict[str, HashType]] = {
    "sha256": "sha256",
    "blake2b": "blake2b",
    "blake2": "blake2b",
    "blake3": "blake3",
}
_METHODS: Final[dict[str, Serialization]] = {"files": "files", "shards": "shards"}
_SHARD_NAME = re.compile(r"(.+):(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", re.DOTALL)
_HEX = re.compile(r"[0-9a-f]+")
# An entry of the manifest has four.
_VALUES_PER_RESOURCE = 4
_OTHER_VALUES = 10_000

Format = Literal["v1.0", "v0.2"]
T = TypeVar("T")


@dataclass(frozen=True)
class Statement:
    """What the payload of a bundle states: that a model consists of what the manifest lists.

    subject_name: the signer's word for the model; it binds nothing.
    """

    subject_name: str
    manifest: Manifest
    format: Format = "v1.0"


def parse_statement(payload: bytes, limits: Limits) -> Statement:
    """Read the payload of a bundle whose signature has been verified.

    Raises:
        SignatureError: ``statement.malformed``, ``statement.unsafe-name``,
            ``statement.root-digest`` where the subject is not the digest of the resources, or
            ``bundle.unsupported`` for the format before v1.0.
    """
    with reading(payload, limits) as statement:
        return read_statement(statement, limits)


@contextmanager
def reading(payload: bytes, limits: Limits) -> Iterator[JsonObject]:
    """The payload as a strict JSON object; what is malformed in it becomes a `SignatureError`."""
    try:
        value = parse(
            payload,
            depth=limits.json_depth,
            values=_OTHER_VALUES + _VALUES_PER_RESOURCE * limits.resources,
            limit="limits.resources",
        )
        yield JsonObject(value, "the statement")
    except MalformedJson as error:
        raise SignatureError(
            ReasonCode.STATEMENT_MALFORMED,
            f"the signed statement is malformed: {error}; the publisher must sign the model again "
            "with a current OpenSSF Model Signing tool",
        ) from error


def listed_files(statement: JsonObject, name: str, limits: Limits) -> Iterator[JsonObject]:
    """The entries of a manifest, unless they are too many."""
    _check_count(statement, name, limits)
    return statement.objects(name)


def serialize_statement(manifest: Manifest, subject_name: str) -> bytes:
    """The payload that states `manifest`, always the same bytes for the same manifest."""
    serialization: dict[str, object] = {
        "method": manifest.serialization,
        "hash_type": manifest.hash_type,
        "allow_symlinks": manifest.allow_symlinks,
    }
    if manifest.shard_size is not None:
        serialization["shard_size"] = manifest.shard_size
    if manifest.ignore_paths:
        serialization["ignore_paths"] = list(manifest.ignore_paths)
    resources = [
        {
            "name": resource.name,
            "digest": resource.digest,
            "algorithm": manifest.hash_type,
        }
        for resource in manifest.resources
    ]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": subject_name, "digest": {"sha256": manifest.root_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def read_statement(statement: JsonObject, limits: Limits) -> Statement:
    """What `parse_statement` reads, of a payload that has been parsed.

    Raises:
        MalformedJson: what `reading` tells in the words of a `SignatureError`.
        SignatureError: see `parse_statement`.
    """
    if (predicate_type := statement.text("predicateType")) == OLD_PREDICATE_TYPE:
        raise SignatureError(
            ReasonCode.BUNDLE_UNSUPPORTED,
            "the model was signed in the format before OMS v1.0, which is not supported; the "
            "publisher must sign it again with a current OpenSSF Model Signing tool (where it was "
            "signed with a certificate, trust.old_format accepts it as it is)",
        )
    if predicate_type != PREDICATE_TYPE:
        statement.fault(
            "predicateType", f"must be {PREDICATE_TYPE}, but is {quoted(predicate_type)}"
        )
    if (kind := statement.text("_type")) != STATEMENT_TYPE:
        statement.fault("_type", f"must be {STATEMENT_TYPE}, but is {quoted(kind)}")
    statement.only("_type", "subject", "predicateType", "predicate")
    subject_name, stated_root = _read_subject(statement)
    manifest = _read_predicate(statement.object("predicate"), limits)
    if stated_root != manifest.root_digest:
        raise SignatureError(
            ReasonCode.STATEMENT_ROOT_DIGEST,
            f"the statement is about sha256 {stated_root}, but the digests that it lists give "
            f"{manifest.root_digest}; the publisher must sign the model again",
        )
    return Statement(subject_name, manifest)


def _check_count(holder: JsonObject, name: str, limits: Limits) -> None:
    if (count := holder.count(name)) > limits.resources:
        raise SignatureError(
            ReasonCode.STATEMENT_MALFORMED,
            f"the signed manifest has {count} entries in {name}, but limits.resources allows "
            f"{limits.resources}; raise the limit if the model has that many files or shards",
        )


def _read_subject(statement: JsonObject) -> tuple[str, str]:
    subjects = list(statement.objects("subject"))
    if len(subjects) != 1:
        statement.fault("subject", f"must name exactly one model, but names {len(subjects)}")
    digests = subjects[0].object("digest")
    for algorithm in digests:
        if not _HEX.fullmatch(digests.text(algorithm)):
            digests.fault(algorithm, "is not lower-case hex")
    return subjects[0].text("name"), digests.text("sha256")


def _read_predicate(predicate: JsonObject, limits: Limits) -> Manifest:
    predicate.only("resources", "serialization")
    settings = predicate.object("serialization")
    settings.only("method", "hash_type", "allow_symlinks", "ignore_paths", "shard_size")
    serialization = _known(settings, "method", _METHODS)
    hash_type = _known(settings, "hash_type", _HASH_NAMES)
    allow_symlinks = settings.boolean("allow_symlinks")
    shard_size = settings.integer("shard_size") if "shard_size" in settings else None
    ignore_paths = []
    if "ignore_paths" in settings:
        _check_count(settings, "ignore_paths", limits)
        ignore_paths = settings.texts("ignore_paths")
    algorithms = {name for name, means in _HASH_NAMES.items() if means == hash_type}
    if serialization == "shards":
        algorithms |= {f"{name}-sharded-{shard_size}" for name in algorithms}
    read = _read_shard if serialization == "shards" else _read_file
    resources = []
    for entry in listed_files(predicate, "resources", limits):
        if (algorithm := entry.text("algorithm")) not in algorithms:
            entry.fault(
                "algorithm", f"is {quoted(algorithm)}, which is not the hash type {hash_type}"
            )
        resources.append(read(entry))
    return Manifest(
        serialization=serialization,
        hash_type=hash_type,
        shard_size=shard_size,
        allow_symlinks=allow_symlinks,
        ignore_paths=tuple(ignore_paths),
        resources=tuple(resources),
    )


def _read_file(entry: JsonObject) -> Resource:
    return Resource(entry.text("name"), entry.text("digest"))


def _read_shard(entry: JsonObject) -> Resource:
    name = entry.text("name")
    # The path may hold colons itself; the range is what follows the last but one.
    if not (match := _SHARD_NAME.fullmatch(name)):
        entry.fault("name", f"must be path:start:end with plain decimals, but is {quoted(name)}")
    path, start, end = match.groups()
    return Resource(path, entry.text("digest"), int(start), int(end))


def _known(settings: JsonObject, name: str, known: Mapping[str, T]) -> T:
    if (value := settings.text(name)) not in known:
        settings.fault(name, f"must be one of {', '.join(known)}, but is {quoted(value)}")
    return known[value]
