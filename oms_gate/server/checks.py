"""Checks that are run once, however many ask, and no more of them at a time than may be."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from oms_gate.errors import AdmissionDenied
from oms_gate.judging import pinned_model, unchecked, unexamined
from oms_gate.reference import Reference
from oms_gate.verdict import Reason, Verdict

Key = tuple[str, ...]


class BusyError(Exception):
    """A check was not begun: there are too many.

    running: checks at work or waiting; `theirs` of them for who asked.
    theirs_are_too_many: whether others could have had one begun.
    """

    def __init__(self, running: int, theirs: int, *, theirs_are_too_many: bool) -> None:
        super().__init__(f"{running} checks are at work, {theirs} of them for who asks")
        self.running = running
        self.theirs = theirs
        self.theirs_are_too_many = theirs_are_too_many


@dataclass(frozen=True)
class Asked:
    """A check that somebody asked for: its verdict is there, or will be.

    id: of the check, and of its verdict; nobody can guess it.
    begun: whether it was begun for who asked just now.
    """

    id: str
    verdict: asyncio.Future[Verdict]
    begun: bool


class Checks:
    """The checks of a service, and their verdicts for a while. Used within one event loop."""

    def __init__(
        self,
        *,
        checks: int,
        waiting: int,
        remembered: int,
        admitted_seconds: float,
        denied_seconds: float,
    ) -> None:
        """
        checks: most checks at a time.
        waiting: most checks that wait for their turn.
        remembered: most verdicts that are kept.
        admitted_seconds, denied_seconds: how long a verdict is given again.
        """
        self._threads = ThreadPoolExecutor(checks, thread_name_prefix="oms-gate-check")
        self._most = checks + waiting
        self._remembered = remembered
        self._seconds = {True: admitted_seconds, False: denied_seconds}
        self._known: OrderedDict[Key, tuple[float, Asked]] = OrderedDict()
        self._running: dict[Key, Asked] = {}
        self._of: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Checks that are at work or wait for their turn."""
        return len(self._running)

    def ask(self, key: Key, asker: str, most: int, check: Callable[[str], Verdict]) -> Asked:
        """The check of this key: one that was made a moment ago, that is at work, or a new one.

        asker: for whom it is; `most` checks at a time, at work or waiting.
        check: makes it, in a thread; is given its id, and never raises.

        Raises:
            BusyError: there are too many.
        """
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            self._known.move_to_end(key)
            return known[1]
        if (running := self._running.get(key)) is not None:
            return running
        theirs = self._of[asker]
        if len(self._running) >= self._most or theirs >= most:
            raise BusyError(len(self._running), theirs, theirs_are_too_many=theirs >= most)
        self._of[asker] += 1
        name = uuid4().hex
        verdict = asyncio.get_running_loop().create_task(self._checked(key, asker, name, check))
        self._running[key] = Asked(name, verdict, begun=False)
        return Asked(name, verdict, begun=True)

    async def _checked(
        self, key: Key, asker: str, name: str, check: Callable[[str], Verdict]
    ) -> Verdict:
        try:
            verdict = await asyncio.get_running_loop().run_in_executor(self._threads, check, name)
        finally:
            asked = self._running.pop(key)
            self._of[asker] -= 1
            self._of += Counter()  # without those that have none
        until = time.monotonic() + self._seconds[verdict.admitted]
        self._known[key] = (until, asked)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return verdict

    def close(self) -> None:
        """Begin no more checks, and wait for none; nobody gets a verdict of those at work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for asked in self._running.values():
            asked.verdict.cancel()


def checked(reference: Reference, check: Callable[[], Verdict]) -> Verdict:
    """What a check comes to, whatever it raises."""
    try:
        return check()
    except AdmissionDenied as denial:
        return denial.verdict
    except Exception as error:  # noqa: BLE001 - a defect must deny
        return undecided(reference, unchecked(reference, error))


def undecided(reference: Reference, reason: Reason) -> Verdict:
    """The denial of a model that was not looked at."""
    return unexamined(pinned_model(reference, None), reason)
