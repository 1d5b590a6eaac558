"""Validly signed models, and what somebody does to them or to the cache afterwards."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import AdmissionDenied
from oms_gate.filesystem import OmsFileSystem
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.filesystem.conftest import Open, codes_of, signed
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

WEIGHTS = "model.safetensors"
CONTENT = models.FILES[WEIGHTS]
SHARD = 100_000


def changed(at: int) -> bytes:
    """The weights, with another byte."""
    return CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :]


@pytest.mark.parametrize("store", ["hub", "s3", "folder"])
def test_a_changed_byte_is_denied_where_its_shard_is_read(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    store: str,
) -> None:
    files = {**signed(key, shard_size=SHARD), WEIGHTS: changed(150_000)}
    if store == "hub":
        hub.create("acme/m", files=files)
        fs, root = opened("oms::hf://acme/m")
    elif store == "s3":
        for path, content in files.items():
            s3.put(s3_bucket, f"acme/m/{path}", content)
        fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    else:
        fs, root = opened(f"oms::{models.write(tmp_path / 'm', files)}")
    path = f"{root}/{WEIGHTS}"
    for start, end in ((0, 10), (SHARD - 10, SHARD), (2 * SHARD, None), (-5, None)):
        assert fs.cat_file(path, start, end) == CONTENT[start:end]
    for start, end in ((SHARD, SHARD + 1), (SHARD - 1, SHARD + 1), (199_999, 200_001), (0, None)):
        assert codes_of(fs.cat_file, path, start, end) == {ReasonCode.FILE_CHANGED}
    good, bad = fs.cat_ranges([path] * 2, [0, SHARD], [5, SHARD + 5])
    assert good == CONTENT[:5]
    assert {reason.code for reason in bad.verdict.reasons} == {ReasonCode.FILE_CHANGED}
    with fs.open(path) as file:
        assert file.read(SHARD) == CONTENT[:SHARD]
        assert codes_of(lambda: file.read(1)) == {ReasonCode.FILE_CHANGED}
    assert codes_of(lambda: fs.get(path, str(tmp_path / "got"))) == {ReasonCode.FILE_CHANGED}
    assert not (tmp_path / "got").exists()


def test_a_changed_byte_of_a_whole_file_is_denied_before_the_first(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    local = models.write(tmp_path / "m", {**signed(key), WEIGHTS: changed(255_999)})
    fs, root = opened(f"oms::{local}")
    for call in (
        lambda: fs.open(f"{root}/{WEIGHTS}"),
        lambda: fs.cat_file(f"{root}/{WEIGHTS}", 0, 1),
        lambda: fs.cat(f"{root}/{WEIGHTS}"),
        lambda: fs.get_file(f"{root}/{WEIGHTS}", str(tmp_path / "got")),
    ):
        assert codes_of(call) == {ReasonCode.FILE_CHANGED}
    assert fs.cat_file(f"{root}/config.json") == models.FILES["config.json"]


@pytest.mark.parametrize("shard_size", [None, SHARD])
def test_of_many_files_the_changed_one_is_denied(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path, shard_size: int | None
) -> None:
    files = {**signed(key, shard_size=shard_size), WEIGHTS: changed(5)}
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', files)}")
    right = {f"{root}/{path}": models.FILES[path] for path in ("README.md", "config.json")}
    assert fs.cat(f"{root}/*", on_error="omit") == right
    assert codes_of(lambda: fs.cat(f"{root}/*")) == {ReasonCode.FILE_CHANGED}
    got = tmp_path / "got"
    assert codes_of(lambda: fs.get(root, str(got), recursive=True)) == {ReasonCode.FILE_CHANGED}
    assert not (got / WEIGHTS).exists()


def test_of_many_who_read_at_once_those_with_good_files_get_them(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = {f"{number}.txt": str(number).encode() for number in range(40)}
    folder = {**signed(key, files), "7.txt": b"changed"}
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', folder)}")

    def read(name: str) -> bytes | None:
        try:
            content: bytes = fs.cat_file(f"{root}/{name}")
        except AdmissionDenied:
            return None
        return content

    with ThreadPoolExecutor(16) as threads:
        assert dict(zip(files, threads.map(read, files), strict=True)) == {**files, "7.txt": None}


@pytest.mark.parametrize("shard_size", [None, SHARD])
def test_a_file_that_was_swapped_in_the_cache_is_not_read(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path, shard_size: int | None
) -> None:
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', signed(key, shard_size=shard_size))}")
    path = f"{root}/{WEIGHTS}"
    assert fs.cat_file(path, 0, 3) == CONTENT[:3]
    before = fs.open(path)
    assert before.read(3) == CONTENT[:3]
    kept = [file for file in (tmp_path / "cache" / "roots").rglob(f"{WEIGHTS}*") if file.is_file()]
    assert kept
    for file in kept:
        other = file.with_name("other")
        other.write_bytes(bytes(file.stat().st_size))
        other.replace(file)
    assert codes_of(lambda: fs.cat_file(path, 0, 3)) == {ReasonCode.CACHE_CHANGED}
    assert codes_of(lambda: fs.open(path).read(3)) == {ReasonCode.CACHE_CHANGED}
    # What is open is the file that was hashed, whatever has its name now.
    if shard_size is None:
        assert before.read() == CONTENT[3:]
    before.close()


@pytest.mark.parametrize("shard_size", [None, SHARD])
def test_a_link_in_the_cache_is_not_followed(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path, shard_size: int | None
) -> None:
    fs, root = opened(f"oms::{models.write(tmp_path / 'm', signed(key, shard_size=shard_size))}")
    path = f"{root}/{WEIGHTS}"
    assert fs.cat_file(path, 0, 3) == CONTENT[:3]
    (file,) = (
        file for file in (tmp_path / "cache" / "roots").rglob(f"{WEIGHTS}*") if file.is_file()
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(CONTENT[:SHARD] if shard_size else CONTENT)
    file.unlink()
    file.symlink_to(elsewhere)
    assert codes_of(lambda: fs.cat_file(path, 0, 3)) <= {
        ReasonCode.CACHE_CHANGED,
        ReasonCode.SYSTEM_IO,
    }


@pytest.mark.parametrize("shard_size", [None, SHARD])
def test_what_changes_in_the_store_after_it_was_listed_is_not_read(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    shard_size: int | None,
) -> None:
    files = signed(key, shard_size=shard_size)
    for path, content in files.items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    local = models.write(tmp_path / "m", files)
    for url in (str(local), f"s3://{s3_bucket}/acme/m"):
        fs, root = opened(f"oms::{url}", s3=s3.storage_options())
        assert fs.exists(f"{root}/{WEIGHTS}")
        if url.startswith("s3"):
            s3.put(s3_bucket, f"acme/m/{WEIGHTS}", changed(7))
        else:
            (local / WEIGHTS).write_bytes(changed(7))
        path = f"{root}/{WEIGHTS}"
        # What was listed is not there; what is there now is not what was signed.
        assert codes_of(fs.read_block, path, 0, 3) == {ReasonCode.STORE_CHANGED}
        assert codes_of(fs.cat_file, path, 0, 3) == {ReasonCode.FILE_CHANGED}


def test_a_size_that_is_a_lie_is_denied(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn
) -> None:
    hub.create("acme/m", files=signed(key, shard_size=SHARD))
    hub.inject(faults.EditJson(_longer), "*/tree/*")
    fs, root = opened("oms::hf://acme/m")
    for call in (fs.info, fs.open, fs.cat_file):
        assert codes_of(call, f"{root}/{WEIGHTS}") == {ReasonCode.FILE_SIZE}
    hub.create("acme/n", files=signed(key))
    fs, root = opened("oms::hf://acme/n")
    # Of a whole file, the signature does not say how long it is.
    assert codes_of(lambda: fs.cat_file(f"{root}/config.json")) <= {
        ReasonCode.STORE_CHANGED,
        ReasonCode.STORE_PROTOCOL,
        ReasonCode.FILE_CHANGED,
    }


def _longer(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    for entry in entries:
        if entry["path"] == "model.sig":
            continue
        entry["size"] = int(str(entry["size"])) + 1
        if isinstance(lfs := entry.get("lfs"), dict):
            lfs["size"] += 1
    return entries


def test_a_subfolder_signed_by_somebody_else_is_denied(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn, tmp_path: Path
) -> None:
    other = models.new_key()
    files = signed(key, {"x.json": b"{}", "sub/y.json": b"{}"})
    files |= {"sub/model.sig": models.signature({"y.json": b"{}"}, other)}
    hub.create("acme/m", files=files)
    for url in ("hf://acme/m", str(models.write(tmp_path / "m", files))):
        fs, root = opened(f"oms::{url}")
        assert codes_of(fs.cat_file, f"{root}/sub/y.json") == {ReasonCode.KEY_UNTRUSTED}
        assert codes_of(fs.ls, f"{root}/sub") == {ReasonCode.KEY_UNTRUSTED}
        assert fs.cat_file(f"{root}/x.json") == b"{}"
        assert fs.ls(root, detail=False) == [f"{root}/sub", f"{root}/x.json"]
        # Without it, this would not be the model any more.
        assert codes_of(fs.find, root) == {ReasonCode.KEY_UNTRUSTED}


def test_a_good_subfolder_of_a_denied_model_is_judged_by_itself(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn, tmp_path: Path
) -> None:
    inner = signed(key, {"y.json": b"{}"})
    files = {f"sub/{path}": content for path, content in inner.items()}
    files |= signed(models.new_key(), {"x.json": b"{}"})
    hub.create("acme/m", files=files)
    for url in ("hf://acme/m", str(models.write(tmp_path / "m", files))):
        fs, root = opened(f"oms::{url}")
        assert codes_of(fs.cat_file, f"{root}/x.json") == {ReasonCode.KEY_UNTRUSTED}
        assert fs.cat_file(f"{root}/sub/y.json") == b"{}"
        assert fs.find(f"{root}/sub") == [f"{root}/sub/y.json"]
        assert codes_of(fs.find, root) == {ReasonCode.KEY_UNTRUSTED}


def test_a_denied_model_beside_others_is_left_out(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    models.write(tmp_path / "models" / "good", signed(key, {"x.json": b"{}"}))
    models.write(tmp_path / "models" / "bad", signed(models.new_key(), {"x.json": b"{}"}))
    fs, root = opened(f"oms::{tmp_path}/models")
    assert sorted(fs.ls(root, detail=False)) == [f"{root}/bad", f"{root}/good"]
    assert fs.find(root) == fs.glob(f"{root}/*/x.json") == [f"{root}/good/x.json"]
    for call in (fs.find, fs.ls, fs.exists, fs.isdir, fs.info):
        assert codes_of(call, f"{root}/bad") == {ReasonCode.KEY_UNTRUSTED}
    assert codes_of(lambda: fs.glob(f"{root}/bad/*")) == {ReasonCode.KEY_UNTRUSTED}
    assert codes_of(lambda: fs.get(f"{root}/bad", str(tmp_path / "to"), recursive=True)) == {
        ReasonCode.KEY_UNTRUSTED
    }


def test_a_part_that_cannot_be_had_later_is_no_end_of_file(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    local = models.write(tmp_path / "m", signed(key, shard_size=SHARD))
    fs, root = opened(f"oms::{local}")
    with fs.open(f"{root}/{WEIGHTS}") as file:
        assert file.read(10) == CONTENT[:10]
        os.truncate(local / WEIGHTS, SHARD)
        assert codes_of(lambda: file.read()) == {ReasonCode.STORE_CHANGED}


def test_an_open_file_does_not_become_another(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Its model is asked for again where a transfer has failed, and may be another one then."""
    local = models.write(tmp_path / "m", signed(key, shard_size=SHARD))
    fs, root = opened(f"oms::{local}")
    with fs.open(f"{root}/{WEIGHTS}") as file:
        assert file.read(10) == CONTENT[:10]
        (local / "config.json").unlink()
        assert codes_of(lambda: fs.cat_file(f"{root}/config.json"))
        models.write(local, signed(key, shard_size=SHARD))
        fs._models._cache._decided.clear()  # as when its time is over
        file.seek(SHARD)
        assert file.read(5) == CONTENT[SHARD : SHARD + 5]
        other = {**models.FILES, WEIGHTS: CONTENT[::-1]}
        models.write(local, signed(key, other, SHARD))
        file.seek(2 * SHARD)
        # The store has not what was listed, and what it has now is not what was opened.
        assert codes_of(lambda: file.read(5)) == {ReasonCode.STORE_CHANGED}
        with pytest.raises(OSError, match="open it again"):
            file.read(5)
    assert fs.cat_file(f"{root}/{WEIGHTS}", 0, 5) == CONTENT[:-6:-1]


def test_names_in_a_listing_that_lead_elsewhere_are_left_out(
    opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A store lists folders that are not in the one that it was asked for."""
    fs, _ = opened(f"oms::{tmp_path}")
    names = [f"{tmp_path}/..", "/etc", f"{tmp_path}/a/../..", f"{tmp_path}/a/b", f"{tmp_path}/good"]

    class Inner:
        def info(self, _: str) -> dict[str, str]:
            return {"type": "directory"}

        def ls(self, _: str, **__: bool) -> list[dict[str, str]]:
            return [{"name": name, "type": "directory"} for name in names]

    monkeypatch.setattr(OmsFileSystem, "_inner", Inner())
    assert fs.ls(str(tmp_path), detail=False) == [f"{tmp_path}/good"]
