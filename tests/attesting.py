"""Attestations for tests: validly signed, whatever is in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.statement import parse_statement
from tests.oms import forge
from tests.oms.forge import Json, encode

PROVENANCE = "https://slsa.dev/provenance/v1"
SCAN = "https://in-toto.io/attestation/vulns/v0.2"
BUILD: Json = {
    "buildDefinition": {
        "buildType": "https://ci.example/build/v1",
        "resolvedDependencies": [{"uri": "git+https://git.example/acme/model@refs/heads/main"}],
    },
    "runDetails": {"builder": {"id": "https://ci.example/runner"}},
}


def scan(*severities: str, days_ago: float = 1) -> Json:
    """The predicate of a scan with these findings."""
    ended = datetime.now(UTC) - timedelta(days=days_ago)
    result = [
        {"id": "CVE-1", "severity": [{"method": "nvd", "score": word}]} for word in severities
    ]
    return {
        "scanner": {"uri": "pkg:example/scanner", "result": result},
        "metadata": {"scanFinishedOn": ended.isoformat()},
    }


def statement(
    digests: Iterable[str],
    predicate: Any = None,
    predicate_type: str = PROVENANCE,
    **changes: Any,
) -> Json:
    """An in-toto statement about what has these digests (SHA-256)."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": f"file {number}", "digest": {"sha256": digest}}
            for number, digest in enumerate(digests)
        ],
        "predicateType": predicate_type,
        "predicate": BUILD if predicate is None else predicate,
        **changes,
    }


def signed(made: Json, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The attestation as one line."""
    return json.dumps(forge.key_bundle(encode(made), key)).encode()


def root_digest(signature: bytes) -> str:
    """Of the model that a signature file is about."""
    return parse_statement(parse_bundle(signature, Limits()).payload, Limits()).manifest.root_digest


def sha256(content: bytes) -> str:
    """In hex."""
    return hashlib.sha256(content).hexdigest()
