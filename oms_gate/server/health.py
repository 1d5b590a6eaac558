"""``/healthz``, ``/readyz`` and ``/metrics``, for the kubelet and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


def health(metrics: Callable[[], bytes], unready: Callable[[], str | None]) -> web.Application:
    """What is served on the health port.

    metrics: in Prometheus' text format.
    unready: gives a sentence on why no request should come now; None where they may.
    """

    async def ready(_: web.Request) -> web.Response:
        why = unready()
        return web.Response(text="ok\n") if why is None else web.Response(status=503, text=why)

    async def told(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", told)
    return app


async def alive(_: web.Request) -> web.Response:
    """That the process answers at all."""
    return web.Response(text="ok\n")
