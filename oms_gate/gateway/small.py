"""Small files: each is verified in memory as a whole, answered, and then put on the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable
from contextvars import Context
from functools import partial
from typing import Final, NamedTuple

from oms_gate.cache import CachedModel
from oms_gate.cache.layout import ARRIVALS, Layout
from oms_gate.errors import AdmissionDenied
from oms_gate.gateway.flights import Flights
from oms_gate.gateway.observer import Observer, Transfer, tell
from oms_gate.gateway.room import Room
from oms_gate.gateway.sending import FileDenied, NotYetError
from oms_gate.gateway.turns import BusyError, Turns
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode

_LOG = logging.getLogger(__name__)

SMALL_BYTES: Final = 64 * 1024
"""The largest small file. Of what is signed as one so little is never handed out in parts."""

# What is not on the disk yet is in memory; beyond this it is fetched again.
_MOST_BYTES: Final = 32 * MIB
# Clients want many at a time, and to keep one costs as much as to keep all of these.
_GATHERING_SECONDS: Final = 0.05


class _Content(NamedTuple):
    """What was found of a file, and whether the disk has it."""

    content: bytes
    is_kept: bool


class SmallFiles:
    """The small files of one process. Used within one event loop."""

    def __init__(self, turns: Turns, room: Room, observer: Observer, seconds: float) -> None:
        """
        turns: of transfers.
        seconds: longest wait for a content.
        """
        self._fetching: Flights[_Content] = Flights(turns)
        self._room = room
        self._observer = observer
        self._seconds = seconds
        self._unkept: dict[Hashable, bytes] = {}
        self._unkept_bytes = 0
        self._groups: dict[tuple[Layout, CachedModel], dict[str, bytes]] = {}
        self._keeping: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Keep nothing more."""
        if self._keeping is not None:
            self._keeping.cancel()

    async def content(self, layout: Layout, model: CachedModel, path: str, address: str) -> bytes:
        """All of a small signed file, verified.

        layout: where its model is.
        address: of who asks.

        Raises:
            BusyError, FileDenied, NotYetError: there is none.
        """
        content = self._unkept.get((layout.folder, model.content(path)))
        if content is None and model.was_present(path):
            content = await asyncio.to_thread(_present, model, path)
        self._observer.looked_up("file", hit=content is not None)
        if content is not None:
            return content
        try:
            async with asyncio.timeout(self._seconds):
                return await self._fetched(layout, model, path, address)
        except TimeoutError:
            raise NotYetError from None

    async def _fetched(self, layout: Layout, model: CachedModel, path: str, address: str) -> bytes:
        # What was signed is the same in commits of which one may have something else.
        key = layout.folder, model.content(path), model.declared(path)
        while True:
            is_others = self._fetching.has(key)
            try:
                found = await self._fetching.run(
                    key,
                    address,
                    partial(self._fetch, key, model, path),
                    partial(self._keep_later, layout, model, path),
                )
            except FileDenied as denied:
                # What another client's token does not open, this one's may.
                if not is_others or not denied.reason.code.of_store:
                    raise
            else:
                return found.content

    def _fetch(self, key: Hashable, model: CachedModel, path: str) -> _Content:
        """
        Raises:
            BusyError: nobody waited for it when its turn came.
            FileDenied: it is not what was signed, or cannot be had.
        """
        if not self._fetching.is_wanted(key):
            raise BusyError
        if (content := _stored(model, path)) is not None:
            return _Content(content, is_kept=True)
        started = time.monotonic()
        try:
            content = model.read(path)
        except AdmissionDenied as denied:
            reason = denied.verdict.reasons[0]
            self._tell(model, path, 0, started, reason.code)
            raise FileDenied(reason) from denied
        self._tell(model, path, len(content), started, None)
        return _Content(content, is_kept=False)

    def _tell(
        self, model: CachedModel, path: str, count: int, started: float, failure: ReasonCode | None
    ) -> None:
        seconds = time.monotonic() - started
        tell(self._observer, Transfer(model.reference.url, path, count, seconds, failure))

    def _keep_later(self, layout: Layout, model: CachedModel, path: str, found: _Content) -> None:
        size = self._unkept_bytes + len(found.content)
        if found.is_kept or size > _MOST_BYTES:
            return
        self._unkept_bytes = size
        self._unkept[layout.folder, model.content(path)] = found.content
        self._groups.setdefault((layout, model), {})[path] = found.content
        if self._keeping is None:
            # Of no request, as it works for those to come, too.
            work = self._keep()
            self._keeping = asyncio.get_running_loop().create_task(work, context=Context())

    async def _keep(self) -> None:
        """Put on the disk what came in the meantime, until nothing has."""
        while self._groups:
            await asyncio.sleep(_GATHERING_SECONDS)
            groups, self._groups = self._groups, {}
            for (layout, model), contents in groups.items():
                await asyncio.to_thread(self._put, layout, model, contents)
                for path, content in contents.items():
                    self._unkept.pop((layout.folder, model.content(path)), None)
                    self._unkept_bytes -= len(content)
        self._keeping = None

    def _put(self, layout: Layout, model: CachedModel, contents: dict[str, bytes]) -> None:
        # Nothing of it is on the disk yet, by whichever name.
        nothing = layout.folder / ARRIVALS / "small"
        try:
            with self._room.taken(nothing, sum(map(len, contents.values()))):
                model.keep(contents)
        except Exception as error:  # noqa: BLE001 - others are to be kept all the same
            _LOG.warning("small files of %s are not kept: %s", model.reference.url, error)


def _present(model: CachedModel, path: str) -> bytes | None:
    """A file's content, if the disk has it as it was hashed.

    Raises:
        FileDenied: the cache does not give it.
    """
    try:
        return model.read_present(path)
    except AdmissionDenied as denied:
        raise FileDenied(denied.verdict.reasons[0]) from denied


def _stored(model: CachedModel, path: str) -> bytes | None:
    """A file's content, if the cache has it: by another process or model, or from before.

    Raises:
        FileDenied: somebody has changed it there.
    """
    try:
        if model.is_stored(path):
            with model.open(path) as stream:
                return stream.read()
    except AdmissionDenied as denied:
        reason = denied.verdict.reasons[0]
        if reason.code is ReasonCode.CACHE_CHANGED:
            raise FileDenied(reason) from denied
        # It is the disk that fails. The store may not.
    return None
