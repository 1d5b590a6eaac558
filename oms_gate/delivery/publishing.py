"""Publishing a model that is whole: in one step where its folder can be replaced."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from contextlib import suppress

from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import (
    around,
    open_file,
    opened,
    remove,
    remove_files,
    status_of,
    walk,
)
from oms_gate.delivery.place import Place
from oms_gate.delivery.receipt import NOT_OURS, not_from_a_pull, remember
from oms_gate.delivery.staging import MODEL
from oms_gate.delivery.system_calls import exchange, make_durable
from oms_gate.verdict import VERDICT_FILE

_OLD = "old"
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def write_file(folder: int, path: str, content: bytes, access: Access) -> None:
    """Put a small file into a folder of the stage."""
    with around(folder, path, access) as (here, name):
        remove(here, name)
        descriptor = open_file(here, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        access.give(descriptor, access.file)
        os.fsync(descriptor)


def heal(stage: int, place: Place) -> None:
    """Put back the folder that a pull had moved aside when it was killed."""
    if status_of(stage, _OLD) is None:
        return
    with opened(str(place.folder.parent)) as parent:
        try:
            # Over an empty folder too, which somebody may have made since.
            os.rename(_OLD, place.folder.name, src_dir_fd=stage, dst_dir_fd=parent)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            remove(stage, _OLD)


def replace(stage: int, place: Place, before: Collection[str]) -> bool:
    """Let the gathered model take the place of its folder, or be it; whether that is possible.

    What was in the folder is in the stage afterwards.

    before: paths of the files that were in the folder a moment ago.

    Raises:
        UsageError: somebody has put something into it since; it is what it was.
        OSError: the file system failed. The folder is what it was, or is what it should be; or
            it is missing, and `heal` brings it back.
    """
    name = place.folder.name
    with opened(str(place.folder.parent)) as parent:
        try:
            os.rename(MODEL, name, src_dir_fd=stage, dst_dir_fd=parent)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            try:
                _change_places(stage, name, parent, before)
            except OSError as failure:
                # In an overlay, folders of a lower layer cannot be moved; files can.
                if failure.errno != errno.EXDEV:
                    raise
                return False
        os.fsync(parent)
    return True


def _change_places(stage: int, name: str, parent: int, before: Collection[str]) -> None:
    old = MODEL
    if not exchange(MODEL, stage, name, parent):
        os.rename(name, _OLD, src_dir_fd=parent, dst_dir_fd=stage)
        os.rename(MODEL, name, src_dir_fd=stage, dst_dir_fd=parent)
        old = _OLD
    with opened(old, stage) as folder:
        found = {path for path, status in walk(folder) if not stat.S_ISDIR(status.st_mode)}
    if strange := sorted(found - set(before)):
        if old == MODEL:
            exchange(MODEL, stage, name, parent)
        else:
            os.rename(name, MODEL, src_dir_fd=parent, dst_dir_fd=stage)
            os.rename(_OLD, name, src_dir_fd=stage, dst_dir_fd=parent)
        raise not_from_a_pull(name, strange[0])


def put_in_place(stage: int, place: Place, stale: Collection[str], access: Access) -> None:
    """Put the gathered files into their folder, one by one, and the verdict last.

    Until then there is no verdict in the folder, so that nobody takes it for whole.

    stale: paths of the files in it that are from an earlier pull and go.

    Raises:
        OSError: the file system failed; the next pull goes on.
    """
    with opened(MODEL, stage) as model, opened(str(place.folder)) as folder:
        files = [path for path, status in walk(model) if stat.S_ISREG(status.st_mode)]
        remember(stage, place, files)
        with suppress(FileNotFoundError):
            os.unlink(VERDICT_FILE, dir_fd=folder)
        os.fsync(folder)
        remove_files(folder, stale, NOT_OURS)
        for path in files:
            if path != VERDICT_FILE:
                _move(path, model, folder, access)
        make_durable(folder)
        _move(VERDICT_FILE, model, folder, access)
        os.fsync(folder)


def replace_verdict(stage: int, place: Place, content: bytes, access: Access) -> None:
    """Put a new verdict into a folder in which all else stays as it is."""
    write_file(stage, VERDICT_FILE, content, access)
    with opened(str(place.folder)) as folder:
        os.rename(VERDICT_FILE, VERDICT_FILE, src_dir_fd=stage, dst_dir_fd=folder)
        os.fsync(folder)


def _move(path: str, source: int, target: int, access: Access) -> None:
    with around(source, path) as (here, name), around(target, path, access) as (there, _):
        os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)
