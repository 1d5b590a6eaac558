"""Upkeep of the cache: what it holds, whether that is right, and what of it may go."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cache import Cache, CachedModel
from oms_gate.cache.layout import Layout
from oms_gate.cache.pruning import Pruned, prune
from oms_gate.cache.upkeep import chosen, holdings, remembered_models
from oms_gate.cache.verification import Verification, verify
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from tests import models
from tests.cache.loading import loading
from tests.peers import faults
from tests.peers.content import Content, Repeated
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

NAME = "hf://acme/m"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SIZE = sum(map(len, models.FILES.values()))
OTHER = {**models.FILES, CONFIG: b'{"model_type": "other"}\n'}


@pytest.fixture
def commit(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """The commit of a signed model on the Hub."""
    return hub.create("acme/m", files=signed(models.FILES, key))


@pytest.fixture
def other(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """The commit of another model, all of whose files but one are the same."""
    return hub.create("acme/other", files=signed(OTHER, key))


@pytest.fixture
def layout(folder: Path) -> Layout:
    return Layout.of(folder)


def signed(
    files: Mapping[str, bytes], key: ec.EllipticCurvePrivateKey, shard_size: int | None = None
) -> dict[str, bytes]:
    return {**files, "model.sig": models.signature(files, key, shard_size=shard_size)}


def fetch(gate: Gate, folder: Path, url: str = NAME, *names: str) -> CachedModel:
    """Load a model, or files of it, as a process of its own would."""
    with Cache(gate, folder) as cache:
        model = cache.model(Reference.parse(url))
        model.fetch(names or model.files)
        return model


def verified(layout: Layout, *urls: str, repair: bool = False) -> Verification:
    """What a verification finds; the same with a look at its progress."""
    remembered, _ = remembered_models(layout)
    named = chosen(remembered, urls) if urls else None
    shown: list[int] = []
    return verify(
        layout,
        Limits(),
        named,
        repair=repair,
        on_progress=lambda now: shown.append(now.bytes_total - now.bytes_done),
    )


def wrong(layout: Layout, *urls: str, repair: bool = False) -> list[str]:
    return [finding.path for finding in verified(layout, *urls, repair=repair).wrong]


def pruned(layout: Layout, days: float | None, *urls: str, dry_run: bool = False) -> Pruned:
    remembered, _ = remembered_models(layout)
    named = chosen(remembered, urls) if urls else None
    unused = None if days is None else timedelta(days=days)
    return prune(layout, unused, named, dry_run=dry_run)


def age(layout: Layout, url: str, days: float) -> None:
    """Let a model have been used for the last time so many days ago."""
    then = time.time() - days * 86400
    for model in chosen(remembered_models(layout)[0], [url]):
        os.utime(layout.folder / "known" / model.file, (then, then))


def files_in(layout: Layout) -> list[str]:
    """All that is in the folders of a cache but folders."""
    found = layout.folder.rglob("*/**/*")
    return sorted(str(p.relative_to(layout.folder)) for p in found if not p.is_dir())


def overwrite(path: Path) -> None:
    """Change a file in place, and set all of its times back that can be."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"X" * before.st_size)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_it_holds_what_was_fetched(
    gate: Gate, layout: Layout, commit: str, other: str, hub: HubStandIn
) -> None:
    fetch(gate, layout.folder, NAME, CONFIG)
    fetch(gate, layout.folder, "hf://acme/other")
    found, total = holdings(layout)
    assert [(held.model.url, held.files, held.bytes) for held in found] == [
        (f"{NAME}@{commit}", 1, len(models.FILES[CONFIG])),
        (f"hf://acme/other@{other}", 3, sum(map(len, OTHER.values()))),
    ]
    for held in found:
        assert held.model.files_signed == 3
        assert held.parts == 0
        assert held.model.signer is not None
        assert held.model.signer.root.name == "acme"
        assert datetime.now(UTC) - held.model.last_used < timedelta(minutes=1)
    # Together with records and receipts.
    contents = len(models.FILES[CONFIG]) + sum(map(len, OTHER.values()))
    assert contents < total < contents + 50_000


def test_a_release_in_s3_goes_by_its_models_name_too(
    gate: Gate, layout: Layout, s3: SeaweedFS, s3_bucket: str, key: ec.EllipticCurvePrivateKey
) -> None:
    release = "20260101T000000Z-0123456789abcdef-00000000"
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    for path, content in files.items():
        s3.put(s3_bucket, f"acme/m/oms-gate.releases/{release}/{path}", content)
    pointer = b'{"schema": "oms-gate/release/v1", "release": "%s"}' % release.encode()
    s3.put(s3_bucket, "acme/m/oms-gate.release.json", pointer)
    place = f"s3://{s3_bucket}/acme/m"
    fetch(gate.with_store_options("s3", s3.storage_options()), layout.folder, place)
    (held,) = holdings(layout)[0]
    assert held.model.url == f"{place}/oms-gate.releases/{release}"
    for name in (place, held.model.url):
        assert verified(layout, name).files == len(models.FILES)


def test_a_file_of_several_models_is_counted_once(
    gate: Gate, layout: Layout, commit: str, other: str
) -> None:
    fetch(gate, layout.folder, NAME)
    _, alone = holdings(layout)
    fetch(gate, layout.folder, "hf://acme/other")
    _, both = holdings(layout)
    assert both - alone < len(OTHER[WEIGHTS])
    found = verified(layout)
    assert not found.wrong
    assert (found.files, found.bytes) == (4, SIZE + len(OTHER[CONFIG]))


def test_parts_are_held_and_verified(
    gate: Gate, layout: Layout, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(models.FILES, key, shard_size=100_000))
    with Cache(gate, layout.folder) as cache:
        model = cache.model(Reference.parse(NAME))
        model.fetch([WEIGHTS])
        parts = model.shards
        parts.fetch([f"{WEIGHTS}:100000:200000", f"{WEIGHTS}:200000:256000"])
    (held,), _ = holdings(layout)
    assert (held.files, held.parts) == (1, 2)
    assert held.bytes == 256_000 + 156_000
    assert not verified(layout).wrong
    for path in (model.folder / WEIGHTS, parts.folder / f"{WEIGHTS}:200000:256000"):
        # Of parts alone, what follows the last one would be nobody's.
        path.chmod(0o644)
        with path.open("ab") as stream:
            stream.write(b"more")
    assert len(wrong(layout, repair=True)) == 4
    assert not verified(layout).wrong
    assert pruned(layout, None).models == (f"{NAME}@{hub.head('acme/m')}",)
    assert files_in(layout) == []


@pytest.mark.parametrize("name", [".", "x.gguf"])
@pytest.mark.parametrize("shard_size", [None, 3])
def test_a_single_file_is_held_and_verified(
    gate: Gate,
    layout: Layout,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    name: str,
    shard_size: int | None,
) -> None:
    bundle = models.signature({name: b"weights"}, key, shard_size=shard_size)
    models.write(tmp_path / "acme", {"x.gguf": b"weights", "x.gguf.sig": bundle})
    with Cache(gate, layout.folder) as cache:
        model = cache.model(Reference.parse(f"{tmp_path}/acme/x.gguf"))
        model.fetch(["x.gguf"])
        model.shards.fetch(model.shards.files)
    ((held,), _) = holdings(layout)
    assert (held.files, held.parts) == (1, 3 if shard_size else 1)
    assert not verified(layout).wrong
    overwrite(model.folder / "x.gguf")
    assert f"{_below(layout, model)}/x.gguf" in wrong(layout, repair=True)
    assert not verified(layout).wrong


@pytest.mark.parametrize("of_content", [True, False])
def test_a_file_that_was_changed_is_found_removed_and_transferred_anew(
    gate: Gate, layout: Layout, commit: str, other: str, of_content: bool
) -> None:
    model = fetch(gate, layout.folder)
    fetch(gate, layout.folder, "hf://acme/other")
    (content,) = [
        path for path in layout.folder.rglob("files/*/*") if path.stat().st_size == 256_000
    ]
    overwrite(content if of_content else model.folder / WEIGHTS)
    found = verified(layout)
    assert sorted(finding.path for finding in found.wrong) == sorted(
        str(path.relative_to(layout.folder))
        for path in layout.folder.rglob("*")
        if path.is_file() and path.samefile(content)
    )
    assert {finding.model for finding in found.wrong} == {
        None,
        f"{NAME}@{commit}",
        f"hf://acme/other@{other}",
    }
    assert not found.repaired
    assert content.exists()
    assert len(wrong(layout, repair=True)) == 3
    assert not content.exists()
    assert not verified(layout).wrong
    assert (fetch(gate, layout.folder).folder / WEIGHTS).read_bytes() == models.FILES[WEIGHTS]
    assert (model.folder / CONFIG).exists()


def test_of_one_model_only_its_files_are_verified(
    gate: Gate, layout: Layout, commit: str, other: str
) -> None:
    model = fetch(gate, layout.folder)
    fetch(gate, layout.folder, "hf://acme/other")
    overwrite(model.folder / CONFIG)
    assert wrong(layout, "hf://acme/other") == []
    found = verified(layout, NAME, repair=True)
    assert [finding.model for finding in found.wrong] == [f"{NAME}@{commit}"]
    # Its content is gone with it, as that is what was changed.
    assert not verified(layout).wrong


def test_files_that_have_changed_places_are_found(gate: Gate, layout: Layout, commit: str) -> None:
    """Each is a content of the cache, and was signed: under another name."""
    model = fetch(gate, layout.folder)
    (model.folder / "README.md").unlink()
    os.link(model.folder / CONFIG, model.folder / "README.md")
    assert wrong(layout, repair=True) == [f"{_below(layout, model)}/README.md"]
    assert (model.folder / CONFIG).exists()


Put = Callable[[Path, Path], object]

STRANGE: dict[str, tuple[str, Put]] = {
    "a file that nobody signed": ("{view}/evil.py", lambda path, _: path.write_bytes(b"import os")),
    "a link to a file": ("{view}/link", lambda path, to: path.symlink_to(to / "secret")),
    "a link to a folder": ("{view}/link", lambda path, to: path.symlink_to(to)),
    "a pipe": ("{view}/pipe", lambda path, _: os.mkfifo(path)),
    "another model's folder": ("roots/{zeros}", lambda path, to: path.symlink_to(to)),
    "a folder of no manifest": ("roots/x", lambda path, _: path.mkdir()),
    "a folder of no kind": ("{root}/x", lambda path, _: path.mkdir()),
    "a link for a revision": ("{root}/snapshots/x", lambda path, to: path.symlink_to(to)),
    "a content that is a link": (
        "files/sha256/{zeros}",
        lambda path, to: path.symlink_to(to / "secret"),
    ),
    "a content that is a pipe": ("files/sha256/{zeros}", lambda path, _: os.mkfifo(path)),
    "a content of no name": ("files/sha256/x", lambda path, _: path.write_bytes(b"")),
    "a content of no kind": ("files/md5", lambda path, _: path.mkdir()),
    "a content that is a folder": ("files/sha256/{zeros}", lambda path, _: path.mkdir()),
    "a record that is a link": ("known/x.json", lambda path, to: path.symlink_to(to / "record")),
    "a record that is a pipe": ("known/x.json", lambda path, _: os.mkfifo(path)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_the_gate_did_not_put_there_is_found_and_no_link_is_followed(
    gate: Gate, layout: Layout, commit: str, tmp_path: Path, name: str
) -> None:
    model = fetch(gate, layout.folder)
    before = files_in(layout)
    outside = models.write(tmp_path / "outside", {"secret": b"secret", "folder/more": b"more"})
    (record,) = (layout.folder / "known").glob("*.json")
    (outside / "record").write_bytes(record.read_bytes())
    where, put = STRANGE[name]
    view = _below(layout, model)
    root = view.rpartition("/snapshots/")[0]
    path = where.format(view=view, root=root, zeros="0" * 64)
    put(layout.folder / path, outside)
    assert wrong(layout) == [path]
    assert wrong(layout, repair=True) == [path]
    assert files_in(layout) == before
    assert verified(layout).wrong == ()
    assert len(list(outside.rglob("*"))) == 4
    put(layout.folder / path, outside)
    pruned(layout, None)
    assert len(list(outside.rglob("*"))) == 4


_OTHER_SIGNATURE = base64.b64encode(models.signature({"x": b""}, models.new_key()))

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda record: record[:-10],
    "not text": lambda _: b"\xff",
    "a view elsewhere": lambda record: record.replace(b'"view":"roots/', b'"view":"../roots/'),
    "a view outside": lambda record: record.replace(b'"view":"', b'"view":"/tmp/', 1),
    "another manifest": lambda record: record.replace(
        b'"view":"roots/' + record.partition(b'"view":"roots/')[2][:4], b'"view":"roots/0000'
    ),
    "a view above": lambda record: re.sub(
        rb'("view":"roots/[0-9a-f]{64}/snapshots/)[^"]+', rb"\1..", record
    ),
    "another signature": lambda record: re.sub(
        rb'("signature":")[^"]+', rb"\1" + _OTHER_SIGNATURE, record, count=1
    ),
    "no URL": lambda record: record.replace(b'"url":"hf://', b'"url":"hf:', 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_is_found_and_its_files_are_verified_all_the_same(
    gate: Gate, layout: Layout, commit: str, name: str
) -> None:
    model = fetch(gate, layout.folder)
    (record,) = (layout.folder / "known").glob("*.json")
    damaged = DAMAGES[name](record.read_bytes())
    assert damaged != record.read_bytes()
    record.write_bytes(damaged)
    assert wrong(layout) == [f"known/{record.name}"]
    overwrite(model.folder / CONFIG)
    assert f"{_below(layout, model)}/{CONFIG}" in wrong(layout, repair=True)
    assert not record.exists()
    assert not verified(layout).wrong
    # It is only forgotten, and used lately.
    assert pruned(layout, 1).models == ()
    (layout.folder / "known" / record.name).write_bytes(damaged)
    assert len(pruned(layout, None).models) == 1
    assert files_in(layout) == []


def test_without_record_and_receipts_nothing_says_what_a_file_is(
    gate: Gate, layout: Layout, commit: str
) -> None:
    model = fetch(gate, layout.folder)
    model.folder.with_name(f"{commit}.receipts.json").write_bytes(b"{")
    for record in (layout.folder / "known").iterdir():
        record.unlink()
    view = _below(layout, model)
    assert wrong(layout) == [f"{view}/{name}" for name in sorted(models.FILES)]


def test_receipts_that_do_not_hold_are_removed(gate: Gate, layout: Layout, commit: str) -> None:
    model = fetch(gate, layout.folder)
    (model.folder / CONFIG).touch()
    (model.folder / "README.md").unlink()
    receipts = model.folder.with_name(f"{commit}.receipts.json")
    before = receipts.read_bytes()
    assert not verified(layout).wrong
    assert receipts.read_bytes() == before
    assert not verified(layout, repair=True).wrong
    assert CONFIG.encode() not in receipts.read_bytes()
    assert b"README.md" not in receipts.read_bytes()
    assert WEIGHTS.encode() in receipts.read_bytes()


def test_what_was_not_used_for_so_long_goes(
    gate: Gate, layout: Layout, commit: str, other: str
) -> None:
    fetch(gate, layout.folder)
    fetch(gate, layout.folder, "hf://acme/other")
    age(layout, NAME, 31)
    age(layout, "hf://acme/other", 29)
    would = pruned(layout, 30, dry_run=True)
    assert len(holdings(layout)[0]) == 2
    done = pruned(layout, 30)
    assert done == would
    assert done.models == (f"{NAME}@{commit}",)
    # All other files are also those of the model that stays.
    assert (done.contents, done.bytes) == (1, len(models.FILES[CONFIG]))
    assert [held.model.url for held in holdings(layout)[0]] == [f"hf://acme/other@{other}"]
    assert not verified(layout).wrong
    assert not list(layout.folder.rglob(f"*{commit}*"))
    everything = pruned(layout, None)
    assert everything.bytes == sum(map(len, OTHER.values()))
    assert files_in(layout) == []
    assert list((layout.folder / "roots").iterdir()) == []
    assert list((layout.folder / "stages").iterdir()) == []


def test_to_use_a_model_keeps_it(gate: Gate, layout: Layout, commit: str) -> None:
    fetch(gate, layout.folder)
    age(layout, NAME, 31)
    fetch(gate, layout.folder)
    assert pruned(layout, 30).models == ()


def test_models_that_are_named_go_whatever_their_age(
    gate: Gate,
    layout: Layout,
    commit: str,
    other: str,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    fetch(gate, layout.folder)
    newer = hub.commit("acme/m", signed(OTHER | {"new.json": b"{}"}, key))
    fetch(gate, layout.folder)
    fetch(gate, layout.folder, "hf://acme/other")
    assert pruned(layout, None, f"{NAME}@{commit}").models == (f"{NAME}@{commit}",)
    assert pruned(layout, None, NAME).models == (f"{NAME}@{newer}",)
    for name in (NAME, "hf://acme/other@main", "hf://acme"):
        with pytest.raises(UsageError, match="no model is remembered"):
            pruned(layout, None, name)
    assert [held.model.url for held in holdings(layout)[0]] == [f"hf://acme/other@{other}"]


def test_two_records_keep_one_model(
    gate: Gate, layout: Layout, commit: str, hub: HubStandIn
) -> None:
    """The same commit is known by two endpoints, and by one of them it is still in use."""
    model = fetch(gate, layout.folder)
    (record,) = (layout.folder / "known").glob("*.json")
    (layout.folder / "known" / f"{'0' * 64}.json").write_bytes(record.read_bytes())
    then = time.time() - 31 * 86400
    os.utime(record, (then, then))
    assert pruned(layout, 30).models == (f"{NAME}@{commit}",)
    assert not record.exists()
    assert (model.folder / WEIGHTS).exists()


def test_what_a_branch_named_goes_with_its_model(
    gate: Gate, layout: Layout, commit: str, other: str
) -> None:
    fetch(gate, layout.folder)
    fetch(gate, layout.folder, "hf://acme/other")
    assert len(list((layout.folder / "known").glob("*.txt"))) == 2
    pruned(layout, None, NAME)
    (branch,) = (layout.folder / "known").glob("*.txt")
    assert other in branch.read_text()


def test_a_record_that_is_being_written_stays(layout: Layout) -> None:
    half = layout.folder / "known" / "tmpabc"
    half.touch()
    pruned(layout, None)
    assert half.exists()
    os.utime(half, (0, 0))
    pruned(layout, None)
    assert not half.exists()


def test_files_that_are_open_stay_readable(gate: Gate, layout: Layout, commit: str) -> None:
    with (
        Cache(gate, layout.folder) as cache,
        cache.model(Reference.parse(NAME)).open(WEIGHTS) as stream,
    ):
        pruned(layout, None)
        assert stream.read() == models.FILES[WEIGHTS]
    assert fetch(gate, layout.folder).path(WEIGHTS).exists()


@pytest.fixture
def large(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """The URL of a model that takes some seconds to arrive."""
    files: dict[str, Content] = {WEIGHTS: Repeated(b"weights", 8_000_000), CONFIG: b"{}"}
    bundle = models.signature(files, key)
    commit = hub.create("acme/large", files={**files, "model.sig": bundle})
    hub.inject(faults.Slow(4_000_000), "*.safetensors", origin="cdn")
    return f"hf://acme/large@{commit}"


def _wait_for_bytes(folder: Path) -> None:
    """Wait until a transfer is well under way."""

    def blocks(path: Path) -> int:
        try:
            return path.stat().st_blocks
        except FileNotFoundError:  # It was a short one, and is where it belongs now.
            return 0

    until = time.monotonic() + 60
    while not any(blocks(path) > 2000 for path in folder.glob("stages/*/partial/*")):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_is_being_brought_stays(
    layout: Layout, large: str, gate: Gate, tmp_path: Path
) -> None:
    with loading(layout.folder, tmp_path / "acme.pub", large) as process:
        _wait_for_bytes(layout.folder)
        done = pruned(layout, None)
        assert process.poll() is None
        assert (done.models, done.busy, done.transfers) == ((), (large,), 0)
        # It waits for the transfer, and finds all of it.
        assert not verified(layout, repair=True).wrong
        assert process.wait(60) == 0
    (held,), _ = holdings(layout)
    assert held.files == 2


@pytest.mark.parametrize("with_what", ["verify", "prune", "load"])
def test_a_transfer_that_was_killed_is_cleared_away(
    layout: Layout, large: str, gate: Gate, tmp_path: Path, with_what: str, hub: HubStandIn
) -> None:
    with loading(layout.folder, tmp_path / "acme.pub", large) as process:
        _wait_for_bytes(layout.folder)
        process.kill()
    assert any("stages/" in path for path in files_in(layout))
    assert not verified(layout).wrong
    if with_what == "verify":
        assert not verified(layout, repair=True).wrong
    elif with_what == "prune":
        would = pruned(layout, 30, dry_run=True)
        done = pruned(layout, 30)
        assert would == done
        assert (done.models, done.transfers) == ((), 1)
        assert done.bytes >= 1_000_000
    hub.faults.clear()
    if with_what != "load":
        assert not any("stages/" in path for path in files_in(layout))
    assert len(fetch(gate, layout.folder, large).path(WEIGHTS).read_bytes()) == 8_000_000
    assert not any("stages/" in path for path in files_in(layout))
    assert not verified(layout).wrong


def test_upkeep_and_loads_at_once_disturb_each_other_not(
    layout: Layout,
    gate: Gate,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
) -> None:
    """Two processes load models with many files in common, while all is looked after."""
    common = {f"{number}.json": bytes([number]) * 100 for number in range(60)}
    urls = []
    for number in range(6):
        files = {**common, "own.json": b"%d" % number}
        urls.append(f"hf://acme/{number}@{hub.create(f'acme/{number}', files=signed(files, key))}")
    public = tmp_path / "acme.pub"
    with (
        loading(layout.folder, public, *urls) as one,
        loading(layout.folder, public, *reversed(urls)) as two,
    ):
        while one.poll() is None or two.poll() is None:
            pruned(layout, 1)
            assert not verified(layout).wrong
        assert (one.wait(), two.wait()) == (0, 0)
    assert not verified(layout, repair=True).wrong
    assert len(holdings(layout)[0]) == 6
    # Nothing that a model has was taken for nobody's.
    assert len(list((layout.folder / "files" / "sha256").iterdir())) >= 66


def test_what_arrives_is_at_no_moment_a_content_that_no_model_has(
    gate: Gate, layout: Layout, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two of its steps, a pruning finds nothing of it to remove."""
    freed = []
    for name in ("rename", "link"):
        step = getattr(os, name)

        def stepped(*arguments: object, step: object = step, **options: object) -> None:
            assert callable(step)
            step(*arguments, **options)
            freed.append(prune(layout, None).contents)

        monkeypatch.setattr(os, name, stepped)
    assert fetch(gate, layout.folder).path(CONFIG).exists()
    assert len(freed) >= 6
    assert not any(freed)


def _below(layout: Layout, model: CachedModel) -> str:
    return model.folder.relative_to(layout.folder).as_posix()
