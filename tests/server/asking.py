"""The decision API and its page on a real server, in a thread; and a client of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import load_config
from oms_gate.following import Following
from oms_gate.gate import Gate
from oms_gate.server.api import DecisionApi
from oms_gate.server.openapi import openapi_routes
from oms_gate.server.page import page_routes
from oms_gate.server.verdicts import Verdicts
from tests.delivery.pulling import signed
from tests.gateway.running import Told
from tests.peers.hub import HubStandIn

TOKENS: Mapping[str, str] = {
    name: f"{name}-token-0123456789abcdef" for name in ("ops", "red", "blue")
}


@dataclass(frozen=True)
class Server:
    """A server that runs.

    url: without a slash at its end.
    """

    url: str
    api: DecisionApi
    verdicts: Verdicts
    loop: asyncio.AbstractEventLoop

    def ask(self, reference: object, who: str = "red", **more: Any) -> requests.Response:
        """Ask about a model, as a client."""
        return self.send("POST", "/v1/verdicts", who, json={"reference": reference, **more})

    def get(self, path: str, who: str = "red", **options: Any) -> requests.Response:
        """Read something."""
        return self.send("GET", path, who, **options)

    def send(self, method: str, path: str, who: str, **options: Any) -> requests.Response:
        """Send a request with the token of a client."""
        headers = {"Authorization": f"Bearer {TOKENS[who]}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=30, **options)


class Held:
    """What is kept waiting until `go` is set; counts who came."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.came = 0

    def wait(self) -> None:
        """Wait with the others."""
        self.came += 1
        assert self.go.wait(20)


def settings(public_key: Path, **api: Any) -> dict[str, Any]:
    """A gate that lets Acme sign Acme's models, with an operator and two other clients."""
    clients = [
        {"name": name, "token_sha256": [hashlib.sha256(token.encode()).hexdigest()]}
        for name, token in TOKENS.items()
    ]
    clients[0]["operator"] = True  # type: ignore[assignment]
    return {
        "assurance": "signature",
        "trust": {"keys": {"acme": str(public_key)}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"retries": 0, "read_seconds": 5, "reload_seconds": 0.05},
        "stores": {"private_hosts": ["localhost"]},
        "api": {"clients": clients, "record": "verdicts.db", "denial_seconds": 0, **api},
    }


def publish(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, *names: str, unsigned: bool = False
) -> None:
    """Put signed models on the Hub, or the same without their signature."""
    files = dict(signed(key))
    if unsigned:
        del files["model.sig"]
    for name in names:
        hub.create(name, files=files)


@contextmanager
def serving(
    config: Mapping[str, Any], folder: Path, context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """The API of a configuration, which is written to ``gate.yaml`` in a folder."""
    file = folder / "gate.yaml"
    file.write_text(json.dumps(config))
    loaded = load_config(file)
    verdicts = Verdicts.from_settings(loaded.api)
    following: Following[Gate] = Following(file, Gate.from_config)

    async def begin() -> tuple[DecisionApi, web.AppRunner, int]:
        api = DecisionApi(loaded, file, following.held, verdicts, Told())
        app = web.Application()
        app.add_routes([*api.routes(), *openapi_routes(), *page_routes(api)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return api, runner, int(runner.addresses[0][1])

    with _loop() as (loop, run):
        api, runner, port = run(begin())
        scheme = "http" if context is None else "https"
        try:
            yield Server(f"{scheme}://127.0.0.1:{port}", api, verdicts, loop)
        finally:
            run(api.stop())
            run(runner.cleanup())


@contextmanager
def _loop() -> Iterator[tuple[asyncio.AbstractEventLoop, Callable[[Any], Any]]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop, lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
