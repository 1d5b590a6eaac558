"""``oms-gate annotate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.commands import oms_gate
from tests.delivery.pulling import signed
from tests.events.receiving import outcomes, put_all
from tests.publish.on_s3 import Place


@pytest.fixture
def reached(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place, which the environment leads to."""
    for name, value in place.s3.environment().items():
        monkeypatch.setenv(name, value)
    return place


def test_admitted_and_denied(
    reached: Place, key: ec.EllipticCurvePrivateKey, public_key: Path
) -> None:
    put_all(reached, {**signed(key), "notes.md": b"nobody signed this"})
    result = oms_gate("annotate", reached.url, "--public-key", public_key)
    assert result.returncode == 0, result.stderr
    assert "objects tagged: 4 admitted, 1 denied" in result.stdout
    assert outcomes(reached)["notes.md"] == "denied"
    put_all(reached, signed(models.new_key()))
    result = oms_gate("annotate", reached.url, "--public-key", public_key, "--json")
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["verdict"]["outcome"] == "denied"
    assert document["tagged"] == {"admitted": 0, "denied": 5}
    assert set(outcomes(reached).values()) == {"denied"}


def test_what_has_no_tags(reached: Place, public_key: Path, tmp_path: Path) -> None:
    result = oms_gate("annotate", tmp_path, "--public-key", public_key)
    assert result.returncode == 2
    assert "not in S3" in result.stderr
    result = oms_gate("annotate", reached.url, "--public-key", public_key)
    assert result.returncode == 3
    assert "no object was tagged" in result.stdout
