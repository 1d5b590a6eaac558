"""Writing a file to the Hub: one commit on top of the commit that was listed, or none.

The Hub's own client is not used for it either: it takes the token to wherever an answer says that
an upload is to be confirmed, waits for ever, and leaves out what a `.gitignore` names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from oms_gate.errors import StoreError, UsageError
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import PORTS, Body, origin
from oms_gate.stores.hub_api import COMMIT, HubApi
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.snapshot import Written
from oms_gate.stores.store import in_short
from oms_gate.verdict import printable

_JSON = "application/json"
_LFS_JSON = "application/vnd.git-lfs+json"
_LINES = "application/x-ndjson"
# By the first bytes of a file the Hub can tell text from what belongs into LFS.
_SAMPLE_BYTES = 512
_STORED = (200, 201)


@dataclass(frozen=True)
class HubCommit:
    """One file that is to be committed, by a reader that neither tries again nor is redirected.

    parent: the commit that was listed; the branch must still be there, but for a pull request,
        which begins at that commit.
    path: of the file, inside the repository.
    """

    api: HubApi
    parent: str
    path: str
    content: bytes
    message: str
    pull_request: bool

    def write(self) -> Written:
        """Commit the file.

        Raises:
            StoreError: the branch has moved, or the Hub refuses or fails.
            UsageError: the reference names no branch.
        """
        branch = self.branch()
        lines = [self._header(), self._operation(branch)]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        answer = self._post(self._url("commit", branch), Body(body, _LINES))
        match answer:
            case {"commitOid": str(commit)} if COMMIT.fullmatch(commit):
                at = replace(self.api.reference, path=self.path).at(commit)
                return Written(at.url, self._pull_request(answer) if self.pull_request else None)
        raise self.api.malformed("does not say which commit it made")

    def branch(self) -> str:
        """Which branch the reference names; a pull request for any other revision is for main.

        Raises:
            StoreError: the Hub refuses or fails.
            UsageError: the reference names no branch.
        """
        branch = self.api.branch()
        if self.pull_request:
            return "main" if branch is None or branch.startswith("refs/pr/") else branch
        if branch is not None:
            return branch
        raise UsageError(
            f"{self.api.reference.url} names a commit or a tag, to which nothing can be added; "
            "name a branch, or make a pull request"
        )

    def _header(self) -> dict[str, Any]:
        summary, _, description = self.message.partition("\n")
        return {
            "key": "header",
            "value": {
                "summary": summary,
                "description": description.strip(),
                "parentCommit": self.parent,
            },
        }

    def _operation(self, branch: str) -> dict[str, Any]:
        """What the commit does with the file, which is in LFS by then if that is its place."""
        sample = base64.b64encode(self.content[:_SAMPLE_BYTES]).decode()
        file = {"path": self.path, "sample": sample, "size": len(self.content)}
        answer = self._post(self._url("preupload", branch), _json({"files": [file]}))
        match answer:
            case {"files": [{"path": self.path, "uploadMode": "lfs"}]} if self.content:
                oid = self._upload(branch)
                value = {"path": self.path, "algo": "sha256", "oid": oid, "size": file["size"]}
                return {"key": "lfsFile", "value": value}
            case {"files": [{"path": self.path, "uploadMode": "lfs" | "regular"}]}:
                content = base64.b64encode(self.content).decode()
                value = {"path": self.path, "content": content, "encoding": "base64"}
                return {"key": "file", "value": value}
        raise self.api.malformed("does not say how to send a file")

    def _upload(self, branch: str) -> str:
        """Put the content into LFS, if it is not there already; its SHA-256."""
        oid = hashlib.sha256(self.content).hexdigest()
        known = {"oid": oid, "size": len(self.content)}
        wanted: dict[str, Any] = {
            "operation": "upload",
            "transfers": ["basic"],
            "objects": [known],
            "hash_algo": "sha256",
        }
        if not self.pull_request:  # For which one need not be allowed to write to the branch.
            wanted["ref"] = {"name": branch}
        batch = f"{self.api.page}.git/info/lfs/objects/batch"
        match self._post(batch, _json(wanted, _LFS_JSON)).get("objects"):
            case [{"oid": str(found), **answer}] if found == oid and "error" not in answer:
                actions = answer.get("actions")
            case [{"error": {"message": str(said)}}]:
                raise StoreError(
                    ReasonCode.STORE_PROTOCOL,
                    f"the Hub refuses {self.path} for its store of large files: "
                    f"'{in_short(said)}'; correct that, or name a local file with --output",
                    path=self.path,
                )
            case _:
                raise self.api.malformed("does not say where to put a file")
        match actions:
            case None:  # Such a content is there already.
                return oid
            case {"upload": {"href": str(place)}, **others} if _is_web_address(place):
                self._put(place)
            case _:
                raise self.api.malformed("does not say where to put a file")
        match others.get("verify"):
            case None:
                pass
            case {"href": str(place)} if _is_web_address(place) and origin(place) == origin(
                self.api.endpoint
            ):
                self.api.ask(place, _json(known, _LFS_JSON))
            case _:
                raise self.api.malformed("has an upload confirmed at another server")
        return oid

    def _put(self, place: str) -> None:
        """Send the content to where the Hub keeps it, and no credentials with it."""
        file = RemoteFile(self.path, lambda: place)
        answer = self.api.reader.answer(file, Body(self.content, method="PUT"))
        if answer.status not in _STORED:
            raise StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"the Hub's own store of large files refused {self.path} (HTTP {answer.status}); "
                "try again, or name a local file with --output",
                path=self.path,
            )

    def _pull_request(self, answer: dict[str, Any]) -> str:
        page = answer.get("pullRequestUrl")
        if not isinstance(page, str) or not _is_web_address(page):
            raise self.api.malformed("does not say which pull request it made")
        return printable(page)

    def _url(self, action: str, branch: str) -> str:
        proposal = "?create_pr=1" if self.pull_request else ""
        return f"{self.api.url}/{action}/{quote(branch, safe='')}{proposal}"

    def _post(self, url: str, body: Body) -> dict[str, Any]:
        return self.api.content(self.api.ask(url, body), dict)


def _json(content: object, media_type: str = _JSON) -> Body:
    return Body(json.dumps(content).encode(), media_type)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
