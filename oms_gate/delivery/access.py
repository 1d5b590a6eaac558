"""Modes and owner of what arrives: those of the folder that it is put into, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Who may do what with files and folders that arrive.

    file, folder: mode bits. Everybody may read; the group may write where it may in the folder
        around, and a folder passes its group on where that one does.
    owner: user and group, which only root gives away; else None.
    """

    file: int
    folder: int
    owner: tuple[int, int] | None

    @classmethod
    def within(cls, around: os.stat_result) -> Access:
        """As it suits what is put into a folder of this status."""
        mode = around.st_mode
        # In a sticky folder, such as /tmp, users are kept apart.
        group = 0 if mode & stat.S_ISVTX else mode & stat.S_IWGRP
        return cls(
            file=0o644 | group,
            folder=0o755 | group | mode & stat.S_ISGID,
            owner=(around.st_uid, around.st_gid) if os.geteuid() == 0 else None,
        )

    def give(self, descriptor: int, mode: int) -> None:
        """Set mode and owner of an open file or folder, where its file system has such."""
        # A server of files need not do what root says, and some file systems have no modes.
        with suppress(PermissionError):
            if self.owner is not None:
                os.fchown(descriptor, *self.owner)
        with suppress(PermissionError):
            os.fchmod(descriptor, mode)
