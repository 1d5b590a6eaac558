"""The packs: policies for situations that people are in, as they come in ``examples/packs``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from oms_gate import Gate, ReasonCode
from oms_gate.config import load_config, revised
from oms_gate.limits import Limits
from oms_gate.policy.engine import Engine
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wasm import WasmEngine
from oms_gate.server.gate_policies import read_policy
from oms_gate.server.rulebook import Rulebook
from oms_gate.settings import PolicySettings
from tests import models
from tests.commands import oms_gate
from tests.oms import forge
from tests.peers.hub import HubStandIn
from tests.policy.opa_process import TOKEN, OpaServer, run_opa
from tests.policy.pack_table import PACKS
from tests.sigstore.instance import Sigstore

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
FOLDERS = {path.name: path for path in (ROOT / "examples/packs").iterdir()}
# The policy that is not the gate's own.
STAGED = "staged-rollout"


def rego(pack: str) -> list[Path]:
    """The modules of a pack's policy, with paths from the folder that they are loaded from."""
    admission = POLICIES / "admission.rego"
    if pack == STAGED:
        admission = POLICIES / "examples" / pack / "admission.rego"
    return [POLICIES / "lib", admission]


def data(pack: str) -> dict[str, object]:
    """All data of a pack's policy."""
    folder = POLICIES / "examples" / pack
    found: dict[str, object] = json.loads((folder / "data.json").read_text())
    for path in folder.glob("*/data.json"):
        found[path.parent.name] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def server(opa: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaServer]:
    """A server with the library, and no policy yet."""
    with run_opa(opa, tmp_path_factory.mktemp("packs"), str(POLICIES / "lib")) as server:
        yield server


@pytest.fixture(scope="module", params=PACKS)
def engines(
    request: pytest.FixtureRequest,
    opa: Path,
    server: OpaServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Engine, Engine]]:
    """A pack, compiled as a gate has it, and on the server."""
    pack = request.param
    library, admission = rego(pack)
    server.put("policies/admission", admission.read_text())
    server.put("data", json.dumps(data(pack)))
    if pack == STAGED:
        folder = tmp_path_factory.mktemp("policy")
        shutil.copytree(library, folder / "lib")
        shutil.copytree(admission.parent, folder, dirs_exist_ok=True)
        # The rules come from gate.yaml.
        (folder / "data.json").unlink()
        rules = {"oms_gate": data(pack)["oms_gate"]}
        compiled = WasmEngine.from_rego(folder, rules, Limits(), opa=opa, cache=folder / "cache")
    else:
        compiled = WasmEngine.bundled(data(pack), Limits())
    asked = ServerEngine(server.url, token=TOKEN)
    yield pack, compiled, asked
    compiled.close()
    asked.close()


def test_decisions(engines: tuple[str, Engine, Engine]) -> None:
    """Each row as it must be, and the same from both engines to the last word."""
    pack, compiled, asked = engines
    for case in PACKS[pack]:
        decision = compiled.decide(case.document)
        assert asked.decide(case.document).to_answer() == decision.to_answer(), case.name
        assert {reason.code.value for reason in decision.deny} == case.deny, case.name
        assert {reason.code.value for reason in decision.warn} == case.warn, case.name
        assert decision.allow == (not case.deny), case.name
        if case.require is not None:
            assert decision.require is case.require, case.name
        if case.annotations is not None:
            assert decision.annotations == case.annotations, case.name
        messages = "\n".join(reason.message for reason in decision.deny)
        assert all(words in messages for words in case.says), messages


def made(pack: str, folder: Path) -> Path:
    """The configuration of a pack in a folder of its own, with every file that it names."""
    config = Path(shutil.copytree(FOLDERS[pack], folder / pack)) / "gate.yaml"
    trust = load_config(config).trust
    roots = {path: forge.issue(path.stem).pem for path in trust.certificates.values()}
    roots |= {path: forge.issue(path.stem).pem for path in trust.timestamp_authorities.values()}
    roots |= {path: models.public_pem(models.new_key()) for path in trust.keys.values()}
    roots |= {path: forge.encode(Sigstore().trusted_root()) for path in trust.sigstore.values()}
    for path, content in roots.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if pack == STAGED:
        library, admission = rego(pack)
        shutil.copytree(library, config.parent / "policy/lib")
        shutil.copy(admission, config.parent / "policy")
        shutil.copytree(admission.parent / "rollout", config.parent / "policy/rollout")
    return config


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_can_be_used(pack: str, opa: Path, tmp_path: Path) -> None:
    config = made(pack, tmp_path)
    done = oms_gate("config", "check", config, OMS_GATE_OPA=str(opa))
    assert done.returncode == 0, done.stderr
    assert "can be used" in done.stdout


def test_a_rotation_with_real_signatures(hub: HubStandIn, tmp_path: Path) -> None:
    """Both keys are trusted, and what either has signed is valid."""
    config = made("team-key", tmp_path)
    keys = {name: models.new_key() for name in ("team-2025", "team-2026")}
    for name, key in keys.items():
        (config.parent / f"keys/{name}.pub").write_bytes(models.public_pem(key))
    with Gate.from_config(config) as gate:
        for model, signer, expected in (
            ("new", "team-2026", []),
            ("new-2", "team-2025", [ReasonCode.PUBLISHER_WRONG_SIGNER]),
            ("summarizer-v1", "team-2025", []),
        ):
            files = {**models.FILES, "model.sig": models.signature(models.FILES, keys[signer])}
            hub.create(f"acme-labs/{model}", files=dict(files))
            verdict = gate.check(f"hf://acme-labs/{model}")
            assert [reason.code for reason in verdict.reasons] == expected


@pytest.mark.parametrize("pack", PACKS)
def test_the_data_of_a_pack_are_those_of_its_configuration(pack: str) -> None:
    path = POLICIES / "examples" / pack / "data.json"
    expected = json.dumps(load_config(FOLDERS[pack] / "gate.yaml").data, indent=2) + "\n"
    assert path.read_text() == expected, (
        f"write it again: oms-gate config data {FOLDERS[pack] / 'gate.yaml'} > {path}"
    )


def test_skills_are_judged_by_the_same_rules() -> None:
    gate, skills = (
        load_config(FOLDERS["granite-nvidia"] / f"{n}.yaml") for n in ("gate", "skills")
    )
    assert (skills.data, skills.trust) == (gate.data, gate.trust)
    assert skills.signature == "skill.oms.sig"


@pytest.mark.parametrize("pack", PACKS)
def test_opa_tests_a_pack(pack: str, opa: Path) -> None:
    helper, folder = POLICIES / "examples/model_test.rego", POLICIES / "examples" / pack
    sources = [path for path in (*rego(pack), helper, folder) if path.parent != folder]
    own = ["test", "--run", "oms_gate[.]examples"]
    for command in (own, ["check", "--strict", "-s", str(POLICIES / "input.schema.json")]):
        done = subprocess.run([opa, *command, *sources], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_pack_is_there_in_whole() -> None:
    assert set(FOLDERS) == set(PACKS)
    assert {path.name for path in (POLICIES / "examples").iterdir() if path.is_dir()} == set(PACKS)
    index = (ROOT / "docs/packs.md").read_text()
    for pack, cases in PACKS.items():
        assert len(cases) >= 8
        assert f"(packs/{pack}.md)" in index
        assert f"examples/packs/{pack}/gate.yaml" in (ROOT / f"docs/packs/{pack}.md").read_text()


def test_the_label_of_the_roll_out_annotates_and_nothing_else(tmp_path: Path) -> None:
    (item,) = yaml.safe_load_all((FOLDERS[STAGED] / "gate-policies.yaml").read_text())
    policy, mistake = read_policy(item, lambda *_: {}, "oms-gate")
    assert mistake is None
    config = revised(load_config(made(STAGED, tmp_path)), policy=PolicySettings())
    book = Rulebook(config)
    book.check(policy)
    book.replace([policy])
    label = "acme.example/models"
    for labels, mode in (
        ({label: "announced"}, "annotate"),
        ({label: "enforced"}, "enforce"),
        ({label: "Announced"}, "enforce"),
        ({}, "enforce"),
    ):
        assert book.terms("any", labels, "hf://acme/x").mode == mode
    book.close()


def test_the_rego_of_the_documentation(opa: Path, tmp_path: Path) -> None:
    (module,) = re.findall(r"```rego\n(.*?)```", (ROOT / "docs/policies.md").read_text(), re.DOTALL)
    (tmp_path / "own.rego").write_text(module)
    admission = (POLICIES / "lib", POLICIES / "admission.rego")
    command = ["check", "--strict", "-s", str(POLICIES / "input.schema.json")]
    done = subprocess.run([opa, *command, *admission, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
