"""Writing to file systems that nobody prepared for, and to places that can only be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, Written, open_store
from tests.stores.writing import refused, write

FILES = {"config.json": b"{}", "sub/a.gguf": b"weights"}
LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)


def snapshot(url: str, limits: Limits = LIMITS, beside: str = "", **options: object) -> Snapshot:
    reference = Reference.parse(url)
    settings = StoreSettings(options={reference.scheme: options})
    return open_store(reference, settings, limits).snapshot(reference, beside)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """A file system with a model at /m."""
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/m/{path}": content for path, content in FILES.items()})
    yield fs
    fs.rm("/", recursive=True)


def test_a_new_file_and_one_in_its_place(memory: MemoryFileSystem) -> None:
    listing = snapshot("memory://m")
    assert write(listing, b"first") == Written("memory://m/model.sig")
    assert memory.cat("/m/model.sig") == b"first"
    assert "model.sig" not in listing.files
    write(snapshot("memory://m"), b"second")
    assert memory.cat("/m/model.sig") == b"second"
    assert write(snapshot("memory://m"), name="sub/x.sig").url == "memory://m/sub/x.sig"
    assert memory.cat("/m/sub/x.sig") == b"bundle"


def test_beside_a_single_file(memory: MemoryFileSystem) -> None:
    for content in (b"first", b"second"):
        listing = snapshot("memory://m/sub/a.gguf", beside=".sig")
        assert listing.single
        assert list(listing.files)[1:] == (["a.gguf.sig"] if content == b"second" else [])
        assert write(listing, content, "a.gguf.sig").url == "memory://m/sub/a.gguf.sig"
        assert memory.cat("/m/sub/a.gguf.sig") == content
        refused(listing, ReasonCode.STORE_CHANGED, "a.gguf.sig")


def test_a_folder_beside_a_single_file(memory: MemoryFileSystem) -> None:
    memory.makedirs("/m/sub/a.gguf.sig")
    assert snapshot("memory://m/sub/a.gguf").single
    with pytest.raises(StoreError) as caught:
        snapshot("memory://m/sub/a.gguf", beside=".sig")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


@pytest.mark.parametrize("path", ["config.json", "code.py", "model.sig"])
def test_a_model_that_changed_since_is_left_alone(memory: MemoryFileSystem, path: str) -> None:
    listing = snapshot("memory://m")
    memory.pipe(f"/m/{path}", b"another")
    refused(listing, ReasonCode.STORE_CHANGED)
    assert memory.exists("/m/model.sig") == (path == "model.sig")
    write(snapshot("memory://m"))


def test_a_folder_in_its_place(memory: MemoryFileSystem) -> None:
    memory.makedirs("/m/model.sig")
    refused(snapshot("memory://m"), ReasonCode.STORE_UNSAFE_FILE)
    assert write(snapshot("memory://m"), name="model.sig2").url == "memory://m/model.sig2"


class Unreliable(MemoryFileSystem):  # type: ignore[misc]
    """A file system that writes something else than it is told."""

    protocol = "unreliable"
    store: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, instead: Callable[[bytes], bytes | None], **options: Any) -> None:
        super().__init__(**options)
        self.instead = instead

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("unreliable://"))
        return stripped

    def pipe_file(self, path: str, value: bytes, **_: object) -> None:
        if (content := self.instead(value)) is not None:
            super().pipe_file(path, content)


def _whole(content: bytes) -> bytes:
    return content


def _another(content: bytes) -> bytes:
    return content + b"!"


def _half(content: bytes) -> bytes:
    return content[:3]


def _nothing(_content: bytes) -> None:
    return None


def _denied(_content: bytes) -> bytes:
    raise PermissionError


def _broken(_content: bytes) -> bytes:
    raise OSError("the line is down")


def _slow(_content: bytes) -> None:
    threading.Event().wait(1)


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        (_whole, None),
        (_another, ReasonCode.STORE_CHANGED),
        (_half, ReasonCode.STORE_CHANGED),
        (_nothing, ReasonCode.STORE_NOT_FOUND),
        (_denied, ReasonCode.STORE_FORBIDDEN),
        (_broken, ReasonCode.STORE_UNAVAILABLE),
        (_slow, ReasonCode.STORE_UNAVAILABLE),
    ],
)
def test_what_was_written_is_read_back(
    monkeypatch: pytest.MonkeyPatch,
    instead: Callable[[bytes], bytes | None],
    code: ReasonCode | None,
) -> None:
    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    monkeypatch.setattr(Unreliable, "store", {})
    Unreliable(instead=_whole).pipe_file("/m/a", b"1")
    limits = LIMITS.model_copy(update={"listing_seconds": 0.5})
    listing = snapshot("unreliable://m", limits, instead=instead)
    if code is None:
        assert write(listing).url == "unreliable://m/model.sig"
    else:
        error = refused(listing, code)
        assert ("may have been written" in str(error)) == (code is ReasonCode.STORE_UNAVAILABLE)


def test_an_archive_cannot_be_written(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("m/a", b"1")
    before = (tmp_path / "m.zip").read_bytes()
    listing = snapshot("zip://m", fo=str(tmp_path / "m.zip"))
    assert set(listing.files) == {"a"}
    with pytest.raises(UsageError, match="--output"):
        write(listing)
    assert (tmp_path / "m.zip").read_bytes() == before


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_web_server_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        listing = snapshot(f"http://127.0.0.1:{server.server_port}/")
        with pytest.raises(UsageError, match="--output"):
            write(listing)
        server.shutdown()
        thread.join()
