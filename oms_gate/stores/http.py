"""Ranged reads over HTTP that believe nothing a server says.

The Hub's files, S3's presigned URLs and plain web servers are all read here. What is asked for
is checked against what is answered: the status, the range, the length, the entity tag, the
encoding, the speed, and where redirects lead. Content is checked by its digest, elsewhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import urllib3

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.stores.connections import PORTS, Body, Connections, origin
from oms_gate.stores.snapshot import CHUNK_BYTES
from oms_gate.verdict import ReasonCode

_REDIRECTS = (301, 302, 303, 307, 308)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_COUNT = re.compile(r"\d{1,19}", re.ASCII)
# A transfer that got this far may fail `limits.retries` times more.
_PROGRESS_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What is known of a file before it is read.

    path: as reports name it.
    url: gives the URL to start from, anew for each attempt, as signed ones expire.
    headers: sent to the origin of that URL only; credentials among them never leave it.
    size: bytes, or None where unknown.
    etag: the entity tag that was listed, as the server of `url` itself would send it, or None.
    expected: header values that any answer on the way must have where it has that header.
    """

    path: str
    url: Callable[[], str]
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    etag: str | None = None
    expected: Mapping[str, str] = field(default_factory=dict)


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

    def abort(self) -> None:
        """End every transfer under way; its reader gets an error at once. Begin no other."""
        self._connections.abort()

    def close(self) -> None:
        """End every transfer, and close every connection."""
        self._connections.close()

    def chunks(self, file: RemoteFile, start: int, end: int | None) -> Iterator[bytes]:
        """The bytes `start` to `end` (exclusive; None: all) of a file, in order.

        A broken transfer is resumed at the byte where it broke, at the same entity tag.

        Raises:
            StoreError: the server refuses, is down or too slow, or answers something else than
                what was asked for.
        """
        position, etag, failures, checkpoint = start, file.etag, 0, start
        while True:
            try:
                response = self._open(file, position, end, etag)
                etag = etag or response.headers.get("ETag")
                for chunk in self._body(file, response, end, position):
                    position += len(chunk)
                    yield chunk
                return
            except (urllib3.exceptions.HTTPError, OSError, _Transient) as error:
                if position - checkpoint >= _PROGRESS_BYTES:
                    failures, checkpoint = 0, position
                failures += 1
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
                response = self._follow(body.method if body else "GET", file, {}, body)
                self._check_transient(response)
                if response.status != 200:
                    response.close()
                    return Answer(response.status, response.headers, b"")
                return Answer(200, response.headers, self._whole(file, response))
            except (urllib3.exceptions.HTTPError, OSError, _Transient) as error:
                failures += 1
                self._wait(file, failures, error)

    def head(self, file: RemoteFile) -> Mapping[str, str]:
        """The headers of a file.

        Raises:
            StoreError: as `chunks`.
        """
        try:
            response = self._follow("HEAD", file, {})
            self._check_status(file, response)
            response.release_conn()
            return response.headers
        except (urllib3.exceptions.HTTPError, OSError, _Transient) as error:
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
            for chunk in self._body(file, response, None, 0):
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
        response = self._follow("GET", file, headers)
        try:
            self._check_status(file, response)
            self._check_answer(file, response, position, end, etag, partial)
        except BaseException:
            response.close()
            raise
        return response

    def _follow(
        self,
        method: str,
        file: RemoteFile,
        headers: Mapping[str, str],
        body: Body | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Request a file; redirects are followed by hand, and leave credentials behind."""
        url, credentials = file.url(), file.headers
        for _ in range(self._limits.redirects + 1):
            response = self._connections.request(method, url, {**credentials, **headers}, body)
            for name, value in file.expected.items():
                found = response.headers.get(name)
                if found is not None and found.strip('"') != value:
                    response.close()
                    raise StoreError(
                        ReasonCode.STORE_CHANGED,
                        f"{file.path} is not what was listed: {name} was {value} and is now "
                        f"{found}; the store gave another file, try again",
                        path=file.path,
                    )
            if response.status not in _REDIRECTS:
                return response
            response.close()
            target = self._redirected(file, url, response.headers.get("Location"))
            if origin(target) != origin(url):
                credentials = {}
            url = target
        limit = self._limits.redirects
        where = f"more than {limit} times" if limit else "while a file was being written"
        raise _redirect_refused(file, where)

    def _redirected(self, file: RemoteFile, url: str, location: str | None) -> str:
        try:
            target = urljoin(url, location or "")
            parts = urlsplit(target)
            usable = location and parts.scheme in PORTS and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise _redirect_refused(file, f"to {location!r}, which is no web address")
        if urlsplit(url).scheme == "https" and parts.scheme == "http":
            raise _redirect_refused(file, f"from https to plain http at {parts.hostname}")
        if parts.username or parts.password:
            raise _redirect_refused(file, "to an address with credentials in it")
        return target

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
        self, file: RemoteFile, response: urllib3.BaseHTTPResponse, end: int | None, position: int
    ) -> Iterator[bytes]:
        """The body, at no less than the minimum speed, and not a byte too many."""
        limits = self._limits
        left = None if end is None else end - position
        window_start, window_bytes = time.monotonic(), 0
        try:
            while chunk := response.read1(CHUNK_BYTES):
                if left is not None:
                    left -= len(chunk)
                    if left < 0:
                        raise _protocol(file, "the server sent more bytes than were asked for")
                yield chunk
                window_bytes += len(chunk)
                elapsed = time.monotonic() - window_start
                if elapsed > limits.read_seconds:
                    if window_bytes < limits.minimum_bytes_per_second * elapsed:
                        raise StoreError(
                            ReasonCode.STORE_TOO_SLOW,
                            f"{file.path} arrives at {window_bytes / elapsed:.0f} bytes per "
                            f"second, less than the limit 'minimum_bytes_per_second' of "
                            f"{limits.minimum_bytes_per_second}",
                            path=file.path,
                        )
                    window_start, window_bytes = time.monotonic(), 0
            if left:
                raise _Transient(f"the answer ended {left} bytes early", 0)
            response.release_conn()
        finally:
            # A connection that was not read to its end cannot be used again.
            response.close()


class _Transient(Exception):  # noqa: N818 - never leaves this module
    """A failure that may be gone at the next attempt."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


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


def _redirect_refused(file: RemoteFile, where: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_REDIRECT_REFUSED,
        f"the request for {file.path} was redirected {where}, and was not followed; tell the "
        "store's operator",
        path=file.path,
    )
