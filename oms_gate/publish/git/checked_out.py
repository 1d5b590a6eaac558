"""Places that follow what is pushed, as a work tree may on a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oms_gate.publish.git.program import Git


def checked_out(path: Path, git: Git) -> bool:
    """Whether a push may change what is at a path: it lies in a work tree, or leads through one.

    Raises:
        UsageError: this is no repository.
        StoreError: git fails.
    """
    folder, place = git.place("--git-common-dir").resolve(), path.resolve()
    absolute = Path(os.path.abspath(path))
    # Each link on the way is a file, too.
    way = {step.parent.resolve() / step.name for step in (absolute, *absolute.parents)}

    def pushed(step: Path, tree: Path) -> bool:
        in_repository = folder.is_relative_to(tree) and step.is_relative_to(folder)
        return step != tree and step.is_relative_to(tree) and not in_repository

    return any(
        tree.is_relative_to(place) or any(pushed(step, tree) for step in {place, *way})
        for tree in _work_trees(git, folder)
    )


def _work_trees(git: Git, folder: Path) -> Iterator[Path]:
    if folder.name == ".git":
        yield folder.parent
    if (elsewhere := git.setting("core.worktree", "--type=path")) is not None:
        yield (folder / elsewhere).resolve()
    for line in git.records(b"\n", "worktree", "list", "--porcelain"):
        what, _, path = line.partition(b" ")
        # One that is bare is in the list itself.
        if what == b"worktree" and (tree := Path(os.fsdecode(path)).resolve()) != folder:
            yield tree
