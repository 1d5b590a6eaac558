"""What commits bring: each file that is new in one of them, also if a later one takes it away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oms_gate.errors import StoreError
from oms_gate.publish.git.program import Git
from oms_gate.verdict import ReasonCode

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
    # A name is no pattern, and starts at the top from wherever it is asked for.
    only = () if path is None else ("--", f":(top,literal){path}")
    commits = b"".join(git.output("rev-list", "--full-history", *revisions, *only))
    difference = ("diff-tree", "--stdin", "--root", "-r", "-c", "-z", "--raw", "--no-renames")
    plain = ("--no-abbrev", "--no-relative", "--no-color")
    records = git.records(b"\0", *difference, *plain, *only, given=commits)
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
            raise StoreError(
                ReasonCode.STORE_TOO_MANY_FILES,
                f"the commits of the push bring more than {git.limits.files} files, more than are "
                "looked into; push fewer commits at once, or raise the limit 'files'",
            )
        yield Change(commit, name.decode("utf-8", "surrogateescape"), blob)
