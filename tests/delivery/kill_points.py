"""Kill a pull at each step that it takes on the disk: ``python -m tests.delivery.kill_points``.

A pull replaces one revision of a model by another, and is killed (SIGKILL) before its first
change of the file system, before its second one, and so on until one gets to its end. After each:
what is under a final name is of one of the two revisions, and a folder with a verdict is whole.
Then the next pull completes. It prints how many steps there were.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.delivery import system_calls
from oms_gate.verdict import VERDICT_FILE
from tests import models

STEPS = ("fchmod", "fsync", "ftruncate", "link", "mkdir", "pwrite", "rename", "rmdir", "unlink")
OLD = {**models.FILES, "gone/a.json": b"{}", "gone.json": b"old", "both": b"old"}
NEW = {**models.FILES, "gone.json/now-a-folder.json": b"{}", "new/b.json": b"{}", "both": b"new"}


def main(mode: str, place: Path) -> None:
    """
    mode: ``exchange``, ``aside`` (this system cannot exchange) or ``in-place``.
    place: an empty folder to work in.
    """
    key = models.new_key()
    (place / "key.pub").write_bytes(models.public_pem(key))
    for name, files in (("old", OLD), ("new", NEW), ("bad", {**NEW, "both": b"third"})):
        models.write(place / name, {**files, "model.sig": models.signature(files, key)})
    (place / "bad" / "both").write_bytes(b"wrong")
    gate = Gate.from_config(
        GateConfig.model_validate(
            {
                "trust": {"keys": {"acme": place / "key.pub"}, "public_good": False},
                "publishers": [
                    {"name": "A", "models": ["/**"], "signers": [{"method": "key", "key": "acme"}]}
                ],
                # The steps are in the same order each time.
                "limits": {"connections": 1},
            }
        )
    )
    if mode == "aside":
        system_calls._LIBC = object()  # type: ignore[assignment]
    folder = place / "model"

    def pull(name: str) -> None:
        verdict = gate.deliver(place / name, folder)
        assert verdict.delivery is not None, verdict.reasons
        assert tree(folder) == contents(name)

    def contents(name: str) -> dict[str, bytes]:
        files = OLD if name == "old" else NEW
        return {**files, "model.sig": (place / name / "model.sig").read_bytes()}

    pull("old")
    folder.rename(place / "pulled")
    for step in count(1):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(place / "pulled", folder)
        if mode == "in-place":
            (folder / ".oms-gate-pull").mkdir()
        survived = in_a_child(partial(killed_at, step, partial(pull, "new")))
        found = tree(folder)
        for path, content in found.items():
            assert content in (contents("old").get(path), contents("new").get(path)), path
        if (folder / VERDICT_FILE).exists() or mode == "exchange":
            assert found in (contents("old"), contents("new")), step
        if not folder.exists():
            # It is brought back before the next one can be denied.
            assert gate.deliver(place / "bad", folder).delivery is None
            assert tree(folder) == contents("old")
        # Whichever is next, and whatever was in the way of the other one.
        pull("new" if step % 2 else "old")
        assert not list(place.glob(".*"))
        if survived:
            print(step)
            return


def tree(folder: Path) -> dict[str, bytes]:
    """The files under final names, without the verdict."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != VERDICT_FILE
        if path.relative_to(folder).parts[0] != ".oms-gate-pull"
    }


def killed_at(step: int, work: Callable[[], None]) -> None:
    """Do some work, and be killed before its `step`-th change of the file system."""
    steps = count(1)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return replacement

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    exchange = system_calls.exchange
    sys.modules["oms_gate.delivery.publishing"].exchange = counted(exchange)  # type: ignore[attr-defined]
    work()


def in_a_child(work: Callable[[], None]) -> bool:
    """Whether a child process gets through this without being killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert ended in (0, signal.SIGKILL), ended
    return ended == 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
