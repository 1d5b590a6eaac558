"""Which models are admitted: each repository and commit is decided about once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from oms_gate.cache import Cache, CachedModel
from oms_gate.errors import StepError, StoreError
from oms_gate.gate import Gate
from oms_gate.gateway.busy import BusyError
from oms_gate.gateway.entries import Entry, entries
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.origins import Described, Origin
from oms_gate.gateway.paths import Repository
from oms_gate.judging import unchecked, unexamined
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.service_settings import GatewaySettings
from oms_gate.stores import Snapshot, open_store
from oms_gate.verdict import Reason, Verdict

T = TypeVar("T")


@dataclass(frozen=True)
class Decided:
    """What was decided about a repository at a commit, for clients that may read it.

    cache: where its files are; None where there is none.
    model: None where it is denied.
    unverified: its listing, where it is denied and let through.
    limits: of the gate that decided.
    """

    described: Described
    verdict: Verdict
    cache: Cache | None
    model: CachedModel | None
    unverified: Snapshot | None
    limits: Limits

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The files that clients may have, by path."""
        return entries(self.model, self.unverified)

    @property
    def is_open(self) -> bool:
        """Whether clients get files: each with its own token."""
        return self.model is not None or self.unverified is not None

    @property
    def is_final(self) -> bool:
        """Whether it is denied to all alike, for a while: not by what the store is like now."""
        return not self.is_open and not self.verdict.is_passing


class Models:
    """The repositories of a gateway. Used within one event loop."""

    def __init__(
        self,
        settings: GatewaySettings,
        origins: tuple[Origin, ...],
        hold: Callable[[], AbstractContextManager[Gate]],
        folder: Path,
        observer: Observer,
    ) -> None:
        """
        hold: gives the gate as it is now, until the block ends.
        folder: below which each repository has a cache of its own: what a client gets of a
            repository never comes from another one, which the client might not see.
        """
        self._settings = settings
        self._origins = origins
        self._hold = hold
        self._folder = folder
        self._observer = observer
        most = settings.checks + settings.waiting_checks
        # Of their own: to look at what may be seen takes no time, and a decision may.
        self._descriptions: _Flights[Described] = _Flights(settings.checks, most)
        self._decisions: _Flights[Decided] = _Flights(settings.checks, most)
        self._questions: _Flights[Any] = _Flights(settings.checks, most)
        # Of each repository and commit, whose decision is the first.
        self._first: dict[Hashable, Hashable] = {}
        self._seen: _Recent[Described] = _Recent(settings.models)
        self._decided: _Recent[Decided] = _Recent(settings.models)
        self._denied: _Recent[Decided] = _Recent(settings.models)

    async def find(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> tuple[Described, Decided]:
        """A repository at a revision, for a client that may read it, and what is decided about it.

        What the client gets is asked for with its own token; a denial alone is that of all who
        may read it.

        revision: None for the default branch.
        token: the client's own.

        Raises:
            StepError: it may not read it, or there is none, or nobody knows.
            BusyError: too much is asked at the moment.
        """
        described = await self._describe(repository, revision, token)
        decided = await self._decide(described)
        if _is_changed(decided.verdict):
            # What it was a moment ago is not to be had any more.
            self._seen.drop(described)
            described = await self._describe(repository, revision, token)
            decided = await self._decide(described)
        return described, decided

    async def ask(self, what: Hashable, secret: str, call: Callable[[], T]) -> T:
        """What else an origin says, within the same bounds; equal questions are asked once.

        what, secret: the question, and what of the client the answer depends on.

        Raises:
            StepError: it does not.
            BusyError: as `find`.
        """
        answer: T = await self._questions.run((what, _digest(secret)), call, lambda _: None)
        return answer

    async def renew(self, decided: Decided) -> Decided:
        """The same decision made anew, as files were removed that this one has handed out.

        Raises:
            BusyError: as `find`.
        """
        self._decided.drop(decided)
        return await self._decide(decided.described)

    async def deny(self, decided: Decided, reason: Reason) -> Decided:
        """What is to be said of an admitted model of which a file is not, or cannot be had.

        Where it is not what was signed, all of it is denied for a while; else it is decided about
        anew at the next request.
        """
        assert decided.model is not None
        verdict = decided.model.admission.denied([reason]).verdict
        self._decided.drop(decided)
        unverified = decided.model.admission.snapshot if verdict.lets_through else None
        denied = replace(decided, verdict=verdict, model=None, unverified=unverified)
        if reason.code is ReasonCode.STORE_CHANGED:
            self._seen.drop(decided.described)
        if reason.code is ReasonCode.FILE_CHANGED:
            content, own = await self._keys(decided.described)
            if self._denied.get(content) is None:
                self._observer.decided(verdict, 0)
                self._keep(content, own, denied)
        return denied

    async def _describe(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> Described:
        origin = next((each for each in self._origins if each.has(repository)), None)
        if origin is None:
            raise StepError(
                ReasonCode.STORE_NOT_FOUND,
                f"this gateway has no repository {repository.name}; see which it serves",
            )
        token = origin.token(repository, token)
        key = (repository, revision, _digest(token or ""))
        if (seen := self._seen.get(key)) is not None:
            return seen
        return await self._descriptions.run(
            key,
            lambda: origin.describe(repository, revision, token),
            lambda described: self._seen.put(key, described, self._settings.access_seconds),
        )

    async def _decide(self, described: Described) -> Decided:
        content, own = await self._keys(described)
        known = self._known(content, own)
        self._observer.looked_up("decision", hit=known is not None)
        if known is not None:
            return known
        # Whoever asks with another token waits for the first one, too: what it finds out is there
        # for all then.
        first = self._first.setdefault(content, own)
        try:
            if first != own:
                await self._decisions.ended(first)
            return self._known(content, own) or await self._decisions.run(
                own, partial(self._check, described), partial(self._keep, content, own)
            )
        finally:
            if self._first.get(content) == own:
                del self._first[content]

    def _known(self, content: Hashable, own: Hashable) -> Decided | None:
        # A denial by somebody's transfer counts for those, too, who had none.
        return self._denied.get(content) or self._decided.get(own)

    def _keep(self, content: Hashable, own: Hashable, decided: Decided) -> None:
        """Give a decision again, if it may be."""
        if decided.is_open:
            admitted = decided.model is not None
            limits, settings = decided.limits, self._settings
            seconds = limits.decision_seconds if admitted else settings.denial_seconds
            self._decided.put(own, decided, seconds)
        elif decided.is_final:
            self._denied.put(content, decided, self._settings.denial_seconds)

    async def _keys(self, described: Described) -> tuple[Hashable, Hashable]:
        """What stands for a repository at a commit: for all, and as one client's token opens it."""
        epoch = await asyncio.to_thread(self._epoch)
        content = (described.reference.url, described.commit, epoch)
        return content, (*content, _digest(described.access))

    def close(self) -> None:
        """Begin no more checks, and wait for none."""
        self._descriptions.close()
        self._questions.close()
        self._decisions.close()

    def _epoch(self) -> str:
        with self._hold() as gate:
            return gate.epoch

    def _check(self, described: Described) -> Decided:
        started = time.monotonic()
        with self._hold() as held:
            gate = held.with_store_options(described.reference.scheme, described.options)
            cache = model = unverified = None
            try:
                cache = Cache(gate, self._folder / _name(described))
                outcome = cache.decide(gate, described.reference, operation="proxy")
                if isinstance(outcome, CachedModel):
                    _check_same(described, outcome.admission.snapshot)
                    model, verdict = outcome, outcome.verdict
                else:
                    verdict = outcome
                    if verdict.lets_through:
                        store = open_store(described.reference, gate.stores, gate.limits)
                        unverified = store.snapshot(described.reference)
                        _check_same(described, unverified)
            except StepError as error:
                unverified = None
                verdict = unexamined(described.model, error.reason)
            except Exception as error:  # noqa: BLE001 - a defect must deny
                verdict = unexamined(described.model, unchecked(described.reference, error))
            self._observer.decided(verdict, time.monotonic() - started)
            return Decided(described, verdict, cache, model, unverified, gate.limits)


class _Flights(Generic[T]):
    """Calls in threads: of equal ones, one at a time, whose result is that of all."""

    def __init__(self, threads: int, most: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="oms-gate-check")
        self._most = most
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def ended(self, key: Hashable) -> None:
        """Wait until a call has ended that is under way, if it is, whatever came of it."""
        if (task := self._running.get(key)) is not None:
            await asyncio.wait([task])

    async def run(self, key: Hashable, call: Callable[[], T], keep: Callable[[T], None]) -> T:
        """The result of a call.

        keep: remembers it, before an equal call can begin anew.

        Raises:
            BusyError: there are too many already.
            Exception: what the call raised.
        """
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= self._most:
                raise BusyError
            task = asyncio.get_running_loop().create_task(self._called(key, call, keep))
            self._running[key] = task
        # Who goes away must not take it from the others.
        return await asyncio.shield(task)

    async def _called(self, key: Hashable, call: Callable[[], T], keep: Callable[[T], None]) -> T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
            keep(result)
            return result
        finally:
            del self._running[key]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Recent(Generic[T]):
    """What was found out a moment ago, the most recently used so many of it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        until, found = self._found.get(key, (0.0, None))
        if time.monotonic() >= until:
            self._found.pop(key, None)
            return None
        self._found.move_to_end(key)
        return found

    def put(self, key: Hashable, found: T, seconds: float) -> None:
        self._found[key] = (time.monotonic() + seconds, found)
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            # Whoever has it still may be using it, so it is not closed.
            self._found.popitem(last=False)

    def drop(self, found: T) -> None:
        for key in [key for key, (_, each) in self._found.items() if each is found]:
            del self._found[key]


def _name(described: Described) -> str:
    """Of the folder of a repository's cache."""
    return _digest(described.reference.name)


def _digest(text: str) -> str:
    """What stands for a token among keys, and for a name among folders."""
    return hashlib.sha256(text.encode()).hexdigest()


def _is_changed(denied: Verdict) -> bool:
    return any(reason.code is ReasonCode.STORE_CHANGED for reason in denied.reasons)


def _check_same(described: Described, snapshot: Snapshot) -> None:
    """See that what was decided about is what was described to the client.

    Raises:
        StoreError: it was changed in between.
    """
    if described.origin.commit(snapshot) != described.commit:
        raise StoreError(
            ReasonCode.STORE_CHANGED,
            f"{described.repository.name} was changed after it was looked up, so nothing of it is "
            "given; try again",
        )
