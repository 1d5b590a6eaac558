"""Repositories of the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from oms_gate.errors import ConfigError, StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.connections import PORTS
from oms_gate.stores.http import Answer, HttpReader, RemoteFile, origin
from oms_gate.stores.snapshot import Snapshot, StoredFile, listed, too_many
from oms_gate.stores.store import StoreSettings, unusable, within
from oms_gate.verdict import ReasonCode

T = TypeVar("T")

_KINDS = ("datasets", "spaces")
_OPTIONS = {"endpoint", "token"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT_PAGE = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?')


class HubStore:
    """The Hub, or a server that speaks its protocol (``HF_ENDPOINT``).

    A branch or tag is resolved to a commit once; everything after names the commit. Large files
    have a SHA-256 in the listing, which is their declared digest.

    Endpoint and token are huggingface_hub's; what they are used for is not, as that library
    takes both to wherever an answer leads, and reads answers of any length.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        options = settings.options.get("hf", {})
        if unknown := options.keys() - _OPTIONS:
            raise ConfigError(f"hf:// has no option '{min(unknown)}'; it has endpoint and token")
        self._endpoint = str(options.get("endpoint") or constants.ENDPOINT).rstrip("/")
        try:
            parts = urlsplit(self._endpoint)
            if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
                raise ValueError(f"{self._endpoint} is no web address")
            headers = build_hf_headers(token=options.get("token"))
        except (OSError, ValueError) as error:
            raise unusable("hf", error) from error
        self._headers = {
            name: value for name, value in headers.items() if name.lower() == "authorization"
        }
        self._limits = limits
        self._hosts = frozenset({parts.hostname, *settings.private_hosts})

    def snapshot(self, reference: Reference) -> Snapshot:
        """See `Store.snapshot`."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE:
            raise StoreError(
                ReasonCode.STORE_UNAVAILABLE,
                "HF_HUB_OFFLINE is set, so the Hub is not asked; verify the local folder instead",
            )
        reader = HttpReader(self._limits, self._hosts)
        listing = _Listing(reference, self._endpoint, self._headers, reader, self._limits)
        commit, files, single = within(self._limits.listing_seconds, listing.read, reader.abort)
        root = reference.path.rpartition("/")[0] if single else reference.path
        kind, repository = _repository(reference)
        base = f"{self._endpoint}/{'' if kind == 'models' else kind + '/'}{repository}"
        base = f"{base}/resolve/{commit}/{quote(root) + '/' if root else ''}"

        def read_range(file: StoredFile, start: int, end: int | None) -> Iterator[bytes]:
            expected = {"X-Repo-Commit": commit}
            if file.sha256 is not None:
                expected |= {"X-Linked-Etag": file.sha256, "X-Linked-Size": str(file.size)}
            remote = RemoteFile(
                file.path,
                lambda: base + quote(file.path),
                headers=self._headers,
                size=file.size,
                expected=expected,
            )
            return reader.chunks(remote, start, end)

        return Snapshot(
            reference.at(commit),
            listed(files, self._limits),
            single,
            read_range,
            reader.abort,
            reader.close,
        )


@dataclass
class _Listing:
    """One listing: its requests, and what is believed of their answers."""

    reference: Reference
    endpoint: str
    headers: Mapping[str, str]
    reader: HttpReader
    limits: Limits
    api: str = field(init=False)
    exists: bool = False  # as an answer about the repository has shown

    def __post_init__(self) -> None:
        kind, repository = _repository(self.reference)
        self.api = f"{self.endpoint}/api/{kind}/{repository}"

    def read(self) -> tuple[str, list[StoredFile], bool]:
        """The commit, its files at or below the reference's path, and whether that is a file."""
        commit, path = self._commit(), self.reference.path
        if path:
            form = {"paths": path, "expand": "false"}
            found = self._json(self._ask(f"{self.api}/paths-info/{commit}", form), list)
            if not found:
                raise self._error(ReasonCode.STORE_NOT_FOUND, f"has no {path}")
            name, file = self._entry(found[0])
            if name != path or len(found) > 1:
                raise self._malformed(f"was asked for {path} and names others")
            if file is not None:
                return commit, [_moved(file, path.rpartition("/")[2])], True
        return commit, self._tree(commit, path + "/" if path else ""), False

    def _commit(self) -> str:
        revision = self.reference.revision
        url = self.api if revision is None else f"{self.api}/revision/{quote(revision, safe='')}"
        info = self._json(self._ask(url), dict)
        self.exists = True
        commit, found = info.get("sha"), info.get("id")
        _, repository = _repository(self.reference)
        if found != repository:
            if not isinstance(found, str):
                raise self._malformed("does not say which repository it is of")
            raise StoreError(
                ReasonCode.STORE_RENAMED,
                f"the Hub answers for {repository} with {found}: it was renamed or moved; "
                "use the new name, if that is the publisher you mean",
            )
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise self._malformed("does not say at which commit it is")
        named = (revision or "").lower()
        if _COMMIT.fullmatch(named) and commit != named:
            raise self._error(
                ReasonCode.STORE_CHANGED, f"was asked for that commit and gave {commit}"
            )
        return commit

    def _tree(self, commit: str, prefix: str) -> list[StoredFile]:
        at = f"{self.api}/tree/{commit}"
        folder = f"/{quote(prefix.removesuffix('/'))}" if prefix else ""
        url: str | None = f"{at}{folder}?recursive=True&expand=False"
        files: list[StoredFile] = []
        count = 0
        while url is not None:
            answer = self._ask(url)
            page = self._json(answer, list)
            url = self._next_page(answer)
            if url is not None and not page:
                raise self._malformed("goes on after a page without entries")
            count += len(page)
            # Folders count too: a server may invent them without end.
            if count > self.limits.files:
                raise too_many(self.limits)
            for path, file in map(self._entry, page):
                if not path.startswith(prefix):
                    raise self._malformed(f"was asked for {prefix} and names others")
                if file is not None:
                    files.append(_moved(file, path.removeprefix(prefix)))
        return files

    def _next_page(self, answer: Answer) -> str | None:
        """Its URL, where the store's own origin has it: the token goes there too."""
        match = _NEXT_PAGE.search(answer.headers.get("Link", ""))
        if match is None:
            return None
        try:
            url: str = urljoin(self.endpoint, match[1])
            if origin(url) == origin(self.endpoint):
                return url
        except ValueError:
            pass
        raise self._malformed("goes on at another server")

    def _ask(self, url: str, form: Mapping[str, str] | None = None) -> Answer:
        file = RemoteFile(self.reference.url, lambda: url, headers=self.headers)
        answer = self.reader.answer(file, form)
        if answer.status != 200:
            raise self._refusal(answer.status, answer.headers)
        return answer

    def _json(self, answer: Answer, kind: type[T]) -> T:
        try:
            content = json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise self._malformed("is no JSON") from error
        if not isinstance(content, kind):
            raise self._malformed("is no listing")
        return content

    def _entry(self, entry: Any) -> tuple[str, StoredFile | None]:
        """The path of an entry of a tree, and its file if it is none of a folder."""
        match entry:
            case {"type": "directory", "path": str(path)}:
                return path, None
            case {"type": "file", "path": str(path), "oid": str(oid), "size": int(size)} if (
                size >= 0 and not isinstance(size, bool)
            ):
                match entry.get("lfs"):
                    case None:
                        return path, StoredFile(path, size, version=oid)
                    case {"oid": str(sha256)} if _SHA256.fullmatch(sha256):
                        return path, StoredFile(path, size, sha256=sha256, version=sha256)
        raise self._malformed("has an entry that is none of a file or folder")

    def _refusal(self, status: int, headers: Mapping[str, str]) -> StoreError:
        code, name = headers.get("X-Error-Code"), self.reference.url
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
            return self._error(
                ReasonCode.STORE_NOT_FOUND, f"has no {self.reference.path or 'files'}"
            )
        # To strangers it is 401, whether the repository is private or not there at all.
        token_refused = "invalid" in headers.get("X-Error-Message", "").lower()
        absent = status == 404 or (status == 401 and not self.exists and not token_refused)
        if code == "RepoNotFound" or absent:
            return StoreError(
                ReasonCode.STORE_NOT_FOUND,
                f"{self.endpoint} has no repository {name}, or its token (HF_TOKEN) may not see it",
            )
        if status in (401, 403):
            return StoreError(
                ReasonCode.STORE_FORBIDDEN,
                f"{self.endpoint} refuses access to {name} (HTTP {status}); check HF_TOKEN",
            )
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{self.endpoint} answered HTTP {status} for {name}; check HF_ENDPOINT, or tell the "
            "operator of that server",
        )

    def _error(self, code: ReasonCode, what: str) -> StoreError:
        return StoreError(
            code,
            f"the repository of {self.reference.url} {what}; check the reference, try again",
        )

    def _malformed(self, what: str) -> StoreError:
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the answer of {self.endpoint} for {self.reference.url} {what}; tell the operator of "
            "that server",
        )


def _repository(reference: Reference) -> tuple[str, str]:
    """The kind of repository, as its API says it, and its name."""
    first, _, rest = reference.location.partition("/")
    return (first, rest) if first in _KINDS else ("models", reference.location)


def _moved(file: StoredFile, path: str) -> StoredFile:
    return StoredFile(path, file.size, file.sha256, file.version)
