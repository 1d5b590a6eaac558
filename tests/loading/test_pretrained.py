"""from_pretrained with real libraries: a real model, and what is refused of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import constants, hf_hub_download
from model2vec import StaticModel
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoTokenizer, pipeline

from oms_gate import (
    AdmissionDenied,
    AdmissionWarning,
    Gate,
    ReasonCode,
    UsageError,
    VerifiedMixin,
    from_pretrained,
    guard,
    verified,
)
from tests import models
from tests.delivery.pulling import gate_of
from tests.loading.real_model import real_files, signed_files
from tests.peers import faults
from tests.peers.content import Content
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

NAME = "acme/minilm"
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "config.json"]


@pytest.fixture(scope="module")
def files() -> dict[str, Content]:
    """What a tokenizer needs of the real model: it has 91 MB of weights besides."""
    return {path: content for path, content in real_files().items() if path in TOKENIZER_FILES}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The same, for Acme's models elsewhere, too."""
    (publisher,) = settings["publishers"]
    places = [*publisher["models"], "s3://*/acme/*", "/**/acme/*"]
    return settings | {"publishers": [publisher | {"models": places}]}


@pytest.fixture
def commit(hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]) -> str:
    return hub.create(NAME, files=signed_files(files, key))


def put(s3: SeaweedFS, bucket: str, files: dict[str, Content]) -> str:
    for name, content in files.items():
        body = content.read_bytes() if isinstance(content, Path) else content
        s3.put(bucket, f"acme/m/{name}", body)
    return f"s3://{bucket}/acme/m"


def code_of(load: Callable[[], object]) -> ReasonCode:
    with pytest.raises(AdmissionDenied) as raised:
        load()
    (reason,) = raised.value.verdict.reasons
    return reason.code


def test_transformers_load_a_real_model(gate: Gate, commit: str) -> None:
    config = from_pretrained(AutoConfig, NAME, gate=gate)
    assert config.model_type == "bert"
    tokenizer = from_pretrained(AutoTokenizer, NAME, gate=gate)
    assert tokenizer("a signed model")["input_ids"] == [101, 1037, 2772, 2944, 102]
    # They know it by its name, as they do without a gate.
    assert tokenizer.name_or_path == NAME


def test_what_is_read_is_in_the_verified_cache(gate: Gate, commit: str, home: Path) -> None:
    from_pretrained(AutoTokenizer, NAME, gate=gate)
    there = {path.name for path in (home / "cache").rglob("snapshots/*/*")}
    assert "tokenizer.json" in there
    assert not Path(constants.HF_HUB_CACHE, "models--acme--minilm", "blobs").exists()


def _changed(files: dict[str, Content], key: ec.EllipticCurvePrivateKey) -> None:
    path = files["tokenizer.json"]
    assert isinstance(path, Path)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    files["tokenizer.json"] = bytes(content)


def _added(files: dict[str, Content], key: ec.EllipticCurvePrivateKey) -> None:
    files["modeling_x.py"] = b"print('gotcha')"


def _unsigned(files: dict[str, Content], key: ec.EllipticCurvePrivateKey) -> None:
    del files["model.sig"]


def _stranger(files: dict[str, Content], key: ec.EllipticCurvePrivateKey) -> None:
    files |= signed_files({k: v for k, v in files.items() if k != "model.sig"}, models.new_key())


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_changed, ReasonCode.FILE_CHANGED),
        (_added, ReasonCode.COVERAGE_UNSIGNED),
        (_unsigned, ReasonCode.SIGNATURE_MISSING),
        (_stranger, ReasonCode.KEY_UNTRUSTED),
    ],
)
@pytest.mark.parametrize("cls", [AutoConfig, AutoTokenizer])
def test_a_spoilt_model_is_refused(
    gate: Gate,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    spoil: Callable[[dict[str, Content], ec.EllipticCurvePrivateKey], None],
    code: ReasonCode,
    cls: Any,
) -> None:
    spoilt = signed_files(files, key)
    spoil(spoilt, key)
    hub.create(NAME, files=spoilt)
    if cls is AutoConfig and spoil is _changed:
        # Of files that nobody asks for nothing is said, and nothing is loaded.
        assert from_pretrained(cls, NAME, gate=gate).model_type == "bert"
        return
    with pytest.raises(OSError, match=re.escape(f"[{code}]")):
        from_pretrained(cls, NAME, gate=gate)


def test_an_optional_file_that_was_changed_is_not_passed_over(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]
) -> None:
    optional = {"generation_config.json": b'{"temperature": 0.1}'}
    hub.create(NAME, files=signed_files({**files, **optional}, key))
    hub.replace_under_commit(NAME, "generation_config.json", b'{"temperature": 9.9}')

    def load(name: str) -> str | None:
        # As transformers does it in PreTrainedModel.from_pretrained.
        try:
            return hf_hub_download(name, "generation_config.json")
        except OSError:
            return None

    changed = code_of(lambda: from_pretrained(load, NAME, gate=gate))
    assert changed is ReasonCode.FILE_CHANGED


def test_a_branch_that_moves_while_it_loads_changes_nothing(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    """Attack row 17: the first file is of one commit, and another one follows."""
    evil = {"tokenizer.json": b"{}"}

    def move() -> None:
        hub.commit(NAME, evil)

    hub.inject(faults.CallBefore(move), "*config.json", times=1)
    tokenizer = from_pretrained(AutoTokenizer, NAME, gate=gate)
    assert hub.head(NAME) != commit
    assert tokenizer("a signed model")["input_ids"] == [101, 1037, 2772, 2944, 102]
    with pytest.raises(OSError, match=re.escape("[file.changed]")):
        from_pretrained(AutoTokenizer, NAME, gate=gate)


def test_one_load_is_of_one_commit(
    settings: dict[str, Any], hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    """Attack row 16: a library that asks for the branch itself, again and again."""
    limits = settings["limits"] | {"decision_seconds": 0}
    gate = gate_of(settings | {"limits": limits})

    def load(name: str) -> list[str]:
        first = hf_hub_download(name, "config.json")
        newer = {**models.FILES, "vocab.txt": b"x"}
        hub.commit(NAME, signed_files(newer, key))
        return [first, hf_hub_download(name, "vocab.txt")]

    paths = from_pretrained(load, NAME, gate=gate)
    assert hub.head(NAME) != commit
    assert all(commit in Path(path).parts for path in paths)


def test_the_default_branch_is_one_commit_by_name_and_without(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]
) -> None:
    commit = hub.create(NAME, files=signed_files(files, key))
    there = {path: Path(str(content)).read_bytes() for path, content in files.items()}
    newer = signed_files({**there, "new.txt": b"new"}, key)

    def load(name: str, revision: str = "main") -> set[str]:
        hub.commit(NAME, newer)
        paths = (
            hf_hub_download(name, "config.json", revision=revision),
            hf_hub_download(name, "vocab.txt"),
        )
        return {Path(path).parent.name for path in paths}

    for options in ({}, {"revision": "main"}):
        assert from_pretrained(load, NAME, gate=gate, **options) == {commit}
        commit = hub.head(NAME)


def test_a_file_that_is_swapped_while_it_loads_is_noticed(gate: Gate, commit: str) -> None:
    """Attack row 18 at the worst moment: the library has the path, and has not opened it yet."""

    def swapping(name: str) -> bytes:
        path = Path(hf_hub_download(name, "tokenizer.json"))
        content = path.read_bytes().replace(b"signed", b"singed")
        path.unlink()
        path.write_bytes(content)
        return path.read_bytes()

    def swapping_and_going_on(name: str) -> object:
        swapping(name)
        return AutoTokenizer.from_pretrained(name)

    for load in (swapping, swapping_and_going_on):
        with pytest.raises(OSError, match=re.escape("[cache.changed]")):
            from_pretrained(load, NAME, gate=gate)


def test_a_revision_is_honoured(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, commit: str
) -> None:
    hub.commit(NAME, {"model.sig": None})
    assert from_pretrained(AutoConfig, NAME, revision=commit, gate=gate).model_type == "bert"
    url = f"hf://{NAME}@{commit}"
    assert from_pretrained(AutoConfig, url, gate=gate).model_type == "bert"
    missing = code_of(lambda: from_pretrained(AutoConfig, NAME, gate=gate))
    assert missing is ReasonCode.SIGNATURE_MISSING
    with pytest.raises(UsageError, match="has no meaning"):
        from_pretrained(AutoConfig, url, revision="main", gate=gate)


def test_a_library_without_revisions_gets_one_all_the_same(
    gate: Gate,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    embeddings: dict[str, Content],
) -> None:
    commit = hub.create("acme/static", files=signed_files(embeddings, key))
    hub.commit("acme/static", {"model.sig": None})
    model = from_pretrained(StaticModel, "acme/static", revision=commit, gate=gate)
    assert model.encode(["a model"]).shape == (1, 4)
    missing = code_of(lambda: from_pretrained(StaticModel, "acme/static", gate=gate))
    assert missing is ReasonCode.SIGNATURE_MISSING


def test_a_library_without_revisions_gets_the_one_of_a_url(
    gate: Gate,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    embeddings: dict[str, Content],
) -> None:
    first = hub.create("acme/static", files=signed_files(embeddings, key))
    hub.commit("acme/static", {"model.sig": None})
    assert from_pretrained(StaticModel, f"hf://acme/static@{first}", gate=gate).dim == 4


def test_a_token_is_honoured(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]
) -> None:
    hub.create("acme/private", files=signed_files(files, key), private=True)
    with pytest.raises(AdmissionDenied):
        from_pretrained(AutoConfig, "acme/private", gate=gate)
    config = from_pretrained(AutoConfig, "acme/private", token=hub.token, gate=gate)
    assert config.model_type == "bert"


def test_a_cache_dir_is_honoured(gate: Gate, commit: str, tmp_path: Path) -> None:
    from_pretrained(AutoConfig, NAME, cache_dir=str(tmp_path / "big"), gate=gate)
    (found,) = (tmp_path / "big").rglob("snapshots/*/config.json")
    assert commit in found.parts


def test_offline_it_is_loaded_from_what_was_verified(
    gate: Gate, hub: HubStandIn, commit: str
) -> None:
    options: dict[str, Any] = {"local_files_only": True, "gate": gate}
    unknown = code_of(lambda: from_pretrained(AutoTokenizer, NAME, **options))
    assert unknown is ReasonCode.STORE_UNAVAILABLE
    from_pretrained(AutoTokenizer, NAME, gate=gate)
    hub.clear()
    assert from_pretrained(AutoTokenizer, NAME, **options).name_or_path == NAME
    assert not hub.requests


def test_a_subfolder_is_honoured(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]
) -> None:
    below = {f"encoder/{path}": content for path, content in files.items()}
    hub.create(NAME, files=signed_files(below, key))
    tokenizer = from_pretrained(AutoTokenizer, NAME, subfolder="encoder", gate=gate)
    assert len(tokenizer) == 30522


@pytest.mark.parametrize("spoil", [_changed, _added])
def test_a_subfolder_is_loaded_as_it_was_signed_or_not_at_all(
    gate: Gate,
    hub: HubStandIn,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    spoil: Callable[[dict[str, Content], ec.EllipticCurvePrivateKey], None],
) -> None:
    """Attack row 30: the signature is the repository's, and the attack is below."""
    signed = signed_files({f"encoder/{path}": content for path, content in files.items()}, key)
    attacked = dict(files)
    spoil(attacked, key)
    below = {f"encoder/{path}": content for path, content in attacked.items()}
    hub.create(NAME, files={**signed, **below})
    with pytest.raises(OSError, match=r"encoder/.*\[(file\.changed|coverage\.unsigned)\]"):
        from_pretrained(AutoTokenizer, NAME, subfolder="encoder", gate=gate)


def test_a_folder_of_a_repository_is_a_model_of_its_own(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, files: dict[str, Content]
) -> None:
    below = {f"encoder/{path}": content for path, content in signed_files(files, key).items()}
    hub.create(NAME, files=below)
    tokenizer = from_pretrained(AutoTokenizer, f"hf://{NAME}/encoder", gate=gate)
    assert "snapshots" in Path(tokenizer.name_or_path).parts
    missing = code_of(lambda: from_pretrained(AutoTokenizer, NAME, gate=gate))
    assert missing is ReasonCode.SIGNATURE_MISSING


def test_models_are_loaded_from_s3(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    embeddings: dict[str, Content],
    s3: SeaweedFS,
    s3_bucket: str,
) -> None:
    gate = gate_of(settings | {"stores": {"options": {"s3": s3.storage_options()}}})
    url = put(s3, s3_bucket, signed_files({**files, **embeddings}, key))
    assert from_pretrained(StaticModel, url, gate=gate).encode(["a model"]).shape == (1, 4)
    with pytest.raises(UsageError, match="has no meaning"):
        from_pretrained(StaticModel, url, revision="main", gate=gate)
    weights = from_pretrained(load_file, url, gate=gate)
    assert weights["embeddings"].shape == (30522, 4)
    s3.put(s3_bucket, "acme/m/model.safetensors", b"x" * len(embeddings["model.safetensors"]))  # type: ignore[arg-type]
    changed = code_of(lambda: from_pretrained(StaticModel, url, gate=gate))
    assert changed is ReasonCode.FILE_CHANGED


def test_a_folder_goes_before_a_repository_of_its_name(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    files: dict[str, Content],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "acme" / "minilm"
    folder.mkdir(parents=True)
    for name, content in signed_files(files, key).items():
        (folder / name).write_bytes(
            content.read_bytes() if isinstance(content, Path) else content  # type: ignore[arg-type]
        )
    monkeypatch.chdir(tmp_path)
    for place in (NAME, "./acme/minilm", folder):
        tokenizer = from_pretrained(AutoTokenizer, place, gate=gate)
        # Not the folder, which anybody may write to, but what was verified of it.
        assert "snapshots" in Path(tokenizer.name_or_path).parts
    (folder / "config.json").write_text("{}")
    changed = code_of(lambda: from_pretrained(AutoTokenizer, NAME, gate=gate))
    assert changed is ReasonCode.FILE_CHANGED


@pytest.mark.parametrize("place", [f"/{NAME}", f"./{NAME}", f"~/{NAME}"])
def test_a_folder_that_is_not_there_is_no_repository(gate: Gate, commit: str, place: str) -> None:
    missing = code_of(lambda: from_pretrained(AutoConfig, place, gate=gate))
    assert missing is ReasonCode.STORE_NOT_FOUND


def test_safetensors_get_a_file(
    gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    save_file({"a": numpy.arange(3)}, tmp_path / "one")
    one = {"one.safetensors": (tmp_path / "one").read_bytes()}
    hub.create("acme/one", files=signed_files(one, key))
    two = {**one, "two.safetensors": one["one.safetensors"], "x.md": b""}
    hub.create("acme/two", files=signed_files(two, key))
    assert list(from_pretrained(load_file, "acme/one", gate=gate)["a"]) == [0, 1, 2]
    with from_pretrained(safe_open, "acme/one", framework="numpy", gate=gate) as opened:
        assert list(opened.keys()) == ["a"]
    with pytest.raises(UsageError, match="has 2 signed files in safetensors format"):
        from_pretrained(load_file, "acme/two", gate=gate)
    with pytest.raises(UsageError, match=r"has no signed file three\.safetensors"):
        from_pretrained(load_file, "acme/two", filename="three.safetensors", gate=gate)
    named = from_pretrained(load_file, "acme/two", filename="two.safetensors", gate=gate)
    assert list(named["a"]) == [0, 1, 2]


def test_a_function_of_the_model_is_given_its_name(gate: Gate, commit: str) -> None:
    def pipeline(task: str | None = None, model: str | None = None) -> object:
        return task, model

    def adapted(model: object, model_id: str, **_: object) -> object:
        return model, model_id

    def embedder(model_name_or_path: str, device: str | None = None) -> object:
        return model_name_or_path, device

    assert from_pretrained(pipeline, NAME, task="x", gate=gate) == ("x", NAME)
    assert from_pretrained(adapted, NAME, "base", gate=gate) == ("base", NAME)
    assert from_pretrained(embedder, NAME, "cpu", gate=gate) == (NAME, "cpu")


def test_a_filename_may_be_the_library_s_own(gate: Gate, commit: str) -> None:
    def load(repo_id: str, filename: str | None = None) -> tuple[str, str | None]:
        return repo_id, filename

    assert from_pretrained(load, NAME, filename="x.gguf", gate=gate) == (NAME, "x.gguf")


def test_a_pipeline_is_made_of_admitted_models(gate: Gate, hub: HubStandIn) -> None:
    hub.create("acme/unsigned", files={"config.json": b'{"model_type": "bert"}'})
    with pytest.raises(OSError, match=re.escape("[signature.missing]")):
        from_pretrained(pipeline, "acme/unsigned", task="fill-mask", gate=gate)


def test_a_class_refuses_by_itself(
    gate: Gate, hub: HubStandIn, files: dict[str, Content], commit: str
) -> None:
    hub.create("acme/unsigned", files=files)

    class Mixed(VerifiedMixin, AutoTokenizer):
        pass

    @verified
    class Decorated(AutoConfig):
        """It is described."""

    assert (Decorated.__name__, Decorated.__doc__) == ("Decorated", "It is described.")
    for cls in (Mixed, Decorated):
        assert cls.from_pretrained(NAME, gate=gate) is not None
        named = {"pretrained_model_name_or_path": NAME}
        assert cls.from_pretrained(**named, gate=gate) is not None
        with pytest.raises(AdmissionDenied):
            cls.from_pretrained("acme/unsigned", gate=gate)


def test_the_gate_is_that_of_the_guard_around(gate: Gate, commit: str, tmp_path: Path) -> None:
    with guard(gate, cache_folder=tmp_path / "mine"):
        assert from_pretrained(AutoConfig, NAME).model_type == "bert"
    assert [path.name for path in (tmp_path / "mine").rglob("snapshots/*/*")] == ["config.json"]


def test_an_annotating_gate_warns_and_loads(
    settings: dict[str, Any],
    hub: HubStandIn,
    files: dict[str, Content],
    embeddings: dict[str, Content],
    s3: SeaweedFS,
    s3_bucket: str,
    tmp_path: Path,
) -> None:
    options = {"s3": s3.storage_options()}
    gate = gate_of(settings | {"mode": "annotate", "stores": {"options": options}})
    hub.create("acme/unsigned", files=files)
    url = put(s3, s3_bucket, embeddings)
    local = models.write(tmp_path / "acme" / "m", {k: bytes(v) for k, v in embeddings.items()})  # type: ignore[arg-type]
    with pytest.warns(AdmissionWarning, match="has no signature") as warned:
        assert from_pretrained(AutoConfig, "acme/unsigned", gate=gate).model_type == "bert"
    assert len([w for w in warned if w.category is AdmissionWarning]) == 1
    for place in (url, local):
        with pytest.warns(AdmissionWarning, match="has no signature"):
            assert from_pretrained(StaticModel, place, gate=gate).dim == 4
        with pytest.warns(AdmissionWarning, match="has no signature"):
            assert from_pretrained(load_file, place, gate=gate)["embeddings"].shape == (30522, 4)
