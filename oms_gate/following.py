"""What a configuration describes, as its files are now: each version is used to its end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from oms_gate.config import GateConfig, load_config, policy_state
from oms_gate.reload import Followed, files_state


class Closing(Protocol):
    """What holds something until it is closed."""

    def close(self) -> None:
        """Release it."""


T = TypeVar("T", bound=Closing)


class Following(Generic[T]):
    """One after the other: each is closed when its last user is done. Safe for several threads."""

    def __init__(self, file: Path, make: Callable[[GateConfig], T]) -> None:
        """Make the first.

        make: gives what a configuration describes.

        Raises:
            ConfigError: with the place of each mistake.
        """
        self._file = file
        self._make = make
        self._config = load_config(file)
        self._users: Counter[T] = Counter()
        self._current: T | None = None
        self._counting = threading.Lock()
        limits = self._config.limits
        self._followed = Followed(
            self._renew,
            lambda: (files_state([file]), policy_state(self._config)),
            f"what {file} names",
            seconds=limits.reload_seconds,
            patience=limits.policy_seconds,
        )

    @contextmanager
    def held(self) -> Iterator[T]:
        """The newest one, open until the block ends."""
        self._followed.now()
        with self._counting:
            held = self._current
            assert held is not None
            self._users[held] += 1
        try:
            yield held
        finally:
            with self._counting:
                self._users[held] -= 1
                self._close_unused()

    def look(self) -> str | None:
        """Look now whether there is a newer one; why the one before is still used, if it is."""
        return self._followed.look()

    @property
    def mistake(self) -> str | None:
        """Why not the newest one is used; None where it is."""
        return self._followed.mistake

    def _renew(self) -> None:
        config = load_config(self._file)
        made = self._make(config)
        with self._counting:
            self._config, self._current = config, made
            self._users[made] = 0
            self._close_unused()

    def _close_unused(self) -> None:
        unused = [made for made, users in self._users.items() if not users]
        for made in unused:
            if made is not self._current:
                del self._users[made]
                made.close()
