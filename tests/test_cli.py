"""The command line, as a user runs it: by exit status and output."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sigstore

from oms_gate.cli.config import check
from oms_gate.errors import ConfigError
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import ROOT, oms_gate
from tests.corpus import CORPUS, needs_corpus
from tests.oms import forge
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS
from tests.policy.opa_process import run_opa


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


def test_lines_in_a_pipe_are_whole_and_end_with_their_text(model: Path) -> None:
    (model / "x.py").touch()
    lines = oms_gate("verify", model, "--public-key", model.parent / "key.pub").stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert any(ReasonCode.COVERAGE_UNSIGNED in line and "x.py" in line for line in lines)


def test_names_are_shown_as_they_are(model: Path) -> None:
    """Neither rich's markup nor its emoji codes are read in what strangers wrote."""
    names = ["[red]a[/].py", "a:100:b.py", "[/].py"]
    for name in names:
        models.write(model, {name: b""})
    result = oms_gate("verify", model, "--public-key", model.parent / "key.pub")
    assert result.returncode == 1
    for name in names:
        assert f"{name} is not signed" in result.stdout


def test_of_one_problem_a_few_are_shown_and_json_has_all(model: Path) -> None:
    for number in range(8):
        (model / f"{number}.py").touch()
    arguments = ["verify", model, "--public-key", model.parent / "key.pub"]
    text = oms_gate(*arguments).stdout
    assert text.count("is not signed") == 5
    assert "3 more like these" in text
    assert len(json.loads(oms_gate(*arguments, "--json").stdout)["reasons"]) == 8


def test_a_terminal_that_cannot_show_a_character(model: Path) -> None:
    arguments = ["verify", model, "--public-key", model.parent / "key.pub"]
    result = oms_gate(*arguments, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr


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
        (["verify", "{model}", "--trusted-root", "{key}"], "belong together"),
        (
            ["verify", "{model}", "--certificate-root", "{key}", "--issuer", "x"],
            "belong to Sigstore",
        ),
        (["verify", "{model}", "--certificate-root", "{key}"], "certificate"),
        (["verify", "{model}", "--public-key", "{model}/none"], "cannot be read"),
        (["verify", "{model}", "--public-key", "{key}", "--assurance", "much"], "'declared'"),
        (["verify", "{model}", "--config", "{model}/none.yaml"], "cannot be read"),
        (["verify", "{model}", "--public-key", "{key}", "--policy", "{model}"], "policy"),
        (["verify", "hf://", "--public-key", "{key}"], "hf://"),
        (["verify", "hf://a/b", "--public-key", "{key}", "--policy", "http://x"], "decides by"),
        (["verify", "hf://a/b", "--public-key", "{key}", "--policy", "unix:///x"], "decides by"),
        (["verify", "{model}", "--public-key", "{key}", "--identity", "a"], "leave out"),
        (["verify", "{model}", "--certificate-root", "{key}", "--identity", ""], "identity"),
        (["verify", "{model}", "--identity", "", "--issuer", ""], "identity"),
        (["verify", "{model}", "--public-key", "{key}", "--policy", ""], "empty"),
        (["verify", "{model}", "--public-key", "{key}", "--json", "--quiet"], "--quiet"),
        (["verify", "nosuch://x/y", "--public-key", "{key}"], "nosuch"),
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
    ],
)
def test_what_cannot_be_decided_is_3(
    hub: HubStandIn, model: Path, reference: str, code: ReasonCode
) -> None:
    public = model.parent / "key.pub"
    result = oms_gate("verify", reference.format(model=model), "--public-key", public)
    assert result.returncode == 3, result.stdout + result.stderr
    assert code in result.stdout
    assert "could not decide" in result.stdout
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
    assert oms_gate("policy", "init", folder).returncode == 0
    for example in ("own.rego", "own_test.rego", "data.json"):
        (folder / example).unlink()
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
    bundle = model.parent / "bundle.tar.gz"
    entrypoint = "oms_gate/admission/decision"
    subprocess.run([opa, "build", "-t", "wasm", "-e", entrypoint, "-o", bundle, folder], check=True)
    result = oms_gate(*arguments[:-1], bundle, "--json", OMS_GATE_OPA="/no/such/opa")
    assert json.loads(result.stdout)["reasons"][0]["policy_code"] == "acme.too-many-files"
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
    policy = [str(ROOT / "policies" / name) for name in ("admission.rego", "lib")]
    with run_opa(opa, folder, "--ignore=*_test.rego", "data.json", *policy) as server:
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


def test_nothing_is_asked_but_the_configured_endpoint(hub: HubStandIn, tmp_path: Path) -> None:
    """Not even by huggingface_hub, about itself, where it says how it is used."""
    hub.create("org/model", files={"config.json": b"{}"}, private=True)
    config = tmp_path / "gate.yaml"
    publishers = [{"name": "x", "models": ["x/*"], "signers": [{"method": "key", "key": "k"}]}]
    (tmp_path / "k.pub").write_bytes(models.public_pem(models.new_key()))
    hf = {"endpoint": hub.endpoint}
    settings = {"stores": {"options": {"hf": hf}}, "trust": {"keys": {"k": "k.pub"}}}
    config.write_text(json.dumps(settings | {"publishers": publishers}))
    with socket.create_server(("127.0.0.1", 0)) as another:
        result = oms_gate(
            "verify", "hf://org/model", "--config", config,
            HF_ENDPOINT=f"http://127.0.0.1:{another.getsockname()[1]}",
            HF_HUB_DISABLE_TELEMETRY="0",
            HF_TOKEN=hub.token,
        )  # fmt: skip
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            another.accept()
    assert ReasonCode.SIGNATURE_MISSING in result.stdout


def test_an_empty_endpoint_is_told(model: Path) -> None:
    public = model.parent / "key.pub"
    result = oms_gate("verify", "hf://org/model", "--public-key", public, HF_ENDPOINT="")
    assert result.returncode == 2
    assert "its endpoint (HF_ENDPOINT) '' is no web address" in result.stderr


def test_inspect(model: Path) -> None:
    result = oms_gate("inspect", model / "model.sig")
    assert result.returncode == 0
    assert "not verified" in result.stdout
    assert "model.safetensors" in result.stdout
    claims = json.loads(oms_gate("inspect", model / "model.sig", "--json").stdout)
    assert claims["verified"] is False
    assert claims["method"] == "key"
    assert len(claims["claimed_resources"]) == 3


def test_inspect_escapes_what_strangers_wrote(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a\x1b]0;pwned\x07\n✓ admitted").symlink_to("/etc/hostname")
    result = oms_gate("inspect", tmp_path / "m")
    assert result.returncode == 1
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


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
    assert "can be used" in result.stdout
    assert "publishers   1" in result.stdout
    data = json.loads(oms_gate("config", "data", config).stdout)
    assert data["oms_gate"]["publishers"][0]["models"] == ["hf://acme/*"]
    config.write_text("publishers:\n  - nam: A\n")
    result = oms_gate("config", "check", config)
    assert result.returncode == 2
    assert "gate.yaml:2:5: publishers.0.nam" in result.stderr


def test_a_configuration_that_admits_nothing_is_no_good_one(tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("mode: enforce\n")
    result = oms_gate("config", "check", tmp_path / "gate.yaml")
    assert result.returncode == 2
    assert "admits nothing" in result.stderr


@pytest.mark.parametrize(
    "section",
    [
        {"api": {"clients": [{"name": "a", "token_file": "secret"}]}},
        {"events": {"hub": {"secret_files": ["secret"], "repositories": ["acme/*"]}}},
        {"events": {"s3": {"token_files": ["secret"], "models": ["s3://bucket/*"]}}},
        {
            "events": {
                "reports": {"webhook": {"url": "https://example.com/", "secret_file": "secret"}}
            }
        },
    ],
)
def test_a_configuration_with_a_secret_that_cannot_be_used(
    tmp_path: Path, section: dict[str, object]
) -> None:
    """The service would not begin with it."""
    config, secret = tmp_path / "gate.yaml", tmp_path / "secret"
    config.write_text(json.dumps({"policy": {"server": {"url": "http://127.0.0.1:9"}}, **section}))
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o600)
    assert check(config) == 0
    secret.write_text("short")
    with pytest.raises(ConfigError, match=r"secret .*openssl rand -hex 32"):
        check(config)


def test_demo() -> None:
    result = oms_gate("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("denied    ") == 5
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
    for command in (["verify"], ["pull"], ["inspect"], ["config", "check"], ["config", "data"]):
        assert "Example" in oms_gate(*command, "--help").stdout, command


def test_report_all_goes_on(model: Path) -> None:
    public = model.parent / "key.pub"
    models.write(model, {"x.py": b"import os", "config.json": b"[]"})
    for options in (["--json"], []):
        first = oms_gate("verify", model, "--public-key", public, *options).stdout
        every = oms_gate("verify", model, "--public-key", public, "--report-all", *options).stdout
        assert ReasonCode.COVERAGE_UNSIGNED in first
        assert ReasonCode.FILE_CHANGED not in first
        assert ReasonCode.COVERAGE_UNSIGNED in every
        assert ReasonCode.FILE_CHANGED in every


def test_the_options_are_heeded(model: Path) -> None:
    public = model.parent / "key.pub"
    bundle = (model / "model.sig").rename(model.parent / "elsewhere.sig")
    assert oms_gate("verify", model, "--public-key", public).returncode == 1
    here = oms_gate("verify", model, "--public-key", public, "--signature", bundle)
    assert here.returncode == 0
    assert "bytes: every signed byte was hashed here" in here.stdout
    arguments = ["verify", model, "--public-key", public, "--signature", bundle]
    little = oms_gate(*arguments, "--assurance", "signature")
    assert little.returncode == 0
    assert "no file was read" in little.stdout
    assert "hashed" not in little.stdout.replace("hashed here", "")
    (model / "config.json").write_bytes(b"other")
    assert oms_gate(*arguments).returncode == 1


def test_the_signer_of_the_options_is_the_only_one(model: Path) -> None:
    """Whoever names a signer does not mean those of a configuration as well."""
    stranger = model.parent / "stranger.pub"
    stranger.write_bytes(models.public_pem(models.new_key()))
    config = model.parent / "gate.yaml"
    config.write_text(
        "trust: {keys: {acme: key.pub}}\npublishers:\n"
        "  - {name: A, models: ['/**'], signers: [{method: key, key: acme}]}\n"
    )
    assert oms_gate("verify", model, "--config", config).returncode == 0
    result = oms_gate("verify", model, "--config", config, "--public-key", stranger)
    assert result.returncode == 1
    assert ReasonCode.KEY_UNTRUSTED in result.stdout


def test_a_certificate_of_somebody_else(tmp_path: Path) -> None:
    """The root certifies many; --identity names the one."""
    now = datetime.now(UTC)
    validity: dict[str, Any] = {"start": now - timedelta(days=1), "end": now + timedelta(days=1)}
    root = forge.issue("Root CA", **validity)
    leaf = forge.issue_leaf("Publisher[/]", root, **validity)
    (tmp_path / "root.pem").write_bytes(root.pem)
    folder = models.write(tmp_path / "m", {**forge.FILES, "model.sig": forge.certified(leaf)})
    arguments = ["verify", folder, "--certificate-root", tmp_path / "root.pem"]
    for options, status in [
        ([], 0),
        (["--identity", "CN=Publisher[/]"], 0),
        (["--identity", "CN=Mallory"], 1),
    ]:
        result = oms_gate(*arguments, *options)
        assert result.returncode == status, result.stdout + result.stderr
        assert "CN=Publisher[/], attested by CN=Root CA" in result.stdout
    assert ReasonCode.PUBLISHER_WRONG_SIGNER in result.stdout


def test_a_warning_is_shown_with_an_admission(model: Path) -> None:
    public = model.parent / "key.pub"
    assert "coverage.ignored" not in oms_gate("verify", model, "--public-key", public).stdout
    models.write(model, {".github/release.yml": b"on: push"})
    result = oms_gate("verify", model, "--public-key", public)
    assert result.returncode == 0, result.stdout
    assert ReasonCode.COVERAGE_IGNORED in result.stdout
    assert ".github/release.yml" in result.stdout


def test_names_cannot_forge_the_output(model: Path) -> None:
    """Neither as markup of the output nor as control characters of a terminal."""
    public = model.parent / "key.pub"
    models.write(model, {"[bold green]x[/].py": b"", "[/]y.py": b"", "\u202ez.py": b""})
    hostile = model.rename(model.parent / "[red]model")
    result = oms_gate("verify", hostile, "--public-key", public, "--report-all")
    assert result.returncode == 1, result.stderr
    for text in ("[bold green]x[/].py", "[/]y.py", "\\u202ez.py", "[red]model"):
        assert text in result.stdout
    assert "\u202e" not in result.stdout


def test_inspect_shows_names_as_they_are(tmp_path: Path) -> None:
    files = {"[bold]x[/].py": b"", "[/]y.py": b""}
    bundle = tmp_path / "model.sig"
    bundle.write_bytes(models.signature(files, models.new_key(), ignore_paths=["[/]out"]))
    result = oms_gate("inspect", bundle)
    assert result.returncode == 0, result.stderr
    for text in (*files, "[/]out"):
        assert text in result.stdout


def test_inspect_refuses_what_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "model.sig").open("wb") as stream:
        stream.truncate(17 * 1024 * 1024)
    result = oms_gate("inspect", tmp_path / "model.sig")
    assert result.returncode == 2
    assert "larger than" in result.stderr


def test_inspect_cannot_read_what_is_not_there(hub: HubStandIn, tmp_path: Path) -> None:
    for place in (tmp_path / "none.sig", "hf://org/none/model.sig"):
        result = oms_gate("inspect", place)
        assert result.returncode == 3, result.stderr
        assert "Traceback" not in result.stderr


def test_config_check_loads_what_it_names(model: Path) -> None:
    config = model.parent / "gate.yaml"
    config.write_text(
        "trust: {keys: {acme: key.pub}}\npublishers:\n"
        "  - {name: A, models: ['acme/*'], signers: [{method: key, key: acme}]}\n"
    )
    assert oms_gate("config", "check", config).returncode == 0
    (model.parent / "key.pub").write_text("no key")
    result = oms_gate("config", "check", config)
    assert result.returncode == 2
    assert "acme" in result.stderr


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
    result = oms_gate(*arguments[:-1], "--identity-pattern", r".*@us\.ibm\.com", **nowhere)
    assert result.returncode == 0, result.stdout
    result = oms_gate(*arguments, "somebody@us.ibm.com", **nowhere)
    assert result.returncode == 1
    assert "stefanb@us.ibm.com" in result.stdout
    assert ReasonCode.PUBLISHER_WRONG_SIGNER in result.stdout


@needs_corpus
@pytest.mark.parametrize(("instance", "status"), [("sigstore", 0), ("sigstage", 1)])
def test_a_trusted_root_replaces_the_public_one(tmp_path: Path, instance: str, status: int) -> None:
    """The public Sigstore attested this signature, and the staging one did not."""
    root = tmp_path / "trusted_root.json"
    store = Path(sigstore.__file__).with_name("_store")
    (found,) = store.glob(f"*tuf-repo-cdn.{instance}.dev/trusted_root.json")
    root.write_bytes(found.read_bytes())
    signer = ["--issuer", "https://sigstore.verify.ibm.com/oauth2", "--trusted-root", root]
    model = CORPUS / "oms-reference" / "v1.1.0-sigstore"
    result = oms_gate("verify", model, "--identity", "stefanb@us.ibm.com", *signer)
    assert result.returncode == status, result.stdout + result.stderr
    assert (ReasonCode.SIGSTORE_INVALID in result.stdout) == bool(status)
