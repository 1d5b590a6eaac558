"""Pulling into a cache of the Hub's client: found by name there, by the client and what uses it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import ReasonCode, UsageError, Verdict
from oms_gate.delivery.hub_cache import HubCache
from oms_gate.verdict import VERDICT_FILE
from tests import models
from tests.delivery.pulling import codes, gate_of, mount, signed, tree, untouched
from tests.peers.content import Content
from tests.peers.faults import CallBefore
from tests.peers.hub import HubStandIn

PROJECT = Path(__file__).parents[2]
# What `make peers` installs.
VERSIONS = ("0.36.2", "1.33.0", "2.4.0")
Key = ec.EllipticCurvePrivateKey
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1}, "unk_token": "[UNK]"},
}
BERT: dict[str, bytes] = {
    "config.json": b'{"model_type": "bert", "hidden_size": 32, "architectures": ["BertModel"]}',
    "tokenizer.json": json.dumps(TOKENIZER).encode(),
    "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
    "model.safetensors": bytes(1000),
    "sub/extra.json": b"{}",
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def pull(settings: dict[str, Any], cache: Path) -> Callable[..., Verdict]:
    def pull(reference: str, ref: str | None = None, **options: Any) -> Verdict:
        return gate_of(settings).deliver(reference, HubCache(cache, ref), **options)

    return pull


Pull = Callable[..., Verdict]


def offline(code: str, cache: Path, **environment: str) -> str:
    """What a program prints that has the cache, and no Hub; it writes nothing there."""
    before = untouched(cache)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert untouched(cache) == before
    return result.stdout.strip()


DOWNLOADS = """
import huggingface_hub
from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache

assert huggingface_hub.__version__ == VERSION
for revision in (None, "main", COMMIT):
    # Of a commit, some 1.x ask for the listing although they are offline, and fail.
    only = revision == COMMIT and VERSION.startswith("1.")
    folder = snapshot_download("acme/m", revision=revision, local_files_only=only)
    assert folder == FOLDER, folder
    path = hf_hub_download("acme/m", "sub/extra.json", revision=revision)
    assert path == FOLDER + "/sub/extra.json", path
    assert try_to_load_from_cache("acme/m", "LICENSE", revision=revision) is None
print(sorted(__import__("os").listdir(folder)))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_hubs_client_finds_it_by_name_and_by_commit(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path, version: str
) -> None:
    """Each line of it that is in use."""
    client = PROJECT / ".tools" / f"huggingface_hub-{version}"
    if not client.exists():
        pytest.skip(f"there is no {client}: run `make peers`")
    commit = hub.create("acme/m", files={**signed(key, BERT), "LICENSE": b"free"})
    verdict = pull("hf://acme/m")
    assert verdict.admitted, verdict.reasons
    folder = cache / "models--acme--m" / "snapshots" / commit
    assert verdict.delivery is not None
    assert verdict.delivery.folder == str(folder)
    assert (folder / VERDICT_FILE).read_text() == verdict.to_json()
    assert tree(cache) == {
        **{f"{folder.relative_to(cache)}/{path}": found for path, found in tree(folder).items()},
        f"{folder.relative_to(cache)}/{VERDICT_FILE}": verdict.to_json().encode(),
        "models--acme--m/refs/main": commit.encode(),
    }
    assert tree(folder) == signed(key, BERT)
    names = {"COMMIT": commit, "FOLDER": str(folder), "VERSION": version}
    code = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + DOWNLOADS
    assert "model.sig" in offline(code, cache, PYTHONPATH=str(client))


def test_the_hubs_command_line_finds_it(hub: HubStandIn, key: Key, pull: Pull, cache: Path) -> None:
    commit = hub.create("acme/m", files=signed(key))
    assert pull("hf://acme/m").admitted
    program = str(Path(sys.executable).with_name("hf"))
    code = f"import subprocess; subprocess.run([{program!r}, 'download', 'acme/m'], check=True)"
    assert str(cache / "models--acme--m" / "snapshots" / commit) in offline(code, cache)


def test_the_hubs_client_knows_it_for_a_cache(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    from huggingface_hub import scan_cache_dir

    commit = hub.create("acme/m", files=signed(key))
    assert pull("hf://acme/m").admitted
    found = scan_cache_dir(cache)
    assert found.warnings == []
    (repository,) = found.repos
    (revision,) = repository.revisions
    assert (repository.repo_id, repository.repo_type) == ("acme/m", "model")
    assert (revision.commit_hash, set(revision.refs)) == (commit, {"main"})


TRANSFORMERS = """
from transformers import AutoConfig, AutoTokenizer

assert AutoConfig.from_pretrained("acme/m").hidden_size == 32
print(AutoTokenizer.from_pretrained("acme/m")("hello").input_ids)
"""


def test_transformers_finds_it_where_nobody_can_write(
    hub: HubStandIn, settings: dict[str, Any], key: Key, volume: Path
) -> None:
    """In a volume that the next container has mounted read-only."""
    hub.create("acme/m", files=signed(key, BERT))
    for _ in range(2):
        assert gate_of(settings).deliver("hf://acme/m", HubCache(volume)).admitted
        assert [path.name for path in volume.iterdir()] == ["models--acme--m"]
    mount("-o", "remount,ro", volume)
    assert offline(TRANSFORMERS, volume) == "[1]"


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_every_user_may_read_it(hub: HubStandIn, key: Key, pull: Pull, cache: Path) -> None:
    """Whatever the umask: who serves a model is seldom who has pulled it."""
    cache.parent.chmod(0o755)
    hub.create("acme/m", files=signed(key, BERT))
    assert pull("hf://acme/m", "a/b").admitted
    for path in (cache, *cache.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


@pytest.mark.parametrize(
    ("revision", "ref", "expected"),
    [
        ("", None, "main"),
        ("@v1.0", None, "v1.0"),
        ("@v1.0", "main", "main"),
        ("@refs%2Fpr%2F1", None, "refs/pr/1"),
        ("@COMMIT", None, "main"),
        ("@COMMIT", "release/2026", "release/2026"),
    ],
)
def test_the_name_by_which_it_is_found(
    hub: HubStandIn,
    key: Key,
    pull: Pull,
    cache: Path,
    revision: str,
    ref: str | None,
    expected: str,
) -> None:
    commit = hub.create("acme/m", files=signed(key))
    hub.tag("acme/m", "v1.0", commit)
    hub.branch("acme/m", "refs/pr/1", commit)
    assert pull(f"hf://acme/m{revision.replace('COMMIT', commit)}", ref).admitted
    refs = cache / "models--acme--m" / "refs"
    assert tree(refs) == {expected: commit.encode()}
    code = (
        "from huggingface_hub import snapshot_download\n"
        f"print(snapshot_download('acme/m', revision={expected!r}))"
    )
    assert offline(code, cache).endswith(f"/snapshots/{commit}")


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_datasets_and_spaces(
    hub: HubStandIn, settings: dict[str, Any], key: Key, cache: Path, kind: Any
) -> None:
    settings["publishers"][0]["models"].append("hf://*s/acme/*")
    commit = hub.create("acme/m", files=signed(key), kind=kind)
    assert gate_of(settings).pull(f"hf://{kind}s/acme/m", HubCache(cache)) == cache
    code = (
        "from huggingface_hub import snapshot_download\n"
        f"print(snapshot_download('acme/m', repo_type={kind!r}))"
    )
    assert offline(code, cache) == str(cache / f"{kind}s--acme--m" / "snapshots" / commit)


def test_a_second_time_nothing_is_transferred_or_written_but_the_verdict(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    assert pull("hf://acme/m").admitted
    before = untouched(cache)
    again = pull("hf://acme/m")
    assert again.delivery is not None
    assert again.delivery.transferred_bytes == 0
    assert {path.name for path, status in untouched(cache).items() if before[path] != status} == {
        VERDICT_FILE,
        Path(again.delivery.folder).name,
    }
    assert [path.name for path in cache.iterdir()] == ["models--acme--m"]


def test_a_pull_that_was_killed_before_the_name_is_completed(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    commit = hub.create("acme/m", files=signed(key))
    assert pull("hf://acme/m").admitted
    name = cache / "models--acme--m" / "refs" / "main"
    for spoil in (name.unlink, lambda: name.write_text("0" * 40), lambda: name.write_text("")):
        spoil()
        again = pull("hf://acme/m")
        assert again.delivery is not None
        assert again.delivery.transferred_bytes == 0
        assert name.read_text() == commit


def test_models_and_revisions_live_side_by_side(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    """A branch leads to the new revision when that is there; the old one stays by its commit."""
    first = hub.create("acme/m", files=signed(key))
    other = hub.create("acme/n", files=signed(key, BERT))
    assert pull("hf://acme/m").admitted
    assert pull("hf://acme/n").admitted
    files: dict[str, Content] = {**models.FILES, "README.md": b"# New\n"}
    second = hub.commit("acme/m", signed(key, files))
    assert pull("hf://acme/m").admitted
    repository = cache / "models--acme--m"
    assert (repository / "refs" / "main").read_text() == second
    assert tree(repository / "snapshots" / first) == signed(key)
    assert tree(repository / "snapshots" / second) == signed(key, files)
    assert (cache / "models--acme--n" / "refs" / "main").read_text() == other


@pytest.mark.parametrize("spoil", ["stranger", "code", "bytes"])
def test_a_denied_model_leaves_nothing(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path, spoil: str
) -> None:
    good = hub.create("acme/m", files=signed(key))
    assert pull("hf://acme/m").admitted
    before = untouched(cache)
    files: dict[str, Content] = {**models.FILES, "README.md": b"# New\n"}
    new = signed(models.new_key() if spoil == "stranger" else key, files)
    for repository in ("acme/m", "acme/n"):
        if repository == "acme/n":
            hub.create(repository, files=new)
        else:
            hub.commit(repository, new)
        if spoil == "code":
            hub.commit(repository, {"modeling.py": b"import os"})
        if spoil == "bytes":
            hub.replace_under_commit(repository, "README.md", b"# Bad\n")
        verdict = pull(f"hf://{repository}")
        assert verdict.delivery is None
        assert not verdict.admitted
    assert untouched(cache) == before
    assert (cache / "models--acme--m" / "refs" / "main").read_text() == good


def test_the_name_comes_last(hub: HubStandIn, key: Key, pull: Pull, cache: Path) -> None:
    """Who looks while a model arrives finds all of it or none."""
    hub.create("acme/m", files=signed(key))
    seen: list[list[Path]] = []
    hub.inject(CallBefore(lambda: seen.append(list(cache.glob("models--*")))), "*safetensors")
    assert pull("hf://acme/m").admitted
    assert [] in seen
    assert all(found == [] for found in seen)


def test_a_name_that_cannot_be_given_is_a_denial(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    """The files are there; but who asks by that name would not find them."""
    hub.create("acme/m", files=signed(key))
    models.write(cache / "models--acme--m" / "refs" / "main", {"x": b""})
    verdict = pull("hf://acme/m")
    assert codes(verdict) == [ReasonCode.SYSTEM_IO]
    assert verdict.delivery is None


def test_a_link_in_the_place_of_the_names_is_not_followed(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path, tmp_path: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    outside = tmp_path / "outside"
    outside.mkdir()
    (cache / "models--acme--m").mkdir(parents=True)
    (cache / "models--acme--m" / "refs").symlink_to(outside)
    assert codes(pull("hf://acme/m")) == [ReasonCode.SYSTEM_IO]
    assert list(outside.iterdir()) == []


def test_what_the_client_has_downloaded_itself_is_left_alone(
    hub: HubStandIn, key: Key, pull: Pull, cache: Path
) -> None:
    from huggingface_hub import snapshot_download

    hub.create("acme/m", files=signed(key))
    snapshot_download("acme/m", cache_dir=cache)
    before = untouched(cache)
    with pytest.raises(UsageError, match="which no pull has put there"):
        pull("hf://acme/m")
    assert untouched(cache) == before


def test_with_a_pinned_signature(hub: HubStandIn, key: Key, pull: Pull, cache: Path) -> None:
    """As an init container has it: at a commit, found as main, and nobody else is asked."""
    files = signed(models.new_key())
    commit = hub.create("stranger/m", files={**files, "modeling.py": b"import os"})
    bundle = files["model.sig"]
    assert isinstance(bundle, bytes)
    pinned = hashlib.sha256(bundle).hexdigest()
    reference = f"hf://stranger/m@{commit}"
    assert codes(pull(reference, pinned_signature="0" * 64)) == [ReasonCode.SIGNATURE_NOT_PINNED]
    assert not cache.exists()
    assert pull(reference, "main", pinned_signature=pinned).admitted
    folder = cache / "models--stranger--m" / "snapshots" / commit
    assert tree(folder) == files
    assert (folder.parents[1] / "refs" / "main").read_text() == commit


@pytest.mark.parametrize(
    "reference", ["s3://bucket/acme/m", "/acme/m", "hf://acme/m/sub", "hf://acme/m@main/x.gguf"]
)
def test_only_a_repository_has_a_place_there(pull: Pull, cache: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="is not a repository of the Hub"):
        pull(reference)
    assert not cache.exists()


def test_two_repositories_never_have_one_place(pull: Pull) -> None:
    for reference in ("hf://acme--m/n", "hf://acme/m--n", "hf://datasets/acme/m--n"):
        with pytest.raises(UsageError, match="--"):
            pull(reference)


UNSAFE = [
    *("", ".", "..", "../x", "a/../b", "/x", "x/", "a//b", "a/./b", "a..b", ".hidden", "a/.b"),
    *("a\\b", "a\0b", "a\nb", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "x.lock", "x.", "@{u}"),
    *("a" * 300, "\udcff", "0" * 40, "ABCDEF" + "0" * 34),
]


@pytest.mark.parametrize("ref", UNSAFE)
def test_names_that_lead_elsewhere_or_nowhere(pull: Pull, cache: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="branch or tag"):
        pull("hf://acme/m", ref)
    assert not cache.exists()
