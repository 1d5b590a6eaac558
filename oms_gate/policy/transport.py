"""HTTP to the OPA server: one request, one connection, one bounded answer.

What requests itself would do is not wanted here: it follows redirects, waits for as long as
bytes trickle in, and reads an answer of any size.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.engine import ANSWER_BYTES
from oms_gate.verdict import ReasonCode

_SHOWN_CHARACTERS: Final = 300


class Transport(BaseAdapter):
    """A transport of requests that raises the reason why there is no answer."""

    def __init__(self, seconds: float, ca_file: Path | None) -> None:
        """Allow `seconds` for the connection, and again for the whole answer.

        Raises:
            ConfigError: `ca_file` cannot be read or holds no certificate.
        """
        super().__init__()
        self._seconds = seconds
        try:
            self._context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ConfigError(
                f"{ca_file} cannot be used as the authorities of the OPA server: {error.strerror}"
            ) from error

    def send(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> requests.Response:
        """Send one request, and read its answer to the end.

        Only `request` counts: time, authorities and the like are those of this transport.

        Raises:
            PolicyError: POLICY_UNREACHABLE, POLICY_TIMEOUT, or POLICY_ERROR where the answer is
                a redirect, larger than `ANSWER_BYTES`, or not HTTP.
        """
        assert request.url is not None
        url = urlsplit(request.url)
        server = f"the OPA server {url.scheme}://{url.netloc}"
        connection = (
            http.client.HTTPSConnection(url.netloc, timeout=self._seconds, context=self._context)
            if url.scheme == "https"
            else http.client.HTTPConnection(url.netloc, timeout=self._seconds)
        )
        try:
            connection.connect()
            with self._bounded(connection.sock, server):
                connection.request(
                    str(request.method), request.path_url, request.body, dict(request.headers)
                )
                with connection.getresponse() as answer:
                    body = answer.read(ANSWER_BYTES + 1)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PolicyError(
                ReasonCode.POLICY_UNREACHABLE,
                f"{server} cannot be reached: {reason}; check that it runs and its URL",
            ) from error
        except http.client.HTTPException as error:
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"{server} broke off its answer ({type(error).__name__}); see its log",
            ) from error
        finally:
            connection.close()
        if len(body) > ANSWER_BYTES:
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"{server} gave an answer of more than {ANSWER_BYTES} bytes; check its URL",
            )
        if 300 <= answer.status < 400:
            target = answer.getheader("Location", "nowhere")[:_SHOWN_CHARACTERS]
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"{server} redirects to {target}, which is not followed; name the server that "
                "decides",
            )
        response = requests.Response()
        response.status_code = answer.status
        response.reason = answer.reason
        response.headers = CaseInsensitiveDict(answer.headers.items())
        response.raw = io.BytesIO(body)
        response.encoding = "utf-8"
        response.url, response.request = request.url, request
        return response

    def close(self) -> None:
        """Nothing is kept between requests."""

    @contextmanager
    def _bounded(self, connection: socket.socket, server: str) -> Iterator[None]:
        """Cut the connection when time is up: a timeout of a socket starts anew at every byte."""
        expired = threading.Event()

        def cut() -> None:
            expired.set()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._seconds, cut)
        timer.daemon = True
        timer.start()
        late = PolicyError(
            ReasonCode.POLICY_TIMEOUT,
            f"{server} did not decide within {self._seconds:g} seconds; simplify its policy or "
            "raise the limit 'policy_seconds'",
        )
        try:
            yield
        except TimeoutError as error:
            raise late from error
        except (OSError, http.client.HTTPException) as error:
            if expired.is_set():
                raise late from error
            raise
        finally:
            timer.cancel()
        if expired.is_set():
            raise late
