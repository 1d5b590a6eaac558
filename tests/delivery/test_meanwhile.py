"""What others do to a folder while a pull is at work, or did before, is not lost and not taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode, UsageError, Verdict
from oms_gate.delivery import publishing, pull, system_calls
from tests import models
from tests.delivery.pulling import codes, deliver, gate_of, mount, signed, tree
from tests.delivery.test_places import nobody
from tests.peers.hub import HubStandIn

Key = ec.EllipticCurvePrivateKey
STAGE = ".oms-gate-pull"
OLD = {**models.FILES, "sub/x.json": b"{}"}
NEW = {**OLD, "config.json": b"{}", "more.json": b"{}"}


@pytest.fixture
def newer(hub: HubStandIn, settings: dict[str, Any], key: Key, to: Path) -> str:
    """A model of which another revision has been pulled."""
    hub.create("acme/m", files=signed(key, OLD))
    assert deliver(settings, "hf://acme/m", to).admitted
    hub.commit("acme/m", signed(key, NEW))
    return "hf://acme/m"


def before(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, act: Callable[[], object]
) -> None:
    """Do something before a function is called."""
    call = getattr(module, name)

    def wrapped(*arguments: Any) -> Any:
        act()
        return call(*arguments)

    monkeypatch.setattr(module, name, wrapped)


@pytest.mark.parametrize("mode", ["exchange", "aside", "in place"])
@pytest.mark.parametrize("when", ["make_durable", "exchange"])
def test_a_file_that_comes_at_the_end_is_the_users(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    newer: str,
    to: Path,
    mode: str,
    when: str,
) -> None:
    """While the pull waits for the disk, and when it has looked for the last time."""
    was = tree(to)
    if mode == "in place":
        (to / STAGE).mkdir()
    elif mode == "aside":
        monkeypatch.setattr(system_calls, "_LIBC", object())
    module = pull if when == "make_durable" else publishing
    with monkeypatch.context() as now:
        before(now, module, when, lambda: models.write(to, {"notes.txt": b"mine"}))
        if mode == "in place" and when == "exchange":
            assert deliver(settings, newer, to).admitted  # Nothing changes places there.
            return
        with pytest.raises(UsageError, match=r"notes\.txt"):
            deliver(settings, newer, to)
    found = {path: content for path, content in tree(to).items() if not path.startswith(STAGE)}
    assert found == {**was, "notes.txt": b"mine"}
    (to / "notes.txt").unlink()
    assert deliver(settings, newer, to).admitted
    assert {path for path in tree(to) if not path.startswith(STAGE)} == {*NEW, "model.sig"}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("removed", [False, True])
def test_what_is_changed_after_it_was_hashed_is_not_taken_over(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    newer: str,
    to: Path,
    in_place: bool,
    removed: bool,
) -> None:
    """The new revision has this file as well, so it was not transferred."""
    if in_place:
        (to / STAGE).mkdir()

    def change() -> None:
        if removed:
            (to / "README.md").unlink()
            return
        with (to / "README.md").open("r+b") as file:
            file.write(b"EVIL")

    with monkeypatch.context() as now:
        before(now, pull, "make_durable", change)
        verdict = deliver(settings, newer, to)
    assert codes(verdict) == [ReasonCode.SYSTEM_IO]
    assert "after it was hashed" in verdict.reasons[0].message
    assert deliver(settings, newer, to).admitted
    assert (to / "README.md").read_bytes() == NEW["README.md"]


def test_nor_where_nothing_was_to_be_done(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], newer: str, to: Path
) -> None:
    assert deliver(settings, newer, to).admitted
    with monkeypatch.context() as now:
        before(now, Verdict, "to_json", (to / "README.md").unlink)
        verdict = gate_of(settings).deliver(newer, to)
    assert codes(verdict) == [ReasonCode.SYSTEM_IO]


def test_a_write_protected_model_is_replaced_or_left(
    settings: dict[str, Any], newer: str, to: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    gate = gate_of(settings)
    to.parent.chmod(0o777)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "65534:65534", to], check=True)
        for folder in to.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
    to.chmod(0o555)
    with nobody():
        refused = gate.deliver(newer, to)
    assert codes(refused) == [ReasonCode.SYSTEM_IO]
    assert "may not be written to" in refused.reasons[0].message
    to.chmod(0o755)
    (to / "sub").chmod(0o555)
    with nobody():
        assert gate.deliver(newer, to).admitted
    assert tree(to).keys() == {*NEW, "model.sig"}
    assert list(to.parent.iterdir()) == [to]


def test_a_folder_of_a_lower_layer_is_filled_in_place(
    settings: dict[str, Any], newer: str, to: Path, tmp_path: Path
) -> None:
    """A model that was put into a container's image: its folder cannot be moved."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount file systems")
    layers = {name: tmp_path / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    to.rename(layers["lower"] / "model")
    options = ",".join(f"{name}dir={layers[name]}" for name in ("lower", "upper", "work"))
    mount("-t", "overlay", "-o", options, "overlay", layers["merged"])
    try:
        assert deliver(settings, newer, layers["merged"] / "model").admitted
        assert tree(layers["merged"] / "model").keys() == {*NEW, "model.sig"}
        assert [path.name for path in layers["merged"].iterdir()] == ["model"]
        assert deliver(settings, newer, layers["merged"] / "model").admitted
    finally:
        subprocess.run(["umount", "--lazy", layers["merged"]], check=True)


def test_a_copy_that_was_moved_aside_comes_back_over_an_empty_folder(
    settings: dict[str, Any], newer: str, to: Path, hub: HubStandIn
) -> None:
    """A pull was killed in between, a script made the folder, and the next pull is denied."""
    stage = to.parent / f".{to.name}{STAGE}"
    was = tree(to)
    stage.mkdir()
    to.rename(stage / "old")
    to.mkdir()
    hub.replace_under_commit("acme/m", "config.json", b"[]")
    assert codes(deliver(settings, newer, to)) == [ReasonCode.FILE_CHANGED]
    assert tree(to) == was


def test_who_is_in_the_folder_stays_there(
    settings: dict[str, Any], newer: str, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(to)
    assert gate_of(settings).deliver(newer, Path()).admitted
    assert {path.name for path in Path().iterdir()} >= {"model.sig", "more.json"}


def test_a_refusal_leaves_no_stage(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], newer: str, to: Path
) -> None:
    before(monkeypatch, pull, "heal", lambda: models.write(to, {"notes.txt": b"mine"}))
    with pytest.raises(UsageError):
        deliver(settings, newer, to)
    assert list(to.parent.iterdir()) == [to]


def test_a_name_that_leaves_no_room_for_the_stage(
    settings: dict[str, Any], newer: str, to: Path
) -> None:
    with pytest.raises(UsageError, match="too long"):
        deliver(settings, newer, to.with_name("n" * 245))


def test_a_model_without_files_is_denied_however_it_is_let_through(
    hub: HubStandIn, settings: dict[str, Any], to: Path
) -> None:
    hub.create("acme/empty", files={"model.sig": b"{}"})
    verdict = deliver({**settings, "mode": "annotate"}, "hf://acme/empty", to)
    assert verdict.delivery is None
    assert codes(verdict) == [ReasonCode.BUNDLE_MALFORMED, ReasonCode.COVERAGE_MISSING]
