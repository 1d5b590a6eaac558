"""Passing on what nobody has verified, where the gate only annotates."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from aiohttp import web

from oms_gate.errors import StepError
from oms_gate.gateway import answers
from oms_gate.gateway.ranges import Wanted
from oms_gate.stores import Snapshot


async def pass_on(
    request: web.Request,
    response: web.StreamResponse,
    snapshot: Snapshot,
    path: str,
    part: Wanted,
    threads: Executor,
) -> web.StreamResponse:
    """Send a part of a file as its store has it.

    threads: in which it is read.

    Raises:
        ConnectionError: the answer ended early.
    """
    chunks = snapshot.chunks(path, part.start, part.end)

    def following() -> bytes | None:
        chunk = next(chunks, None)
        return None if chunk is None else bytes(chunk)

    reading = threads.submit(following)
    try:
        while (chunk := await asyncio.wrap_future(reading)) is not None:
            if not response.prepared:
                await response.prepare(request)
            await response.write(chunk)
            reading = threads.submit(following)
    except StepError as error:
        if not response.prepared:
            return answers.unavailable(error.reason)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError(error.reason.message) from error
    finally:
        # Where this was cancelled, the store may not have answered yet.
        reading.add_done_callback(lambda _: chunks.close())
    if not response.prepared:
        await response.prepare(request)
    await response.write_eof()
    return response
