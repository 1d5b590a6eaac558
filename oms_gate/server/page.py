"""The page with recent verdicts: for people, who need a browser and nothing else."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, get_args
from urllib.parse import urlencode

from aiohttp import web

from oms_gate import __version__
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.api import DecisionApi
from oms_gate.server.problems import SAFE_HEADERS, Handler, ProblemError, answered
from oms_gate.server.questions import read_query
from oms_gate.server.recorded import Source
from oms_gate.templating import source, templates

_HEADERS: Final = {
    **SAFE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Of a list in a verdict that may have many thousands.
_SHOWN: Final = 100
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def page_routes(api: DecisionApi) -> list[web.RouteDef]:
    """``/``, and ``/verdicts/`` with each verdict."""

    async def recent(request: web.Request) -> web.Response:
        caller = await api.caller(request)
        query = read_query(_as_meant(request))
        page = await api.page(caller, query)
        chosen = query.model_dump(mode="json", exclude_none=True, exclude={"cursor"})
        return _rendered(
            "verdicts.html",
            caller=caller,
            query=query,
            page=page,
            filtered=bool(chosen),
            newest=f"/?{urlencode(chosen)}",
            older=f"/?{urlencode({**chosen, 'cursor': page.next})}",
            codes=[code.value for code in ReasonCode],
            sources=get_args(Source),
        )

    async def one(request: web.Request) -> web.Response:
        caller = await api.caller(request)
        found = await api.found(caller, request.match_info["id"])
        return _rendered(
            "verdict.html", caller=caller, found=found, verdict=found.verdict, shown=_SHOWN
        )

    async def style(_: web.Request) -> web.Response:
        return web.Response(text=_style(), content_type="text/css", headers=_HEADERS)

    return [
        web.get("/", _shown(recent)),
        web.get("/verdicts/page.css", answered(style)),
        web.get("/verdicts/{id}", _shown(one)),
    ]


def _as_meant(request: web.Request) -> list[tuple[str, str]]:
    """What a form sends: parameters without a value count for nothing, and days are such in UTC."""
    return [
        (name, f"{value}T00:00:00Z" if name == "since" and _DAY.fullmatch(value) else value)
        for name, value in request.query.items()
        if value
    ]


def _shown(handler: Handler) -> Handler:
    def problem(error: ProblemError) -> web.Response:
        response = _rendered("problem.html", caller=None, problem=error.problem)
        response.set_status(error.problem.status)
        response.headers.extend(error.headers)
        return response

    return answered(handler, problem)


def _rendered(template: str, **values: Any) -> web.Response:
    text = templates("oms_gate.server").get_template(template).render(version=__version__, **values)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


@cache
def _style() -> str:
    return source("oms_gate.server", "page.css")
