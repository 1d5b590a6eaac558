"""Secrets that are shared with who sends events: in files, and two at a time while one changes."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from oms_gate.errors import ConfigError
from oms_gate.operator_files import read_secret
from oms_gate.reload import Followed, files_state

_LEAST_BYTES: Final = 16


class SharedSecrets:
    """The secrets as the files have them now. Safe for use by several threads."""

    def __init__(self, files: Sequence[Path], what: str, seconds: float) -> None:
        """
        files: one or more, a secret in each; white space around it does not count.
        what: the secrets are, for messages.
        seconds: shortest time between two looks at the files.

        Raises:
            ConfigError: a file cannot be read, or its secret is too short to be one.
        """
        self._secrets = Followed(
            lambda: [_secret(file, what) for file in files],
            lambda: files_state(files),
            what,
            seconds=seconds,
        )

    def accepts(self, given: Sequence[str]) -> bool:
        """Whether what a request has is one of them, in a time that does not depend on it.

        given: every value of the header, as aiohttp gives it; there must be one.
        """
        if len(given) != 1:
            return False
        value = given[0].encode("utf-8", "surrogateescape")
        # All are compared, whichever it is.
        equal = [hmac.compare_digest(value, secret) for secret in self._secrets.now()]
        return any(equal)

    def newest(self) -> bytes:
        """The first of them, to sign with."""
        return self._secrets.now()[0]


def _secret(file: Path, what: str) -> bytes:
    secret = read_secret(file, what).strip()
    if len(secret) < _LEAST_BYTES:
        raise ConfigError(
            f"{what} {file} has {len(secret)} bytes, which can be guessed; give it at least "
            f"{_LEAST_BYTES} random ones (openssl rand -hex 32)"
        )
    return secret
