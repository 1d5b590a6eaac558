"""Pooled connections that lead nowhere they should not.

A redirect could lead a gate inside a network to what only that network can reach. A host is
therefore connected to at a public address only, unless it is one that the operator configured.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import threading
import urllib.request
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from oms_gate import __version__
from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.received import Received
from oms_gate.stores.tls import CA_VARIABLES, Transport, client_context

PORTS = {"http": 80, "https": 443}

VIA_VARIABLE: Final = "OMS_GATE_VIA"
"""The environment variable with the name by which a service knows its own requests (RFC 9110,
section 7.6.3), so that none that leads back to it goes around without end."""

# IPv4-compatible addresses, NAT64 of a network's own, and site-local ones.
_INTERNAL = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b:1::/48", "fec0::/10")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Names that resolvers take for an address (2852039166, 0x7f.1), for this machine, or literally.
_INTERNAL_NAME = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*|(?:ip6-)?localhost|)")


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent with a request.

    content: the bytes, or what gives them in chunks, anew for each attempt.
    media_type: its Content-Type; None sends none.
    size: in bytes, of what is given in chunks.
    """

    content: bytes | Callable[[], Iterable[bytes | memoryview]]
    media_type: str | None = None
    method: str = "POST"
    size: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """What is said of it to the server."""
        headers = {"Content-Type": self.media_type, "Content-Length": self.size}
        return {name: str(value) for name, value in headers.items() if value is not None}


class Connections:
    """Pools by origin, and the proxies of the environment. Safe for use by several threads.

    They are closed by `close`, or when nothing refers to them any more.
    """

    def __init__(self, limits: Limits, trusted_hosts: frozenset[str]) -> None:
        """`trusted_hosts` may have private addresses; all others must have public ones."""
        self._trusted = trusted_hosts
        name = os.environ.get(VIA_VARIABLE)
        self._via = {"Via": f"1.1 {name}"} if name else {}
        self._guard = _Guard(trusted_hosts, limits)
        options: dict[str, Any] = {
            "maxsize": limits.connections,
            "timeout": urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
            # None leaves it to the system's authorities.
            "ca_certs": next(filter(None, map(os.environ.get, CA_VARIABLES)), None),
        }
        self._direct = urllib3.PoolManager(**options)
        self._proxies = {
            scheme: urllib3.ProxyManager(proxy, **options)
            for scheme, proxy in urllib.request.getproxies_environment().items()
            if scheme in PORTS
        }
        for manager in (self._direct, *self._proxies.values()):
            manager.pool_classes_by_scheme = {
                "http": partial(_HttpPool, guard=self._guard),  # type: ignore[dict-item]
                "https": partial(_HttpsPool, guard=self._guard),  # type: ignore[dict-item]
            }

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Send one request. Nothing is decoded, retried or redirected; the body is not read yet.

        Raises:
            StoreError: the host is at a private address, and not one that is trusted.
            urllib3.exceptions.HTTPError, OSError: there is no answer.
        """
        self._guard.check()
        content = body.content if body else None
        response = self._manager(url).request(
            method,
            url,
            # Chunks of any kind that a socket takes.
            body=content() if callable(content) else content,  # type: ignore[arg-type]
            headers={
                "User-Agent": f"oms-gate/{__version__}",
                "Accept-Encoding": "identity",
                **self._via,
                **(body.headers if body else {}),
                **headers,
            },
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            # A connection that was being made when the others were ended is ended here.
            self._guard.check()
        except OSError:
            response.close()
            raise
        return response

    @property
    def ended(self) -> bool:
        """Whether `abort` or `close` was called."""
        return self._guard.ended.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `abort`."""
        self._guard.ended.wait(seconds)

    def abort(self) -> None:
        """End every transfer under way, whose reader gets an error at once, and begin no other."""
        self._guard.end()

    def close(self) -> None:
        """End every transfer, and close every connection."""
        self.abort()
        for manager in (self._direct, *self._proxies.values()):
            manager.clear()

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # A written address is looked at beforehand; where a name leads, when it is connected to.
        # Behind a proxy that stays unknown.
        if host not in self._trusted and _is_internal(host):
            raise _private(host, host)
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or urllib.request.proxy_bypass(host):
            return self._direct
        return proxy


class _Guard:
    """What connections are shown to before they are used, and all ended by.

    It knows no pool: urllib3 keeps the connections of a pool alive until the pool is collected,
    so a way from one of them back to its pool would keep both for ever.
    """

    def __init__(self, trusted_hosts: frozenset[str], limits: Limits) -> None:
        self.ended = threading.Event()
        self.limits = limits
        self._trusted = trusted_hosts
        # Of the sockets themselves: a connection lets go of the one that its last answer is on.
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._tls_lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None

    def check(self) -> None:
        """Raises ConnectionAbortedError if everything was ended."""
        if self.ended.is_set():
            raise ConnectionAbortedError

    def admit(self, connection: HTTPConnection, sock: socket.socket) -> None:
        """Look at where a new connection leads, before anything is sent.

        Only now: to look the name up before could give another address than connecting did.

        Raises:
            StoreError: to a private address, and the host is not trusted.
        """
        address = sock.getpeername()[0]
        proxied = connection.proxy is not None
        if not proxied and connection.host not in self._trusted and not _is_public(address):
            sock.close()
            raise _private(connection.host, address)
        self.watch(sock)

    def watch(self, sock: socket.socket) -> None:
        """End this one with all others."""
        # TLS is in a wrapper.
        inner = getattr(sock, "socket", sock)
        with self._lock:
            self._open.add(inner)
        if self.ended.is_set():
            _shut_down(inner)

    def tls(self, authorities: str | None) -> ssl.SSLContext:
        """One context for all connections; see `client_context`."""
        # Not the lock of `end`, which must not wait for a slow file system.
        with self._tls_lock:
            if self._tls is None:
                self._tls = client_context(authorities)
            return self._tls

    def end(self) -> None:
        self.ended.set()
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            _shut_down(sock)


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # It may have ended by itself.
        sock.shutdown(socket.SHUT_RDWR)


class _Guarded(HTTPConnection):
    def __init__(self, *args: Any, guard: _Guard, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard = guard

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._guard.admit(self, sock)
        return sock

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, *arguments: Any, **options: Any
    ) -> Received:
        """Make an answer; `http.client` calls it so."""
        # TLS through a proxy has put another socket in place of the one that was connected.
        self._guard.watch(sock)
        self.received = Received(sock, *arguments, limits=self._guard.limits, **options)
        return self.received


class _GuardedTls(_Guarded, HTTPSConnection):
    def connect(self) -> None:
        """See `HTTPSConnection.connect`."""
        # For TLS to a proxy urllib3 makes a context of its own, of `ca_certs`.
        if self.proxy is None or self.proxy.scheme == "http":
            self.ssl_context, self.ca_certs = self._guard.tls(self.ca_certs), None
        try:
            super().connect()
        except TimeoutError as error:
            # Of TLS: for urllib3 itself it is one of reading.
            raise urllib3.exceptions.ConnectTimeoutError(self, str(error)) from error

    @property
    def is_connected(self) -> bool:
        """Whether nothing came that nobody asked for: such a connection is not used again."""
        unread = isinstance(self.sock, Transport) and self.sock.has_unread
        return super().is_connected and not unread


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


def read_into(response: urllib3.BaseHTTPResponse, buffer: memoryview) -> int:
    """Fill a buffer with what comes next of a body; see `Received`.

    Raises:
        TooSlowError: the server is.
        http.client.HTTPException, OSError: the transfer broke.
    """
    connection = cast("_Guarded", response.connection)
    return connection.received.readinto(buffer)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: credentials for one origin are for no other."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _is_internal(host: str) -> bool:
    """Whether a host, as written, is for certain or likely not a public one."""
    with suppress(ValueError):
        return not _is_public(host)
    return _INTERNAL_NAME.fullmatch(host) is not None


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if embedded is not None:
            return _is_public(str(embedded))
        if any(parsed in network for network in _INTERNAL):
            return False
    return parsed.is_global and not parsed.is_multicast


def _private(host: str, address: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_REDIRECT_REFUSED,
        f"the store leads to {host}, which is at the private address {address}; if that host is "
        "meant, list it under 'private_hosts'",
    )
