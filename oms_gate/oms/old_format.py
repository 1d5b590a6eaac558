"""The format before OMS v1.0 (release 0.2 of the reference implementation), read on request only.

Models that were signed in it with a certificate are still in use. Its statement has one subject for
each file and no root digest, and what was signed is not the DSSE encoding of the payload but a text
around the payload as Python prints bytes, always with SHA-256.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.limits import Limits
from oms_gate.oms import dsse
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.quoting import quoted
from oms_gate.oms.statement import (
    OLD_PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    listed_files,
    reading,
)
from oms_gate.oms.strict_json import JsonObject

_HASHING = "file-sha256"


def encoding(payload: bytes) -> bytes:
    """The bytes that a signature in the old format signs."""
    kind = dsse.PAYLOAD_TYPE
    return f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload!r}".encode()


def verify(public_key: ec.EllipticCurvePublicKey, payload: bytes, signature: bytes) -> None:
    """Check a signature in the old format.

    Raises:
        SignatureError: ``signature.invalid``.
    """
    try:
        public_key.verify(signature, encoding(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise dsse.invalid() from error


def parse_statement(payload: bytes, limits: Limits) -> Statement:
    """Read the payload of a bundle in the old format whose signature has been verified.

    The subject's name is empty: the format has none for the model.

    Raises:
        SignatureError: ``statement.malformed`` or ``statement.unsafe-name``.
    """
    with reading(payload, limits) as statement:
        return read_statement(statement, limits)


def read_statement(statement: JsonObject, limits: Limits) -> Statement:
    """What `parse_statement` reads, of a payload that has been parsed.

    Raises:
        MalformedJson: what `reading` tells in the words of a `SignatureError`.
        SignatureError: see `parse_statement`.
    """
    statement.only("_type", "subject", "predicateType", "predicate")
    for member, expected in (("_type", STATEMENT_TYPE), ("predicateType", OLD_PREDICATE_TYPE)):
        if (found := statement.text(member)) != expected:
            statement.fault(member, f"must be {expected}, but is {quoted(found)}")
    subjects = listed_files(statement, "subject", limits)
    return Statement(
        subject_name="",
        manifest=Manifest(
            serialization="files",
            hash_type="sha256",
            shard_size=None,
            allow_symlinks=False,
            ignore_paths=(),
            resources=tuple(map(_resource, subjects)),
        ),
        format="v0.2",
    )


def _resource(subject: JsonObject) -> Resource:
    subject.only("name", "digest", "annotations")
    digest = subject.object("digest")
    digest.only("sha256")
    if "annotations" in subject:
        annotations = subject.object("annotations")
        annotations.only("actual_hash_algorithm")
        if (hashing := annotations.text("actual_hash_algorithm")) != _HASHING:
            annotations.fault("actual_hash_algorithm", f"must be {_HASHING}, not {quoted(hashing)}")
    return Resource(subject.text("name"), digest.text("sha256"))
