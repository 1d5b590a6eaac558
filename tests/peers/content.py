"""Content that a stand-in serves: bytes, a file on disk, or a pattern repeated to any size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Repeated:
    """`pattern` over and over, cut at `size` bytes: a large model that needs no memory or disk."""

    pattern: bytes
    size: int


Content = bytes | Path | Repeated


def size_of(content: Content) -> int:
    """Length in bytes."""
    match content:
        case bytes():
            return len(content)
        case Path():
            return content.stat().st_size
        case Repeated():
            return content.size


def blocks_of(content: Content, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
    """The bytes from `start` to before `stop`, in blocks of about a mebibyte."""
    end = size_of(content) if stop is None else min(stop, size_of(content))
    match content:
        case bytes():
            view = memoryview(content)
            for offset in range(start, end, BLOCK):
                yield view[offset : min(offset + BLOCK, end)]
        case Path():
            with content.open("rb") as file:
                file.seek(start)
                while start < end and (block := file.read(min(BLOCK, end - start))):
                    start += len(block)
                    yield memoryview(block)
        case Repeated(pattern):
            unit = len(pattern)
            turns = memoryview(pattern * (BLOCK // unit + 2))
            while start < end:
                phase = start % unit
                length = min(BLOCK, end - start)
                yield turns[phase : phase + length]
                start += length


def bytes_of(content: Content) -> bytes:
    """All of it at once, for what is small."""
    return b"".join(blocks_of(content))


def sha256_of(content: Content) -> str:
    """SHA-256 in hex."""
    digest = hashlib.sha256()
    for block in blocks_of(content):
        digest.update(block)
    return digest.hexdigest()


def git_blob_id(content: Content) -> str:
    """The id that git gives to a file: SHA-1 over ``blob <length>``, a zero byte and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % size_of(content), usedforsecurity=False)
    for block in blocks_of(content):
        digest.update(block)
    return digest.hexdigest()


def entity_tag(content: Content) -> str:
    """A quoted ETag that changes with the content, as cheap as S3's and no digest of the whole."""
    match content:
        case bytes():
            seed = hashlib.sha256(content).digest()
        case Path():
            stat = content.stat()
            seed = f"{content}:{stat.st_size}:{stat.st_mtime_ns}".encode()
        case Repeated(pattern, size):
            seed = b"%d:" % size + pattern
    return f'"{hashlib.sha256(seed).hexdigest()[:32]}-1"'
