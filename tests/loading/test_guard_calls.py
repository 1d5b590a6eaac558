"""The functions that hand out files, under a guard."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import (
    _CACHED_NO_EXIST,
    HfApi,
    constants,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from oms_gate import AdmissionDenied, Gate, ReasonCode, guard
from oms_gate.cache.layout import Layout
from oms_gate.cache.pruning import prune
from tests import models
from tests.delivery.pulling import codes, signed, tree
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

# These names were imported before any guard was on, as those that libraries have.
WEIGHTS = "model.safetensors"


def read(path: str | object) -> bytes:
    assert isinstance(path, str)
    return Path(path).read_bytes()


def calls(name: str, **options: Any) -> list[Callable[[], object]]:
    """Ways to ask for a model."""
    return [
        partial(hf_hub_download, name, "config.json", **options),
        partial(snapshot_download, name, **options),
        partial(HfApi().hf_hub_download, name, "config.json", **options),
        partial(HfApi().snapshot_download, name, **options),
    ]


def test_what_is_signed_is_handed_out(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    commit = hub.create("acme/m", files=signed(key))
    with guard(gate):
        path = Path(hf_hub_download("acme/m", WEIGHTS))
        assert path.read_bytes() == models.FILES[WEIGHTS]
        assert path.parent.name == commit  # where transformers looks for it
        assert HfApi().hf_hub_download("acme/m", WEIGHTS) == str(path)
        assert snapshot_download("acme/m") == str(path.parent)
        assert tree(path.parent) == models.FILES
        assert try_to_load_from_cache("acme/m", "config.json") == str(path.parent / "config.json")


def test_a_branch_a_tag_a_commit_and_a_dataset(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    other = {**models.FILES, "config.json": b'{"of": "a branch"}\n'}
    first = hub.create("acme/m", files=signed(key))
    second = hub.commit("acme/m", signed(key, other))
    hub.tag("acme/m", "v1", first)
    hub.branch("acme/m", "refs/pr/7", first)
    hub.create("acme/d", kind="dataset", files=signed(key, other))
    with guard(gate):
        for revision in (None, "main", second):
            found = hf_hub_download("acme/m", "config.json", revision=revision)
            assert read(found) == other["config.json"]
        for revision in ("v1", "refs/pr/7", first):
            found = hf_hub_download("acme/m", "config.json", revision=revision)
            assert read(found) == models.FILES["config.json"]
        found = hf_hub_download("acme/d", "config.json", repo_type="dataset")
        assert read(found) == other["config.json"]


@pytest.mark.skipif(not hasattr(HfApi, "resolve_revision"), reason="not in 0.36")
def test_a_branch_that_the_library_has_resolved(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """It goes by the branch's name, and is a commit."""
    hub.create("acme/m", files=signed(key))
    resolved = HfApi().resolve_revision("acme/m")
    assert resolved == "main"
    other = {**models.FILES, "config.json": b'{"is": "newer"}\n'}
    hub.commit("acme/m", signed(key, other))
    with guard(gate):
        found = hf_hub_download("acme/m", "config.json", revision=resolved)
        assert read(found) == models.FILES["config.json"]
        assert read(hf_hub_download("acme/m", "config.json")) == other["config.json"]


def test_a_file_in_a_folder(hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey) -> None:
    hub.create("acme/m", files=signed(key, {"vae/config.json": b"{}", "config.json": b"[]"}))
    with guard(gate):
        assert read(hf_hub_download("acme/m", "config.json", subfolder="vae")) == b"{}"
        assert read(hf_hub_download("acme/m", "vae/config.json")) == b"{}"
        assert read(hf_hub_download("acme/m", "config.json", subfolder="")) == b"[]"


Spoil = Callable[[dict[str, Content], ec.EllipticCurvePrivateKey], object]

ATTACKS: Mapping[str, tuple[str, Spoil, ReasonCode]] = {
    "no signature": ("acme/m", lambda f, _k: f.pop("model.sig"), ReasonCode.SIGNATURE_MISSING),
    "a signature of another namespace": (
        "mallory/m",
        lambda _f, _k: None,
        ReasonCode.PUBLISHER_UNKNOWN,
    ),
    "code that nobody signed": (
        "acme/m",
        lambda f, _k: f.update({"modeling_evil.py": b"import os\n"}),
        ReasonCode.COVERAGE_UNSIGNED,
    ),
    "code that the signer left out": (
        "acme/m",
        lambda f, k: f.update(
            {
                "modeling_evil.py": b"import os\n",
                "model.sig": models.signature(models.FILES, k, ignore_paths=["modeling_evil.py"]),
            }
        ),
        ReasonCode.COVERAGE_IGNORED,
    ),
    "a stranger's key": (
        "acme/m",
        lambda f, _k: f.update({"model.sig": models.signature(models.FILES, models.new_key())}),
        ReasonCode.KEY_UNTRUSTED,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_denied_is_not_handed_out(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, attack: str
) -> None:
    name, spoil, code = ATTACKS[attack]
    files = signed(key)
    spoil(files, key)
    commit = hub.create(name, files=files)
    with guard(gate):
        for revision in (None, commit):
            for call in calls(name, revision=revision):
                with pytest.raises(AdmissionDenied) as denied:
                    call()
                assert codes(denied.value.verdict) == [code]
            assert try_to_load_from_cache(name, "config.json", revision=revision) is None
    assert not [r for r in hub.requests if r.file and r.file != "model.sig"]


def test_bytes_that_are_not_those_that_were_signed(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    changed = b"!" + models.FILES[WEIGHTS][1:]
    hub.replace_under_commit("acme/m", WEIGHTS, changed)
    with guard(gate):
        assert read(hf_hub_download("acme/m", "config.json")) == models.FILES["config.json"]
        with pytest.raises(AdmissionDenied) as denied:
            hf_hub_download("acme/m", WEIGHTS)
        assert codes(denied.value.verdict) == [ReasonCode.FILE_CHANGED]
        with pytest.raises(AdmissionDenied) as denied:
            snapshot_download("acme/m")
        assert codes(denied.value.verdict) == [ReasonCode.FILE_CHANGED]


def test_what_was_cached_unverified_is_not_handed_out(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would hand it out without any request."""
    commit = hub.create("mallory/m", files=signed(key))
    cached = hf_hub_download("mallory/m", "config.json")
    assert hf_hub_download("mallory/m", "config.json", revision=commit) == cached
    assert snapshot_download("mallory/m")
    assert try_to_load_from_cache("mallory/m", "config.json") == cached

    def asking() -> None:
        for revision in (None, commit):
            for options in ({}, {"local_files_only": True}):
                for call in calls("mallory/m", revision=revision, **options):
                    with pytest.raises(AdmissionDenied):
                        call()
            assert try_to_load_from_cache("mallory/m", "config.json", revision=revision) is None

    with guard(gate):
        asking()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        asking()
    assert try_to_load_from_cache("mallory/m", "config.json") == cached


def test_a_model_that_was_verified_before_needs_no_request(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.create("acme/m", files=signed(key))
    with guard(gate):
        path = hf_hub_download("acme/m", "config.json")
    hub.clear()
    with guard(gate):
        found = hf_hub_download("acme/m", "config.json", local_files_only=True)
        assert found == path
        assert try_to_load_from_cache("acme/m", "config.json") == path
        assert try_to_load_from_cache("acme/m", WEIGHTS) is None
        assert try_to_load_from_cache("acme/m", "adapter_config.json") is _CACHED_NO_EXIST
        with pytest.raises(LocalEntryNotFoundError, match=WEIGHTS):
            hf_hub_download("acme/m", WEIGHTS, local_files_only=True)
        with pytest.raises(LocalEntryNotFoundError, match="2 files"):
            snapshot_download("acme/m", local_files_only=True)
        found = snapshot_download("acme/m", local_files_only=True, allow_patterns="*.json")
        assert found == str(Path(path).parent)
        with pytest.raises(EntryNotFoundError):
            hf_hub_download("acme/m", "adapter_config.json", local_files_only=True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert hf_hub_download("acme/m", "config.json") == path
        with pytest.raises(LocalEntryNotFoundError):
            hf_hub_download("acme/m", WEIGHTS)
    assert not hub.requests


def test_files_that_are_not_signed_are_not_there(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Libraries look for files that a model may have, and go on where it has none."""
    hub.create("acme/m", files=signed(key) | {"CARD.md": b"# Not signed\n"})
    with guard(gate):
        with pytest.raises(EntryNotFoundError, match="not covered by the model's signature"):
            hf_hub_download("acme/m", "CARD.md")
        with pytest.raises(EntryNotFoundError, match=r"has no adapter_config\.json") as missing:
            hf_hub_download("acme/m", "adapter_config.json")
        assert isinstance(missing.value, HfHubHTTPError)
        assert missing.value.response.status_code == 404
        for outside in ("../config.json", "/etc/passwd", "x/../config.json"):
            with pytest.raises(EntryNotFoundError):
                hf_hub_download("acme/m", outside)
        assert try_to_load_from_cache("acme/m", "CARD.md") is _CACHED_NO_EXIST
        assert "CARD.md" not in tree(Path(snapshot_download("acme/m")))


def test_what_does_not_exist_is_what_libraries_expect(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    hub.create("acme/closed", files=signed(key), gated="manual")
    with guard(gate):
        for name, revision, kind, status in (
            ("acme/nothing", None, RepositoryNotFoundError, 404),
            ("acme/m", "nowhere", RevisionNotFoundError, 404),
            ("acme/closed", None, GatedRepoError, 403),
        ):
            for call in calls(name, revision=revision):
                with pytest.raises(kind) as missing:
                    call()
                assert missing.value.response.status_code == status
                assert isinstance(missing.value, AdmissionDenied)
                assert str(missing.value).startswith(f"hf://{name}")
                assert missing.value.verdict.reasons


def test_denials_reach_other_processes(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("mallory/m", files=signed(key))
    for name, kind in (("mallory/m", AdmissionDenied), ("acme/absent", RepositoryNotFoundError)):
        with guard(gate), pytest.raises(AdmissionDenied) as raised:
            hf_hub_download(name, "config.json")
        again = pickle.loads(pickle.dumps(raised.value))
        assert isinstance(again, AdmissionDenied)
        assert isinstance(again, kind)
        assert (str(again), again.verdict) == (str(raised.value), raised.value.verdict)


def test_after_a_denial_there_is_no_earlier_commit(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key))
    with guard(gate):
        hf_hub_download("acme/m", "config.json", token=hub.token)
    hub.commit("acme/m", {"model.sig": None})
    # As transformers does it: it passes on no token to the latter.
    with guard(gate):
        with pytest.raises(AdmissionDenied):
            hf_hub_download("acme/m", "config.json", token=hub.token)
        assert try_to_load_from_cache("acme/m", "config.json") is None


def test_patterns(hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey) -> None:
    files = {**models.FILES, "onnx/model.onnx": b"onnx", "pytorch_model.bin": b"pickle"}
    hub.create("acme/m", files=signed(key, files))
    with guard(gate):
        folder = Path(snapshot_download("acme/m", allow_patterns="*.json"))
        assert set(tree(folder)) == {"config.json"}
        snapshot_download("acme/m", ignore_patterns=["*.bin", "onnx/"])
        assert set(tree(folder)) == set(models.FILES)
        snapshot_download("acme/m", allow_patterns=["nothing"])
        assert set(tree(folder)) == set(models.FILES)
        assert not [r for r in hub.requests if r.file in ("onnx/model.onnx", "pytorch_model.bin")]


def test_copies_where_they_are_wanted(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = {**models.FILES, "vae/config.json": b"{}"}
    hub.create("acme/m", files=signed(key, files))
    to = tmp_path / "to"
    (to / "vae").mkdir(parents=True)
    (to / "vae" / "config.json").write_bytes(b"what was there")
    with guard(gate):
        path = hf_hub_download("acme/m", "config.json", subfolder="vae", local_dir=to)
        assert path == str(to / "vae" / "config.json")
        assert tree(to) == {"vae/config.json": b"{}"}
        assert snapshot_download("acme/m", local_dir=str(to)) == str(to)
        assert tree(to) == files
        (to / "config.json").write_bytes(b"changed meanwhile, which is the user's affair")
        assert hf_hub_download("acme/m", "config.json", local_dir=to)
        assert tree(to) == files
        hub.create("mallory/m", files=signed(key))
        with pytest.raises(AdmissionDenied):
            snapshot_download("mallory/m", local_dir=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_cache_of_the_caller(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path, home: Path
) -> None:
    hub.create("acme/m", files=signed(key))
    here, there = tmp_path / "here", tmp_path / "there"
    with guard(gate, cache_folder=there):
        path = Path(hf_hub_download("acme/m", "config.json", cache_dir=here))
        assert path.is_relative_to(here / "oms-gate")
        assert try_to_load_from_cache("acme/m", "config.json", cache_dir=here) == str(path)
        assert try_to_load_from_cache("acme/m", "config.json") is None
        # The usual folder of the library's means the guard's own, whether it is named or not.
        for usual in (None, constants.HF_HUB_CACHE):
            path = Path(hf_hub_download("acme/m", "config.json", cache_dir=usual))
            assert path.is_relative_to(there)
    assert not (home / "huggingface" / "hub").exists()


def test_tokens_and_endpoints_are_the_call_s(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.create("acme/m", files=signed(key), private=True)
    with guard(gate):
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("acme/m", "config.json")
        assert hf_hub_download("acme/m", "config.json", token=hub.token)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        assert api.hf_hub_download("acme/m", WEIGHTS)
        assert api.snapshot_download("acme/m")


def test_nothing_is_left_to_the_library(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    """A reference that cannot be meant, a kind that is not checked, a store that fails."""
    hub.create("acme/m", files=signed(key))
    with guard(gate):
        with pytest.raises(AdmissionDenied) as denied:
            hf_hub_download("acme/k", "config.json", repo_type="kernel")
        assert codes(denied.value.verdict) == [ReasonCode.GUARD_UNCHECKED]
        hub.stop()
        with pytest.raises(AdmissionDenied) as denied:
            hf_hub_download("acme/m", "config.json")
        assert codes(denied.value.verdict) == [ReasonCode.STORE_UNAVAILABLE]


@pytest.mark.skipif(
    "dry_run" not in inspect.signature(hf_hub_download).parameters, reason="not in 0.36"
)
def test_a_dry_run_is_the_library_s(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("mallory/m", files=signed(key))
    with guard(gate):
        assert hf_hub_download("mallory/m", "config.json", dry_run=True).will_download
        plan = snapshot_download("mallory/m", dry_run=True)
        assert {file.filename for file in plan} == set(signed(key))
    assert not [r for r in hub.requests if r.method == "GET" and r.file]


def test_many_threads_at_once(hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey) -> None:
    hub.create("acme/m", files=signed(key))
    hub.create("mallory/m", files=signed(key))

    def load(number: int) -> Any:
        name = ("acme/m", "mallory/m")[number % 2]
        try:
            return read(hf_hub_download(name, WEIGHTS))
        except AdmissionDenied:
            return None

    with guard(gate), ThreadPoolExecutor(8) as threads:
        found = list(threads.map(load, range(32)))
    assert found == [models.FILES[WEIGHTS], None] * 16
    assert len([r for r in hub.requests if r.origin == "cdn"]) == 1


def test_a_model_that_was_pruned_can_be_loaded_again(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """In a process that goes on: the change is said, once more in the end, and not for ever."""
    hub.create("acme/m", files=signed(key))
    told = []
    with pytest.raises(AdmissionDenied), guard(gate, cache_folder=tmp_path):
        hf_hub_download("acme/m", "config.json")
        prune(Layout.of(tmp_path), None)
        for _ in range(3):
            try:
                path = hf_hub_download("acme/m", "config.json")
            except AdmissionDenied as denied:
                told += codes(denied.verdict)
        assert read(path) == models.FILES["config.json"]
    assert set(told) == {ReasonCode.CACHE_CHANGED}


@pytest.mark.parametrize("change", ["add", "edit"])
def test_a_folder_is_handed_out_with_signed_files_only(
    hub: HubStandIn, gate: Gate, key: ec.EllipticCurvePrivateKey, change: str
) -> None:
    """Attack row 19: a library reads whatever is there, be it asked for or not."""
    hub.create("acme/m", files=signed(key))
    with pytest.raises(AdmissionDenied), guard(gate):
        folder = Path(snapshot_download("acme/m"))
        if change == "add":
            (folder / "chat_template.jinja").write_text("{{ gotcha }}")
        else:
            (folder / "README.md").chmod(0o644)
            (folder / "README.md").write_text("# Another model\n")
        with pytest.raises(AdmissionDenied) as raised:
            snapshot_download("acme/m", allow_patterns=["config.json"])
        assert codes(raised.value.verdict) == [ReasonCode.CACHE_CHANGED]
        raise raised.value
