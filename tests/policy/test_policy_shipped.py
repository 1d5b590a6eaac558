"""What is in ``policies/``: formatted, checked, tested by OPA itself, and up to date."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from opapywasm import OpaWasmPolicy

import oms_gate
from oms_gate.policy.input import INPUT_SCHEMA, input_schema
from oms_gate.policy.shipped import shipped
from oms_gate.verdict import SignatureTime
from tests.policy.samples import NOW, certificate, document, key

POLICIES = Path(__file__).parents[2] / "policies"
RULES = ("admission.rego", "admission_test.rego")
PINNED = "1.22.2"


def run(opa: Path, *arguments: str) -> str:
    done = subprocess.run([opa, *arguments], cwd=POLICIES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_opa_test(opa: Path) -> None:
    results = json.loads(run(opa, "test", "--format=json", *RULES))
    assert len(results) > 20


def test_every_line_is_tested(opa: Path) -> None:
    report = json.loads(run(opa, "test", "--coverage", *RULES))
    assert report["files"]["admission.rego"].get("not_covered") is None


def test_opa_check(opa: Path) -> None:
    assert not run(opa, "check", "--strict", *RULES)
    assert not run(opa, "check", "--strict", "--schema", "input.schema.json", *RULES)


def test_the_schema_finds_misspelt_members(opa: Path, tmp_path: Path) -> None:
    text = (POLICIES / "admission.rego").read_text()
    for right, wrong in (("input.model.name", "input.model.nmae"), ("file.scope ", "file.scopes ")):
        path = tmp_path / "admission.rego"
        path.write_text(text.replace(right, wrong))
        command = [str(opa), "check", "-s", str(POLICIES / "input.schema.json"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
        assert "undefined ref" in done.stderr


def test_opa_fmt(opa: Path) -> None:
    assert not run(opa, "fmt", "--list", *RULES)


def test_the_module_is_what_opa_makes_of_the_rego(opa: Path) -> None:
    if f"Version: {PINNED}" not in run(opa, "version"):
        pytest.skip(f"another OPA than {PINNED} makes another module: run `make peers`")
    # The file's name as given is part of the module, so it is built in its folder.
    command = "build -t wasm -e oms_gate/admission/decision admission.rego -o /dev/stdout"
    bundle = subprocess.run([opa, *command.split()], cwd=POLICIES, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(bundle.stdout)) as archive:
        module = archive.extractfile("/policy.wasm")
        assert module is not None
        built = module.read()
    assert built == (POLICIES / "admission.wasm").read_bytes(), (
        f"policies/admission.wasm is out of date: in policies/, opa {command}"
    )


def test_the_module_needs_nothing_from_its_host() -> None:
    policy = OpaWasmPolicy.from_wasm_file(POLICIES / "admission.wasm")
    assert policy.builtins == {}
    policy.close()


def test_the_schema_is_that_of_the_models() -> None:
    expected = json.dumps(input_schema(), indent=2) + "\n"
    assert (POLICIES / "input.schema.json").read_text() == expected


DOCUMENTS: list[dict[str, Any]] = [
    document(),
    document(signer=key()),
    document(signer=certificate()),
    document(
        missing=("a",),
        unsigned=(("b.py", None),),
        ignored=(("c.py", 1, "signer"), ("d", 2, "cache")),
        context={"any": [{"thing": None}]},
    ),
]


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_documents_keep_to_the_schema(number: int) -> None:
    schema = json.loads((POLICIES / "input.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DOCUMENTS[number], schema)
    json.dumps(DOCUMENTS[number], allow_nan=False).encode()
    changes: list[dict[str, Any]] = [
        {"schema": "oms-gate/input/v2"},
        {"more": 1},
        {"coverage": {}},
        {"now": "x"},
    ]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**DOCUMENTS[number], **change}, schema)


def test_the_document_says_what_the_gate_knows() -> None:
    made = document(
        "hf://datasets/example/data",
        missing=("a",),
        unsigned=(("b.py", None),),
        ignored=(("c.md\u202e", 1, "signer"),),
        context={"namespace": "prod"},
    )
    assert made["schema"] == INPUT_SCHEMA
    assert made["model"] == {
        "url": "hf://datasets/example/data@" + "0" * 40,
        "name": "hf://datasets/example/data",
        "revision": "0" * 40,
        "scheme": "hf",
    }
    assert made["signer"]["identity"] == "release@example.com"
    assert made["signature"] == {
        "format": "v1.0",
        "root_digest": "12" * 32,
        "serialization": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "sorted": True,
        "times": [NOW.timestamp()],
        "log_index": 7,
        "bundle_sha256": "ef" * 32,
    }
    assert made["coverage"] == {
        "signed": 3,
        "signed_files": [
            {"path": "config.json", "size": 700, "kind": "config"},
            {"path": "model.safetensors", "size": 90_000_000, "kind": "weights"},
            {"path": "README.md", "size": None, "kind": "document"},
        ],
        "missing": ["a"],
        "unsigned": [{"path": "b.py", "size": None, "kind": "code"}],
        "ignored": [{"path": "c.md\\u202e", "size": 1, "kind": "other", "scope": "signer"}],
    }
    assert made["assurance"] == "bytes"
    assert made["now"] == NOW.timestamp()
    assert made["context"] == {"namespace": "prod"}
    assert SignatureTime(source="timestamp-authority", time=NOW).time.timestamp() == made["now"]


def test_installed_files_are_found(tmp_path: Path) -> None:
    assert shipped("admission.wasm") == POLICIES / "admission.wasm"
    package = Path(oms_gate.__file__).parent
    shutil.copytree(package / "policy", tmp_path / "oms_gate/policy")
    shutil.copy(package / "__init__.py", tmp_path / "oms_gate")
    (tmp_path / "oms_gate/policies").mkdir()
    (tmp_path / "oms_gate/policies/admission.wasm").touch()
    code = "from oms_gate.policy.shipped import shipped; print(shipped('admission.wasm'))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "oms_gate/policies/admission.wasm"


def test_rules_and_documents_need_no_engine() -> None:
    names = ["input", "publishers", "kinds", "decision", "engine", "shipped"]
    code = "import sys; " + "; ".join(f"import oms_gate.policy.{name}" for name in names)
    code += "; print([m for m in ('wasmtime', 'opapywasm', 'requests') if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
