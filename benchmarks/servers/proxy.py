"""``python -m benchmarks.servers.proxy``: a reverse proxy on aiohttp that looks at nothing.

What a gateway would be that passes on whatever comes: large pieces, and redirects followed here.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector, hdrs, web

_PIECE_BYTES = 1 << 20
_PASSED_ON = (hdrs.CONTENT_LENGTH, hdrs.CONTENT_RANGE, hdrs.CONTENT_TYPE, hdrs.ETAG)


async def _serve(upstream: str) -> None:
    client = ClientSession(
        connector=TCPConnector(limit=0),
        timeout=ClientTimeout(total=None),
        read_bufsize=2 * _PIECE_BYTES,
        auto_decompress=False,
    )

    async def answer(request: web.Request) -> web.StreamResponse:
        url = upstream + request.raw_path
        async with client.request(request.method, url, headers=_of(request, "Range")) as source:
            response = web.StreamResponse(status=source.status, headers=_of(source, *_PASSED_ON))
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                async for piece in source.content.iter_any():
                    await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with client:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


def _of(message: web.Request | ClientResponse, *names: str) -> dict[str, str]:
    return {name: message.headers[name] for name in names if name in message.headers}


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
