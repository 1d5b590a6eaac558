"""``oms-gate cache``, as a user runs it: by exit status, output, and what is in the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from oms_gate.cache import Cache
from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from tests import models
from tests.commands import oms_gate
from tests.peers.hub import HubStandIn
from tests.test_cli_sign import at_a_terminal

URL = "hf://acme/m"
WEIGHTS = "model.safetensors"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, which the environment names."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("OMS_GATE_CACHE", str(folder))
    return folder


@pytest.fixture
def commit(hub: HubStandIn, cache: Path, tmp_path: Path) -> str:
    """The commit of a model that is in the cache."""
    key = models.new_key()
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(key))
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    commit = hub.create("acme/m", files=files)
    config = {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
    }
    with Gate.from_config(GateConfig.model_validate(config)) as gate, Cache(gate, cache) as models_:
        model = models_.model(Reference.parse(URL))
        model.fetch(model.files)
    return commit


def in_json(*arguments: object, status: int = 0) -> dict[str, Any]:
    result = oms_gate("cache", *arguments, "--json")
    assert result.returncode == status, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def spoil(cache: Path) -> Path:
    """Change the weights in the cache; their name among its contents."""
    (content,) = [path for path in cache.glob("files/*/*") if path.stat().st_size == 256_000]
    content.chmod(0o644)
    with content.open("r+b") as stream:
        stream.write(b"X")
    return content


def test_an_empty_cache_has_nothing(cache: Path) -> None:
    assert oms_gate("cache", "list").stdout == f"0 models, 0 B in {cache}\n"
    assert oms_gate("cache", "verify").stdout == "✓ 0 files (0 B): each is what it is to be\n"
    assert oms_gate("cache", "prune").stdout == "removed: 0 models; 0 B\n"
    assert in_json("list") == {"folder": str(cache), "bytes": 0, "models": []}


def test_a_list_says_what_is_there(cache: Path, commit: str, tmp_path: Path) -> None:
    result = oms_gate("cache", "list", "--cache", cache, OMS_GATE_CACHE=str(tmp_path / "other"))
    assert result.returncode == 0, result.stderr
    model, total = result.stdout.splitlines()
    url, signer, files, size, used = model.split("\t")
    assert (url, files, size, used) == (f"{URL}@{commit}", "3 of 3", "250.0 KiB", "just now")
    assert signer.startswith("sha256:")
    assert re.fullmatch(rf"1 model, 25\d\.\d KiB in {re.escape(str(cache))}", total)
    (found,) = in_json("list")["models"]
    assert (found["url"], found["files"], found["files_signed"]) == (f"{URL}@{commit}", 3, 3)
    assert found["signer"]["identity"] == signer
    assert (cache / found["folder"] / WEIGHTS).exists()


def test_on_a_terminal_it_is_a_table(
    cache: Path, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, output = at_a_terminal([], "cache", "list")
    assert status == 0
    assert "signed by" in output
    assert f"{URL}@{commit}" in output
    (found,) = (cache / "known").glob("*.json")
    os.utime(found, (0, 0))
    assert re.search(r"\d{5} days ago", at_a_terminal([], "cache", "list")[1])


def test_what_is_right_is_0_and_what_is_wrong_1(cache: Path, commit: str) -> None:
    right = oms_gate("cache", "verify")
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout == "✓ 3 files (250.0 KiB): each is what it is to be\n"
    content = spoil(cache)
    result = oms_gate("cache", "verify", URL)
    assert result.returncode == 1
    assert f"{commit}/{WEIGHTS} of {URL}@{commit}: it is not what was signed" in result.stdout
    assert "1 file wrong, and to be removed by --repair; 2 files (33 B) right" in result.stdout
    found = in_json("verify", status=1)
    assert (found["files"], found["repaired"]) == (2, False)
    assert [wrong["model"] for wrong in found["wrong"]] == [None, f"{URL}@{commit}"]
    assert found["wrong"][0]["path"] == content.relative_to(cache).as_posix()
    repaired = oms_gate("cache", "verify", "--repair")
    assert repaired.returncode == 1
    assert "2 files wrong, and removed; 2 files (33 B) right" in repaired.stdout
    assert oms_gate("cache", "verify").returncode == 0
    assert in_json("list")["models"][0]["files"] == 2


def test_names_of_strangers_are_shown_as_they_are(cache: Path, commit: str) -> None:
    (view,) = cache.glob("roots/*/snapshots/*/")
    (view / "[red]\x1b[2J\u202e.py").touch()
    result = oms_gate("cache", "verify")
    assert r"/[red]\x1b[2J\u202e.py of hf://" in result.stdout
    assert "nothing says what it is to be" in result.stdout


def test_pruning_says_what_it_frees(cache: Path, commit: str) -> None:
    would = oms_gate("cache", "prune", "--all", "--dry-run")
    assert would.returncode == 0, would.stderr
    assert would.stdout == (
        f"{URL}@{commit} would be removed\n"
        "would be removed: 1 model, 3 files that no model has any more; 250.0 KiB\n"
    )
    assert in_json("prune", URL, "--dry-run")["models"] == [f"{URL}@{commit}"]
    assert in_json("prune", URL, "--older-than", "1h")["models"] == []
    assert in_json("prune")["models"] == []
    done = in_json("prune", f"{URL}@{commit}")
    assert done == {
        "dry_run": False,
        "models": [f"{URL}@{commit}"],
        "contents": 3,
        "transfers": 0,
        "bytes": 256_033,
        "busy": [],
    }
    assert [path for path in cache.rglob("*/**/*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("age", "days", "goes"), [("8w", 55, False), ("8w", 57, True), ("90m", 1, True), ("", 31, True)]
)
def test_ages(cache: Path, commit: str, age: str, days: int, goes: bool) -> None:
    (record,) = (cache / "known").glob("*.json")
    then = record.stat().st_mtime - days * 86400
    os.utime(record, (then, then))
    options = ["--older-than", age] if age else []
    assert bool(in_json("prune", *options)["models"]) is goes


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["prune", "--older-than", "30"], "such as 30d"),
        (["prune", "--older-than", "-1d"], "such as 30d"),
        (["prune", "--older-than", ""], "such as 30d"),
        (["prune", "--all", "--older-than", "1d"], "--all is for all"),
        (["prune", "--all", URL], "--all is for all"),
        (["prune", "hf://acme/absent"], "no model is remembered"),
        (["verify", "hf://acme/absent"], "no model is remembered"),
        (["verify", "hf://"], "hf://"),
        (["list", "--cache", "{file}"], "cannot be used"),
        (["verify", "--cache", "{shared}"], "may be changed by other users"),
    ],
)
def test_usage_and_configuration_mistakes_are_2(
    cache: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    names = {"file": tmp_path / "file", "shared": tmp_path / "shared"}
    result = oms_gate("cache", *(argument.format(**names) for argument in arguments))
    assert result.returncode == 2, result.stdout + result.stderr
    assert word in result.stderr


def test_a_cache_that_cannot_be_read_is_3(cache: Path) -> None:
    cache.mkdir(0o700)
    (cache / "outside").mkdir()
    for name in ("files", "known"):
        shutil.rmtree(cache / name, ignore_errors=True)
        (cache / name).symlink_to(cache / "outside")
        for command in (["list"], ["verify"], ["prune"], ["prune", URL]):
            result = oms_gate("cache", *command)
            assert result.returncode == 3, result.stdout + result.stderr
            assert "cannot be looked after" in result.stderr
        (cache / name).unlink()


def test_no_age_is_too_long(tmp_path: Path) -> None:
    from oms_gate.cli.cache import prune

    for age in ("999999w", "999999d"):
        assert prune(tmp_path, (), older_than=age, everything=False, dry_run=True, json=True) == 0
