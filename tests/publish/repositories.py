"""Repositories of Git for tests: real ones, with large files as Git LFS keeps them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Acme",
    "GIT_AUTHOR_EMAIL": "models@acme.example",
    "GIT_COMMITTER_NAME": "Acme",
    "GIT_COMMITTER_EMAIL": "models@acme.example",
}
NOTHING = "0" * 40

needs_git_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None,
    reason="git-lfs is missing, so tests of hooks with large files are skipped: run `make peers`",
)


@dataclass(frozen=True)
class Repository:
    """A repository with a work tree, or without one."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, *options: str) -> Repository:
        """An empty one."""
        folder.mkdir(parents=True)
        repository = cls(folder)
        repository.git("init", "-q", "-b", "main", *options)
        return repository

    def git(self, *arguments: object, given: bytes = b"") -> str:
        """What git answers; it must not fail."""
        done = self.tried(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def tried(self, *arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What comes of git, whatever that is."""
        return subprocess.run(
            ["git", *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **ENVIRONMENT},
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def commit(self, files: Mapping[str, bytes | None], message: str = "A model") -> str:
        """Write files, or remove those that are None, and commit all there is; the commit."""
        for path, content in files.items():
            file = self.folder / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def commit_with(self, path: bytes, content: bytes, mode: str = "100644") -> str:
        """Commit one more file, which the work tree need not be able to hold; the commit."""
        blob = self.git("hash-object", "-w", "--stdin", given=content)
        self.entry(path, blob, mode)
        self.git("commit", "-q", "-m", "One more")
        return self.git("rev-parse", "HEAD")

    def entry(self, path: bytes, name: str, mode: str) -> None:
        """Put an object of any kind into the index."""
        given = f"{mode} {name}\t".encode() + path + b"\0"
        self.git("update-index", "-z", "--index-info", given=given)

    def large_file(self, content: bytes, sha256: str | None = None) -> bytes:
        """Keep a file as Git LFS does; its pointer.

        sha256: the name that it is given, if not its own.
        """
        sha256 = sha256 or hashlib.sha256(content).hexdigest()
        place = self.large_file_place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return pointer(sha256, len(content))

    def large_file_place(self, sha256: str) -> Path:
        """Where Git LFS keeps it."""
        folder = self.folder / self.git("rev-parse", "--git-common-dir")
        return folder / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256


def pointer(sha256: str, size: int) -> bytes:
    """What Git LFS puts in the place of a large file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()
