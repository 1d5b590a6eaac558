"""Models on a plain web server: one file, or a folder with an index page."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader, count_of
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.snapshot import Snapshot, StoredFile, listed, too_many
from oms_gate.stores.store import StoreSettings, within

_PAGE_BYTES = 64 * 1024
# What servers show in place of a listing, where it is there.
_INDEX_PAGES = ("index.html", "index.htm")


class WebStore:
    """``https://host/folder/`` with links to its files, or ``https://host/model.gguf``.

    A folder is what has a page at its address with a slash added. Its files are those, and only
    those, to which that page links: a server may have files that it does not show. A page that
    was put there in place of the server's own listing is refused, as it would hide what its
    author likes.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        self._limits = limits
        self._private_hosts = settings.private_hosts

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:  # noqa: ARG002
        """See `Store.snapshot`. Nothing is written here, so nothing need be known beside a file."""
        base = f"{reference.scheme}://{quote(reference.location, safe='/:')}"
        host = urlsplit(base).hostname or ""
        reader = HttpReader(self._limits, frozenset({host, *self._private_hosts}))
        found, single = within(
            self._limits.listing_seconds, lambda: self._list(reader, base), reader.abort
        )
        files = listed((file for file, _ in found), self._limits)
        urls = {file.path: url for file, url in found}

        def read_range(
            file: StoredFile, start: int, end: int | None, buffer: memoryview
        ) -> Iterator[memoryview]:
            url = urls[file.path]
            remote = RemoteFile(file.path, lambda: url, size=file.size, etag=file.version)
            return reader.chunks(remote, start, end, buffer)

        return Snapshot(reference, files, single, read_range, reader.abort, reader.close)

    def _list(self, reader: HttpReader, base: str) -> tuple[list[tuple[StoredFile, str]], bool]:
        urls, single = self._find(reader, base)
        return [(_described(reader, path, url), url) for path, url in urls], single

    def _find(self, reader: HttpReader, base: str) -> tuple[list[tuple[str, str]], bool]:
        """The path and the URL of each file, and whether `base` is a file itself."""
        root = base + "/"
        urls: list[tuple[str, str]] = []
        pending, folders = [root], 0
        # Folders count too: a server may invent them without end.
        while pending and len(urls) + len(pending) + folders <= self._limits.files:
            folder = pending.pop()
            folders += 1
            try:
                page = self._page(reader, folder)
            except StoreError as error:
                if folder == root and error.reason.code is ReasonCode.STORE_NOT_FOUND:
                    return [(unquote(base.rpartition("/")[2]), base)], True
                raise
            _check_own_listing(reader, folder)
            for url in _links(folder, page):
                if url.endswith("/"):
                    pending.append(url)
                else:
                    urls.append((unquote(url.removeprefix(root)), url))
        if pending:
            raise too_many(self._limits)
        return urls, False

    def _page(self, reader: HttpReader, url: str) -> str:
        page, buffer = bytearray(), memoryview(bytearray(_PAGE_BYTES))
        for chunk in reader.chunks(RemoteFile(url, lambda: url), 0, None, buffer):
            page += chunk
            if len(page) > self._limits.listing_bytes:
                raise StoreError(
                    ReasonCode.STORE_TOO_MANY_FILES,
                    f"the index page at {url} is longer than the limit 'listing_bytes' of "
                    f"{self._limits.listing_bytes}",
                )
        return page.decode("utf-8", "replace")


def _described(reader: HttpReader, path: str, url: str) -> StoredFile:
    headers = reader.head(RemoteFile(path, lambda: url))
    return StoredFile(path, count_of(headers.get("Content-Length")), version=headers.get("ETag"))


def _check_own_listing(reader: HttpReader, folder: str) -> None:
    """Raises StoreError where the page of a folder is a file in it."""
    for name in _INDEX_PAGES:
        url = folder + name
        try:
            reader.head(RemoteFile(url, lambda url=url: url))  # type: ignore[misc]
        except StoreError as error:
            if error.reason.code is not ReasonCode.STORE_NOT_FOUND:
                raise
        else:
            raise _unusable_page(folder, f"is a page that somebody put there ({name})")


def _links(folder: str, page: str) -> list[str]:
    """The files and folders directly in `folder` that a page links to, once each, in order."""
    hrefs: dict[str, None] = {}  # in order

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
                if "/" in unquote(inside).removesuffix("/"):
                    raise _unusable_page(folder, "links to what is not directly in it")
                hrefs[url] = None

    try:
        Anchors().feed(page)
    except (AssertionError, ValueError) as error:  # of the parser, and of urljoin
        raise _unusable_page(folder, "cannot be read as one") from error
    return list(hrefs)


def _unusable_page(folder: str, what: str) -> StoreError:
    return StoreError(
        ReasonCode.STORE_PROTOCOL,
        f"the listing of {folder} {what}, so nobody knows which files are there; let the server "
        "write its own",
    )
