"""What a pod's annotation says was admitted: nothing but what the gate itself would write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oms_gate.kubernetes.pins import ADMITTED_ANNOTATION, Pin, read_pins, written_pins
from oms_gate.reference import Reference

RELEASE = "20260101T000000Z-0123456789abcdef-00000000"
OTHER = "20260102T000000Z-0123456789abcdef-00000000"
SIGNATURE = "0" * 64


def pin(url: str, revision: str | None) -> Pin:
    return Pin(Reference.parse(url), revision, SIGNATURE)


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_release_in_s3_is_read_back(scheme: str) -> None:
    place = f"{scheme}://b/x"
    release = f"{place}/oms-gate.releases/{RELEASE}"
    for asked, revision, fetched in (
        (place, RELEASE, release),
        (release, RELEASE, release),
        (place, None, place),
    ):
        written = written_pins([pin(asked, revision)])
        (read,) = read_pins({ADMITTED_ANNOTATION: written}).values()
        assert read == pin(asked, revision)
        assert read.pinned.url == fetched
        assert read.own.pinned.url == fetched


@pytest.mark.parametrize(
    ("model", "revision"),
    [
        ("s3://b/x", f"{RELEASE}/../../y"),
        ("s3://b/x", "../y"),
        ("s3://b/x", ""),
        ("s3://b/x", 1),
        ("s3://b/x", f"{RELEASE}\n"),
        (f"s3://b/x/oms-gate.releases/{RELEASE}", OTHER),
        ("gs://b/x", RELEASE),
        ("hf://org/x", RELEASE),
    ],
)
def test_what_names_another_place_is_no_pin(model: str, revision: Any) -> None:
    entry = {"model": model, "revision": revision, "signature": SIGNATURE}
    assert read_pins({ADMITTED_ANNOTATION: json.dumps([entry])}) == {}
