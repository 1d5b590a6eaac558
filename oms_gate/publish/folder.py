"""A publisher's folder as it would be sent: less what the upload leaves out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from oms_gate.delivery.selection import Selection
from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.local import LocalStore
from oms_gate.stores.local_writing import is_temporary
from oms_gate.verdict import VERDICT_FILE, printable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

GITIGNORE = ".gitignore"
_BY_GITIGNORE = f"the {GITIGNORE} file"
# To look for more of them takes longer and longer.
_MOST_STARS = 6
# What no upload of huggingface_hub takes along, wherever it lies.
_NEVER_SENT = re.compile(r"(?:.*/)?(?:\.git|\.cache/huggingface)/.*", re.DOTALL)


@dataclass(frozen=True)
class Folder:
    """What of a folder is sent, and what leaves out the rest.

    The patterns are those of ``hf upload``: over whole paths in the folder, and ``*`` crosses
    slashes.

    below: the folder of the model that it becomes; empty for the model itself.
    include: patterns of what is sent; everything if there is none.
    exclude: patterns of what is not.
    signature: the model's signature, which no pattern leaves out.
    gitignore: the content of the model's ``.gitignore`` where the registry goes by it.
    """

    path: Path
    below: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    signature: str | None = None
    gitignore: str | None = None
    limits: Limits = field(default_factory=Limits)

    def listing(self) -> tuple[Snapshot, Collection[str]]:
        """What is sent; and the files that the ``.gitignore`` file leaves out, by their paths.

        Raises:
            UsageError: it is no folder, or nothing of it is sent.
            StoreError: something in it cannot be read, or is a link.
        """
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is no folder; name the folder that holds the model")
        ignored = []

        def leave_out(path: str) -> bool:
            reason = self._reason(path)
            if reason == _BY_GITIGNORE and not path.endswith("/"):
                ignored.append(path)
            return reason is not None

        store = LocalStore(self.limits, leave_out)
        listing = store.snapshot(Reference.parse(str(self.path.absolute())))
        if not listing.files:
            raise UsageError(
                f"nothing of {self.path} would be sent: it is empty, or patterns leave it all out"
            )
        return listing, ignored

    def left_out(self, path: str) -> str | None:
        """What leaves a path of the model out, to complete "... leaves it out"; None if nothing."""
        prefix = self.below and f"{self.below}/"
        return self._reason(path.removeprefix(prefix)) if path.startswith(prefix) else None

    def _reason(self, path: str) -> str | None:
        """The same for a path in the folder; that of a folder in it ends with a slash."""
        if _NEVER_SENT.fullmatch(path):
            return "every upload"
        if path == VERDICT_FILE or is_temporary(path):
            return "oms-gate, whose own file it is,"
        if self._ignored is not None and self._ignored.match_file(self._in_model(path)):
            return _BY_GITIGNORE
        # What patterns say of files says nothing of the folders on the way to them.
        if path.endswith("/") or self._in_model(path) == self.signature:
            return None
        if path not in Selection(include=tuple(self.include)):
            return "--include"
        if path not in Selection(exclude=tuple(self.exclude)):
            return "--exclude"
        return None

    def _in_model(self, path: str) -> str:
        return f"{self.below}/{path}" if self.below else path

    @cached_property
    def _ignored(self) -> GitIgnoreSpec | None:
        if self.gitignore is None:
            return None
        from pathspec import GitIgnoreSpec

        lines = self.gitignore.splitlines()
        if hard := next((line for line in lines if line.count("*") > _MOST_STARS), None):
            raise UsageError(
                f"the {GITIGNORE} file has a line with more than {_MOST_STARS} asterisks, "
                f"'{printable(hard[:80])}', of which nobody can say in time what it leaves out; "
                "make several lines of it"
            )
        return GitIgnoreSpec.from_lines(lines)
