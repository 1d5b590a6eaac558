"""How the Hub stand-in finds who answers a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import unquote

from tests.peers.hub_repository import Kind
from tests.peers.hub_state import HubState, Refused, refused
from tests.peers.wire import Origin, Request, Response

# Paths are matched while they are still quoted: a %2F belongs to a revision or a name.
ID = r"(?P<id>[^/]+(?:/[^/]+)??)"
API = rf"/api/(?P<kind>model|dataset|space)s/{ID}"
WEB = rf"/(?:(?P<kind>dataset|space)s/)?{ID}"
REVISION = r"(?P<revision>[^/]+)"


class Hub(Protocol):
    """What those who answer need of the stand-in."""

    state: HubState
    api: Origin
    cdn: Origin


class Route:
    """A method and a pattern of the quoted path; GET stands for HEAD, too."""

    def __init__(
        self,
        method: str,
        pattern: str,
        answer: Callable[[Hub, Request, re.Match[str]], Response],
    ) -> None:
        self.methods = {"GET", "HEAD"} if method == "GET" else {method}
        self.pattern = re.compile(pattern)
        self.answer = answer


def named(match: re.Match[str]) -> tuple[Kind, str]:
    """The kind and id of the repository that a path names."""
    kind: Kind = match["kind"] or "model"  # type: ignore[assignment]
    return kind, unquote(match["id"])


def dispatch(hub: Hub, routes: Sequence[Route], request: Request) -> Response:
    """The answer of the first route that fits, 404 if there is none."""
    try:
        for route in routes:
            match = route.pattern.fullmatch(request.quoted_path)
            if match and request.method in route.methods:
                return route.answer(hub, request, match)
        raise refused(404, "Sorry, we can't find the page you are looking for.")
    except Refused as refusal:
        return refusal.response
