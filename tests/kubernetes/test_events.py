"""Events are written beside admission, which waits for none of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, cast

from oms_gate.reason_codes import ReasonCode
from oms_gate.server.cluster import Cluster
from oms_gate.server.events import EventWriter
from oms_gate.server.findings import Review
from oms_gate.server.review import ReviewRequest
from oms_gate.verdict import Reason


class Slow:
    """An API server that does not answer until it is told to."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.written: list[Mapping[str, Any]] = []

    def create_event(self, _: str, event: Mapping[str, Any]) -> None:
        assert self.release.wait(20)
        self.written.append(event)


def denied(name: str) -> Review:
    request = ReviewRequest(
        uid="1",
        group="",
        version="v1",
        kind="Pod",
        subresource="",
        operation="CREATE",
        namespace="here",
        name=name,
        user="me",
        groups=(),
        dry_run=False,
        item={"metadata": {"name": name}},
        old=None,
    )
    reason = Reason(code=ReasonCode.POD_CHANGED, message="it is\x1b[31m not")
    return Review(request, problems=[reason])


def test_nobody_waits_for_an_api_server_that_does_not_answer() -> None:
    slow = Slow()
    writer = EventWriter(cast("Cluster", slow), "one")
    writer.start()
    started = time.monotonic()
    for number in range(1000):
        writer.note(denied(f"pod-{number}"))
    writer.stop()
    assert time.monotonic() - started < 5
    slow.release.set()


def test_what_was_said_a_moment_ago_is_not_said_again() -> None:
    slow = Slow()
    slow.release.set()
    writer = EventWriter(cast("Cluster", slow), "one")
    writer.start()
    for name in ("a", "a", "b", "a"):
        writer.note(denied(name))
    deadline = time.monotonic() + 10
    while len(slow.written) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    writer.stop()
    assert [event["involvedObject"]["name"] for event in slow.written] == ["a", "b"]
    assert "\\x1b" in slow.written[0]["message"]
