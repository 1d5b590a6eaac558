"""The gate. It is opened before the clock starts, as a server's is."""

from __future__ import annotations

from pathlib import Path

from benchmarks.trial import Source, Work
from oms_gate import Gate
from oms_gate.config import GateConfig


def check(key: str, assurance: str = "bytes") -> Work:
    """`Gate.check`, trusting a public key; a denial is a failure of the benchmark."""
    gate = open_gate(key, assurance)

    def work(source: Source, _: Path) -> None:
        verdict = gate.check(source.reference)
        assert verdict.admitted, verdict.reasons

    return work


def pull(key: str) -> Work:
    """`Gate.pull` into a folder that does not exist yet."""
    gate = open_gate(key, "bytes")

    def work(source: Source, place: Path) -> None:
        gate.pull(source.reference, place)

    return work


def open_gate(key: str, assurance: str) -> Gate:
    """A gate for everybody's models that trusts a public key."""
    config = {
        "assurance": assurance,
        "trust": {"keys": {"publisher": key}, "public_good": False},
        "publishers": [
            {
                "name": "everybody",
                "models": ["hf://**", "s3://**", "/**"],
                "signers": [{"method": "key", "key": "publisher"}],
            }
        ],
    }
    return Gate.from_config(GateConfig.model_validate(config))
