"""Decides in the background about what has changed, and lets follow what is to follow from it."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock

from oms_gate.annotation.annotate import state
from oms_gate.annotation.examination import Examined, examine
from oms_gate.config import GateConfig
from oms_gate.errors import MeasureError, OmsGateError, StepError
from oms_gate.gate import Gate
from oms_gate.gateway.observer import Observer
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.server.clients import Held
from oms_gate.server.consequences import Consequences
from oms_gate.server.event_queue import Due, EventQueue
from oms_gate.stores.hub import HubStore
from oms_gate.verdict import Assurance, printable

_LOG = logging.getLogger(__name__)

# What is not there any more needs no verdict.
_GONE = (ReasonCode.STORE_NOT_FOUND, ReasonCode.STORE_REVISION_NOT_FOUND)


@dataclass(frozen=True, slots=True)
class _Known:
    """How a model was left after its last decision.

    tagged: whether its objects were tagged.
    """

    epoch: str
    state: str
    tagged: bool


class _TryAgainError(Exception):
    """Nothing could be decided, or be done about it, now; the text says why."""


class EventWorker:
    """What waits is in memory: a restart forgets it, and the next event of a model heals that.

    Used within one event loop.
    """

    def __init__(self, config: GateConfig, held: Held, observer: Observer) -> None:
        """
        held: gives the gate that decides.
        observer: told each verdict, in threads, before anything follows from it.

        Raises:
            ConfigError: what is to follow from a verdict cannot be done as it is configured.
        """
        self._events = config.events
        self._held = held
        self._observer = observer
        self._consequences = Consequences(config)
        self._queue = EventQueue(config.events.waiting)
        self._threads: ThreadPoolExecutor | None = None
        self._decisions: set[Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = Event()
        self._lock = Lock()
        self._known: OrderedDict[Reference, _Known] = OrderedDict()
        self._commits: set[Reference] = set()

    def __len__(self) -> int:
        """Models that wait."""
        return len(self._queue)

    @property
    def at_work(self) -> int:
        """Models that are being decided about."""
        return self._queue.at_work

    def start(self) -> None:
        """Begin to decide; within a running event loop."""
        count = self._events.workers
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="oms-gate-event")
        self._tasks = {asyncio.create_task(self._work()) for _ in range(count)}

    async def stop(self, seconds: float = 30) -> None:
        """End what is being decided, without a verdict, and forget what waits.

        seconds: how long to wait for what is being tagged, moved or reported.
        """
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = asyncio.gather(
            *(asyncio.wrap_future(decision) for decision in [*self._decisions]),
            return_exceptions=True,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(left, seconds)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._consequences.close()

    def put(self, changed: frozenset[Reference], settle: float, longest: float) -> bool:
        """Let models wait for their turn; False, and none of them waits, where they are too many.

        settle, longest: as of `EventQueue.add`.
        """
        if not self._queue.room_for(changed):
            return False
        for reference in changed:
            self._queue.add(reference, settle, longest)
        return True

    async def _work(self) -> None:
        assert self._threads is not None
        while True:
            due = await self._queue.take()
            decision = self._threads.submit(self._decide, due.reference)
            self._decisions.add(decision)
            decision.add_done_callback(self._decisions.discard)
            try:
                await asyncio.wrap_future(decision)
            except _TryAgainError as error:
                self._again(due, str(error))
            except Exception as error:  # noqa: BLE001 - the next one must have its turn
                if not isinstance(error, OmsGateError):
                    _LOG.exception("while deciding about %s", due.reference)
                self._again(due, str(error) or type(error).__name__)
            finally:
                self._queue.done(due.reference)

    def _again(self, due: Due, why: str) -> None:
        attempts = due.attempts + 1
        name = printable(due.reference.url)
        if attempts > self._events.retries:
            _LOG.error("%s is given up on until its next event: %s", name, printable(why))
            return
        seconds = self._events.retry_seconds * 2**due.attempts
        _LOG.warning("%s is tried again in %g seconds: %s", name, seconds, printable(why))
        self._queue.add(due.reference, seconds, attempts=attempts)

    def _decide(self, reference: Reference) -> None:
        """Decide about one model, in a thread."""
        with self._held() as held:
            gate = copy.copy(held)
            seconds = min(held.limits.total_seconds, self._events.decision_seconds)
            gate.limits = held.limits.model_copy(update={"total_seconds": seconds})
            if reference.scheme in S3_SCHEMES:
                self._decide_in_s3(gate, reference)
            else:
                self._decide_on_the_hub(gate, reference)

    def _decide_on_the_hub(self, gate: Gate, reference: Reference) -> None:
        try:
            commit = HubStore(gate.stores, gate.limits).resolve(reference)
        except StepError as error:
            if error.reason.code in _GONE:
                return
            raise
        with self._lock:
            # Two branches may be at one commit, and be pushed to at once.
            if commit in self._commits or self._remembers(commit, gate, ""):
                return
            self._commits.add(commit)
        try:
            examined = self._examined(gate, commit)
            if examined is None:
                return
            self._consequences.report(gate, examined, None)
            self._remember(commit, _Known(gate.epoch, "", tagged=False))
        finally:
            with self._lock:
                self._commits.discard(commit)

    def _decide_in_s3(self, gate: Gate, reference: Reference) -> None:
        known = self._known.get(reference)
        try:
            # To tag objects causes events, too.
            if known is not None and self._remembers(
                reference, gate, state(gate, reference, tagged=known.tagged)
            ):
                return
        except StepError as error:
            if error.reason.code in _GONE:
                return
        # What else there is to say about it, the verdict says.
        examined = self._examined(gate, reference)
        if examined is None:
            return
        outcome = self._consequences.on_objects(gate, examined)
        if examined.snapshot is not None:
            left = examined.state(tagged=outcome.tagged)
            self._remember(reference, _Known(gate.epoch, left, outcome.tagged))
        self._consequences.report(gate, examined, outcome.moved)

    def _examined(self, gate: Gate, reference: Reference) -> Examined | None:
        """The model, checked, and its verdict recorded; None where it is gone."""
        started = time.monotonic()
        examined = examine(
            gate,
            reference,
            assurance=Assurance(self._events.assurance),
            on_progress=lambda _: self._check_running(),
        )
        self._check_running()
        verdict = examined.verdict
        if verdict.undecided:
            if all(reason.code in _GONE for reason in verdict.reasons):
                return None
            raise _TryAgainError(verdict.reasons[0].message)
        self._observer.decided(verdict, time.monotonic() - started)
        return examined

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise MeasureError(
                ReasonCode.GATE_BUSY, "the gate is ending; its next start decides about this model"
            )

    def _remembers(self, reference: Reference, gate: Gate, now: str) -> bool:
        known = self._known.get(reference)
        return known is not None and (known.epoch, known.state) == (gate.epoch, now)

    def _remember(self, reference: Reference, known: _Known) -> None:
        with self._lock:
            self._known[reference] = known
            self._known.move_to_end(reference)
            while len(self._known) > self._events.decided:
                self._known.popitem(last=False)
