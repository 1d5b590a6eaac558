"""Pulling from real stores: what arrives, what does not, and what that costs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import AdmissionDenied, Assurance, ReasonCode, UsageError
from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.delivery.pulling import codes, deliver, gate_of, signed, tree, untouched
from tests.peers.content import Content
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

Key = ec.EllipticCurvePrivateKey
SIZE = sum(map(len, models.FILES.values()))


def transferred(server: HubStandIn | SeaweedFS) -> int:
    """Bytes of signed files that a store has sent."""
    return sum(
        record.sent
        for record in server.requests
        if record.method == "GET" and record.status in (200, 206)
        if record.file and not record.file.endswith(".sig")
    )


@pytest.fixture
def source(tmp_path: Path, key: Key) -> Path:
    """A signed model with a file that nobody signed, in a folder."""
    files = {**signed(key), "sub/LICENSE": b"free"}
    return models.write(tmp_path / "acme" / "m", files)  # type: ignore[arg-type]


@pytest.mark.parametrize("hash_type", ["sha256", "blake3"])
@pytest.mark.parametrize("shard_size", [None, 10_000])
def test_the_signed_files_arrive_from_the_hub(
    hub: HubStandIn,
    settings: dict[str, Any],
    key: Key,
    to: Path,
    hash_type: str,
    shard_size: int | None,
) -> None:
    files = signed(key, hash_type=hash_type, shard_size=shard_size)
    hub.create("acme/m", files={**files, "LICENSE": b"free"})
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.BYTES
    assert tree(to) == files
    assert verdict.delivery is not None
    assert verdict.delivery.folder == str(to)
    assert verdict.delivery.files == tuple(sorted(models.FILES))
    assert verdict.delivery.signature == "model.sig"
    assert verdict.delivery.bytes == verdict.delivery.transferred_bytes == SIZE
    assert verdict.delivery.reused_bytes == 0
    assert verdict.coverage is not None
    assert (verdict.coverage.measured, verdict.coverage.measured_bytes) == (3, SIZE)
    assert [path.name for path in to.parent.iterdir()] == ["model"]


def test_they_arrive_from_s3_in_one_pass(
    s3: SeaweedFS, s3_bucket: str, settings: dict[str, Any], key: Key, to: Path
) -> None:
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    for path, content in signed(key).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    s3.clear()
    assert deliver(settings, f"s3://{s3_bucket}/acme/m", to).admitted
    assert tree(to) == signed(key) | {"model.sig": (to / "model.sig").read_bytes()}
    assert transferred(s3) == SIZE


def test_whatever_the_assurance_all_that_arrives_is_hashed(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    settings["assurance"] = "signature"
    hub.create("acme/m", files=signed(key))
    assert deliver(settings, "hf://acme/m", to).assurance is Assurance.BYTES
    hub.replace_under_commit("acme/m", "model.safetensors", bytes(256_000))
    verdict = deliver(settings, "hf://acme/m", to.with_name("other"))
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert list(to.parent.iterdir()) == [to]


@pytest.mark.parametrize("name", ["model.gguf", "."])
def test_a_single_file(
    settings: dict[str, Any], key: Key, tmp_path: Path, to: Path, name: str
) -> None:
    """Also as the reference implementation calls it."""
    files = {"model.gguf": b"weights", "model.gguf.sig": models.signature({name: b"weights"}, key)}
    models.write(tmp_path / "acme", files)
    assert deliver(settings, tmp_path / "acme" / "model.gguf", to).admitted
    assert tree(to) == files


def test_a_signature_elsewhere_comes_along(
    settings: dict[str, Any], key: Key, tmp_path: Path, to: Path
) -> None:
    source = models.write(tmp_path / "acme" / "m", dict(models.FILES))
    bundle = models.signature(models.FILES, key)
    settings["signature"] = str(models.write(tmp_path, {"x.sig": bundle}) / "x.sig")
    assert deliver(settings, source, to).admitted
    assert tree(to) == {**models.FILES, "model.sig": bundle}


def test_a_pulled_folder_is_a_model_like_any_other(
    settings: dict[str, Any], source: Path, to: Path
) -> None:
    """The verdict is no file that a loader reads; it can be verified, and pulled on."""
    assert deliver(settings, source, to).admitted
    gate = gate_of(settings)
    assert gate.check(to).admitted
    assert gate.pull(to, to.with_name("next")) == to.with_name("next")
    assert tree(to.with_name("next")) == tree(to)


def test_what_is_there_is_not_transferred_again(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    first = deliver(settings, "hf://acme/m", to)
    before = untouched(to)
    hub.clear()
    second = deliver(settings, "hf://acme/m", to)
    assert second.delivery is not None
    assert (second.delivery.bytes, second.delivery.transferred_bytes) == (SIZE, 0)
    assert second.delivery.reused_bytes == SIZE
    assert second.coverage == first.coverage
    assert transferred(hub) == 0
    now = untouched(to)
    assert before.pop(to / VERDICT_FILE) != now.pop(to / VERDICT_FILE)
    assert now == before
    assert second.checked_at > first.checked_at


def test_of_a_new_revision_only_what_is_new(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    """What stays is the same file, and what was removed goes."""
    hub.create("acme/m", files=signed(key, {**models.FILES, "old/x.json": b"{}"}))
    assert deliver(settings, "hf://acme/m", to).admitted
    weights = (to / "model.safetensors").stat().st_ino
    new: dict[str, Content] = {**models.FILES, "config.json": b"{}"}
    hub.commit("acme/m", {**signed(key, new), "old/x.json": None})
    hub.clear()
    assert deliver(settings, "hf://acme/m", to).admitted
    assert tree(to) == signed(key, new)
    assert not (to / "old").exists()
    assert (to / "model.safetensors").stat().st_ino == weights
    assert transferred(hub) == 2


def test_a_good_copy_that_was_changed_is_mended(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    """Never by writing into it: it may have other names."""
    hub.create("acme/m", files=signed(key))
    assert deliver(settings, "hf://acme/m", to).admitted
    damaged = bytes(len(models.FILES["model.safetensors"]))
    (to / "model.safetensors").write_bytes(damaged)
    other = to.parent / "other-name"
    os.link(to / "model.safetensors", other)
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes == len(damaged)
    assert tree(to) == signed(key)
    assert other.read_bytes() == damaged


def test_the_signature_is_the_one_that_was_checked(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    """Signed anew, the same files get another one beside them."""
    hub.create("acme/m", files=signed(key))
    assert deliver(settings, "hf://acme/m", to).admitted
    again = models.signature(models.FILES, key, ignore_paths=["notes"])
    hub.commit("acme/m", {"model.sig": again})
    verdict = deliver(settings, "hf://acme/m", to)
    assert verdict.delivery is not None
    assert verdict.delivery.transferred_bytes == 0
    assert (to / "model.sig").read_bytes() == again


@pytest.mark.parametrize("spoil", ["bytes", "signature"])
def test_a_good_copy_stays_when_the_new_one_is_denied(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, spoil: str
) -> None:
    hub.create("acme/m", files=signed(key))
    assert deliver(settings, "hf://acme/m", to).admitted
    good, verdict_file = tree(to), (to / VERDICT_FILE).read_text()
    new: dict[str, Content] = {**models.FILES, "README.md": b"# New\n"}
    hub.commit("acme/m", signed(key if spoil == "bytes" else models.new_key(), new))
    if spoil == "bytes":
        hub.replace_under_commit("acme/m", "README.md", b"# Bad\n")
    assert not deliver(settings, "hf://acme/m", to).admitted
    assert tree(to) == good
    assert (to / VERDICT_FILE).read_text() == verdict_file
    assert list(to.parent.iterdir()) == [to]


@pytest.mark.parametrize("spoil", ["no signature", "a stranger's", "another namespace", "code"])
def test_a_denial_before_the_bytes_costs_nothing(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, spoil: str
) -> None:
    """No weight byte, no lock, no folder."""
    files = signed(models.new_key() if spoil == "a stranger's" else key)
    if spoil == "no signature":
        del files["model.sig"]
    if spoil == "code":
        files["modeling.py"] = b"import os"
    name = "mallory/m" if spoil == "another namespace" else "acme/m"
    hub.create(name, files=files)
    verdict = deliver(settings, f"hf://{name}", to)
    assert codes(verdict) == [
        {
            "no signature": ReasonCode.SIGNATURE_MISSING,
            "a stranger's": ReasonCode.KEY_UNTRUSTED,
            "another namespace": ReasonCode.PUBLISHER_UNKNOWN,
            "code": ReasonCode.COVERAGE_UNSIGNED,
        }[spoil]
    ]
    assert verdict.delivery is None
    assert transferred(hub) == 0
    assert not to.parent.exists()


def test_pull_raises_what_deliver_says(settings: dict[str, Any], source: Path, to: Path) -> None:
    gate = gate_of(settings)
    assert gate.pull(source, to) == to
    (source / "config.json").write_bytes(b"changed")
    with pytest.raises(AdmissionDenied, match=r"config\.json was changed") as caught:
        gate.pull(source, to.with_name("other"))
    assert caught.value.verdict.delivery is None


PATTERNS = [
    (["*.json"], [], {"config.json", "sub/x.json"}),
    ([], ["*.json"], {"README.md", "model.safetensors"}),
    (["*.json"], ["sub/*"], {"config.json"}),
    (["sub/"], [], {"sub/x.json"}),
    (["sub/", "README.md"], [], {"sub/x.json", "README.md"}),
    (["[cr]onfig.json", "MODEL.*"], [], {"config.json"}),
]


@pytest.mark.parametrize(("include", "exclude", "expected"), PATTERNS)
def test_patterns_choose_as_the_hubs_client_does(
    settings: dict[str, Any],
    key: Key,
    tmp_path: Path,
    to: Path,
    include: list[str],
    exclude: list[str],
    expected: set[str],
) -> None:
    from huggingface_hub.utils._paths import filter_repo_objects

    files = {**models.FILES, "sub/x.json": b"{}"}
    source = models.write(tmp_path / "acme" / "m", signed(key, files))  # type: ignore[arg-type]
    verdict = deliver(settings, source, to, include=include, exclude=exclude)
    assert verdict.admitted
    assert verdict.delivery is not None
    assert set(verdict.delivery.files) == expected
    assert verdict.delivery.left_out == len(files) - len(expected)
    assert tree(to).keys() == {*expected, "model.sig"}
    theirs = filter_repo_objects(files, allow_patterns=include or None, ignore_patterns=exclude)
    assert set(theirs) == expected


def test_other_patterns_another_time(settings: dict[str, Any], source: Path, to: Path) -> None:
    for include, count in ((["*.json"], 1), ([], 3), (["*.json", "*.md"], 2)):
        verdict = deliver(settings, source, to, include=include)
        assert verdict.delivery is not None
        assert len(verdict.delivery.files) == len(tree(to)) - 1 == count


@pytest.mark.parametrize("spoil", ["code", "missing", "contradiction"])
def test_patterns_weaken_nothing(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, spoil: str
) -> None:
    """What is wrong is among the files that were not asked for."""
    files = signed(key)
    if spoil == "code":
        files["modeling.py"] = b"import os"
    elif spoil == "missing":
        del files["README.md"]
    else:
        files["model.safetensors"] = b"others" * 10_000
    hub.create("acme/m", files=files)
    verdict = deliver(settings, "hf://acme/m", to, include=["config.json"])
    assert not verdict.admitted
    assert not to.parent.exists()


@pytest.mark.parametrize(("include", "exclude"), [(["*.gguf"], []), ([""], []), ([], ["*"])])
def test_patterns_that_leave_nothing(
    settings: dict[str, Any], source: Path, to: Path, include: list[str], exclude: list[str]
) -> None:
    with pytest.raises(UsageError, match="patterns leave no file"):
        deliver(settings, source, to, include=include, exclude=exclude)
    assert not to.parent.exists()


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (VERDICT_FILE, "model.sig"),
        (VERDICT_FILE.upper(), "model.sig"),
        (f"{VERDICT_FILE}/x", "model.sig"),
        (".oms-gate-pull/x", "model.sig"),
        ("model.sig", "elsewhere"),
    ],
)
def test_a_signed_name_that_is_in_the_way(
    settings: dict[str, Any], key: Key, tmp_path: Path, to: Path, name: str, signature: str
) -> None:
    files = {**models.FILES, name: b"{}"}
    bundle = models.signature(files, key)
    source = models.write(tmp_path / "acme" / "m", files)
    if signature == "elsewhere":
        settings["signature"] = str(models.write(tmp_path, {"x.sig": bundle}) / "x.sig")
    else:
        models.write(source, {signature: bundle})
    assert gate_of(settings).check(source).admitted
    verdict = deliver(settings, source, to)
    assert codes(verdict) == [ReasonCode.STATEMENT_UNSAFE_NAME]
    assert not to.parent.exists()


def link(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "x").symlink_to("/etc/passwd")


def pipe(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / "x")


OCCUPIED: dict[str, Callable[[Path], object]] = {
    "a file": lambda to: models.write(to, {"notes.txt": b"mine"}),
    "a file below": lambda to: models.write(to, {"a/b/notes.txt": b"mine"}),
    "a link": link,
    "a pipe": pipe,
    "a verdict of no pull": lambda to: models.write(to, {VERDICT_FILE: b"{}", "x": b""}),
    "no verdict": lambda to: models.write(to, {VERDICT_FILE: b"[", "x": b""}),
}


@pytest.mark.parametrize("what", OCCUPIED)
def test_nothing_of_the_users_is_touched(
    settings: dict[str, Any], source: Path, to: Path, what: str
) -> None:
    OCCUPIED[what](to)
    before = untouched(to.parent)
    with pytest.raises(UsageError, match="choose another folder"):
        deliver(settings, source, to)
    assert untouched(to.parent) == before


def test_a_file_beside_the_model_is_the_users(
    settings: dict[str, Any], source: Path, to: Path
) -> None:
    assert deliver(settings, source, to).admitted
    (to / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        deliver(settings, source, to)
    (to / "notes.txt").unlink()
    (to / "config.json").unlink()
    (to / "config.json").symlink_to(source / "config.json")
    with pytest.raises(UsageError, match=r"config\.json"):
        deliver(settings, source, to)


def test_a_file_that_comes_while_it_is_transferred_is_the_users(
    hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
) -> None:
    from tests.peers.faults import CallBefore

    hub.create("acme/m", files=signed(key))
    hub.inject(
        CallBefore(lambda: models.write(to, {"notes.txt": b"mine"})), "*config.json", method="GET"
    )
    with pytest.raises(UsageError, match=r"notes\.txt"):
        deliver(settings, "hf://acme/m", to)
    assert tree(to) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("folder", ["", "a\0b", "{file}", "{file}/below"])
def test_what_cannot_be_a_folder(settings: dict[str, Any], source: Path, folder: str) -> None:
    with pytest.raises(UsageError):
        gate_of(settings).deliver(source, folder.format(file=source / "README.md"))


def test_an_empty_folder_and_a_link_to_one(
    settings: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    """The link stays a link."""
    (tmp_path / "real").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        assert deliver(settings, source, tmp_path / "link").admitted
        assert (tmp_path / "link").is_symlink()
        assert tree(tmp_path / "real").keys() == {*models.FILES, "model.sig"}
        assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o750


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("around", "file", "folder"),
    [(0o755, 0o644, 0o755), (0o2775, 0o664, 0o2775), (0o1777, 0o644, 0o755)],
)
@pytest.mark.usefixtures("umask")
def test_modes_suit_a_shared_volume(
    settings: dict[str, Any], key: Key, tmp_path: Path, around: int, file: int, folder: int
) -> None:
    files = {**models.FILES, "sub/x.json": b"{}"}
    source = models.write(tmp_path / "acme" / "m", signed(key, files))  # type: ignore[arg-type]
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(around)
    assert deliver(settings, source, volume / "a" / "b").admitted
    for path in (volume / "a").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (folder if path.is_dir() else file), path
    assert stat.S_IMODE((volume / "a").stat().st_mode) == folder


def test_what_root_pulls_belongs_to_whose_folder_it_is(
    settings: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, 1234, 2345)
    for _ in range(2):
        assert deliver(settings, source, volume / "m").admitted
        for path in volume.rglob("*"):
            assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345), path


class TestAnnotate:
    """``mode: annotate``: a denied model is let through, and says so."""

    @pytest.fixture(autouse=True)
    def annotate(self, settings: dict[str, Any]) -> None:
        settings["mode"] = "annotate"

    @pytest.mark.parametrize("spoil", ["no signature", "code", "bytes", "declared", "size"])
    def test_all_files_arrive_as_they_are(
        self, hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path, spoil: str
    ) -> None:
        files = signed(key, shard_size=100_000 if spoil == "size" else None)
        files["LICENSE"] = b"unsigned, and may be"
        changed: dict[str, Content] = {}
        if spoil == "no signature":
            del files["model.sig"]
        elif spoil == "code":
            files["modeling.py"] = b"import os"
        elif spoil in ("declared", "size"):
            files["model.safetensors"] = bytes(256_000 if spoil == "declared" else 1000)
        hub.create("acme/m", files=files)
        if spoil == "bytes":
            changed = {"model.safetensors": bytes(256_000)}
            hub.replace_under_commit("acme/m", *next(iter(changed.items())))
        verdict = deliver(settings, "hf://acme/m", to)
        assert not verdict.admitted
        assert verdict.lets_through
        assert verdict.assurance is not Assurance.BYTES
        assert tree(to) == files | changed
        assert json.loads((to / VERDICT_FILE).read_text())["outcome"] == "denied"
        assert list(to.parent.iterdir()) == [to]
        assert deliver(settings, "hf://acme/m", to).delivery is not None

    def test_an_admitted_model_arrives_as_ever(
        self, settings: dict[str, Any], source: Path, to: Path
    ) -> None:
        assert deliver(settings, source, to).admitted
        assert tree(to).keys() == {*models.FILES, "model.sig"}

    def test_what_cannot_be_read_is_not_let_through(
        self, hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path
    ) -> None:
        from tests.peers.faults import Drop

        files = signed(key)
        files["modeling.py"] = b"import os"
        hub.create("acme/m", files=files)
        for path in ("*config.json", "*modeling.py"):
            hub.inject(Drop(), path, method="GET")
            verdict = deliver(settings, "hf://acme/m", to)
            assert ReasonCode.STORE_UNAVAILABLE in codes(verdict)
            assert verdict.delivery is None
            assert not to.exists()
            hub.faults.clear()
        assert gate_of(settings).pull("hf://acme/m", to) == to
        assert tree(to) == files

    def test_patterns_hold_here_too(self, settings: dict[str, Any], source: Path, to: Path) -> None:
        (source / "modeling.py").write_text("import os")
        verdict = deliver(settings, source, to, include=["*.py", "*.json"])
        assert codes(verdict) == [ReasonCode.COVERAGE_UNSIGNED]
        assert tree(to).keys() == {"modeling.py", "config.json", "model.sig"}

    def test_what_is_in_the_way_does_not_arrive(
        self, settings: dict[str, Any], source: Path, to: Path
    ) -> None:
        models.write(source, {VERDICT_FILE: b"{}", ".oms-gate-pull/x": b"", "x.py": b""})
        verdict = deliver(settings, source, to)
        assert verdict.delivery is not None
        assert set(verdict.delivery.files) == {*models.FILES, "sub/LICENSE", "x.py"}
        assert not (to / ".oms-gate-pull").exists()
