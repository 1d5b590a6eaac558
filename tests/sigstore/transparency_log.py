"""Transparency logs like Rekor v1 and v2: they note signatures, and can prove that they did."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oms.forge import b64
from tests.sigstore import merkle
from tests.sigstore.trust import ALWAYS, Json, LogKey, Period

_ED25519 = b"\x01"  # the algorithm's number in signed notes
_EARLIER_SHARDS = 1_000_000


def canonical(value: Json) -> bytes:
    """JSON in the one way in which it is signed (RFC 8785, for texts in ASCII and integers)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class TransparencyLog:
    """What both versions have in common: a tree of entries and a key that signs its heads.

    origin: the log's name in its checkpoints. leaves: it is a busy log, with entries of others.
    """

    origin: str
    key: LogKey = field(default_factory=LogKey)
    valid_for: Period = ALWAYS
    leaves: list[bytes] = field(
        default_factory=lambda: [b"entry %d of others" % number for number in range(5)]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The log's host, which is also the name of its key in checkpoints."""
        return self.origin.partition(" ")[0]

    @property
    def id(self) -> bytes:
        """The log's identifier, which begins with the hint to its key in checkpoints."""
        if not self.key.is_ed25519:
            return self.key.id
        raw = self.key.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(b"%b\n%b%b" % (self.host.encode(), _ED25519, raw)).digest()

    def checkpoint(self, size: int, root: bytes) -> str:
        """A signed head: the log stands by a tree of this size with this root hash."""
        note = f"{self.origin}\n{size}\n{b64(root)}\n"
        signature = b64(self.id[:4] + self.key.sign(note.encode()))
        return f"{note}\n\u2014 {self.host} {signature}\n"

    def trusted(self) -> Json:
        """What a trusted root says about it."""
        return self.key.instance(f"https://{self.host}", self.id, self.valid_for)

    def prove(self, index: int, size: int) -> Json:
        """The inclusion proof of one entry, at the time when there were so many."""
        leaves = self.leaves[:size]
        root = merkle.root_hash(leaves)
        return {
            "logIndex": str(index),
            "rootHash": b64(root),
            "treeSize": str(size),
            "hashes": [b64(node) for node in merkle.inclusion_proof(leaves, index)],
            "checkpoint": {"envelope": self.checkpoint(size, root)},
        }

    def note(self, body: bytes) -> Json:
        """Take an entry in. What the log says of it: the ``TransparencyLogEntry`` of a bundle."""
        with self._lock:
            index = len(self.leaves)
            self.leaves.extend((body, b"entry %d of others" % (index + 1)))
            size = len(self.leaves)
        content = json.loads(body)
        return {
            "logIndex": str(index),
            "logId": {"keyId": b64(self.id)},
            "kindVersion": {"kind": content["kind"], "version": content["apiVersion"]},
            "inclusionProof": self.prove(index, size),
            "canonicalizedBody": b64(body),
        }


class RekorV1(TransparencyLog):
    """A log that promises at once to take an entry in, and says when: it vouches for the time."""

    def enter(self, body: bytes, at: datetime) -> Json:
        """Take an entry in, and promise it."""
        entry = self.note(body)
        entry["logIndex"] = str(_EARLIER_SHARDS + int(entry["logIndex"]))
        entry["integratedTime"] = str(int(at.timestamp()))
        return self.promised(entry)

    def promised(self, entry: Json) -> Json:
        """The entry with a promise (signed entry timestamp) of all that it says, be it true."""
        said = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logID": _hex(entry["logId"]["keyId"]),
            "logIndex": int(entry["logIndex"]),
        }
        signature = b64(self.key.sign(canonical(said)))
        return entry | {"inclusionPromise": {"signedEntryTimestamp": signature}}


class RekorV2(TransparencyLog):
    """A log in tiles, that answers when an entry is in, and says nothing about the time."""

    def enter(self, body: bytes) -> Json:
        """Take an entry in."""
        return self.note(body)


def dsse_body(envelope: Json, certificate: x509.Certificate) -> bytes:
    """The content of a ``dsse/0.0.1`` entry."""
    pem = certificate.public_bytes(Encoding.PEM)
    return canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256(canonical(envelope)),
                "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
                "signatures": [
                    {"signature": signature["sig"], "verifier": b64(pem)}
                    for signature in envelope["signatures"]
                ],
            },
        }
    )


def hashedrekord_body(digest: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    """The content of a ``hashedrekord/0.0.2`` entry. digest: SHA-256 of what the key signed."""
    return canonical(
        {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
                    "signature": _signature(signature, certificate),
                }
            },
        }
    )


def dsse_v2_body(envelope: Json, certificate: x509.Certificate) -> bytes:
    """The content of a ``dsse/0.0.2`` entry, as the first clients of Rekor v2 made them."""
    payload = base64.b64decode(envelope["payload"])
    return canonical(
        {
            "apiVersion": "0.0.2",
            "kind": "dsse",
            "spec": {
                "dsseV002": {
                    "payloadHash": {
                        "algorithm": "SHA2_256",
                        "digest": b64(hashlib.sha256(payload).digest()),
                    },
                    "signatures": [
                        _signature(base64.b64decode(signature["sig"]), certificate)
                        for signature in envelope["signatures"]
                    ],
                }
            },
        }
    )


def _signature(signature: bytes, certificate: x509.Certificate) -> Json:
    return {
        "content": b64(signature),
        "verifier": {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "x509Certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
        },
    }


def _sha256(data: bytes) -> Json:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _hex(encoded: str) -> str:
    return base64.b64decode(encoded).hex()
