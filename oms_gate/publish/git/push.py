"""A push: what it would publish by each branch and tag, and whether the gate lets it out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from oms_gate.errors import StepError, StoreError, UsageError, machine_failure
from oms_gate.gate import Gate
from oms_gate.inspection.names import inspect_names
from oms_gate.publish.git.destination import Target
from oms_gate.publish.git.history import changes
from oms_gate.publish.git.messages import inspect_messages, tags
from oms_gate.publish.git.past import Past
from oms_gate.publish.git.program import OBJECT_ID, Git
from oms_gate.publish.git.tree import Tree, Trees
from oms_gate.publish.publication import OPERATION, Judgement, Publication, judge, refusal
from oms_gate.publish.rollback import statement_digest
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Reason, Verdict, printable

# Also the pull requests of the Hub.
_OF_A_MODEL = re.compile(r"refs/(?:(?:heads|tags)/.+|pr/[0-9]+)", re.DOTALL)


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
    known: arguments of ``git rev-list`` for what is there already, besides what the references of
        the push are at there.
    """

    def __init__(
        self,
        gate: Gate,
        git: Git,
        target: Target,
        *,
        known: Collection[str],
    ) -> None:
        self._gate = gate
        self._git = git
        self._target = target
        self._known = known
        self._trees = Trees(git)
        self._peeled: dict[str, str | None] = {}
        self._verdicts: dict[tuple[str, str | None], Verdict] = {}
        # Pointers of large files that were hashed for an earlier reference.
        self._proven: set[str] = set()

    def judge(
        self, updates: Iterable[RefUpdate], on_progress: ProgressCallback | None = None
    ) -> Mapping[str, Verdict]:
        """A verdict for each reference that is not merely deleted.

        Raises:
            UsageError: a reference cannot be that of a model.
            ConfigError: the signature's store cannot be opened as it is configured.
        """
        updates = tuple(updates)
        try:
            try:
                past = self._past(updates)
            except (StepError, OSError) as error:
                targets = {update.ref: self._target(update.ref) for update in updates if update.new}
                return {ref: refusal(self._gate, targets[ref], error) for ref in targets}
            return {
                update.ref: self._judged(past, update.ref, update.old, update.new, on_progress)
                for update in updates
                if update.new is not None
            }
        finally:
            self._trees.close()

    def _past(self, updates: Collection[RefUpdate]) -> Past:
        tips = {self._commit(update.new) for update in updates} - {None}
        # Nobody else knows: what this machine last saw there may be gone, or be elsewhere.
        there = {self._commit(update.old) for update in updates} - {None}
        return Past(
            self._gate,
            self._git,
            self._trees,
            tips=sorted(filter(None, tips)),
            known=[*self._known, *sorted(filter(None, there))],
        )

    def _commit(self, name: str | None) -> str | None:
        if name is not None and name not in self._peeled:
            self._peeled[name] = self._git.commit(name)
        return None if name is None else self._peeled[name]

    def _judged(
        self,
        past: Past,
        ref: str,
        old: str | None,
        new: str,
        on_progress: ProgressCallback | None,
    ) -> Verdict:
        target = self._target(ref)
        try:
            commit, published = self._commits(ref, old, new)
            known = (commit, published)
            if known not in self._verdicts:
                self._verdicts[known] = self._verdict(past, target, commit, published, on_progress)
            verdict = self._verdicts[known]
            if commit != new:
                texts = dict(tags(self._trees.objects, new))
                found = inspect_messages(self._gate, target, "tag", texts)
                verdict = verdict.with_findings([*chain.from_iterable(found.values())], ())
            return self._gate.keep(verdict, OPERATION)
        except (StepError, OSError) as error:
            return refusal(self._gate, target, error)

    def _commits(self, ref: str, old: str | None, new: str) -> tuple[str, str | None]:
        """The commit that is to be, and the one that is there now."""
        if not _OF_A_MODEL.fullmatch(ref):
            raise StoreError(
                ReasonCode.STORE_UNSAFE_FILE,
                f"{printable(ref)} is neither a branch nor a tag, and Git may go by it where it is "
                "not looked for (as by refs/replace); push to refs/heads/ or refs/tags/",
            )
        commit = self._commit(new)
        if commit is None:
            raise StoreError(
                ReasonCode.STORE_UNSAFE_FILE,
                f"{printable(ref)} would name something that is no commit, and so no model; push "
                "a commit, or a tag of one",
            )
        published = self._commit(old)
        if old is not None and published is None:
            raise StoreError(
                ReasonCode.STORE_CHANGED,
                f"{printable(ref)} is at {old} there, which is not in this repository, so nobody "
                "can tell what the push would change; git fetch, and push again",
            )
        return commit, published

    def _verdict(
        self,
        past: Past,
        target: Reference,
        commit: str,
        published: str | None,
        on_progress: ProgressCallback | None,
    ) -> Verdict:
        before = None if published is None else self._trees.published(published, target)
        there = set(before.blobs.values()) if before is not None else set()
        new = past.blobs - there
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
        # What is not on this machine is not sent from it, and is what its pointer says.
        named = inspect_names(target, tree.absent, self._gate.publish, self._gate.limits)
        reasons = [*self._forged(judgement, tree), *named.reasons]
        if judgement.verdict.admitted and not reasons:
            self._proven.update(tree.blobs[path] for path in tree.here)
        try:
            reasons += past.reasons(target, commit, tree.blobs, there)
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
            digest = judgement.sha256_of(path) or _sha256(tree.snapshot, path)
            if digest != pointer.sha256:
                yield Reason(
                    code=ReasonCode.FILE_CHANGED,
                    message=f"{path} is a pointer of Git LFS to the file with the sha256 "
                    f"{pointer.sha256}, but the one that Git LFS has for it here has {digest}; run "
                    "git lfs fsck, and add the file again",
                    path=path,
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
