"""Any other place: a plain web server, and fsspec file systems that nobody prepared for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from oms_gate.errors import ConfigError, StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile, StoreSettings, open_store

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)


def snapshot(url: str, limits: Limits = LIMITS, **options: object) -> Snapshot:
    reference = Reference.parse(url)
    settings = StoreSettings(options={reference.scheme: options})
    return open_store(reference, settings, limits).snapshot(reference)


def read(of: Snapshot, path: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path, start, end))


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder.

    What is asked for below /elsewhere is at another name of this machine; /slow takes a second,
    and /secret may not be listed. A file whose name has "tagged" in it has an entity tag, and one
    with "weakly" a weak one, which no request may name as a condition (RFC 9110, 13.1.1). What
    a folder has in its ".index" is the server's own listing of it.
    """

    def list_directory(self, path: str | os.PathLike[str]) -> BytesIO | None:
        listing = Path(path) / ".index"
        if not listing.exists():
            return super().list_directory(path)
        content = listing.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return BytesIO(content)

    def do_GET(self) -> None:
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            _, port = self.connection.getsockname()
            self.send_header("Location", f"http://localhost:{port}/there")
            self.end_headers()
        elif self.path == "/secret/":
            self.send_error(403)
        elif "weakly" in self.path and "If-Match" in self.headers:
            self.send_error(412)
        else:
            if self.path == "/slow/":
                time.sleep(1)
            super().do_GET()

    def end_headers(self) -> None:
        if "tagged" in self.path:
            weak = "W/" if "weakly" in self.path else ""
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_header("ETag", f'{weak}"{sha256(content).hexdigest()}"')
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class KeepingHandler(QuietHandler):
    """Keeps connections open after an answer."""

    protocol_version = "HTTP/1.1"


@contextmanager
def serving(folder: Path, kind: type[QuietHandler] = QuietHandler) -> Iterator[tuple[str, Path]]:
    handler = partial(kind, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["dir", "simplecache", "reference"])
def test_what_stands_on_another_file_system_says_so(scheme: str) -> None:
    with pytest.raises(ConfigError, match=f"^{scheme}:// .*under 'stores'") as caught:
        snapshot(f"{scheme}://model")
    assert "NoneType" not in str(caught.value)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server's address, and the folder that it serves."""
    with serving(tmp_path) as address:
        yield address


def test_a_folder_of_a_web_server(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "m" / "sub").mkdir(parents=True)
    (folder / "m" / "a b%.json").write_bytes(b"{}")
    (folder / "m" / "sub" / "w").write_bytes(b"weights")
    (folder / "outside").write_bytes(b"1")
    listing = snapshot(f"{url}/m/")
    assert {path: file.size for path, file in listing.files.items()} == {"a b%.json": 2, "sub/w": 7}
    assert read(listing, "a b%.json") == b"{}"
    assert read(listing, "sub/w") == b"weights"


def test_links_that_lead_out_are_not_its_files(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "m").mkdir()
    (folder / "m" / "a").write_bytes(b"1")
    (folder / "m" / ".index").write_text(
        '<a href="a">a</a><a href="../x">x</a><a href="/y">y</a><a href="?sort=1">s</a>'
        '<a href="http://169.254.169.254/">m</a><a href="https://example.com/z">z</a>'
        '<a href="#f">f</a><a>none</a>'
    )
    assert set(snapshot(f"{url}/m").files) == {"a"}


def test_folders_without_end_are_refused(web: tuple[str, Path]) -> None:
    """A page that links to a folder with the same page, and so on."""
    url, folder = web
    (folder / "m").mkdir()
    (folder / "m" / ".index").write_text('<a href="again/">again</a>')
    (folder / "m" / "again").symlink_to(".")
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/m", Limits(files=20))
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


def test_a_single_file_of_a_web_server(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "x.gguf").write_bytes(b"abc")
    listing = snapshot(f"{url}/x.gguf")
    assert listing.single
    assert read(listing, "x.gguf") == b"abc"


def test_a_file_of_the_web_that_grows_is_refused(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "x.gguf").write_bytes(b"abc")
    listing = snapshot(f"{url}/x.gguf")
    (folder / "x.gguf").write_bytes(b"abcd")
    with pytest.raises(StoreError) as caught:
        read(listing, "x.gguf")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize("name", ["tagged", "weakly-tagged"])
def test_a_file_of_the_web_that_is_replaced_is_refused(web: tuple[str, Path], name: str) -> None:
    """By one of the same length, so that only its entity tag tells."""
    url, folder = web
    (folder / name).write_bytes(b"abc")
    listing = snapshot(f"{url}/{name}")
    assert read(listing, name) == b"abc"
    (folder / name).write_bytes(b"xyz")
    with pytest.raises(StoreError) as caught:
        read(listing, name)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_a_redirect_of_the_web_to_a_private_host_needs_permission(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "there").write_text("an index without a link")
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/elsewhere")
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED
    reference = Reference.parse(f"{url}/elsewhere")
    settings = StoreSettings(private_hosts=("localhost",))
    listing = open_store(reference, settings, LIMITS).snapshot(reference)
    assert not listing.files


def test_a_folder_that_is_missing_is_no_single_file(web: tuple[str, Path]) -> None:
    """A broken link in an index must not hide the files beside it."""
    url, folder = web
    (folder / "m").mkdir()
    (folder / "m" / ".index").write_text('<a href="code.py">c</a><a href="sub/">s</a>')
    (folder / "m" / "code.py").touch()
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/m")
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND


def test_a_folder_that_may_not_be_listed_is_no_single_file(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "secret").write_bytes(b"abc")
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/secret")
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN


def test_an_index_without_end_is_refused(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "m").mkdir()
    (folder / "m" / ".index").write_bytes(b'<a href="x">x</a>' + bytes(2**20))
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/m", Limits(listing_bytes=2**20))
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


def test_a_web_server_that_takes_its_time_is_given_up(web: tuple[str, Path]) -> None:
    url, folder = web
    (folder / "slow").mkdir()
    (folder / "slow" / "a").touch()
    patient, impatient = Limits(), Limits(listing_seconds=0.2)
    assert set(snapshot(f"{url}/slow", patient).files) == {"a"}
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/slow", impatient)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_transfers_from_the_web_can_be_aborted(tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as stream:
        stream.truncate(64 * 1024 * 1024)
    with serving(tmp_path, KeepingHandler) as (url, _):
        listing = snapshot(f"{url}/w")
        chunks = listing.chunks("w")
        next(chunks)
        listing.abort()
        with pytest.raises(StoreError):
            list(chunks)


def test_nothing_on_the_web(web: tuple[str, Path]) -> None:
    with pytest.raises(StoreError) as caught:
        snapshot(f"{web[0]}/none")
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def test_any_fsspec_file_system(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe({"/m/config.json": b"{}", "/m/sub/w": b"weights", "/mm/x": b"1"})
    listing = snapshot("memory://m")
    assert {path: file.size for path, file in listing.files.items()} == {
        "config.json": 2,
        "sub/w": 7,
    }
    assert read(listing, "sub/w") == b"weights"
    assert read(listing, "sub/w", 2, 4) == b"ig"
    single = snapshot("memory://m/sub/w")
    assert single.single
    assert read(single, "w") == b"weights"


def test_a_file_overwritten_in_any_file_system_is_refused(
    memory: fsspec.AbstractFileSystem,
) -> None:
    memory.pipe("/m/w", b"weights")
    listing = snapshot("memory://m")
    memory.pipe("/m/w", b"WEIGHTS")
    with pytest.raises(StoreError) as caught:
        next(listing.chunks("w"))  # Not one byte of it is given.
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_a_file_overwritten_while_any_file_system_reads_it_is_refused(
    memory: fsspec.AbstractFileSystem,
) -> None:
    memory.pipe("/m/w", bytes(3 * 1024 * 1024))
    chunks = snapshot("memory://m").chunks("w")
    next(chunks)
    memory.pipe("/m/w", b"1" * 3 * 1024 * 1024)
    with pytest.raises(StoreError) as caught:
        list(chunks)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


class Guarded(MemoryFileSystem):  # type: ignore[misc]
    """A file system of somebody's own, that lists for those who know the word."""

    protocol = "guarded"
    store: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, word: str = "", seconds: float = 0, **options: Any) -> None:
        super().__init__(**options)
        self.word, self.seconds = word, seconds

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("guarded://"))
        return stripped

    def find(self, path: str, **options: Any) -> Any:
        time.sleep(self.seconds)
        if self.word != "sesame":
            raise PermissionError(path)
        return super().find(path, **options)


def test_any_file_system_with_the_options_of_the_operator() -> None:
    fsspec.register_implementation("guarded", Guarded, clobber=True)
    Guarded(word="sesame").pipe("/m/w", b"weights")
    assert read(snapshot("guarded://m", word="sesame"), "w") == b"weights"
    with pytest.raises(StoreError) as caught:
        snapshot("guarded://m")
    assert caught.value.reason.code is ReasonCode.STORE_FORBIDDEN
    with pytest.raises(StoreError) as caught:
        snapshot("guarded://m", Limits(listing_seconds=0.2), word="sesame", seconds=1)
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def endless(size: int | None) -> Snapshot:
    """A file of a store that gives more and more."""
    return Snapshot(
        Reference.parse("memory://m"),
        {"a": StoredFile("a", size)},
        single=False,
        read_range=lambda *_: repeat(b"0123456789", 1000),
    )


@pytest.mark.parametrize(("size", "given"), [(20, 20), (25, 20)])
def test_a_reader_that_gives_more_than_it_should_is_cut_off(size: int, given: int) -> None:
    content = bytearray()
    with pytest.raises(StoreError) as caught:
        for chunk in endless(size).chunks("a"):
            content += chunk
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert len(content) == given


def test_a_small_file_is_small_whatever_its_store_says() -> None:
    assert endless(None).read("a", 100) is None
    assert len(endless(None).read("a", 10_000) or b"") == 10_000
    assert endless(101).read("a", 100) is None


def test_what_fsspec_does_not_have() -> None:
    with pytest.raises(StoreError) as caught:
        snapshot("memory://none")
    assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND
    assert "\n" not in caught.value.reason.message


@pytest.mark.parametrize("name", ["index.html", "index.htm"])
def test_a_page_that_was_put_there_is_no_listing(web: tuple[str, Path], name: str) -> None:
    """It shows what its author likes, in a folder or below it."""
    url, folder = web
    (folder / "m" / "sub").mkdir(parents=True)
    (folder / "m" / "a").touch()
    (folder / "m" / "sub" / "evil.bin").touch()
    assert set(snapshot(f"{url}/m").files) == {"a", "sub/evil.bin"}
    for place in (folder / "m", folder / "m" / "sub"):
        (place / name).write_text('<a href="a">a</a>')
        with pytest.raises(StoreError) as caught:
            snapshot(f"{url}/m")
        assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL
        (place / name).unlink()


@pytest.mark.parametrize(
    "page",
    [
        '<a href="b/c">c</a>',
        '<a href="b%2Fc">c</a>',
        '<a href="a">a</a><a href="%61">a</a>',
        "<a href='http://[::1/x'>x</a>",
        "<![ x",
    ],
)
def test_a_page_that_is_not_clear_is_refused(web: tuple[str, Path], page: str) -> None:
    url, folder = web
    (folder / "m" / "b").mkdir(parents=True)
    (folder / "m" / "a").touch()
    (folder / "m" / "b" / "c").touch()
    (folder / "m" / ".index").write_text('<a href="a"><img></a> <a href="a">a</a>')
    assert set(snapshot(f"{url}/m").files) == {"a"}
    (folder / "m" / ".index").write_text(page)
    with pytest.raises(StoreError) as caught:
        snapshot(f"{url}/m")
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_local_is_the_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    assert read(snapshot("local://m"), "a") == b"abc"
    (tmp_path / "m" / "code.py").symlink_to("/etc/hostname")
    with pytest.raises(StoreError) as caught:
        snapshot("local://m")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


def test_two_names_are_two_files(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe({"/m/a": b"evil", "/m/b": b"1"})
    assert set(snapshot("memory://m").files) == {"a", "b"}
    memory.pipe("/m//a", b"signed")
    with pytest.raises(StoreError) as caught:
        snapshot("memory://m")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


class Odd(MemoryFileSystem):  # type: ignore[misc]
    """A file system that says what it is told to of one of its files."""

    protocol = "odd"
    store: ClassVar[dict[str, Any]] = {}
    says: ClassVar[dict[str, Any]] = {}
    grows: ClassVar[bool] = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("odd://"))
        return stripped

    def info(self, path: str, **options: Any) -> Any:
        details = super().info(path, **options)
        return details | self.says if path == "/m/w" else details

    def find(self, path: str, **options: Any) -> Any:
        found = super().find(path, **options)
        if "/m/w" in found:
            found["/m/w"] |= self.says
            if self.grows:
                self.pipe("/m/w", b"weights and more")
        return found


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> type[Odd]:
    fsspec.register_implementation("odd", Odd, clobber=True)
    monkeypatch.setattr(Odd, "store", {})
    Odd().pipe({"/m/w": b"weights", "/m/v": b"1"})
    return Odd


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ({"type": "link"}, ReasonCode.STORE_UNSAFE_FILE),
        ({"type": "other"}, ReasonCode.STORE_UNSAFE_FILE),
        ({"size": -1}, ReasonCode.STORE_PROTOCOL),
        ({"size": "7"}, ReasonCode.STORE_PROTOCOL),
    ],
)
def test_what_is_no_file_is_not_left_out(
    odd: type[Odd], monkeypatch: pytest.MonkeyPatch, says: dict[str, Any], code: ReasonCode
) -> None:
    assert set(snapshot("odd://m").files) == {"v", "w"}
    monkeypatch.setattr(odd, "says", says)
    with pytest.raises(StoreError) as caught:
        snapshot("odd://m")
    assert caught.value.reason.code is code


def test_a_file_that_grows_while_it_is_listed_has_its_new_size(
    odd: type[Odd], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(snapshot("odd://m"), "w") == b"weights"
    monkeypatch.setattr(odd, "grows", True)
    assert read(snapshot("odd://m"), "w") == b"weights and more"


def test_a_file_is_read_to_its_end(odd: type[Odd], monkeypatch: pytest.MonkeyPatch) -> None:
    """The store says that it is shorter, and so would a signature."""
    monkeypatch.setattr(odd, "says", {"size": 3})
    with pytest.raises(StoreError) as caught:
        read(snapshot("odd://m"), "w")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert read(snapshot("odd://m"), "w", 0, 2) == b"we"
