"""Verification summaries: what a gate has verified of a model, in a form that others can rely on.

SLSA Verification Summary Attestation v1 (https://slsa.dev/spec/v1.1/verification_summary): an
in-toto statement about the model's root digest and its files. What the specification has no field
for is in an extension field of its own, whose name is a URI.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final, Self
from urllib.parse import quote

from oms_gate import __version__
from oms_gate.errors import EvidenceError
from oms_gate.oms.attestation import VerifiedAttestation
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.oms.quoting import quoted
from oms_gate.oms.statement import STATEMENT_TYPE
from oms_gate.oms.strict_json import JsonObject, MalformedJson
from oms_gate.policy.predicates import times_in
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Model, Signature, Verdict

PREDICATE_TYPE: Final = "https://slsa.dev/verification_summary/v1"
EXTENSION: Final = "urn:oms-gate:verification:v1"
"""The field of the predicate that holds the model's revision, its signer and the policy's name."""

LEVELS: Final[Mapping[Assurance, str]] = {
    Assurance.SIGNATURE: "OMS_SIGNATURE",
    Assurance.DECLARED: "OMS_DECLARED",
    Assurance.BYTES: "OMS_BYTES",
}
"""The levels of our track; each implies those before it, and a summary has one (SlsaResult)."""

MOST_FILES: Final = 10_000
"""Most files that are subjects by themselves, as a count; of more, the root digest speaks."""

_SLSA_VERSION = "1.1"
_TIME = "timeVerified"
_DIGEST = re.compile(r"(?:^|@)sha256:([0-9a-f]{64})$")


@dataclass(frozen=True)
class Subject:
    """What a summary is about: a release of a model, its signature and its signed files.

    files: their signed digests, in hex, by their paths; empty where they were signed in shards, or
        are more than `MOST_FILES`.
    """

    model: Model
    signature: Signature
    files: Mapping[str, str]

    @classmethod
    def of(
        cls, model: Model, signature: Signature, signed: Mapping[str, tuple[Resource, ...]]
    ) -> Self:
        """The subject of a check.

        signed: the signed resources of each file that is there, by its path.
        """
        whole = signature.serialization == "files" and len(signed) <= MOST_FILES
        files = {path: parts[0].digest for path, parts in signed.items()} if whole else {}
        return cls(model, signature, files)

    @property
    def digests(self) -> frozenset[tuple[str, str]]:
        """The digests of all of it, each with the name of its hash function."""
        hash_type: HashType = self.signature.hash_type
        files = ((hash_type, digest) for digest in self.files.values())
        return frozenset((("sha256", self.signature.root_digest), *files))

    def name(self, assurance: Assurance) -> str:
        """The file name of a summary of it: one for each model, release, signature and level."""
        release = f"{self.model.url}\n{self.model.revision}".encode()
        short = hashlib.sha256(release).hexdigest()[:16]
        return f"{self.signature.sha256}-{short}.{assurance}.vsa.json"


@dataclass(frozen=True)
class Summary:
    """What somebody says to have verified, as it was signed.

    time: when it was verified, in Unix seconds.
    digests: of what it is about, each with the name of its hash function.
    inputs: SHA-256 of the signature and the attestations that were verified, in hex.
    """

    verifier: str
    time: float
    resource: str
    revision: str
    engine: str
    policy: str
    digests: frozenset[tuple[str, str]]
    inputs: frozenset[str]
    result: str
    levels: tuple[str, ...]


def proven(verdict: Verdict) -> Assurance | None:
    """How far a verdict may be summarised; None where it admits nothing by its own judgement.

    That is never further than what was proven here of all of the model in its store: neither what
    another gate says, nor the bytes of some of the files, nor those that an earlier pull had left
    here, are made more of.
    """
    judged = verdict.policy is not None and verdict.policy.engine != "pinned"
    if not verdict.admitted or not judged or verdict.signature is None or verdict.coverage is None:
        return None
    came = verdict.delivery
    if came is not None and (came.left_out or came.reused_bytes):
        return Assurance.SIGNATURE
    if verdict.coverage.missing:
        return Assurance.SIGNATURE
    return verdict.assurance


def summary_statement(
    verdict: Verdict, subject: Subject, assurance: Assurance, verifier: str, policy_uri: str | None
) -> dict[str, object]:
    """The in-toto statement of a summary.

    verdict: admitted, by a policy and with a signature.
    verifier: the URI of the gate.
    policy_uri: of the policy; None for a URN of its revision.
    """
    policy, signature, model = verdict.policy, subject.signature, subject.model
    assert policy is not None
    assert verdict.signer is not None
    root = {"name": model.url, "digest": {"sha256": signature.root_digest}}
    files = [
        {"name": path, "digest": {signature.hash_type: digest}}
        for path, digest in subject.files.items()
    ]
    inputs = {_uri(model, signature.location): signature.sha256}
    inputs |= {_uri(model, one.path): one.sha256 for one in verdict.attestations}
    if (relied := verdict.summary) is not None:
        inputs[_uri(model, relied.location)] = relied.sha256
    stated = _DIGEST.search(policy.revision)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [root, *files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "verifier": {"id": verifier, "version": {"oms-gate": __version__}},
            _TIME: f"{verdict.checked_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "resourceUri": model.url,
            "policy": {
                "uri": policy_uri or f"urn:oms-gate:policy:{quote(policy.revision, safe=':@')}",
                **({} if stated is None else {"digest": {"sha256": stated[1]}}),
            },
            "inputAttestations": [
                {"uri": uri, "digest": {"sha256": digest}} for uri, digest in inputs.items()
            ],
            "verificationResult": "PASSED",
            "verifiedLevels": [LEVELS[assurance]],
            "slsaVersion": _SLSA_VERSION,
            EXTENSION: {
                "revision": model.revision,
                "policy": {"engine": policy.engine, "revision": policy.revision},
                "signer": verdict.signer.model_dump(mode="json", exclude_none=True),
            },
        },
    }


def _uri(model: Model, place: str) -> str:
    """The URI of what a verdict says to be in a place: in the model, beside it, or elsewhere."""
    if place.startswith("/"):
        return f"file://{place}"
    return place if "://" in place else f"{model.url}/{place}"


def read_summary(attestation: VerifiedAttestation) -> Summary:
    """Read a summary whose signature is verified. Fields that it does not know do not matter.

    Raises:
        EvidenceError: ``summary.malformed``, it is another attestation or lacks a field.
    """
    if attestation.predicate_type != PREDICATE_TYPE:
        raise EvidenceError(
            ReasonCode.SUMMARY_MALFORMED,
            f"its predicate type is {quoted(attestation.predicate_type)} and not {PREDICATE_TYPE}",
        )
    try:
        return _read(attestation, JsonObject(attestation.predicate, "the predicate"))
    except MalformedJson as error:
        raise EvidenceError(
            ReasonCode.SUMMARY_MALFORMED, f"it is not one that oms-gate makes: {error}"
        ) from error


def _read(attestation: VerifiedAttestation, predicate: JsonObject) -> Summary:
    time = times_in({_TIME: predicate.text(_TIME)}).get(f"/{_TIME}")
    if time is None:
        predicate.fault(_TIME, "is no time (RFC 3339)")
    own = predicate.object(EXTENSION)
    policy = own.object("policy")
    return Summary(
        verifier=predicate.object("verifier").text("id"),
        time=time,
        resource=predicate.text("resourceUri"),
        revision=own.text("revision"),
        engine=policy.text("engine"),
        policy=policy.text("revision"),
        digests=attestation.digests,
        inputs=frozenset(
            entry.object("digest").text("sha256")
            for entry in predicate.objects("inputAttestations")
        ),
        result=predicate.text("verificationResult"),
        levels=tuple(predicate.texts("verifiedLevels")),
    )
