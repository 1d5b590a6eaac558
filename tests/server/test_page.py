"""The page with recent verdicts, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import __version__
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import (
    Assurance,
    Coverage,
    FileFact,
    Model,
    Reason,
    Signer,
    TrustRoot,
    Verdict,
)
from tests.peers.chromium import Chromium, chromium
from tests.peers.hub import HubStandIn
from tests.server.asking import TOKENS, Server, publish, serving, settings

AXE = Path(__file__).parents[2] / ".tools" / "axe-core-4.14.1" / "axe.min.js"
EVIL = "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">"
BIDI = "\u202etsrif"

Work = Callable[[Chromium], Coroutine[Any, Any, None]]


def browse(server: Server, work: Work, who: str = "ops", path: str = "/") -> None:
    """Log in to a page as people do, and go on from there; the console stays quiet."""
    if chromium() is None:
        pytest.skip("there is no Chromium: run `make chromium`")

    async def all_of_it() -> None:
        async with Chromium() as browser:
            await browser.resize(1280)
            await browser.open(server.url.replace("://", f"://{who}:{TOKENS[who]}@") + path)
            await work(browser)
            assert browser.faults == []

    asyncio.run(all_of_it())


async def violations(browser: Chromium) -> list[str]:
    """What axe-core has against the page."""
    if not AXE.exists():
        pytest.skip("there is no axe-core in .tools: run `make axe-core`")
    await browser.run(AXE.read_text())
    found: list[str] = await browser.run(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', "
        "'best-practice']}).then(found => found.violations.flatMap("
        "rule => rule.nodes.map(node => `${rule.id}: ${node.html}`)))"
    )
    return found


async def rows(browser: Chromium) -> list[str]:
    """The names of the models in the table."""
    found: list[str] = await browser.run(
        "[...document.querySelectorAll('tbody th')].map(cell => cell.innerText.split('@')[0])"
    )
    return [url.removeprefix("hf://acme/") for url in found]


def hostile(files: int) -> Verdict:
    """A denial with all that a verdict can have, named by somebody who means harm."""
    root = TrustRoot(name=EVIL, sha256="0" * 64)
    signer = Signer(
        method="certificate",
        identity=EVIL,
        issuer=BIDI,
        chain=(f"CN={EVIL}", "CN=root"),
        expired_at=datetime.now(UTC),
        claims={"run": EVIL},
        key_sha256="0" * 64,
        root=root,
    )
    many = tuple(FileFact(path=f"{EVIL}{number}", size=1, kind="code") for number in range(files))
    return Verdict(
        outcome="denied",
        mode="annotate",
        model=Model(url=f"hf://acme/{EVIL}{BIDI}", name=f"hf://acme/{EVIL}"),
        assurance=Assurance.SIGNATURE,
        reasons=tuple(
            Reason(code=ReasonCode.COVERAGE_UNSIGNED, message=f"{EVIL}{BIDI}", path=fact.path)
            for fact in many
        ),
        warnings=(Reason(code=ReasonCode.POLICY_DENIED, message=EVIL, policy_code=EVIL),),
        signer=signer,
        coverage=Coverage(signed=1, signed_bytes=1, unsigned=many, missing=(EVIL,)),
        annotations={EVIL: EVIL},
        checked_at=datetime.now(UTC),
        gate_version=__version__,
    )


def fill(server: Server, hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> None:
    """Have an admitted model, a denied one, and one that is not there."""
    publish(hub, key, "acme/good")
    publish(hub, key, "acme/bad", unsigned=True)
    for name in ("good", "bad", "none"):
        server.ask(f"hf://acme/{name}")


def test_the_page_can_be_used_by_everybody(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    with serving(settings(public_key), tmp_path) as api:
        fill(api, hub, key)
        name = api.verdicts.record(hostile(3), source="gateway")

        async def work(browser: Chromium) -> None:
            for path in ("/", f"/verdicts/{name}"):
                await browser.open(api.url + path)
                for scheme in ("light", "dark"):
                    await browser.prefer(scheme)
                    assert await violations(browser) == []
                await browser.resize(320)
                assert await browser.run("document.documentElement.scrollWidth") <= 320
                dark = await browser.run("getComputedStyle(document.body).backgroundColor")
                assert dark == "rgb(13, 17, 23)"

        browse(api, work)


def test_people_filter_and_follow(
    public_key: Path, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    with serving(settings(public_key, page_verdicts=2), tmp_path) as api:
        fill(api, hub, key)

        async def work(browser: Chromium) -> None:
            assert await rows(browser) == ["none", "bad"]
            await browser.follow("document.querySelector('nav a[rel=next]').click()")
            assert await rows(browser) == ["good"]
            await browser.follow("document.querySelector('nav a').click()")
            assert await rows(browser) == ["none", "bad"]
            await browser.run("document.querySelector('#reason').value = 'signature.missing'")
            await browser.run("document.querySelector('#model').value = 'hf://acme/*'")
            await browser.run("document.querySelector('#since').value = '2020-01-01'")
            await browser.follow("document.querySelector('button').click()")
            assert await rows(browser) == ["bad"]
            chosen = "['reason', 'model', 'since'].map(id => document.getElementById(id).value)"
            assert await browser.run(chosen) == ["signature.missing", "hf://acme/*", "2020-01-01"]
            await browser.follow("document.querySelector('tbody a').click()")
            heading = await browser.run("document.querySelector('h1').innerText")
            assert heading.startswith("hf://acme/bad@")
            text = await browser.run("document.body.innerText")
            assert "signature.missing" in text
            await browser.follow(
                "[...document.links].find(link => link.innerText.includes('JSON')).click()"
            )
            assert '"code":"signature.missing"' in await browser.run("document.body.innerText")

        browse(api, work, who="red")


def test_keys_are_enough(api: Server) -> None:
    async def work(browser: Chromium) -> None:
        await browser.press("Tab")
        assert await browser.run("document.activeElement.className") == "skip"
        shown = "getComputedStyle(document.activeElement).outlineStyle"
        assert await browser.run(shown) == "solid"
        await browser.press("Enter")
        assert await browser.run("document.activeElement.id") == "main"
        await browser.press("Tab")
        assert await browser.run("document.activeElement.id") == "model"

    browse(api, work)


def test_names_of_strangers_are_text_and_nothing_else(api: Server) -> None:
    name = api.verdicts.record(hostile(150), source="gateway")

    async def work(browser: Chromium) -> None:
        for path in (f"/verdicts/{name}", "/?source=gateway", f"/?model={EVIL}{BIDI}"):
            await browser.open(api.url + path)
            assert "evil" not in await browser.run("document.title.split('hf:')[0]")
            assert await browser.run("document.images.length + document.scripts.length") == 0
            whole = await browser.run("document.documentElement.outerHTML")
            assert "\u202e" not in whole
            assert "u202etsrif" in whole
        await browser.open(f"{api.url}/verdicts/{name}")
        text = await browser.run("document.body.innerText")
        assert EVIL in text
        assert text.count("And 50 more, in the JSON.") == 1  # and one that is folded

    browse(api, work)


@pytest.mark.parametrize("path", ["/", "/verdicts/page.css", f"/verdicts/{'0' * 32}", "/?x=1"])
@pytest.mark.parametrize("who", ["red", None])
def test_every_answer_has_the_headers_that_protect_it(
    api: Server, path: str, who: str | None
) -> None:
    answer = api.get(path, headers={} if who else {"Authorization": ""})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    if not path.endswith("css"):
        assert (answer.status_code == 401) is (who is None)
        assert answer.headers["Content-Type"].startswith("text/html")


def test_a_mistake_in_the_query_is_told(api: Server) -> None:
    answer = api.get("/?outcome=<b>maybe")
    assert answer.status_code == 422
    assert "outcome: Input should be" in answer.text
    assert "<b>" not in answer.text


def test_a_check_that_runs_is_shown(api: Server) -> None:
    api.verdicts.begin("b" * 32, "hf://acme/slow", source="api", tenant="red")
    answer = api.get(f"/verdicts/{'b' * 32}")
    assert answer.status_code == 200
    assert "is running since" in answer.text
