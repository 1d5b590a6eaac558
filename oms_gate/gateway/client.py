"""Who asks."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, Self

from aiohttp import hdrs, web


class Client(NamedTuple):
    """One client, as far as answers and turns depend on it.

    token: its own, for the Hub; None where it shows none.
    address: what turns are counted by.
    """

    token: str | None
    address: str

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """Who sent a request.

        Raises:
            web.HTTPBadRequest: it gives several tokens, or what is none.
        """
        return cls(_token(request), _address(request.remote or ""))


def _token(request: web.Request) -> str | None:
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    if len(given) > 1 or scheme.lower() != "bearer" or not token.isascii() or not token:
        raise web.HTTPBadRequest(text="give one token: Authorization: Bearer hf_...\n")
    return token


def _address(remote: str) -> str:
    """An address; of IPv6 the network in which one client can have all (RFC 6177)."""
    with suppress(ValueError):
        address = ip_address(remote)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return str(IPv6Network((int(address), 64), strict=False))
    return remote
