"""Pooled connections that lead nowhere they should not.

A redirect could lead a gate inside a network to what only that network can reach. A host is
therefore connected to at a public address only, unless it is one that the operator configured.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.request
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from oms_gate import __version__
from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.verdict import ReasonCode

PORTS = {"http": 80, "https": 443}
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")


class Connections:
    """Pools by origin, and the proxies of the environment. Safe for use by several threads."""

    def __init__(self, limits: Limits, trusted_hosts: frozenset[str]) -> None:
        """`trusted_hosts` may have private addresses; all others must have public ones."""
        self._trusted = trusted_hosts
        self._open: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        options: dict[str, Any] = {
            "maxsize": limits.connections,
            "timeout": urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
            # None leaves it to the system's authorities.
            "ca_certs": next(filter(None, map(os.environ.get, _CA_VARIABLES)), None),
        }
        self._direct = urllib3.PoolManager(**options)
        self._direct.pool_classes_by_scheme = _guarded_pools(self)
        self._proxies = {
            scheme: urllib3.ProxyManager(proxy, **options)
            for scheme, proxy in urllib.request.getproxies_environment().items()
            if scheme in PORTS
        }

    def request(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Send one request. Nothing is decoded, retried or redirected; the body is not read yet.

        Raises:
            StoreError: the host is at a private address, and not one that is trusted.
            urllib3.exceptions.HTTPError, OSError: there is no answer.
        """
        return self._manager(url).request(
            method,
            url,
            headers={
                "User-Agent": f"oms-gate/{__version__}",
                "Accept-Encoding": "identity",
                **headers,
            },
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def abort(self) -> None:
        """End every transfer under way; its reader gets an error at once."""
        for connection in list(self._open):
            with suppress(OSError):  # It may have ended by itself.
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def admit(self, connection: HTTPConnection, sock: socket.socket) -> None:
        """Look at where a new connection leads, before anything is sent.

        Only now: to look the name up before could give another address than connecting did.

        Raises:
            StoreError: to a private address, and the host is not trusted.
        """
        address = sock.getpeername()[0]
        if connection.host not in self._trusted and not _is_public(address):
            sock.close()
            raise _private(connection.host, address)
        self._open.add(connection)

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or urllib.request.proxy_bypass(host):
            return self._direct
        # Behind a proxy a written address can be looked at, but not where a name leads.
        if host not in self._trusted and _is_address(host) and not _is_public(host):
            raise _private(host, host)
        return proxy


def _guarded_pools(connections: Connections) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of connections that are shown to `connections` before they are used."""

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            connections.admit(self, sock)
            return sock

    class Https(Http, HTTPSConnection):
        pass

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.is_global and not parsed.is_multicast


def _private(host: str, address: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_REDIRECT_REFUSED,
        f"the store leads to {host}, which is at the private address {address}; if that host is "
        "meant, list it under 'private_hosts'",
    )
