"""The files of a model on their way to a folder of S3, several at a time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Final

from oms_gate.errors import MeasureError, UsageError
from oms_gate.limits import MIB, Limits
from oms_gate.publish.checked import CheckedFile
from oms_gate.publish.publication import Judgement
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.s3_uploading import SINGLE_REQUEST_BYTES, S3Uploader
from oms_gate.streaming.hashing import THREAD_NAME, Progress, ProgressCallback
from oms_gate.verdict import Assurance

# Less is sent as fast as it is copied.
SMALL_BYTES: Final = MIB
_POLL_SECONDS = 0.1
_END_SECONDS = 1


class _Stopped(Exception):  # noqa: N818 - an event
    """Another file has failed, or the time is up. It is nothing to try again after."""


class Transfer:
    """Sends files of a snapshot, each with its signed digest, or has S3 copy them.

    Memory does not grow with the model: of each file that is being sent one chunk is held.

    copied: paths of those that S3 has copied, so far.
    """

    def __init__(
        self,
        uploader: S3Uploader,
        folder: str,
        snapshot: Snapshot,
        judgement: Judgement,
        donors: Iterable[Snapshot],
        limits: Limits,
    ) -> None:
        """
        folder: where to, as a bucket and a prefix.
        donors: models in S3 whose files may be copied.
        """
        self._uploader = uploader
        self._folder = folder
        self._snapshot = snapshot
        self._judgement = judgement
        self._limits = limits
        self._deadline = time.monotonic() + limits.total_seconds
        # By the digest that S3 declares of them.
        self._donors: dict[str, tuple[Snapshot, StoredFile]] = {
            file.sha256: (donor, file)
            for donor in donors
            for file in donor.files.values()
            if file.sha256 is not None and SMALL_BYTES <= (file.size or 0) <= SINGLE_REQUEST_BYTES
        }
        self._stop = Event()
        self._sent: list[CheckedFile] = []
        self.copied: set[str] = set()
        self._next_report = 0.0

    def run(self, paths: Collection[str], on_progress: ProgressCallback | None) -> None:
        """Send files.

        Raises:
            UsageError: the store of one does not say how long it is.
            MeasureError: one is not what was signed, or the deadline passed.
            StoreError: one cannot be read or written.
        """
        sizes = {path: self._size(path) for path in paths}
        with ThreadPoolExecutor(self._limits.connections, THREAD_NAME) as pool:
            # The longest first, so that the last to end is a short one.
            pending = {
                pool.submit(self._send, path, sizes[path])
                for path in sorted(paths, key=sizes.__getitem__, reverse=True)
            }
            try:
                while pending:
                    done, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
                    for sent in done:
                        sent.result()
                    if on_progress is not None:
                        self._report(on_progress, sum(sizes.values()), len(paths), len(pending))
                    self._check_time()
            except BaseException:
                self._end(pool, pending)
                raise

    def _end(self, pool: ThreadPoolExecutor, pending: Collection[Future[None]]) -> None:
        """End what is under way. Whoever removes what was sent does so after it has arrived."""
        self._stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        self._snapshot.abort()
        wait([future for future in pending if not future.cancelled()], _END_SECONDS)
        self._uploader.abort()

    def _send(self, path: str, size: int) -> None:
        name = f"{self._folder}/{path}"
        signed = self._judgement.signed.get(path, ())
        hash_type = self._judgement.hash_type or "sha256"
        digest = self._judgement.sha256_of(path)
        donor = self._donors.get(digest) if digest is not None and self._is_known(path) else None
        left = self._deadline - time.monotonic()
        if donor is not None and self._uploader.copy(*donor, name, left):
            self.copied.add(path)
            return
        content = CheckedFile(self._snapshot, path, size, signed, hash_type, self._check_stop)
        self._sent.append(content)
        self._uploader.upload(name, size, content, digest)

    def _is_known(self, path: str) -> bool:
        """Whether a file is as it was signed, as far as that can be known without its bytes.

        It was read when it was judged, or its own store declares the signed digest: any other
        would have been a reason to deny it. Else what it is shows when it is sent.
        """
        was_read = self._judgement.verdict.assurance is Assurance.BYTES
        return was_read or self._snapshot.files[path].sha256 is not None

    def _size(self, path: str) -> int:
        size = self._snapshot.files[path].size
        if size is None:
            raise UsageError(
                f"its store does not say how long {path} is, which S3 must know beforehand; pull "
                "the model into a folder, and publish that"
            )
        return size

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise MeasureError(
                ReasonCode.DEADLINE_EXCEEDED,
                f"the model could not be sent within {self._limits.total_seconds:g} seconds; "
                "raise the limit 'total_seconds', or use a faster store",
            )

    def _report(self, on_progress: ProgressCallback, total: int, files: int, left: int) -> None:
        """Tell how far it is, unless that was told a moment ago."""
        if left and time.monotonic() < self._next_report:
            return
        self._next_report = time.monotonic() + _POLL_SECONDS
        copied = sum(self._snapshot.files[path].size or 0 for path in [*self.copied])
        done = copied + sum(content.bytes_done for content in [*self._sent])
        on_progress(Progress(done, total, files - left, files))
