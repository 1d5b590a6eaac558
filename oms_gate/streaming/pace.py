"""How many connections read at the same time: more for as long as that makes the whole faster."""

from __future__ import annotations

_STEP_SECONDS = 0.2
_GROWTH = 2
# Whoever waits for less than this share of the time has enough.
_HUNGER = 0.25
# What so many times as many connections must bring to be kept, as a ratio of rates.
_GAIN = 1.1
# Below this the work is of another kind, such as small files after the large ones.
_FALL = 0.5


class Pace:
    """A number of connections that follows what its last change brought.

    count: connections, at the moment; from 1 to `most`.
    """

    def __init__(self, first: int, most: int) -> None:
        """Begin with `first` connections, or with `most` where that is less."""
        self.count = min(first, most)
        self._most = most
        # Before the trial that is under way: the count, and the work a second.
        self._trial: tuple[int, float] | None = None
        # At which rate more connections did not help.
        self._useless: float | None = None
        self._since: tuple[float, float, float] | None = None

    def observe(self, now: float, work: float, starved: float) -> None:
        """Adapt `count`.

        now: on any clock, in seconds.
        work: what was done since the beginning, in any unit.
        starved: for how long that had to wait for bytes, in seconds since the beginning.
        """
        if self._since is None:
            self._since = now, work, starved
        seconds = now - self._since[0]
        if seconds < _STEP_SECONDS:
            return
        rate = (work - self._since[1]) / seconds
        hungry = starved - self._since[2] > _HUNGER * seconds
        self._since = now, work, starved
        if self._trial is not None:
            (fewer, before), self._trial = self._trial, None
            if rate < before * _GAIN:
                self.count, self._useless = fewer, before
                return
            self._useless = None
        if hungry and (self._useless is None or rate < self._useless * _FALL):
            more = min(_GROWTH * self.count, self._most)
            if more > self.count:
                self._trial = self.count, rate
                self.count = more
