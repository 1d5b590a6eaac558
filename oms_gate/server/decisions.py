"""Verdicts on models, without a wait for those that were given a moment ago.

Many ask about the same model at once: it is checked once. A check that takes longer than somebody
can wait goes on, and its verdict is there for who asks next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.server.checks import BusyError, Checks, Key, checked, undecided
from oms_gate.verdict import Assurance, Reason, Verdict


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
        namespace: most checks for one namespace, at work or waiting.
        checks, waiting, remembered, admitted_seconds, denied_seconds: as of `Checks`.
        """
        self._checks = Checks(
            checks=checks,
            waiting=waiting,
            remembered=remembered,
            admitted_seconds=admitted_seconds,
            denied_seconds=denied_seconds,
        )
        self._most_of_one = namespace

    @property
    def running(self) -> int:
        """Checks that are at work or wait for their turn."""
        return self._checks.running

    async def decide(self, question: Question, seconds: float) -> Verdict:
        """The verdict on a model; a denial where there is none within this time."""
        reference = question.reference
        try:
            asked = self._checks.ask(
                question.key,
                question.namespace,
                self._most_of_one,
                lambda _: checked(reference, lambda: _admit(question)),
            )
        except BusyError as busy:
            return undecided(
                reference,
                Reason(
                    code=ReasonCode.GATE_BUSY,
                    message=f"the gate has {busy.running} checks at work, {busy.theirs} of them "
                    f"for the namespace {question.namespace}, so that of {reference.url} was not "
                    "begun; try again in a moment",
                ),
            )
        try:
            return await asyncio.wait_for(asyncio.shield(asked.verdict), max(seconds, 0))
        except TimeoutError:
            return undecided(
                reference,
                Reason(
                    code=ReasonCode.DEADLINE_EXCEEDED,
                    message=f"the check of {reference.url} takes longer than {seconds:.1f} "
                    "seconds; it goes on, so try again in a moment",
                ),
            )

    def close(self) -> None:
        """Begin no more checks, and wait for none."""
        self._checks.close()


def _admit(question: Question) -> Verdict:
    """Check one model, without its weights."""
    admission = question.gate().admit(
        question.reference, assurance=question.assurance, context=question.context
    )
    admission.snapshot.close()
    return admission.verdict
