"""Models on a plain web server: one file, or a folder with an index page."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import MIB, Limits
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader, RemoteFile
from oms_gate.stores.snapshot import Snapshot, StoredFile, listed
from oms_gate.stores.store import StoreSettings, within
from oms_gate.verdict import ReasonCode

_INDEX_BYTES = 16 * MIB


class WebStore:
    """``https://host/folder/`` with links to its files, or ``https://host/model.gguf``.

    A folder is a page of type ``text/html`` at its address with a slash added.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        self._limits = limits
        self._private_hosts = settings.private_hosts

    def snapshot(self, reference: Reference) -> Snapshot:
        """See `Store.snapshot`."""
        base = f"{reference.scheme}://{quote(reference.location, safe='/:')}"
        host = urlsplit(base).hostname or ""
        reader = HttpReader(self._limits, frozenset({host, *self._private_hosts}))
        files, urls, single = within(self._limits.listing_seconds, lambda: self._list(reader, base))

        def read_range(file: StoredFile, start: int, end: int | None) -> Iterator[bytes]:
            url = urls[file.path]
            remote = RemoteFile(file.path, lambda: url, size=file.size, etag=file.version)
            return reader.chunks(remote, start, end)

        return Snapshot(reference, listed(files, self._limits), single, read_range, reader.abort)

    def _list(self, reader: HttpReader, base: str) -> tuple[list[StoredFile], dict[str, str], bool]:
        urls, single = self._find(reader, base)
        return [_described(reader, path, url) for path, url in urls.items()], urls, single

    def _find(self, reader: HttpReader, base: str) -> tuple[dict[str, str], bool]:
        """The URL of each file by its path, and whether `base` is a file itself."""
        root = base + "/"
        urls: dict[str, str] = {}
        pending, folders = [root], 0
        # Folders count too: a server may invent them without end.
        while pending and len(urls) + len(pending) + folders <= self._limits.files:
            folder = pending.pop()
            folders += 1
            try:
                page = _page(reader, folder)
            except StoreError as error:
                if folder == root and error.reason.code is ReasonCode.STORE_NOT_FOUND:
                    return {unquote(base.rpartition("/")[2]): base}, True
                raise
            for url in _links(folder, page):
                if url.endswith("/"):
                    pending.append(url)
                else:
                    urls[unquote(url.removeprefix(root))] = url
        if pending:
            raise StoreError(
                ReasonCode.STORE_TOO_MANY_FILES,
                f"{base} has more than {self._limits.files} files and folders; name the model's "
                "own folder, or raise the limit 'files'",
            )
        return urls, False


def _described(reader: HttpReader, path: str, url: str) -> StoredFile:
    headers = reader.head(RemoteFile(path, lambda: url))
    length = headers.get("Content-Length", "")
    return StoredFile(path, int(length) if length.isdigit() else None, version=headers.get("ETag"))


def _page(reader: HttpReader, url: str) -> str:
    page = bytearray()
    for chunk in reader.chunks(RemoteFile(url, lambda: url), 0, None):
        page += chunk
        if len(page) > _INDEX_BYTES:
            raise StoreError(
                ReasonCode.STORE_TOO_MANY_FILES,
                f"the index page at {url} is larger than {_INDEX_BYTES // MIB} MiB",
            )
    return page.decode("utf-8", "replace")


def _links(folder: str, page: str) -> list[str]:
    """The files and folders directly in `folder` that a page links to, once each, in order."""
    hrefs: dict[str, None] = {}

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if tag != "a" or name != "href" or not value:
                    continue
                url = urljoin(folder, value)
                inside = url.removeprefix(folder)
                # Links elsewhere, and those that sort the index, are none of its files.
                if inside in ("", url) or set("?#") & set(inside):
                    continue
                if "/" not in inside.removesuffix("/"):
                    hrefs[url] = None

    Anchors().feed(page)
    return list(hrefs)
