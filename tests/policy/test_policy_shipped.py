"""What is in ``policies/``: formatted, checked, tested by OPA itself, and up to date."""

from __future__ import annotations

import io
import json
import re
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
RULES = ("admission.rego", "admission_test.rego", "lib")
PINNED = "1.22.2"
BUILD = "build -t wasm -e oms_gate/admission/decision --ignore *_test.rego admission.rego lib"


def run(opa: Path, *arguments: str) -> str:
    done = subprocess.run([opa, *arguments], cwd=POLICIES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def modules() -> list[Path]:
    """The files of the library, without their tests."""
    found = [POLICIES / "admission.rego", *POLICIES.glob("lib/*.rego")]
    return [path for path in found if not path.stem.endswith("_test")]


def test_opa_test_covers_every_line(opa: Path) -> None:
    report = json.loads(run(opa, "test", "--coverage", "--coverage-runs=", "--timeout=60s", *RULES))
    for path in modules():
        covered = report["files"][str(path.relative_to(POLICIES))]
        assert covered.get("not_covered") is None, path.name
        assert path.with_name(f"{path.stem}_test.rego").exists(), path.name


def test_opa_check(opa: Path) -> None:
    assert not run(opa, "check", "--strict", *RULES)
    sources = [str(path) for path in modules()]
    assert not run(opa, "check", "--strict", "--schema", "input.schema.json", *sources)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("lib/publishers.rego", "input.model.name", "input.model.nmae"),
        ("lib/coverage.rego", "input.coverage.missing", "input.coverage.mising"),
        ("lib/proof.rego", "input.signature.log_index", "input.signature.logindex"),
        ("lib/requirements.rego", "input.context.operation", "input.contxt.operation"),
        ("lib/document.rego", "input.assurance", "input.asurance"),
    ],
)
def test_the_schema_finds_misspelt_members(
    opa: Path, tmp_path: Path, name: str, right: str, wrong: str
) -> None:
    copy = shutil.copytree(POLICIES, tmp_path / "policies")
    text = (copy / name).read_text()
    assert right in text
    (copy / name).write_text(text.replace(right, wrong))
    command = [
        str(opa),
        "check",
        "-s",
        "input.schema.json",
        "--ignore=*_test.rego",
        "admission.rego",
        "lib",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode != 0
    assert "undefined ref" in done.stderr


def test_opa_fmt(opa: Path) -> None:
    assert not run(opa, "fmt", "--list", *RULES)


def test_regal_lint() -> None:
    local = POLICIES.parent / ".tools/bin/regal"
    program = str(local) if local.exists() else shutil.which("regal")
    if program is None:
        pytest.skip("there is no regal in .tools/bin or on the PATH: run `make peers`")
    run(Path(program), "lint", "admission.rego", "admission_test.rego", "lib")


def test_what_modules_offer_is_annotated(opa: Path) -> None:
    texts = {path.stem: path.read_text() for path in modules()}
    everything = "\n".join(texts.values())
    offered = {("admission", name) for name in ("decision", "allow", "deny", "warn", "annotations")}
    for module in texts.keys() - {"admission"}:
        used = re.findall(rf"(?<![\w.]){module}\.(\w+)", everything)
        defined = re.findall(r"^(?:default )?(\w+)", texts[module], re.MULTILINE)
        offered |= {(module, name) for name in used if name in defined}
        offered |= {(module, name) for name in ("deny", "warn", "unmet") if name in defined}
    assert len(offered) > 40
    annotated: dict[tuple[str, str], dict[str, Any]] = {}
    for name in ("admission.rego", "lib"):
        for entry in json.loads(run(opa, "inspect", "-a", "-f", "json", name))["annotations"]:
            path = [part["value"] for part in [*entry["path"], {"value": ""}]]
            module, rule = path[3:5] if path[2] == "lib" else path[2:4]
            annotated[module, rule] = entry["annotations"]
    for module, name in offered:
        notes = annotated.get((module, name), {})
        assert notes.keys() >= {"title", "description"}, f"{module}.{name}"
    assert annotated["admission", "decision"]["entrypoint"]


def test_the_module_is_what_opa_makes_of_the_rego(opa: Path) -> None:
    if f"Version: {PINNED}" not in run(opa, "version"):
        pytest.skip(f"another OPA than {PINNED} makes another module: run `make peers`")
    # The files' names as given are part of the module, so it is built in their folder.
    command = [str(opa), *BUILD.split(), "-o", "/dev/stdout"]
    bundle = subprocess.run(command, cwd=POLICIES, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(bundle.stdout)) as archive:
        module = archive.extractfile("/policy.wasm")
        assert module is not None
        built = module.read()
    assert built == (POLICIES / "admission.wasm").read_bytes(), (
        "policies/admission.wasm is out of date: run `make policy`"
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
        "signed_bytes": None,
        "signed_files": {
            "config": ["config.json"],
            "weights": ["model.safetensors"],
            "document": ["README.md"],
        },
        "missing": ["a"],
        "unsigned": [{"path": "b.py", "size": None, "kind": "code"}],
        "ignored": [{"path": "c.md\\u202e", "size": 1, "kind": "other", "scope": "signer"}],
    }
    assert made["assurance"] == "bytes"
    assert made["now"] == NOW.timestamp()
    assert made["context"] == {"operation": "verify", "namespace": "prod"}
    assert made["attestations"] == made["refused_attestations"] == []
    assert made["boms"] == made["refused_boms"] == []
    assert made["history"] is None
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
