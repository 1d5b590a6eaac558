"""The Hub's writing endpoints: repositories, references, commits, and uploads to LFS."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from typing import Any
from urllib.parse import unquote

from pathspec import GitIgnoreSpec

from tests.peers.content import bytes_of, size_of
from tests.peers.hub_repository import LFS_SUFFIXES, File, Kind, Repository, StoredFile, goes_to_lfs
from tests.peers.hub_routes import API, REVISION, WEB, Hub, Route, named
from tests.peers.hub_state import Refused, refused
from tests.peers.wire import Request, Response


def _create(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    hub.state.require_member(request)
    wanted = request.json()
    kind, repo_id = _wanted(wanted)
    existing = hub.state.repositories.get((kind, repo_id))
    if existing:
        answer = {"error": "You already created this repo", "url": hub.api.url + existing.web_path}
        return Response.json(answer, 409)
    private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
    repository = hub.state.create(kind, repo_id, private=private)
    attributes = "".join(f"*{suffix} filter=lfs -text\n" for suffix in LFS_SUFFIXES)
    first = {".gitattributes": File(attributes.encode())}
    hub.state.commit(repository, "refs/heads/main", first, title="initial commit")
    return Response.json({"url": hub.api.url + repository.web_path, "id": repo_id})


def _delete(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.writable(request, *_wanted(request.json()))
    del hub.state.repositories[repository.kind, repository.id]
    return Response.json({})


def _create_branch(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _repository(hub, request, match)
    start = request.json().get("startingPoint", "main")
    return _add_ref(hub, repository, f"refs/heads/{unquote(match['revision'])}", start)


def _create_tag(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _repository(hub, request, match)
    return _add_ref(
        hub, repository, f"refs/tags/{request.json()['tag']}", unquote(match["revision"])
    )


def _add_ref(hub: Hub, repository: Repository, ref: str, revision: str) -> Response:
    if ref in repository.refs:
        raise refused(409, f"Reference {ref} already exists")
    repository.refs[ref] = hub.state.at(repository, revision).id
    return Response.json({})


def _delete_ref(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _repository(hub, request, match)
    space = "heads" if match["what"] == "branch" else "tags"
    if repository.refs.pop(f"refs/{space}/{unquote(match['revision'])}", None) is None:
        raise refused(404, f"Invalid rev id: {unquote(match['revision'])}", "RevisionNotFound")
    return Response.json({})


def _validate_yaml(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    return Response.json({"errors": [], "warnings": []})


def _preupload(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _proposable(hub, request, match)
    present = hub.state.at(repository, unquote(match["revision"])).files
    asked = request.json()
    ignored = _ignored(asked.get("gitIgnore"), present)
    modes = []
    for wanted in asked["files"]:
        path = wanted["path"]
        mode = "lfs" if goes_to_lfs(path, wanted["size"]) else "regular"
        answer = {"path": path, "uploadMode": mode, "shouldIgnore": ignored.match_file(path)}
        if path in present:
            answer["oid"] = present[path].sha256 if present[path].lfs else present[path].blob_id
        modes.append(answer)
    return Response.json({"files": modes})


def _ignored(told: str | None, present: dict[str, StoredFile]) -> GitIgnoreSpec:
    """What the client is to leave out: by the file that it sends, else by the one that is there."""
    if told is None:
        own = present.get(".gitignore")
        told = "" if own is None else bytes_of(own.content).decode()
    return GitIgnoreSpec.from_lines(told.splitlines())


def _commit(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = _proposable(hub, request, match)
    content = request.read()
    with hub.state.lock:  # Of two commits on one parent, one comes second.
        return _committed(hub, request, repository, unquote(match["revision"]), content)


def _committed(
    hub: Hub, request: Request, repository: Repository, revision: str, content: bytes
) -> Response:
    head = hub.state.at(repository, revision)
    ref = repository.full_ref(revision)
    if ref is None or ref.startswith("refs/tags/"):
        raise refused(400, f"{revision} is not a branch that can be committed to")
    lines = [json.loads(line) for line in content.splitlines() if line.strip()]
    header: dict[str, Any] = {}
    files: dict[str, File | None] = {}
    for line in lines:
        if line["key"] == "header":
            header = line["value"]
        else:
            files |= _operation(hub, head.files, line["key"], line["value"])
    parent = header.get("parentCommit", head.id)
    answer: dict[str, Any] = {"success": True}
    if request.query.get("create_pr"):
        number = len(repository.refs_under("refs/pr/")) + 1
        ref = f"refs/pr/{number}"
        # It begins at its parent, wherever the branch is by now.
        repository.refs[ref] = hub.state.at(repository, parent).id
        answer["pullRequestUrl"] = f"{hub.api.url}{repository.web_path}/discussions/{number}"
    elif parent != head.id:
        raise refused(412, "A commit has happened since. Please refresh and try again.")
    message = header.get("description", "")
    commit = hub.state.commit(repository, ref, files, title=header["summary"], message=message)
    url = f"{hub.api.url}{repository.web_path}/commit/{commit.id}"
    return Response.json(answer | {"commitOid": commit.id, "commitUrl": url})


def _operation(
    hub: Hub, present: dict[str, StoredFile], key: str, value: dict[str, Any]
) -> dict[str, File | None]:
    path = value["path"]
    match key:
        case "file":
            return {path: File(base64.b64decode(value["content"]), lfs=False)}
        case "lfsFile":
            return {path: _uploaded(hub, present, value["oid"])}
        case "deletedFile" if path in present:
            return {path: None}
        case "deletedFolder":
            return {name: None for name in present if name.startswith(path.rstrip("/") + "/")}
    raise refused(404, "A file with this name doesn't exist", "EntryNotFound")


def _uploaded(hub: Hub, present: dict[str, StoredFile], oid: str) -> File:
    if oid in hub.state.uploads:
        return File(hub.state.uploads[oid], lfs=True, sha256=oid)
    for file in present.values():
        if file.lfs and file.sha256 == oid:
            return File(file.content, lfs=True, sha256=oid)
    raise refused(400, f"LFS pointer pointed to a file that does not exist: {oid}")


def _batch(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    repository = hub.state.visible(request, *named(match))
    announced = request.json()
    # Without a branch it is for a pull request, which anybody may make.
    hub.state.require_member(request, proposing="ref" not in announced)
    objects = []
    for wanted in announced["objects"]:
        answer = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
        if wanted["oid"] not in hub.state.uploads:
            at = hub.cdn.url + hub.state.signed("PUT", f"/uploads/{wanted['oid']}")
            verify = f"{hub.api.url}{repository.web_path}.git/info/lfs/objects/verify"
            answer["actions"] = {"upload": {"href": at}, "verify": {"href": verify}}
        objects.append(answer)
    return Response.json({"transfer": "basic", "objects": objects})


def write_object(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    """The CDN's part of an upload: take the bytes, if they are those that were announced."""
    hub.state.check_signed(request)
    digest = hashlib.sha256()
    path = hub.state.folder / secrets.token_hex(16)
    with path.open("wb") as file:
        for block in request.body:
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != match["oid"]:
        path.unlink()
        raise Refused(Response.of(b"<Error><Code>BadDigest</Code></Error>", 400))
    hub.state.uploads[match["oid"]] = path
    return Response()


def _verify(hub: Hub, request: Request, match: re.Match[str]) -> Response:
    hub.state.visible(request, *named(match))
    hub.state.require_member(request, proposing=True)
    wanted = request.json()
    content = hub.state.uploads.get(wanted["oid"])
    if content is None or size_of(content) != wanted["size"]:
        raise refused(404, f"LFS object {wanted['oid']} was not uploaded")
    return Response.json({})


def _wanted(body: dict[str, Any]) -> tuple[Kind, str]:
    return body.get("type") or "model", f"{body.get('organization') or 'member'}/{body['name']}"


def _proposable(hub: Hub, request: Request, match: re.Match[str]) -> Repository:
    """The repository, if the caller may change it, or is about to propose a change."""
    repository = hub.state.visible(request, *named(match))
    hub.state.require_member(request, proposing=bool(request.query.get("create_pr")))
    return repository


def _repository(hub: Hub, request: Request, match: re.Match[str]) -> Repository:
    return hub.state.writable(request, *named(match))


WRITING = [
    Route("POST", r"/api/repos/create", _create),
    Route("DELETE", r"/api/repos/delete", _delete),
    Route("POST", r"/api/validate-yaml", _validate_yaml),
    Route("POST", rf"{API}/branch/{REVISION}", _create_branch),
    Route("POST", rf"{API}/tag/{REVISION}", _create_tag),
    Route("DELETE", rf"{API}/(?P<what>branch|tag)/{REVISION}", _delete_ref),
    Route("POST", rf"{API}/preupload/{REVISION}", _preupload),
    Route("POST", rf"{API}/commit/{REVISION}", _commit),
    Route("POST", rf"{WEB}\.git/info/lfs/objects/batch", _batch),
    Route("POST", rf"{WEB}\.git/info/lfs/objects/verify", _verify),
]
