"""What there is to remember of a model: a release of it, whose signature was verified."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from oms_gate.oms.verify import VerifiedSignature
from oms_gate.reference import Reference
from oms_gate.stores.hub_api import COMMIT
from oms_gate.verdict import Signer


@dataclass(frozen=True)
class Observation:
    """A release of a model, as it is found at a reference.

    model: the name that publisher rules match.
    asked: the branch, tag, commit or release that was asked for; empty where none was.
    fixed: whether that can never name anything else.
    revision: what it names now; as of a snapshot.
    statement: SHA-256 of what was signed, in hex.
    root_digest: of the signed manifest, in hex.
    signed_at: the first proven time of its signature, in Unix seconds; None without a proof.
    """

    model: str
    asked: str
    fixed: bool
    revision: str
    statement: str
    root_digest: str
    signer: Signer
    signed_at: float | None

    @classmethod
    def of(cls, reference: Reference, revision: str, verified: VerifiedSignature) -> Self:
        """What was found.

        reference: as it was asked for.
        revision: of the snapshot with the signature.
        """
        asked, fixed = asked_of(reference)
        return cls(
            model=reference.name,
            asked=asked,
            fixed=fixed,
            revision=revision,
            statement=verified.statement_sha256,
            root_digest=verified.manifest.root_digest,
            signer=verified.signer,
            signed_at=min((proof.time.timestamp() for proof in verified.times), default=None),
        )


def asked_of(reference: Reference) -> tuple[str, bool]:
    """What a reference asks for besides the model, see `Observation`; and whether that is fixed."""
    asked = reference.revision or ""
    if reference.scheme == "hf" and COMMIT.fullmatch(asked.lower()):
        return asked.lower(), True
    return (asked, False) if reference.release is None else (reference.release, True)


def identity_of(signer: Signer) -> str:
    """What is the same in all signatures by one signer, and in those of nobody else.

    That is the key itself, whatever the operator calls it; for a certificate the identity that the
    root vouches for, and not the key, which is a new one each time; with Sigstore together with
    the issuer. A root goes by its name, as in publisher rules: its file changes when an authority
    gets a new certificate. A subject is no alternative name of the same spelling.
    """
    if signer.method == "key":
        return json.dumps(["key", signer.key_sha256])
    if signer.method == "sigstore":
        return json.dumps(["sigstore", signer.root.name, signer.issuer, signer.identity])
    by = "subject" if signer.identity == signer.subject else "alternative name"
    return json.dumps(["certificate", signer.root.name, by, signer.identity])
