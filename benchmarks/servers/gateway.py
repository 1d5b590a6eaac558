"""``python -m benchmarks.servers.gateway``: the Hub gateway alone, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.gateway.app import Gateway
from oms_gate.gateway.observer import Transfer
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict

TASKS = "/-/tasks"
"""Where it says how many tasks it has."""


def configuration(upstream: str, public_key: Path, **settings: object) -> dict[str, Any]:
    """What ``gate.yaml`` says: everybody's models, signed with one key.

    settings: of the gateway.
    """
    return {
        "trust": {"keys": {"publisher": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "everybody",
                "models": ["hf://**"],
                "signers": [{"method": "key", "key": "publisher"}],
            }
        ],
        "gateway": {"upstream": upstream, **settings},
    }


class _Silent:
    """An `Observer` that tells nobody."""

    def decided(self, verdict: Verdict, seconds: float) -> None:
        pass

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        pass

    def fetched(self, transfer: Transfer) -> None:
        pass

    def upstream_failed(self, code: ReasonCode) -> None:
        pass


async def _serve(config: GateConfig, folder: Path) -> None:
    with Gate.from_config(config) as gate:
        gateway = Gateway(config, gate.held, folder, _Silent())
        app = web.Application()
        app.router.add_get(TASKS, _tasks)
        app.add_routes(gateway.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await gateway.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


async def _tasks(_: web.Request) -> web.Response:
    return web.Response(text=str(len(asyncio.all_tasks())))


if __name__ == "__main__":
    asyncio.run(_serve(GateConfig.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2])))
