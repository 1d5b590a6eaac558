"""What goes out with a push beside the models: what later commits take back, and messages."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from oms_gate.errors import MeasureError
from oms_gate.gate import Gate
from oms_gate.inspection.inspect import inspect
from oms_gate.inspection.names import inspect_names
from oms_gate.publish.git.history import Change, changes_of, commits
from oms_gate.publish.git.lfs import ambiguous
from oms_gate.publish.git.messages import inspect_messages
from oms_gate.publish.git.program import Git
from oms_gate.publish.git.tree import Tree, Trees
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import Reason

_File = tuple[str, str]
"""A path, and the blob that is there."""


class Past:
    """The commits that a push brings, whichever of its references they come by.

    tips: the commits that the references are to be at.
    known: arguments of ``git rev-list`` for what is there already.
    """

    def __init__(
        self,
        gate: Gate,
        git: Git,
        trees: Trees,
        *,
        tips: Collection[str],
        known: Sequence[str],
    ) -> None:
        """List them.

        Raises:
            StoreError: git fails, or they or their files are more than `limits.files`.
        """
        self._gate = gate
        self._git = git
        self._trees = trees
        self._tips = tips
        self._unknown = ("--not", *known)
        self._until = time.monotonic() + gate.limits.total_seconds
        self._commits = commits(git, *tips, *self._unknown) if tips else ()
        self._changes = tuple(changes_of(git, self._commits)) if tips else ()
        self.blobs = frozenset(change.blob for change in self._changes)
        # What was found in a file, and in the message of a commit, so far.
        self._in_files: dict[_File, list[Reason]] = {}
        self._in_messages: Mapping[str, Sequence[Reason]] | None = None

    def reasons(
        self, target: Reference, tip: str, present: Mapping[str, str], there: Collection[str]
    ) -> Iterator[Reason]:
        """Why the commits that lead to one of the tips should not be published.

        target: the model that it is.
        present: the blob of each path at the tip, which is looked at by itself.
        there: blobs that are at the target.

        Raises:
            StoreError: git fails.
            MeasureError: it takes longer than `limits.total_seconds`.
        """
        at_tip = present.items()
        past = [
            change
            for change in self._changes
            if change.blob not in there and (change.path, change.blob) not in at_tip
        ]
        self._look_into(target, past)
        if self._in_messages is None:
            self._in_messages = self._read_messages(target)
        if not any(self._in_files.values()) and not self._in_messages:
            return
        leading = self._leading_to(tip)
        for commit, reasons in self._in_messages.items():
            if commit in leading:
                yield from reasons
        reported: set[_File] = set()
        for change in past:
            file = (change.path, change.blob)
            if change.commit in leading and file not in reported:
                reported.add(file)
                for reason in self._in_files[file]:
                    yield _of_commit(reason, change.commit)

    def _look_into(self, target: Reference, past: Sequence[Change]) -> None:
        # All at once: what is asked for one by one takes a process for each.
        self._trees.objects.sizes(change.blob for change in past)
        for _, changes in groupby(past, key=lambda change: change.commit):
            pairs = {(change.path, change.blob) for change in changes}
            while files := {
                path: blob for path, blob in pairs if (path, blob) not in self._in_files
            }:
                # A malformed tree may have a name twice.
                tree = self._trees.of_blobs(target, files)
                for file in files.items():
                    self._in_files[file] = self._in_time(tree, file[0])

    def _in_time(self, tree: Tree, path: str) -> list[Reason]:
        if time.monotonic() > self._until:
            raise MeasureError(
                ReasonCode.DEADLINE_EXCEEDED,
                "the commits of the push could not be looked into within "
                f"{self._gate.limits.total_seconds:g} seconds; push fewer commits at once, or "
                "raise the limit 'total_seconds'",
            )
        return [*self._found(tree, path)]

    def _found(self, tree: Tree, path: str) -> Iterator[Reason]:
        """Why a file should not be published, whichever commit it is of."""
        if path in tree.ambiguous:
            yield ambiguous(path).reason
        settings, limits = self._gate.publish, self._gate.limits
        if path in tree.absent:
            found = inspect_names(tree.snapshot.reference, [path], settings, limits)
        else:
            found = inspect(tree.snapshot, [path], settings, limits)
        for reason in found.reasons:
            if reason.code is ReasonCode.PUBLISH_SECRET:
                yield reason

    def _read_messages(self, target: Reference) -> Mapping[str, Sequence[Reason]]:
        contents = self._trees.objects.descriptions(self._commits, "commit")
        texts = zip(self._commits, contents, strict=True)
        return inspect_messages(self._gate, target, "commit", dict(texts))

    def _leading_to(self, tip: str) -> Collection[str]:
        if {tip} == set(self._tips):
            return frozenset(self._commits)
        return frozenset(commits(self._git, tip, *self._unknown))


def _of_commit(reason: Reason, commit: str) -> Reason:
    return Reason(
        code=reason.code,
        message=f"commit {commit[:12]}, which would be published too: {reason.message}; then "
        "rewrite the history without it (git rebase -i), as a new commit does not take it out of "
        "the old one",
        path=reason.path,
        line=reason.line,
    )
