"""What the Hub stand-in knows: repositories, who may see them, uploads, and signed URLs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from tests.peers.content import Content
from tests.peers.hub_repository import Commit, File, Gated, Kind, Repository, StoredFile
from tests.peers.wire import Request, Response

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_serial = count(1)


class Refused(Exception):  # noqa: N818 - carries an answer, not a failure
    """Raised while a request is being answered, with the answer that ends it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def refused(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Refused:
    """A refusal in the Hub's words: X-Error-Code, X-Error-Message and a JSON body."""
    told = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return Refused(Response.json({"error": message}, status, told | dict(headers or {})))


@dataclass
class HubState:
    """The data behind both origins.

    token belongs to a member of every organisation; outsider_token to a user who may see neither
    private nor gated repositories. page_size: entries of one page of a tree listing.
    url_seconds: how long a signed URL is good for. cdn_url: another server that has the LFS files
    at /{id}/{path}, to which they are redirected in place of the CDN origin.
    """

    folder: Path
    token: str = field(default_factory=lambda: f"hf_{secrets.token_hex(17)}")
    outsider_token: str = field(default_factory=lambda: f"hf_{secrets.token_hex(17)}")
    page_size: int = 1000
    url_seconds: float = 3600
    cdn_url: str | None = None
    repositories: dict[tuple[Kind, str], Repository] = field(default_factory=dict)
    renamed: dict[tuple[Kind, str], str] = field(default_factory=dict)
    uploads: dict[str, Content] = field(default_factory=dict)
    objects: dict[str, tuple[Commit, str]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def create(
        self, kind: Kind, repo_id: str, *, private: bool = False, gated: Gated = False
    ) -> Repository:
        """A new repository, without a commit."""
        with self.lock:
            if (kind, repo_id) in self.repositories:
                raise ValueError(f"the {kind} {repo_id} exists already")
            repository = Repository(kind, repo_id, private, gated)
            self.repositories[kind, repo_id] = repository
            return repository

    def commit(
        self,
        repository: Repository,
        ref: str,
        files: Mapping[str, File | None],
        *,
        title: str = "commit",
        message: str = "",
        commit_id: str | None = None,
    ) -> Commit:
        """Put files (None deletes) on top of a reference, and move the reference there."""
        with self.lock:
            parent = repository.refs.get(ref)
            stored = dict(repository.commits[parent].files) if parent else {}
            for path, file in files.items():
                if file is None:
                    del stored[path]
                else:
                    stored[path] = StoredFile(path, file)
            serial = next(_serial)
            commit = Commit(
                commit_id or hashlib.sha1(b"commit %d" % serial, usedforsecurity=False).hexdigest(),
                parent,
                dict(sorted(stored.items())),
                title,
                message,
                f"{_EPOCH + timedelta(minutes=serial):%Y-%m-%dT%H:%M:%S.000Z}",
            )
            repository.commits[commit.id] = commit
            repository.refs[ref] = commit.id
            return commit

    def caller(self, request: Request) -> Literal["anonymous", "outsider", "member"]:
        """Who asks.

        Raises:
            Refused: the token is not one of ours.
        """
        header = request.headers.get("authorization")
        if header is None:
            return "anonymous"
        token = header.removeprefix("Bearer ")
        if token == self.token:
            return "member"
        if token == self.outsider_token:
            return "outsider"
        raise refused(401, "Invalid credentials in Authorization header")

    def visible(self, request: Request, kind: Kind, repo_id: str) -> Repository:
        """The repository, if the caller may know of it.

        Raises:
            Refused: 401 or 404 if not, 307 to the new name if it was renamed.
        """
        caller = self.caller(request)
        if new_id := self.renamed.get((kind, repo_id)):
            location = request.target.replace(f"/{repo_id}", f"/{new_id}", 1)
            raise Refused(Response(307, {"Location": location}))
        repository = self.repositories.get((kind, repo_id))
        if repository is None or (repository.private and caller != "member"):
            if caller == "anonymous":
                raise refused(401, "Invalid username or password.", "RepoNotFound")
            raise refused(404, "Repository not found", "RepoNotFound")
        return repository

    def readable(self, request: Request, kind: Kind, repo_id: str) -> Repository:
        """The repository, if the caller may have its files.

        Raises:
            Refused: it is not visible, or gated.
        """
        repository = self.visible(request, kind, repo_id)
        caller = self.caller(request)
        if repository.gated and caller == "anonymous":
            message = f"Access to {kind} {repo_id} is restricted. Please log in."
            raise refused(401, message, "GatedRepo")
        if repository.gated and caller == "outsider":
            message = f"Access to {kind} {repo_id} is restricted; you are not on its list."
            raise refused(403, message, "GatedRepo")
        return repository

    def writable(self, request: Request, kind: Kind, repo_id: str) -> Repository:
        """The repository, if the caller may change it.

        Raises:
            Refused: it is not visible, or not the caller's.
        """
        repository = self.visible(request, kind, repo_id)
        self.require_member(request)
        return repository

    def require_member(self, request: Request, *, proposing: bool = False) -> None:
        """Refuse who may not write; a pull request may be made by every user.

        Raises:
            Refused: 401 or 403.
        """
        caller = self.caller(request)
        if caller == "anonymous":
            raise refused(401, "Invalid username or password.")
        if caller == "outsider" and not proposing:
            raise refused(403, "You don't have the rights to write here")

    def at(self, repository: Repository, revision: str) -> Commit:
        """The commit of a revision.

        Raises:
            Refused: there is none.
        """
        commit = repository.commit(revision)
        if commit is None:
            raise refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def object_path(self, repository: Repository, commit: Commit, path: str) -> str:
        """Where the CDN has an LFS file, from the slash on."""
        store = hashlib.sha256(repository.web_path.encode()).hexdigest()
        name = hashlib.sha256(f"{commit.id}/{path}".encode("utf-8", "surrogatepass")).hexdigest()
        at = f"/repos/{store[:2]}/{store[2:4]}/{store}/{name}"
        self.objects[at] = commit, path
        return at

    def signed(self, method: str, path: str, filename: str = "") -> str:
        """`path` with a query that lets `method` through for a while."""
        expires = str(time.time() + self.url_seconds)
        disposition = f"inline; filename*=UTF-8''{quote(filename, errors='replace')};"
        query = {"response-content-disposition": disposition} if filename else {}
        query |= {"Expires": expires, "Signature": self._signature(method, path, expires)}
        return f"{path}?{urlencode(query)}&Key-Pair-Id=STANDIN"

    def check_signed(self, request: Request) -> None:
        """Refuse a URL that was not signed here, or has expired.

        Raises:
            Refused: 403, as a CDN says it.
        """
        expires = request.query.get("Expires", "0")
        method = "GET" if request.method == "HEAD" else request.method
        expected = self._signature(method, request.quoted_path, expires)
        signed = hmac.compare_digest(expected, request.query.get("Signature", ""))
        if not signed or float(expires) < time.time():
            body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
            raise Refused(Response.of(body, 403, {"Content-Type": "application/xml"}))

    def _signature(self, method: str, path: str, expires: str) -> str:
        text = f"{method} {path} {expires}".encode()
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()
