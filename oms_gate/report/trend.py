"""How many verdicts there were when, and a chart of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

OutcomeWord = Literal["admitted", "denied", "undecided"]
OUTCOMES: Final[tuple[OutcomeWord, ...]] = ("admitted", "denied", "undecided")

# Most bars of the chart, by what each stands for; of years, the last so many.
_BARS: Final = {"hour": 72, "day": 93, "month": 96, "year": 100}
_KEPT: Final = 4096
_START: Final[dict[str, Callable[[datetime], datetime]]] = {
    "hour": lambda time: time.replace(minute=0, second=0, microsecond=0),
    "day": lambda time: time.replace(hour=0, minute=0, second=0, microsecond=0),
    "month": lambda time: time.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    "year": lambda time: time.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0),
}
_UNITS: Final = tuple(_BARS)
_FORMAT: Final = {"hour": "%m-%d %H:00", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


class Bar(NamedTuple):
    """The verdicts of one hour, day, month or year (UTC)."""

    label: str
    admitted: int = 0
    denied: int = 0
    undecided: int = 0

    @property
    def total(self) -> int:
        """How many there were."""
        return self.admitted + self.denied + self.undecided


class Shown(NamedTuple):
    """What can be seen of a trend.

    unit: what a bar stands for.
    bars: from the first to the last, empty ones included.
    earlier, to_come: verdicts that are not in them: from before the first, and from hours (or
        whatever they were counted by) that had not begun.
    """

    unit: str
    bars: list[Bar]
    earlier: int
    to_come: int

    @property
    def left_out(self) -> list[str]:
        """A sentence on each kind of verdicts that are not in the bars."""
        found = []
        if self.earlier:
            be = "verdict is" if self.earlier == 1 else "verdicts are"
            found.append(f"{self.earlier:,} {be} from before {self.bars[0].label}, and not shown.")
        if self.to_come:
            be = "verdict is of a time" if self.to_come == 1 else "verdicts are of times"
            found.append(f"{self.to_come:,} {be} to come, and not shown.")
        return found


class Trend:
    """Counts by time, in bounded memory: by the hour as long as there are few hours."""

    def __init__(self) -> None:
        self._unit = 0
        self._counts: dict[datetime, list[int]] = {}

    def add(self, time: datetime, outcome: OutcomeWord) -> None:
        """Count one verdict."""
        start = _START[_UNITS[self._unit]](time.astimezone(UTC))
        counts = self._counts.setdefault(start, [0, 0, 0])
        counts[OUTCOMES.index(outcome)] += 1
        if len(self._counts) > _KEPT and self._unit + 1 < len(_UNITS):
            self._unit += 1
            self._counts = _coarser(self._counts, _UNITS[self._unit])

    def shown(self, now: datetime) -> Shown:
        """The bars as of a time: one verdict of a wrong time would push all others out of them."""
        number = self._unit
        counts = {start: each for start, each in self._counts.items() if start <= now}
        to_come = _total(self._counts) - _total(counts)
        while counts:
            unit = _UNITS[number]
            starts = _steps(min(counts), max(counts), unit, _BARS[unit] + 1)
            if len(starts) <= _BARS[unit] or unit == _UNITS[-1]:
                bars = [
                    Bar(f"{start:{_FORMAT[unit]}}", *counts.get(start, (0, 0, 0)))
                    for start in starts[-_BARS[unit] :]
                ]
                return Shown(unit, bars, _total(counts) - sum(bar.total for bar in bars), to_come)
            number += 1
            counts = _coarser(counts, _UNITS[number])
        return Shown(_UNITS[number], [], 0, to_come)


def _total(counts: Mapping[datetime, Sequence[int]]) -> int:
    return sum(map(sum, counts.values()))


def _coarser(counts: Mapping[datetime, Sequence[int]], unit: str) -> dict[datetime, list[int]]:
    found: dict[datetime, list[int]] = {}
    for start, each in counts.items():
        whole = found.setdefault(_START[unit](start), [0, 0, 0])
        for index, count in enumerate(each):
            whole[index] += count
    return found


def _steps(first: datetime, last: datetime, unit: str, most: int) -> list[datetime]:
    """The starts from the first to the last, or the last so many of them."""
    starts = [last]
    while starts[-1] > first and len(starts) < most:
        starts.append(_START[unit](starts[-1] - timedelta(microseconds=1)))
    return starts[::-1]


class Segment(NamedTuple):
    """A part of a bar in the drawing, in its units."""

    outcome: OutcomeWord
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Chart:
    """A chart of bars, stacked by outcome, as numbers for an SVG element.

    ticks: of the vertical axis, labels: below the bars; each with its place.
    """

    width: float
    height: float
    left: float
    bottom: float
    ticks: tuple[tuple[int, float], ...]
    labels: tuple[tuple[str, float], ...]
    segments: tuple[Segment, ...]


def chart(bars: Sequence[Bar], *, width: float = 960, height: float = 220) -> Chart:
    """Draw bars, of which there is at least one."""
    left, top, bottom = 44.0, 10.0, height - 26.0
    step = _nice(max(bar.total for bar in bars) / 4)
    steps = max(1, math.ceil(max(bar.total for bar in bars) / step))
    scale = (bottom - top) / (steps * step)
    place = (width - left) / len(bars)
    wide = min(place * 0.76, 48.0)
    segments = []
    for index, bar in enumerate(bars):
        x, y = left + index * place + (place - wide) / 2, bottom
        for outcome in OUTCOMES:
            if count := getattr(bar, outcome):
                high = round(count * scale, 2)
                y -= high
                title = f"{bar.label}: {count} {outcome}"
                segments.append(
                    Segment(outcome, round(x, 2), round(y, 2), round(wide, 2), high, title)
                )
    shown = range(0, len(bars), max(1, math.ceil(len(bars) * 84 / (width - left))))
    return Chart(
        width=width,
        height=height,
        left=left,
        bottom=bottom,
        ticks=tuple((n * step, round(bottom - n * step * scale, 2)) for n in range(steps + 1)),
        labels=tuple((bars[at].label, round(left + (at + 0.5) * place, 2)) for at in shown),
        segments=tuple(segments),
    )


def _nice(size: float) -> int:
    """The least of 1, 2, 5, 10, 20, 50, ... that is as large."""
    power = int(10 ** math.floor(math.log10(max(size, 1))))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= size)
