"""Ranged reads over HTTP that believe nothing a server says.

The Hub's files, S3's presigned URLs and plain web servers are all read here. What is asked for
is checked against what is answered: the status, the range, the length, the entity tag, the
encoding, the speed, and where redirects lead. Content is checked by its digest, elsewhere.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import urllib3

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import Body, Connections, read_into
from oms_gate.stores.received import TooSlowError
from oms_gate.stores.redirects import RemoteFile, Source, follow
from oms_gate.stores.snapshot import CHUNK_BYTES

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_COUNT = re.compile(r"\d{1,19}", re.ASCII)
_ANSWER_BYTES = 64 * 1024
_MOST_SOURCES = 256
# A transfer that got this far may fail `limits.retries` times more.
_PROGRESS_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a server; the content is empty unless the status is 200."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpReader:
    """Reads files over pooled connections. Safe for use by several threads."""

    def __init__(self, limits: Limits, trusted_hosts: frozenset[str]) -> None:
        """`trusted_hosts` may have private addresses; all others must have public ones."""
        self._limits = limits
        self._connections = Connections(limits, trusted_hosts)
        # Of files that are read in several ranges, where the last one came from.
        self._sources: dict[str, Source] = {}
        self._lock = threading.Lock()

    def abort(self) -> None:
        """End every transfer under way; its reader gets an error at once. Begin no other."""
        self._connections.abort()

    def close(self) -> None:
        """End every transfer, and close every connection."""
        self._connections.close()

    def chunks(
        self, file: RemoteFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[memoryview]:
        """The bytes `start` to `end` (exclusive; None: all) of a file, in order.

        A broken transfer is resumed at the byte where it broke, at the same entity tag. A range
        is asked for where the last one of that file came from; should that have expired, the file
        is looked up again.

        buffer: what the chunks are parts of; see `Snapshot.chunks`.

        Raises:
            StoreError: the server refuses, is down or too slow, or answers something else than
                what was asked for.
        """
        position, etag, failures, checkpoint = start, file.etag, 0, start
        while True:
            try:
                with _named(file):
                    response = self._open(file, position, end, etag)
                    etag = etag or response.headers.get("ETag")
                    left = None if end is None else end - position
                    for chunk in _body(file, response, left, buffer, position - start):
                        position += len(chunk)
                        yield chunk
                return
            except _BROKEN as error:
                if position - checkpoint >= _PROGRESS_BYTES:
                    failures, checkpoint = 0, position
                failures += 1
                with self._lock:
                    self._sources.pop(file.path, None)
                self._wait(file, failures, error)

    def answer(self, file: RemoteFile, body: Body | None = None) -> Answer:
        """A whole answer of a store's interface, of at most `limits.listing_bytes`.

        body: what is sent, as often as it is tried.

        Raises:
            StoreError: as `chunks`, except for refusals: their status is the caller's to judge.
        """
        failures = 0
        while True:
            try:
                with _named(file):
                    response, _ = self._follow(body.method if body else "GET", file, body=body)
                    self._check_transient(response)
                    if response.status != 200:
                        response.close()
                        return Answer(response.status, response.headers, b"")
                    return Answer(200, response.headers, self._whole(file, response))
            except _BROKEN as error:
                failures += 1
                self._wait(file, failures, error)

    def head(self, file: RemoteFile) -> Mapping[str, str]:
        """The headers of a file.

        Raises:
            StoreError: as `chunks`.
        """
        try:
            with _named(file):
                response, _ = self._follow("HEAD", file)
                self._check_status(file, response)
                response.release_conn()
                return response.headers
        except _BROKEN as error:
            raise _unavailable(file, error, self._limits) from error

    def _wait(self, file: RemoteFile, failures: int, error: Exception) -> None:
        """Wait before the next attempt; raises StoreError where there is to be none."""
        if self._connections.ended or failures > self._limits.retries:
            raise _unavailable(file, error, self._limits) from error
        retry_after = error.retry_after if isinstance(error, _Transient) else 0
        self._connections.wait(min(max(0.1 * 2**failures, retry_after), self._limits.read_seconds))

    def _whole(self, file: RemoteFile, response: urllib3.BaseHTTPResponse) -> bytes:
        content = bytearray()
        try:
            _check_encoding(file, response)
            for chunk in _body(file, response, None, memoryview(bytearray(_ANSWER_BYTES))):
                content += chunk
                if len(content) > self._limits.listing_bytes:
                    raise StoreError(
                        ReasonCode.STORE_TOO_MANY_FILES,
                        f"the store's listing {file.path} is longer than the limit "
                        f"'listing_bytes' of {self._limits.listing_bytes}",
                    )
        finally:
            response.close()
        return bytes(content)

    def _open(
        self, file: RemoteFile, position: int, end: int | None, etag: str | None
    ) -> urllib3.BaseHTTPResponse:
        partial = position > 0 or (end is not None and end != file.size)
        headers = {}
        if partial:
            headers["Range"] = f"bytes={position}-{'' if end is None else end - 1}"
        # A tag that was learnt behind a redirect means nothing to the server before it.
        if file.etag is not None and not file.etag.startswith("W/"):
            headers["If-Match"] = file.etag
        known = self._sources.get(file.path) if partial else None
        if known is not None and (again := self._again(file, known, headers)) is not None:
            response, source = again
            etag = etag or known.etag
        else:
            response, source = self._follow("GET", file, headers=headers)
        try:
            self._check_status(file, response)
            self._check_answer(file, response, position, end, etag, partial)
        except BaseException:
            response.close()
            raise
        if partial:
            self._remember(file, replace(source, etag=response.headers.get("ETag")))
        return response

    def _again(
        self, file: RemoteFile, known: Source, headers: Mapping[str, str]
    ) -> tuple[urllib3.BaseHTTPResponse, Source] | None:
        """The answer of where a range came from before, if it has others still.

        A signed URL expires, and other servers than the store's may forget a file.
        """
        try:
            response, source = self._follow("GET", file, known, headers=headers)
        except StoreError:
            return None
        if response.status == 206:
            return response, source
        response.close()
        return None

    def _remember(self, file: RemoteFile, source: Source) -> None:
        with self._lock:
            self._sources[file.path] = source
            while len(self._sources) > _MOST_SOURCES:
                del self._sources[next(iter(self._sources))]

    def _follow(
        self,
        method: str,
        file: RemoteFile,
        source: Source | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> tuple[urllib3.BaseHTTPResponse, Source]:
        """See `follow`. Without a source the file is looked up where it was listed."""
        source = source or Source(file.url(), file.headers)
        return follow(
            self._connections, method, file, source, self._limits, headers=headers, body=body
        )

    def _check_transient(self, response: urllib3.BaseHTTPResponse) -> None:
        if response.status == 429 or response.status >= 500:
            response.close()
            seconds = count_of(response.headers.get("Retry-After"))
            raise _Transient(f"the server answered {response.status}", seconds or 0)

    def _check_status(self, file: RemoteFile, response: urllib3.BaseHTTPResponse) -> None:
        self._check_transient(response)
        status = response.status
        if status in (200, 206):
            return
        response.close()
        if status in (401, 403):
            raise StoreError(
                ReasonCode.STORE_FORBIDDEN,
                f"{file.path} may not be read with these credentials (HTTP {status}); give the "
                "store's token or key, or ask for access",
                path=file.path,
            )
        if status in (404, 410):
            raise StoreError(
                ReasonCode.STORE_NOT_FOUND,
                f"{file.path} is not there (HTTP {status}); restore it, or check the reference",
                path=file.path,
            )
        if status in (412, 416):
            raise _changed(file, f"the store answered {status} to a request for what was listed")
        raise _protocol(file, f"the server answered {status}")

    def _check_answer(
        self,
        file: RemoteFile,
        response: urllib3.BaseHTTPResponse,
        position: int,
        end: int | None,
        etag: str | None,
        partial: bool,
    ) -> None:
        headers = response.headers
        _check_encoding(file, response)
        found = headers.get("ETag")
        if etag is not None and found is not None and found != etag:
            raise _changed(file, f"its entity tag was {etag} and is now {found}")
        if partial != (response.status == 206):
            raise _protocol(file, f"the server answered {response.status} to a range request")
        size = file.size
        if partial:
            match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            if match is None:
                raise _protocol(file, "the answer to a range request does not say its range")
            first, last, total = map(int, match.groups())
            if size is not None and total != size:
                raise _changed(file, f"it had {size} bytes and now has {total}")
            if (first, last + 1) != (position, total if end is None else end):
                raise _protocol(
                    file, f"bytes {position} on were asked for and {first} to {last} were sent"
                )
            size = total
        length = headers.get("Content-Length")
        wanted = size if end is None else end
        if length is not None and wanted is not None and length != str(wanted - position):
            if not partial:
                raise _changed(file, f"it had {size} bytes and now has {length}")
            raise _protocol(file, f"{wanted - position} bytes were asked for, {length} announced")


def _body(
    file: RemoteFile,
    response: urllib3.BaseHTTPResponse,
    left: int | None,
    buffer: memoryview,
    filled: int = 0,
) -> Iterator[memoryview]:
    """The body, as long as was announced, and not a byte more than the `left` ones.

    filled: how many bytes went through the buffer before.
    """
    announced, count = response.length_remaining, 0
    try:
        while left is None or count < left:
            start = (filled + count) % len(buffer)
            end = start + CHUNK_BYTES if left is None else start + min(CHUNK_BYTES, left - count)
            chunk = buffer[start:end]
            got = read_into(response, chunk)
            if not got:
                break
            count += got
            yield chunk[:got]
        if left is None:
            left = announced
        elif count == left and read_into(response, memoryview(bytearray(1))):
            raise _protocol(file, "the server sent more bytes than were asked for")
        if left is not None and count < left:
            raise _Transient(f"the answer ended {left - count} bytes early", 0)
        response.release_conn()
    finally:
        # A connection that was not read to its end cannot be used again.
        response.close()


class _Transient(Exception):  # noqa: N818 - never leaves this module
    """A failure that may be gone at the next attempt."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, _Transient)


@contextmanager
def _named(file: RemoteFile) -> Iterator[None]:
    """Say of a server that is too slow in what."""
    try:
        yield
    except TooSlowError as error:
        raise StoreError(
            ReasonCode.STORE_TOO_SLOW, f"{file.path} {error}", path=file.path
        ) from error


def count_of(header: str | None) -> int | None:
    """The number that a header gives, or None where it gives none."""
    return int(header) if header is not None and _COUNT.fullmatch(header) else None


def _unavailable(file: RemoteFile, error: Exception, limits: Limits) -> StoreError:
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store gave no usable answer for {file.path}: {_cause(error, limits)}",
        path=file.path,
    )


def _cause(error: BaseException, limits: Limits) -> str:
    if isinstance(error, urllib3.exceptions.ProxyError):
        return f"the proxy of the environment failed, as {_cause(error.original_error, limits)}"
    # Those that follow are time-outs too, in urllib3's classes.
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its host name cannot be resolved"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        refused = isinstance(error.__cause__, ConnectionRefusedError)
        return "the connection was refused" if refused else "there is no way to its host"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return (
            "its host took too long to take the connection, more than the limit "
            f"'connect_seconds' of {limits.connect_seconds:g}"
        )
    if isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return (
            "it took too long to answer, more than the limit 'read_seconds' of "
            f"{limits.read_seconds:g}"
        )
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"its TLS certificate or connection was refused ({error})"
    if isinstance(error, _Transient):
        return str(error)
    return "the connection failed or was closed"


def _check_encoding(file: RemoteFile, response: urllib3.BaseHTTPResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise _protocol(file, f"it was sent with encoding {encoding}")


def _changed(file: RemoteFile, what: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_CHANGED,
        f"{file.path} was changed after it was listed: {what}; try again",
        path=file.path,
    )


def _protocol(file: RemoteFile, what: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_PROTOCOL,
        f"{file.path} cannot be trusted to be what its store says: {what}; tell the store's "
        "operator",
        path=file.path,
    )
