"""Which models are admitted: each repository and commit is decided about once."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from oms_gate.cache import Cache, CachedModel
from oms_gate.errors import StepError, StoreError
from oms_gate.gate import Gate
from oms_gate.gateway.client import Client
from oms_gate.gateway.entries import Entry, entries
from oms_gate.gateway.flights import Flights
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.origins import Described, Origin
from oms_gate.gateway.paths import Repository
from oms_gate.gateway.recent import Recent
from oms_gate.gateway.shared_decisions import SharedDecisions
from oms_gate.gateway.turns import Turns
from oms_gate.judging import unchecked, unexamined
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.service_settings import GatewaySettings
from oms_gate.stores import Snapshot, open_store
from oms_gate.verdict import Reason, Verdict

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_CONTEXT: Final = {"operation": "proxy"}
# For many requests at once it is looked up once, as that takes a thread.
_EPOCH_SECONDS = 0.05


@dataclass(frozen=True)
class Decided:
    """What was decided about a repository at a commit, for clients that may read it.

    cache: where its files are; None where there is none.
    model: None where it is denied.
    unverified: its listing, where it is denied and let through.
    limits: of the gate that decided.
    age: how long ago another process has decided, in seconds.
    """

    described: Described
    verdict: Verdict
    cache: Cache | None
    model: CachedModel | None
    unverified: Snapshot | None
    limits: Limits
    age: float = 0.0

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

        def turns() -> Turns:
            return Turns(settings.checks, settings.waiting_checks, "oms-gate-check")

        # Of their own: to look at what may be seen takes no time, and a decision may.
        self._descriptions: Flights[Described] = Flights(turns())
        self._decisions: Flights[Decided] = Flights(turns())
        self._questions: Flights[Any] = Flights(turns())
        self._shared = SharedDecisions(folder, settings.denial_seconds)
        self._epochs: Flights[str] = Flights(Turns(1, 1, "oms-gate-epoch"))
        self._epoch: Recent[str] = Recent(1)
        self._seen: Recent[Described] = Recent(settings.models)
        self._decided: Recent[Decided] = Recent(settings.models)
        self._denied: Recent[Decided] = Recent(settings.models)

    async def find(
        self, repository: Repository, revision: str | None, client: Client
    ) -> tuple[Described, Decided]:
        """A repository at a revision, for a client that may read it, and what is decided about it.

        What the client gets is asked for with its own token; a denial alone is that of all who
        may read it.

        revision: None for the default branch.

        Raises:
            StepError: it may not read it, or there is none, or nobody knows.
            BusyError: too much is asked at the moment.
        """
        described = await self._describe(repository, revision, client)
        decided = await self._decide(described, client)
        if _is_changed(decided.verdict):
            # What it was a moment ago is not to be had any more.
            self._seen.drop(described)
            described = await self._describe(repository, revision, client)
            decided = await self._decide(described, client)
        return described, decided

    async def ask(self, what: Hashable, secret: str, client: Client, call: Callable[[], T]) -> T:
        """What else an origin says, within the same bounds; equal questions are asked once.

        what, secret: the question, and what of the client the answer depends on.

        Raises:
            StepError: it does not.
            BusyError: as `find`.
        """
        key = what, _digest(secret)
        answer: T = await self._questions.run(key, client.address, call, lambda _: None)
        return answer

    async def renew(self, decided: Decided, client: Client) -> Decided:
        """The same decision made anew, as files were removed that this one has handed out.

        Raises:
            BusyError: as `find`.
        """
        self._decided.drop(decided)
        return await self._decide(decided.described, client)

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
        self, repository: Repository, revision: str | None, client: Client
    ) -> Described:
        origin = next((each for each in self._origins if each.has(repository)), None)
        if origin is None:
            raise StepError(
                ReasonCode.STORE_NOT_FOUND,
                f"this gateway has no repository {repository.name}; see which it serves",
            )
        token = origin.token(repository, client.token)
        key = (repository, revision, _digest(token or ""))
        if (seen := self._seen.get(key)) is not None:
            return seen
        return await self._descriptions.run(
            key,
            client.address,
            lambda: origin.describe(repository, revision, token),
            lambda described: self._seen.put(key, described, self._settings.access_seconds),
        )

    async def _decide(self, described: Described, client: Client) -> Decided:
        content, own = await self._keys(described)
        known = self._known(content, own)
        self._observer.looked_up("decision", hit=known is not None)
        if known is not None:
            return known
        return await self._decisions.run(
            own,
            client.address,
            partial(self._check, described, content),
            partial(self._keep, content, own),
        )

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
            self._denied.put(content, decided, self._settings.denial_seconds - decided.age)

    async def _keys(self, described: Described) -> tuple[Hashable, Hashable]:
        """What stands for a repository at a commit: for all, and as one client's token opens it."""
        epoch = self._epoch.get(None) or await self._epochs.run(
            None, "", self._look, lambda epoch: self._epoch.put(None, epoch, _EPOCH_SECONDS)
        )
        content = (described.reference.url, described.commit, epoch)
        return content, (*content, _digest(described.access))

    def tidy(self) -> None:
        """Remove what is remembered in vain. It may take a moment."""
        self._shared.tidy()

    def close(self) -> None:
        """Begin no more checks, and wait for none."""
        self._descriptions.close()
        self._questions.close()
        self._decisions.close()
        self._epochs.close()

    def _look(self) -> str:
        """The gate's epoch."""
        with self._hold() as gate:
            return gate.epoch

    def _check(self, described: Described, content: Hashable) -> Decided:
        """
        Raises:
            ElsewhereError: somebody decides about the same at the moment, for another client or in
                another process: what that finds out is there for all then.
        """
        with self._hold() as gate:
            try:
                with self._shared.deciding(repr(content)) as known:
                    if known.denial is not None:
                        return _passed_on(described, known.denial, gate.limits, known.age)
                    if not known.is_admitted:
                        decided = self._checked(described, gate)
                        if decided.model is not None or decided.is_final:
                            known.record(decided.verdict)
                        return decided
            except OSError as error:
                _LOG.warning("decisions are not shared among processes: %s", error)
            return self._checked(described, gate)

    def _checked(self, described: Described, gate: Gate) -> Decided:
        started = time.monotonic()
        gate = gate.with_store_options(described.reference.scheme, described.options)
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
            verdict = gate.keep(unexamined(described.model, error.reason), _CONTEXT)
        except Exception as error:  # noqa: BLE001 - a defect must deny
            reason = unchecked(described.reference, error)
            verdict = gate.keep(unexamined(described.model, reason), _CONTEXT)
        self._observer.decided(verdict, time.monotonic() - started)
        return Decided(described, verdict, cache, model, unverified, gate.limits)


def _passed_on(described: Described, denial: Verdict, limits: Limits, age: float) -> Decided:
    """What another process has decided."""
    return Decided(described, denial, None, None, None, limits, age)


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
