"""The tables of ``docs/interoperability.md``: each cell is what happened when it was tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.interop import keyless
from tests.interop.clients import rules
from tests.interop.features import FEATURES, Result, result_of
from tests.interop.keyless import SERVICES, Instance
from tests.interop.traps import TRAPS, refusals

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "interoperability.md"
COMMAND: Final = "make interop"
BEGIN: Final = f"<!-- What follows is made by `{COMMAND}`. -->"
END: Final = "<!-- What was made ends here. -->"


def made(folder: Path) -> str:
    """Sign and verify everything both ways in `folder`; the tables, with their markers."""
    with rules() as engine, Instance.running(folder / "instance") as instance:
        features = [
            (each.title, result_of(each, folder / f"feature {number}", engine), each.note)
            for number, each in enumerate(FEATURES)
        ]
        features += [
            (each.title, keyless.result_of(each, folder / each.title, instance), "")
            for each in SERVICES
        ]
        traps = [
            (each.title, *refusals(each, folder / f"trap {number}", engine), each.note)
            for number, each in enumerate(TRAPS)
        ]
    return "\n\n".join([BEGIN, _features(features), _traps(traps), END])


def written(document: str, tables: str) -> str:
    """The document with the tables in place of those between the markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} has lost the markers of its tables")
    return before + tables + after


def _features(rows: Iterable[tuple[str, Result, str]]) -> str:
    head = ("What is signed", "the reference verifies ours", "we verify the reference's", "")
    body = [(title, result.there.cell, result.here.cell, note) for title, result, note in rows]
    return "\n".join(_table(head, body))


def _traps(rows: Iterable[tuple[str, str | None, str | None, str]]) -> str:
    head = ("What is wrong, though validly signed", "the reference", "oms-gate", "")
    body = [(title, _said(there), _said(here), note) for title, there, here, note in rows]
    return "\n".join(_table(head, body))


def _said(refusal: str | None) -> str:
    return "accepts" if refusal is None else f"refuses: `{refusal}`"


def _table(head: Iterable[str], body: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(head)
    yield _line(columns)
    yield _line(["---"] * len(columns))
    for row in body:
        yield _line(row)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
