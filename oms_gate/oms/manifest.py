"""The signed manifest: which files, or byte ranges of files, have which digests.

OMS v1.0, the predicate's ``resources`` and ``serialization``. A manifest that exists is sound:
every rule is checked when it is built, by who reads a signature and by who makes one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from oms_gate.errors import SignatureError
from oms_gate.oms import names
from oms_gate.oms.digests import DIGEST_BYTES, HASH_TYPES, HashType
from oms_gate.oms.quoting import quoted
from oms_gate.reason_codes import ReasonCode

Serialization = Literal["files", "shards"]

EXCLUDED_FILES: Final = frozenset({".gitattributes", ".gitignore"})
EXCLUDED_FOLDERS: Final = frozenset({".git", ".github"})
"""Top-level names that the format never signs unless the signer lists them."""

LARGEST_OFFSET: Final = 2**63 - 1
"""Largest offset and size, in bytes: what file systems can express."""

_HEX = re.compile(r"[0-9a-f]*")


class Resource(NamedTuple):
    """One file, or one byte range of a file, and the digest of its bytes.

    path: relative POSIX path; or ``.`` for the only file of a single-file model.
    digest: lower-case hex.
    start, end: for shards, bytes from the start of the file, `end` exclusive; else None.
    """

    path: str
    digest: str
    start: int | None = None
    end: int | None = None

    @property
    def name(self) -> str:
        """What the statement calls it: the path, for a shard with its range (OMS v1.0, 6.3.2)."""
        return self.path if self.start is None else f"{self.path}:{self.start}:{self.end}"


@dataclass(frozen=True)
class Manifest:
    """What was signed.

    shard_size: bytes; None unless `serialization` is ``shards``.
    allow_symlinks: whether the signer followed symbolic links.
    ignore_paths: what the signer left out: relative paths, a folder stands for all below it.
    resources: in the order in which they were signed.

    Raises:
        SignatureError: on construction, with ``statement.unsafe-name`` for names that cannot be
            placed safely below a model folder, else ``statement.malformed``.
    """

    serialization: Serialization
    hash_type: HashType
    shard_size: int | None
    allow_symlinks: bool
    ignore_paths: tuple[str, ...]
    resources: tuple[Resource, ...]

    def __post_init__(self) -> None:
        if self.hash_type not in HASH_TYPES:
            raise _malformed(f"it uses the unknown hash type {quoted(self.hash_type)}")
        if not self.resources:
            raise _malformed("it lists no files, so it would vouch for nothing")
        self._check_digests()
        if self.serialization == "shards":
            self._check_shards()
        else:
            self._check_files()
        self._check_names()

    @cached_property
    def files(self) -> Mapping[str, tuple[Resource, ...]]:
        """Path of each signed file to its resources, in byte order."""
        if len(self._paths) == len(self.resources):
            return MappingProxyType({resource.path: (resource,) for resource in self.resources})
        parts: dict[str, list[Resource]] = {path: [] for path in self._paths}
        for resource in self.resources:
            parts[resource.path].append(resource)
        return MappingProxyType({path: tuple(sorted(parts[path], key=_start)) for path in parts})

    @cached_property
    def _paths(self) -> dict[str, None]:
        """Path of each signed file, once, in the order in which they were signed."""
        return dict.fromkeys([resource.path for resource in self.resources])

    @cached_property
    def root_digest(self) -> str:
        """SHA-256 over the raw digests in signed order, in hex, whatever `hash_type` is."""
        raw = bytes.fromhex("".join(resource.digest for resource in self.resources))
        return hashlib.sha256(raw).hexdigest()

    @cached_property
    def sorted_names(self) -> bool:
        """Whether the resources are in code point order of their names (OMS v1.0, 5.2.1).

        Some signers differ, and order shards by their numbers; the order changes no meaning.
        """
        return all(left.name <= right.name for left, right in pairwise(self.resources))

    def excludes(self, path: str) -> Literal["default", "signer"] | None:
        """Who left `path` out of the signing scope: the format, the signer, or nobody.

        Asks about scope only: a signer may list what the format leaves out by default, so look
        `path` up in `files` first.
        """
        if path in EXCLUDED_FILES or path.partition("/")[0] in EXCLUDED_FOLDERS:
            return "default"
        return "signer" if path in self._ignored else None

    @cached_property
    def _ignored(self) -> names.Subtrees:
        return names.Subtrees(self.ignore_paths)

    def _check_digests(self) -> None:
        length = 2 * DIGEST_BYTES[self.hash_type]
        for resource in self.resources:
            if len(resource.digest) != length or not _HEX.fullmatch(resource.digest):
                raise _malformed(
                    f"the digest of {quoted(resource.path)} is {quoted(resource.digest)}, which is "
                    f"not the {length} lower-case hex digits of {self.hash_type}"
                )

    def _check_files(self) -> None:
        if self.shard_size is not None:
            raise _malformed("it has a shard size although it lists whole files")
        if len(self._paths) < len(self.resources):
            path, parts = max(self.files.items(), key=lambda item: len(item[1]))
            raise _malformed(f"it lists {quoted(path)} {len(parts)} times")
        for resource in self.resources:
            if resource.start is not None or resource.end is not None:
                raise _malformed(f"it lists a part of {quoted(resource.path)} among whole files")

    def _check_shards(self) -> None:
        size = self.shard_size
        if size is None or not 0 < size <= LARGEST_OFFSET:
            raise _malformed(f"its shard size must be 1 to {LARGEST_OFFSET} bytes, but is {size}")
        for path, parts in self.files.items():
            expected = 0
            for part in parts:
                if part.start != expected:
                    raise _malformed(
                        f"the shards of {quoted(path)} must follow one another from byte 0 "
                        f"without gap or overlap, but one begins at {part.start} instead of "
                        f"{expected}"
                    )
                end = part.end or 0
                if not expected < end <= min(expected + size, LARGEST_OFFSET) or (
                    part is not parts[-1] and end != expected + size
                ):
                    raise _malformed(
                        f"the shard of {quoted(path)} from byte {part.start} to {part.end} must "
                        f"have {size} bytes, or 1 to {size} where it is the last"
                    )
                expected = end

    def _check_names(self) -> None:
        if self._paths.keys() != {names.SINGLE_FILE}:
            for path in self._paths:
                if flaw := names.flaw(path):
                    raise _unsafe(path, f"the signed name {quoted(path)} {flaw}")
        if pair := names.clash(self._paths):
            raise _unsafe(
                pair[1],
                f"the signed names {quoted(pair[0])} and {quoted(pair[1])} cannot lie side by side "
                "on every file system",
            )
        for path in self.ignore_paths:
            if flaw := names.flaw(path):
                raise _unsafe(path, f"the ignored path {quoted(path)} {flaw}")
        if self.ignore_paths:
            for path in self._paths:
                if path in self._ignored:
                    raise _malformed(f"it signs {quoted(path)} and ignores it too")


def whole_digests(
    signed: Mapping[str, tuple[Resource, ...]], hash_type: HashType
) -> Mapping[str, str]:
    """The signed SHA-256 of each file that was signed as a whole, in hex, by its path."""
    found = {path: whole_sha256(parts, hash_type) for path, parts in signed.items()}
    return {path: digest for path, digest in found.items() if digest is not None}


def whole_sha256(signed: Sequence[Resource], hash_type: HashType | None) -> str | None:
    """The SHA-256 of a whole file, in hex, if its resources are one of that kind."""
    whole = hash_type == "sha256" and len(signed) == 1 and signed[0].start is None
    return signed[0].digest if whole else None


def _start(resource: Resource) -> int:
    return resource.start or 0


def _malformed(fault: str) -> SignatureError:
    return SignatureError(
        ReasonCode.STATEMENT_MALFORMED,
        f"the signed manifest cannot be used: {fault}; the publisher must sign the model again",
    )


def _unsafe(path: str, fault: str) -> SignatureError:
    return SignatureError(
        ReasonCode.STATEMENT_UNSAFE_NAME,
        f"{fault}; the publisher must rename the file and sign the model again",
        path=path[: names.NAME_BYTES],
    )
