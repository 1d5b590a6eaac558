"""A guard whose gate is in ``mode: annotate``: it says what is wrong, and stops nothing."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import (
    HfFileSystem,
    constants,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from oms_gate import AdmissionWarning, Gate, guard
from tests import models
from tests.delivery.pulling import signed, tree
from tests.peers.hub import HubStandIn

CONFIG = models.FILES["config.json"]


def test_denied_models_are_loaded_with_one_warning(
    hub: HubStandIn,
    annotating: Gate,
    key: ec.EllipticCurvePrivateKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = signed(key)
    hub.create("mallory/m", files=files)
    hub.create("mallory/other", files=files)
    fs: Any = HfFileSystem()
    with guard(annotating), pytest.warns(AdmissionWarning) as warned:
        path = Path(hf_hub_download("mallory/m", "config.json"))
        assert path.read_bytes() == CONFIG
        assert path.is_relative_to(constants.HF_HUB_CACHE)  # It is the library's own.
        assert tree_of(snapshot_download("mallory/m")) == files
        assert fs.cat_file("mallory/m/config.json") == CONFIG
        assert try_to_load_from_cache("mallory/m", "config.json") == str(path)
        assert hf_hub_download("mallory/other", "config.json")
    assert len(warned) == 2
    said = [record.getMessage() for record in caplog.records if record.name == "oms_gate"]
    assert said == [str(warning.message) for warning in warned]
    assert "hf://mallory/m" in said[0]
    assert "[publisher.unknown]; it is used all the same" in said[0]
    assert caplog.records[-1].levelno == logging.WARNING


def tree_of(folder: str) -> dict[str, bytes]:
    """The files of a snapshot in the library's cache, which are links."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def test_what_is_cached_is_loaded_with_a_warning(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """A library that finds a file in the cache asks for nothing else."""
    hub.create("mallory/m", files=signed(key))
    path = hf_hub_download("mallory/m", "config.json")
    with guard(annotating), pytest.warns(AdmissionWarning, match=r"publisher\.unknown"):
        assert try_to_load_from_cache("mallory/m", "config.json") == path


def test_changed_bytes_are_loaded_with_a_warning(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    hub.replace_under_commit("acme/m", "config.json", b"!" + CONFIG[1:])
    with guard(annotating), pytest.warns(AdmissionWarning, match=r"file\.changed"):
        assert Path(hf_hub_download("acme/m", "config.json")).read_bytes() == b"!" + CONFIG[1:]


def test_unsigned_files_are_loaded_with_a_warning(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key) | {"CARD.md": b"# Not signed\n"})
    with guard(annotating), pytest.warns(AdmissionWarning, match="not covered"):
        assert Path(hf_hub_download("acme/m", "CARD.md")).read_bytes() == b"# Not signed\n"


def test_a_file_that_was_changed_meanwhile(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    with pytest.warns(AdmissionWarning, match=r"cache\.changed"), guard(annotating):
        path = Path(hf_hub_download("acme/m", "config.json"))
        path.chmod(0o644)
        path.write_bytes(b"{}")


def test_nothing_is_said_without_a_reason(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    with guard(annotating), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tree(Path(snapshot_download("acme/m"))) == models.FILES
        with pytest.raises(EntryNotFoundError):
            hf_hub_download("acme/m", "adapter_config.json")
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("acme/nothing", "config.json")


def test_a_further_reason_is_said_too(
    hub: HubStandIn, annotating: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key) | {"CARD.md": b"# Not signed\n"})
    hub.replace_under_commit("acme/m", "model.safetensors", b"x" * 256_000)
    with guard(annotating):
        with pytest.warns(AdmissionWarning, match="not covered"):
            hf_hub_download("acme/m", "CARD.md")
        with pytest.warns(AdmissionWarning, match="changed after signing"):
            hf_hub_download("acme/m", "model.safetensors")
