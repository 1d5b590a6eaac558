"""Each fault, as it looks on the wire: what a client must be able to tell from a good answer."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

from tests.peers.content import Repeated
from tests.peers.faults import (
    Body,
    BodyLength,
    CallBefore,
    CallDuring,
    ChangingEtag,
    Drop,
    EditJson,
    Endless,
    Gzip,
    GzipBomb,
    IgnoreRange,
    Redirect,
    SetHeaders,
    Slow,
    Stall,
    Status,
    Truncate,
    WrongBytes,
    WrongContentRange,
    refusal,
    too_many_requests,
)
from tests.peers.hub import HubStandIn

WEIGHTS = bytes(range(256)) * 40
URL = "/org/model/resolve/main/model.safetensors"
PART = {"Range": "bytes=1000-1999"}


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def opened(url: str, headers: dict[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers or {})
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def get(url: str, headers: dict[str, str] | None = None) -> Got:
    with opened(url, headers) as answer:
        return Got(answer.status, dict(answer.headers), answer.read())


@pytest.fixture
def url(hub: HubStandIn) -> str:
    """The signed URL of the weights on the CDN."""
    hub.create("org/model", files={"model.safetensors": WEIGHTS, "config.json": b"{}"})
    location = get(hub.endpoint + URL).headers["Location"]
    assert get(location, PART)[::2] == (206, WEIGHTS[1000:2000])
    hub.clear()
    return location


def test_range_ignored(hub: HubStandIn, url: str) -> None:
    hub.inject(IgnoreRange(), "model.safetensors", origin="cdn")
    got = get(url, PART)
    assert (got.status, got.body) == (200, WEIGHTS)
    assert "Content-Range" not in got.headers


def test_wrong_content_range(hub: HubStandIn, url: str) -> None:
    hub.inject(WrongContentRange(shift=-1))
    got = get(url, PART)
    assert (got.status, got.body) == (206, WEIGHTS[1000:2000])
    assert got.headers["Content-Range"] == f"bytes 999-1998/{len(WEIGHTS)}"


@pytest.mark.parametrize("after", [0, 1500, 5000])
def test_wrong_bytes_from_an_offset_on(hub: HubStandIn, url: str, after: int) -> None:
    good = get(url, PART)
    hub.inject(WrongBytes(after))
    got = get(url, PART)
    assert got.headers["Content-Range"] == good.headers["Content-Range"]
    kept = max(0, min(1000, after - 1000))
    assert got.body[:kept] == good.body[:kept]
    assert all(a != b for a, b in zip(got.body[kept:], good.body[kept:], strict=True))


@pytest.mark.parametrize("delta", [-1, 1, -5000])
def test_body_of_another_length_with_a_length_to_match(
    hub: HubStandIn, url: str, delta: int
) -> None:
    hub.inject(BodyLength(delta))
    got = get(url, PART)
    length = max(0, 1000 + delta)
    assert got.headers["Content-Length"] == str(length) == str(len(got.body))
    assert got.headers["Content-Range"] == f"bytes 1000-1999/{len(WEIGHTS)}"


def test_truncated_once(hub: HubStandIn, url: str) -> None:
    hub.inject(Truncate(10), times=1)
    with pytest.raises(http.client.IncompleteRead) as broken:
        get(url, PART)
    assert broken.value.partial == WEIGHTS[1000:1010]
    assert get(url, PART).body == WEIGHTS[1000:2000]


def test_skip_and_times_count_the_requests_that_can_be_hit(hub: HubStandIn, url: str) -> None:
    hub.inject(Truncate(0), origin="cdn", skip=1, times=2)
    outcomes = []
    for _ in range(5):
        # The redirect has no bytes of a file, so it is not counted.
        location = get(hub.endpoint + URL).headers["Location"]
        try:
            get(location)
            outcomes.append(True)
        except http.client.IncompleteRead:
            outcomes.append(False)
    assert outcomes == [True, False, False, True, True]


def test_etag_changes_between_ranges(hub: HubStandIn, url: str) -> None:
    hub.inject(ChangingEtag(), origin="cdn")
    assert get(url, PART).headers["ETag"] != get(url, PART).headers["ETag"]


def test_gzip_nobody_asked_for(hub: HubStandIn, url: str) -> None:
    hub.inject(Gzip())
    got = get(url, PART)
    assert got.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(got.body) == WEIGHTS[1000:2000]


def test_gzip_bomb(hub: HubStandIn, url: str) -> None:
    hub.inject(GzipBomb(4 * 1024 * 1024))
    got = get(url, PART)
    assert len(got.body) < 10_000
    assert len(gzip.decompress(got.body)) == 4 * 1024 * 1024


def test_slow_body(hub: HubStandIn, url: str) -> None:
    hub.inject(Slow(bytes_per_second=20))
    started = time.monotonic()
    assert get(url, {"Range": "bytes=0-7"}).body == WEIGHTS[:8]
    assert time.monotonic() - started > 0.3


def test_endless_body(hub: HubStandIn, url: str) -> None:
    hub.inject(Endless())
    with opened(url, PART) as answer:
        assert answer.headers["Content-Length"] is None
        assert answer.read(1010) == WEIGHTS[1000:2000] + bytes(10)
        assert len(answer.read(10_000_000)) == 10_000_000


def test_stop_ends_what_never_would(url: str, hub: HubStandIn) -> None:
    hub.inject(Endless(bytes_per_second=1))
    with opened(url, PART) as answer:
        assert answer.read(1) == WEIGHTS[1000:1001]
        started = time.monotonic()
        hub.stop()
        assert time.monotonic() - started < 2


def test_stall_before_the_headers(hub: HubStandIn, url: str) -> None:
    hub.inject(Stall(0.3), times=1)
    started = time.monotonic()
    assert get(url, PART).status == 206
    assert time.monotonic() - started > 0.25


def test_dropped_connection(hub: HubStandIn, url: str) -> None:
    hub.inject(Drop(), method="GET", times=1)
    with pytest.raises(http.client.RemoteDisconnected):
        get(url, PART)
    assert get(url, PART).status == 206


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://localhost:9/x"],
)
def test_redirect_elsewhere(hub: HubStandIn, url: str, location: str) -> None:
    hub.inject(Redirect(location), "*/resolve/main/model.safetensors", origin="api")
    got = get(hub.endpoint + URL)
    assert (got.status, got.headers["Location"]) == (302, location)


def test_errors_of_the_server(hub: HubStandIn, url: str) -> None:
    hub.inject(Status(503, body=b"busy"), times=2)
    assert [get(url, PART).status for _ in range(3)] == [503, 503, 206]
    hub.inject(too_many_requests(retry_after=7), times=1)
    got = get(url, PART)
    assert (got.status, got.headers["Retry-After"]) == (429, "7")


def test_refusals_in_the_hub_s_words(hub: HubStandIn, url: str) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    hub.inject(refusal(403, "GatedRepo"), "*/resolve/*", times=1)
    with pytest.raises(GatedRepoError):
        api.hf_hub_download("org/model", "config.json")
    hub.inject(refusal(403, "", "not today"), "/api/models/*", times=1)
    with pytest.raises(HfHubHTTPError, match="not today"):
        api.model_info("org/model")
    assert api.model_info("org/model").id == "org/model"


@pytest.mark.parametrize("body", [b"{", b"[]", Repeated(b"[", 3_000_000)])
def test_listing_that_is_no_listing(hub: HubStandIn, url: str, body: bytes | Repeated) -> None:
    hub.inject(Body(body), "/api/models/org/model")
    got = get(f"{hub.endpoint}/api/models/org/model")
    assert got.status == 200
    assert len(got.body) == (body.size if isinstance(body, Repeated) else len(body))


def test_listing_with_hostile_names(hub: HubStandIn, url: str) -> None:
    names = {"../x", "/etc/passwd", "a\nb\x1b[31m", "a\u202eb", "\ud800", "nested/../../y"}
    hub.create("org/hostile", files=dict.fromkeys(names, b"x"))
    info = json.loads(get(f"{hub.endpoint}/api/models/org/hostile?blobs=True").body)
    assert {sibling["rfilename"] for sibling in info["siblings"]} == names
    tree = json.loads(get(f"{hub.endpoint}/api/models/org/hostile/tree/main?recursive=True").body)
    assert {entry["path"] for entry in tree if entry["type"] == "file"} == names


def double(info: dict[str, Any]) -> dict[str, Any]:
    return info | {"siblings": info["siblings"] * 2}


def shrink(info: dict[str, Any]) -> dict[str, Any]:
    return info | {"siblings": [sibling | {"size": 1} for sibling in info["siblings"]]}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [(double, ["config.json", "model.safetensors"] * 2), (shrink, [1, 1])],
)
def test_listing_that_lies(
    hub: HubStandIn,
    url: str,
    edit: Callable[[dict[str, Any]], dict[str, Any]],
    expected: list[object],
) -> None:
    hub.inject(EditJson(edit), "/api/models/org/model")
    info = HfApi(endpoint=hub.endpoint).model_info("org/model", files_metadata=True)
    siblings = info.siblings or []
    key = "rfilename" if edit is double else "size"
    assert [getattr(sibling, key) for sibling in siblings] == expected


def test_headers_set_and_removed(hub: HubStandIn, url: str) -> None:
    hub.inject(SetHeaders({"etag": None, "X-HF-Warning": "gate; beware"}), origin="api")
    got = get(hub.endpoint + URL)
    assert got.status == 302
    assert "ETag" not in got.headers
    assert got.headers["X-HF-Warning"] == "gate; beware"


def test_a_branch_that_moves_between_two_requests(hub: HubStandIn, url: str) -> None:
    first = hub.head("org/model")
    hub.inject(
        CallBefore(lambda: hub.commit("org/model", {"config.json": b"moved"})),
        "config.json",
        times=1,
    )
    assert HfApi(endpoint=hub.endpoint).model_info("org/model").sha == first
    assert get(f"{hub.endpoint}/org/model/resolve/main/config.json").body == b"moved"


def test_an_action_in_the_middle_of_a_body(hub: HubStandIn, url: str) -> None:
    seen: list[int] = []
    hub.inject(CallDuring(lambda: seen.append(hub.requests[-1].sent), after=300), times=1)
    hub.inject(CallDuring(lambda: seen.append(-1)), skip=1)
    assert get(url).body == WEIGHTS
    assert seen == [300]
    get(url)
    assert seen == [300, -1]


def test_several_faults_at_once(hub: HubStandIn, url: str) -> None:
    hub.inject(WrongBytes(1005))
    hub.inject(Truncate(10))
    with pytest.raises(http.client.IncompleteRead) as broken:
        get(url, PART)
    assert broken.value.partial[:5] == WEIGHTS[1000:1005]
    assert broken.value.partial[5:] != WEIGHTS[1005:1010]


def test_the_whole_server_down_and_up_again(hub: HubStandIn, url: str) -> None:
    hub.stop()
    with pytest.raises(ConnectionRefusedError):
        get(url)
    with pytest.raises(ConnectionRefusedError):
        get(hub.endpoint)
    hub.start()
    assert get(url, PART).status == 206
    hub.cdn.stop()
    assert get(hub.endpoint + URL).status == 302
    with pytest.raises(ConnectionRefusedError):
        get(url)


def test_a_failure_of_the_stand_in_is_not_hidden(hub: HubStandIn, url: str) -> None:
    hub.inject(CallBefore(lambda: 1 // 0))
    assert get(url).status == 500
    with pytest.raises(ExceptionGroup, match="stand-in failed") as failed:
        hub.reset()
    assert isinstance(failed.value.exceptions[0], ZeroDivisionError)
