"""The snapshot: a model's listing, pinned, with its bytes in reach."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import printable

CHUNK_BYTES = 1024 * 1024

_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|(?:^|/)\.{0,2}(?:/|$)")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a listing.

    path: relative to the model's root, POSIX.
    size: bytes; None where the store does not say before the file is read.
    sha256: the content's SHA-256 in hex as the store declares it, or None. Declared, not proven.
    version: what names this very content: ETag, version id, blob id, or inode and times.
    """

    path: str
    size: int | None
    sha256: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """Where a file was written.

    url: of the file, as `Reference.parse` reads it; on the Hub, at the commit that brought it.
    pull_request: the page of the pull request that proposes it, or None.
    """

    url: str
    pull_request: str | None = None


# Of a file, from an offset, to one or the end, through a buffer: see `Snapshot.chunks`.
RangeReader = Callable[[StoredFile, int, int | None, memoryview], Iterator[bytes | memoryview]]
# Of a name and a content; the message and whether it is to be a pull request are for the Hub.
FileWriter = Callable[[str, bytes, str, bool], Written]


@dataclass(frozen=True)
class Snapshot:
    """A pinned listing of one model.

    reference: with the revision that was resolved.
    files: by path; a single-file model has one, under its base name, and after it the one beside it
        that was asked for.
    single: whether the reference names one file rather than a folder.
    revision: the store's own (a commit), or a digest over paths, versions and declared digests.
    divisible: whether several parts of a file can be read at the same time, each from its start.
    immutable: whether its revision, where it is listed again, means the same bytes: it is a commit,
        or is made of what the store calls versions, and of digests of contents.
    abort: ends every transfer under way; its reader gets an error at once.
    close: releases the connections; nothing can be read afterwards.
    write_file: see `write`; None where the store can only be read.
    local_path: gives the absolute path on this machine of a listed file, where it has one; for who
        must be given a path. What is read from there is not pinned.
    check_revision: raises where nothing can be added to the revision that the reference names; is
        told whether it is to be a pull request.
    """

    reference: Reference
    files: Mapping[str, StoredFile]
    single: bool
    read_range: RangeReader = field(repr=False)
    divisible: bool = field(default=False, kw_only=True)
    immutable: bool = field(default=False, kw_only=True)
    abort: Callable[[], None] = field(default=lambda: None, repr=False)
    close: Callable[[], None] = field(default=lambda: None, repr=False)
    write_file: FileWriter | None = field(default=None, repr=False)
    check_revision: Callable[[bool], None] = field(default=lambda _: None, repr=False)
    local_path: Callable[[str], str | None] = field(default=lambda _: None, repr=False)

    @property
    def revision(self) -> str:
        if self.reference.revision is not None:
            return self.reference.revision
        digest = hashlib.sha256()
        for path, file in sorted(self.files.items()):
            declared = "" if file.sha256 is None else f"\0{file.sha256}"
            digest.update(f"{path}\0{file.size}\0{file.version}{declared}\n".encode())
        return f"listing-sha256:{digest.hexdigest()}"

    def chunks(
        self, path: str, start: int = 0, end: int | None = None, buffer: memoryview | None = None
    ) -> Generator[bytes | memoryview]:
        """The bytes `start` to `end` (exclusive; None: to the end) of a listed file, in order.

        A chunk is valid until the next one is asked for.

        buffer: memory of any length for the chunks. A store that is divisible puts them there,
            one after the other, and from its start again where it is full; others may.

        Raises:
            StoreError: the store failed, gave another content than the listed one, or a number of
                bytes other than was asked for.
        """
        file = self.files[path]
        if end is None:
            end = file.size
        if 0 < start == end:  # No request could ask for that.
            return
        if buffer is None:
            # A small range must not cost a large buffer.
            room = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - start)
            buffer = memoryview(bytearray(max(room, 1)))
        count = 0
        for chunk in self.read_range(file, start, end, buffer):
            count += len(chunk)
            if end is not None and count > end - start:
                break
            yield chunk
        if end is not None and count != end - start:
            raise StoreError(
                ReasonCode.STORE_CHANGED,
                f"{path} is not as long as its store says: expected {end - start} bytes from byte "
                f"{start} and got {'more' if count > end - start else count}; it may have been "
                "replaced while it was read, try again",
                path=path,
            )

    def read(self, path: str, limit: int) -> bytes | None:
        """A whole small file, or None where it has more than `limit` bytes.

        Raises:
            StoreError: as `chunks`.
        """
        size = self.files[path].size
        if size is not None and size > limit:
            return None
        content = bytearray()
        for chunk in self.chunks(path):
            content += chunk
            if len(content) > limit:
                return None
        return bytes(content)

    def write(
        self, name: str, content: bytes, *, message: str, pull_request: bool = False
    ) -> Written:
        """Put a file into the model, if the model is still what was listed.

        The file is there as a whole or not at all, and takes the place of the listed one of its
        name. This listing does not change.

        name: relative to the model's root, POSIX; beside a single file, the base name of what
            was asked for when it was listed.
        message: what the Hub's history says of it; its first line is the title.
        pull_request: propose it on the Hub, rather than commit it to the branch.

        Raises:
            StoreError: the model was changed, or the store refuses or fails.
            UsageError: the name, the store or the revision cannot be written to.
        """
        return self._writer(name, pull_request)(name, content, message, pull_request)

    def check_write(self, name: str, *, pull_request: bool = False) -> None:
        """Find out, as far as that is known beforehand, whether `write` would be refused.

        Raises:
            StoreError: the store refuses or fails.
            UsageError: see `write`.
        """
        self._writer(name, pull_request)
        self.check_revision(pull_request)

    def _writer(self, name: str, pull_request: bool) -> FileWriter:
        check_name(name)
        if self.write_file is None:
            raise unwritable(self.reference)
        if pull_request and self.reference.scheme != "hf":
            raise UsageError(
                f"{self.reference.url} is not on the Hub, so there is no pull request to make; "
                "leave that option out"
            )
        return self.write_file


def check_name(name: str) -> None:
    """Refuse what cannot be the path of a file or folder in a model.

    Raises:
        UsageError: it is none.
    """
    if _UNSAFE_NAME.search(name):
        raise UsageError(f"'{printable(name)}' is not a plain relative path; name a file so")


def chunked(
    read: Callable[[memoryview], int | None], count: int, buffer: memoryview
) -> Iterator[memoryview]:
    """So many bytes of a stream, or as many as it has, where `Snapshot.chunks` says.

    read: fills memory with what comes next, and says with how many bytes.
    """
    place = 0
    while count > 0:
        chunk = buffer[place : place + min(CHUNK_BYTES, count)]
        if not (got := read(chunk)):
            return
        yield chunk[:got]
        count -= got
        place = (place + got) % len(buffer)


def check_same(before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Compare the listing that was hashed with the one that is about to be written to.

    before, now: by path, what tells whether a file is still the same.

    Raises:
        StoreError: a file was added, removed or changed.
    """
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) != now.get(path):
            what = "changed" if path in before and path in now else "added or removed"
            raise StoreError(
                ReasonCode.STORE_CHANGED,
                f"{path} was {what} after the model was listed, so nothing was written; try again "
                "when nothing else writes to the model",
                path=path,
            )


def unwritable(reference: Reference) -> UsageError:
    """The error for a store that can only be read."""
    if reference.release is not None:
        return UsageError(
            f"{reference.url} is a release, which never changes; publish the model anew, with its "
            "new signature (oms-gate publish --sign)"
        )
    return UsageError(
        f"nothing can be written to {reference.url}; name a local file with --output, and put it "
        "there yourself"
    )


def listed(files: Iterable[StoredFile], limits: Limits) -> dict[str, StoredFile]:
    """A listing by path.

    Raises:
        StoreError: a name that leads out of the model or cannot be shown, a name given twice, or
            more than `limits.files`.
    """
    listing: dict[str, StoredFile] = {}
    for file in files:
        if _UNSAFE_NAME.search(file.path):
            raise StoreError(
                ReasonCode.STORE_UNSAFE_FILE,
                f"the store lists a file named '{printable(file.path)}', which is not a plain "
                "relative path; rename or remove it",
                path=file.path,
            )
        if file.path in listing:
            raise StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"the store lists {file.path} twice, so what a reader gets is not defined",
                path=file.path,
            )
        listing[file.path] = file
        if len(listing) > limits.files:
            raise too_many(limits)
    return listing


def unsafe(path: str, what: str = "is not a regular file") -> StoreError:
    """The error for what is listed and is no file that would be the same elsewhere."""
    return StoreError(
        ReasonCode.STORE_UNSAFE_FILE,
        f"{path} {what}; a model is made of regular files, put the file itself there or remove it",
        path=path,
    )


def too_many(limits: Limits) -> StoreError:
    """The error for a listing of more than `limits.files` files and folders."""
    return StoreError(
        ReasonCode.STORE_TOO_MANY_FILES,
        f"the model has more than {limits.files} files and folders; name the model's own folder, "
        "or raise the limit 'files'",
    )
