"""Small files: answered from memory once they are verified, and on the disk a moment later."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.gateway import small
from oms_gate.gateway.small import SMALL_BYTES, SmallFiles
from oms_gate.oms.digests import HASH_TYPES, HashType
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.running import Running, running
from tests.peers import faults
from tests.peers.faults import Fault
from tests.peers.hub import HubStandIn
from tests.server.running import until

NAME = "tokenizer.json"
CONTENT = bytes(range(256)) * (SMALL_BYTES // 256)
PATH = f"/acme/m/resolve/main/{NAME}"


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "caches"


@pytest.fixture
def create(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> Callable[..., None]:
    """Makes the repository, signed."""

    def create(files: dict[str, bytes] | None = None, **signed: Any) -> None:
        files = files or {NAME: CONTENT, "config.json": b"{}"}
        hub.create("acme/m", files={**files, "model.sig": models.signature(files, key, **signed)})

    return create


def fetched(hub: HubStandIn) -> Counter[str]:
    """How often each file was read upstream."""
    return Counter(r.file for r in hub.requests if r.method == "GET" and r.file is not None)


def kept(caches: Path, count: int = 1) -> list[Path]:
    """The files in the folders of models, once there are so many."""

    def found() -> list[Path]:
        return list(caches.glob("*/roots/*/snapshots/*/**/*.json"))

    until(lambda: len(found()) >= count)
    return found()


def test_it_is_fetched_once_and_then_comes_from_the_disk(
    gateway: Running,
    hub: HubStandIn,
    create: Callable[..., None],
    settings: dict[str, Any],
    caches: Path,
) -> None:
    create()
    for _ in range(2):
        assert gateway.ask(PATH).content == CONTENT
    (file,) = kept(caches)
    assert file.read_bytes() == CONTENT
    assert gateway.ask(PATH).content == CONTENT
    with running(GateConfig.model_validate(settings), caches) as later:
        for _ in range(2):
            assert later.ask(PATH).content == CONTENT
        assert later.told.bytes == 0
    assert fetched(hub)[NAME] == 1
    assert gateway.told.bytes == len(CONTENT)
    assert [hit for what, hit in gateway.told.looked if what == "file"] == [False, True, True]


def test_what_is_only_asked_about_is_not_fetched(
    gateway: Running, hub: HubStandIn, create: Callable[..., None]
) -> None:
    create()
    head = gateway.ask(PATH, "HEAD")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(CONTENT)))
    known = gateway.ask(PATH, headers={"If-None-Match": head.headers["ETag"]})
    assert (known.status, known.content) == (304, b"")
    assert fetched(hub)[NAME] == 0


@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize("shard_size", [None, SMALL_BYTES // 2])
@pytest.mark.parametrize("wrong", [None, 0, SMALL_BYTES - 1])
def test_each_byte_of_it_is_what_was_signed(
    gateway: Running,
    hub: HubStandIn,
    create: Callable[..., None],
    caches: Path,
    hash_type: HashType,
    shard_size: int | None,
    wrong: int | None,
) -> None:
    create(hash_type=hash_type, shard_size=shard_size)
    if wrong is not None:
        hub.inject(faults.WrongBytes(wrong), f"*{NAME}", method="GET")
    answer = gateway.ask(PATH, headers={"Range": "bytes=1-9"})
    if wrong is None:
        assert (answer.status, answer.content) == (206, CONTENT[1:10])
        assert kept(caches)
    else:
        assert answer.status == 403
        assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED
        assert CONTENT[1:10] not in answer.content
        # All of the model is denied then.
        assert gateway.ask("/acme/m/resolve/main/config.json").status == 403
        assert not list(caches.rglob(NAME))


FAULTS: dict[str, tuple[Fault, ReasonCode, int]] = {
    "one byte more": (faults.BodyLength(1), ReasonCode.STORE_CHANGED, 403),
    "one byte less": (faults.BodyLength(-1), ReasonCode.STORE_CHANGED, 403),
    "an early end": (faults.Truncate(100), ReasonCode.STORE_UNAVAILABLE, 429),
    "no end": (faults.Endless(), ReasonCode.STORE_PROTOCOL, 403),
    "an error": (faults.Status(500), ReasonCode.STORE_UNAVAILABLE, 429),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_whole_or_none(
    gateway: Running, hub: HubStandIn, create: Callable[..., None], name: str
) -> None:
    create()
    fault, code, status = FAULTS[name]
    hub.inject(fault, f"*{NAME}", method="GET")
    answer = gateway.ask(PATH)
    assert (answer.status, answer.headers["X-OMS-Gate-Reason"]) == (status, code)
    assert gateway.told.failures == [code]
    hub.faults.clear()
    assert gateway.ask(PATH).content == CONTENT


def test_a_content_with_two_names_is_fetched_once(
    gateway: Running, hub: HubStandIn, create: Callable[..., None], caches: Path
) -> None:
    create({NAME: CONTENT, "again.json": CONTENT})
    again = PATH.replace(NAME, "again.json")
    assert gateway.ask(PATH).content == gateway.ask(again).content == CONTENT
    kept(caches)
    assert gateway.ask(again).content == CONTENT
    assert fetched(hub)[NAME] + fetched(hub)["again.json"] == 1


@pytest.mark.parametrize("handed_out", [True, False])
def test_one_that_was_changed_on_the_disk_is_not_given(
    gateway: Running, hub: HubStandIn, create: Callable[..., None], caches: Path, handed_out: bool
) -> None:
    create()
    assert gateway.ask(PATH).content == CONTENT
    (file,) = kept(caches)
    if handed_out:
        assert gateway.ask(PATH).content == CONTENT
    file.chmod(0o644)
    file.write_bytes(b"evil")
    answer = gateway.ask(PATH)
    assert (answer.status, answer.headers["X-OMS-Gate-Reason"]) == (403, ReasonCode.CACHE_CHANGED)
    assert fetched(hub)[NAME] == 1


def test_it_is_given_where_the_disk_cannot_have_it(
    gateway: Running,
    hub: HubStandIn,
    create: Callable[..., None],
    caches: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    create()
    gateway.ask(PATH, "HEAD")
    (stages,) = caches.glob("*/stages")
    stages.rmdir()
    stages.touch()
    with caplog.at_level(logging.WARNING, small.__name__):
        assert gateway.ask(PATH).content == CONTENT
        until(lambda: "are not kept" in caplog.text)
    assert gateway.ask(PATH).content == CONTENT
    assert fetched(hub)[NAME] == 2


def test_what_cannot_be_kept_takes_nothing_from_others(
    gateway: Running,
    hub: HubStandIn,
    create: Callable[..., None],
    caches: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of one group, of which one fails."""
    create({f"{name}.json": name.encode() for name in "abcd"})
    assert gateway.ask(PATH.replace(NAME, "a.json")).content == b"a"
    (file,) = kept(caches)
    # No file can be moved there.
    (file.with_name("c.json") / "x").mkdir(parents=True)
    monkeypatch.setattr(small, "_GATHERING_SECONDS", 0.3)
    for attempt in range(2):
        for name in "abcd":
            assert gateway.ask(PATH.replace(NAME, f"{name}.json")).content == name.encode()
        until(lambda count=attempt: caplog.text.count("are not kept") > count)  # type: ignore[misc]
    counts = fetched(hub)
    assert [counts[f"{name}.json"] for name in "abc"] == [1, 1, 2]


def test_one_that_the_disk_has_and_cannot_give_comes_from_the_store(
    gateway: Running,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    create: Callable[..., None],
    caches: Path,
) -> None:
    """As a part of another commit it is there."""
    create({"a.json": b"a"})
    assert gateway.ask(PATH.replace(NAME, "a.json")).content == b"a"
    kept(caches)
    files = {"a.json": b"a", "b.json": b"b"}
    hub.commit("acme/m", {**files, "model.sig": models.signature(files, key)})
    at = f"/acme/m/resolve/{hub.head('acme/m')}"
    assert gateway.ask(f"{at}/b.json").content == b"b"
    kept(caches, 2)
    (stages,) = caches.glob("*/stages")
    until(lambda: not any(stages.iterdir()))
    stages.rmdir()
    stages.touch()
    for _ in range(2):
        assert gateway.ask(f"{at}/a.json").content == b"a"
    assert fetched(hub)["a.json"] >= 2


def test_memory_has_a_bound(
    gateway: Running,
    hub: HubStandIn,
    create: Callable[..., None],
    caches: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is beyond it is given all the same, and fetched again."""
    monkeypatch.setattr(small, "_MOST_BYTES", SMALL_BYTES + 2)
    monkeypatch.setattr(small, "_GATHERING_SECONDS", 0.5)
    create({NAME: CONTENT, "a.json": b"{}", "b.json": b"[]"})
    for name in (NAME, "a.json", "b.json", "b.json"):
        assert gateway.ask(PATH.replace(NAME, name)).status == 200
    assert fetched(hub) == {NAME: 1, "a.json": 1, "b.json": 2, "model.sig": 1}
    assert {file.name for file in kept(caches, 2)} == {NAME, "a.json"}


def test_files_that_came_while_others_were_kept_are_kept_too(
    gateway: Running,
    create: Callable[..., None],
    caches: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    putting, go_on, put = threading.Event(), threading.Event(), SmallFiles._put

    def put_when_told(small: SmallFiles, *arguments: Any) -> None:
        putting.set()
        assert go_on.wait(10)
        put(small, *arguments)

    monkeypatch.setattr(SmallFiles, "_put", put_when_told)
    files = {f"{number:02}.json": b"%d" % number for number in range(30)}
    create(files)
    for name, content in files.items():
        assert gateway.ask(PATH.replace(NAME, name)).content == content
        assert putting.wait(10)
    go_on.set()
    assert {file.name: file.read_bytes() for file in kept(caches, 30)} == files


def test_there_is_room_for_it(
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    settings: dict[str, Any],
    caches: Path,
) -> None:
    """What was used longest ago goes for small files as for others."""
    for number in range(20):
        files = {NAME: bytes([number]) * SMALL_BYTES}
        hub.create(f"acme/m{number}", files={**files, "model.sig": models.signature(files, key)})
    bound = settings | {"gateway": {"cache_bytes": 1024 * 1024}}
    with running(GateConfig.model_validate(bound), caches) as gateway:
        for number in range(20):
            answer = gateway.ask(PATH.replace("/m/", f"/m{number}/"))
            assert answer.content == bytes([number]) * SMALL_BYTES
            until(lambda now=number: _has(caches, now))  # type: ignore[misc]
        found = list(caches.glob(f"*/roots/*/snapshots/*/{NAME}"))
        assert 10 < len(found) <= 16


def _has(caches: Path, number: int) -> bool:
    found = caches.glob(f"*/roots/*/snapshots/*/{NAME}")
    return any(file.read_bytes()[:1] == bytes([number]) for file in found)
