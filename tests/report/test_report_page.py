"""The page in a real browser, for everybody and on paper."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from oms_gate.report.page import page
from tests.corpus import needs_corpus
from tests.evidence.logs import GateKey
from tests.peers.chromium import Chromium, chromium
from tests.peers.hub import HubStandIn
from tests.report.corpus_report import PICTURE, corpus_log, corpus_page
from tests.report.test_report_hostile import report
from tests.report.verdicts import EVIL, full, record
from tests.test_corpus_verdicts import September2026

AXE = Path(__file__).parents[2] / ".tools" / "axe-core-4.14.1" / "axe.min.js"
RULES = "'wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'"

Work = Callable[[Chromium], Coroutine[Any, Any, None]]


def browse(html: str, folder: Path, work: Work) -> None:
    """Open a page from a file; the console stays quiet."""
    if chromium() is None:
        pytest.skip("there is no Chromium: run `make chromium`")
    file = folder / "report.html"
    file.write_text(html)

    async def all_of_it() -> None:
        async with Chromium() as browser:
            await browser.resize(1280)
            await browser.open(file.as_uri())
            await work(browser)
            assert browser.faults == []

    asyncio.run(all_of_it())


async def violations(browser: Chromium) -> list[str]:
    """What axe-core has against the page."""
    await browser.run(AXE.read_text())
    found: list[str] = await browser.run(
        f"axe.run(document, {{runOnly: [{RULES}]}}).then(found => found.violations.flatMap("
        "rule => rule.nodes.map(node => `${rule.id}: ${node.html}`)))"
    )
    return found


@needs_corpus
def test_the_report_of_the_corpus_can_be_used_by_everybody(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_gate.judging.datetime", September2026)
    key = GateKey(tmp_path)
    html = corpus_page(corpus_log(hub, tmp_path / "audit.jsonl", key), key, verdicts=2)
    assert "whole and signed" in html
    assert "13 of 22 models" in html
    if not AXE.exists():
        pytest.skip("there is no axe-core in .tools: run `make axe-core`")

    async def work(browser: Chromium) -> None:
        await browser.press("Tab")
        assert await browser.run("document.activeElement.className") == "skip"
        await browser.press("Enter")
        assert await browser.run("document.activeElement.id") == "main"
        headings = await browser.run(
            "[...document.querySelectorAll('h1, h2, h3, h4')].map(each => +each.tagName[1])"
        )
        assert headings.count(1) == 1
        assert headings.count(3) == 22
        assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
        for scheme in ("light", "dark"):
            await browser.prefer(scheme)
            assert await violations(browser) == []
            await browser.run(
                "document.querySelectorAll('details').forEach(each => each.open = true)"
            )
        await browser.resize(320)
        assert await browser.run("document.documentElement.scrollWidth") <= 320

    browse(html, tmp_path, work)


def test_names_of_strangers_do_nothing(tmp_path: Path) -> None:
    found = [record(full(text, 2), context={text: text}) for text in EVIL]

    async def work(browser: Chromium) -> None:
        assert await browser.run("document.title") == "t, a report of oms-gate"
        assert await browser.run("document.images.length + document.scripts.length") == 0
        # The style is let in, and no other: not even that of an attribute.
        await browser.run("document.body.setAttribute('style', 'margin-left: 77px')")
        assert await browser.run("getComputedStyle(document.body).marginLeft") != "77px"
        assert len(browser.faults) == 1
        assert "Content Security Policy" in browser.faults.pop()
        assert await browser.run("getComputedStyle(document.body).maxWidth") != "none"

    browse(page(report(*found)), tmp_path, work)


def test_all_of_it_is_on_paper(tmp_path: Path) -> None:
    found = [record(full(f"hf://acme/{number}"), line=number) for number in range(1, 4)]

    async def work(browser: Chromium) -> None:
        seen = "[...document.querySelectorAll('details dl')].map(each => each.checkVisibility())"
        assert True not in await browser.run(seen)
        await browser.prefer("dark", media="print")
        assert False not in await browser.run(seen)
        assert await browser.run("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        paper = await browser.printed()
        assert paper.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 2

    browse(page(report(*found)), tmp_path, work)


def test_the_picture_in_the_documentation_is_small() -> None:
    assert 50_000 < PICTURE.stat().st_size < 400_000
