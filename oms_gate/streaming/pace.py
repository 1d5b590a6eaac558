"""How many connections read at the same time: more for as long as that makes the whole faster."""

from __future__ import annotations

_FIRST = (2, 4)
_STEP_SECONDS = 0.25
# What twice as many connections must bring to be kept, as a ratio of rates.
_GAIN = 1.2
# Below this the work is of another kind, such as small files after the large ones.
_FALL = 0.5


class Pace:
    """A number of connections that follows what its last change brought.

    count: connections, at the moment; from 1 to `most`.
    """

    def __init__(self, most: int, transfers: int) -> None:
        """
        transfers: how many there are to share them, as a count. A single one is slowed down by
            more connections than are of use; several are not.
        """
        least, usual = _FIRST
        self.count = min(most, max(least, min(usual, transfers)))
        self._most = most
        self._fewer = self.count
        self._trying = True
        # Of work a second, before the trial that is under way or was the last.
        self._rate = 0.0
        self._since: tuple[float, float] | None = None

    def observe(self, now: float, work: float) -> None:
        """Adapt `count`.

        now: on any clock, in seconds.
        work: what was done since the beginning, in any unit.
        """
        if self._since is None:
            self._since = now, work
        seconds = now - self._since[0]
        if seconds < _STEP_SECONDS:
            return
        rate = (work - self._since[1]) / seconds
        self._since = now, work
        if rate < self._rate * _FALL or (self._trying and rate >= self._rate * _GAIN):
            self._rate, self._fewer = rate, self.count
            self.count = min(2 * self.count, self._most)
            self._trying = self.count > self._fewer
        elif self._trying:
            self.count, self._trying = self._fewer, False
