"""Which model a path belongs to, and how little its store is asked to find out."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError, UsageError
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.filesystem.conftest import Open, codes_of, signed
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.stores.serving import Files, serving

CONTENT = models.FILES["model.safetensors"]


def log(server: HubStandIn | SeaweedFS) -> list[tuple[str, str]]:
    """The requests since the last time."""
    asked = [(request.method, request.path.rpartition("/")[2]) for request in server.requests]
    server.clear()
    return asked


def test_on_the_hub_a_read_asks_for_the_model_and_for_the_file(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn
) -> None:
    commit = hub.create("acme/m", files=signed(key, {**models.FILES, "a/b/c.json": b"{}"}))
    fs, root = opened("oms::hf://acme/m")
    assert fs.cat_file(f"{root}/a/b/c.json") == b"{}"
    # What the branch names, its listing, the signature, and the file.
    listing = [("GET", "m"), ("GET", commit), ("GET", commit)]
    assert log(hub) == [*listing, ("GET", "model.sig"), ("GET", "c.json")]
    assert fs.cat_file(f"{root}/a/b/c.json") == b"{}"
    assert fs.find(root) == [f"{root}/{path}" for path in sorted([*models.FILES, "a/b/c.json"])]
    assert fs.isdir(f"{root}/a/b")
    assert not fs.exists(f"{root}/a/b/nothing")
    assert log(hub) == []


def test_on_s3_the_folders_are_asked_once(
    opened: Open, key: ec.EllipticCurvePrivateKey, s3: SeaweedFS, s3_bucket: str
) -> None:
    files = {"config.json": b"{ }", "a/b/c.json": b"{}", "a/b/d.json": b"[]"}
    for path, content in signed(key, files).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    assert fs.cat_file(f"{root}/a/b/c.json") == b"{}"
    # Three folders are asked for a signature, and two for a release, each by a look for one, a
    # listing and a look; then it is the model.
    release, listing = ("GET", "oms-gate.release.json"), ("GET", s3_bucket)
    looks = [[release, listing, ("HEAD", name)] for name in ("model.sig", "oms-gate.release.json")]
    before = [*looks[0], *looks[1]] * 2 + looks[0]
    asked = log(s3)
    assert asked[: len(before)] == before
    heads = [("HEAD", Path(path).name) for path in signed(key, files)]
    read = [("GET", "model.sig"), ("GET", "c.json")]
    assert sorted(asked[len(before) :]) == sorted([release, listing, *heads, *read])
    assert fs.cat_file(f"{root}/a/b/d.json") == b"[]"
    assert fs.cat_file(f"{root}/config.json") == b"{ }"
    assert [name for _, name in log(s3)] == ["d.json", "config.json"]


def test_a_model_that_was_published_as_a_release(
    opened: Open, key: ec.EllipticCurvePrivateKey, s3: SeaweedFS, s3_bucket: str
) -> None:
    """By its own place, and by that of each release; the files there are those of the release."""
    files = {"config.json": b"new", "sub/c.json": b"{}"}
    ids = [f"2026010{day}T000000Z-0123456789abcdef-00000000" for day in (1, 2)]
    releases = [f"acme/m/oms-gate.releases/{id_}" for id_ in ids]
    for folder, content in zip(releases, ({"config.json": b"old"}, files), strict=True):
        for path, data in signed(key, content).items():
            s3.put(s3_bucket, f"{folder}/{path}", data)
    s3.put(s3_bucket, "acme/m/code.py", b"of no release")
    pointer = {"schema": "oms-gate/release/v1", "release": ids[1]}
    s3.put(s3_bucket, "acme/m/oms-gate.release.json", json.dumps(pointer).encode())
    fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    assert fs.cat_file(f"{root}/sub/c.json") == b"{}"
    assert fs.find(root) == [f"{root}/{path}" for path in files]
    assert not fs.exists(f"{root}/code.py")
    for folder, config in zip(releases, (b"old", b"new"), strict=True):
        assert fs.cat_file(f"{s3_bucket}/{folder}/config.json") == config


def test_the_nearest_signature_counts(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn, tmp_path: Path
) -> None:
    inner = signed(key, {"x": b"inner"})
    files = signed(key, {"y": b"outer", "inner/x": b"inner"})
    # The outer one leaves out the signature of the inner one, but nothing else.
    files |= {"inner/model.sig": inner["model.sig"]}
    hub.create("acme/m", files=files)
    local = models.write(tmp_path / "m", files)
    for url in ("oms::hf://acme/m", f"oms::{local}"):
        for first in ("inner/x", "y"):
            fs, root = opened(url)
            fs._models_of = 0, fs._models  # as in another process: nothing is known
            assert fs.cat_file(f"{root}/{first}") == files[first]
            found = fs._models.above(fs._reference(f"{root}/inner/x"))  # type: ignore[arg-type]
            assert found is not None
            assert found.path == "x"
            assert found.model.reference.name.endswith("/m/inner")
            assert fs.find(root) == [f"{root}/inner/x", f"{root}/y"]


def test_a_single_file_has_its_signature_beside_it(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
) -> None:
    for size in (None, 100):
        content = bytes(range(250))
        name = f"x{size}.gguf"
        files = {
            name: content,
            f"{name}.sig": models.signature({".": content}, key, shard_size=size),
        }
        hub.create(f"acme/m{size}", files=files)
        for path, data in files.items():
            s3.put(s3_bucket, f"acme/{path}", data)
        models.write(tmp_path / "single", files)
        for url in (
            f"oms::hf://acme/m{size}/{name}",
            f"oms::s3://{s3_bucket}/acme/{name}",
            f"oms::{tmp_path}/single/{name}",
        ):
            fs, path = opened(url, s3=s3.storage_options())
            assert fs.info(path)["type"] == "file"
            assert fs.size(path) == 250
            assert fs.cat_file(path, 90, 210) == content[90:210]
            assert fs.ls(path, detail=False) == fs.find(path) == [path]
            with fs.open(path) as file:
                assert file.read() == content


def test_above_all_models_there_are_folders_only(
    opened: Open, key: ec.EllipticCurvePrivateKey, s3: SeaweedFS, s3_bucket: str, tmp_path: Path
) -> None:
    files = signed(key, {"config.json": b"{}"})
    for model in ("m", "n"):
        models.write(tmp_path / "models" / "acme" / model, files)
        for path, content in files.items():
            s3.put(s3_bucket, f"models/acme/{model}/{path}", content)
    models.write(tmp_path / "models" / "acme", {"loose.txt": b"x", "unsigned/x.json": b"x"})
    s3.put(s3_bucket, "models/acme/loose.txt", b"x")
    s3.put(s3_bucket, "models/acme/unsigned/x.json", b"x")
    for url in (f"oms::{tmp_path}/models", f"oms::s3://{s3_bucket}/models"):
        fs, root = opened(url, s3=s3.storage_options())
        found = sorted(fs.ls(f"{root}/acme", detail=False))
        assert found == [f"{root}/acme/{name}" for name in ("m", "n", "unsigned")]
        assert fs.ls(root) == [{"name": f"{root}/acme", "size": 0, "type": "directory"}]
        assert fs.isdir(root)
        if url.startswith("oms::/"):
            assert fs.glob(f"{root}/*/*/config.json") == [
                f"{root}/acme/{model}/config.json" for model in ("m", "n")
            ]
            assert fs.find(root) == fs.glob(f"{root}/*/*/config.json")


def test_a_file_below_no_signed_model_is_denied(
    opened: Open, hub: HubStandIn, s3: SeaweedFS, s3_bucket: str, tmp_path: Path
) -> None:
    hub.create("acme/m", files={"a/x.json": b"{}"})
    s3.put(s3_bucket, "acme/m/a/x.json", b"{}")
    models.write(tmp_path / "m", {"a/x.json": b"{}"})
    for url in ("hf://acme/m", f"s3://{s3_bucket}/acme/m", str(tmp_path / "m")):
        fs, root = opened(f"oms::{url}", s3=s3.storage_options())
        path = f"{root}/a/x.json"
        for call in (fs.open, fs.cat_file, fs.info, fs.exists, fs.isfile, fs.ls):
            assert codes_of(call, path) == {ReasonCode.SIGNATURE_MISSING}


def test_what_is_not_there_is_not_found(
    opened: Open,
    key: ec.EllipticCurvePrivateKey,
    hub: HubStandIn,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
) -> None:
    hub.create("acme/m", files=signed(key))
    for path, content in signed(key).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    for url in (
        "hf://acme/m/nothing.json",
        "hf://acme/nothing/x.json",
        "hf://acme/m@nothing/config.json",
        f"s3://{s3_bucket}/acme/m/nothing.json",
        f"s3://{s3_bucket}/other/nothing.json",
        f"{tmp_path}/nothing/x.json",
    ):
        fs, path = opened(f"oms::{url}", s3=s3.storage_options())
        assert not fs.exists(path)
        assert fs.find(path) == []
        for call in (fs.open, fs.cat_file, fs.info, fs.ls):
            with pytest.raises(FileNotFoundError):
                call(path)


def test_a_store_that_fails_is_no_store_without_signatures(
    opened: Open, key: ec.EllipticCurvePrivateKey, hub: HubStandIn, s3: SeaweedFS, s3_bucket: str
) -> None:
    hub.create("acme/m", files=signed(key))
    hub.inject(faults.Status(500))
    fs, root = opened("oms::hf://acme/m")
    assert codes_of(lambda: fs.exists(f"{root}/config.json")) == {ReasonCode.STORE_UNAVAILABLE}
    hub.faults.clear()
    assert fs.exists(f"{root}/config.json")
    for path, content in signed(key).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    s3.inject(faults.Status(500))
    fs, root = opened(f"oms::s3://{s3_bucket}/acme/m", s3=s3.storage_options())
    assert codes_of(lambda: fs.exists(f"{root}/config.json")) == {ReasonCode.STORE_UNAVAILABLE}
    s3.proxy.faults.clear()
    assert fs.exists(f"{root}/config.json")


def test_an_unsigned_chain_or_none_is_refused(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in front of the URL"):
        fsspec.filesystem("oms")
    for url in ("oms::simplecache::file://x/y", "oms::zip://x::file://x/y.zip"):
        with pytest.raises(UsageError, match="last in the chain"):
            opened(url)


def test_what_was_verified_goes_on_through_a_chain(
    opened: Open, options: dict[str, object], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    local = models.write(tmp_path / "m", signed(key))
    url = f"simplecache::oms::{local}/config.json"
    cache = {"cache_storage": str(tmp_path / "simple")}
    with fsspec.open(url, oms=dict(options), simplecache=cache) as file:
        assert file.read() == models.FILES["config.json"]
    (local / "config.json").write_bytes(b"{}")
    with fsspec.open(url, oms=dict(options), simplecache=cache) as file:
        assert file.read() == models.FILES["config.json"]


def test_a_model_on_a_web_server(
    opened: Open, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    models.write(tmp_path / "m", signed(key, {"a/x.json": b"{}", "y.json": b"[]"}))
    with serving(partial(Files, directory=str(tmp_path))) as port:
        url = f"http://127.0.0.1:{port}"
        rules = [{**settings["publishers"][0], "models": [f"{url}/**"]}]
        config = GateConfig.model_validate(settings | {"publishers": rules})
        with Gate.from_config(config) as gate:
            fs, root = opened(f"oms::{url}/m", gate=gate)
            assert fs.cat_file(f"{root}/a/x.json") == b"{}"
            assert fs.find(root) == [f"{root}/a/x.json", f"{root}/y.json"]
            with fs.open(f"oms::{url}/m/y.json") as file:
                assert file.read() == b"[]"


def test_one_signature_for_all_models_says_nothing_of_folders(
    settings: dict[str, object], tmp_path: Path
) -> None:
    config = GateConfig.model_validate(settings | {"signature": "https://example.com/model.sig"})
    with Gate.from_config(config) as gate, pytest.raises(ConfigError, match="which folder"):
        fsspec.filesystem("oms", target_protocol="file", gate=gate)


def test_a_denial_is_no_missing_file_later(
    opened: Open, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Readers such as zarr's take what is missing for zeros."""
    local = models.write(tmp_path / "m", signed(key))
    bundle = models.signature({"x": b"x"}, key)
    single = models.write(tmp_path / "single", {"x": b"x", "x.sig": bundle})
    for folder, name in ((local, "config.json"), (single, "x")):
        fs, root = opened(f"oms::{folder}")
        assert fs.exists(f"{root}/{name}")
        shutil.rmtree(folder)
        fs._models._cache._decided.clear()  # as when its time is over
        for call in (fs.cat_file, fs.open, fs.exists):
            assert codes_of(call, f"{root}/{name}") == {ReasonCode.STORE_NOT_FOUND}
