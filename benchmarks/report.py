"""Tables in Markdown, and their places in a document."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.trial import Candidate, Trials


@dataclass(frozen=True)
class Spread:
    """The median of some values, the least and the most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """That of these values."""
        known = sorted(values)
        return cls(statistics.median(known), known[0], known[-1])

    def text(self, digits: int) -> str:
        """As it stands in a table."""
        low, high = f"{self.low:.{digits}f}", f"{self.high:.{digits}f}"
        return f"{self.median:.{digits}f}" + ("" if low == high else f" ({low} to {high})")


@dataclass(frozen=True)
class Table:
    """Columns and rows; the first column is text, the others are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table, ending in a line break."""
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        return "".join(f"| {' | '.join(row)} |\n" for row in [self.columns, ruler, *self.rows])


@dataclass(frozen=True)
class Figure:
    """What the project has an aim for, or what compares two measurements; one value a round.

    at_least, at_most: the aim, where there is one.
    """

    label: str
    values: Sequence[float]
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 2

    def row(self) -> list[str]:
        """Label, values, aim, and whether the median reaches it."""
        spread = Spread.of(self.values)
        if self.at_least is not None:
            reached = spread.median >= self.at_least
            aim = [f"at least {self.at_least:g}", "yes" if reached else "no"]
        elif self.at_most is not None:
            reached = spread.median <= self.at_most
            aim = [f"at most {self.at_most:g}", "yes" if reached else "no"]
        else:
            aim = ["", ""]
        return [self.label, spread.text(self.digits), *aim]


def figures(rows: Iterable[Figure]) -> Table:
    """The table of these."""
    return Table(("", "measured", "aim", "reached"), [figure.row() for figure in rows])


def transfers(candidates: Mapping[str, Candidate], trials: Trials, *, served: bool = True) -> Table:
    """What each candidate took; a part of its work that it timed has a row of its own.

    served: whether there was a server.
    """
    rows = []
    for name, candidate in candidates.items():
        took = trials[name]
        megabytes = candidate.source.bytes / 1e6
        seconds = Spread.of(trial.seconds for trial in took)
        rows.append(
            [
                candidate.label,
                seconds.text(2),
                f"{megabytes / seconds.median:.0f}",
                Spread.of(trial.cpu_seconds for trial in took).text(2),
                *([Spread.of(trial.server_cpu_seconds for trial in took).text(2)] * served),
                f"{max(trial.peak_bytes for trial in took) / 1e6:.0f}",
            ]
        )
        for lap in took[0].laps:
            part = Spread.of(trial.laps[lap] for trial in took)
            rate = f"{megabytes / part.median:.0f}"
            rows.append([f"… of that: {lap}", part.text(2), rate, "", *([""] * served), ""])
    server = ["server CPU s"] * served
    return Table(("", "seconds", "MB/s", "CPU s", *server, "peak MB"), rows)


def seconds(trials: Trials, *names: str) -> list[float]:
    """Seconds of each round; of several candidates that have it, those of the fastest."""
    known = [[trial.seconds for trial in trials[name]] for name in names if name in trials]
    return [min(each) for each in zip(*known, strict=True)]


def peaks(trials: Trials, name: str) -> list[float]:
    """Most memory of each round, in MB."""
    return [trial.peak_bytes / 1e6 for trial in trials[name]]


def over(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Round by round, one measurement divided by another."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def replaced(document: str, name: str, text: str) -> str:
    """The document with other text between ``<!-- name -->`` and ``<!-- end of name -->``.

    Raises:
        ValueError: it has no such place.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    pattern = re.compile(re.escape(start) + r".*?" + re.escape(end), re.DOTALL)
    changed, count = pattern.subn(lambda _: f"{start}{text}{end}", document)
    if count != 1:
        raise ValueError(f"the document has {count} places for '{name}'")
    return changed
