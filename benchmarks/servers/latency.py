"""``python -m benchmarks.servers.latency``: a link on which each request takes a while longer.

What a client sends is held back; what a server sends is passed on at once. It is a process of its
own, so that it takes nothing of a client's or a server's interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.servers import serving

_PIECE_BYTES = 1 << 18


@contextmanager
def link(port: int, milliseconds: int) -> Iterator[int]:
    """Start a link to a port of this machine; gives the port of its near end."""
    with serving("latency", str(port), str(milliseconds)) as served:
        yield served.port


async def _serve(port: int, seconds: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, far_writer, seconds), _pass_on(far_reader, writer, 0))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE_BYTES):
            if seconds:
                await asyncio.sleep(seconds)
            writer.write(piece)
            await writer.drain()
    writer.close()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="benchmarks.servers.latency", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("milliseconds", type=int)
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.milliseconds / 1000))


if __name__ == "__main__":
    main()
