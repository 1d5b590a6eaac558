"""The Hub's discussions, as far as somebody opens them and looks at their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.peers.hub_routes import API, Hub, Route, named
from tests.peers.hub_state import refused
from tests.peers.wire import Request, Response

_PAGE = 10


def _open(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.visible(request, *named(match))
    hub.state.require_member(request, proposing=True)
    wanted = request.json()
    if not wanted["title"] or wanted["pullRequest"]:
        raise refused(400, "A discussion has a title")
    number = len(repository.discussions) + 1
    discussion = {
        "num": number,
        "author": {"name": hub.state.caller(request), "type": "user"},
        "title": wanted["title"],
        "description": wanted["description"],
    }
    repository.discussions.append(discussion)
    return Response.json({"num": number, "url": f"{repository.web_path}/discussions/{number}"})


def _list(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.visible(request, *named(match))
    author = request.query.get("author")
    found = [
        discussion
        for discussion in reversed(repository.discussions)
        if author in (None, discussion["author"]["name"])
    ]
    start = int(request.query.get("p", 0)) * _PAGE
    shown = [
        _described(discussion, match) | {"repo": {"name": match["id"], "type": match["kind"]}}
        for discussion in found[start : start + _PAGE]
    ]
    return Response.json({"discussions": shown, "count": len(found), "start": start})


def _details(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.visible(request, *named(match))
    number = int(match["num"])
    if not 0 < number <= len(repository.discussions):
        raise refused(404, "This discussion does not exist")
    discussion = repository.discussions[number - 1]
    comment = {
        "id": f"{number:024x}",
        "type": "comment",
        "createdAt": "2026-11-28T05:43:38.000Z",
        "author": discussion["author"],
        "data": {
            "edited": False,
            "hidden": False,
            "latest": {"raw": discussion["description"]},
        },
    }
    return Response.json(_described(discussion, match) | {"events": [comment]})


def _described(discussion: Mapping[str, Any], match: re.Match[str]) -> dict[str, Any]:
    return {
        "num": discussion["num"],
        "title": discussion["title"],
        "author": discussion["author"],
        "status": "open",
        "isPullRequest": False,
        "createdAt": "2026-11-28T05:43:38.000Z",
        "repo": {"name": match["id"], "type": match["kind"]},
    }


DISCUSSIONS = [
    Route("POST", rf"{API}/discussions", _open),
    Route("GET", rf"{API}/discussions", _list),
    Route("GET", rf"{API}/discussions/(?P<num>\d{{1,9}})", _details),
]
