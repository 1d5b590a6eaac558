"""Any other place: a plain web server, and fsspec file systems that nobody prepared for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.verdict import ReasonCode

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)


def snapshot(url: str, limits: Limits = LIMITS, **options: object) -> Snapshot:
    reference = Reference.parse(url)
    settings = StoreSettings(options={reference.scheme: options})
    return open_store(reference, settings, limits).snapshot(reference)


def read(of: Snapshot, path: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path, start, end))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server's address, and the folder that it serves."""
    handler = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()
        thread.join()


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
    (folder / "m" / "index.html").write_text(
        '<a href="a">a</a><a href="../x">x</a><a href="/y">y</a><a href="?sort=1">s</a>'
        '<a href="http://169.254.169.254/">m</a><a href="https://example.com/z">z</a>'
        '<a href="b/c">c</a><a href="#f">f</a><a>none</a>'
    )
    assert set(snapshot(f"{url}/m").files) == {"a"}


def test_folders_without_end_are_refused(web: tuple[str, Path]) -> None:
    """A page that links to a folder with the same page, and so on."""
    url, folder = web
    (folder / "m").mkdir()
    (folder / "m" / "index.html").write_text('<a href="again/">again</a>')
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
        read(listing, "w")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("memory://none", ReasonCode.STORE_NOT_FOUND),
        ("nosuchscheme://x", ReasonCode.STORE_UNAVAILABLE),
    ],
)
def test_what_fsspec_does_not_have(url: str, code: ReasonCode) -> None:
    with pytest.raises(StoreError) as caught:
        snapshot(url)
    assert caught.value.reason.code is code
    assert "\n" not in caught.value.reason.message
