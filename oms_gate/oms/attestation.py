"""Attestations: signed statements about a model besides its signature (in-toto, Statement).

They come in the same bundles, are verified with the same trust, and say by digests what they are
about. A name binds nothing: subjects are compared by their SHA-256 alone. What is stated, the
predicate, is read as JSON and no further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final, Self

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.manifest import Resource, whole_digests
from oms_gate.oms.quoting import quoted
from oms_gate.oms.statement import OLD_PREDICATE_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from oms_gate.oms.strict_json import JsonObject, MalformedJson, parse
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import VerifiedSignature, check_signature
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import SignatureTime, Signer

# The second is what cosign writes.
_STATEMENT_TYPES: Final = (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1")
_MODEL_SIGNATURES: Final = (PREDICATE_TYPE, OLD_PREDICATE_TYPE)


@dataclass(frozen=True)
class VerifiedAttestation:
    """What a bundle proves that somebody has stated.

    predicate: JSON with one reading, as signed.
    digests: of what it is about: names of hash functions, and digests by them.
    times: when the signature is proven to have existed, by log or timestamps.
    """

    signer: Signer
    predicate_type: str
    predicate: Mapping[str, object]
    digests: frozenset[tuple[str, str]]
    times: tuple[SignatureTime, ...]
    log_index: int | None

    @property
    def subjects(self) -> frozenset[str]:
        """SHA-256 of what it is about, in hex."""
        return frozenset(digest for name, digest in self.digests if name == "sha256")


@dataclass(frozen=True)
class SignedModel:
    """What identifies a signed model.

    root_digest: of its manifest, in hex.
    bundle_sha256: of its signature file, in hex.
    files: paths of its signed files by their SHA-256 in hex, where they were signed so.
    """

    root_digest: str
    bundle_sha256: str
    files: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, signature: VerifiedSignature, signed: Mapping[str, tuple[Resource, ...]]) -> Self:
        """The model of a signature.

        signed: the signed resources of each of its files that is there, by its path.
        """
        files: dict[str, tuple[str, ...]] = {}
        for path, digest in whole_digests(signed, signature.manifest.hash_type).items():
            files[digest] = (*files.get(digest, ()), path)
        return cls(signature.manifest.root_digest, signature.bundle_sha256, files)

    def as_subject_of(self, attestation: VerifiedAttestation) -> tuple[bool, tuple[str, ...]]:
        """Whether an attestation is about the model as a whole, and the signed files of which.

        Raises:
            SignatureError: ``attestation.unrelated``, it is about neither.
        """
        whole = not attestation.subjects.isdisjoint((self.root_digest, self.bundle_sha256))
        digests = attestation.subjects & self.files.keys()
        files = tuple(sorted(path for digest in digests for path in self.files[digest]))
        if not whole and not files:
            raise SignatureError(
                ReasonCode.ATTESTATION_UNRELATED,
                "it is about something else: none of its subjects has the SHA-256 of the model's "
                f"signature file ({self.bundle_sha256}), of its manifest ({self.root_digest}) or "
                "of a file that was signed by its SHA-256; make one about this release",
            )
        return whole, files


def bundles_in(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The bundles of a file, and their lines: JSON lines (in-toto, attestation bundles) or one.

    A file whose first line is an object by itself is read by lines; any other is one document.
    """
    first = content.lstrip().partition(b"\n")[0].rstrip()
    if not (first.startswith(b"{") and first.endswith(b"}")):
        yield 1, content
        return
    for number, line in enumerate(BytesIO(content), 1):
        if bundle := line.strip():
            yield number, bundle


def verify_attestation(
    bundle: bytes, trust: Trust, *, at: datetime, limits: Limits
) -> VerifiedAttestation:
    """Verify an attestation; its signature is checked before what it signs is read.

    at: as of `verify`.

    Raises:
        SignatureError: see `parse_bundle` and `check_signature`; ``statement.malformed``, or
            ``bundle.unsupported`` where it is the signature of a model.
    """
    parsed = parse_bundle(bundle, limits)
    signer, times, log_index = check_signature(parsed, trust, at)
    try:
        value = parse(
            parsed.payload,
            depth=limits.json_depth,
            values=limits.attestation_values,
            limit="limits.attestation_values",
        )
        statement = JsonObject(value, "the statement")
        predicate_type = _predicate_type(statement)
        digests = _digests(statement)
        predicate = statement.members("predicate")
    except MalformedJson as error:
        raise SignatureError(
            ReasonCode.STATEMENT_MALFORMED,
            f"the signed statement is malformed: {error}; it must be made and signed again, as an "
            "in-toto statement",
        ) from error
    return VerifiedAttestation(signer, predicate_type, predicate, digests, times, log_index)


def _predicate_type(statement: JsonObject) -> str:
    if (predicate_type := statement.text("predicateType")) in _MODEL_SIGNATURES:
        raise SignatureError(
            ReasonCode.BUNDLE_UNSUPPORTED,
            "it is the signature of a model, which says no more than the model's own one; name "
            "attestations under 'attestations' in such a way that signatures are not among them",
        )
    if (kind := statement.text("_type")) not in _STATEMENT_TYPES:
        statement.fault("_type", f"must be {STATEMENT_TYPE}, but is {quoted(kind)}")
    return predicate_type


def _digests(statement: JsonObject) -> frozenset[tuple[str, str]]:
    sets = [
        subject.object("digest") for subject in statement.objects("subject") if "digest" in subject
    ]
    return frozenset((name, digests.text(name)) for digests in sets for name in digests)
