"""Verdicts on models, without a wait for those that were given a moment ago.

Many ask about the same model at once: it is checked once. A check that takes longer than somebody
can wait goes on, and its verdict is there for who asks next.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from oms_gate import __version__
from oms_gate.errors import AdmissionDenied, ConfigError, UsageError, defect
from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import Assurance, Model, Reason, Verdict

Key = tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """What is asked about a model.

    key: of all that the answer depends on.
    namespace: who asks.
    gate: gives the gate that decides; it may take a moment.
    context: what the policy is told besides.
    """

    key: Key
    namespace: str
    gate: Callable[[], Gate]
    reference: Reference
    assurance: Assurance
    context: Mapping[str, JsonValue]


class Decisions:
    """The verdicts of a service. Used within one event loop."""

    def __init__(
        self,
        *,
        checks: int,
        waiting: int,
        namespace: int,
        remembered: int,
        admitted_seconds: float,
        denied_seconds: float,
    ) -> None:
        """
        checks: most checks at a time.
        waiting: most checks that wait for their turn.
        namespace: most checks for one namespace, at work or waiting.
        remembered: most verdicts that are kept.
        admitted_seconds, denied_seconds: how long a verdict is given again.
        """
        self._threads = ThreadPoolExecutor(checks, thread_name_prefix="oms-gate-check")
        self._most = checks + waiting
        self._remembered = remembered
        self._seconds = {True: admitted_seconds, False: denied_seconds}
        self._verdicts: OrderedDict[Key, tuple[float, Verdict]] = OrderedDict()
        self._running: dict[Key, asyncio.Task[Verdict]] = {}
        self._most_of_one = namespace
        self._of_namespace: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Checks that are at work or wait for their turn."""
        return len(self._running)

    async def decide(self, question: Question, seconds: float) -> Verdict:
        """The verdict on a model; a denial where there is none within this time."""
        known = self._verdicts.get(question.key)
        if known is not None and known[0] > time.monotonic():
            self._verdicts.move_to_end(question.key)
            return known[1]
        task = self._running.get(question.key)
        if task is None:
            theirs = self._of_namespace[question.namespace]
            if len(self._running) >= self._most or theirs >= self._most_of_one:
                return _undecided(
                    question.reference,
                    Reason(
                        code=ReasonCode.GATE_BUSY,
                        message=f"the gate has {len(self._running)} checks at work, {theirs} of "
                        f"them for the namespace {question.namespace}, so that of "
                        f"{question.reference.url} was not begun; try again in a moment",
                    ),
                )
            self._of_namespace[question.namespace] += 1
            task = asyncio.get_running_loop().create_task(self._checked(question))
            self._running[question.key] = task
        try:
            return await asyncio.wait_for(asyncio.shield(task), max(seconds, 0))
        except TimeoutError:
            return _undecided(
                question.reference,
                Reason(
                    code=ReasonCode.DEADLINE_EXCEEDED,
                    message=f"the check of {question.reference.url} takes longer than "
                    f"{seconds:.1f} seconds; it goes on, so try again in a moment",
                ),
            )

    async def _checked(self, question: Question) -> Verdict:
        loop = asyncio.get_running_loop()
        try:
            verdict = await loop.run_in_executor(self._threads, _check, question)
        finally:
            self._running.pop(question.key, None)
            self._of_namespace[question.namespace] -= 1
            self._of_namespace += Counter()  # without those that have none
        until = time.monotonic() + self._seconds[verdict.admitted]
        self._verdicts[question.key] = (until, verdict)
        while len(self._verdicts) > self._remembered:
            self._verdicts.popitem(last=False)
        return verdict

    def close(self) -> None:
        """Begin no more checks, and wait for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _check(question: Question) -> Verdict:
    """Check one model, without its weights. Never raises."""
    try:
        admission = question.gate().admit(
            question.reference, assurance=question.assurance, context=question.context
        )
    except AdmissionDenied as denial:
        return denial.verdict
    except (ConfigError, UsageError) as error:
        reason = Reason(
            code=ReasonCode.GATE_MISCONFIGURED,
            message=f"the gate cannot check {question.reference.url}: {error}",
        )
        return _undecided(question.reference, reason)
    except Exception as error:  # noqa: BLE001 - a defect must deny
        return _undecided(question.reference, defect(type(error).__name__))
    admission.snapshot.close()
    return admission.verdict


def _undecided(reference: Reference, reason: Reason) -> Verdict:
    return Verdict(
        outcome="denied",
        undecided=reason.code.undecided,
        model=Model(url=reference.url, name=reference.name),
        reasons=(reason,),
        checked_at=datetime.now(UTC),
        gate_version=__version__,
    )
