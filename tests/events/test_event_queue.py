"""The queue of models that have changed."""

from __future__ import annotations

import asyncio
import time

import pytest

from oms_gate.reference import Reference
from oms_gate.server.event_queue import EventQueue

A, B = (Reference.parse(f"hf://acme/{name}") for name in "ab")


def test_each_model_waits_once_and_is_taken_by_one() -> None:
    async def scenario() -> None:
        queue = EventQueue(2)
        taken: list[Reference] = []

        async def take() -> None:
            taken.append((await queue.take()).reference)

        takers = [asyncio.create_task(take()) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(5):
            queue.add(A, 0)
        queue.add(B, 0)
        await asyncio.sleep(0.01)
        assert sorted(taken, key=str) == [A, B]
        # What is at work waits until that has ended.
        queue.add(A, 0)
        await asyncio.sleep(0.01)
        assert len(taken) == 2
        queue.done(A)
        await asyncio.wait_for(takers[2], 1)
        assert taken[2] == A

    asyncio.run(scenario())


def test_a_model_that_is_written_to_for_ever_has_its_turn() -> None:
    async def scenario() -> None:
        queue = EventQueue(1)
        started = time.monotonic()
        taken = asyncio.create_task(queue.take())
        while not taken.done():
            queue.add(A, 0.1, 0.3)
            await asyncio.sleep(0.02)
            assert time.monotonic() - started < 5
        assert time.monotonic() - started >= 0.3

    asyncio.run(scenario())


def test_a_newer_event_is_no_new_attempt() -> None:
    async def scenario() -> None:
        queue = EventQueue(1)
        queue.add(A, 0, attempts=2)
        queue.add(A, 0)
        queue.add(A, 60, attempts=3)
        assert (await queue.take()).attempts == 0
        queue.add(B, 60, attempts=1)
        assert not queue.room_for(frozenset([A]))
        assert queue.room_for(frozenset([B]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.take(), 0.01)

    asyncio.run(scenario())
