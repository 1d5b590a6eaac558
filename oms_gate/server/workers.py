"""A service of several processes, which share one socket, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from oms_gate.errors import ConfigError, OmsGateError
from oms_gate.server.health import health
from oms_gate.server.metrics import ServiceMetrics, environment
from oms_gate.server.task import BACKLOG, REPORT_SECONDS, Report, Task
from oms_gate.service_settings import ServiceSettings
from oms_gate.stores.connections import VIA_VARIABLE

_LOG = logging.getLogger(__name__)

_MODULE = "oms_gate.server.worker"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
# More than draining takes, after which a process is ended.
_MARGIN_SECONDS = 5.0
_SILENCE_SECONDS: Final = 15 * REPORT_SECONDS


def cores() -> int:
    """How many cores this process may use: by its affinity, and by the quota of its container."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        count = min(count, ceil(int(quota) / int(period)))
    return max(count, 1)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    port: 0 for a free one.

    Raises:
        ConfigError: there is no such address here, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        both = family == socket.AF_INET6 and host == "::"
        listener = socket.create_server(
            address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        # Python says there again where that was.
        why = str(error.strerror or error).partition(" (while ")[0]
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {why}; choose another one by --host, --port or "
            "--health-port"
        ) from error
    listener.setblocking(False)
    return listener


class Service:
    """Processes that serve, and what looks after them. Used within one event loop."""

    def __init__(self, settings: ServiceSettings, task: Task, metrics: Path) -> None:
        """
        task: what each process is to do; its descriptors are of no meaning.
        metrics: the folder in which they count.
        """
        self._settings = settings
        self._task = task
        self._folder = metrics
        self._metrics = ServiceMetrics(metrics)
        self._workers: list[_Worker] = []
        self._restarts: deque[float] = deque()
        self._ending = asyncio.Event()
        self._first = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(
        self,
        listener: socket.socket,
        health_listener: socket.socket,
        workers: int,
        on_start: Callable[[], None],
    ) -> None:
        """Serve until told to end by SIGTERM or SIGINT; what is being answered is ended.

        on_start: called once requests are answered.

        Raises:
            OmsGateError: the first process could not begin, or they end again and again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._tell, signal.SIGHUP)
        async with AsyncExitStack() as stack:
            runner = web.AppRunner(health(self._text, self._why_unready), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, health_listener).start()
            keepers = [asyncio.create_task(self._keep(listener)) for _ in range(workers)]
            stack.push_async_callback(self._ended, keepers)
            stack.callback(listener.close)
            stack.callback(self._tell, signal.SIGTERM)
            await self._until(self._first)
            if self._first.is_set():
                on_start()
            await self._until(self._ending)
            self._ending.set()

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for this, or for the end; raise what ended it."""
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(found.wait()) for found in (event, self._ending)
        ]
        try:
            await asyncio.wait([*tasks, self._failure], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if self._failure.done():
            self._ending.set()
            self._failure.result()

    async def _ended(self, keepers: list[asyncio.Task[None]]) -> None:
        seconds = self._settings.drain_seconds + _MARGIN_SECONDS
        _, slow = await asyncio.wait(keepers, timeout=seconds)
        if slow:
            _LOG.error("%d processes did not end within %g seconds", len(slow), seconds)
            self._tell(signal.SIGKILL)
        await asyncio.gather(*keepers)

    def _end(self) -> None:
        if self._ending.is_set():  # Told once more: at once, then.
            self._tell(signal.SIGKILL)
        else:
            _LOG.info("ending: what is being answered has %g seconds", self._settings.drain_seconds)
        self._ending.set()

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.tell(number)

    def _why_unready(self) -> str | None:
        """Why no request should come now: one sentence a process; None where they may."""
        if self._ending.is_set():
            return "the service is ending\n"
        begun = [worker for worker in self._workers if worker.report is not None]
        if not begun:
            return "no process has begun to serve\n"
        said = {worker.process: worker.why_unready() for worker in begun}
        if not any(said.values()):
            return None
        return "".join(f"process {number}: {why}\n" for number, why in said.items() if why)

    def _text(self) -> bytes:
        ready = [worker.why_unready() is None for worker in self._workers]
        self._metrics.workers.labels("ready").set(sum(ready))
        self._metrics.workers.labels("unready").set(len(ready) - sum(ready))
        return self._metrics.text()

    async def _keep(self, listener: socket.socket) -> None:
        """Have one process serve, and another one where it ends."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._ending.is_set():
            worker = await _Worker.begin(self._task, listener, self._folder)
            self._workers.append(worker)
            begun = time.monotonic()
            status = await worker.watched(self._first.set)
            self._workers.remove(worker)
            self._metrics.ended(worker.process)
            if self._ending.is_set():
                return
            self._note_end(worker, status)
            if time.monotonic() - begun > self._settings.restart_seconds:
                pause = _FIRST_PAUSE_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._metrics.restarts.inc()

    def _note_end(self, worker: _Worker, status: int) -> None:
        report, failure = worker.report, None
        if report is not None and report.failed:
            _LOG.error("a process could not begin: %s", report.unready)
            if not any(other.report is not None for other in self._workers):
                kind = ConfigError if report.misconfigured else OmsGateError
                failure = kind(report.unready or "a process could not begin")
        else:
            _LOG.error("process %d ended with status %d; it is begun anew", worker.process, status)
            now, settings = time.monotonic(), self._settings
            self._restarts.append(now)
            while self._restarts[0] < now - settings.restart_seconds:
                self._restarts.popleft()
            if len(self._restarts) > settings.restarts:
                failure = OmsGateError(
                    f"processes of the service ended {len(self._restarts)} times within "
                    f"{settings.restart_seconds:g} seconds, more often than service.restarts in "
                    "gate.yaml allows; see the log for why"
                )
        if failure is not None and not self._failure.done():
            self._failure.set_exception(failure)


class _Worker:
    """A process that serves.

    report: what it said last; None where it has not begun yet.
    """

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        reports: asyncio.StreamReader,
        tie: asyncio.StreamWriter,
    ) -> None:
        """
        tie: once it is closed, the process ends.
        """
        self._child = child
        self._reports = reports
        self._tie = tie
        self._heard = time.monotonic()
        self.process = child.pid
        self.report: Report | None = None

    @classmethod
    async def begin(cls, task: Task, listener: socket.socket, metrics: Path) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            told = replace(task, listener=listener.fileno(), reports=theirs.fileno())
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE, told.to_json()),
                pass_fds=(told.listener, told.reports),
                stdin=asyncio.subprocess.DEVNULL,
                env={**environment(metrics), VIA_VARIABLE: task.instance},
                # What a terminal sends to its foreground is for the parent to pass on.
                start_new_session=True,
            )
        return cls(child, *await asyncio.open_connection(sock=ours))

    async def watched(self, on_start: Callable[[], None]) -> int:
        """Listen to it until it ends; its exit status."""
        while line := await self._reports.readline():
            self.report = Report.from_line(line)
            self._heard = time.monotonic()
            if not self.report.failed:
                on_start()
        status = await self._child.wait()
        self._tie.close()
        return status

    def why_unready(self) -> str | None:
        if self.report is None:
            return "it has not begun to serve"
        silence = time.monotonic() - self._heard
        if silence > _SILENCE_SECONDS:
            return f"nothing was heard of it for {silence:.0f} seconds"
        return self.report.unready

    def tell(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._child.send_signal(number)


async def serve(
    settings: ServiceSettings,
    task: Task,
    listener: socket.socket,
    health_listener: socket.socket,
    workers: int,
    on_start: Callable[[], None],
) -> None:
    """Serve with several processes, as `Service.run`."""
    with tempfile.TemporaryDirectory(prefix="oms-gate-metrics-") as folder:
        service = Service(settings, task, Path(folder))
        await service.run(listener, health_listener, workers, on_start)


def new_instance() -> str:
    """A name for a service that no other has."""
    return os.environ.get(VIA_VARIABLE) or f"oms-gate-{secrets.token_hex(8)}"
