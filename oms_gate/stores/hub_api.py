"""One model's interface on the Hub: requests to it, and what is believed of their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.connections import Body, origin
from oms_gate.stores.http import Answer, HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.store import in_short

T = TypeVar("T")

COMMIT = re.compile(r"[0-9a-f]{40}")

_KINDS = ("datasets", "spaces")
_NEXT_PAGE = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?')


@dataclass
class HubApi:
    """What is asked about one model, at the endpoint that the operator configured.

    headers: the token's, which go to the endpoint alone.
    exists: whether an answer about the repository has shown that it is there.
    """

    reference: Reference
    endpoint: str
    headers: Mapping[str, str]
    reader: HttpReader
    exists: bool = False

    @property
    def kind(self) -> str:
        """What the repository is to huggingface_hub: ``model``, ``dataset`` or ``space``."""
        return _kind_and_name(self.reference)[0].removesuffix("s")

    @property
    def repository(self) -> str:
        """The repository's name."""
        return _kind_and_name(self.reference)[1]

    @property
    def page(self) -> str:
        """The URL of the repository itself, below which are its files."""
        kind, name = _kind_and_name(self.reference)
        return f"{self.endpoint}/{'' if kind == 'models' else kind + '/'}{name}"

    @property
    def url(self) -> str:
        """The URL of the repository's interface."""
        return "/".join((self.endpoint, "api", *_kind_and_name(self.reference)))

    def ask(self, url: str, body: Body | None = None) -> Answer:
        """The answer of the endpoint, which is 200.

        Raises:
            StoreError: it refuses, or fails.
        """
        file = RemoteFile(self.reference.url, lambda: url, headers=self.headers)
        answer = self.reader.answer(file, body)
        if answer.status != 200:
            raise self.refusal(answer.status, answer.headers)
        return answer

    def pages(self, url: str, kind: type[T]) -> Iterator[T]:
        """The JSON of an answer, and of those that follow it, where it is a list in pages.

        Raises:
            StoreError: as `ask`, `content` and `_next_page`.
        """
        following: str | None = url
        while following is not None:
            answer = self.ask(following)
            page = self.content(answer, kind)
            following = self._next_page(answer)
            if following is not None and not page:
                raise self.malformed("goes on after a page without entries")
            yield page

    def _next_page(self, answer: Answer) -> str | None:
        """The URL of a list's next page, where the endpoint has it: the token goes there too.

        Raises:
            StoreError: it is at another server.
        """
        match = _NEXT_PAGE.search(answer.headers.get("Link", ""))
        if match is None:
            return None
        try:
            url: str = urljoin(self.endpoint, match[1])
            if origin(url) == origin(self.endpoint):
                return url
        except ValueError:
            pass
        raise self.malformed("goes on at another server")

    def branch(self) -> str | None:
        """Which branch or pull request the reference names; None where it is a commit or a tag.

        Raises:
            StoreError: the Hub refuses or fails.
        """
        revision = self.reference.revision
        if revision is None:
            return "main"
        if revision.startswith("refs/pr/"):
            return revision
        refs = self.content(self.ask(f"{self.url}/refs"), dict)
        branches = refs.get("branches")
        named = isinstance(branches, list) and any(
            isinstance(branch, dict) and branch.get("name") == revision for branch in branches
        )
        return revision if named else None

    def content(self, answer: Answer, kind: type[T]) -> T:
        """The JSON of an answer, which is one list or one object.

        Raises:
            StoreError: it is not.
        """
        try:
            content = json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise self.malformed("is no JSON") from error
        if not isinstance(content, kind):
            raise self.malformed("is not what was asked for")
        return content

    def error(self, code: ReasonCode, what: str) -> StoreError:
        """The error for a repository that is not as it was referred to."""
        return StoreError(
            code,
            f"the repository of {self.reference.url} {what}; check the reference, try again",
        )

    def malformed(self, what: str) -> StoreError:
        """The error for an answer that is none."""
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the answer of {self.endpoint} for {self.reference.url} {what}; tell the operator of "
            "that server",
        )

    def refusal(self, status: int, headers: Mapping[str, str]) -> StoreError:
        """The error for an answer other than 200."""
        code, name = headers.get("X-Error-Code"), self.reference.url
        said = headers.get("X-Error-Message", "")
        # Some servers say which token they do not like.
        for credentials in self.headers.values():
            said = said.replace(credentials.rpartition(" ")[2], "***")
        why = f": '{in_short(said)}'" if said else ""
        if "X-OMS-Gate-Verdict" in headers:
            return StoreError(
                ReasonCode.STORE_FORBIDDEN,
                f"the gateway at {self.endpoint} does not give {name}{why}; ask its operator",
            )
        if code == "GatedRepo":
            return StoreError(
                ReasonCode.STORE_GATED,
                f"access to {name} must be requested from its publisher on the Hub first",
            )
        if code == "RevisionNotFound":
            return StoreError(
                ReasonCode.STORE_REVISION_NOT_FOUND,
                f"{name} names a revision that its repository lacks; check what follows '@'",
            )
        if code == "EntryNotFound":
            return self.error(
                ReasonCode.STORE_NOT_FOUND, f"has no {self.reference.path or 'files'}"
            )
        # To strangers it is 401, whether the repository is private or not there at all.
        token_refused = "invalid" in said.lower()
        absent = status == 404 or (status == 401 and not self.exists and not token_refused)
        if code == "RepoNotFound" or absent:
            return StoreError(
                ReasonCode.STORE_NOT_FOUND,
                f"{self.endpoint} has no repository {name}, or its token (HF_TOKEN) may not see it",
            )
        if status in (401, 403):
            return StoreError(
                ReasonCode.STORE_FORBIDDEN,
                f"{self.endpoint} refuses access to {name} (HTTP {status}{why}); check HF_TOKEN, "
                "and what it may do",
            )
        if status == 412:
            return self.error(ReasonCode.STORE_CHANGED, "was changed after it was listed")
        cure = "correct that, or" if why else "check HF_ENDPOINT, or"
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{self.endpoint} answered HTTP {status} for {name}{why}; {cure} tell the operator of "
            "that server",
        )


def _kind_and_name(reference: Reference) -> tuple[str, str]:
    """The kind of repository, as its interface says it, and its name."""
    first, _, rest = reference.location.partition("/")
    return (first, rest) if first in _KINDS else ("models", reference.location)
