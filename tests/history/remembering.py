"""Gates that remember, and models to remember: signed by one or another, earlier or later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oms_gate import Gate, ReasonCode, Verdict
from oms_gate.config import GateConfig
from oms_gate.history import History, Observation
from oms_gate.limits import Limits
from oms_gate.verdict import Signer, TrustRoot
from tests import models
from tests.oms import forge
from tests.sigstore.instance import signature_of
from tests.sigstore.timestamps import TimestampAuthority

AUTHORITY = TimestampAuthority.make()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
# Of real checks: what is proven must not be in the future.
SIGNED_AT = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = {name: models.new_key() for name in ("acme", "other", "stranger")}
EVERYWHERE = ["/**", "hf://**", "s3://**"]
FIRST_USE = {"name": "Any", "models": EVERYWHERE, "signers": [{"method": "first-use"}]}
NAMED = {
    "name": "Named",
    "models": EVERYWHERE,
    "signers": [{"method": "key", "key": "acme"}, {"method": "key", "key": "other"}],
}


def settings(folder: Path, *rules: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """A configuration that trusts two keys, keeps its memory in `folder`, and has these rules."""
    for name in ("acme", "other"):
        (folder / f"{name}.pub").write_bytes(models.public_pem(KEYS[name]))
    (folder / "authority.pem").write_bytes(AUTHORITY.root_pem)
    return {
        "trust": {
            "keys": {name: str(folder / f"{name}.pub") for name in ("acme", "other")},
            "timestamp_authorities": {"time": str(folder / "authority.pem")},
            "public_good": False,
        },
        "publishers": [*(rules or (FIRST_USE,))],
        "history": {"file": str(folder / "memory" / "history.db")},
        **sections,
    }


def gate_of(configured: Mapping[str, Any]) -> Gate:
    return Gate.from_config(GateConfig.model_validate_json(json.dumps(configured)))


def memory(gate: Gate) -> History:
    """The memory of a gate that has one."""
    assert gate.history is not None
    return gate.history


def release(number: int, by: str = "acme", *, signed_days: float | None = None) -> dict[str, bytes]:
    """The files of a release.

    signed_days: when it was signed, after `SIGNED_AT`, as a timestamp proves; None without one.
    """
    files = {**models.FILES, "config.json": b'{"release": %d}' % number}
    bundle = models.signature(files, KEYS[by])
    if signed_days is not None:
        bundle = stamped(bundle, SIGNED_AT + timedelta(days=signed_days))
    return {**files, "model.sig": bundle}


def stamped(bundle: bytes, *times: datetime) -> bytes:
    """A bundle with timestamps over its signature."""
    made = json.loads(bundle)
    stamps = [AUTHORITY.timestamp(signature_of(made), at) for at in times]
    data = {"rfc3161Timestamps": [{"signedTimestamp": forge.b64(stamp)} for stamp in stamps]}
    made["verificationMaterial"]["timestampVerificationData"] = data
    return forge.encode(made)


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def key_signer(label: str, root: str = "root") -> Signer:
    """One who signs with a key, which the operator calls `root`."""
    digest = forge.sha256(label.encode())
    return Signer(
        method="key",
        identity=f"sha256:{digest}",
        key_sha256=digest,
        root=TrustRoot(name=root, sha256=digest),
    )


def observed(statement: str = "s1", **differences: Any) -> Observation:
    """A release that was found."""
    facts: dict[str, Any] = {
        "model": "hf://acme/m",
        "asked": "",
        "fixed": False,
        "revision": "c" * 40,
        "statement": statement,
        "root_digest": "0" * 64,
        "signer": key_signer("acme"),
        "signed_at": None,
    }
    return Observation(**{**facts, **differences})


def admit(history: History, found: Observation, at: datetime = NOW) -> None:
    """Record that a release was admitted."""
    assert history.record(found, history.recall(found), at) is None


def history_in(folder: Path, **limits: Any) -> History:
    return History(folder / "history.db", Limits(**limits))
