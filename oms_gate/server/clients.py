"""Who asks: the clients that the configuration names, known by a token or by a certificate."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from cryptography import x509

from oms_gate.config import load_config
from oms_gate.errors import ConfigError, SignatureError
from oms_gate.following import Following
from oms_gate.gate import Gate
from oms_gate.oms.certificate import identity_of
from oms_gate.operator_files import read_secret
from oms_gate.policy.globs import covers
from oms_gate.reference import Reference
from oms_gate.reload import Followed, files_state
from oms_gate.service_settings import ApiClient, ApiSettings

Held = Callable[[], AbstractContextManager[Gate]]
"""Gives a gate as it is now, until the block ends."""

# Of what people and programs send; what is longer is no token.
_LONGEST_AUTHORIZATION: Final = 4096
_SHORTEST_TOKEN: Final = 16
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)
# RFC 6750 and RFC 7617.
_AUTHORIZATION = re.compile(rf"(bearer|basic) +({_TOKEN.pattern})", re.ASCII | re.IGNORECASE)


class UnknownClientError(Exception):
    """Nobody who may ask; the sentence says what to do."""


@dataclass(frozen=True)
class Caller:
    """A client that is known.

    held: gives the gate that decides what it asks.
    """

    settings: ApiClient
    held: Held

    @property
    def name(self) -> str:
        """Of the client, and of its tenant."""
        return self.settings.name

    @property
    def sees(self) -> str | None:
        """The tenant whose verdicts it sees; None for all."""
        return None if self.settings.operator else self.name

    def may_ask_about(self, reference: Reference) -> bool:
        """Whether the operator lets it ask about a model."""
        models = self.settings.models
        return models is None or any(covers(glob, reference.name) for glob in models)


class Clients:
    """The clients of a configuration; they follow it, and their files.

    A client that is taken out of the configuration, and a token that is taken out of its file, is
    unknown within ``limits.reload_seconds``.
    """

    def __init__(self, file: Path, held: Held) -> None:
        """
        file: the configuration.
        held: gives the gate for clients that have no configuration of their own.

        Raises:
            ConfigError: it, or a file that it names, cannot be used.
        """
        self._file = file
        self._held = held
        self._gates: dict[Path, Following[Gate]] = {}
        config = load_config(file)
        self._token_files = _token_files(config.api)
        self._followed = Followed(
            self._read,
            lambda: files_state([file, *self._token_files]),
            f"who may ask, which {file} says,",
            seconds=config.limits.reload_seconds,
        )

    def who(self, request: web.Request) -> Caller | None:
        """Who sent a request; None where nobody may ask at all. It may take a moment.

        A token that is given counts alone; without one, the certificate does.

        Raises:
            UnknownClientError: it is nobody who is known.
        """
        known = self._followed.now()
        if not known:
            return None
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if len(given) > 1:
            raise UnknownClientError("the request has more than one Authorization; send one")
        found = _by_token(known, given[0]) if given else _by_certificate(known, request)
        if found is None:
            raise UnknownClientError(
                "no client of the gate is known by this token or certificate; ask its operator for "
                "one (api.clients in gate.yaml)"
            )
        return found

    def _read(self) -> tuple[_Known, ...]:
        settings = load_config(self._file).api
        files = _token_files(settings)
        known = tuple(
            _Known(Caller(client, self._gate(client)), _digests(client))
            for client in settings.clients
        )
        every = [digest for one in known for digest in one.digests]
        if len(set(every)) < len(every):
            raise ConfigError("two clients of the API have the same token; give each its own")
        self._token_files = files
        return known

    def _gate(self, client: ApiClient) -> Held:
        if client.config is None:
            return self._held
        if client.config not in self._gates:
            self._gates[client.config] = Following(client.config, Gate.from_config)
        return self._gates[client.config].held


@dataclass(frozen=True)
class _Known:
    """A client, and the SHA-256 of each of its tokens."""

    caller: Caller
    digests: tuple[bytes, ...]


def _token_files(settings: ApiSettings) -> list[Path]:
    return [client.token_file for client in settings.clients if client.token_file is not None]


def _digests(client: ApiClient) -> tuple[bytes, ...]:
    digests = [bytes.fromhex(digest) for digest in client.token_sha256]
    if client.token_file is not None:
        what = f"the file with the tokens of the client {client.name},"
        content = read_secret(client.token_file, what)
        tokens = content.decode("ascii", "replace").split()
        if not tokens or not all(map(_is_token, tokens)):
            raise ConfigError(
                f"{what} {client.token_file} must have one token a line, each of at least "
                f"{_SHORTEST_TOKEN} of the characters that a bearer token can have; make one with "
                "openssl rand -hex 32"
            )
        digests += [hashlib.sha256(token.encode()).digest() for token in tokens]
    return tuple(digests)


def _is_token(text: str) -> bool:
    return len(text) >= _SHORTEST_TOKEN and _TOKEN.fullmatch(text) is not None


def _by_token(known: Iterable[_Known], authorization: str) -> Caller | None:
    """Whose token it is, by ``Bearer``, or by ``Basic`` with the client's name."""
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None or len(authorization) > _LONGEST_AUTHORIZATION:
        return None
    scheme, token, user = match[1].lower(), match[2], None
    if scheme == "basic":
        try:
            user, _, token = base64.b64decode(token, validate=True).decode().partition(":")
        except ValueError:
            return None
    digest = hashlib.sha256(token.encode()).digest()
    found = None
    for one in known:
        for own in one.digests:  # All of them, so that the time tells nothing.
            if hmac.compare_digest(own, digest) and user in (None, one.caller.name):
                found = one.caller
    return found


def _by_certificate(known: Iterable[_Known], request: web.Request) -> Caller | None:
    """Whose certificate it is that the TLS layer verified."""
    transport = request.transport
    if transport is None or not transport.get_extra_info("peercert"):
        return None
    tls = transport.get_extra_info("ssl_object")
    try:
        identity, _ = identity_of(x509.load_der_x509_certificate(tls.getpeercert(True)))
    except (SignatureError, ValueError):
        return None
    callers = (one.caller for one in known)
    return next((c for c in callers if c.settings.certificate == identity), None)
