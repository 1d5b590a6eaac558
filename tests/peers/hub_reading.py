"""The Hub's reading endpoints: repository info, listings, references, and the files."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from tests.peers.hub_repository import Commit, Repository
from tests.peers.hub_routes import API, ID, REVISION, WEB, Hub, Route, named
from tests.peers.hub_state import HubState, Refused, refused
from tests.peers.wire import Request, Response, serve

_FILE = re.compile(rf"{WEB}/resolve/{REVISION}/(?P<path>.+)")


def resolved_file(request: Request) -> str | None:
    """The path inside the repository that a request for a file is about."""
    match = _FILE.fullmatch(request.quoted_path)
    return unquote(match["path"]) if match else None


def _whoami(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    caller = hub.state.caller(request)
    if caller == "anonymous":
        raise refused(401, "Invalid username or password.")
    role = "write" if caller == "member" else "read"
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    return Response.json(
        {
            "type": "user",
            "id": caller,
            "name": caller,
            "fullname": caller,
            "orgs": [],
            "auth": token,
        }
    )


def _info(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository, commit = _at(hub.state, request, match)
    blobs = request.query.get("blobs", "").lower() in ("true", "1")
    return Response.json(
        {
            "_id": "6500000000000000000000aa",
            "id": repository.id,
            "author": repository.id.partition("/")[0],
            "sha": commit.id,
            "createdAt": list(repository.history(commit))[-1].date,
            "lastModified": commit.date,
            "private": repository.private,
            "gated": repository.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [file.sibling(blobs) for file in commit.files.values()],
        }
        | ({"modelId": repository.id} if repository.kind == "model" else {})
    )


def _tree(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository, commit = _at(hub.state, request, match)
    folder = unquote(match["path"] or "").strip("/")
    entries = commit.tree(folder, request.query.get("recursive", "").lower() == "true")
    if entries is None:
        message = f'{folder} does not exist on "{unquote(match["revision"])}"'
        raise refused(404, message, "EntryNotFound")
    expand = request.query.get("expand", "").lower() == "true"
    return _page(hub, request, _expanded(repository, commit, entries) if expand else entries)


def _paths_info(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository, commit = _at(hub.state, request, match)
    paths, expand = _asked_paths(request)
    found = [info for path in paths if (info := commit.path_info(path))]
    return Response.json(_expanded(repository, commit, found) if expand else found)


def _asked_paths(request: Request) -> tuple[list[str], bool]:
    """The paths, and whether to expand: in JSON as JavaScript sends them, or in a form."""
    if request.headers.get("content-type", "").startswith("application/json"):
        asked = request.json()
        return asked["paths"], bool(asked.get("expand"))
    form = parse_qs(request.read().decode())
    return form.get("paths", []), form.get("expand", [""])[0].lower() == "true"


def _refs(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _repository(hub.state, request, match)
    answer = {
        "branches": repository.refs_under("refs/heads/"),
        "converts": repository.refs_under("refs/convert/"),
        "tags": repository.refs_under("refs/tags/"),
    }
    if request.query.get("include_prs"):
        answer["pullRequests"] = repository.refs_under("refs/pr/")
    return Response.json(answer)


def _commits(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository, commit = _at(hub.state, request, match)
    return _page(hub, request, [each.summary() for each in repository.history(commit)])


def _resolve(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.readable(request, *named(match))
    commit = hub.state.at(repository, unquote(match["revision"]))
    path = unquote(match["path"])
    headers = {"X-Repo-Commit": commit.id}
    file = commit.files.get(path)
    if file is None:
        raise refused(404, "Entry not found", "EntryNotFound", headers)
    if not file.lfs:
        name = quote(path.rpartition("/")[2], errors="replace")
        headers["Content-Disposition"] = f"inline; filename*=UTF-8''{name};"
        return serve(request, file.content, headers | {"ETag": f'"{file.blob_id}"'})
    if hub.state.cdn_url is None:
        at = hub.state.object_path(repository, commit, path)
        location = hub.cdn.url + hub.state.signed("GET", at, path.rpartition("/")[2])
    else:
        location = f"{hub.state.cdn_url}/{repository.id}/{quote(path)}"
    headers |= {
        "Location": location,
        "ETag": f'"{file.sha256}"',
        "X-Linked-Etag": f'"{file.sha256}"',
        "X-Linked-Size": str(file.size),
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Response.of(f"Found. Redirecting to {location}".encode(), 302, headers)


def read_object(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    """The CDN's part of a download: the bytes of an LFS file behind a signed URL."""
    hub.state.check_signed(request)
    if request.quoted_path not in hub.state.objects:
        raise Refused(Response(404))
    commit, path = hub.state.objects[request.quoted_path]
    disposition = request.query.get("response-content-disposition", "inline")
    return serve(request, commit.files[path].content, {"Content-Disposition": disposition})


def _repository(state: HubState, request: Request, match: re.Match[str]) -> Repository:
    return state.visible(request, *named(match))


def _at(state: HubState, request: Request, match: re.Match[str]) -> tuple[Repository, Commit]:
    repository = _repository(state, request, match)
    return repository, state.at(repository, unquote(match.groupdict().get("revision") or "main"))


def _expanded(
    repository: Repository, commit: Commit, entries: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The entries with the commit that last changed each."""
    history = list(repository.history(commit))
    expanded = []
    for entry in entries:
        changed = commit
        for older in history if entry["type"] == "file" else ():
            if older.files.get(entry["path"]) is not commit.files[entry["path"]]:
                break
            changed = older
        summary = changed.summary()
        last = {key: summary[key] for key in ("id", "title", "date")}
        expanded.append(entry | {"lastCommit": last})
    return expanded


def _page(hub: Hub, request: Request, entries: list[dict[str, Any]]) -> Response:
    """One page of a listing, with the Link header to the next."""
    limit = min(int(request.query.get("limit", hub.state.page_size)), hub.state.page_size)
    cursor = request.query.get("cursor")
    start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    headers = {}
    if start + limit < len(entries):
        following = base64.urlsafe_b64encode(b"%d" % (start + limit)).decode()
        query = urlencode(request.query | {"limit": limit, "cursor": following})
        headers["Link"] = f'<{hub.api.url}{request.quoted_path}?{query}>; rel="next"'
    return Response.json(entries[start : start + limit], headers=headers)


READING = [
    Route("GET", r"/api/whoami-v2", _whoami),
    Route("GET", rf"{API}/revision/{REVISION}", _info),
    Route("GET", rf"{API}/tree/{REVISION}(?:/(?P<path>.*))?", _tree),
    Route("POST", rf"{API}/paths-info/{REVISION}", _paths_info),
    Route("GET", rf"{API}/refs", _refs),
    Route("GET", rf"{API}/commits/{REVISION}", _commits),
    Route("GET", rf"/api/(?P<kind>model|dataset|space)s/{ID}", _info),
    Route("GET", _FILE.pattern, _resolve),
]
