"""What is different between a manifest that was signed and the model as it lies now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from oms_gate.oms import names
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.policy.kinds import INERT, Kind, kind_of
from oms_gate.stores import StoredFile
from oms_gate.verdict import FileFact

MAY_RUN: Final[frozenset[Kind]] = frozenset({"code", "config", "pickle"})
"""Kinds of files that decide what a loader runs: reviewers must not miss one."""


@dataclass(frozen=True)
class Changes:
    """The files that differ, each by its path, in code point order.

    added: signed now, and not before.
    removed: signed before, and not there now. Of whole files no size was signed.
    changed: with other bytes than those that were signed.
    moved: the signed path of each file that has another one now, and the file there.
    dropped: signed before, and there, but no part of what is signed now.
    left_out: there, and left out now and before: by the signer, or by the format what is of no
        inert kind, such as instructions for agents below .github.
    """

    added: tuple[FileFact, ...]
    removed: tuple[FileFact, ...]
    changed: tuple[FileFact, ...]
    moved: tuple[tuple[str, FileFact], ...]
    dropped: tuple[FileFact, ...]
    left_out: tuple[FileFact, ...]

    def __len__(self) -> int:
        """How many there are. What is left out, as it was before, is none."""
        groups = (self.added, self.removed, self.changed, self.moved, self.dropped)
        return sum(map(len, groups))


def changes(before: Manifest | None, now: Manifest, files: Mapping[str, StoredFile]) -> Changes:
    """Compare a manifest that was signed with one of the model as it is listed now.

    before, now: of the same hash type and serialization, which makes digests comparable; None if
        nothing was signed before.
    files: the listing, by path, without the signature.
    """
    signed, present = dict(before.files if before is not None else {}), now.files
    if signed.keys() == {names.SINGLE_FILE} and len(present) == 1:
        # The reference implementation's name for a model that is a single file.
        signed = dict(zip(present, signed.values(), strict=True))
    new = {path: parts for path, parts in present.items() if path not in signed}
    gone = {path: parts for path, parts in signed.items() if path not in files}
    moved = dict(_moves(gone, new))

    def facts(paths: Iterable[str]) -> tuple[FileFact, ...]:
        return tuple(
            FileFact(
                path=path, size=files[path].size if path in files else None, kind=kind_of(path)
            )
            for path in sorted(paths)
        )

    return Changes(
        added=facts(new.keys() - moved.values()),
        removed=facts(gone.keys() - moved.keys()),
        changed=facts(
            path
            for path in signed.keys() & present.keys()
            if _content(signed[path]) != _content(present[path])
        ),
        moved=tuple((path, facts([moved[path]])[0]) for path in sorted(moved)),
        dropped=facts(path for path in signed if path in files and path not in present),
        left_out=facts(
            path
            for path in files.keys() - present.keys() - signed.keys()
            if _is_left_out(path, now)
        ),
    )


def _is_left_out(path: str, now: Manifest) -> bool:
    """Whether a file that is not signed is to be told of."""
    kind, scope = kind_of(path), now.excludes(path)
    return kind != "cache" and (scope == "signer" or (scope == "default" and kind not in INERT))


def _moves(
    gone: Mapping[str, tuple[Resource, ...]], new: Mapping[str, tuple[Resource, ...]]
) -> Iterable[tuple[str, str]]:
    """The old and the new path of each file that is there with all its bytes."""
    places = defaultdict(list)
    for path in sorted(new, reverse=True):
        places[_content(new[path])].append(path)
    for path in sorted(gone):
        if same := places[_content(gone[path])]:
            yield path, same.pop()


def _content(parts: tuple[Resource, ...]) -> tuple[tuple[str, int | None, int | None], ...]:
    return tuple((part.digest, part.start, part.end) for part in parts)
