"""A hostile upstream: its clients get the signed bytes, or an answer that is visibly no success.

Every model here is validly signed, and upstream lies about it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from oms_gate.config import GateConfig
from oms_gate.limits import MIB
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.resuming import Received, eventually, receive
from tests.gateway.running import Running, running
from tests.peers import faults
from tests.peers.faults import Fault
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"
FILES = {**models.FILES, WEIGHTS: models.safetensors(2 * MIB + 100)}
TOKEN = "hf_TokenOfOneClient"

_REASON = "X-OMS-Gate-Reason"
_REST = {"Range": "bytes=1-"}

UNAVAILABLE = ReasonCode.STORE_UNAVAILABLE
PROTOCOL = ReasonCode.STORE_PROTOCOL
CHANGED = ReasonCode.FILE_CHANGED
REFUSED = ReasonCode.STORE_REDIRECT_REFUSED


@pytest.fixture
def files(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    return {**FILES, "model.sig": models.signature(FILES, key)}


@pytest.fixture
def gate(hub: HubStandIn, settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    """A gateway that takes upstream's silence for long very soon."""
    limits = {"read_seconds": 0.5, "connect_seconds": 1, "retries": 0, "redirects": 3}
    limits |= {"minimum_bytes_per_second": 100_000, "listing_bytes": 256 * 1024, "files": 50}
    changed = {**settings, "limits": limits}
    with running(GateConfig.model_validate(changed), tmp_path / "caches") as gateway:
        yield gateway


@pytest.fixture
def twin(hub: HubStandIn, gate: Running, files: dict[str, bytes]) -> Callable[[], None]:
    """Sees that the gateway is alive: the model beside the one that is lied about is served."""
    hub.create("acme/twin", files=dict(files))

    def check() -> None:
        answer = gate.ask(f"/acme/twin/resolve/main/{WEIGHTS}")
        assert (answer.status, answer.content) == (200, FILES[WEIGHTS])

    return check


def no_success(
    gate: Running, path: str, expected: ReasonCode | None, headers: dict[str, str] | None = None
) -> None:
    """No client takes the answer for the file, and where there is one, it says why."""
    answers: list[Received] = []

    def is_answered() -> bool:
        # To who comes back it is said why there is no more; or first, that it begins anew.
        answers.append(receive(gate.endpoint, path, headers if not answers else _REST))
        if answers[-1].status in (200, 206):
            assert not answers[-1].whole
        return answers[-1].status not in (200, 206, 429) or _REASON in answers[-1].headers

    eventually(is_answered)
    answer = answers[-1]
    assert answer.status in (401, 403, 404, 429)
    said = json.loads(answer.content)["error"]
    assert said
    assert answer.headers["X-Error-Message"]
    if expected is not None:
        assert expected in answer.headers[_REASON]


TRANSFERS: dict[str, tuple[Fault, ReasonCode]] = {
    "other bytes": (faults.WrongBytes(), CHANGED),
    "one other byte at the end": (faults.WrongBytes(len(FILES[WEIGHTS]) - 1), CHANGED),
    "one byte more": (faults.BodyLength(1), ReasonCode.STORE_CHANGED),
    "one byte less": (faults.BodyLength(-1), ReasonCode.STORE_CHANGED),
    "an early end": (faults.Truncate(MIB // 2), UNAVAILABLE),
    "no end": (faults.Endless(), PROTOCOL),
    "gzip": (faults.Gzip(), PROTOCOL),
    "a gzip bomb": (faults.GzipBomb(10 * MIB), PROTOCOL),
    "a byte at a time": (faults.Slow(50), ReasonCode.STORE_TOO_SLOW),
    "silence": (faults.Hang(1), UNAVAILABLE),
    "no answer": (faults.Drop(), UNAVAILABLE),
    "an error": (faults.Status(500), UNAVAILABLE),
    "a part that nobody asked for": (faults.Status(206, body=b"x"), PROTOCOL),
    "an empty success": (faults.Status(200), ReasonCode.STORE_CHANGED),
    "cloud metadata": (faults.Redirect("http://169.254.169.254/latest/meta-data"), REFUSED),
    "another machine": (faults.Redirect("http://10.0.0.1/model"), REFUSED),
    "this machine": (faults.Redirect("http://localhost:1/model"), REFUSED),
    "a file of this machine": (faults.Redirect("file:///etc/passwd"), REFUSED),
    "credentials": (faults.Redirect("http://user:password@127.0.0.1/"), REFUSED),
}


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_is_the_signed_file_or_visibly_none(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], twin: Callable[[], None], name: str
) -> None:
    hub.create("acme/m", files=dict(files))
    fault, code = TRANSFERS[name]
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    hub.inject(fault, f"*{WEIGHTS}", origin="cdn")
    no_success(gate, path, code)
    hub.faults.clear()
    twin()


RANGES: dict[str, tuple[Fault, ReasonCode]] = {
    "200 for 206": (faults.IgnoreRange(), PROTOCOL),
    "another range": (faults.WrongContentRange(), PROTOCOL),
    "the right range of other bytes": (faults.WrongBytes(), CHANGED),
    "a range that is longer": (faults.BodyLength(10), PROTOCOL),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_range_is_what_was_asked_for(
    hub: HubStandIn,
    gate: Running,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, bytes],
    twin: Callable[[], None],
    name: str,
) -> None:
    """In shards upstream is asked for ranges."""
    bundle = models.signature(FILES, key, shard_size=MIB)
    hub.create("acme/m", files={**files, "model.sig": bundle})
    fault, code = RANGES[name]
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    part = {"Range": f"bytes=10-{MIB + 100}"}
    hub.inject(fault, f"*{WEIGHTS}", origin="cdn")
    no_success(gate, path, code, part)
    hub.faults.clear()
    twin()
    hub.create("acme/honest", files={**files, "model.sig": bundle})
    answer = receive(gate.endpoint, f"/acme/honest/resolve/main/{WEIGHTS}", part)
    assert (answer.status, answer.content) == (206, FILES[WEIGHTS][10 : MIB + 101])


def test_redirects_in_circles_are_followed_for_a_while(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], twin: Callable[[], None]
) -> None:
    hub.create("acme/m", files=dict(files))
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    hub.inject(faults.Redirect(f"{hub.endpoint}{path}"), f"*{WEIGHTS}", origin="api", skip=0)
    no_success(gate, path, REFUSED)
    hub.faults.clear()
    twin()


def test_no_credentials_go_where_upstream_leads(
    hub: HubStandIn, gate: Running, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=dict(files))
    asked = {
        "Authorization": f"Bearer {hub.token}",
        "Cookie": "session=1",
        "X-Api-Key": "2",
        "Referer": "http://x",
    }
    answer = receive(gate.endpoint, f"/acme/m/resolve/main/{WEIGHTS}", asked)
    assert answer.content == FILES[WEIGHTS]
    assert any(record.authorized for record in hub.requests if record.origin == "api")
    for record in hub.requests:
        if record.origin == "cdn":
            assert not record.authorized
        # What a client sends besides is no business of upstream's.
        assert record.headers.keys().isdisjoint({"cookie", "x-api-key", "referer"})


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def edited(**changes: Any) -> faults.EditJson:
    return faults.EditJson(lambda document: {**document, **changes})


def first_entry(**changes: Any) -> faults.EditJson:
    return faults.EditJson(lambda page: [{**page[0], **changes}, *page[1:]])


INFO = "/api/models/acme/m/revision/main"
TREE = "/api/models/acme/m/tree/*"
DESCRIPTIONS: dict[str, tuple[str, Fault, ReasonCode | None]] = {
    "info of another repository": (INFO, edited(id="acme/other"), ReasonCode.STORE_RENAMED),
    "info without a name": (INFO, edited(id=None), PROTOCOL),
    "a commit that is none": (INFO, edited(sha="main"), PROTOCOL),
    "a commit with a line": (INFO, edited(sha="a" * 40 + "\r\nX: y"), PROTOCOL),
    "info that is no JSON": (INFO, faults.Body(b"<html>"), PROTOCOL),
    "info that is a list": (INFO, faults.Body(b"[]"), PROTOCOL),
    "deep info": (INFO, faults.Body(deep(20_000)), PROTOCOL),
    "info without end": (INFO, faults.Body(b" " * MIB), ReasonCode.STORE_TOO_MANY_FILES),
    "endless info": (INFO, faults.Endless(), ReasonCode.STORE_TOO_MANY_FILES),
    "packed info": (INFO, faults.GzipBomb(MIB), PROTOCOL),
    "info elsewhere": (INFO, faults.Redirect("http://169.254.169.254/"), REFUSED),
    "a tree that is no JSON": (TREE, faults.Body(b"\xff\xfe"), PROTOCOL),
    "a deep tree": (TREE, faults.Body(b"[" * 50_000), PROTOCOL),
    "names that lead out": (TREE, first_entry(path="../x"), ReasonCode.STORE_UNSAFE_FILE),
    "absolute names": (TREE, first_entry(path="/etc/passwd"), ReasonCode.STORE_UNSAFE_FILE),
    "control characters": (TREE, first_entry(path="a\x1b[2J"), ReasonCode.STORE_UNSAFE_FILE),
    "lone surrogates": (TREE, first_entry(path="a\ud800"), ReasonCode.STORE_UNSAFE_FILE),
    "a size that is none": (TREE, first_entry(size=-1), PROTOCOL),
    "names twice": (TREE, faults.EditJson(lambda page: [*page, page[0]]), PROTOCOL),
    "too many files": (
        TREE,
        faults.EditJson(
            lambda page: [
                *page,
                *({"type": "directory", "path": f"{n}", "oid": "", "size": 0} for n in range(60)),
            ]
        ),
        ReasonCode.STORE_TOO_MANY_FILES,
    ),
    "pages without end": (
        TREE,
        faults.SetHeaders({"Link": f'<{TREE[:-1]}x?cursor=1>; rel="next"'}),
        None,
    ),
    "pages elsewhere": (
        TREE,
        faults.SetHeaders({"Link": '<http://169.254.169.254/>; rel="next"'}),
        PROTOCOL,
    ),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_believed_or_nothing_is_served(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], twin: Callable[[], None], name: str
) -> None:
    hub.create("acme/m", files=dict(files))
    path, fault, code = DESCRIPTIONS[name]
    hub.inject(fault, path)
    no_success(gate, f"/acme/m/resolve/main/{WEIGHTS}", code)
    answer = gate.ask(INFO)
    assert answer.status != 200
    hub.faults.clear()
    twin()


@pytest.mark.parametrize(
    "changes",
    [{"lfs": {"oid": "0" * 64, "size": 9}}, {"size": 5}, {"size": 2**62}],
    ids=["digest", "shorter", "longer"],
)
def test_a_listing_that_declares_something_else_is_denied(
    hub: HubStandIn,
    gate: Running,
    files: dict[str, bytes],
    twin: Callable[[], None],
    changes: dict[str, Any],
) -> None:
    hub.create("acme/m", files=dict(files))

    def edit(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**each, **(changes if each["path"] == WEIGHTS else {})} for each in page]

    hub.inject(faults.EditJson(edit), TREE)
    no_success(gate, f"/acme/m/resolve/main/{WEIGHTS}", None)
    hub.faults.clear()
    twin()


def test_more_than_was_signed_is_not_filled_up(
    hub: HubStandIn, gate: Running, key: ec.EllipticCurvePrivateKey, twin: Callable[[], None]
) -> None:
    """Each signed shard is right, and the file goes on behind the last one."""
    bundle = models.signature(FILES, key, shard_size=MIB)
    longer = {**FILES, WEIGHTS: FILES[WEIGHTS] + b"more"}
    hub.create("acme/m", files={**longer, "model.sig": bundle})
    no_success(gate, f"/acme/m/resolve/main/{WEIGHTS}", ReasonCode.FILE_SIZE)
    twin()


OTHER = FILES[WEIGHTS][:-1] + b"!"


@pytest.mark.parametrize("name", ["another owner", "other bytes", "unsigned code", "ignored"])
def test_a_valid_signature_is_not_enough(
    hub: HubStandIn,
    gate: Running,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, bytes],
    twin: Callable[[], None],
    name: str,
) -> None:
    """It is one of a publisher whom the gate trusts; but not for this, or not for all of it."""
    part = {path: content for path, content in FILES.items() if path != WEIGHTS}
    ignoring = models.signature(part, key, ignore_paths=[WEIGHTS])
    owner, published, asked = {
        "another owner": ("evil", files, WEIGHTS),
        "other bytes": ("acme", {**files, WEIGHTS: OTHER}, WEIGHTS),
        "unsigned code": ("acme", {**files, "modeling_x.py": b"import os"}, "modeling_x.py"),
        "ignored": ("acme", {**files, "model.sig": ignoring}, WEIGHTS),
    }[name]
    hub.create(f"{owner}/m", files=published)
    # What clients claim themselves counts for nothing.
    claimed = {"X-OMS-Gate-Verdict": "admitted", "X-OMS-Gate-Assurance": "bytes"}
    answer = gate.ask(f"/{owner}/m/resolve/main/{asked}", headers=claimed)
    assert answer.status == 403
    assert answer.headers["X-OMS-Gate-Verdict"] == "denied"
    assert gate.ask(f"/api/models/{owner}/m/tree/main").status == 403
    twin()


def test_a_file_that_is_exchanged_later_is_not_served(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], twin: Callable[[], None]
) -> None:
    """Commit, listing and declared digests stay as they were."""
    hub.create("acme/m", files=dict(files))
    assert gate.ask("/acme/m/resolve/main/config.json").content == FILES["config.json"]
    for path in (WEIGHTS, "config.json"):
        hub.replace_under_commit("acme/m", path, OTHER)
    # What was verified is what is served.
    assert gate.ask("/acme/m/resolve/main/config.json").content == FILES["config.json"]
    no_success(gate, f"/acme/m/resolve/main/{WEIGHTS}", CHANGED)
    twin()


def test_a_commit_is_resolved_once(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], key: ec.EllipticCurvePrivateKey
) -> None:
    """A branch that moves while files are read does not mix two commits."""
    first = hub.create("acme/m", files=dict(files))
    config = gate.ask("/acme/m/resolve/main/config.json")
    hub.commit("acme/m", {"config.json": b'{"moved": 1}', "model.sig": b"{}"})
    weights = gate.ask(f"/acme/m/resolve/main/{WEIGHTS}")
    assert config.headers["X-Repo-Commit"] == weights.headers["X-Repo-Commit"] == first
    assert weights.content == FILES[WEIGHTS]


HEADERS = {
    "X-HF-Warning": "upstream; says so",
    "Set-Cookie": "a=b",
    "Link": '<http://evil/>; rel="xet-auth"',
    "X-Xet-Hash": "0" * 64,
    "X-Xet-Refresh-Route": "/x",
    "X-OMS-Gate-Verdict": "admitted",
    "X-OMS-Gate-Signer": "upstream",
    "Content-Disposition": 'inline; filename="\u202etxt.exe"',
    "Content-Type": "text/html",
    "Access-Control-Allow-Origin": "*",
}


@pytest.mark.parametrize("signed", [True, False])
def test_no_header_of_upstreams_reaches_a_client(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], signed: bool
) -> None:
    hub.create("acme/m", files=dict(files) if signed else dict(FILES))
    hub.inject(faults.SetHeaders(HEADERS), "*")
    paths = (INFO, "/api/models/acme/m/refs", f"/acme/m/resolve/main/{WEIGHTS}")
    for path in (*paths, paths[2]):  # The last one is from the cache.
        answer = gate.ask(path)
        assert answer.status == (200 if signed else 403)
        assert answer.headers["X-OMS-Gate-Verdict"] == ("admitted" if signed else "denied")
        sent = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
        for name, value in HEADERS.items():
            assert value not in sent or value == "admitted"
            if not name.startswith(("Content-", "X-OMS-Gate-", "X-HF-Warning")):
                assert name not in answer.headers
        assert ("X-HF-Warning" in answer.headers) != signed


def test_nothing_of_xet_reaches_a_client(
    hub: HubStandIn, gate: Running, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=dict(files))
    hub.inject(
        edited(
            xetEnabled=True, siblings=[{"rfilename": "x", "xetHash": "0"}], a=[{"xetHash": "1"}]
        ),
        INFO,
    )
    hub.inject(first_entry(xetHash="0" * 64), TREE)
    for path in (INFO, "/api/models/acme/m/tree/main", f"{INFO}?blobs=true"):
        answer = gate.ask(path)
        assert answer.status == 200
        assert b"xet" not in answer.content.lower()


@pytest.mark.parametrize(
    "document", [{"a": float("inf")}, {"a": json.loads(deep(600))}], ids=["infinite", "deep"]
)
@pytest.mark.parametrize("path", [INFO, "/api/models/acme/m/refs"])
def test_what_is_passed_on_is_json(
    hub: HubStandIn,
    gate: Running,
    files: dict[str, bytes],
    twin: Callable[[], None],
    document: dict[str, Any],
    path: str,
) -> None:
    hub.create("acme/m", files=dict(files))
    hub.inject(edited(**document), path)
    answer = gate.ask(path)
    assert answer.status == 429
    assert answer.headers["X-OMS-Gate-Reason"] == PROTOCOL
    twin()


def test_what_strangers_wrote_is_escaped(
    hub: HubStandIn, gate: Running, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=dict(files))
    said = "no \u202e\x1b[2J\r\nX-OMS-Gate-Verdict: admitted"
    hub.inject(faults.Status(400, {"X-Error-Message": said}), INFO)
    answer = gate.ask(INFO)
    assert answer.status == 429
    assert "X-OMS-Gate-Verdict" not in answer.headers
    hub.faults.clear()
    absent = gate.ask("/acme/m/resolve/main/%E2%80%AEx")
    assert absent.status == 404
    for each in (answer, absent):
        assert each.json["error"].isprintable()
        assert each.headers["X-Error-Message"].isprintable()


@pytest.mark.parametrize("name", ["a\u202etxt.safetensors", "a\x85.safetensors"])
def test_names_that_deceive_are_shown_escaped(
    hub: HubStandIn, gate: Running, files: dict[str, bytes], name: str
) -> None:
    hub.create("acme/m", files={**files, name: b"x"})
    answer = gate.ask(f"/acme/m/resolve/main/{WEIGHTS}")
    assert answer.status == 403
    shown = answer.headers["X-Error-Message"] + answer.json["error"]
    assert shown.isprintable()
    assert all(reason["message"].isprintable() for reason in answer.json["verdict"]["reasons"])


# Through the client that most have.


def test_a_lying_upstream_leaves_no_file_with_huggingface_hub(
    hub: HubStandIn,
    gate: Running,
    files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    hub.create("acme/m", files=dict(files))
    hub.inject(faults.WrongBytes(MIB), f"*{WEIGHTS}", origin="cdn")
    with pytest.raises(HfHubHTTPError, match=r"not what was signed|changed after signing"):
        hf_hub_download("acme/m", WEIGHTS, endpoint=gate.endpoint, cache_dir=tmp_path / "hf")
    assert not [path for path in (tmp_path / "hf").rglob(WEIGHTS) if path.exists()]
    hub.faults.clear()
    hub.create("acme/n", files=dict(files))
    path = hf_hub_download("acme/n", WEIGHTS, endpoint=gate.endpoint, cache_dir=tmp_path / "hf")
    assert Path(path).read_bytes() == FILES[WEIGHTS]
    assert HfApi(endpoint=gate.endpoint).model_info("acme/n").siblings


def test_a_silent_upstream_does_not_bring_back_what_clients_have_in_their_cache(
    hub: HubStandIn, settings: dict[str, Any], files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.create("acme/m", files=dict(files))
    patient = {**settings, "gateway": {"access_seconds": 0, "waiting_seconds": 1}}
    patient["limits"] = {"read_seconds": 20, "retries": 0}
    go_on = threading.Event()
    with running(GateConfig.model_validate(patient), tmp_path / "caches") as gateway:

        def download() -> bytes:
            kept = tmp_path / "hf"
            path = hf_hub_download(
                "acme/m", "config.json", endpoint=gateway.endpoint, cache_dir=kept, etag_timeout=3
            )
            return Path(path).read_bytes()

        assert download() == files["config.json"]
        hub.inject(faults.CallDuring(lambda: go_on.wait(20)), "*")
        with pytest.raises(RevisionNotFoundError, match="try again in a moment"):
            download()
        # What was asked went on.
        hub.faults.clear()
        go_on.set()
        assert download() == files["config.json"]


def test_a_token_is_written_nowhere(
    hub: HubStandIn,
    gate: Running,
    files: dict[str, bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not where all goes well, and not where upstream says it itself."""
    caplog.set_level(logging.DEBUG)
    hub.state.token = TOKEN
    echoes: list[tuple[str, Fault | None]] = [
        ("", None),
        ("/api/*", faults.Status(403, {"X-Error-Message": f"bad {TOKEN}"})),
        ("/api/*", faults.Status(400, {"X-Error-Message": f"Bearer {TOKEN} no"})),
        (f"*{WEIGHTS}", faults.Redirect("http://10.0.0.1/")),
        (f"*{WEIGHTS}", faults.WrongBytes()),
        (f"*{WEIGHTS}", faults.Drop()),
    ]
    answers = []
    for number, (path, fault) in enumerate(echoes):
        name = f"acme/m{number}"
        hub.create(name, files=dict(files), private=number % 2 == 0)
        if fault is not None:
            hub.inject(fault, path)
        for asked in (f"/{name}/resolve/main/{WEIGHTS}", f"/api/models/{name}"):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answers.append(receive(gate.endpoint, asked, headers))
            answers.append(receive(gate.endpoint, asked, {"Authorization": f"Basic {TOKEN}"}))
        hub.faults.clear()
    assert {answer.status for answer in answers} >= {200, 400}
    written = [str(answer.headers) + repr(answer.content) for answer in answers]
    written += [verdict.model_dump_json() for verdict in gate.told.verdicts]
    written += [caplog.text]
    for file in tmp_path.rglob("*"):
        written += [str(file)] + ([repr(file.read_bytes())] if file.is_file() else [])
    assert caplog.text
    assert not any(TOKEN in text for text in written)
