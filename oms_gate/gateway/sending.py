"""Sending bytes of admitted models, all of them hashed here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TypeVar

from aiohttp import web

from oms_gate.cache import CachedModel
from oms_gate.cache.layout import Layout
from oms_gate.errors import AdmissionDenied
from oms_gate.gateway.arrivals import Arrivals, Followed
from oms_gate.gateway.observer import Observer
from oms_gate.gateway.ranges import Wanted
from oms_gate.gateway.turns import BusyError
from oms_gate.limits import MIB, Limits
from oms_gate.verdict import Reason

T = TypeVar("T")

_AT_ONCE_BYTES = 8 * MIB


class FileDenied(Exception):  # noqa: N818 - reads as the event that it is
    """A file is not what was signed, or could not be had."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class NotYetError(Exception):
    """A file is on its way, for longer than a client can wait; or it has begun anew."""


@dataclass(frozen=True)
class Piece:
    """A part of what was signed as one content.

    model: with this content as a file of its own.
    start, end: bytes of that file, `end` exclusive.
    whole: whether that is all of a file, which may go out while it is hashed; of anything less
        each byte is verified before it goes out.
    """

    model: CachedModel
    path: str
    start: int
    end: int
    whole: bool


def pieces(model: CachedModel, path: str, part: Wanted, *, begun: bool) -> list[Piece]:
    """What has to be verified to send a part of a file.

    Of a file that was signed in parts, those that are touched are enough; unless a client may be
    asking for the rest of a beginning that nobody has verified yet.

    begun: whether clients have got anything of the file while it arrived.
    """
    parts = model.parts(path)
    is_rest = begun and part.start > 0
    if not part.partial or is_rest or len(parts) == 1 or model.present(path) is not None:
        whole = part.start == 0 and part.end == model.files[path]
        return [Piece(model, path, part.start, part.end, whole)]
    touched = []
    for each in parts:
        first, last = each.start or 0, each.end or model.files[path] or 0
        start, end = max(first, part.start), min(last, part.end)
        if start < end:
            touched.append(Piece(model.shards, each.name, start - first, end - first, whole=False))
    return touched


class _Arriving(NamedTuple):
    """A file while it arrives, and what has arrived of it, open."""

    followed: Followed
    stream: BinaryIO

    def close(self) -> None:
        self.stream.close()


class Sender:
    """Sends pieces to one client, one after the other."""

    def __init__(
        self,
        request: web.Request,
        address: str,
        arrivals: Arrivals,
        layout: Layout,
        limits: Limits,
        observer: Observer,
        seconds: float,
        turn: int,
        turn_now: Callable[[], int],
    ) -> None:
        """
        address: of who asks.
        seconds: longest wait for the first byte.
        turn: see `State`; the one that the entity tag of the answer is of.
        turn_now: tells which one it is by now.
        """
        self._request = request
        self._address = address
        self._arrivals = arrivals
        self._layout = layout
        self._limits = limits
        self._observer = observer
        self._seconds = seconds
        self._turn = turn
        self._turn_now = turn_now

    async def send(self, response: web.StreamResponse, wanted: Sequence[Piece]) -> None:
        """Send the headers as soon as there is a byte, and then all bytes.

        What comes of an error later than that is an answer that ends early.

        Raises:
            BusyError, FileDenied, NotYetError: nothing was sent.
            ConnectionError: the answer ended early; by a `FileDenied`, if that is its cause.
        """
        try:
            for piece in wanted:
                source = await self._source(piece, None if response.prepared else self._seconds)
                with closing(source):
                    if not response.prepared:
                        await self._check_turn(source)
                        await response.prepare(self._request)
                    await self._send_piece(piece, source)
        except (BusyError, FileDenied, NotYetError) as error:
            if not response.prepared:
                raise
            # Another answer would be taken for the rest of this one.
            self._end()
            raise ConnectionAbortedError(str(error)) from error
        if not response.prepared:
            await response.prepare(self._request)
        await response.write_eof()

    async def _check_turn(self, source: BinaryIO | _Arriving) -> None:
        """See that the entity tag is that of what is sent: by it clients come back for the rest.

        Raises:
            NotYetError: it is not any more.
        """
        turns = {self._turn, await asyncio.to_thread(self._turn_now)}
        # What this process knows of another one's arrival is a moment old.
        if isinstance(source, _Arriving):
            turns.add(source.followed.arrival.state.turn)
        if len(turns) > 1:
            raise NotYetError

    async def _source(self, piece: Piece, seconds: float | None) -> BinaryIO | _Arriving:
        """Where the bytes of a piece are, at least the first one.

        Raises:
            BusyError, FileDenied, NotYetError: nowhere.
        """
        stream = await _opened(piece.model.open_present, piece.path)
        self._observer.looked_up("file", hit=stream is not None)
        if stream is not None:
            return stream
        followed = self._arrivals.of(
            self._layout, piece.model, piece.path, self._limits, self._address
        )
        try:
            async with asyncio.timeout(seconds):
                while not followed.arrival.is_over:
                    if piece.whole and followed.arrival.state.released:
                        arriving = await asyncio.to_thread(followed.open)
                        if arriving is not None:
                            return _Arriving(followed, arriving)
                    # It may be over by now, where it has just been moved.
                    if not followed.arrival.is_over:
                        await followed.change()
        except TimeoutError:
            raise NotYetError from None
        reason = followed.arrival.reason
        is_others = followed.model is not piece.model
        if reason is None or (is_others and reason.code.of_store):
            # What another client's token does not open, this one's may.
            return await self._source(piece, seconds)
        raise FileDenied(reason)

    async def _send_piece(self, piece: Piece, source: BinaryIO | _Arriving) -> None:
        if isinstance(source, _Arriving):
            await self._follow(piece, source)
        else:
            await self._send_bytes(source, piece.start, piece.end)

    async def _follow(self, piece: Piece, source: _Arriving) -> None:
        """Send a whole content as far as it has arrived, again and again."""
        followed, position = source.followed, 0
        arrival = followed.arrival
        while position < piece.end:
            state = arrival.state
            if arrival.reason is not None:
                raise FileDenied(arrival.reason)
            if state.turn != self._turn:
                raise NotYetError
            until = piece.end if arrival.arrived else state.released
            if position < until:
                await self._send_bytes(source.stream, position, until)
                position = until
            elif not arrival.is_over:
                await followed.change()

    async def _send_bytes(self, stream: BinaryIO, start: int, end: int) -> None:
        """Send bytes of a file to a client that takes them fast enough."""
        loop = asyncio.get_running_loop()
        while start < end:
            transport = self._request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the client has gone")
            count = min(end - start, _AT_ONCE_BYTES)
            rate = self._limits.minimum_bytes_per_second
            seconds = self._limits.read_seconds + count / rate if rate else None
            try:
                async with asyncio.timeout(seconds):
                    sent = await loop.sendfile(transport, stream, start, count)
            except TimeoutError:
                self._end()
                raise ConnectionAbortedError("the client is too slow") from None
            # Of what passes by its writer, aiohttp counts nothing.
            self._request.writer.output_size += sent
            if sent != count:
                self._end()
                raise ConnectionAbortedError("the file is shorter than it was")
            start += count

    def _end(self) -> None:
        """End the connection at once: what was sent must not look whole."""
        if (transport := self._request.transport) is not None:
            transport.abort()


async def _opened(open_file: Callable[[str], T], path: str) -> T:
    """A file of a model, open.

    Raises:
        FileDenied: the cache does not give it.
    """
    try:
        return await asyncio.to_thread(open_file, path)
    except AdmissionDenied as denied:
        raise FileDenied(denied.verdict.reasons[0]) from denied
