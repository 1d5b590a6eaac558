"""A push: what it would publish by each branch and tag, and whether the gate lets it out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from oms_gate.errors import StepError, StoreError, UsageError, machine_failure
from oms_gate.gate import Gate
from oms_gate.inspection.inspect import inspect
from oms_gate.publish.git.destination import Target
from oms_gate.publish.git.history import Change, changes
from oms_gate.publish.git.lfs import not_here
from oms_gate.publish.git.program import OBJECT_ID, Git
from oms_gate.publish.git.tree import Tree, Trees
from oms_gate.publish.publication import Judgement, Publication, judge, refusal
from oms_gate.publish.rollback import statement_digest
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Reason, ReasonCode, Verdict, printable


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """What a push does to one reference of the remote, such as ``refs/heads/main``.

    old, new: what it names before and after: a commit, or a tag. None for nothing.
    """

    ref: str
    old: str | None
    new: str | None

    @classmethod
    def of(cls, ref: str, old: str, new: str) -> RefUpdate:
        """From the names that Git gives to its hooks, where nothing is a row of zeros.

        Raises:
            UsageError: they are no names of objects.
        """
        for name in (old, new):
            if not OBJECT_ID.fullmatch(name):
                raise UsageError(
                    f"'{printable(name)}' is no object of Git; this is a hook, which Git calls "
                    "itself: oms-gate hooks install"
                )
        return cls(ref, *(name if name.strip("0") else None for name in (old, new)))


class Push:
    """Judges what a push changes.

    target: the model that each reference is.
    known: arguments of ``git rev-list`` for what is there already.
    sends_large_files: whether the large files of Git LFS go from this machine, so that one that
        is new must be here.
    """

    def __init__(
        self,
        gate: Gate,
        git: Git,
        target: Target,
        *,
        known: Collection[str],
        sends_large_files: bool,
    ) -> None:
        self._gate = gate
        self._git = git
        self._target = target
        self._known = known
        self._sends_large_files = sends_large_files
        self._trees = Trees(git)
        self._verdicts: dict[tuple[str, str | None], Verdict] = {}
        # Pointers of large files that were hashed for an earlier reference.
        self._proven: set[str] = set()
        # Files, by path and blob, in which an earlier one had no secret.
        self._clean: set[tuple[str, str]] = set()

    def judge(
        self, updates: Iterable[RefUpdate], on_progress: ProgressCallback | None = None
    ) -> Mapping[str, Verdict]:
        """A verdict for each reference that is not merely deleted.

        Raises:
            UsageError: a reference cannot be that of a model.
            ConfigError: the signature's store cannot be opened as it is configured.
        """
        try:
            return {
                update.ref: self._judged(update.ref, update.old, update.new, on_progress)
                for update in updates
                if update.new is not None
            }
        finally:
            self._trees.close()

    def _judged(
        self, ref: str, old: str | None, new: str, on_progress: ProgressCallback | None
    ) -> Verdict:
        target = self._target(ref)
        try:
            commit, published = self._commits(ref, old, new)
            known = (commit, published)
            if known not in self._verdicts:
                self._verdicts[known] = self._verdict(target, commit, published, on_progress)
            return self._verdicts[known]
        except (StepError, OSError) as error:
            return refusal(self._gate, target, error)

    def _commits(self, ref: str, old: str | None, new: str) -> tuple[str, str | None]:
        """The commit that is to be, and the one that is there now."""
        commit = self._git.commit(new)
        if commit is None:
            raise StoreError(
                ReasonCode.STORE_UNSAFE_FILE,
                f"{printable(ref)} would name something that is no commit, and so no model; push "
                "a commit, or a tag of one",
            )
        published = None if old is None else self._git.commit(old)
        if old is not None and published is None:
            raise StoreError(
                ReasonCode.STORE_CHANGED,
                f"{printable(ref)} is at {old} there, which is not in this repository, so nobody "
                "can tell what the push would change; git fetch, and push again",
            )
        return commit, published

    def _verdict(
        self,
        target: Reference,
        commit: str,
        published: str | None,
        on_progress: ProgressCallback | None,
    ) -> Verdict:
        before = None if published is None else self._trees.published(published, target)
        there = set(before.blobs.values()) if before is not None else set()
        excluded = [*([published] if published is not None else []), *self._known]
        brought = list(changes(self._git, commit, "--not", *excluded))
        new = {change.blob for change in brought} - there
        tree = self._trees.of(commit, target, new - self._proven)
        judgement = judge(
            self._gate,
            Publication(
                target,
                tree.snapshot,
                _sent(tree, before, new),
                published=None if before is None else before.snapshot,
                earlier=lambda: self._earlier(before, published),
            ),
            assurance=Assurance.DECLARED,
            on_progress=on_progress,
        )
        reasons = [*self._forged(judgement, tree), *self._absent(tree.absent)]
        if judgement.verdict.admitted and not reasons:
            self._proven.update(tree.blobs[path] for path in tree.here)
        present = set(tree.blobs.items())
        past = (change for change in brought if (change.path, change.blob) not in present)
        try:
            reasons += self._secrets(target, past, there)
        except StepError as error:
            reasons.append(error.reason)
        except OSError as error:
            reasons.append(machine_failure(error))
        return judgement.verdict.with_findings(reasons, ())

    def _earlier(self, before: Tree | None, published: str | None) -> Iterator[str]:
        """SHA-256 of what the signatures state in the history of what is there."""
        location = self._gate.signature.location
        if before is None or published is None or self._gate.signature.elsewhere is not None:
            return
        limits = self._gate.limits
        # Whoever pushes could push others before it; those are read at no great cost.
        most = f"--max-count={limits.files}"
        for change in changes(self._git, most, published, path=location):
            if change.blob != before.blobs.get(location):
                tree = self._trees.of_blobs(before.snapshot.reference, {location: change.blob})
                content = tree.snapshot.read(location, limits.bundle_bytes) or b""
                if (digest := statement_digest(content, limits)) is not None:
                    yield digest

    def _forged(self, judgement: Judgement, tree: Tree) -> Iterator[Reason]:
        """A reason for each large file that is not the one which its pointer names.

        What was hashed is on this machine; what is served is what the pointer names.
        """
        if not judgement.verdict.admitted:
            return
        for path in sorted(tree.here):
            pointer = tree.pointers[path]
            parts = judgement.signed.get(path, ())
            if judgement.hash_type == "sha256" and len(parts) == 1 and parts[0].start is None:
                digest = parts[0].digest
            else:
                digest = _sha256(tree.snapshot, path)
            if digest != pointer.sha256:
                yield Reason(
                    code=ReasonCode.FILE_CHANGED,
                    message=f"{path} is a pointer of Git LFS to the file with the sha256 "
                    f"{pointer.sha256}, but the one that Git LFS has for it here has {digest}; run "
                    "git lfs fsck, and add the file again",
                    path=path,
                )

    def _absent(self, paths: Iterable[str]) -> Iterator[Reason]:
        if self._sends_large_files:
            for path in sorted(paths):
                yield not_here(path).reason

    def _secrets(
        self, target: Reference, past: Iterable[Change], there: Collection[str]
    ) -> Iterator[Reason]:
        """What was taken back by a later commit, and would be published all the same."""
        seen: set[tuple[str, str]] = set()
        for commit, brought in groupby(past, key=lambda change: change.commit):
            files = {(change.path, change.blob) for change in brought if change.blob not in there}
            files -= seen | self._clean
            seen |= files
            tree = self._trees.of_blobs(target, dict(files))
            yield from self._absent(tree.absent)
            readable = tree.snapshot.files.keys() - tree.absent
            found = inspect(tree.snapshot, readable, self._gate.publish, self._gate.limits)
            if not found.reasons:
                self._clean |= files
            for reason in found.reasons:
                if reason.code is ReasonCode.PUBLISH_SECRET:
                    yield Reason(
                        code=reason.code,
                        message=f"commit {commit[:12]}, which would be published too: "
                        f"{reason.message}; then rewrite the history without it (git rebase -i), "
                        "as a new commit does not take it out of the old one",
                        path=reason.path,
                        line=reason.line,
                    )


def _sent(tree: Tree, before: Tree | None, new: Collection[str]) -> Collection[str]:
    """Paths that would get content which they have not: of large files, only if that is sent."""
    there = {} if before is None else before.blobs
    return {
        path
        for path, blob in tree.blobs.items()
        if there.get(path) != blob and (blob in new or path not in tree.pointers)
    } - set(tree.absent)


def _sha256(snapshot: Snapshot, path: str) -> str:
    hasher = hashlib.sha256()
    for chunk in snapshot.chunks(path):
        hasher.update(chunk)
    return hasher.hexdigest()
