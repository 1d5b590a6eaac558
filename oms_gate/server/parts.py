"""What is served: the parts of a service, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from oms_gate.config import GateConfig
from oms_gate.following import Following
from oms_gate.gate import Gate
from oms_gate.gateway.app import Gateway
from oms_gate.gateway.observer import Observer
from oms_gate.server.api import DecisionApi
from oms_gate.server.event_routes import event_routes
from oms_gate.server.event_worker import EventWorker
from oms_gate.server.openapi import openapi_routes
from oms_gate.server.page import page_routes
from oms_gate.server.recorded import Source
from oms_gate.server.verdicts import Verdicts
from oms_gate.verdict import Verdict

Recorder = Callable[[Verdict], object]


class Part(Protocol):
    """Something that is served."""

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""

    async def start(self) -> None:
        """Begin to work. Raises `OmsGateError` where it cannot."""

    async def stop(self) -> None:
        """End all work; no request comes any more."""


@dataclass(frozen=True)
class Setting:
    """What parts are made of.

    file: where the configuration is from.
    gates: gives the gate as its files are now.
    cache: the folder of verified files.
    observer: for the part of this name, with what records its verdicts, if anything does.
    """

    config: GateConfig
    file: Path
    gates: Following[Gate]
    cache: Path
    observer: Callable[[Source, Recorder | None], Observer]


def parts(setting: Setting) -> Sequence[Part]:
    """All that is served; of several routes that fit a request, the first counts.

    Raises:
        ConfigError: one of them cannot be made as it is configured.
    """
    config, held = setting.config, setting.gates.held
    # Without anybody who may look at them, verdicts are not recorded.
    verdicts = Verdicts.from_settings(config.api) if config.api.clients else None

    def observer(source: Source) -> Observer:
        record = None if verdicts is None else _recording(verdicts, source)
        return setting.observer(source, record)

    made: list[Part] = []
    if verdicts is not None:
        api = DecisionApi(config, setting.file, held, verdicts, setting.observer("api", None))
        made.append(_Answers(api))
    if config.events.hub is not None or config.events.s3 is not None:
        made.append(_Receivers(config, EventWorker(config, held, observer("event"))))
    return (*made, Gateway(config, held, setting.cache, observer("gateway")))


class _Answers:
    """The decision API, and the page that shows the same to people."""

    def __init__(self, api: DecisionApi) -> None:
        self._api = api

    def routes(self) -> list[web.RouteDef]:
        return [*self._api.routes(), *openapi_routes(), *page_routes(self._api)]

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        await self._api.stop()


class _Receivers:
    """The receivers of events, and what decides about them."""

    def __init__(self, config: GateConfig, worker: EventWorker) -> None:
        self._worker = worker
        self._seconds = config.service.drain_seconds
        self._routes = event_routes(config, worker)

    def routes(self) -> list[web.RouteDef]:
        return self._routes

    async def start(self) -> None:
        self._worker.start()

    async def stop(self) -> None:
        await self._worker.stop(self._seconds)


def _recording(verdicts: Verdicts, source: Source) -> Recorder:
    return lambda verdict: verdicts.record(verdict, source=source)
