"""``oms-gate storage-initializer``, as KServe runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import oms_gate
from tests.delivery.pulling import tree
from tests.peers.hub import HubStandIn


@pytest.fixture
def config(tmp_path: Path, public_key: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(
        f"trust: {{keys: {{acme: {public_key}}}, public_good: false}}\npublishers:\n"
        "  - {name: Acme, models: ['acme/*', '/**'], signers: [{method: key, key: acme}]}\n"
    )
    return path


@pytest.fixture
def files(key: object) -> dict[str, bytes]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key)}  # type: ignore[arg-type]


def test_models_arrive_in_their_folders(
    hub: HubStandIn, files: dict[str, bytes], config: Path, tmp_path: Path
) -> None:
    """Of the Hub's at the revision that KServe's colon names; the configuration by environment."""
    first = hub.create("acme/m", files=dict(files))
    hub.tag("acme/m", "v1.0", first)
    hub.commit("acme/m", {"modeling.py": b"import os"})
    local = models.write(tmp_path / "local", files)
    mounted = tmp_path / "mnt" / "models"
    mounted.mkdir(parents=True)
    result = oms_gate(
        *("storage-initializer", "hf://acme/m:v1.0", mounted, local, tmp_path / "second"),
        OMS_GATE_CONFIG=str(config),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"admitted  hf://acme/m@{first}" in result.stdout
    assert tree(mounted) == tree(tmp_path / "second") == files


def test_the_first_denied_model_ends_it(
    hub: HubStandIn, files: dict[str, bytes], config: Path, tmp_path: Path
) -> None:
    hub.create("acme/m", files={**files, "modeling.py": b"import os"})
    local = models.write(tmp_path / "local", files)
    arguments = [
        *(local, tmp_path / "a", "hf://acme/m", tmp_path / "b", local, tmp_path / "c"),
        *("--config", config),
    ]
    result = oms_gate("storage-initializer", *arguments)
    assert result.returncode == 1
    assert ReasonCode.COVERAGE_UNSIGNED in result.stdout
    assert [(tmp_path / name).exists() for name in "abc"] == [True, False, False]
    quiet = oms_gate("storage-initializer", *arguments, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    absent = oms_gate(
        "storage-initializer", "hf://acme/absent", tmp_path / "d", "-c", config, "--json"
    )
    assert absent.returncode == 3
    assert json.loads(absent.stdout)["reasons"][0]["code"] == ReasonCode.STORE_NOT_FOUND


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "SRC DEST"),
        (["{model}"], "the folder for {model} is missing"),
        (["{model}", "{to}", "hf://acme/m"], "the folder for hf://acme/m is missing"),
        (["{model}", "{to}", "hf://acme/m@main", "{to}"], "hf://owner/name:revision"),
        (["{model}", "{to}", "--json", "--quiet"], "--quiet"),
    ],
)
def test_usage_mistakes_are_2_and_nothing_is_pulled(
    files: dict[str, bytes], config: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    model, to = models.write(tmp_path / "m", files), tmp_path / "to"
    given = [argument.format(model=model, to=to) for argument in arguments]
    result = oms_gate("storage-initializer", *given, OMS_GATE_CONFIG=str(config))
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert word.format(model=model) in result.stderr
    assert not to.exists()


def test_without_a_configuration_nothing_is_pulled(tmp_path: Path, files: dict[str, bytes]) -> None:
    model = models.write(tmp_path / "m", files)
    result = oms_gate("storage-initializer", model, tmp_path / "to")
    assert result.returncode == 2
    assert "nobody is named who may sign" in result.stderr


def test_the_environment_has_the_configuration_where_no_file_can_be(
    hub: HubStandIn, files: dict[str, bytes], config: Path, public_key: Path, tmp_path: Path
) -> None:
    hub.create("acme/m", files=dict(files))
    text = config.read_text().replace(str(public_key), "trust/acme.pub")
    given = {"gate.yaml": text, "trust/acme.pub": public_key.read_text()}
    arguments = ("storage-initializer", "hf://acme/m", tmp_path / "a")
    result = oms_gate(*arguments, OMS_GATE_CONFIG_FILES=json.dumps(given), TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert tree(tmp_path / "a") == files
    assert not list(tmp_path.glob("oms-gate-config-*"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[]", "not a JSON object of texts"),
        ('{"gate.yaml": 1}', "not a JSON object of texts"),
        ('{"other.yaml": ""}', "has no gate.yaml"),
        ('{"../gate.yaml": ""}', "no file below its folder"),
        ('{"/gate.yaml": ""}', "no file below its folder"),
    ],
)
def test_an_environment_that_cannot_be_meant_is_an_error(
    given: str, said: str, tmp_path: Path
) -> None:
    arguments = ("storage-initializer", "hf://acme/m", tmp_path / "a")
    result = oms_gate(*arguments, OMS_GATE_CONFIG_FILES=given)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "a").exists()
