"""The Hub stand-in as the real clients of huggingface_hub see it."""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path

import pytest
import requests
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.corpus import CORPUS, needs_corpus
from tests.peers.content import Repeated, git_blob_id, sha256_of
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File

WEIGHTS = bytes(range(256)) * 64
FILES = {
    "config.json": b'{"model_type": "tiny"}\n',
    "model.safetensors": WEIGHTS,
    "onnx/model.onnx": b"onnx",
    "onnx/notes/read me.txt": b"read me",
}


@pytest.fixture
def api(hub: HubStandIn) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def anonymous(hub: HubStandIn) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def test_info_declares_digests(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    info = api.model_info("org/model", files_metadata=True)
    assert (info.id, info.author, info.sha) == ("org/model", "org", commit)
    assert (info.private, info.gated) == (False, False)
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    assert set(siblings) == set(FILES)
    small, large = siblings["config.json"], siblings["model.safetensors"]
    assert (small.size, small.blob_id, small.lfs) == (
        len(FILES["config.json"]),
        git_blob_id(FILES["config.json"]),
        None,
    )
    assert large.lfs is not None
    assert large.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert large.lfs.size == large.size == len(WEIGHTS)


def test_info_without_metadata_has_names_only(hub: HubStandIn, api: HfApi) -> None:
    hub.create("org/model", files=FILES)
    for sibling in api.model_info("org/model").siblings or ():
        assert (sibling.size, sibling.blob_id, sibling.lfs) == (None, None, None)


def test_git_blob_ids_are_git_s() -> None:
    assert git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_tree(hub: HubStandIn, api: HfApi) -> None:
    hub.create("org/model", files=FILES)
    top = list(api.list_repo_tree("org/model"))
    assert [entry.path for entry in top] == ["onnx", "config.json", "model.safetensors"]
    assert isinstance(top[0], RepoFolder)
    inside = api.list_repo_tree("org/model", "onnx/notes")
    assert [entry.path for entry in inside] == ["onnx/notes/read me.txt"]
    everything = list(api.list_repo_tree("org/model", recursive=True))
    assert {entry.path for entry in everything if isinstance(entry, RepoFile)} == set(FILES)
    assert {entry.path for entry in everything if isinstance(entry, RepoFolder)} == {
        "onnx",
        "onnx/notes",
    }


def test_tree_names_the_last_commit(hub: HubStandIn, api: HfApi) -> None:
    first = hub.create("org/model", files=FILES)
    second = hub.commit("org/model", {"config.json": b"{}"})
    last = {
        entry.path: entry.last_commit.oid
        for entry in api.list_repo_tree("org/model", expand=True)
        if isinstance(entry, RepoFile) and entry.last_commit
    }
    assert last == {"config.json": second, "model.safetensors": first}


def test_tree_is_paged(hub: HubStandIn, api: HfApi) -> None:
    names = {f"part-{number:03}.txt" for number in range(25)}
    hub.create("org/model", files=dict.fromkeys(names, b"x"))
    hub.state.page_size = 10
    assert {entry.path for entry in api.list_repo_tree("org/model", recursive=True)} == names
    assert len(hub.requests) == 3
    assert hub.requests[1].query["cursor"]


def test_paths_info(hub: HubStandIn, api: HfApi) -> None:
    hub.create("org/model", files=FILES)
    file, folder = api.get_paths_info("org/model", ["model.safetensors", "onnx", "absent"])
    assert isinstance(file, RepoFile)
    assert file.lfs is not None
    assert file.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert isinstance(folder, RepoFolder)


def test_paths_info_is_asked_in_json_too(hub: HubStandIn) -> None:
    hub.create("org/model", files={"config.json": b"{}"})
    asked = {"paths": ["config.json", "absent"], "expand": True}
    url = f"{hub.endpoint}/api/models/org/model/paths-info/main"
    (file,) = requests.post(url, json=asked, timeout=10).json()
    assert (file["path"], file["lastCommit"]["id"]) == ("config.json", hub.head("org/model"))


def test_download_of_a_small_file_is_direct(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    path = Path(api.hf_hub_download("org/model", "config.json"))
    assert path.read_bytes() == FILES["config.json"]
    assert path.parent.name == commit
    assert {record.origin for record in hub.requests} == {"api"}


def test_download_from_lfs_drops_the_token_at_the_redirect(hub: HubStandIn, api: HfApi) -> None:
    hub.create("org/model", files=FILES)
    path = api.hf_hub_download("org/model", "model.safetensors")
    assert Path(path).read_bytes() == WEIGHTS
    assert [(record.origin, record.method, record.status) for record in hub.requests] == [
        ("api", "HEAD", 302),
        ("cdn", "GET", 200),
    ]
    assert [record.authorized for record in hub.requests] == [True, False]
    assert [record.file for record in hub.requests] == ["model.safetensors"] * 2
    assert [record.sent for record in hub.requests] == [0, len(WEIGHTS)]


def test_snapshot(hub: HubStandIn, api: HfApi, tmp_path: Path) -> None:
    hub.create("org/model", files=FILES)
    folder = Path(api.snapshot_download("org/model", local_dir=tmp_path / "model"))
    for path, content in FILES.items():
        assert (folder / path).read_bytes() == content


def test_the_default_endpoint_is_the_stand_in(hub: HubStandIn, home: Path) -> None:
    hub.create("org/model", files=FILES)
    path = HfApi().hf_hub_download("org/model", "config.json")
    assert Path(path).is_relative_to(home)
    assert not hub.requests[0].authorized


def test_revisions_stay_apart(hub: HubStandIn, api: HfApi) -> None:
    first = hub.create("org/model", files={"a.txt": b"1"})
    hub.tag("org/model", "v1/rc", first)
    second = hub.commit("org/model", {"a.txt": b"2"})
    hub.branch("org/model", "refs/pr/1", second)
    proposed = hub.commit("org/model", {"a.txt": b"3"}, revision="refs/pr/1")
    for revision, commit, content in [
        (None, second, "2"),
        ("main", second, "2"),
        ("v1/rc", first, "1"),
        (first, first, "1"),
        ("refs/pr/1", proposed, "3"),
    ]:
        assert api.model_info("org/model", revision=revision).sha == commit
        path = api.hf_hub_download("org/model", "a.txt", revision=revision)
        assert Path(path).read_text() == content
    assert [commit.commit_id for commit in api.list_repo_commits("org/model")] == [second, first]


def test_refs(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    hub.tag("org/model", "v1", commit)
    hub.branch("org/model", "refs/pr/1", commit)
    refs = api.list_repo_refs("org/model", include_pull_requests=True)
    assert [(ref.name, ref.ref) for ref in refs.branches] == [("main", "refs/heads/main")]
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", commit)]
    assert [ref.ref for ref in refs.pull_requests or ()] == ["refs/pr/1"]


def test_a_branch_can_be_moved_back(hub: HubStandIn, api: HfApi) -> None:
    first = hub.create("org/model", files={"a.bin": b"good"})
    second = hub.commit("org/model", {"a.bin": b"evil"})
    assert api.model_info("org/model").sha == second
    hub.branch("org/model", "main", first)
    assert api.model_info("org/model").sha == first == hub.head("org/model")
    assert Path(api.hf_hub_download("org/model", "a.bin")).read_bytes() == b"good"


def test_bytes_can_change_under_a_commit(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    before = api.model_info("org/model", files_metadata=True).siblings
    hub.replace_under_commit("org/model", "model.safetensors", WEIGHTS[::-1])
    hub.replace_under_commit("org/model", "config.json", b"!" * len(FILES["config.json"]))
    assert api.model_info("org/model", files_metadata=True).siblings == before
    assert hub.head("org/model") == commit
    for path in ("model.safetensors", "config.json"):
        assert Path(api.hf_hub_download("org/model", path)).read_bytes() != FILES[path]


def test_declarations_can_be_lies(hub: HubStandIn, api: HfApi) -> None:
    hub.create(
        "org/model",
        files={
            "lie.bin": File(b"abc", sha256="0" * 64, size=5),
            "plain.bin": File(b"abc", lfs=False),
            "kept.txt": File(b"abc", lfs=True),
        },
    )
    kept, lie, plain = api.model_info("org/model", files_metadata=True).siblings or []
    assert lie.lfs is not None
    assert (lie.lfs.sha256, lie.lfs.size, lie.size) == ("0" * 64, 5, 5)
    assert plain.lfs is None
    assert kept.lfs is not None
    assert kept.lfs.sha256 == sha256_of(b"abc")


def test_datasets_and_spaces_have_names_of_their_own(hub: HubStandIn, api: HfApi) -> None:
    commits = {
        kind: hub.create("org/same", kind=kind, files={"a.bin": kind.encode()})
        for kind in ("model", "dataset", "space")
    }
    for kind, commit in commits.items():
        assert api.repo_info("org/same", repo_type=kind).sha == commit
        path = api.hf_hub_download("org/same", "a.bin", repo_type=kind)
        assert Path(path).read_text() == kind


def test_a_repository_without_an_owner(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("gpt2", files=FILES)
    assert api.model_info("gpt2", revision="main").sha == commit
    assert Path(api.hf_hub_download("gpt2", "onnx/notes/read me.txt")).read_bytes() == b"read me"


def test_what_is_not_there(hub: HubStandIn, api: HfApi, anonymous: HfApi) -> None:
    hub.create("org/model", files=FILES)
    for client, status in ((api, 404), (anonymous, 401)):
        with pytest.raises(RepositoryNotFoundError) as missing:
            client.model_info("org/absent")
        assert missing.value.response.status_code == status
        with pytest.raises(RevisionNotFoundError):
            client.model_info("org/model", revision="absent")
        with pytest.raises(EntryNotFoundError):
            client.hf_hub_download("org/model", "absent")
        with pytest.raises(EntryNotFoundError):
            list(client.list_repo_tree("org/model", "absent"))
    assert not api.file_exists("org/model", "absent")
    assert api.file_exists("org/model", "config.json")


def test_a_private_repository(hub: HubStandIn, api: HfApi, anonymous: HfApi) -> None:
    commit = hub.create("org/secret", files=FILES, private=True)
    assert api.model_info("org/secret").sha == commit
    outsider = HfApi(endpoint=hub.endpoint, token=hub.state.outsider_token)
    for client in (anonymous, outsider):
        with pytest.raises(RepositoryNotFoundError):
            client.model_info("org/secret")
        with pytest.raises(RepositoryNotFoundError):
            client.hf_hub_download("org/secret", "config.json")


def test_a_gated_repository(hub: HubStandIn, api: HfApi, anonymous: HfApi) -> None:
    hub.create("org/gated", files=FILES, gated="auto")
    outsider = HfApi(endpoint=hub.endpoint, token=hub.state.outsider_token)
    for client, status in ((anonymous, 401), (outsider, 403)):
        assert client.model_info("org/gated").gated == "auto"
        with pytest.raises(GatedRepoError) as gated:
            client.hf_hub_download("org/gated", "config.json")
        assert gated.value.response.status_code == status
    assert Path(api.hf_hub_download("org/gated", "config.json")).is_file()


def test_an_unknown_token_is_refused(hub: HubStandIn) -> None:
    hub.create("org/model", files=FILES)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as refusal:
        HfApi(endpoint=hub.endpoint, token="hf_unknown").model_info("org/model")
    assert refusal.value.response.status_code == 401


def test_a_renamed_repository_redirects(hub: HubStandIn, api: HfApi) -> None:
    hub.create("old/model", files=FILES)
    hub.rename("old/model", "new/model")
    assert api.model_info("old/model").id == "new/model"
    for name in ("config.json", "model.safetensors"):
        assert Path(api.hf_hub_download("old/model", name)).read_bytes() == FILES[name]
    assert 307 in {record.status for record in hub.requests}


def test_signed_urls_expire_and_cannot_be_forged(hub: HubStandIn) -> None:
    hub.create("org/model", files=FILES)
    resolve = f"{hub.endpoint}/org/model/resolve/main/model.safetensors"
    good = requests.get(resolve, allow_redirects=False).headers["Location"]
    assert good.startswith(hub.cdn.url)
    assert requests.get(good).content == WEIGHTS
    assert requests.get(good.replace("Signature=", "Signature=0")).status_code == 403
    hub.state.url_seconds = -1
    late = requests.get(resolve, allow_redirects=False).headers["Location"]
    assert requests.get(late).status_code == 403


def test_another_server_may_be_the_cdn(hub: HubStandIn) -> None:
    hub.create("org/model", files={"a b.safetensors": WEIGHTS})
    hub.state.cdn_url = "http://127.0.0.1:9"
    resolve = f"{hub.endpoint}/org/model/resolve/main/a%20b.safetensors"
    answer = requests.get(resolve, allow_redirects=False)
    assert answer.headers["Location"] == "http://127.0.0.1:9/org/model/a%20b.safetensors"


def test_ranges_and_conditions(hub: HubStandIn) -> None:
    hub.create("org/model", files=FILES)
    for name in ("config.json", "model.safetensors"):
        content = FILES[name]
        url = f"{hub.endpoint}/org/model/resolve/main/{name}"
        for asked, start, stop in [
            ("bytes=2-5", 2, 6),
            ("bytes=3-", 3, len(content)),
            ("bytes=-4", len(content) - 4, len(content)),
            ("bytes=0-999999", 0, len(content)),
        ]:
            part = requests.get(url, headers={"Range": asked})
            assert (part.status_code, part.content) == (206, content[start:stop])
            expected = f"bytes {start}-{stop - 1}/{len(content)}"
            assert part.headers["Content-Range"] == expected
        beyond = requests.get(url, headers={"Range": f"bytes={len(content)}-"})
        assert beyond.status_code == 416
        assert beyond.headers["Content-Range"] == f"bytes */{len(content)}"
        etag = part.headers["ETag"]
        assert requests.get(url, headers={"If-Match": etag}).status_code == 200
    hub.replace_under_commit("org/model", "model.safetensors", b"other")
    changed = requests.get(url, headers={"If-Match": etag})
    assert changed.status_code == 412
    assert hub.requests[-1].if_match == etag


def test_file_system(hub: HubStandIn) -> None:
    first = hub.create("org/model", files=FILES)
    hub.commit("org/model", {"model.safetensors": b"changed"})
    fs = HfFileSystem(endpoint=hub.endpoint, token=hub.token, skip_instance_cache=True)
    assert set(fs.find("org/model")) == {f"org/model/{path}" for path in FILES}
    assert "org/model/onnx" in fs.ls("org/model", detail=False)
    assert fs.cat_file("org/model/model.safetensors") == b"changed"
    assert fs.cat_file(f"org/model@{first}/model.safetensors", start=10, end=20) == WEIGHTS[10:20]
    with fs.open("org/model/model.safetensors", revision=first, block_size=1000) as file:
        file.seek(300)
        assert file.read(500) == WEIGHTS[300:800]
    with pytest.raises(FileNotFoundError):
        fs.ls("org/absent")


def test_upload_of_files_small_and_large(hub: HubStandIn, api: HfApi, tmp_path: Path) -> None:
    api.create_repo("org/new")
    api.create_repo("org/new", exist_ok=True)
    uploaded = api.upload_file(
        path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors", repo_id="org/new"
    )
    assert uploaded.oid == hub.head("org/new")
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "deep" / "part.bin").write_bytes(b"part")
    api.upload_folder(folder_path=folder, repo_id="org/new", commit_message="the rest")
    info = api.model_info("org/new", files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or ()}
    assert set(sizes) == {".gitattributes", "README.md", "deep/part.bin", "model.safetensors"}
    assert sizes["model.safetensors"] == len(WEIGHTS)
    path = api.hf_hub_download("org/new", "model.safetensors")
    assert Path(path).read_bytes() == WEIGHTS
    titles = [commit.title for commit in api.list_repo_commits("org/new")]
    assert titles[0] == "the rest"
    assert titles[-1] == "initial commit"
    put = next(record for record in hub.requests if record.method == "PUT")
    assert (put.origin, put.authorized) == ("cdn", False)


def test_an_unchanged_file_is_not_committed_again(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    for path in ("config.json", "model.safetensors"):
        done = api.upload_file(path_or_fileobj=FILES[path], path_in_repo=path, repo_id="org/model")
        assert done.oid == commit


def test_commits_with_a_parent_a_deletion_and_a_pull_request(hub: HubStandIn, api: HfApi) -> None:
    first = hub.create("org/model", files=FILES)
    second = api.create_commit(
        "org/model",
        [CommitOperationDelete("onnx/"), CommitOperationAdd("config.json", b"{}")],
        commit_message="tidy",
        parent_commit=first,
    )
    assert hub.head("org/model") == second.oid
    assert api.list_repo_files("org/model") == ["config.json", "model.safetensors"]
    with pytest.raises(HfHubHTTPError) as conflict:
        api.create_commit(
            "org/model",
            [CommitOperationAdd("config.json", b"[]")],
            commit_message="late",
            parent_commit=first,
        )
    assert conflict.value.response.status_code == 412
    proposal = api.create_commit(
        "org/model",
        [CommitOperationAdd("config.json", b"[1]")],
        commit_message="proposal",
        create_pr=True,
    )
    assert proposal.pr_revision == "refs/pr/1"
    assert hub.head("org/model") == second.oid
    assert hub.head("org/model", "refs/pr/1") == proposal.oid


def test_branches_and_tags_by_the_api(hub: HubStandIn, api: HfApi) -> None:
    commit = hub.create("org/model", files=FILES)
    api.create_branch("org/model", branch="try/this", revision=commit)
    api.create_tag("org/model", tag="v1")
    assert hub.head("org/model", "try/this") == hub.head("org/model", "v1") == commit
    with pytest.raises(HfHubHTTPError):
        api.create_tag("org/model", tag="v1")
    api.delete_tag("org/model", tag="v1")
    api.delete_branch("org/model", branch="try/this")
    assert [ref.name for ref in api.list_repo_refs("org/model").branches] == ["main"]
    api.delete_repo("org/model")
    assert not api.repo_exists("org/model")


def test_only_members_may_write(hub: HubStandIn, anonymous: HfApi) -> None:
    hub.create("org/model", files=FILES)
    outsider = HfApi(endpoint=hub.endpoint, token=hub.state.outsider_token)
    for client, status in ((anonymous, 401), (outsider, 403)):
        with pytest.raises(HfHubHTTPError) as refusal:
            client.create_tag("org/model", tag="v1")
        assert refusal.value.response.status_code == status


def test_whoami(hub: HubStandIn, api: HfApi) -> None:
    assert api.whoami()["name"] == "member"


def test_a_large_file_needs_no_memory(hub: HubStandIn) -> None:
    size = 256 * 1024 * 1024
    content = Repeated(b"0123456789abcdef!", size)
    hub.create("org/model", files={"model.safetensors": File(content, sha256="1" * 64)})
    url = f"{hub.endpoint}/org/model/resolve/main/model.safetensors"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = 0
    with requests.get(url, stream=True) as answer:
        for block in answer.iter_content(1024 * 1024):
            read += len(block)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert read == size == hub.requests[-1].sent
    assert grown < 48 * 1024, "in KiB"
    tail = requests.get(url, headers={"Range": f"bytes={size - 20}-"}).content
    assert tail == (content.pattern * 20)[(size - 20) % 17 :][:20]


@needs_corpus
def test_the_corpus_is_served_as_recorded(hub: HubStandIn, api: HfApi) -> None:
    folder = CORPUS / "hub" / "ibm-granite__granite-4.1-3b"
    name = hub.load_corpus(folder)
    info = api.model_info(name, files_metadata=True)
    assert info.id == "ibm-granite/granite-4.1-3b"
    assert info.sha == "c0650403e44e78ec0262dab1c90914c65b196c4e"
    assert all(sibling.lfs is None for sibling in info.siblings or ())
    path = Path(api.hf_hub_download(name, "model.sig"))
    assert path.read_bytes() == (folder / "model.sig").read_bytes()
    assert path.resolve().name == "1b670921a42c67370d3883303045f9d6705daa47"


def test_reset_forgets(hub: HubStandIn, api: HfApi) -> None:
    hub.create("org/model", files=FILES)
    endpoint = hub.endpoint
    hub.stop()
    hub.reset()
    assert hub.requests == []
    assert hub.endpoint == endpoint
    assert not HfApi(endpoint=hub.endpoint, token=hub.token).repo_exists("org/model")
