"""Repositories of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from oms_gate.errors import ConfigError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import HUB_HOSTS, Reference
from oms_gate.stores.connections import PORTS, Body
from oms_gate.stores.http import HttpReader
from oms_gate.stores.hub_api import COMMIT, HubApi
from oms_gate.stores.hub_writing import HubCommit
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.snapshot import Snapshot, StoredFile, Written, listed, too_many, unsafe
from oms_gate.stores.store import StoreSettings, unanswered, unusable, within

_OPTIONS = {"endpoint", "token"}
_FORM = "application/x-www-form-urlencoded"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HubStore:
    """The Hub, or a server that speaks its protocol (``HF_ENDPOINT``).

    A branch or tag is resolved to a commit once; everything after names the commit. Large files
    have a SHA-256 in the listing, which is their declared digest.

    Endpoint and token are huggingface_hub's; what they are used for is not, as that library
    takes both to wherever an answer leads, and reads answers of any length.

    endpoint: the URL of the server that is asked.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        options = settings.options.get("hf", {})
        if unknown := options.keys() - _OPTIONS:
            raise ConfigError(f"hf:// has no option '{min(unknown)}'; it has endpoint and token")
        self.endpoint = _endpoint(settings)
        try:
            parts = urlsplit(self.endpoint)
            if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
                raise ValueError(f"its endpoint (HF_ENDPOINT) {self.endpoint!r} is no web address")
            self._headers = _authorization(options.get("token"))
        except (OSError, ValueError) as error:
            raise unusable("hf", error) from error
        self._limits = limits
        self._hosts = frozenset({parts.hostname, *settings.private_hosts})

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """See `Store.snapshot`."""
        api = self.api(reference)
        listing = _Listing(api, self._limits, beside)
        commit, files, single = within(self._limits.listing_seconds, listing.read, api.reader.abort)
        return self._snapshot(api, commit, listed(files, self._limits), single)

    def resolve(self, reference: Reference) -> Reference:
        """The same model at the commit that its revision names now, by one request.

        Raises:
            StoreError: see `Store.snapshot`.
        """
        return self.describe(reference)[0]

    def describe(self, reference: Reference) -> tuple[Reference, Mapping[str, Any]]:
        """The same model at its commit, and all that the Hub's interface says of the repository.

        Raises:
            StoreError: see `Store.snapshot`.
        """
        api = self.api(reference)
        try:
            listing = _Listing(api, self._limits, "")
            seconds = self._limits.listing_seconds
            commit, info = within(seconds, listing.described, api.reader.abort)
            return reference.at(commit), info
        finally:
            api.reader.close()

    def check_readable(self, reference: Reference, path: str) -> None:
        """See that a file of a repository at a commit may be read.

        Raises:
            StoreError: it may not, or is not there; or as `Store.snapshot`.
        """
        api = self.api(reference)
        url = f"{api.page}/resolve/{reference.revision}/{quote(path)}"
        try:
            api.reader.head(RemoteFile(path, lambda: url, headers=self._headers))
        finally:
            api.reader.close()

    def passed_on(self, reference: Reference, what: str, query: Mapping[str, str]) -> Any:
        """What the Hub's interface has at a path below a repository's: of a list all pages.

        It is JSON, and not checked.

        Raises:
            StoreError: see `Store.snapshot`.
        """
        api = self.api(reference)
        url = f"{api.url}/{what}" + (f"?{urlencode(query)}" if query else "")
        try:
            return within(
                self._limits.listing_seconds, lambda: self._whole(api, url), api.reader.abort
            )
        finally:
            api.reader.close()

    def who(self) -> Mapping[str, Any]:
        """What the Hub's interface says of whose token it is, unchecked JSON.

        Raises:
            StoreError: the Hub does not know the token, or fails.
        """
        api = self.api(Reference("hf", "whoami-v2"))
        url = f"{self.endpoint}/api/whoami-v2"
        try:
            file = RemoteFile(url, lambda: url, headers=self._headers)
            answer = within(
                self._limits.listing_seconds, lambda: api.reader.answer(file), api.reader.abort
            )
            if answer.status in (401, 403):
                raise StoreError(
                    ReasonCode.STORE_FORBIDDEN,
                    f"{self.endpoint} does not know this token; log in anew (hf auth login)",
                )
            if answer.status != 200:
                raise api.refusal(answer.status, answer.headers)
            return api.content(answer, dict)
        finally:
            api.reader.close()

    def history(self, reference: Reference, path: str) -> Generator[Snapshot]:
        """A file at a commit and at those before it, newest first: a listing of it alone for each.

        It is asked as it goes on. A snapshot can be read until the next one is asked for.

        reference: the repository, at that commit.

        Raises:
            StoreError: see `Store.snapshot`.
        """
        assert reference.revision is not None
        api = self.api(reference)
        listing = _Listing(api, self._limits, "")
        try:
            for commit in listing.commits(reference.revision):
                file = listing.entries(commit, [path]).get(path)
                yield self._snapshot(
                    api, commit, {} if file is None else {path: file}, single=False
                )
        finally:
            api.reader.close()

    def known(self, reference: Reference, files: Iterable[StoredFile]) -> Snapshot:
        """A repository or folder whose listing at a commit is known; nothing is asked for it.

        reference: at that commit.
        """
        assert reference.revision is not None
        api = HubApi(reference, self.endpoint, self._headers, HttpReader(self._limits, self._hosts))
        return self._snapshot(api, reference.revision, listed(files, self._limits), single=False)

    def _whole(self, api: HubApi, url: str) -> Any:
        entries: list[Any] = []
        for page in api.pages(url, object):
            if not isinstance(page, list):
                return page
            entries += page
            if len(entries) > self._limits.files:
                raise too_many(self._limits)
        return entries

    def api(self, reference: Reference) -> HubApi:
        """What is asked about one model; whoever asks closes its reader.

        Raises:
            StoreError: nothing is to be asked of the Hub.
        """
        _check_online()
        reader = HttpReader(self._limits, self._hosts)
        return HubApi(reference, self.endpoint, self._headers, reader)

    def _snapshot(
        self, api: HubApi, commit: str, files: Mapping[str, StoredFile], single: bool
    ) -> Snapshot:
        reference, reader = api.reference, api.reader
        root = reference.path.rpartition("/")[0] if single else reference.path
        prefix = root + "/" if root else ""
        base = f"{api.page}/resolve/{commit}/{quote(prefix)}"

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[memoryview]:
            _check_online()
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
            return reader.chunks(remote, start, end, buffer)

        def check_revision(pull_request: bool) -> None:
            if not self._headers:
                raise UsageError(
                    "nothing is written to the Hub without a token: set HF_TOKEN or run hf auth "
                    "login, with one that may write, or name a local file with --output"
                )
            HubCommit(api, commit, "", b"", "", pull_request).branch()

        def write_file(name: str, content: bytes, message: str, pull_request: bool) -> Written:
            # What is sent twice may be committed twice, and a redirect leads to another place.
            once = self._limits.model_copy(update={"retries": 0, "redirects": 0})
            writer = HttpReader(once, self._hosts)
            told = replace(api, reader=writer)
            change = HubCommit(told, commit, prefix + name, content, message, pull_request)
            try:
                with unanswered(name):
                    return within(self._limits.listing_seconds, change.write, writer.abort)
            finally:
                writer.close()

        return Snapshot(
            reference.at(commit),
            files,
            single,
            read_range,
            reader.abort,
            reader.close,
            write_file,
            check_revision,
            divisible=True,
            immutable=True,
        )


@dataclass(frozen=True)
class _Listing:
    """One listing: its requests, and what is believed of their answers.

    beside: see `Store.snapshot`.
    """

    api: HubApi
    limits: Limits
    beside: str

    def read(self) -> tuple[str, list[StoredFile], bool]:
        """The commit, its files at or below the reference's path, and whether that is a file."""
        commit, path = self.described()[0], self.api.reference.path
        if path:
            wanted = list(dict.fromkeys((path, path + self.beside)))
            entries = self.entries(commit, wanted)
            if path not in entries:
                raise self.api.error(ReasonCode.STORE_NOT_FOUND, f"has no {path}")
            if entries[path] is not None:
                files = [_single(name, entries[name]) for name in wanted if name in entries]
                return commit, files, True
        return commit, self._tree(commit, path + "/" if path else ""), False

    def entries(self, commit: str, paths: Sequence[str]) -> dict[str, StoredFile | None]:
        """What a commit has at these paths, where it has something; None for a folder."""
        form = Body(urlencode({"paths": paths, "expand": "false"}, doseq=True).encode(), _FORM)
        answer = self.api.ask(f"{self.api.url}/paths-info/{commit}", form)
        found = [self._entry(entry) for entry in self.api.content(answer, list)]
        entries = dict(found)
        if len(entries) < len(found) or not entries.keys() <= set(paths):
            raise self.api.malformed(f"was asked for {paths[0]} and names others")
        return entries

    def commits(self, commit: str) -> Iterator[str]:
        """A commit and those before it, newest first."""
        for page in self.api.pages(f"{self.api.url}/commits/{commit}", list):
            for entry in page:
                match entry:
                    case {"id": str(found)} if COMMIT.fullmatch(found):
                        yield found
                    case _:
                        raise self.api.malformed("has an entry that is none of a commit")

    def described(self) -> tuple[str, Mapping[str, Any]]:
        """The commit that the reference names now, and all that is said of the repository."""
        revision = self.api.reference.revision
        at = "" if revision is None else f"/revision/{quote(revision, safe='')}"
        info = self.api.content(self.api.ask(self.api.url + at), dict)
        self.api.exists = True
        commit, found = info.get("sha"), info.get("id")
        if found != self.api.repository:
            if not isinstance(found, str):
                raise self.api.malformed("does not say which repository it is of")
            raise StoreError(
                ReasonCode.STORE_RENAMED,
                f"the Hub answers for {self.api.repository} with {found}: it was renamed or moved; "
                "use the new name, if that is the publisher you mean",
            )
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise self.api.malformed("does not say at which commit it is")
        named = (revision or "").lower()
        if COMMIT.fullmatch(named) and commit != named:
            raise self.api.error(
                ReasonCode.STORE_CHANGED, f"was asked for that commit and gave {commit}"
            )
        return commit, info

    def _tree(self, commit: str, prefix: str) -> list[StoredFile]:
        at = f"{self.api.url}/tree/{commit}"
        folder = f"/{quote(prefix.removesuffix('/'))}" if prefix else ""
        files: list[StoredFile] = []
        count = 0
        for page in self.api.pages(f"{at}{folder}?recursive=True&expand=False", list):
            count += len(page)
            # Folders count too: a server may invent them without end.
            if count > self.limits.files:
                raise too_many(self.limits)
            for path, file in map(self._entry, page):
                if not path.startswith(prefix):
                    raise self.api.malformed(f"was asked for {prefix} and names others")
                if file is not None:
                    files.append(_moved(file, path.removeprefix(prefix)))
        return files

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
        raise self.api.malformed("has an entry that is none of a file or folder")


def _check_online() -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise StoreError(
            ReasonCode.STORE_UNAVAILABLE,
            "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it, or name a local folder",
        )


def _single(path: str, file: StoredFile | None) -> StoredFile:
    name = path.rpartition("/")[2]
    if file is None:
        raise unsafe(name, "is a folder")
    return _moved(file, name)


def other_hub(settings: StoreSettings) -> str | None:
    """The URL of the server that is asked in place of the public Hub, without credentials.

    None where it is the public Hub.
    """
    endpoint = _endpoint(settings)
    if endpoint in {f"https://{host}" for host in HUB_HOSTS}:
        return None
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _endpoint(settings: StoreSettings) -> str:
    from huggingface_hub import constants

    configured = settings.options.get("hf", {}).get("endpoint")
    return str(configured or constants.ENDPOINT).rstrip("/")


def _authorization(token: Any) -> dict[str, str]:
    """The header for a token: the given one, else this machine's unless it is not wanted.

    huggingface_hub would build it too, but asks its own endpoint about agents on the way.
    """
    from huggingface_hub import constants, get_token

    if token is None and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        token = get_token()
    elif token is True and (token := get_token()) is None:
        raise ValueError("'token: true' asks for a token of this machine, which has none")
    return {"Authorization": f"Bearer {token}"} if isinstance(token, str) else {}


def _moved(file: StoredFile, path: str) -> StoredFile:
    return StoredFile(path, file.size, file.sha256, file.version)
