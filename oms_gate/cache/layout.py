"""Where in the verified cache everything is.

::

    files/<hash type>/<digest>                       each content once, read-only
    roots/<root digest>/snapshots/<revision>/...     the same files by their names in a model
    roots/<root digest>/shards/<revision>/...        parts of files that were signed in shards
    known/<sha256>.json                              what is known of a model at a revision
    stages/<root digest>/                            what is under transfer, and its lock
    arrivals/<hash type>-<digest>.*                  what a gateway hands out while it arrives
    CACHEDIR.TAG                                     that all of this is the gate's own
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from oms_gate.delivery.folders import opened
from oms_gate.delivery.place import Place
from oms_gate.errors import ConfigError, DeliveryError
from oms_gate.reason_codes import ReasonCode

CACHE_VARIABLE: Final = "OMS_GATE_CACHE"
"""The environment variable that names the folder."""

FILES: Final = "files"
ROOTS: Final = "roots"
KNOWN: Final = "known"
STAGES: Final = "stages"
ARRIVALS: Final = "arrivals"
FOLDERS: Final = (FILES, ROOTS, KNOWN, STAGES, ARRIVALS)
"""The folders of a cache: all that is verified, or under way to that, is below these."""

_TAG: Final = "CACHEDIR.TAG"
_TAG_CONTENT: Final = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# A verified cache of oms-gate: what is in it is removed by oms-gate cache prune.\n"
    "# To programs that make copies this file says that none is needed.\n"
)


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
            raise _unusable(named, error) from error
        if not _is_own(status):
            raise ConfigError(
                f"the cache {folder} may be changed by other users of this machine (owner "
                f"{status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}), so what is in it may "
                f"be theirs; chmod 700 it, or name another one by {CACHE_VARIABLE}"
            )
        layout = cls(folder)
        try:
            _make_folders(layout)
        except OSError as error:
            raise _unusable(folder, error) from error
        return layout

    @property
    def folders(self) -> list[Path]:
        """The paths of `FOLDERS`."""
        return [self.folder / name for name in FOLDERS]

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor of the folder, from which on no link is to be followed.

        Raises:
            DeliveryError: another user has put a folder in its place, which takes no more than
                leave to write above it.
            OSError: it is not there.
        """
        with opened(str(self.folder)) as descriptor:
            if not _is_own(os.fstat(descriptor)):
                raise DeliveryError(
                    ReasonCode.SYSTEM_IO,
                    f"the cache {self.folder} belongs to another user by now, or may be changed "
                    f"by others; name one in a folder of your own by {CACHE_VARIABLE}",
                )
            yield descriptor

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


def _make_folders(layout: Layout) -> None:
    """Make what is not there yet.

    Raises:
        ConfigError: it is somebody's folder for something else, of which upkeep would remove files.
        OSError: the file system failed.
    """
    folder, folders = layout.folder, layout.folders
    if not (folder / _TAG).exists():
        # In this order, since another process may just be making them, and using them then.
        filled = [each for each in folders if each.exists() and any(each.iterdir())]
        missing = [each for each in folders if not each.exists()]
        if filled and missing:
            raise ConfigError(
                f"{folder} is no verified cache, and has a folder '{filled[0].name}' of something "
                f"else; name a folder of its own by {CACHE_VARIABLE}"
            )
    for each in folders:
        each.mkdir(mode=0o700, exist_ok=True)
    # A cache in a read-only place is as good without it.
    with suppress(OSError), (folder / _TAG).open("x") as tag:
        tag.write(_TAG_CONTENT)


def _is_own(status: os.stat_result) -> bool:
    """Whether only this user may change what is in a folder."""
    others = stat.S_IWGRP | stat.S_IWOTH
    return status.st_uid == os.geteuid() and not status.st_mode & others


def _unusable(named: object, error: Exception) -> ConfigError:
    why = error.strerror if isinstance(error, OSError) else error
    return ConfigError(
        f"the cache {named} cannot be used: {why}; name another one by {CACHE_VARIABLE}"
    )
