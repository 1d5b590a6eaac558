"""Writing to the Hub: one commit on what was hashed, and a token that goes nowhere else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, Written
from oms_gate.stores.hub import HubStore
from tests.peers import faults
from tests.peers.content import sha256_of
from tests.peers.hub import HubStandIn

LIMITS = Limits(read_seconds=1, connect_seconds=1, retries=1)
FILES = {"config.json": b"{}", "sub/a.gguf": b"weights"}
LARGE = bytes(range(256)) * 45_000  # more than the Hub takes outside LFS


def snapshot(
    hub: HubStandIn, reference: str = "hf://org/model", *, token: str | None = None
) -> Snapshot:
    options = {"endpoint": hub.endpoint, "token": token or hub.token}
    settings = StoreSettings(options={"hf": options})
    return HubStore(settings, LIMITS).snapshot(Reference.parse(reference))


def write(
    of: Snapshot,
    content: bytes = b"bundle",
    name: str = "model.sig",
    *,
    message: str = "Sign the model",
    pull_request: bool = False,
) -> Written:
    return of.write(name, content, message=message, pull_request=pull_request)


def refused(of: Snapshot, code: ReasonCode, content: bytes = b"bundle") -> StoreError:
    with pytest.raises(StoreError) as caught:
        write(of, content)
    assert caught.value.reason.code is code, caught.value
    return caught.value


def read(hub: HubStandIn, name: str, revision: str = "main", kind: str = "model") -> bytes:
    """What the Hub's own client gets."""
    repo_id = "org/data" if kind == "dataset" else "org/model"
    path = hf_hub_download(
        repo_id, name, revision=revision, repo_type=kind, endpoint=hub.endpoint, token=hub.token
    )
    return Path(path).read_bytes()


@pytest.fixture
def model(hub: HubStandIn) -> str:
    return hub.create("org/model", files=FILES)


def test_a_commit_on_what_was_listed(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub)
    hub.clear()
    written = write(listing, message="Sign the model\n\nBy Acme")
    commit = hub.head("org/model")
    assert written == Written(f"hf://org/model@{commit}/model.sig")
    assert Reference.parse(written.url).path == "model.sig"
    assert read(hub, "model.sig") == b"bundle"
    newest, before = HfApi(endpoint=hub.endpoint, token=hub.token).list_repo_commits("org/model")
    assert (newest.commit_id, newest.title, newest.message) == (commit, "Sign the model", "By Acme")
    assert before.commit_id == model == listing.revision
    assert set(snapshot(hub).files) == {*FILES, "model.sig"}
    asked = [(record.method, record.path) for record in hub.requests[:2]]
    assert asked == [
        ("POST", "/api/models/org/model/preupload/main"),
        ("POST", "/api/models/org/model/commit/main"),
    ]


def test_again_and_in_the_place_of_another(hub: HubStandIn, model: str) -> None:
    """The same bundle once more is a commit too, as its parent is another."""
    for content in (b"first", b"second", b"second"):
        write(snapshot(hub), content)
        assert read(hub, "model.sig") == content
    assert len(HfApi(endpoint=hub.endpoint).list_repo_commits("org/model")) == 4


@pytest.mark.parametrize(
    ("reference", "name", "path"),
    [
        ("hf://org/model/sub", "model.sig", "sub/model.sig"),
        ("hf://org/model/sub/a.gguf", "a.gguf.sig", "sub/a.gguf.sig"),
        ("hf://org/model/config.json", "config.json.sig", "config.json.sig"),
        ("hf://org/model", "sub/a ä%.sig", "sub/a ä%.sig"),
    ],
)
def test_below_the_reference(
    hub: HubStandIn, model: str, reference: str, name: str, path: str
) -> None:
    written = write(snapshot(hub, reference), name=name)
    assert written.url == f"hf://org/model@{hub.head('org/model')}/{path}"
    assert read(hub, path) == b"bundle"


def test_a_dataset(hub: HubStandIn) -> None:
    hub.create("org/data", kind="dataset", files={"a.txt": b"1"})
    written = write(snapshot(hub, "hf://datasets/org/data"))
    commit = hub.head("org/data", kind="dataset")
    assert written.url == f"hf://datasets/org/data@{commit}/model.sig"
    assert read(hub, "model.sig", kind="dataset") == b"bundle"


@pytest.mark.parametrize("branch", ["main", "try/this", "refs/pr/7"])
def test_the_branch_that_was_named(hub: HubStandIn, model: str, branch: str) -> None:
    other = hub.commit("org/model", {"other": b"1"})
    for name in {branch} - {"main"}:
        hub.branch("org/model", name, model)
    quoted = branch if branch.startswith("refs/") else branch.replace("/", "%2F")
    write(snapshot(hub, f"hf://org/model@{quoted}"))
    assert read(hub, "model.sig", branch) == b"bundle"
    assert branch == "main" or hub.head("org/model") == other


@pytest.mark.parametrize("named", ["commit", "v1"])
def test_to_a_commit_or_a_tag_nothing_is_added(hub: HubStandIn, model: str, named: str) -> None:
    hub.tag("org/model", "v1", model)
    revision = model if named == "commit" else named
    listing = snapshot(hub, f"hf://org/model@{revision}")
    with pytest.raises(UsageError, match="pull request"):
        write(listing)
    assert hub.head("org/model") == hub.head("org/model", "v1") == model
    written = write(listing, pull_request=True)
    assert written.pull_request == f"{hub.endpoint}/org/model/discussions/1"


@pytest.mark.parametrize("reference", ["hf://org/model", "hf://org/model@main"])
def test_a_pull_request(hub: HubStandIn, model: str, reference: str) -> None:
    written = write(snapshot(hub, reference), pull_request=True)
    commit = hub.head("org/model", "refs/pr/1")
    assert written == Written(
        f"hf://org/model@{commit}/model.sig", f"{hub.endpoint}/org/model/discussions/1"
    )
    assert hub.head("org/model") == model
    assert read(hub, "model.sig", "refs/pr/1") == b"bundle"


@pytest.mark.parametrize("content", [b"bundle", LARGE], ids=["small", "large"])
def test_who_may_only_read_makes_a_pull_request(
    hub: HubStandIn, model: str, content: bytes
) -> None:
    listing = snapshot(hub, token=hub.state.outsider_token)
    refused(listing, ReasonCode.STORE_FORBIDDEN, content)
    written = write(listing, content, pull_request=True)
    assert written.pull_request is not None
    assert read(hub, "model.sig", "refs/pr/1") == content
    assert hub.head("org/model") == model


def test_a_pull_request_begins_where_it_was_hashed(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub)
    hub.commit("org/model", {"sub/a.gguf": b"other weights"})
    write(listing, pull_request=True)
    assert read(hub, "sub/a.gguf", "refs/pr/1") == b"weights"


def test_a_branch_that_moved_is_left_alone(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub)
    moved = hub.commit("org/model", {"config.json": b"[]"})
    refused(listing, ReasonCode.STORE_CHANGED)
    assert hub.head("org/model") == moved
    write(snapshot(hub))
    assert hub.head("org/model") != moved


def test_a_branch_that_moved_and_has_the_same_file(hub: HubStandIn, model: str) -> None:
    """The Hub's own client would find nothing to do, and report success."""
    listing = snapshot(hub)
    hub.commit("org/model", {"model.sig": b"bundle", "config.json": b"[]"})
    refused(listing, ReasonCode.STORE_CHANGED)


def test_a_branch_that_moves_at_the_last_moment(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub)
    move = faults.CallBefore(lambda: hub.commit("org/model", {"config.json": b"[]"}))
    hub.inject(move, "*/commit/main", times=1)
    refused(listing, ReasonCode.STORE_CHANGED)


def test_of_two_writers_one_wins(hub: HubStandIn, model: str) -> None:
    start = threading.Barrier(2)
    outcomes: list[object] = []

    def run(listing: Snapshot, content: bytes) -> None:
        start.wait()
        try:
            outcomes.append(write(listing, content).url)
        except StoreError as error:
            outcomes.append(error.reason.code)

    threads = [
        threading.Thread(target=run, args=(snapshot(hub), content)) for content in (b"1", b"2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(ReasonCode.STORE_CHANGED) == 1, outcomes
    assert f"hf://org/model@{hub.head('org/model')}/model.sig" in outcomes


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.sig", LARGE), ("model.bin", b"in LFS by its name"), ("model.bin", b"")],
    ids=["by size", "by name", "empty"],
)
def test_what_belongs_into_lfs(hub: HubStandIn, model: str, name: str, content: bytes) -> None:
    listing = snapshot(hub)
    hub.clear()
    write(listing, content, name)
    sent = [record.path.rpartition("/")[2] for record in hub.requests if record.method == "POST"]
    lfs = ["batch", "verify"] if content else []
    assert sent == ["main", *lfs, "main"]
    assert {record.authorized for record in hub.requests if record.origin == "cdn"} <= {False}
    assert {record.authorized for record in hub.requests if record.origin == "api"} == {True}
    assert read(hub, name) == content
    expected = sha256_of(content) if content else None
    assert snapshot(hub).files[name].sha256 == expected
    # Once it is there, it is not sent again.
    hub.clear()
    write(snapshot(hub), content, f"again-{name}" if name.endswith(".bin") else "again.sig")
    assert not any(record.method == "PUT" for record in hub.requests)
    assert read(hub, f"again-{name}" if name.endswith(".bin") else "again.sig") == content


def test_what_git_would_ignore_is_committed(hub: HubStandIn, model: str) -> None:
    def ignore(answer: dict[str, list[dict[str, object]]]) -> object:
        answer["files"][0]["shouldIgnore"] = True
        return answer

    hub.inject(faults.EditJson(ignore), "*/preupload/main")
    write(snapshot(hub))
    assert read(hub, "model.sig") == b"bundle"


def led(action: str, place: str) -> faults.Fault:
    """An answer that leads the upload, or its confirmation, to another place."""

    def edit(answer: dict[str, list[dict[str, dict[str, dict[str, str]]]]]) -> object:
        answer["objects"][0]["actions"][action]["href"] = place
        return answer

    return faults.EditJson(edit)


@pytest.mark.parametrize("place", ["cdn", "http://[", "http://127.0.0.1:x/", "file:///etc/passwd"])
def test_an_upload_is_not_confirmed_at_another_server(
    hub: HubStandIn, model: str, place: str
) -> None:
    listing = snapshot(hub)
    hub.inject(led("verify", f"{hub.cdn.url}/x" if place == "cdn" else place), "*/objects/batch")
    hub.clear()
    refused(listing, ReasonCode.STORE_PROTOCOL, LARGE)
    assert {record.authorized for record in hub.requests if record.origin == "cdn"} == {False}
    assert hub.head("org/model") == model


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("http://127.0.0.2:1/x", ReasonCode.STORE_REDIRECT_REFUSED),
        ("http://169.254.169.254/x", ReasonCode.STORE_REDIRECT_REFUSED),
        ("file:///tmp/x", ReasonCode.STORE_PROTOCOL),
        ("http://[", ReasonCode.STORE_PROTOCOL),
        ("", ReasonCode.STORE_PROTOCOL),
    ],
)
def test_an_upload_goes_to_no_private_place(
    hub: HubStandIn, model: str, place: str, code: ReasonCode
) -> None:
    listing = snapshot(hub)
    hub.inject(led("upload", place), "*/objects/batch")
    refused(listing, code, LARGE)
    assert hub.head("org/model") == model


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"objects": []}',
        b'{"objects": [{"oid": "1"}]}',
        b'{"objects": [{"oid": "%s", "error": {"code": 422}}]}',
        b'{"objects": [{"oid": "%s", "actions": []}]}',
        b'{"objects": [{"oid": "%s", "actions": {"upload": "here"}}]}',
    ],
)
def test_an_answer_that_says_no_place(hub: HubStandIn, model: str, answer: bytes) -> None:
    listing = snapshot(hub)
    content = answer.replace(b"%s", sha256_of(LARGE).encode())
    hub.inject(faults.Status(200, {}, content), "*/objects/batch")
    refused(listing, ReasonCode.STORE_PROTOCOL, LARGE)
    assert hub.head("org/model") == model


@pytest.mark.parametrize("status", [204, 400, 403, 404])
def test_an_upload_that_was_refused(hub: HubStandIn, model: str, status: int) -> None:
    listing = snapshot(hub)
    hub.inject(faults.Status(status), "*/uploads/*", origin="cdn")
    error = refused(listing, ReasonCode.STORE_PROTOCOL, LARGE)
    assert f"HTTP {status}" in str(error)
    assert hub.head("org/model") == model


@pytest.mark.parametrize("path", ["*/preupload/*", "*/commit/*", "*/refs"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_nothing_is_redirected(hub: HubStandIn, model: str, path: str, status: int) -> None:
    """Neither elsewhere, nor to the new name of a repository."""
    for place in (f"{hub.cdn.url}/x", f"{hub.endpoint}/api/models/org/other/commit/main"):
        listing = snapshot(hub, "hf://org/model@main")
        hub.inject(faults.Redirect(place, status), path, origin="api", times=1)
        hub.clear()
        error = refused(listing, ReasonCode.STORE_REDIRECT_REFUSED)
        assert "was redirected while a file was being written" in str(error)
        assert {record.origin for record in hub.requests} == {"api"}
        assert not any("other" in record.path for record in hub.requests)
    assert hub.head("org/model") == model


def test_a_repository_that_was_renamed_in_the_meantime(hub: HubStandIn, model: str) -> None:
    listing = snapshot(hub)
    hub.rename("org/model", "other/new")
    refused(listing, ReasonCode.STORE_REDIRECT_REFUSED)
    assert hub.head("other/new") == model


ANSWERS: dict[str, tuple[faults.Fault, ReasonCode]] = {
    "401": (faults.Status(401), ReasonCode.STORE_FORBIDDEN),
    "403": (faults.Status(403), ReasonCode.STORE_FORBIDDEN),
    "gated": (faults.refusal(403, "GatedRepo"), ReasonCode.STORE_GATED),
    "404": (faults.Status(404), ReasonCode.STORE_NOT_FOUND),
    "no branch": (faults.refusal(404, "RevisionNotFound"), ReasonCode.STORE_REVISION_NOT_FOUND),
    "412": (faults.Status(412), ReasonCode.STORE_CHANGED),
    "400": (faults.Status(400), ReasonCode.STORE_PROTOCOL),
    "429": (faults.too_many_requests(3600), ReasonCode.STORE_UNAVAILABLE),
    "503": (faults.Status(503), ReasonCode.STORE_UNAVAILABLE),
    "dropped": (faults.Drop(), ReasonCode.STORE_UNAVAILABLE),
    "silent": (faults.Stall(5), ReasonCode.STORE_UNAVAILABLE),
    "no JSON": (faults.Status(200, {}, b"<html>"), ReasonCode.STORE_PROTOCOL),
    "a list": (faults.Status(200, {}, b"[]"), ReasonCode.STORE_PROTOCOL),
    "nothing": (faults.Status(200, {}, b"{}"), ReasonCode.STORE_PROTOCOL),
    "another file": (
        faults.Status(200, {}, b'{"files": [{"path": "x", "uploadMode": "regular"}]}'),
        ReasonCode.STORE_PROTOCOL,
    ),
    "no commit": (faults.Status(200, {}, b'{"commitOid": "../x"}'), ReasonCode.STORE_PROTOCOL),
}


@pytest.mark.parametrize("path", ["*/preupload/main", "*/commit/main"])
@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_but_success_is_an_error(
    hub: HubStandIn, model: str, path: str, name: str
) -> None:
    fault, code = ANSWERS[name]
    listing = snapshot(hub)
    hub.inject(fault, path)
    hub.clear()
    error = refused(listing, code)
    assert sum(record.path.endswith(path[1:]) for record in hub.requests) == 1
    assert ("may have been written" in str(error)) == (code is ReasonCode.STORE_UNAVAILABLE)


@pytest.mark.parametrize("status", [400, 403])
def test_what_the_hub_says_of_a_refusal(hub: HubStandIn, model: str, status: int) -> None:
    listing = snapshot(hub)
    why = "Your push was rejected: LFS quota exceeded"
    hub.inject(
        faults.Status(status, {"X-Error-Message": why + " \x1b[2J" + "x" * 500}), "*/commit/*"
    )
    with pytest.raises(StoreError) as caught:
        write(listing)
    assert rf": '{why} \x1b[2Jxxx" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "HF_ENDPOINT" not in str(caught.value)


def test_what_the_hub_says_of_a_large_file(hub: HubStandIn, model: str) -> None:
    said = {"code": 422, "message": "over the quota \x1b[2J"}
    answer = {"objects": [{"oid": sha256_of(LARGE), "error": said}]}
    hub.inject(faults.Status(200, {}, json.dumps(answer).encode()), "*/objects/batch")
    error = refused(snapshot(hub), ReasonCode.STORE_PROTOCOL, LARGE)
    assert r"'over the quota \x1b[2J'" in str(error)


@pytest.mark.parametrize("page", [None, 1, "javascript:alert(1)", "http://["])
def test_a_pull_request_without_a_page(hub: HubStandIn, model: str, page: object) -> None:
    def edit(answer: dict[str, object]) -> object:
        return answer | {"pullRequestUrl": page}

    hub.inject(faults.EditJson(edit), "*/commit/main")
    with pytest.raises(StoreError) as caught:
        write(snapshot(hub), pull_request=True)
    assert caught.value.reason.code is ReasonCode.STORE_PROTOCOL


def test_without_a_token(hub: HubStandIn, model: str) -> None:
    settings = StoreSettings(options={"hf": {"endpoint": hub.endpoint, "token": False}})
    listing = HubStore(settings, LIMITS).snapshot(Reference.parse("hf://org/model"))
    error = refused(listing, ReasonCode.STORE_FORBIDDEN)
    assert "HF_TOKEN" in str(error)


def test_no_more_time_than_a_listing(hub: HubStandIn, model: str) -> None:
    limits = LIMITS.model_copy(update={"listing_seconds": 0.5, "read_seconds": 20})
    settings = StoreSettings(options={"hf": {"endpoint": hub.endpoint, "token": hub.token}})
    listing = HubStore(settings, limits).snapshot(Reference.parse("hf://org/model"))
    hub.inject(faults.Stall(20), "*/commit/main")
    error = refused(listing, ReasonCode.STORE_UNAVAILABLE)
    assert "listing_seconds" in str(error)
