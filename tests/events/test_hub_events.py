"""Webhooks of the Hub: each new commit is decided about once, and reported once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from markdown_it import MarkdownIt

from oms_gate import Gate, ReasonCode
from oms_gate.annotation.examination import examine
from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError
from oms_gate.reference import Reference
from oms_gate.server.consequences import Consequences
from oms_gate.server.hub_report import plain, report_on_the_hub, report_text
from oms_gate.verdict import Reason
from tests import models
from tests.delivery.pulling import codes, gate_of, signed
from tests.events.receiving import SECRET, pushed, receiving
from tests.peers.faults import Status
from tests.peers.hub import HubStandIn
from tests.peers.wire import Origin, Request, Response

NAME = "acme/model"
SHA = "1" * 40
MAIN = ("refs/heads/main", SHA)


@pytest.fixture
def config(settings: dict[str, Any], secret: Path) -> dict[str, Any]:
    hub = {"secret_files": [str(secret)], "repositories": ["acme/*"]}
    return {**settings, "events": {"hub": hub, "retry_seconds": 0.05}}


@pytest.fixture
def gate(settings: dict[str, Any], hub: HubStandIn) -> Gate:
    return gate_of(settings).with_store_options("hf", {"token": hub.token})


def test_what_a_branch_names_is_asked_of_the_hub(
    hub: HubStandIn, gate: Gate, config: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    first = hub.create(NAME, files=signed(key))

    async def scenario() -> None:
        async with receiving(config, gate) as receiver:
            answer = await receiver.hub(pushed(NAME, MAIN, ("refs/heads/gone", SHA)))
            assert answer.status == 202
            assert await answer.json() == {"queued": 2}
            await receiver.idle()
            # The commit that the event names is nowhere, nor are its URLs asked.
            assert [verdict.model.revision for verdict in receiver.verdicts] == [first]
            assert receiver.verdicts[0].admitted
            assert receiver.verdicts[0].assurance == "bytes"
            hub.tag(NAME, "v1", first)
            await receiver.hub(pushed(NAME, MAIN, ("refs/tags/v1", SHA)))
            await receiver.idle()
            assert len(receiver.verdicts) == 1
            second = hub.commit(NAME, {"config.json": b'{"evil": 1}'})
            await receiver.hub(pushed(NAME, MAIN))
            await receiver.idle()
            assert receiver.verdicts[-1].model.revision == second
            assert codes(receiver.verdicts[-1]) == [ReasonCode.FILE_CHANGED]

    asyncio.run(scenario())


def test_two_branches_at_one_commit_are_one_decision(
    hub: HubStandIn, gate: Gate, config: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    first = hub.create(NAME, files=signed(key))
    names = [f"b{number}" for number in range(6)]
    for name in names:
        hub.branch(NAME, name, first)
    config["events"]["workers"] = 6

    async def scenario() -> None:
        async with receiving(config, gate) as receiver:
            await receiver.hub(pushed(NAME, *((f"refs/heads/{name}", SHA) for name in names)))
            await receiver.idle()
            assert len(receiver.verdicts) == 1

    asyncio.run(scenario())


def test_a_hub_that_is_down_is_asked_again(
    hub: HubStandIn, gate: Gate, config: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create(NAME, files=signed(key))
    hub.inject(Status(503), times=2)

    async def scenario() -> None:
        async with receiving(config, gate) as receiver:
            await receiver.hub(pushed(NAME, MAIN))
            await receiver.until(lambda: bool(receiver.verdicts))
            assert receiver.verdicts[0].admitted

    asyncio.run(scenario())


def test_a_denied_commit_is_reported_once(
    hub: HubStandIn, gate: Gate, config: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    files = {**signed(key), "config.json": b'{"evil": 1}'}
    denied = hub.create(NAME, files=files)
    config["events"]["reports"] = {"hub_discussion": True}

    async def scenario() -> None:
        for _ in range(2):  # As after a restart, when nobody remembers.
            async with receiving(config, gate) as receiver:
                await receiver.hub(pushed(NAME, MAIN))
                await receiver.idle()
                assert len(receiver.verdicts) == 1

    asyncio.run(scenario())
    (discussion,) = hub.discussions(NAME)
    assert discussion["title"] == f"oms-gate: commit {denied} is denied"
    assert "file\\.changed" in discussion["description"]
    assert "config\\.json" in discussion["description"]
    hub.commit(NAME, signed(key))
    asyncio.run(scenario())
    assert len(hub.discussions(NAME)) == 1


def test_a_stranger_cannot_keep_a_report_away(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Nor does it help them that there are many pages of discussions."""
    from huggingface_hub import HfApi

    denied = hub.create(NAME, files=signed(models.new_key()))
    title = f"oms-gate: commit {denied} is denied"
    stranger = HfApi(hub.endpoint, token=hub.state.outsider_token)
    stranger.create_discussion(NAME, title, description="all is well")
    reference = Reference.parse(f"hf://{NAME}@{denied}")
    examined = examine(gate, reference)
    assert report_on_the_hub(gate, examined)
    for number in range(25):
        stranger.create_discussion(NAME, f"{number}", description="noise")
    assert not report_on_the_hub(gate, examined)
    assert [one["author"]["name"] for one in hub.discussions(NAME)][:2] == ["outsider", "member"]


def test_a_report_that_fails_changes_no_verdict(
    hub: HubStandIn,
    gate: Gate,
    config: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.create(NAME, files=signed(models.new_key()))
    hub.inject(Status(403), "*/discussions", method="POST")
    config["events"]["reports"] = {"hub_discussion": True}

    async def scenario() -> None:
        async with receiving(config, gate) as receiver:
            await receiver.hub(pushed(NAME, MAIN))
            await receiver.idle()
            assert len(receiver.verdicts) == 1

    asyncio.run(scenario())
    assert "could not be reported" in caplog.text
    assert hub.token not in caplog.text


def test_what_strangers_wrote_is_text_in_a_report(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    denied = hub.create(NAME, files=signed(models.new_key()))
    verdict = examine(gate, Reference.parse(f"hf://{NAME}@{denied}")).verdict
    evil = "<img src=x> [a](https://evil.example) @everyone #1 `x` **b** \u202e\n# Title"
    text = report_text(
        verdict.with_findings(
            [Reason(code=ReasonCode.COVERAGE_UNSIGNED, message=evil)] * 12, [], {None}
        )
    )
    assert "@" not in text
    assert "\u202e" not in text
    assert "3 more like these" in text
    html = MarkdownIt("commonmark").render(text)
    tags = set(re.findall(r"</?([a-z0-9]+)", html))
    assert tags == {"p", "ul", "li", "code"}
    # Of which only the commit is code; and no address or number is one that the Hub would link.
    assert html.count("<code>") == 1
    assert "https\\:\\/\\/evil" in text
    assert "\\#1" in text
    assert plain("a_b (c)") == "a\\_b \\(c\\)"


@pytest.fixture
def listener() -> Any:
    """A server that takes webhooks."""
    got: list[tuple[dict[str, str], bytes]] = []
    answers: list[Response] = []

    def answer(request: Request) -> Response:
        got.append((dict(request.headers), request.read()))
        return answers.pop(0) if answers else Response.of(b"ok")

    origin = Origin("webhook", answer, lambda _: None)
    origin.start()
    yield origin, got, answers
    origin.stop()


def report(
    gate: Gate, settings: dict[str, Any], url: str, secret: Path, reference: str, **options: Any
) -> None:
    webhook = {"url": url, "secret_file": str(secret), **options}
    events = {"reports": {"webhook": webhook}, "retries": 2}
    consequences = Consequences(GateConfig.model_validate({**settings, "events": events}))
    try:
        consequences.report(gate, examine(gate, Reference.parse(reference)), None)
    finally:
        consequences.close()


def test_a_webhook_is_signed_and_sent_again(
    hub: HubStandIn,
    gate: Gate,
    settings: dict[str, Any],
    secret: Path,
    key: ec.EllipticCurvePrivateKey,
    listener: Any,
) -> None:
    origin, got, answers = listener
    hub.create(NAME, files=signed(models.new_key()))
    answers += [Response.of(b"", 503), Response.of(b"", 429), Response.of(b"", 204)]
    report(gate, settings, f"{origin.url}/hook?x=1", secret, f"hf://{NAME}")
    assert len(got) == 3
    headers, body = got[-1]
    stamp = headers["x-oms-gate-timestamp"]
    mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-oms-gate-signature"] == f"sha256={mac}"
    document = json.loads(body)
    assert document["event"] == "verdict"
    assert document["verdict"]["outcome"] == "denied"
    assert document["verdict"]["schema"] == "oms-gate/verdict/v1"
    # What is admitted is told on request.
    hub.commit(NAME, signed(key))
    report(gate, settings, origin.url, secret, f"hf://{NAME}")
    assert len(got) == 3
    report(gate, settings, origin.url, secret, f"hf://{NAME}", outcomes="all")
    assert len(got) == 4


def test_a_webhook_leads_nowhere_else(
    hub: HubStandIn,
    gate: Gate,
    settings: dict[str, Any],
    secret: Path,
    listener: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    origin, got, answers = listener
    hub.create(NAME, files=signed(models.new_key()))
    answers.append(Response(307, {"Location": f"{origin.url}/elsewhere"}))
    report(gate, settings, origin.url, secret, f"hf://{NAME}")
    assert len(got) == 1
    answers += [Response.of(b"", 400)]
    report(gate, settings, origin.url, secret, f"hf://{NAME}")
    assert len(got) == 2
    assert "HTTP 400" in caplog.text
    assert SECRET not in caplog.text
    # To an address inside the network only if the operator says so.
    inside = {**settings, "stores": {"private_hosts": []}}
    with pytest.raises(ConfigError, match="in the clear"):
        report(gate, inside, origin.url, secret, f"hf://{NAME}")
    report(gate, inside, origin.url.replace("http:", "https:"), secret, f"hf://{NAME}")
    assert "private address" in caplog.text
    assert len(got) == 2
