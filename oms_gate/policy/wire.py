"""HTTP to one server: bounded in time and bytes, over connections that are kept.

What HTTP clients do by themselves is not wanted here: they follow redirects, wait for as long as
bytes trickle in, read an answer of any size, and obey proxies of the environment.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reload import Followed, files_state

_SHOWN_CHARACTERS: Final = 300
_IDLE_CONNECTIONS: Final = 8


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for TLS; each is read again when it changes.

    ca: authorities that vouch for the server; without, the system's.
    certificate, key: what the client shows; the key may be in the certificate's file.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What a server answered, to the end."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections to one server. Safe for use by several threads, and after a fork."""

    def __init__(
        self, url: str, tls: TlsFiles | None, *, server: str, limit: str, most_bytes: int
    ) -> None:
        """
        url: ``http[s]://host[:port]``, or ``unix://`` and the path of a socket.
        server: what messages call it.
        limit: what messages call the limit to raise where time is up.
        most_bytes: largest answer.

        Raises:
            ConfigError: a file for TLS cannot be used.
        """
        self._url = urlsplit(url)
        self._server = server
        self._limit = limit
        self._most_bytes = most_bytes
        self._context: Followed[ssl.SSLContext] | None = None
        tls = tls or TlsFiles()
        if self._url.scheme == "https":
            files = [path for path in (tls.ca, tls.certificate, tls.key) if path is not None]
            self._context = Followed(
                lambda: _context(tls, server), lambda: files_state(files), f"TLS for {server}"
            )
        self._process = os.getpid()
        self._idle: list[tuple[ssl.SSLContext | None, http.client.HTTPConnection]] = []

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | str | None = None,
        *,
        deadline: float,
    ) -> Answer:
        """Send one request, and read its answer to the end.

        deadline: of `time.monotonic`.

        Raises:
            PolicyError: POLICY_UNREACHABLE, POLICY_TIMEOUT, or POLICY_ERROR where the answer is
                a redirect, too large, or not HTTP.
        """
        while True:
            context = None if self._context is None else self._context.now()
            connection, used = self._connection(context, deadline)
            try:
                with self._bounded(connection.sock, deadline):
                    answer, stays = self._ask(connection, method, target, headers, body)
            except NoAnswerError:
                connection.close()
                if used:
                    continue  # The server let go of it meanwhile; of such there are few.
                raise
            except BaseException:
                connection.close()
                raise
            if stays and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append((context, connection))
            else:
                connection.close()
            self._check(answer)
            return answer

    def close(self) -> None:
        """Release the connections."""
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(
        self, context: ssl.SSLContext | None, deadline: float
    ) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        if self._process != os.getpid():
            # They are the parent's, who goes on with them; without a word they are closed here.
            self._process, idle, self._idle = os.getpid(), self._idle, []
            for _, theirs in idle:
                os.close(theirs.sock.detach())
        with suppress(IndexError):
            while True:
                known, connection = self._idle.pop()
                if known is context and _is_quiet(connection.sock):
                    return connection, True
                connection.close()
        connection = self._new(context, deadline)
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:
            connection.close()
            raise self._unreachable(error) from error
        return connection, False

    def _new(self, context: ssl.SSLContext | None, deadline: float) -> http.client.HTTPConnection:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise self._late()
        if self._url.scheme == "unix":
            return _UnixConnection(self._url.path, seconds)
        if context is not None:
            return http.client.HTTPSConnection(self._url.netloc, timeout=seconds, context=context)
        return http.client.HTTPConnection(self._url.netloc, timeout=seconds)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | str | None,
    ) -> tuple[Answer, bool]:
        """The answer, and whether the connection can be used again."""
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
        except TimeoutError:
            raise
        except OSError as error:
            raise self._unreachable(error) from error
        except http.client.HTTPException as error:
            raise self._broken(error) from error
        try:
            with response:
                content = response.read(self._most_bytes + 1)
                whole = response.isclosed() or not response.read(1)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        answer = Answer(response.status, response.reason, dict(response.headers), content)
        return answer, whole and not response.will_close

    def _check(self, answer: Answer) -> None:
        if len(answer.body) > self._most_bytes:
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"{self._server} gave an answer of more than {self._most_bytes} bytes; check its "
                "URL",
            )
        if 300 <= answer.status < 400 and answer.status != HTTPStatus.NOT_MODIFIED:
            target = answer.headers.get("Location", "nowhere")[:_SHOWN_CHARACTERS]
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"{self._server} redirects to {target}, which is not followed; name the server "
                "itself",
            )

    @contextmanager
    def _bounded(self, connection: socket.socket, deadline: float) -> Iterator[None]:
        """Cut the connection when time is up: a timeout of a socket starts anew at every byte."""
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise self._late()
        connection.settimeout(seconds)
        expired = threading.Event()

        def cut() -> None:
            expired.set()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except TimeoutError as error:
            raise self._late() from error
        except PolicyError as error:
            if expired.is_set():
                raise self._late() from error
            raise
        finally:
            timer.cancel()
        if expired.is_set():
            raise self._late()

    def _late(self) -> PolicyError:
        return PolicyError(
            ReasonCode.POLICY_TIMEOUT,
            f"{self._server} did not answer within the limit '{self._limit}'; raise it, or see "
            "what takes so long there",
        )

    def _broken(self, error: Exception) -> PolicyError:
        return PolicyError(
            ReasonCode.POLICY_ERROR,
            f"{self._server} broke off its answer ({type(error).__name__}); see its log",
        )

    def _unreachable(self, error: Exception) -> PolicyError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "that it runs and its URL"
        if isinstance(error, ssl.SSLError):
            hint = "its URL and certificate, and 'ca_file', 'cert_file' and 'key_file'"
        return NoAnswerError(
            ReasonCode.POLICY_UNREACHABLE,
            f"{self._server} cannot be reached: {reason}; check {hint}",
        )


class NoAnswerError(PolicyError):
    """There is not a byte of an answer: another attempt may get one."""


def _is_quiet(connection: socket.socket) -> bool:
    """Whether nothing has come unasked: an end, or what would pass for the next answer."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return not waiting.poll(0)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _context(tls: TlsFiles, server: str) -> ssl.SSLContext:
    what = f"{tls.ca} cannot be used as the authorities of {server}"
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            key = "the key in it" if tls.key is None else str(tls.key)
            what = f"{tls.certificate} and {key} cannot be used as the client of {server}"
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
    return context
