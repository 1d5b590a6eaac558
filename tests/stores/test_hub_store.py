"""The Hub through its real client, and every answer of a hostile server to a ranged read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from huggingface_hub import constants

from oms_gate.errors import ConfigError, StoreError
from oms_gate.limits import MIB, Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.hub import HubStore
from oms_gate.streaming.hashing import FileRange, Hashing
from oms_gate.streaming.window import LONG_PIECE_BYTES
from tests.peers import faults
from tests.peers.content import Repeated, sha256_of
from tests.peers.hub import HubStandIn
from tests.peers.wire import Response

WEIGHTS = bytes(range(256)) * 1000
LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=1, minimum_bytes_per_second=1000)


def snapshot(
    hub: HubStandIn, reference: str, *, limits: Limits = LIMITS, token: str | bool | None = None
) -> Snapshot:
    settings = StoreSettings(options={"hf": {"endpoint": hub.endpoint, "token": token}})
    return HubStore(settings, limits).snapshot(Reference.parse(reference))


def read(of: Snapshot, path: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(bytes(chunk) for chunk in of.chunks(path, start, end))


@pytest.fixture
def model(hub: HubStandIn) -> str:
    return hub.create(
        "org/model",
        files={
            "config.json": b"{}",
            "sub/model.safetensors": WEIGHTS,
            "empty.bin": b"",
        },
    )


def test_lists_and_reads(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    assert listing.reference.url == f"hf://org/model@{model}"
    assert listing.revision == model
    assert set(listing.files) == {"config.json", "sub/model.safetensors", "empty.bin"}
    weights = listing.files["sub/model.safetensors"]
    assert (weights.size, weights.sha256) == (len(WEIGHTS), sha256_of(WEIGHTS))
    assert listing.files["config.json"].sha256 is None
    assert read(listing, "sub/model.safetensors") == WEIGHTS
    assert read(listing, "sub/model.safetensors", 1000, 2000) == WEIGHTS[1000:2000]
    assert read(listing, "config.json") == b"{}"
    assert read(listing, "config.json", 1, 2) == b"}"
    assert read(listing, "empty.bin") == b""


def test_a_folder_and_a_file_of_a_repository(hub: HubStandIn, model: str) -> None:
    folder = snapshot(hub, "hf://org/model/sub")
    assert not folder.single
    assert read(folder, "model.safetensors") == WEIGHTS
    file = snapshot(hub, "hf://org/model@main/sub/model.safetensors")
    assert file.single
    assert list(file.files) == ["model.safetensors"]
    assert read(file, "model.safetensors") == WEIGHTS


def test_datasets_tags_and_pull_requests(hub: HubStandIn) -> None:
    first = hub.create("org/data", kind="dataset", files={"a.txt": b"1"})
    hub.tag("org/data", "v1", first, kind="dataset")
    second = hub.commit("org/data", {"a.txt": b"2"}, kind="dataset")
    hub.branch("org/data", "refs/pr/3", first, kind="dataset")
    for reference, commit, content in [
        ("hf://datasets/org/data", second, b"2"),
        ("hf://datasets/org/data@v1", first, b"1"),
        ("hf://datasets/org/data@refs/pr/3", first, b"1"),
        (f"hf://datasets/org/data@{first}", first, b"1"),
    ]:
        listing = snapshot(hub, reference)
        assert listing.revision == commit
        assert read(listing, "a.txt") == content


def test_a_branch_that_moves_changes_nothing(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model@main")
    hub.commit("org/model", {"sub/model.safetensors": b"other" * 100_000})
    assert read(listing, "sub/model.safetensors") == WEIGHTS


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("hf://org/none", ReasonCode.STORE_NOT_FOUND),
        ("hf://org/model@none", ReasonCode.STORE_REVISION_NOT_FOUND),
        ("hf://org/model/none", ReasonCode.STORE_NOT_FOUND),
        ("hf://org/private", ReasonCode.STORE_NOT_FOUND),
        ("hf://org/old", ReasonCode.STORE_RENAMED),
    ],
)
def test_what_is_not_there(hub: HubStandIn, model: str, reference: str, code: ReasonCode) -> None:
    hub.create("org/private", files={"a": b"1"}, private=True)
    hub.create("org/old", files={"a": b"1"})
    hub.rename("org/old", "other/new")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, reference, token=False)
    assert caught.value.reason.code is code


def test_a_gated_repository(hub: HubStandIn) -> None:
    hub.create("org/gated", files={"a.bin": WEIGHTS}, gated="manual")
    assert read(snapshot(hub, "hf://org/gated", token=hub.token), "a.bin") == WEIGHTS
    with pytest.raises(StoreError) as caught:
        listing = snapshot(hub, "hf://org/gated", token=False)
        read(listing, "a.bin")
    assert caught.value.reason.code in {ReasonCode.STORE_GATED, ReasonCode.STORE_FORBIDDEN}


def test_the_listing_is_refused_as_gated(hub: HubStandIn, model: str) -> None:
    hub.inject(faults.refusal(403, "GatedRepo"), "/api/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is ReasonCode.STORE_GATED


def test_the_token_never_leaves_its_origin(hub: HubStandIn) -> None:
    hub.create("org/private", files={"w.safetensors": WEIGHTS, "a.json": b"{}"}, private=True)
    listing = snapshot(hub, "hf://org/private", token=hub.token)
    assert read(listing, "w.safetensors") == WEIGHTS
    assert read(listing, "a.json") == b"{}"
    assert {record.authorized for record in hub.requests if record.origin == "api"} == {True}
    assert {record.authorized for record in hub.requests if record.origin == "cdn"} == {False}


def test_the_token_does_not_come_back_with_a_redirect(hub: HubStandIn) -> None:
    """The other origin sends the client to a place of its choice on the first one."""
    hub.create("org/private", files={"w.safetensors": WEIGHTS, "a.json": b"{}"}, private=True)
    listing = snapshot(hub, "hf://org/private", token=hub.token)
    back = f"{hub.endpoint}/org/private/resolve/main/a.json"
    hub.inject(faults.Redirect(back), "*w.safetensors", origin="cdn")
    hub.clear()
    with pytest.raises(StoreError):
        read(listing, "w.safetensors")
    assert [record.authorized for record in hub.requests] == [True, False, False]


def test_the_token_does_not_follow_to_another_host_at_the_same_port(hub: HubStandIn) -> None:
    hub.create("org/private", files={"a.json": b"{}"}, private=True)
    settings = StoreSettings(
        private_hosts=("localhost",),
        options={"hf": {"endpoint": hub.endpoint, "token": hub.token}},
    )
    listing = HubStore(settings, LIMITS).snapshot(Reference.parse("hf://org/private"))
    elsewhere = hub.endpoint.replace("127.0.0.1", "localhost") + "/elsewhere"
    hub.inject(faults.Redirect(elsewhere), "*a.json")
    hub.clear()
    with pytest.raises(StoreError):
        read(listing, "a.json")
    told = {record.path: record.authorized for record in hub.requests}
    assert told.pop("/elsewhere") is False
    assert set(told.values()) == {True}


# Each row of what a hostile or broken range server does, hitting a range of the weights.
HOSTILE: dict[str, tuple[faults.Fault, ReasonCode]] = {
    "200 instead of 206": (faults.IgnoreRange(), ReasonCode.STORE_PROTOCOL),
    "wrong Content-Range": (faults.WrongContentRange(), ReasonCode.STORE_PROTOCOL),
    "ends elsewhere": (
        faults.SetHeaders({"Content-Range": "bytes 1000-200000/256000"}),
        ReasonCode.STORE_PROTOCOL,
    ),
    "starts elsewhere": (
        faults.SetHeaders({"Content-Range": "bytes 1001-199999/256000"}),
        ReasonCode.STORE_PROTOCOL,
    ),
    "another size": (
        faults.SetHeaders({"Content-Range": "bytes 1000-199999/256001"}),
        ReasonCode.STORE_CHANGED,
    ),
    "no Content-Range": (faults.SetHeaders({"Content-Range": None}), ReasonCode.STORE_PROTOCOL),
    "longer body": (faults.BodyLength(+1), ReasonCode.STORE_PROTOCOL),
    "shorter body": (faults.BodyLength(-1), ReasonCode.STORE_PROTOCOL),
    "always cut": (faults.Truncate(100), ReasonCode.STORE_UNAVAILABLE),
    "always dropped": (faults.Drop(), ReasonCode.STORE_UNAVAILABLE),
    "gzip": (faults.Gzip(), ReasonCode.STORE_PROTOCOL),
    "gzip bomb": (faults.GzipBomb(20_000_000), ReasonCode.STORE_PROTOCOL),
    "encoded": (faults.SetHeaders({"Content-Encoding": "br"}), ReasonCode.STORE_PROTOCOL),
    "endless": (faults.Endless(), ReasonCode.STORE_PROTOCOL),
    "a byte at a time": (faults.Slow(20), ReasonCode.STORE_TOO_SLOW),
    "silence": (faults.Stall(30), ReasonCode.STORE_UNAVAILABLE),
    "500": (faults.Status(500), ReasonCode.STORE_UNAVAILABLE),
    "429": (faults.too_many_requests(0), ReasonCode.STORE_UNAVAILABLE),
    "403": (faults.Status(403), ReasonCode.STORE_FORBIDDEN),
    "404": (faults.Status(404), ReasonCode.STORE_NOT_FOUND),
    "410": (faults.Status(410), ReasonCode.STORE_NOT_FOUND),
    "416": (faults.Status(416), ReasonCode.STORE_CHANGED),
    "412": (faults.Status(412), ReasonCode.STORE_CHANGED),
    "418": (faults.Status(418), ReasonCode.STORE_PROTOCOL),
    "metadata address": (
        faults.Redirect("http://169.254.169.254/latest/meta-data/"),
        ReasonCode.STORE_REDIRECT_REFUSED,
    ),
    # Nothing listens there: it is refused before it is connected to.
    "another private host": (
        faults.Redirect("http://127.0.0.2:1/x"),
        ReasonCode.STORE_REDIRECT_REFUSED,
    ),
    "another protocol": (faults.Redirect("ftp://localhost/x"), ReasonCode.STORE_REDIRECT_REFUSED),
    "nowhere": (faults.Redirect("http://:80/x"), ReasonCode.STORE_REDIRECT_REFUSED),
    "no place": (faults.Status(302), ReasonCode.STORE_REDIRECT_REFUSED),
    "file": (faults.Redirect("file:///etc/passwd"), ReasonCode.STORE_REDIRECT_REFUSED),
    "credentials": (faults.Redirect("http://a:b@localhost/"), ReasonCode.STORE_REDIRECT_REFUSED),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_range_server_is_refused(hub: HubStandIn, model: str, name: str) -> None:
    fault, code = HOSTILE[name]
    listing = snapshot(hub, "hf://org/model")
    assert read(listing, "sub/model.safetensors", 1000, 200_000) == WEIGHTS[1000:200_000]
    hub.inject(fault, "*model.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors", 1000, 200_000)
    assert caught.value.reason.code is code, caught.value
    assert caught.value.reason.path in ("sub/model.safetensors", None)


def test_a_redirect_to_a_private_host_needs_permission(hub: HubStandIn, model: str) -> None:
    """The same place under another name: refused, unless the operator lists that name."""
    target = hub.cdn.url.replace("127.0.0.1", "localhost")
    listing = snapshot(hub, "hf://org/model")
    hub.inject(faults.Redirect(f"{target}/elsewhere"), "*model.safetensors", origin="cdn", times=1)
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED

    settings = StoreSettings(
        private_hosts=("localhost",), options={"hf": {"endpoint": hub.endpoint}}
    )
    allowed = HubStore(settings, LIMITS).snapshot(Reference.parse("hf://org/model"))
    hub.inject(faults.Redirect(f"{target}/elsewhere"), "*model.safetensors", origin="cdn", times=1)
    with pytest.raises(StoreError) as caught:
        read(allowed, "sub/model.safetensors")
    assert caught.value.reason.code is not ReasonCode.STORE_REDIRECT_REFUSED


def test_a_range_is_asked_for_where_the_last_one_came_from(hub: HubStandIn, model: str) -> None:
    """The redirect is followed once; where it led to expires, and then it is followed again."""
    weights = "sub/model.safetensors"
    listing = snapshot(hub, "hf://org/model", limits=LIMITS.model_copy(update={"retries": 0}))
    hub.state.url_seconds = 0.5
    hub.clear()
    for start in (0, 1000, 2000):
        assert read(listing, weights, start, start + 1000) == WEIGHTS[start : start + 1000]
    assert [record.origin for record in hub.requests] == ["api", "cdn", "cdn", "cdn"]
    time.sleep(0.6)
    assert read(listing, weights, 5, 10) == WEIGHTS[5:10]
    assert [record.origin for record in hub.requests[4:]] == ["cdn", "api", "cdn"]


@pytest.mark.parametrize("fault", [faults.Status(404), faults.Redirect("http://10.0.0.1/login")])
def test_where_the_last_range_came_from_is_not_believed_for_ever(
    hub: HubStandIn, model: str, fault: faults.Fault
) -> None:
    weights = "sub/model.safetensors"
    listing = snapshot(hub, "hf://org/model", limits=LIMITS.model_copy(update={"retries": 0}))
    assert read(listing, weights, 0, 10) == WEIGHTS[:10]
    hub.inject(fault, "*model.safetensors", origin="cdn", times=1)
    assert read(listing, weights, 10, 20) == WEIGHTS[10:20]


def test_all_ranges_are_of_one_file(hub: HubStandIn, model: str) -> None:
    """Signing has no digest to compare with."""
    weights = "sub/model.safetensors"
    listing = snapshot(hub, "hf://org/model")
    assert read(listing, weights, 0, 10) == WEIGHTS[:10]
    hub.inject(faults.SetHeaders({"ETag": '"another"'}), "*model.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, weights, 10, 20)
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_a_long_file_is_read_over_several_connections(hub: HubStandIn) -> None:
    """While its addresses expire, and its transfers break."""
    size = 4 * LONG_PIECE_BYTES
    content = Repeated(bytes(range(251)) * 1000, size)
    hub.create("org/big", files={"w.safetensors": content})
    limits = LIMITS.model_copy(update={"retries": 3})
    listing = snapshot(hub, "hf://org/big", limits=limits)
    hub.state.url_seconds = 0.5
    hub.inject(faults.Truncate(MIB), "*w.safetensors", origin="cdn", skip=2, times=2)
    hub.clear()
    hashing = Hashing(
        listing,
        [FileRange("w.safetensors")],
        "sha256",
        limits,
        deadline=time.monotonic() + 60,
    )
    (part,) = hashing.run()
    assert part.digest == sha256_of(content)
    assert sum(record.origin == "cdn" for record in hub.requests) > 4 + 1


def test_no_more_redirects_than_allowed(hub: HubStandIn, model: str) -> None:
    """The weights are one redirect away."""
    weights = "sub/model.safetensors"
    one = snapshot(hub, "hf://org/model", limits=LIMITS.model_copy(update={"redirects": 1}))
    assert read(one, weights) == WEIGHTS
    none = snapshot(hub, "hf://org/model", limits=LIMITS.model_copy(update={"redirects": 0}))
    with pytest.raises(StoreError) as caught:
        read(none, weights)
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED


@pytest.mark.parametrize("status", [203, 206])
def test_another_answer_is_not_taken_for_the_file(hub: HubStandIn, model: str, status: int) -> None:
    """The whole file was asked for, and as many bytes are sent as it has."""
    listing = snapshot(hub, "hf://org/model")
    size = len(WEIGHTS)
    part = {"Content-Range": f"bytes 5-{size + 4}/{size + 5}"}
    hub.inject(faults.Status(status, part, WEIGHTS), "*model.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_a_redirect_loop_ends(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.inject(faults.Redirect(f"{hub.cdn.url}/loop"), origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED


@pytest.mark.parametrize(
    "fault",
    [faults.Truncate(1000), faults.Drop(), faults.Status(503), faults.Stall(2)],
    ids=lambda fault: type(fault).__name__,
)
def test_a_passing_failure_is_survived(hub: HubStandIn, model: str, fault: faults.Fault) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.inject(fault, "*model.safetensors", origin="cdn", times=1)
    assert read(listing, "sub/model.safetensors") == WEIGHTS


def test_failures_are_survived_as_often_as_allowed(hub: HubStandIn, model: str) -> None:
    limits = LIMITS.model_copy(update={"retries": 2})
    listing = snapshot(hub, "hf://org/model", limits=limits)
    for failures in (2, 3):
        hub.clear()
        hub.inject(faults.Status(503), "*model.safetensors", origin="cdn", times=failures)
        if failures == 2:
            assert read(listing, "sub/model.safetensors") == WEIGHTS
        else:
            with pytest.raises(StoreError) as caught:
                read(listing, "sub/model.safetensors")
            assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
        assert sum(record.origin == "cdn" for record in hub.requests) == 3


def test_a_long_transfer_may_fail_more_often(hub: HubStandIn) -> None:
    """Every 70 megabytes, and never twice at one place."""
    size = 220 * 1024 * 1024
    hub.create("org/big", files={"w.safetensors": Repeated(b"x" * 65536, size)})
    listing = snapshot(hub, "hf://org/big")
    hub.inject(faults.Truncate(70 * 1024 * 1024), "*w.safetensors", origin="cdn")
    assert LIMITS.retries < 3
    assert sum(len(chunk) for chunk in listing.chunks("w.safetensors")) == size


def test_a_server_says_when_to_come_back_within_reason(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    for told, least, most in [(1, 0.9, 10), (3600, 0.9, 10)]:
        hub.inject(faults.too_many_requests(told), "*model.safetensors", origin="cdn", times=1)
        start = time.monotonic()
        assert read(listing, "sub/model.safetensors") == WEIGHTS
        assert least < time.monotonic() - start < most


@dataclass(frozen=True)
class Tiring(faults.AnswerFault):
    """Fast at first, then `pause` seconds between every two thousand bytes."""

    fast: int
    pause: float

    def spoil(self, response: Response) -> None:
        response.blocks = self._slower(response.blocks)

    def _slower(self, blocks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        content = b"".join(blocks)
        yield content[: self.fast]
        for start in range(self.fast, len(content), 2000):
            time.sleep(self.pause)
            yield content[start : start + 2000]


def test_a_server_that_tires_is_too_slow(hub: HubStandIn) -> None:
    """A fast start is no credit for what comes after it."""
    hub.create("org/tiring", files={"w.safetensors": bytes(220_000)})
    limits = Limits(read_seconds=0.5, minimum_bytes_per_second=40_000)
    listing = snapshot(hub, "hf://org/tiring", limits=limits)
    assert len(read(listing, "w.safetensors")) == 220_000
    hub.inject(Tiring(200_000, 0.2), "*w.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "w.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_TOO_SLOW


@dataclass(frozen=True)
class Short(faults.AnswerFault):
    """A body that ends too early and properly, of an unknown length."""

    def spoil(self, response: Response) -> None:
        response.blocks, response.length = [b"".join(response.blocks)[:1000]], None


def test_an_answer_that_ends_early_is_resumed(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.inject(Short(), "*model.safetensors", origin="cdn", times=1)
    assert read(listing, "sub/model.safetensors") == WEIGHTS
    hub.inject(Short(), "*model.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_a_broken_transfer_is_resumed_at_its_byte(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.inject(faults.Truncate(100_000), "*model.safetensors", origin="cdn", times=1)
    hub.clear()
    assert read(listing, "sub/model.safetensors") == WEIGHTS
    ranges = [record.range for record in hub.requests if record.origin == "cdn"]
    assert ranges == [None, f"bytes=100000-{len(WEIGHTS) - 1}"]


def test_another_file_at_the_resumption_is_refused(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.inject(faults.Truncate(100_000), "*model.safetensors", origin="cdn", times=1)
    hub.inject(faults.ChangingEtag(), "*model.safetensors", origin="cdn")
    with pytest.raises(StoreError) as caught:
        read(listing, "sub/model.safetensors")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize("content", [WEIGHTS[:-1], WEIGHTS + b"x"], ids=["shorter", "longer"])
def test_a_file_of_another_size_is_refused(hub: HubStandIn, model: str, content: bytes) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.replace_under_commit("org/model", "sub/model.safetensors", content)
    for part in [(0, None), (1000, 2000)]:
        with pytest.raises(StoreError) as caught:
            read(listing, "sub/model.safetensors", *part)
        assert caught.value.reason.code is ReasonCode.STORE_CHANGED


def test_another_commit_or_digest_on_the_way_is_refused(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    for header in ("X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size"):
        hub.faults.clear()
        hub.inject(faults.SetHeaders({header: "0" * 40}), "*model.safetensors", origin="api")
        with pytest.raises(StoreError) as caught:
            read(listing, "sub/model.safetensors")
        assert caught.value.reason.code is ReasonCode.STORE_CHANGED, header


def test_another_commit_of_a_small_file_is_refused(hub: HubStandIn, model: str) -> None:
    """It comes without a redirect."""
    listing = snapshot(hub, "hf://org/model")
    assert read(listing, "config.json") == b"{}"
    hub.inject(faults.SetHeaders({"X-Repo-Commit": "0" * 40}), "*config.json")
    with pytest.raises(StoreError) as caught:
        read(listing, "config.json")
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED


@pytest.mark.parametrize(
    ("reference", "request_path", "path"),
    [
        ("hf://org/model@main", "/api/models/org/model/tree/*", "sub/model.safetensors"),
        ("hf://org/model@main/sub", "/api/models/org/model/paths-info/*", "model.safetensors"),
        (
            "hf://org/model@main/sub/model.safetensors",
            "/api/models/org/model/paths-info/*",
            "model.safetensors",
        ),
    ],
)
def test_a_branch_that_moves_during_the_listing_changes_nothing(
    hub: HubStandIn, model: str, reference: str, request_path: str, path: str
) -> None:
    def move() -> None:
        hub.commit("org/model", {"sub/model.safetensors": b"other"})

    hub.inject(faults.CallBefore(move), request_path, times=1)
    listing = snapshot(hub, reference)
    assert hub.head("org/model") != model
    assert listing.revision == model
    assert listing.files[path].size == len(WEIGHTS)
    assert read(listing, path) == WEIGHTS


@pytest.mark.parametrize("sha", [None, "", 7])
def test_a_hub_that_names_no_commit_is_refused(hub: HubStandIn, model: str, sha: object) -> None:
    hub.inject(faults.EditJson(lambda info: {**info, "sha": sha}), "/api/models/org/model*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../b", "a//b", "a\\b", "a\nb", "./a", "a/"]
)
def test_a_hostile_name_in_the_listing_is_refused(hub: HubStandIn, model: str, path: str) -> None:
    def rename(tree: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{**entry, "path": path} for entry in tree if entry["type"] == "file"][:1]

    hub.inject(faults.EditJson(rename), "/api/models/org/model/tree/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


def test_a_name_listed_twice_is_refused(hub: HubStandIn, model: str) -> None:
    hub.inject(faults.EditJson(lambda tree: tree + tree), "/api/models/org/model/tree/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


@pytest.mark.parametrize(
    "body", [b"not JSON", b'[{"type": "file"}]', b'[{"type": "file", "path": 7}]']
)
def test_a_listing_that_is_none_is_refused(hub: HubStandIn, model: str, body: bytes) -> None:
    hub.inject(faults.Body(body), "/api/models/org/model/tree/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code in {ReasonCode.STORE_PROTOCOL, ReasonCode.STORE_UNAVAILABLE}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.Status(401), ReasonCode.STORE_FORBIDDEN),
        (faults.Status(403), ReasonCode.STORE_FORBIDDEN),
        (faults.Status(418), ReasonCode.STORE_PROTOCOL),
        (faults.Body(b'[{"type": "file"}]'), ReasonCode.STORE_PROTOCOL),
        (faults.EditJson(lambda _: [{"type": "file", "path": "a"}]), ReasonCode.STORE_PROTOCOL),
    ],
    ids=["401", "403", "418", "no path", "no size"],
)
def test_a_listing_is_refused_for_what_is_wrong(
    hub: HubStandIn, model: str, fault: faults.Fault, code: ReasonCode
) -> None:
    hub.inject(fault, "/api/models/org/model/tree/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is code, caught.value


def test_the_token_of_this_machine(
    hub: HubStandIn, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.create("org/private", files={"a.bin": b"1"}, private=True)
    with pytest.raises(ConfigError, match="which has none"):
        snapshot(hub, "hf://org/private", token=True)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    for token in (None, True):
        assert "a.bin" in snapshot(hub, "hf://org/private", token=token).files
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert "a.bin" in snapshot(hub, "hf://org/private", token=True).files
    with pytest.raises(StoreError):
        snapshot(hub, "hf://org/private")


def test_an_offline_client_cannot_decide(
    hub: HubStandIn, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "HF_HUB_OFFLINE" in caught.value.reason.message


def test_a_listing_without_end_is_not_waited_for(hub: HubStandIn) -> None:
    """The pages that would come after too many files are not asked for."""
    hub.state.page_size = 10
    hub.create("org/many", files={f"{number}.txt": b"" for number in range(100)})
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/many", limits=Limits(files=15))
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES
    assert sum("/tree/" in record.path for record in hub.requests) == 2


def test_more_files_than_allowed(hub: HubStandIn) -> None:
    hub.create("org/many", files={f"{number}.txt": b"" for number in range(30)})
    assert len(snapshot(hub, "hf://org/many", limits=Limits(files=30)).files) == 30
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/many", limits=Limits(files=29))
    assert caught.value.reason.code is ReasonCode.STORE_TOO_MANY_FILES


def test_a_hub_that_is_down(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub, "hf://org/model")
    hub.stop()
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model", limits=Limits(listing_seconds=5))
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE
    with pytest.raises(StoreError) as caught:
        read(listing, "config.json")
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_a_hub_that_does_not_answer(hub: HubStandIn, model: str) -> None:
    hub.inject(faults.Stall(30), "/api/*")
    with pytest.raises(StoreError) as caught:
        snapshot(hub, "hf://org/model", limits=Limits(listing_seconds=0.5))
    assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE


def test_transfers_can_be_aborted(hub: HubStandIn) -> None:
    hub.create("org/big", files={"w.safetensors": Repeated(b"x" * 65536, 64 * 1024 * 1024)})
    listing = snapshot(hub, "hf://org/big")
    chunks = listing.chunks("w.safetensors")
    next(chunks)
    listing.abort()
    with pytest.raises(StoreError):
        list(chunks)
