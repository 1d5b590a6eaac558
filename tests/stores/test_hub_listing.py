"""Listings of a Hub that lies about them, beside the same listings of one that does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.hub import HubStore
from tests.peers import faults
from tests.peers.hub import HubStandIn

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=0)
TREE = "/api/models/org/model/tree/*"


def snapshot(hub: HubStandIn, reference: str = "hf://org/model", **limits: Any) -> Snapshot:
    settings = StoreSettings(options={"hf": {"endpoint": hub.endpoint, "token": hub.token}})
    return HubStore(settings, LIMITS.model_copy(update=limits)).snapshot(Reference.parse(reference))


def refused(hub: HubStandIn, reference: str = "hf://org/model", **limits: Any) -> ReasonCode:
    with pytest.raises(StoreError) as caught:
        snapshot(hub, reference, **limits)
    return caught.value.reason.code


@pytest.fixture
def commit(hub: HubStandIn) -> str:
    return hub.create("org/model", files={"a.json": b"{}", "w.safetensors": bytes(1000)})


@pytest.fixture
def other() -> Iterator[tuple[str, list[str | None]]]:
    """Another server of this machine, and the credentials that it was given."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"localhost:{server.server_port}", seen
        server.shutdown()
        thread.join()


def test_a_listing_in_pages(hub: HubStandIn) -> None:
    names = {f"{number}/x" for number in range(hub.state.page_size + 5)}
    hub.create("org/model", files=dict.fromkeys(names, b""))
    assert set(snapshot(hub).files) == names


@pytest.mark.parametrize("link", ["http://{}/next", "//{}/next", "https://[::1/x", "file:///x"])
def test_the_next_page_of_another_server_is_not_asked_for(
    hub: HubStandIn, commit: str, other: tuple[str, list[str | None]], link: str
) -> None:
    address, seen = other
    assert snapshot(hub).revision == commit
    hub.inject(faults.SetHeaders({"Link": f'<{link.format(address)}>; rel="next"'}), TREE)
    assert refused(hub) is ReasonCode.STORE_PROTOCOL
    assert seen == []


def test_a_listing_is_not_redirected_to_a_private_host(
    hub: HubStandIn, commit: str, other: tuple[str, list[str | None]]
) -> None:
    address, seen = other
    hub.inject(faults.Redirect(f"http://{address}/latest/meta-data"), "/api/models/*")
    assert refused(hub) is ReasonCode.STORE_REDIRECT_REFUSED
    assert seen == []
    # Where it is allowed, the token stays behind.
    settings = StoreSettings(
        private_hosts=("localhost",),
        options={"hf": {"endpoint": hub.endpoint, "token": hub.token}},
    )
    with pytest.raises(StoreError):
        HubStore(settings, LIMITS).snapshot(Reference.parse("hf://org/model"))
    assert seen == [None]


def test_a_listing_is_not_unpacked(hub: HubStandIn, commit: str) -> None:
    assert snapshot(hub).revision == commit
    hub.inject(faults.Gzip(), TREE)
    assert refused(hub) is ReasonCode.STORE_PROTOCOL


def test_a_listing_has_a_length(hub: HubStandIn, commit: str) -> None:
    page = b"[" + b" " * 5000 + b"]"
    hub.inject(faults.Body(page), TREE)
    assert not snapshot(hub, listing_bytes=5002).files
    assert refused(hub, listing_bytes=5001) is ReasonCode.STORE_TOO_MANY_FILES


def test_folders_count(hub: HubStandIn, commit: str) -> None:
    folders = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": f"d{n}"} for n in range(9)]
    hub.inject(faults.EditJson(lambda tree: tree + folders), TREE)
    assert len(snapshot(hub, files=11).files) == 2
    assert refused(hub, files=10) is ReasonCode.STORE_TOO_MANY_FILES


def test_pages_without_entries_do_not_go_on(hub: HubStandIn, commit: str) -> None:
    hub.inject(faults.Body(b"[]"), TREE)
    assert not snapshot(hub).files
    again = f'<{hub.endpoint}/api/models/org/model/tree/{commit}>; rel="next"'
    hub.inject(faults.SetHeaders({"Link": again}), TREE)
    assert refused(hub) is ReasonCode.STORE_PROTOCOL


def test_pages_without_end_are_left_when_nobody_waits(hub: HubStandIn, commit: str) -> None:
    again = f'<{hub.endpoint}/api/models/org/model/tree/{commit}>; rel="next"'
    hub.inject(faults.SetHeaders({"Link": again}), TREE)
    before = set(threading.enumerate())
    assert refused(hub, listing_seconds=0.3) is ReasonCode.STORE_UNAVAILABLE
    for thread in set(threading.enumerate()) - before:
        if thread.name == "oms-gate-listing":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("sha", ["main", "A" * 40, "a" * 39, "a" * 41, 7, None, ""])
def test_a_commit_is_a_digest(hub: HubStandIn, commit: str, sha: object) -> None:
    hub.inject(faults.EditJson(lambda info: {**info, "sha": sha}), "/api/models/org/model")
    assert refused(hub) is ReasonCode.STORE_PROTOCOL


def test_another_commit_than_was_named_is_refused(hub: HubStandIn, commit: str) -> None:
    second = hub.commit("org/model", {"a.json": b"[]"})
    assert snapshot(hub, f"hf://org/model@{second}").revision == second
    hub.inject(faults.EditJson(lambda info: {**info, "sha": commit}), "*/revision/*")
    assert refused(hub, f"hf://org/model@{second}") is ReasonCode.STORE_CHANGED
    assert snapshot(hub, "hf://org/model@main").revision == commit


@pytest.mark.parametrize("name", ["org/other", "org/Model", "", 7, None])
def test_another_repository_is_refused(hub: HubStandIn, commit: str, name: object) -> None:
    hub.inject(faults.EditJson(lambda info: {**info, "id": name}), "/api/models/org/model")
    renamed = isinstance(name, str)
    assert refused(hub) is (ReasonCode.STORE_RENAMED if renamed else ReasonCode.STORE_PROTOCOL)


LFS = {"oid": "0" * 64, "size": 2, "pointerSize": 130}


@pytest.mark.parametrize(
    "edit",
    [
        {"type": "link"},
        {"type": None},
        {"path": 7},
        {"path": ["a"]},
        {"oid": None},
        {"oid": 7},
        {"size": "2"},
        {"size": -1},
        {"size": 2.0},
        {"size": True},
        {"size": None},
        {"lfs": []},
        {"lfs": {}},
        {"lfs": {**LFS, "oid": 5}},
        {"lfs": {**LFS, "oid": "0" * 63}},
        {"lfs": {**LFS, "oid": "A" * 64}},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["", "/a.json"])
def test_an_entry_is_what_it_should_be(
    hub: HubStandIn, commit: str, edit: dict[str, Any], path: str
) -> None:
    def edited(tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry | (edit if entry["path"] == "a.json" else {}) for entry in tree]

    assert "a.json" in snapshot(hub, f"hf://org/model{path}").files
    hub.inject(faults.EditJson(edited), "/api/models/org/model/*")
    assert refused(hub, f"hf://org/model{path}") is ReasonCode.STORE_PROTOCOL


@pytest.mark.parametrize(
    "body", [b"", b"[", b"{}", b"7", b"[" * 100_000, b"[7]", b"[[]]", b"\xff", b"9" * 5000]
)
def test_a_page_is_a_list(hub: HubStandIn, commit: str, body: bytes) -> None:
    hub.inject(faults.Body(body), TREE)
    assert refused(hub) is ReasonCode.STORE_PROTOCOL


def test_the_listing_of_a_folder_is_of_that_folder(hub: HubStandIn) -> None:
    hub.create("org/model", files={"sub/a": b"1", "subway/b": b"1"})
    assert set(snapshot(hub, "hf://org/model/sub").files) == {"a"}
    for path in ("subway/b", "a", "../sub/a"):
        hub.faults.clear()
        entry = {"type": "file", "oid": "0" * 40, "size": 1, "path": path}
        hub.inject(faults.Body(json.dumps([entry]).encode()), TREE)
        assert refused(hub, "hf://org/model/sub") is ReasonCode.STORE_PROTOCOL


def test_a_file_that_was_asked_for_is_that_file(hub: HubStandIn, commit: str) -> None:
    assert snapshot(hub, "hf://org/model/a.json").single
    hub.inject(
        faults.EditJson(lambda found: [found[0] | {"path": "w.safetensors"}]), "*/paths-info/*"
    )
    assert refused(hub, "hf://org/model/a.json") is ReasonCode.STORE_PROTOCOL


def test_a_file_is_listed_with_the_one_beside_it(hub: HubStandIn) -> None:
    files = {"sub/a.gguf": b"1", "sub/a.gguf.sig": b"2", "b": b"3", "b.sig/c": b"4", "d": b"5"}
    hub.create("org/model", files=files)

    def listed(path: str) -> list[str]:
        reference = Reference.parse(f"hf://org/model/{path}")
        store = HubStore(StoreSettings(options={"hf": {"endpoint": hub.endpoint}}), Limits())
        listing = store.snapshot(reference, ".sig")
        return [f"{name} {listing.read(name, 10)!r}" for name in listing.files]

    assert listed("sub/a.gguf") == ["a.gguf b'1'", "a.gguf.sig b'2'"]
    assert listed("d") == ["d b'5'"]
    assert listed("sub") == ["a.gguf b'1'", "a.gguf.sig b'2'"]
    with pytest.raises(StoreError) as caught:
        listed("b")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE
    # In whatever order the answer has them.
    hub.inject(faults.EditJson(lambda found: found[::-1]), "*/paths-info/*")
    assert listed("sub/a.gguf") == ["a.gguf b'1'", "a.gguf.sig b'2'"]
    hub.inject(faults.EditJson(lambda found: found[:1] * 2), "*/paths-info/*")
    with pytest.raises(StoreError) as caught:
        listed("sub/a.gguf")
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_a_passing_failure_of_a_listing_is_survived(hub: HubStandIn, commit: str) -> None:
    hub.inject(faults.Status(503), TREE, times=1)
    assert snapshot(hub, retries=1).revision == commit
    hub.inject(faults.Status(503), TREE)
    assert refused(hub, retries=1) is ReasonCode.STORE_UNAVAILABLE


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.Status(401), ReasonCode.STORE_NOT_FOUND),
        (faults.Status(404), ReasonCode.STORE_NOT_FOUND),
        (faults.Status(403), ReasonCode.STORE_FORBIDDEN),
        (
            faults.Status(401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
            ReasonCode.STORE_FORBIDDEN,
        ),
        (faults.refusal(401, "GatedRepo"), ReasonCode.STORE_GATED),
        (faults.refusal(403, "RepoNotFound"), ReasonCode.STORE_NOT_FOUND),
    ],
)
def test_refusals_are_told_apart(
    hub: HubStandIn, commit: str, fault: faults.Fault, code: ReasonCode
) -> None:
    hub.inject(fault, "/api/models/org/model")
    assert refused(hub) is code
