"""One process of a service: ``python -m oms_gate.server.worker TASK``, by `workers`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

from oms_gate.errors import ConfigError, OmsGateError
from oms_gate.server.logs import set_up
from oms_gate.server.serving import Serving
from oms_gate.server.task import Report, Task


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
