"""What libraries open while they load a model: folders in the place of repositories are refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import hf_hub_download, snapshot_download
from safetensors.numpy import load_file, save
from transformers import AutoConfig, AutoTokenizer

from oms_gate import (
    AdmissionWarning,
    Gate,
    UsageError,
    from_pretrained,
    guard,
)
from tests.delivery.pulling import signed
from tests.loading.folders import BASE, load_adapter, opening, put, refused
from tests.loading.real_model import real_files, signed_files
from tests.peers.content import Content
from tests.peers.hub import HubStandIn

pytestmark = pytest.mark.usefixtures("working_folder")

CODE: dict[str, Content] = {
    "configuration_own.py": b"""
from transformers import PretrainedConfig
from .values import VALUE
class OwnConfig(PretrainedConfig):
    model_type = "own"
    value = VALUE
""",
    "values.py": b"VALUE = 'signed'\n",
}


def load_what_there_is(name: str) -> str:
    """As libraries do that can do without a part of a model."""
    try:
        load_adapter(name)
    except OSError:
        return "without"
    return "with"


def test_a_folder_in_the_place_of_a_base_model(adapter: str, base: str, gate: Gate) -> None:
    """Attack row 30: everything on the Hub is signed, and the folder is what would be loaded."""
    assert "acme/base/config.json was to be loaded" in refused(load_adapter, adapter, gate)
    shutil.rmtree(base)
    assert from_pretrained(load_adapter, adapter, gate=gate).model_type == "bert"


def test_a_folder_that_a_library_passes_over_is_told_in_the_end(
    adapter: str, base: str, gate: Gate
) -> None:
    assert "acme/base" in refused(load_what_there_is, adapter, gate)
    shutil.rmtree(base)
    assert from_pretrained(load_what_there_is, adapter, gate=gate) == "with"


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("where", ["acme/code", "/folder"])
def test_a_folder_in_the_place_of_code(
    where: str, hub: HubStandIn, key: ec.EllipticCurvePrivateKey, gate: Gate, tmp_path: Path
) -> None:
    """Attack row 30: it is not run."""
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'x')\n".encode()
    place = where if where == "acme/code" else str(tmp_path / "folder")
    put(Path(place), {"configuration_own.py": evil, "values.py": evil})
    named = {
        "model_type": "own",
        "auto_map": {"AutoConfig": f"{place}--configuration_own.OwnConfig"},
    }
    hub.create("acme/m", files=signed(key, {"config.json": json.dumps(named).encode()}))
    hub.create("acme/code", files=signed(key, CODE))
    refused(AutoConfig, "acme/m", gate, trust_remote_code=True)
    assert not ran.exists()
    shutil.rmtree(place)
    if where == "acme/code":
        loaded = from_pretrained(AutoConfig, "acme/m", gate=gate, trust_remote_code=True)
        assert loaded.value == "signed"


def test_a_folder_that_is_made_while_the_model_loads(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, gate: Gate, working_folder: Path
) -> None:
    """Attack row 18: of the model's own name, after it was looked whether there is one."""
    hub.create("acme/base", files=signed(key, {"config.json": BASE}))

    def load(name: str) -> Any:
        put(working_folder / name, {"config.json": BASE})
        return AutoConfig.from_pretrained(name)

    refused(load, "acme/base", gate)


def test_a_tokenizer_that_is_named_besides(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey, gate: Gate, working_folder: Path
) -> None:
    """Attack row 30. What was loaded through the gate itself may be handed over."""
    files = {name: path for name, path in real_files().items() if name.endswith((".json", ".txt"))}
    hub.create("acme/minilm", files=signed_files(files, key))
    folder = working_folder / "tokenizer"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(str(files[name]), folder)

    def load(name: str, tokenizer: object) -> Any:
        config = AutoConfig.from_pretrained(name)
        if isinstance(tokenizer, str):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        return config, tokenizer

    assert "tokenizer/tokenizer_config.json" in refused(
        load, "acme/minilm", gate, tokenizer="./tokenizer"
    )
    verified = from_pretrained(AutoTokenizer, "acme/minilm", gate=gate)
    assert from_pretrained(load, "acme/minilm", gate=gate, tokenizer=verified)[1] is verified


@pytest.mark.parametrize("as_", [str, os.fsencode, Path])
@pytest.mark.parametrize("name", ["config.json", "weights.bin", "model.safetensors", "vocab.txt"])
def test_whatever_a_model_is_loaded_from(
    name: str, as_: Callable[[str], str | bytes | Path], base: str, gate: Gate
) -> None:
    Path(base, name).touch()
    shutil.move(base, "acme/other")
    assert f"acme/other/{name}" in refused(opening(as_(f"acme/other/{name}")), "acme/base", gate)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("data/train/rows.json", "rb"),  # Of no model.
        ("acme/other/train.py", "rb"),  # Code is run where it is copied or imported.
        ("acme/other/README.md", "rb"),
        ("acme/other/config.json", "wb"),
        ("acme/other/config.json", "ab"),
        ("acme/other/new.json", "xb"),
    ],
)
def test_what_is_of_no_model_or_written_is_let_be(
    path: str, mode: str, base: str, gate: Gate
) -> None:
    shutil.move(base, "acme/other")
    for name in ("data/train/rows.json", "acme/other/train.py", "acme/other/README.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert from_pretrained(opening(path, mode), "acme/base", gate=gate) == "acme/base"


def test_a_folder_is_verified_in_the_load_of_another(
    adapter: str, base: str, gate_of_folders: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    shutil.rmtree(base)
    files = signed(key, {"config.json": BASE})
    put(Path(base), {name: bytes(content) for name, content in files.items()})  # type: ignore[arg-type]

    def load(name: str) -> Any:
        return from_pretrained(AutoConfig, Path(base), gate=gate_of_folders)

    assert from_pretrained(load, adapter, gate=gate_of_folders).model_type == "bert"


def test_after_a_load_everything_may_be_opened(adapter: str, base: str, gate: Gate) -> None:
    refused(load_adapter, adapter, gate)
    assert AutoConfig.from_pretrained("acme/base").model_type == "bert"


def test_what_is_installed_may_be_opened(
    adapter: str, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "installed/package", {"config.json": BASE})
    path = tmp_path / "installed/package/config.json"
    refused(opening(path), adapter, gate)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    assert from_pretrained(opening(path), adapter, gate=gate) == adapter


def test_what_is_installed_in_a_folder_that_is_named_from_here_may_be_opened(
    adapter: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(Path("vendor/package"), {"vocab.txt": b""})
    monkeypatch.syspath_prepend("vendor")
    assert from_pretrained(opening("vendor/package/vocab.txt"), adapter, gate=gate) == adapter


def test_what_is_opened_by_a_descriptor(adapter: str, base: str, gate: Gate) -> None:
    """As Python opens it for nobody; a relative name may be one of another folder."""

    def load(name: str, at: str, folder: str | None = None) -> str:
        descriptor = None if folder is None else os.open(folder, os.O_RDONLY)
        os.close(os.open(at, os.O_RDONLY, dir_fd=descriptor))
        return name

    assert "acme/base/config.json" in refused(load, adapter, gate, at="acme/base/config.json")
    assert from_pretrained(load, adapter, gate=gate, at="config.json", folder=base) == adapter


@pytest.mark.parametrize("above", [".", ".."])
def test_what_is_imported_from_where_one_works_is_not_installed(
    above: str, adapter: str, base: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(above).resolve())
    refused(load_adapter, adapter, gate)


def test_a_link_to_a_verified_file_is_none(adapter: str, base: str, gate: Gate) -> None:
    """Attack row 19: what is beside it would be read by who does not look where it leads."""

    def verified(name: str) -> str:
        return hf_hub_download("acme/base", "config.json")

    shutil.rmtree(base)
    real = from_pretrained(verified, adapter, gate=gate)
    put(Path(base), {"model.safetensors": b"evil"})
    Path(base, "config.json").symlink_to(real)
    refused(load_adapter, adapter, gate)


def test_what_was_used_unverified_is_not_verified_by_that(
    hub: HubStandIn, adapter: str, base: str, gate: Gate, annotating: Gate, home: Path
) -> None:
    """Not even for who knows where it is."""
    shutil.rmtree(base)
    hub.create("acme/evil", files={"config.json": BASE})

    def load(path: str) -> Path:
        return Path(path)

    with pytest.warns(AdmissionWarning):
        path = from_pretrained(load, "hf://acme/evil/", gate=annotating, filename="config.json")
    assert path.name == "config.json"
    refused(opening(path), adapter, gate)
    Path(base).parent.mkdir(exist_ok=True)
    Path(base).symlink_to(path.parent)
    refused(load_adapter, adapter, gate)


def test_a_folder_that_cannot_be_listed(
    adapter: str, base: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may enter it can still read what is in it. Tests may run as root, who may do anything."""
    iterdir = Path.iterdir

    def listed(folder: Path) -> Iterator[Path]:
        if folder == Path(base):
            raise PermissionError
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", listed)
    refused(load_adapter, adapter, gate)


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "model.safetensors", "pytorch_model.bin", "a.safetensors.index.json"],
)
def test_a_part_of_a_model_without_its_configuration(
    name: str, adapter: str, gate: Gate, working_folder: Path
) -> None:
    put(working_folder / "acme/base", {name: b"evil"})
    refused(opening(f"acme/base/{name}"), adapter, gate)


def test_a_folder_of_its_own_name_that_no_python_reads(adapter: str, gate: Gate) -> None:
    """Attack row 18: it is there in the end, and it is enough that it was there."""

    def load(name: str) -> str:
        Path(name).mkdir(parents=True)
        return name

    refused(load, adapter, gate)


def test_what_the_library_itself_has_made_may_be_opened(
    adapter: str, base: str, gate: Gate, tmp_path: Path
) -> None:
    shutil.rmtree(base)

    def load(name: str) -> Any:
        load_adapter(name).save_pretrained(tmp_path / "converted")
        return AutoConfig.from_pretrained(tmp_path / "converted")

    assert from_pretrained(load, adapter, gate=gate).model_type == "bert"


def test_what_other_guards_have_verified_may_be_opened(
    adapter: str, base: str, gate: Gate, tmp_path: Path
) -> None:
    shutil.rmtree(base)

    def load(name: str, copy: Path | None = None) -> Any:
        if copy is not None:
            return AutoConfig.from_pretrained(copy)
        with guard(gate, cache_folder=tmp_path / "other"):
            return load_adapter(name)

    assert from_pretrained(load, adapter, gate=gate).model_type == "bert"
    with guard(gate):
        copy = snapshot_download("acme/base", local_dir="copy")
        assert from_pretrained(load, adapter, gate=gate, copy=copy).model_type == "bert"


def test_what_would_load_later_is_refused(adapter: str, gate: Gate) -> None:
    async def soon(name: str) -> Any:
        return load_adapter(name)

    def piecemeal(name: str) -> Any:
        yield load_adapter(name)

    for load in (soon, piecemeal):
        with pytest.raises(UsageError, match="loads after it was called"):
            from_pretrained(load, adapter, gate=gate)


def test_a_verified_copy_may_be_opened(
    adapter: str, gate: Gate, hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    def load(name: str) -> Any:
        return AutoConfig.from_pretrained(
            Path(hf_hub_download(name, "config.json", local_dir="copy")).parent
        )

    hub.create("acme/base", files=signed(key, {"config.json": BASE}))
    assert from_pretrained(load, "acme/base", gate=gate).model_type == "bert"


def test_an_annotating_gate_warns_of_the_folder(adapter: str, base: str, annotating: Gate) -> None:
    with pytest.warns(AdmissionWarning, match="acme/base/config.json was to be loaded besides"):
        assert from_pretrained(load_adapter, adapter, gate=annotating).model_type == "bert"


def test_an_annotating_gate_warns_once_of_what_the_hub_has(
    hub: HubStandIn, annotating: Gate, recwarn: pytest.WarningsRecorder
) -> None:
    hub.create("acme/m", files={"config.json": BASE})
    assert from_pretrained(AutoConfig, "acme/m", gate=annotating).model_type == "bert"
    warned = [str(each.message) for each in recwarn if each.category is AdmissionWarning]
    (warning,) = warned
    assert "signature.missing" in warning


def signed_folder(key: ec.EllipticCurvePrivateKey, name: str) -> Path:
    files = signed(key, {"model.safetensors": save({"a": numpy.zeros(3)})})
    return Path(put(Path(name), {path: bytes(content) for path, content in files.items()}))  # type: ignore[arg-type]


def test_weights_are_verified_in_the_load_of_another(
    adapter: str, gate_of_folders: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    folder = signed_folder(key, "acme/own").resolve()

    def load(name: str) -> Any:
        return from_pretrained(load_file, folder, gate=gate_of_folders)

    assert list(from_pretrained(load, adapter, gate=gate_of_folders)) == ["a"]


def test_a_gate_may_be_asked_in_the_load_of_another(
    adapter: str, gate_of_folders: Gate, key: ec.EllipticCurvePrivateKey
) -> None:
    folder = signed_folder(key, "acme/own").resolve()

    def load(name: str) -> bool:
        return gate_of_folders.check(folder).admitted

    assert from_pretrained(load, adapter, gate=gate_of_folders)
