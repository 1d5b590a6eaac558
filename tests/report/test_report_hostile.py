"""Names come from strangers: in each format they are text, and nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oms_gate.report.document import document
from oms_gate.report.markdown import code, markdown
from oms_gate.report.page import page
from oms_gate.report.reading import LogState, Record
from oms_gate.report.report import Report, Source, Unchecked
from oms_gate.report.summary import Bounds, Summary
from oms_gate.report.table import COLUMNS, cell, table
from oms_gate.verdict import printable
from tests.report.verdicts import EVIL, NOW, full, record, records

_VOID: Final = {"meta", "link", "br", "img", "input", "hr"}


class WellFormed(HTMLParser):
    """Reads a page of which each element ends where it must."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def report(*found: Record, text: str = "t", **bounds: int) -> Report:
    summary = Summary(Bounds(**bounds))
    for each in found:
        summary.add(each)
    return Report(
        title=text,
        made_at=NOW,
        summary=summary,
        sources=[Source(text, "audit log", len(found))],
        logs=[LogState(text, True, None, 1, (text,))],
        unchecked=[Unchecked(1, text, text)],
    )


def assert_is_sound(made: str) -> WellFormed:
    """The page has no element, attribute and address but its own."""
    read = WellFormed(made)
    assert not read.elements & {"script", "img", "iframe", "object", "form", "b", "base"}
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert len(read.ids) == len(set(read.ids))
    own = {f"#{name}" for name in read.ids}
    assert set(read.links) <= own | {"data:,"}
    return read


@pytest.mark.parametrize("text", EVIL)
def test_a_page_shows_a_name_as_it_is(text: str) -> None:
    made = page(report(record(full(text), context={text: text}), text=text))
    assert printable(text) in assert_is_sound(made).text
    assert "\u202e" not in made


def test_a_page_lets_in_its_style_and_nothing_else() -> None:
    made = page(report(record(full(EVIL[0]))))
    (style,) = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'"Content-Security-Policy" content="([^"]*)"', made)
    assert html.unescape(policy).split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("text", EVIL)
def test_no_cell_is_a_formula(text: str) -> None:
    heading, row = csv.reader(io.StringIO(table(report(record(full(text)))), newline=""))
    assert heading == list(COLUMNS)
    assert len(row) == len(heading)
    assert not [cell for cell in row if cell.lstrip()[:1] in tuple("=+-@\uff1d")[:5] and cell]
    # What the gate has put in front of a text is all that was added.
    assert row[0].removeprefix("'") == printable(text)


def test_a_cell_has_no_control_character() -> None:
    """Not all that a verdict holds is text that was made printable."""
    assert cell("\x1b[2J\n\u202e=1") == r"\x1b[2J\n\u202e=1"
    assert cell("\t=1") == r"\t=1"
    assert cell("\u3000=1") == "'\u3000=1"


@pytest.mark.parametrize("text", EVIL)
def test_markdown_is_text(text: str) -> None:
    made = markdown(report(record(full(text)), text=text))
    lines = made.splitlines()
    assert [line for line in lines if re.match(r"#+ ", line)][1:] == [
        f"## {title}"
        for title in (
            "At a glance",
            "Needs attention",
            "Verdicts over time",
            "Why models were denied",
            "Who signs what",
            "All models",
        )
    ]
    for line in lines:
        outside = _without_code(line)
        assert not re.search(r"(?<!\\)[<\[]|(?<!\\)!\[", outside), line
    columns = [_cells(line) for line in lines if line.startswith("|")]
    assert set(columns) <= {2, 4, 7}


def _without_code(line: str) -> str:
    """A line without its code spans (CommonMark 6.1), in which nothing is markup."""
    return re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


def _cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_a_code_span_ends_where_it_should() -> None:
    assert code("a") == "`a`"
    assert code("a``b") == "```a``b```"
    assert code("`") == "`` ` ``"
    assert code("a|b") == "`a\\|b`"


@settings(max_examples=25)
@given(st.lists(records(), max_size=4), st.sampled_from(EVIL))
@example([], EVIL[0])
def test_any_verdicts_can_be_reported(found: Sequence[Record], text: str) -> None:
    made = report(*found, text=text, listed=2, verdicts=2, findings=2)
    assert_is_sound(page(made))
    rows = list(csv.reader(io.StringIO(table(made), newline="")))
    names = [row[0] for row in rows[1:]]
    assert len(names) == len({each.verdict.model.name for each in found})
    assert all(len(row) == len(COLUMNS) for row in rows)
    lines = markdown(made).split("\n")
    assert lines == [printable(line) for line in lines]
    assert document(made)["models"] == {"admitted": 0, "denied": 0, "undecided": 0, **made.states}
