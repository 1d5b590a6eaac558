"""Where in the verified cache everything is.

::

    files/<hash type>/<digest>                       each content once, read-only
    roots/<root digest>/snapshots/<revision>/...     the same files by their names in a model
    roots/<root digest>/shards/<revision>/...        parts of files that were signed in shards
    known/<sha256>.json                              what is known of a model at a revision
    stages/<root digest>/                            what is under transfer, and its lock
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from oms_gate.delivery.place import Place
from oms_gate.errors import ConfigError

CACHE_VARIABLE: Final = "OMS_GATE_CACHE"
"""The environment variable that names the folder."""

FILES: Final = "files"
ROOTS: Final = "roots"
KNOWN: Final = "known"
STAGES: Final = "stages"


@dataclass(frozen=True)
class Layout:
    """The folder of a cache, which is there and belongs to this user alone."""

    folder: Path

    @classmethod
    def of(cls, named: str | os.PathLike[str] | None = None) -> Self:
        """The folder that is named; None for ``OMS_GATE_CACHE``, or else the user's own.

        Raises:
            ConfigError: it cannot be made, or others may change what is in it.
        """
        if named is None:
            named = os.environ.get(CACHE_VARIABLE) or None
        try:
            if named is None:
                base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
                named = base / "oms-gate" / "models"
            folder = Path(os.path.realpath(os.path.expanduser(named)))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except (OSError, RuntimeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"the cache {named} cannot be used: {why}; name another one by {CACHE_VARIABLE}"
            ) from error
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"the cache {folder} may be changed by other users of this machine (owner "
                f"{status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}), so what is in it may "
                f"be theirs; chmod 700 it, or name another one by {CACHE_VARIABLE}"
            )
        for name in (FILES, ROOTS, KNOWN, STAGES):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        return cls(folder)

    def view(self, root_digest: str, kind: str, revision: str) -> Path:
        """The folder with the files of a model at a revision.

        kind: ``snapshots``, or ``shards``. With the former a path has the form in which
            transformers recognizes a commit.
        """
        return self.folder / ROOTS / root_digest / kind / revision.rpartition(":")[2]

    def place(self, view: Path) -> Place:
        """The same folder for who transfers, with a stage for each manifest."""
        return Place(view, self.folder / STAGES / view.parents[1].name, in_place=False)

    def root(self, root_digest: str) -> Place:
        """All that is there of a manifest, with the same stage, for who looks after it."""
        return Place(
            self.folder / ROOTS / root_digest, self.folder / STAGES / root_digest, in_place=False
        )
