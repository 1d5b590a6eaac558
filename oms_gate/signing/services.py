"""The services that take part in signing, asked over HTTP: one request, one bounded answer.

Whoever signs waits for them, and sends one of them an identity token. So nothing here waits for
ever, reads without end, or follows a redirect to a host that nobody configured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import urllib3

from oms_gate.errors import OmsGateError, SigningError, StoreError, is_failure
from oms_gate.limits import MIB, Limits
from oms_gate.oms.quoting import one_line, quoted
from oms_gate.stores import within
from oms_gate.stores.connections import PORTS, Body, Connections

SERVICE_SECONDS: Final = 60.0
"""Longest wait for one answer of a service, from the connection to its last byte, in seconds.
The slowest are transparency logs that answer only when an entry is in their tree."""

ANSWER_BYTES: Final = MIB
"""Largest answer of a service, in bytes. Real ones have a few thousand: none repeats the model's
statement, of which logs keep the digest."""

_UNAVAILABLE = (408, 425, 429)
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_READ_BYTES = 64 * 1024
# Of a backslash, one reader of addresses makes a part of the host and another its end.
_VISIBLE = re.compile(r"[!-\[\]-~]+")


@dataclass(frozen=True)
class Service:
    """A kind of service, in words.

    role: what it is, such as "timestamp authority".
    refused: what to do where it refuses a request.
    unusable: what to do where its answer is not one to the request.
    """

    role: str
    refused: str
    unusable: str

    def at(self, url: str) -> str:
        """The service at this address, to begin a sentence with."""
        return f"the {self.role} {url}"

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Send a request, and read the answer to its end.

        Proxies of the environment are used. A credential among the headers goes to this host
        alone, and into no message.

        Raises:
            SigningError: there is no answer in time, or it is a refusal, a redirect or too large.
        """
        # `within` keeps the time: that of a socket starts anew at every byte.
        limits = Limits(read_seconds=2 * SERVICE_SECONDS)
        trusted = frozenset({urlsplit(url).hostname or ""})
        headers = {name: value for name, value in headers.items() if name != "Accept-Encoding"}
        try:
            with closing(Connections(limits, trusted)) as connections:

                def exchange() -> tuple[int, str, bytes]:
                    response = connections.request("POST", url, headers, Body(body))
                    content = bytearray()
                    while len(content) <= ANSWER_BYTES and (chunk := response.read1(_READ_BYTES)):
                        content += chunk
                    return response.status, response.headers.get("Location", ""), bytes(content)

                status, location, content = within(SERVICE_SECONDS, exchange)
        except StoreError as error:
            raise SigningError(
                f"{self.at(url)} did not answer within {SERVICE_SECONDS:g} seconds; try again later"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SigningError(
                f"{self.at(url)} did not answer ({one_line(error.__cause__ or error)}); check its "
                "address and the network, or try again later"
            ) from error
        if len(content) > ANSWER_BYTES:
            raise SigningError(
                f"{self.at(url)} sent an answer of more than {ANSWER_BYTES} bytes; check its "
                "address"
            )
        if 300 <= status < 400:
            raise SigningError(
                f"{self.at(url)} redirects to {quoted(location)}, which is not followed; "
                "configure the address at which it is now"
            )
        if status >= 400:
            raise self._refusal(url, status, _message(content, headers))
        return content

    @contextmanager
    def answering(self, url: str) -> Iterator[None]:
        """Have whatever goes wrong in here said of the answer of this service at `url`.

        Raises:
            SigningError: in place of anything but this project's own errors.
        """
        try:
            yield
        except OmsGateError:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            raise SigningError(
                f"{self.at(url)} gave an answer that cannot be used ({one_line(error)}); "
                f"{self.unusable}"
            ) from error

    def _refusal(self, url: str, status: int, said: str) -> SigningError:
        answer = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        if status >= 500 or status in _UNAVAILABLE:
            return SigningError(f"{self.at(url)} is not available ({answer}); try again later")
        return SigningError(f"{self.at(url)} refused the request ({answer}); {self.refused}")


def check_address(url: str, *, secret: bool = False) -> None:
    """See that `url` can be the address of a service.

    secret: whether it is sent what nobody else may read.

    Raises:
        ValueError: it is not one of http or https, with a host and without a password; or not of
            https although it must be, but for this machine's own. The text shows no password.
    """
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in PORTS
            and parts.hostname
            and not parts.hostname.endswith(".")
            and parts.port != 0
            and "@" not in parts.netloc
            and _VISIBLE.fullmatch(url)
        )
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            f"{quoted(url.rpartition('@')[2])} is not the address of a service, which starts with "
            "http:// or https://, and has no user name"
        )
    if secret and parts.scheme != "https" and parts.hostname not in _THIS_MACHINE:
        raise ValueError(f"{quoted(url)} is sent the identity token, so it must be https://")


def _message(content: bytes, headers: Mapping[str, str]) -> str:
    """What a service says about its refusal, without the credential that it was sent."""
    said = None
    with suppress(ValueError, RecursionError):
        answer = json.loads(content)
        said = answer.get("message") if isinstance(answer, dict) else None
    if not isinstance(said, str):
        return ""
    credential = headers.get("Authorization", "").removeprefix("Bearer ")
    return quoted(said.replace(credential, "…") if credential else said)
