"""A circuit breaker: a server that fails again and again is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from oms_gate.errors import PolicyError
from oms_gate.reason_codes import ReasonCode

# What says that the server is ill, rather than what it was asked.
_ILLNESS: Final = (ReasonCode.POLICY_UNREACHABLE, ReasonCode.POLICY_TIMEOUT)


class Breaker:
    """Counts failures in a row. Safe for use by several threads."""

    def __init__(self, server: str, failures: int, seconds: float) -> None:
        """
        server: what messages call it.
        failures: as many in a row open the circuit.
        seconds: how long it is open; then one question at a time is let through, until one is
            answered.
        """
        self._server = server
        self._most = failures
        self._seconds = seconds
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self._lock = threading.Lock()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let a question through, and note how it ended.

        Raises:
            PolicyError: POLICY_CIRCUIT_OPEN, none is let through.
        """
        probing = self._enter()
        ill = False
        try:
            yield
        except PolicyError as error:
            ill = error.reason.code in _ILLNESS
            raise
        finally:
            self._leave(probing, ill)

    def _enter(self) -> bool:
        """Whether this is the one question that finds out how the server is."""
        with self._lock:
            if self._failures < self._most:
                return False
            left = self._until - time.monotonic()
            if left > 0 or self._probing:
                raise PolicyError(
                    ReasonCode.POLICY_CIRCUIT_OPEN,
                    f"{self._server} failed {self._failures} times in a row and is left alone for "
                    f"{max(left, 0):.0f} seconds more; see its log, and try again then",
                )
            self._probing = True
            return True

    def _leave(self, probing: bool, ill: bool) -> None:
        with self._lock:
            if probing:
                self._probing = False
            self._failures = self._failures + 1 if ill else 0
            if self._failures >= self._most:
                self._until = time.monotonic() + self._seconds
