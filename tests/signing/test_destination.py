"""Where a signature goes: what is there already and is none stays, and is found out early."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.signing.model import ModelSigner
from tests import models
from tests.peers.hub import HubStandIn
from tests.signing.signed import SIGNER, checked, sign
from tests.stores.test_local_store import as_nobody


def test_the_signature_can_go_elsewhere(model: Path, public_key: Path, tmp_path: Path) -> None:
    for output in (tmp_path / "elsewhere.sig", model / "other.sig", model / "other.sig"):
        signed = sign(model, output=output)
        assert signed.url == f"file://{output}"
        assert "other.sig" not in signed.manifest.files
        assert checked(model, public_key, signature=str(output)).admitted
    assert not (model / "model.sig").exists()


def test_nothing_but_a_signature_is_overwritten(model: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    key = tmp_path / "private.key"
    key.write_bytes(b"secret")
    for name in ("config.json", "README.md", "Config.json", "config.json/model.sig"):
        with pytest.raises(UsageError):
            sign(model, signature=name)
    for output in (key, model / "config.json", model, tmp_path / "absent" / "model.sig"):
        with pytest.raises(UsageError):
            sign(model, output=output)
    models.write(model, {"sub/a": b""})
    with pytest.raises(UsageError, match="has a folder or a file of that name"):
        sign(model, signature="sub")
    for name in ("../x.sig", "/x.sig", "", "."):
        with pytest.raises(UsageError, match="the name of the signature"):
            sign(model, signature=name)
    assert key.read_bytes() == b"secret"
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in model.rglob("*.sig")) == []
    # What is empty, such as a temporary file, holds nothing that could be lost.
    (tmp_path / "empty").touch()
    sign(model, output=tmp_path / "empty")


@pytest.mark.parametrize("path", ["", "model.safetensors"])
def test_a_folder_that_may_not_be_written(path: str) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("it was hashed and signed")

    with tempfile.TemporaryDirectory() as name:  # Those of pytest nobody else may enter.
        folder = models.write(Path(name), models.FILES)
        folder.chmod(0o555)
        with as_nobody(), pytest.raises(UsageError, match="--output"):
            sign(folder / path, ModelSigner(never, SIGNER.trust))
        folder.chmod(0o777)
        with as_nobody():
            sign(folder / path)


def test_a_link_of_the_hubs_cache_is_not_replaced(tmp_path: Path) -> None:
    """It is part of the model when that is verified, but nothing is written through it."""
    repository = tmp_path / "models--org--name"
    folder = models.write(repository / "snapshots" / "0", {"config.json": b"{}"})
    models.write(repository, {"blobs/0": b""})
    (folder / "model.sig").symlink_to("../../blobs/0")
    with pytest.raises(UsageError, match="is a link"):
        sign(folder)
    sign(folder, signature="our.sig")


def test_what_comes_to_the_place_of_the_signature_meanwhile_stays(model: Path) -> None:
    output = model.parent / "x.sig"

    def sign_late(payload: bytes) -> bytes:
        output.write_bytes(b"IMPORTANT")
        return SIGNER.make(payload)

    with pytest.raises(UsageError, match="is no signature"):
        sign(model, ModelSigner(sign_late, SIGNER.trust), output=output)
    assert output.read_bytes() == b"IMPORTANT"


def test_a_file_too_large_for_a_signature_is_none(model: Path) -> None:
    limits = Limits(bundle_bytes=64 * 1024)
    models.write(model, {"model.sig": bytes(limits.bundle_bytes + 1)})
    for output in (None, model / "model.sig"):
        with pytest.raises(UsageError, match="is no signature"):
            sign(model, limits=limits, output=output)


def test_without_a_token_nothing_is_read_from_the_hub(hub: HubStandIn) -> None:
    hub.create("org/model", files=models.FILES)
    hub.clear()
    with pytest.raises(UsageError, match="HF_TOKEN"):
        sign("hf://org/model")
    assert not any("/resolve/" in request.path for request in hub.requests)
