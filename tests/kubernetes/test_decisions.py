"""Verdicts that many wait for: checked once, given in time, forgotten in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import ConfigError
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.server.decisions import Decisions, Question
from oms_gate.verdict import Assurance, Verdict
from tests.delivery.pulling import close_gates, gate_of, signed
from tests.peers.content import bytes_of


@pytest.fixture(scope="module", autouse=True)
def _gates() -> Iterator[None]:
    yield
    close_gates()


@pytest.fixture
def model(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    folder = tmp_path / "acme" / "model"
    for path, content in signed(key).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(bytes_of(content))
    return folder


@pytest.fixture
def gate(public_key: Path) -> Gate:
    signers = [{"method": "key", "key": "acme"}]
    return gate_of(
        {
            "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
            "publishers": [{"name": "Acme", "models": ["/**/acme/*"], "signers": signers}],
        }
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@contextmanager
def decisions(**options: Any) -> Iterator[Decisions]:
    given = {
        "namespace": 99,
        "checks": 2,
        "waiting": 2,
        "remembered": 10,
        "admitted_seconds": 60,
        "denied_seconds": 0,
    }
    made = Decisions(**given | options)
    try:
        yield made
    finally:
        made.close()


def question(
    gate: Callable[[], Gate], model: Path, key: str = "a", namespace: str = "mine"
) -> Question:
    return Question((key,), namespace, gate, Reference.parse(str(model)), Assurance.SIGNATURE, {})


class Slow:
    """Gives the gate once it is told to; counts how often it was asked."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.release = threading.Event()
        self.calls = 0

    def __call__(self) -> Gate:
        self.calls += 1
        assert self.release.wait(20)
        return self._gate


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def test_many_who_ask_at_once_are_answered_by_one_check(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        with decisions() as made:
            asked = [asyncio.create_task(made.decide(question(slow, model), 20)) for _ in range(50)]
            await asyncio.sleep(0.05)
            slow.release.set()
            verdicts = await asyncio.gather(*asked)
            assert all(verdict.admitted for verdict in verdicts)
            assert (await made.decide(question(slow, model), 20)).admitted
            assert slow.calls == 1

    run(work())


def test_a_check_that_takes_too_long_is_a_denial_and_goes_on(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        with decisions() as made:
            started = time.monotonic()
            verdict = await made.decide(question(slow, model), 0.1)
            assert time.monotonic() - started < 5
            assert codes(verdict) == [ReasonCode.DEADLINE_EXCEEDED]
            assert "try again" in verdict.reasons[0].message
            slow.release.set()
            assert (await made.decide(question(slow, model), 20)).admitted
            assert slow.calls == 1

    run(work())


def test_no_more_checks_wait_than_may(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        with decisions(checks=1, waiting=1) as made:
            asked = [
                asyncio.create_task(made.decide(question(slow, model, str(i)), 20))
                for i in range(3)
            ]
            await asyncio.sleep(0.05)
            assert codes(await asked[2]) == [ReasonCode.GATE_BUSY]
            slow.release.set()
            assert [(await one).admitted for one in asked] == [True, True, False]

    run(work())


def test_no_namespace_keeps_the_others_waiting(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        with decisions(checks=4, waiting=4, namespace=2) as made:

            def ask(key: str, namespace: str) -> asyncio.Task[Verdict]:
                asked = question(slow, model, key, namespace)
                return asyncio.create_task(made.decide(asked, 20))

            asked = [ask("1", "mine"), ask("2", "mine"), ask("3", "mine"), ask("4", "yours")]
            await asyncio.sleep(0.05)
            refused = await asked[2]
            assert codes(refused) == [ReasonCode.GATE_BUSY]
            assert "2 of them for the namespace mine" in refused.reasons[0].message
            slow.release.set()
            assert [(await one).admitted for one in asked] == [True, True, False, True]
            assert (await ask("3", "mine")).admitted

    run(work())


@pytest.mark.parametrize(("seconds", "calls"), [(60, 1), (0, 2)])
def test_a_denial_is_given_again_for_a_while(
    gate: Gate, tmp_path: Path, seconds: float, calls: int
) -> None:
    async def work() -> None:
        slow = Slow(gate)
        slow.release.set()
        with decisions(denied_seconds=seconds) as made:
            for _ in range(2):
                verdict = await made.decide(question(slow, tmp_path / "acme/none"), 20)
                assert codes(verdict) == [ReasonCode.STORE_NOT_FOUND]
            assert slow.calls == calls

    run(work())


def test_an_old_verdict_is_not_given_again(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        slow.release.set()
        with decisions(admitted_seconds=0) as made:
            for _ in range(2):
                assert (await made.decide(question(slow, model), 20)).admitted
            assert slow.calls == 2

    run(work())


def test_so_many_verdicts_are_remembered_and_no_more(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        slow.release.set()
        with decisions(remembered=2) as made:
            for name in ("a", "b", "a", "c", "a", "b"):
                assert (await made.decide(question(slow, model, name), 20)).admitted
            assert slow.calls == 4  # "b" was forgotten for "c", as "a" had been asked for since

    run(work())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("two roots"), ReasonCode.GATE_MISCONFIGURED),
        (RuntimeError("bug"), ReasonCode.INTERNAL_ERROR),
    ],
)
def test_a_gate_that_fails_denies(model: Path, error: Exception, code: ReasonCode) -> None:
    def gate() -> Gate:
        raise error

    async def work() -> None:
        with decisions() as made:
            assert codes(await made.decide(question(gate, model), 20)) == [code]

    run(work())


def test_what_is_remembered_is_the_questions_own(gate: Gate, model: Path) -> None:
    async def work() -> None:
        slow = Slow(gate)
        slow.release.set()
        with decisions() as made:
            assert (await made.decide(question(slow, model, "a"), 20)).admitted
            other = question(cast("Callable[[], Gate]", slow), model.parent / "none", "b")
            assert not (await made.decide(other, 20)).admitted

    run(work())
