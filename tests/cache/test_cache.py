"""The verified cache on real stores: what it hands out, what it asks for, what it refuses."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache, CachedModel
from oms_gate.cache.layout import Layout
from oms_gate.cache.pruning import prune
from oms_gate.errors import AdmissionDenied, ConfigError
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from tests import models
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

NAME = "hf://acme/m"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def signed(key: ec.EllipticCurvePrivateKey, shard_size: int | None = None) -> dict[str, bytes]:
    bundle = models.signature(models.FILES, key, shard_size=shard_size)
    return {**models.FILES, "model.sig": bundle}


@pytest.fixture
def commit(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """The commit of a signed model on the Hub."""
    return hub.create("acme/m", files=signed(key))


def model_of(cache: Cache, url: str = NAME, *, offline: bool = False) -> CachedModel:
    return cache.model(Reference.parse(url), offline=offline)


def code_of(call: Callable[[], object]) -> ReasonCode:
    """Why a call is refused."""
    with pytest.raises(AdmissionDenied) as raised:
        call()
    assert not raised.value.verdict.admitted
    (reason,) = raised.value.verdict.reasons
    return reason.code


def asked(hub: HubStandIn) -> list[str]:
    return [request.path for request in hub.requests]


def test_a_file_is_what_was_signed_and_nobody_may_write_it(cache: Cache, commit: str) -> None:
    model = model_of(cache)
    path = model.path(CONFIG)
    assert path.read_bytes() == models.FILES[CONFIG]
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert path == model.folder / CONFIG
    assert model.folder.parts[-2:] == ("snapshots", commit)
    assert model.reference.revision == commit
    assert model.files == {name: len(content) for name, content in models.FILES.items()}
    assert set(model.listed) == {*models.FILES, "model.sig"}
    assert list(model.folder.iterdir()) == [path]


def test_the_folder_is_named_by_the_root_digest(cache: Cache, commit: str) -> None:
    model = model_of(cache)
    assert model.verdict.signature is not None
    assert model.folder.parts[-3] == model.verdict.signature.root_digest


@pytest.mark.parametrize("shard_size", [None, 100_000])
def test_models_on_s3_and_in_folders_are_cached_too(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
    folder: Path,
    shard_size: int | None,
) -> None:
    files = signed(key, shard_size)
    for name, content in files.items():
        s3.put(s3_bucket, f"acme/m/{name}", content)
    local = models.write(tmp_path / "acme" / "m", files)
    with Cache(gate.with_store_options("s3", s3.storage_options()), folder) as cache:
        for url in (f"s3://{s3_bucket}/acme/m", str(local)):
            model = model_of(cache, url)
            model.fetch(model.files)
            for name, content in models.FILES.items():
                assert (model.folder / name).read_bytes() == content


def test_each_content_is_there_once(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, folder: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    other = {**models.FILES, CONFIG: b"{}"}
    hub.create("acme/other", files={**other, "model.sig": models.signature(other, key)})
    first = model_of(cache).path(WEIGHTS)
    hub.clear()
    second = model_of(cache, "hf://acme/other").path(WEIGHTS)
    assert not [path for path in asked(hub) if WEIGHTS in path]
    assert first.samefile(second)
    assert len(list((folder / "files" / "sha256").iterdir())) == 1


def test_a_second_load_asks_what_the_branch_names_and_a_commit_nothing(
    gate: Gate, folder: Path, hub: HubStandIn, commit: str
) -> None:
    with Cache(gate, folder) as cache:
        model_of(cache).fetch(models.FILES)
    hub.clear()
    with Cache(gate, folder) as cache:
        model_of(cache).fetch(models.FILES)
        assert asked(hub) == ["/api/models/acme/m"]
        hub.clear()
        model_of(cache, f"{NAME}@{commit}").fetch(models.FILES)
        model_of(cache).fetch(models.FILES)
        model_of(cache, offline=True).fetch(models.FILES)
        assert not asked(hub)


def test_a_branch_is_resolved_once_for_a_while(
    cache: Cache, hub: HubStandIn, commit: str, key: ec.EllipticCurvePrivateKey
) -> None:
    """Attack row 17: a branch moves between two files, which would be of two revisions."""
    assert model_of(cache).reference.revision == commit
    newer = {**models.FILES, CONFIG: b"{}"}
    hub.commit("acme/m", {CONFIG: b"{}", "model.sig": models.signature(newer, key)})
    model = model_of(cache)
    assert model.reference.revision == commit
    assert model.path(CONFIG).read_bytes() == models.FILES[CONFIG]


def test_a_branch_is_resolved_again_after_that(
    gate: Gate, folder: Path, hub: HubStandIn, commit: str, key: ec.EllipticCurvePrivateKey
) -> None:
    gate.limits = gate.limits.model_copy(update={"decision_seconds": 0})
    newer = {**models.FILES, CONFIG: b"{}"}
    with Cache(gate, folder) as cache:
        assert model_of(cache).reference.revision == commit
        hub.commit("acme/m", {CONFIG: b"{}", "model.sig": models.signature(newer, key)})
        model = model_of(cache)
        assert model.reference.revision == hub.head("acme/m") != commit
        assert model.path(CONFIG).read_bytes() == b"{}"


def test_who_signed_is_asked_again_though_the_bytes_are_there(
    gate: Gate, folder: Path, commit: str, tmp_path: Path
) -> None:
    """Attack row 31: no verdict is kept, so none outlives its trust root."""
    from oms_gate.oms.trust import KeyRoot

    with Cache(gate, folder) as cache:
        model_of(cache).fetch(models.FILES)
    stranger = KeyRoot.from_pem("acme", models.public_pem(models.new_key()))
    gate.trust.keys.clear()  # type: ignore[attr-defined]  # it is a dict
    gate.trust.keys["acme"] = stranger  # type: ignore[index]
    with Cache(gate, folder) as cache:
        assert code_of(lambda: model_of(cache)) is ReasonCode.KEY_UNTRUSTED
        assert code_of(lambda: model_of(cache, offline=True)) is ReasonCode.KEY_UNTRUSTED


def test_what_was_never_admitted_is_refused_without_a_request(
    cache: Cache, hub: HubStandIn, commit: str
) -> None:
    for url in (NAME, f"{NAME}@{commit}"):
        denied = code_of(lambda url=url: model_of(cache, url, offline=True))  # type: ignore[misc]
        assert denied is ReasonCode.STORE_UNAVAILABLE
    assert not asked(hub)


def test_offline_nothing_is_transferred(
    gate: Gate, folder: Path, hub: HubStandIn, commit: str
) -> None:
    with Cache(gate, folder) as cache:
        online = model_of(cache)
        online.path(CONFIG)
        assert model_of(cache, offline=True) is online
    hub.clear()
    with Cache(gate, folder) as cache:
        model = model_of(cache, offline=True)
        assert model.path(CONFIG).exists()
        assert model.present(WEIGHTS) is None
        assert code_of(lambda: model.path(WEIGHTS)) is ReasonCode.STORE_UNAVAILABLE
        assert not asked(hub)
        # It says nothing of what can be had with requests.
        assert model_of(cache).path(WEIGHTS).exists()


def test_a_denied_model_is_not_asked_for_again_at_once(cache: Cache, hub: HubStandIn) -> None:
    hub.create("acme/unsigned", files=models.FILES)
    denied = code_of(lambda: model_of(cache, "hf://acme/unsigned"))
    assert denied is ReasonCode.SIGNATURE_MISSING
    hub.clear()
    code_of(lambda: model_of(cache, "hf://acme/unsigned"))
    assert not asked(hub)


def test_offline_the_default_branch_may_be_named_or_not(
    gate: Gate, folder: Path, commit: str
) -> None:
    for online, offline in ((NAME, f"{NAME}@main"), (f"{NAME}@main", NAME)):
        shutil.rmtree(folder, ignore_errors=True)
        with Cache(gate, folder) as cache:
            model_of(cache, online).path(CONFIG)
        with Cache(gate, folder) as cache:
            assert model_of(cache, offline, offline=True).present(CONFIG)


def test_a_store_that_failed_is_asked_again(cache: Cache, hub: HubStandIn, commit: str) -> None:
    hub.api.stop()
    assert code_of(lambda: model_of(cache)) is ReasonCode.STORE_UNAVAILABLE
    hub.api.start()
    assert model_of(cache).path(CONFIG).exists()


def test_a_file_that_is_not_what_was_signed_never_gets_its_name(
    cache: Cache, hub: HubStandIn, commit: str, folder: Path
) -> None:
    """Attack rows 2 and 20: its store says one thing and gives another."""
    model = model_of(cache)
    hub.inject(faults.WrongBytes(), f"*{WEIGHTS}", origin="cdn")
    assert code_of(lambda: model.fetch(models.FILES)) is ReasonCode.FILE_CHANGED
    assert not (model.folder / WEIGHTS).exists()
    assert not [path for path in folder.rglob("*") if path.is_file() and _is_wrong(path)]
    hub.faults.clear()
    # What others ask of it meanwhile fails for the same reason.
    assert code_of(lambda: model.path(WEIGHTS)) is ReasonCode.FILE_CHANGED
    model = model_of(cache)
    model.fetch(models.FILES)
    assert model.path(WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def _is_wrong(path: Path) -> bool:
    content = path.read_bytes()
    return path.parent.name == "sha256" and content not in models.FILES.values()


def test_what_is_not_signed_cannot_be_had(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files={**signed(key), "LICENSE": b"as you like"})
    model = model_of(cache)
    assert "LICENSE" in model.listed
    for name in ("LICENSE", "model.sig", "nothing", "../known", "/etc/passwd", ""):
        with pytest.raises(KeyError):
            model.path(name)
        with pytest.raises(KeyError):
            model.present(name)
        with pytest.raises(KeyError):
            model.open(name)


Change = Callable[[Path], object]


def _rewrite(path: Path) -> None:
    """Change a file in place, and set all of its times back that can be."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"X" * before.st_size)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_bytes(b"X" * path.stat().st_size)
    other.replace(path)


def _link(path: Path) -> None:
    """Put a link to another file in its place."""
    target = path.parents[5] / "elsewhere"
    target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_folder(path: Path) -> None:
    """Put a link to another folder in place of the model's own."""
    target = path.parents[5] / "elsewhere"
    path.parent.rename(target)
    path.parent.symlink_to(target, target_is_directory=True)


@pytest.mark.parametrize("change", [_rewrite, _replace, _link, _pipe])
def test_a_file_that_was_changed_is_refused(
    gate: Gate, folder: Path, commit: str, change: Change
) -> None:
    """Attack rows 18 and 19: the cache is poisoned between two loads."""
    with Cache(gate, folder) as cache:
        path = model_of(cache).path(CONFIG)
    change(path)
    with Cache(gate, folder) as cache:
        model = model_of(cache)
        assert model.present(CONFIG) is None
        assert code_of(lambda: model.path(CONFIG)) is ReasonCode.CACHE_CHANGED
        assert code_of(lambda: model_of(cache).open(CONFIG)) is ReasonCode.CACHE_CHANGED
        # The rest of it is as it was.
        assert model_of(cache).path(WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_a_folder_that_became_a_link_is_refused(gate: Gate, folder: Path, commit: str) -> None:
    with Cache(gate, folder) as cache:
        path = model_of(cache).path(CONFIG)
    _link_folder(path)
    with Cache(gate, folder) as cache:
        model = model_of(cache)
        assert model.present(CONFIG) is None
        assert code_of(lambda: model.path(CONFIG)) is ReasonCode.SYSTEM_IO


@pytest.mark.parametrize("change", [_rewrite, _replace, _link, _pipe, _link_folder, Path.unlink])
def test_a_change_while_it_is_in_use_is_noticed(cache: Cache, commit: str, change: Change) -> None:
    """Attack row 18: the file is swapped after it was handed out."""
    model = model_of(cache)
    path = model.path(CONFIG)
    model.check()
    change(path)
    assert code_of(model.check) is ReasonCode.CACHE_CHANGED


def test_a_change_that_was_undone_is_noticed(cache: Cache, commit: str) -> None:
    model = model_of(cache)
    path = model.path(CONFIG)
    content, before = path.read_bytes(), path.stat()
    _rewrite(path)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert code_of(model.check) is ReasonCode.CACHE_CHANGED
    # It is right again now; what was read of it in between was not.
    assert code_of(lambda: model.path(CONFIG)) is ReasonCode.CACHE_CHANGED


def test_after_a_change_the_model_can_be_loaded_again(
    cache: Cache, folder: Path, commit: str
) -> None:
    """As the message says: a model that was pruned is not denied for as long as it is decided."""
    model_of(cache).path(CONFIG)
    prune(Layout.of(folder), None)
    assert code_of(lambda: model_of(cache).path(CONFIG)) is ReasonCode.CACHE_CHANGED
    assert model_of(cache).path(CONFIG).read_bytes() == models.FILES[CONFIG]


def test_a_cache_that_was_deleted_is_made_again(cache: Cache, folder: Path, commit: str) -> None:
    model = model_of(cache)
    model.path(CONFIG)
    shutil.rmtree(folder)
    for use in (model.check, lambda: model.path(CONFIG), lambda: model.open(CONFIG)):
        assert code_of(use) is ReasonCode.SYSTEM_IO
    assert model_of(cache).path(CONFIG).read_bytes() == models.FILES[CONFIG]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")
def test_a_cache_that_another_user_put_in_its_place_is_not_used(
    cache: Cache, folder: Path, commit: str
) -> None:
    """Where a folder above it may be changed by everybody; see `Layout.opened`."""
    model = model_of(cache)
    path = model.path(CONFIG)
    evil = shutil.copytree(folder, folder.with_name("evil"), copy_function=os.link)
    folder.rename(folder.with_name("aside"))
    Path(evil).rename(folder)
    assert model.path(CONFIG) == path
    os.chown(folder, 4242, -1)
    for use in (model.check, lambda: model.path(CONFIG), lambda: model.open(CONFIG)):
        assert code_of(use) is ReasonCode.SYSTEM_IO
    with pytest.raises(ConfigError, match="may be changed by other users"):
        model_of(cache)


def test_a_forked_process_waits_for_no_thread_of_its_parent(
    cache: Cache, hub: HubStandIn, commit: str
) -> None:
    hub.inject(faults.Slow(250_000), f"*{WEIGHTS}")
    bringing = threading.Thread(target=lambda: model_of(cache).path(WEIGHTS))
    bringing.start()
    while not any(WEIGHTS in path for path in asked(hub)):
        time.sleep(0.01)
    child = os.fork()
    if not child:
        # In it there is no such thread, but the locks that it held, and its connections.
        os._exit(model_of(cache).path(WEIGHTS).stat().st_size != 256_000)
    bringing.join()
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)


def test_an_answer_that_was_spoilt_is_no_decision(
    cache: Cache, hub: HubStandIn, commit: str
) -> None:
    hub.inject(faults.Body(b"{}"), times=1)
    assert code_of(lambda: model_of(cache)) is ReasonCode.STORE_PROTOCOL
    assert model_of(cache).path(CONFIG).exists()


def test_what_is_decided_about_no_more_is_let_go(
    gate: Gate, folder: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    gate.limits = gate.limits.model_copy(update={"decision_seconds": 0})
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with Cache(gate, folder) as cache:
        for number in range(20):
            hub.create(f"acme/m{number}", files=signed(key))
            model_of(cache, f"hf://acme/m{number}").path(CONFIG)
        hub.api.stop()  # Its ends of the connections are in this process, too.
        hub.api.start()
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) < before + 10  # noqa: PTH208


def test_an_open_file_is_the_one_that_was_hashed(
    cache: Cache, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack row 18 at the worst moment: between the look at the file and its opening."""
    model = model_of(cache)
    fetch = CachedModel.fetch

    def fetch_and_swap(self: CachedModel, paths: list[str]) -> None:
        fetch(self, paths)
        _replace(self.folder / CONFIG)

    with model.open(CONFIG) as stream:
        assert stream.read() == models.FILES[CONFIG]
    monkeypatch.setattr(CachedModel, "fetch", fetch_and_swap)
    assert code_of(lambda: model.open(CONFIG)) is ReasonCode.CACHE_CHANGED


def test_a_name_more_is_no_change(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    model = model_of(cache)
    path = model.path(WEIGHTS)
    other = {**models.FILES, CONFIG: b"{}"}
    hub.create("acme/other", files={**other, "model.sig": models.signature(other, key)})
    model_of(cache, "hf://acme/other").path(WEIGHTS)
    assert path.stat().st_nlink == 3
    model.check()
    assert model.path(WEIGHTS) == path


def test_a_file_that_was_only_touched_is_hashed_again(
    gate: Gate, folder: Path, hub: HubStandIn, commit: str
) -> None:
    with Cache(gate, folder) as cache:
        path = model_of(cache).path(WEIGHTS)
    path.touch()
    hub.clear()
    with Cache(gate, folder) as cache:
        assert model_of(cache).present(WEIGHTS) is None
        assert model_of(cache).path(WEIGHTS) == path
        assert model_of(cache).present(WEIGHTS) == path
    assert not [path for path in asked(hub) if WEIGHTS in path]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"config.json": ["x", 1]}', b"\xff"])
def test_without_receipts_all_is_hashed_again(
    gate: Gate, folder: Path, commit: str, damage: bytes
) -> None:
    with Cache(gate, folder) as cache:
        model = model_of(cache)
        model.fetch(models.FILES)
    receipts = model.folder.with_name(f"{model.folder.name}.receipts.json")
    receipts.write_bytes(damage)
    with Cache(gate, folder) as cache:
        model = model_of(cache)
        assert model.present(CONFIG) is None
        assert model.path(CONFIG).read_bytes() == models.FILES[CONFIG]


def test_a_content_that_was_changed_is_not_linked(
    gate: Gate, folder: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    """Attack row 19: the content is poisoned before another model would use it."""
    with Cache(gate, folder) as cache:
        model_of(cache).path(WEIGHTS)
        (content,) = (folder / "files" / "sha256").iterdir()
        _replace(content)
        other = {**models.FILES, CONFIG: b"{}"}
        hub.create("acme/other", files={**other, "model.sig": models.signature(other, key)})
        model = model_of(cache, "hf://acme/other")
        assert code_of(lambda: model.path(WEIGHTS)) is ReasonCode.CACHE_CHANGED


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_damaged_record_counts_as_none(
    gate: Gate, folder: Path, hub: HubStandIn, commit: str, damage: bytes
) -> None:
    with Cache(gate, folder) as cache:
        model_of(cache).path(CONFIG)
    for record in (folder / "known").iterdir():
        record.write_bytes(damage)
    hub.clear()
    with Cache(gate, folder) as cache:
        assert code_of(lambda: model_of(cache, offline=True)) is ReasonCode.STORE_UNAVAILABLE
        assert model_of(cache).path(CONFIG).exists()
    assert f"/api/models/acme/m/tree/{commit}" in asked(hub)


def test_the_record_of_another_model_counts_as_none(
    gate: Gate, folder: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    """A record says of which model it is: under another's name it is of no use."""
    hub.create("acme/unsigned", files={**models.FILES, "evil.py": b""})
    with Cache(gate, folder) as cache:
        model_of(cache).path(CONFIG)
        (record,) = (folder / "known").glob("*.json")
        known = record.read_bytes()
        other = hub.head("acme/unsigned")
        name = f"{hub.endpoint}\0hf://acme/unsigned@{other}".encode()
        (folder / "known" / f"{hashlib.sha256(name).hexdigest()}.json").write_bytes(known)
        denied = code_of(lambda: model_of(cache, "hf://acme/unsigned"))
        assert denied is ReasonCode.SIGNATURE_MISSING


def test_a_cache_that_others_may_change_is_refused(gate: Gate, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(ConfigError, match="may be changed by other users"):
        Cache(gate, folder)
    (folder / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Cache(gate, folder / "file")


def test_a_folder_of_something_else_is_refused(gate: Gate, folder: Path) -> None:
    """To prune it would remove the user's own files."""
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="is no verified cache"):
        Cache(gate, folder)
    assert [path.name for path in folder.iterdir()] == ["files"]


def test_a_cache_that_lost_a_folder_is_one_still(gate: Gate, folder: Path, commit: str) -> None:
    with Cache(gate, folder) as cache:
        model_of(cache).path(CONFIG)
    shutil.rmtree(folder / "files")
    with Cache(gate, folder) as cache:
        assert model_of(cache).path(WEIGHTS).read_bytes() == models.FILES[WEIGHTS]


def test_folders_that_cannot_be_made_are_said(gate: Gate, folder: Path) -> None:
    folder.mkdir()
    (folder / "files").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Cache(gate, folder)


def test_where_the_cache_is(gate: Gate, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(gate)
    assert (home / "cache" / "oms-gate" / "models" / "files").is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    Cache(gate)
    assert (home / ".cache" / "oms-gate" / "models" / "files").is_dir()
    monkeypatch.setenv("OMS_GATE_CACHE", str(home / "mine"))
    Cache(gate)
    assert (home / "mine" / "files").is_dir()


def test_a_file_system_without_hard_links_keeps_the_file_in_the_model_alone(
    cache: Cache, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    model = model_of(cache)
    assert model.path(CONFIG).read_bytes() == models.FILES[CONFIG]
    assert model.present(CONFIG) is not None
    assert not [path for path in (folder / "files").rglob("*") if path.is_file()]


def test_parts_are_hashed_one_by_one(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key, shard_size=100_000))
    model = model_of(cache)
    parts = model.parts(WEIGHTS)
    assert [(part.start, part.end) for part in parts] == [
        (0, 100_000),
        (100_000, 200_000),
        (200_000, 256_000),
    ]
    hub.clear()
    shard = model.shards.path(parts[1].name)
    assert shard.read_bytes() == models.FILES[WEIGHTS][100_000:200_000]
    (request,) = [request for request in hub.requests if WEIGHTS in request.path]
    assert request.headers["range"] == "bytes=100000-199999"
    hub.inject(faults.WrongBytes(), f"*{WEIGHTS}")
    denied = code_of(lambda: model.shards.path(parts[2].name))
    assert denied is ReasonCode.FILE_CHANGED


def test_many_threads_bring_a_file_once(cache: Cache, hub: HubStandIn, commit: str) -> None:
    hub.clear()
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: model_of(cache).path(WEIGHTS), range(32)))
    assert len(paths) == 1
    assert len([path for path in asked(hub) if path.endswith(WEIGHTS)]) == 1


def _bring(gate_settings: tuple[Path, Path, str], folder: Path) -> bytes:
    public, _, endpoint = gate_settings
    from huggingface_hub import constants

    from oms_gate.config import GateConfig

    constants.ENDPOINT = endpoint
    config = {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
    }
    with Gate.from_config(GateConfig.model_validate(config)) as gate, Cache(gate, folder) as cache:
        return model_of(cache).path(WEIGHTS).read_bytes()


def test_several_processes_bring_a_file_once(
    hub: HubStandIn, commit: str, tmp_path: Path, folder: Path, gate: Gate
) -> None:
    settings = tmp_path / "acme.pub", folder, hub.endpoint
    hub.clear()
    hub.inject(faults.Slow(1_000_000), f"*{WEIGHTS}", origin="cdn")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        contents = pool.starmap(_bring, [(settings, folder)] * 3)
    assert set(contents) == {models.FILES[WEIGHTS]}
    assert len([path for path in asked(hub) if path.endswith(WEIGHTS)]) == 1


def test_what_was_brought_by_another_is_there_at_once(
    gate: Gate, folder: Path, cache: Cache, commit: str
) -> None:
    model = model_of(cache)
    assert model.present(CONFIG) is None
    with Cache(gate, folder) as other:
        model_of(other).path(CONFIG)
    assert model.present(CONFIG) == model.folder / CONFIG


def test_content_of_another_size_than_its_store_lists_is_read_there(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path, folder: Path
) -> None:
    """What was signed is in the cache, and what its store has now is something else."""
    local = models.write(tmp_path / "acme" / "m", signed(key))
    with Cache(gate, folder) as cache:
        model_of(cache, str(local)).path(CONFIG)
    (local / CONFIG).write_bytes(b"{}")
    with Cache(gate, folder) as cache:
        changed = code_of(lambda: model_of(cache, str(local)).path(CONFIG))
        assert changed is ReasonCode.FILE_CHANGED


def test_files_with_the_same_content_are_no_change_to_each_other(
    cache: Cache, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = dict.fromkeys(["a", "b", "c/d", "c/e"], b"the same")
    bundle = models.signature(files, key)
    folder = models.write(tmp_path / "acme" / "m", {**files, "model.sig": bundle})
    model = model_of(cache, str(folder))
    model.fetch(["a"])
    model.fetch(["b"])
    model.fetch(["c/d", "c/e"])
    model.fetch(files)
    assert all(model.path(name).read_bytes() == b"the same" for name in files)
    model.check()


def test_several_files_with_the_same_content_come_once(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    files = dict.fromkeys(["a", "b", "c/d"], b"the same")
    hub.create("acme/m", files={**files, "model.sig": models.signature(files, key)})
    model = model_of(cache)
    hub.clear()
    model.fetch(files)
    assert len(asked(hub)) == 1
    model.check()


def test_after_a_part_could_not_be_had_the_model_is_asked_for_again(
    cache: Cache, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key, shard_size=100_000))
    model = model_of(cache)
    part = model.parts(WEIGHTS)[1].name
    hub.inject(faults.Status(500), WEIGHTS, times=2)
    assert code_of(lambda: model.shards.fetch([part])) is ReasonCode.STORE_UNAVAILABLE
    content = models.FILES[WEIGHTS][100_000:200_000]
    assert model_of(cache).shards.path(part).read_bytes() == content


def test_a_single_file_of_the_hub_is_known_as_one(
    gate: Gate, folder: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    files = {"x.gguf": b"weights"}
    hub.create("acme/m", files={**files, "x.gguf.sig": models.signature(files, key)})
    for _ in range(2):
        with Cache(gate, folder) as cache:
            model = model_of(cache, f"{NAME}/x.gguf")
            assert model.single
            assert model.path("x.gguf").read_bytes() == b"weights"


@pytest.mark.parametrize("name", [".", "x.gguf"])
@pytest.mark.parametrize("shard_size", [None, 3])
def test_parts_of_a_single_file_have_its_name(
    cache: Cache, key: ec.EllipticCurvePrivateKey, tmp_path: Path, name: str, shard_size: int | None
) -> None:
    bundle = models.signature({name: b"weights"}, key, shard_size=shard_size)
    models.write(tmp_path / "acme", {"x.gguf": b"weights", "x.gguf.sig": bundle})
    model = model_of(cache, f"{tmp_path}/acme/x.gguf")
    parts = [part.name for part in model.parts("x.gguf")]
    assert parts == (["x.gguf:0:3", "x.gguf:3:6", "x.gguf:6:7"] if shard_size else ["x.gguf"])
    assert b"".join(model.shards.path(part).read_bytes() for part in parts) == b"weights"
