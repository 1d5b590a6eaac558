"""The page with recent verdicts: for people, who need a browser and nothing else."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, get_args
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from oms_gate import __version__
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.api import DecisionApi
from oms_gate.server.problems import SAFE_HEADERS, Handler, ProblemError, answered
from oms_gate.server.questions import read_query
from oms_gate.server.recorded import Source
from oms_gate.verdict import printable

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
    text = _templates().get_template(template).render(version=__version__, **values)
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("oms_gate.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever is shown was named by strangers, or comes from a query. What a macro gives is
        # no plain string, and was made of such.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )


@cache
def _style() -> str:
    loader = PackageLoader("oms_gate.server")
    return loader.get_source(_templates(), "page.css")[0]
