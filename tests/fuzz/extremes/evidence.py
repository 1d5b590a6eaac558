"""Expensive evidence of Sigstore's: log entries, timestamps and certificates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fuzz.extremes.made import LARGEST, PAYLOAD, extensions, extreme, uri_names
from tests.oms import forge
from tests.oms.forge import Json, encode

# -- Sigstore's evidence


def sigstore_shaped() -> Json:
    """A bundle that has all of Sigstore's members, none of them genuine."""
    leaf = forge.issue_leaf("leaf", more=[uri_names(1)])
    made = forge.bundle(encode(forge.statement()), b"signature", {})
    made["verificationMaterial"] = {
        "certificate": {"rawBytes": forge.b64(leaf.der)},
        "tlogEntries": [
            {
                "logIndex": "7",
                "logId": {"keyId": forge.b64(bytes(32))},
                "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                "integratedTime": str(int(forge.NOW.timestamp())),
                "inclusionPromise": {"signedEntryTimestamp": forge.b64(b"promise")},
                "inclusionProof": {
                    "logIndex": "3",
                    "rootHash": forge.b64(bytes(32)),
                    "treeSize": "9",
                    "hashes": [forge.b64(bytes(32))],
                    "checkpoint": {"envelope": "log\n9\n\n"},
                },
                "canonicalizedBody": forge.b64(b"{}"),
            }
        ],
    }
    return made


def _logged(change: Callable[[Any], object]) -> bytes:
    made = sigstore_shaped()
    change(made["verificationMaterial"]["tlogEntries"][0])
    return encode(made)


@extreme
def log_entry_with_a_long_body() -> bytes:
    body = forge.b64(b"[" + b"[]," * ((PAYLOAD - 4000) // 3) + b"0]")
    return _logged(lambda entry: entry.update(canonicalizedBody=body))


@extreme
def log_entry_with_a_long_checkpoint() -> bytes:
    note = "log\n9\n" + "\n\u2014 x AAAA" * ((LARGEST - 5000) // 17)
    return _logged(lambda entry: entry["inclusionProof"]["checkpoint"].update(envelope=note))


@extreme
def log_entry_with_many_hashes() -> bytes:
    hashes = [forge.b64(bytes(32))] * 9_900
    return _logged(lambda entry: entry["inclusionProof"].update(hashes=hashes))


@extreme
def log_entry_with_long_hashes() -> bytes:
    hashes = [forge.b64(bytes(1200))] * 9_900
    return _logged(lambda entry: entry["inclusionProof"].update(hashes=hashes))


def _timestamped(timestamps: list[bytes]) -> bytes:
    made = sigstore_shaped()
    made["verificationMaterial"]["timestampVerificationData"] = {
        "rfc3161Timestamps": [{"signedTimestamp": forge.b64(each)} for each in timestamps]
    }
    return encode(made)


@extreme
def timestamps_that_are_none() -> bytes:
    return _timestamped([b"\x30\x82\x0b\xb8" + bytes(3000)] * 4_000)


@extreme
def sigstore_certificate_with_many_names() -> bytes:
    leaf = forge.issue_leaf("leaf", more=[uri_names(800_000)])
    made = sigstore_shaped()
    made["verificationMaterial"]["certificate"] = {"rawBytes": forge.b64(leaf.der)}
    return encode(made)


@extreme
def sigstore_certificate_with_many_extensions() -> bytes:
    leaf = forge.issue_leaf("leaf", more=[uri_names(1), *extensions(5_000)])
    made = sigstore_shaped()
    made["verificationMaterial"]["certificate"] = {"rawBytes": forge.b64(leaf.der)}
    return encode(made)
