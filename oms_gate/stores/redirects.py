"""Redirects, followed by hand: only to where they may lead, and without credentials."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import urllib3

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import PORTS, Body, Connections, origin, read_into

_REDIRECTS = (301, 302, 303, 307, 308)
# What a redirect says for people; to read more of it takes longer than another connection.
_PROSE_BYTES = 4096


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
class Source:
    """Where a file was found in the end; a signed URL is good for a while only.

    headers: what may be sent there.
    etag: the entity tag that the file had there, or None.
    """

    url: str
    headers: Mapping[str, str]
    etag: str | None = None


def follow(
    connections: Connections,
    method: str,
    file: RemoteFile,
    source: Source,
    limits: Limits,
    *,
    headers: Mapping[str, str] | None = None,
    body: Body | None = None,
) -> tuple[urllib3.BaseHTTPResponse, Source]:
    """Request a file from a source on; the answer, and where it came from.

    headers: sent to wherever it leads.

    Raises:
        StoreError: it leads where nothing is to be asked, or to another file.
        urllib3.exceptions.HTTPError, OSError: there is no answer.
    """
    for _ in range(limits.redirects + 1):
        sent = {**source.headers, **(headers or {})}
        response = connections.request(method, source.url, sent, body)
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
            return response, source
        _release(response)
        target = _redirected(file, source.url, response.headers.get("Location"))
        source = Source(target, source.headers if origin(target) == origin(source.url) else {})
    where = (
        f"more than {limits.redirects} times"
        if limits.redirects
        else "while a file was being written"
    )
    raise _refused(file, where)


def _release(response: urllib3.BaseHTTPResponse) -> None:
    """Let the connection of a redirect be used again, if its short body came to its end."""
    length = response.length_remaining
    with suppress(urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
        if length is not None and length <= _PROSE_BYTES:
            if length:
                read_into(response, memoryview(bytearray(length)))
            response.release_conn()
    response.close()


def _redirected(file: RemoteFile, url: str, location: str | None) -> str:
    try:
        target = urljoin(url, location or "")
        parts = urlsplit(target)
        usable = location and parts.scheme in PORTS and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _refused(file, f"to {location!r}, which is no web address")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise _refused(file, f"from https to plain http at {parts.hostname}")
    if parts.username or parts.password:
        raise _refused(file, "to an address with credentials in it")
    return target


def _refused(file: RemoteFile, where: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_REDIRECT_REFUSED,
        f"the request for {file.path} was redirected {where}, and was not followed; tell the "
        "store's operator",
        path=file.path,
    )
