"""The bytes of a file on their way to a registry, compared with what was signed in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from oms_gate.errors import MeasureError
from oms_gate.oms.digests import Hasher, HashType, new_hasher
from oms_gate.oms.manifest import Resource
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import FileRange
from oms_gate.streaming.measure import finding_of


class CheckedFile:
    """One file, which is read from its start to its end, in one piece or in several in a row.

    Of what was signed the last bytes are let go when all of it has the signed digest: who takes
    them never has a whole file with other bytes. Each piece can be read again.

    bytes_done: what was read so far, to its end.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        path: str,
        size: int,
        signed: Sequence[Resource],
        hash_type: HashType,
        check: Callable[[], None],
    ) -> None:
        """
        size: in bytes.
        signed: what was signed of the file; nothing if it is sent as it is.
        check: is called for each chunk, and raises where nothing more is to be read.
        """
        self.bytes_done = 0
        self._snapshot = snapshot
        self._path = path
        self._hash_type = hash_type
        self._check = check
        self._size = size
        self._ranges = [FileRange(path, part.start or 0, part.end, part.digest) for part in signed]
        # Nothing of the file is beyond what is compared.
        self._ends = [part.end or 0 for part in signed[:-1]] + [size]
        # By how much was read before: which range is next, and what is hashed of it.
        self._states: dict[int, tuple[int, Hasher]] = {0: (0, new_hasher(hash_type))}

    def __call__(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """The bytes from an offset to another one.

        Raises:
            MeasureError: they are not what was signed.
            StoreError: as `Snapshot.chunks`.
        """
        if not self._size and self._ranges:
            # Of an empty file nothing is held back: it is there when it is announced.
            self._compare(0, new_hasher(self._hash_type))
        return self._chunks(start, end)

    def _chunks(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        index, hasher = self._states[start]
        hasher, position = hasher.copy(), start
        self.bytes_done = start
        for chunk in self._snapshot.chunks(self._path, start, end):
            self._check()
            rest = memoryview(chunk)
            while rest and index < len(self._ranges):
                part = rest[: self._ends[index] - position]
                hasher.update(part)
                position, rest = position + len(part), rest[len(part) :]
                if position == self._ends[index]:
                    self._compare(index, hasher)
                    index, hasher = index + 1, new_hasher(self._hash_type)
            self.bytes_done += len(chunk)
            yield chunk
        if 0 < end == self._size and index < len(self._ranges):  # It is too short.
            self._compare(index, hasher)
        self._states[end] = index, hasher

    def _compare(self, index: int, hasher: Hasher) -> None:
        part = self._ranges[index]
        part.digest = hasher.hexdigest()
        if (reason := finding_of(part, self._hash_type)) is not None:
            raise MeasureError(reason.code, reason.message, path=reason.path)
