"""One process of a service: ``python -m oms_gate.server.worker TASK``, by `workers`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from oms_gate.errors import ConfigError, OmsGateError
from oms_gate.server.logs import set_up
from oms_gate.server.serving import Serving
from oms_gate.server.tls import KeyPair, ServerTls


@dataclass(frozen=True)
class Task:
    """What a process is to do.

    listener, reports: file descriptors that it inherits: of the socket that listens, and of one
        on which it says how it is; the other end of that is closed when the service is gone.
    certificate, key, client_ca: files; None to serve without TLS, and to ask for no certificates.
    """

    config_file: str
    cache: str
    instance: str
    log_format: str
    listener: int
    reports: int
    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None

    def to_json(self) -> str:
        """As the argument of a command."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        return cls(**json.loads(text))

    def tls(self) -> ServerTls | None:
        """The certificate that clients are shown.

        Raises:
            ConfigError: it cannot be used.
        """
        if self.certificate is None or self.key is None:
            return None
        pair = Path(self.certificate), Path(self.key)
        authority = None if self.client_ca is None else Path(self.client_ca)
        return ServerTls(lambda: KeyPair.from_files(*pair), authority)


@dataclass(frozen=True)
class Report:
    """How a process is.

    unready: why it should get no requests; None where it may.
    failed: it ends, as it could not begin; with `misconfigured`, as its configuration is no good.
    """

    unready: str | None = None
    failed: bool = False
    misconfigured: bool = False

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """What `line` gave."""
        return cls(**json.loads(line))


async def work(task: Task) -> None:
    """Serve until SIGTERM, or until whoever began this process is gone.

    Raises:
        OmsGateError: it cannot be begun.
    """
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=task.reports))
    try:
        serving = await asyncio.to_thread(
            Serving, Path(task.config_file), Path(task.cache), task.instance
        )
        loop.add_signal_handler(signal.SIGTERM, serving.end)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, serving.reload))

        async def orphaned() -> None:
            await reader.read()
            serving.end()

        watching = asyncio.create_task(orphaned())
        with socket.socket(fileno=task.listener) as listener:
            await serving.serve(
                listener, task.tls(), lambda unready: writer.write(Report(unready).line())
            )
        watching.cancel()
    except OmsGateError as error:
        writer.write(Report(str(error), True, isinstance(error, ConfigError)).line())
        await writer.drain()
        raise SystemExit(1) from None
    finally:
        writer.close()


def main() -> None:
    """Do what the command's argument says."""
    task = Task.from_json(sys.argv[1])
    # Until there is a loop, whose business they are.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_up("json" if task.log_format == "json" else "text")
    asyncio.run(work(task))


if __name__ == "__main__":
    main()
