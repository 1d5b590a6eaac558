"""``python -m benchmarks.soak``: a gateway under mixed clients for a while; does it grow?

Repositories come and go, more of them than the gateway remembers; so do tokens. Clients read whole
files and parts, hang up, read slowly, ask for what is denied and for what is not there. Once a
second the process of the gateway is looked at: its memory, threads and open files, and, by itself,
its tasks. The first third is for what is filled once. Ends with 1 if anything grew after that, or
the gateway failed to answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.report import Spread, Table
from benchmarks.servers import serving
from benchmarks.servers.gateway import TASKS, configuration
from oms_gate.signing.keys import write_key_pair
from tests import models
from tests.peers.hub import HubStandIn

_CLIENTS = 24
_REPOSITORIES = 40
_KNOWN = 16
_CACHE_BYTES = 256 << 20
_SHARD_BYTES = 1 << 20
_WEIGHTS = "model.safetensors"
_SIZES = {"config.json": 700, "tokenizer.json": 300_000, _WEIGHTS: 6_000_000}
# Of the median of the second third, what the last third may have at most.
_GROWTH = 1.10
_SLACK = {"MB": 10.0, "threads": 8.0, "descriptors": 16.0, "tasks": 16.0}


@dataclass
class _Soak:
    """What goes on."""

    hub: HubStandIn
    url: str
    pid: int
    until: float
    done: Counter[str] = field(default_factory=Counter)
    seen: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _SLACK})


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="for the cache")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=options.memory)))
        key = models.new_key()
        write_key_pair(folder / "key", folder / "key.pub", key, None)
        hub = stack.enter_context(HubStandIn())
        for number in range(_REPOSITORIES):
            files = {path: random.randbytes(size) for path, size in _SIZES.items()}
            sharded = _SHARD_BYTES if number % 3 == 1 else None
            signature = models.signature(files, key, shard_size=sharded)
            if number % 5 == 4:  # what is denied
                files[_WEIGHTS] = random.randbytes(_SIZES[_WEIGHTS])
            hub.create(
                f"org/m{number}",
                files={**files, **({} if number % 7 == 6 else {"model.sig": signature})},
                private=number % 4 == 3,
            )
        settings = {
            "models": _KNOWN,
            "cache_bytes": _CACHE_BYTES,
            "access_seconds": 5,
            "denial_seconds": 5,
        }
        config = json.dumps(configuration(hub.endpoint, folder / "key.pub", **settings))
        gateway = stack.enter_context(serving("gateway", config, str(folder / "cache")))
        soak = _Soak(hub, gateway.url, gateway.pid, time.monotonic() + options.seconds)
        asyncio.run(_soaked(soak))
    print(_table(soak).markdown())
    print(", ".join(f"{name}: {count}" for name, count in sorted(soak.done.items())))
    grown = [name for name in soak.seen if _has_grown(soak, name)]
    failed = sorted({name for name in soak.done if name.split()[-1].startswith("5")})
    print(f"grown: {', '.join(grown) or 'nothing'}; failed: {', '.join(failed) or 'nothing'}")
    return 1 if grown or failed else 0


async def _soaked(soak: _Soak) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(_CLIENTS):
            group.create_task(_client(soak, random.Random(number)))
        group.create_task(_watch(soak))
        group.create_task(_publish(soak))


async def _client(soak: _Soak, chance: random.Random) -> None:
    """One after another of what clients do, each with a connection of its own now and then."""
    while time.monotonic() < soak.until:
        async with aiohttp.ClientSession(soak.url) as session:
            client = _Client(session, soak.hub, chance)
            for _ in range(chance.randrange(1, 12)):
                name, do = chance.choice(client.habits)
                try:
                    status = str(await do())
                except (aiohttp.ClientError, TimeoutError) as error:
                    status = type(error).__name__
                soak.done[f"{name} {status}"] += 1


@dataclass(frozen=True)
class _Client:
    """What a client does; each time it gives the status of the answer."""

    session: aiohttp.ClientSession
    hub: HubStandIn
    chance: random.Random

    @property
    def habits(self) -> list[tuple[str, Callable[[], Awaitable[int]]]]:
        """By what the report calls them; the first one is twice as frequent."""
        return [
            ("file", self.file),
            ("file", self.file),
            ("part", self.part),
            ("hangup", self.hang_up),
            ("slowly", self.read_slowly),
            ("listing", self.list),
            ("head", self.head),
        ]

    async def file(self) -> int:
        async with self._ask("GET", self._file(*_SIZES)) as answer:
            await answer.read()
            return answer.status

    async def part(self) -> int:
        start = self.chance.randrange(_SIZES[_WEIGHTS])
        wanted = f"bytes={start}-{start + self.chance.randrange(1, 900_000)}"
        async with self._ask("GET", self._file(_WEIGHTS), {"Range": wanted}) as answer:
            await answer.read()
            return answer.status

    async def hang_up(self) -> int:
        async with (
            asyncio.timeout(self.chance.uniform(0.001, 0.2)),
            self._ask("GET", self._file(_WEIGHTS)) as answer,
        ):
            await answer.content.read(self.chance.randrange(1, 2_000_000))
            answer.close()
            return answer.status

    async def read_slowly(self) -> int:
        async with self._ask("GET", self._file(_WEIGHTS)) as answer:
            async for _ in answer.content.iter_chunked(500_000):
                await asyncio.sleep(0.1)
            return answer.status

    async def list(self) -> int:
        what = self.chance.choice(["", "/revision/main", "/tree/main", "/refs", "/nothing"])
        async with self._ask("GET", f"/api/models/{self._repository()}{what}") as answer:
            await answer.read()
            return answer.status

    async def head(self) -> int:
        async with self._ask("HEAD", self._file(*_SIZES, "no.bin")) as answer:
            return answer.status

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request, with one token or another, known or not, or none."""
        unknown = f"hf_{self.chance.randbytes(12).hex()}"
        known = self.hub.token, self.hub.state.outsider_token
        token = self.chance.choice([None, *known, unknown])
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.session.request(method, path, headers={**(headers or {}), **own})

    def _file(self, *paths: str) -> str:
        return f"/{self._repository()}/resolve/main/{self.chance.choice(paths)}"

    def _repository(self) -> str:
        """One of them, or one that is not there."""
        return f"org/m{self.chance.randrange(_REPOSITORIES + 2)}"


async def _publish(soak: _Soak) -> None:
    """Let repositories have new commits, so that nothing is known for good."""
    number = 0
    while time.monotonic() < soak.until:
        await asyncio.sleep(0.5)
        name = f"org/m{number % _REPOSITORIES}"
        soak.hub.commit(name, {})
        soak.hub.clear()
        number += 1


async def _watch(soak: _Soak) -> None:
    """Look at the gateway's process."""
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < soak.until:
            await asyncio.sleep(1)
            process = Path(f"/proc/{soak.pid}")
            status = (process / "status").read_text()
            rss, threads = (
                int(found)
                for pattern in (r"VmRSS:\s*(\d+)", r"Threads:\s*(\d+)")
                for found in re.findall(pattern, status)
            )
            async with session.get(f"{soak.url}{TASKS}") as answer:
                tasks = int(await answer.text())
            for name, value in {
                "MB": rss / 1000,
                "threads": threads,
                "descriptors": sum(1 for _ in (process / "fd").iterdir()),
                "tasks": tasks,
            }.items():
                soak.seen[name].append(value)


def _thirds(values: list[float]) -> tuple[Spread, Spread, Spread]:
    third = max(1, len(values) // 3)
    return (
        Spread.of(values[:third]),
        Spread.of(values[third : 2 * third] or values),
        Spread.of(values[-third:]),
    )


def _has_grown(soak: _Soak, name: str) -> bool:
    _, before, after = _thirds(soak.seen[name])
    return after.median > before.median * _GROWTH + _SLACK[name]


def _table(soak: _Soak) -> Table:
    rows = [
        [name, *(spread.text(0) for spread in _thirds(values))]
        for name, values in soak.seen.items()
    ]
    return Table(("of the gateway", "first third", "second third", "last third"), rows)


if __name__ == "__main__":
    sys.exit(main())
