"""What commits bring: each file that is new in one of them, also if a later one takes it away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oms_gate.errors import StoreError
from oms_gate.publish.git.program import Git
from oms_gate.reason_codes import ReasonCode

_SUBMODULE = b"160000"


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is new or changed in a commit, against all of its parents."""

    commit: str
    path: str
    blob: str


def changes(git: Git, *revisions: str, path: str | None = None) -> Iterator[Change]:
    """What commits bring, the newest commits first. Links count as the files that their text is.

    revisions: which commits, as ``git rev-list`` takes them.
    path: the only file that is of interest; None for all.

    Raises:
        StoreError: git fails, or that is more than `limits.files`.
    """
    yield from changes_of(git, commits(git, *revisions, path=path), path=path)


def commits(git: Git, *revisions: str, path: str | None = None) -> Sequence[str]:
    """The commits themselves, the newest first. Raises as `changes`, also if they are so many."""
    listed = ("rev-list", "--full-history", *revisions, *_only(path))
    found: list[str] = []
    for name in git.records(b"\n", *listed):
        if len(found) == git.limits.files:
            raise _too_many(git, "commits")
        found.append(name.decode("ascii"))
    return found


def changes_of(git: Git, commits: Sequence[str], path: str | None = None) -> Iterator[Change]:
    """As `changes`, of commits that are known by name, in one run of git."""
    given = "".join(f"{commit}\n" for commit in commits).encode()
    difference = ("diff-tree", "--stdin", "--root", "-r", "-c", "-z", "--raw", "--no-renames")
    plain = ("--no-abbrev", "--no-relative", "--no-color")
    records = git.records(b"\0", *difference, *plain, *_only(path), given=given)
    commit, count = "", 0
    for record in records:
        if not record.startswith(b":"):
            commit = record.decode("ascii")
            continue
        name = next(records, b"")
        # Of each parent and then of the commit: the modes, and after them the objects.
        fields = record.lstrip(b":").split(b" ")
        parents = len(record) - len(record.lstrip(b":"))
        mode, blob = fields[parents], fields[2 * parents + 1].decode("ascii")
        if mode == _SUBMODULE or not blob.strip("0"):
            continue
        count += 1
        if count > git.limits.files:
            raise _too_many(git, "files")
        yield Change(commit, name.decode("utf-8", "surrogateescape"), blob)


def _only(path: str | None) -> tuple[str, ...]:
    # A name is no pattern, and starts at the top from wherever it is asked for.
    return () if path is None else ("--", f":(top,literal){path}")


def _too_many(git: Git, what: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_TOO_MANY_FILES,
        f"the push brings more than {git.limits.files} {what}, more than are looked into; push "
        "fewer commits at once, or raise the limit 'files'",
    )
