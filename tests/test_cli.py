"""The command line, as a user runs it: in a process of its own, by exit status and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from oms_gate.verdict import ReasonCode
from tests import models
from tests.corpus import CORPUS, needs_corpus
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.policy.opa_process import run_opa

ROOT = Path(__file__).parents[1]


def oms_gate(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("oms-gate")), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed model; its public key is beside it."""
    key = models.new_key()
    (tmp_path / "key.pub").write_bytes(models.public_pem(key))
    files = {**models.FILES, "model.sig": models.signature(models.FILES, key)}
    return models.write(tmp_path / "model", files)


def test_admitted_is_0_and_denied_is_1(model: Path) -> None:
    public = model.parent / "key.pub"
    admitted = oms_gate("verify", model, "--public-key", public)
    assert admitted.returncode == 0, admitted.stderr
    assert "admitted" in admitted.stdout
    assert "3 signed, 3 hashed" in admitted.stdout
    assert "\x1b" not in admitted.stdout
    (model / "model.safetensors").write_bytes(b"other")
    denied = oms_gate("verify", model, "--public-key", public)
    assert denied.returncode == 1
    assert "model.safetensors was changed after signing" in denied.stdout
    assert ReasonCode.FILE_CHANGED in denied.stdout


def test_json_is_of_the_schema(model: Path) -> None:
    schema = json.loads((ROOT / "docs" / "verdict.schema.json").read_text())
    result = oms_gate("verify", model, "--public-key", model.parent / "key.pub", "--json")
    verdict = json.loads(result.stdout)
    jsonschema.validate(verdict, schema)
    assert verdict["outcome"] == "admitted"
    assert verdict["schema"] == "oms-gate/verdict/v1"


def test_quiet_says_it_by_status(model: Path) -> None:
    public = model.parent / "key.pub"
    result = oms_gate("verify", model, "--public-key", public, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    (model / "model.sig").unlink()
    result = oms_gate("verify", model, "--public-key", public, "-q")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["verify"], "REF"),
        (["verify", "{model}"], "nobody is named"),
        (["verify", "{model}", "--identity", "a@example.com"], "belong together"),
        (["verify", "{model}", "--issuer", "https://x"], "belong together"),
        (["verify", "{model}", "--trusted-root", "{key}"], "--trusted-root needs"),
        (["verify", "{model}", "--certificate-root", "{key}", "--issuer", "x"], "belongs to"),
        (["verify", "{model}", "--certificate-root", "{key}"], "certificate"),
        (["verify", "{model}", "--public-key", "{model}/none"], "cannot be read"),
        (["verify", "{model}", "--public-key", "{key}", "--assurance", "much"], "'declared'"),
        (["verify", "{model}", "--config", "{model}/none.yaml"], "cannot be read"),
        (["verify", "{model}", "--public-key", "{key}", "--policy", "{model}"], "policy"),
        (["verify", "hf://", "--public-key", "{key}"], "hf://"),
        (["verify", "hf://a/b", "--public-key", "{key}", "--policy", "http://x"], "no effect"),
        (["config", "check", "{key}"], "gate"),
        (["inspect", "{model}"], "folder"),
        (["nonsense"], "nonsense"),
    ],
)
def test_usage_and_configuration_mistakes_are_2(
    model: Path, arguments: list[str], word: str
) -> None:
    names = {"model": model, "key": model.parent / "key.pub"}
    result = oms_gate(*(argument.format(**names) for argument in arguments))
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert word in result.stderr


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("{model}/none", ReasonCode.STORE_NOT_FOUND),
        ("hf://org/none", ReasonCode.STORE_NOT_FOUND),
        ("nosuch://x/y", ReasonCode.STORE_UNAVAILABLE),
    ],
)
def test_what_cannot_be_decided_is_3(
    hub: HubStandIn, model: Path, reference: str, code: ReasonCode
) -> None:
    public = model.parent / "key.pub"
    result = oms_gate("verify", reference.format(model=model), "--public-key", public)
    assert result.returncode == 3, result.stdout + result.stderr
    assert code in result.stdout
    assert result.stderr == ""


def test_an_opa_server_that_is_down_is_3(model: Path) -> None:
    config = model.parent / "gate.yaml"
    config.write_text(
        "trust: {keys: {acme: key.pub}}\npolicy: {server: {url: 'http://127.0.0.1:9'}}\n"
    )
    result = oms_gate("verify", model, "--config", config)
    assert result.returncode == 3
    assert ReasonCode.POLICY_UNREACHABLE in result.stdout


def test_a_policy_of_ones_own(opa: Path, model: Path) -> None:
    """A folder of Rego, compiled by opa: the shipped policy with one more rule."""
    folder = model.parent / "policy"
    own = (
        "package oms_gate.admission\n"
        'deny contains {"code": "acme.too-many-files", "msg": "only two files are allowed"} if {\n'
        "    input.coverage.signed > 2\n}\n"
    )
    shipped = (ROOT / "policies" / "admission.rego").read_bytes()
    models.write(folder, {"admission.rego": shipped})
    arguments = ["verify", model, "--public-key", model.parent / "key.pub", "--policy", folder]
    assert oms_gate(*arguments, OMS_GATE_OPA=str(opa)).returncode == 0
    models.write(folder, {"own.rego": own.encode()})
    result = oms_gate(*arguments, "--json", OMS_GATE_OPA=str(opa))
    assert result.returncode == 1, result.stderr
    (reason,) = json.loads(result.stdout)["reasons"]
    assert (reason["code"], reason["policy_code"]) == (
        ReasonCode.POLICY_DENIED,
        "acme.too-many-files",
    )
    models.write(folder, {"own.rego": b"package oms_gate.admission\nallow if {"})
    result = oms_gate(*arguments, OMS_GATE_OPA=str(opa))
    assert (result.returncode, result.stdout) == (2, "")
    result = oms_gate(*arguments, OMS_GATE_OPA="/no/such/opa")
    assert result.returncode == 2
    assert "install OPA" in result.stderr


def test_an_opa_server_with_the_same_publishers(opa: Path, model: Path) -> None:
    """The publishers of a gate.yaml, loaded into a server, decide as they do in process."""
    folder = model.parent
    trust = "trust: {keys: {acme: key.pub}}\n"
    models.write(
        folder,
        {
            "local.yaml": (
                trust + "publishers:\n"
                f"  - {{name: A, models: ['{model}'], signers: [{{method: key, key: acme}}]}}\n"
            ).encode()
        },
    )
    (folder / "data.json").write_text(oms_gate("config", "data", folder / "local.yaml").stdout)
    policy = str(ROOT / "policies" / "admission.rego")
    with run_opa(opa, folder, "data.json", policy) as server:
        config = folder / "gate.yaml"
        config.write_text(f"{trust}policy: {{server: {{url: '{server.url}'}}}}\n")
        result = oms_gate("verify", model, "--config", config, "--json")
        verdict = json.loads(result.stdout)
        assert verdict["outcome"] == "admitted", verdict
        assert verdict["policy"]["engine"] == "server"
        model.rename(folder / "other")
        result = oms_gate("verify", folder / "other", "--config", config)
    assert result.returncode == 1
    assert ReasonCode.PUBLISHER_UNKNOWN in result.stdout


def test_annotate_is_0_and_loud(model: Path) -> None:
    config = model.parent / "gate.yaml"
    config.write_text("mode: annotate\npublishers: []\npolicy: {}\n")
    (model / "model.sig").unlink()
    config.write_text(
        "mode: annotate\ntrust: {keys: {acme: key.pub}}\npublishers:\n"
        "  - {name: A, models: ['/**'], signers: [{method: key, key: acme}]}\n"
    )
    result = oms_gate("verify", model, OMS_GATE_CONFIG=str(config))
    assert result.returncode == 0
    assert "denied" in result.stdout
    assert "let through all the same" in result.stdout


def test_no_configuration_is_picked_up_from_the_model(model: Path) -> None:
    (model / "gate.yaml").write_text("mode: annotate\n")
    result = subprocess.run(
        [str(Path(sys.executable).with_name("oms-gate")), "verify", "."],
        cwd=model,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "nobody is named" in result.stderr


def test_the_hub_and_s3_by_their_own_environment(
    hub: HubStandIn, s3: SeaweedFS, s3_bucket: str, model: Path
) -> None:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    public = model.parent / "key.pub"
    hub.create("org/model", files=files, private=True)
    for path, content in files.items():
        s3.put(s3_bucket, f"m/{path}", content)
    result = oms_gate("verify", "hf://org/model", "--public-key", public, HF_TOKEN=hub.token)
    assert result.returncode == 0, result.stdout + result.stderr
    result = oms_gate("verify", f"s3://{s3_bucket}/m", "--public-key", public, **s3.environment())
    assert result.returncode == 0, result.stdout + result.stderr


def test_inspect(model: Path) -> None:
    result = oms_gate("inspect", model / "model.sig")
    assert result.returncode == 0
    assert "not verified" in result.stdout
    assert "model.safetensors" in result.stdout
    claims = json.loads(oms_gate("inspect", model / "model.sig", "--json").stdout)
    assert claims["verified"] is False
    assert claims["method"] == "key"
    assert len(claims["claimed_resources"]) == 3


def test_inspect_refuses_what_is_no_bundle(model: Path) -> None:
    result = oms_gate("inspect", model / "config.json")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_config_check_and_data(model: Path) -> None:
    config = model.parent / "gate.yaml"
    config.write_text(
        "trust: {keys: {acme: key.pub}}\npublishers:\n"
        "  - {name: A, models: ['acme/*'], signers: [{method: key, key: acme}]}\n"
    )
    result = oms_gate("config", "check", config)
    assert result.returncode == 0, result.stderr
    assert "1 publishers" in result.stdout
    data = json.loads(oms_gate("config", "data", config).stdout)
    assert data["oms_gate"]["publishers"][0]["models"] == ["hf://acme/*"]
    config.write_text("publishers:\n  - nam: A\n")
    result = oms_gate("config", "check", config)
    assert result.returncode == 2
    assert "gate.yaml:2:5: publishers.0.nam" in result.stderr


def test_demo() -> None:
    result = oms_gate("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("denied  ") == 5
    assert "1 admitted, 5 denied, as it must be." in result.stdout


def test_demo_keeps_its_models_where_it_is_told(tmp_path: Path) -> None:
    assert oms_gate("demo", "--keep", tmp_path / "demo").returncode == 0
    config = tmp_path / "demo" / "gate.yaml"
    result = oms_gate("verify", tmp_path / "demo" / "acme" / "tiny", "--config", config)
    assert result.returncode == 0
    assert oms_gate("demo", "--keep", tmp_path / "demo").returncode == 2


def test_help_imports_nothing_heavy() -> None:
    """The time that it takes is the benchmarks' affair; what it imports decides it."""
    program = (
        "import sys; from oms_gate.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'sigstore', 'cryptography', 'wasmtime', 'requests', 'huggingface_hub', 's3fs',"
        " 'fsspec', 'pydantic', 'urllib3', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "verify" in result.stdout
    assert result.stderr.strip() == "[]"


def test_help_has_examples() -> None:
    for command in (["verify"], ["inspect"], ["config", "check"], ["config", "data"]):
        assert "Example" in oms_gate(*command, "--help").stdout, command


@needs_corpus
def test_a_sigstore_signature_needs_no_network() -> None:
    """A proxy that is not there would break whatever tried to reach the network."""
    arguments = [
        "verify",
        CORPUS / "oms-reference" / "v1.1.0-sigstore",
        "--issuer",
        "https://sigstore.verify.ibm.com/oauth2",
        "--identity",
    ]
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    result = oms_gate(*arguments, "stefanb@us.ibm.com", **nowhere)
    assert result.returncode == 0, result.stdout
    result = oms_gate(*arguments, "somebody@us.ibm.com", **nowhere)
    assert result.returncode == 1
    assert "stefanb@us.ibm.com" in result.stdout
    assert ReasonCode.PUBLISHER_WRONG_SIGNER in result.stdout
