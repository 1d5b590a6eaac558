"""The adapter signs, verifies what it signed, and is run as conformance suites run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import oms_gate
from tests.conformance.__main__ import FLAGS
from tests.conformance.asking import MISUSED, REFUSED, ask, sign, statement_in, trusting, verify
from tests.corpus import needs_corpus
from tests.interop.clients import Method, Signer
from tests.models import FILES, write
from tests.oms import forge
from tests.oms.schemas import assert_schema_valid

ADAPTER = Path(__file__).with_name("adapter")

ROUNDS: Mapping[str, Mapping[str, bytes]] = {
    "several files": FILES,
    "folders": {"a/b/c/d.bin": b"1", "a/b.bin": b"2", "a-b.bin": b"3"},
    "empty files": {"a.bin": b"1", "empty.bin": b"", "__init__.py": b""},
    "names": {"é ü.bin": b"1", "模型/😀.bin": b"2", "ab:c:d.bin": b"3", "-x": b"4", "%20'\"": b"5"},
    "hidden": {".env": b"1", ".hidden/x": b"2", "sub/.git/HEAD": b"3", ".gitmodules": b"4"},
    "bytes": {"all.bin": bytes(range(256)) * 5000},
}


@pytest.mark.parametrize("files", ROUNDS.values(), ids=ROUNDS)
@pytest.mark.parametrize("method", ["key", "certificate"])
def test_what_is_signed_verifies(
    tmp_path: Path, method: Method, files: Mapping[str, bytes]
) -> None:
    signer, model = Signer.make(tmp_path / "signer", method), write(tmp_path / "a model", files)
    for bundle in (tmp_path / "beside.sig", model / "inside.sig"):
        assert sign(model, bundle, signer) == 0
        assert verify(model, bundle, *trusting(signer)) == 0
        made = statement_in(bundle)
        names = [entry["name"] for entry in made["predicate"]["resources"]]
        assert names == sorted(files)
        assert made["subject"][0]["name"] == "a model"


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
@pytest.mark.parametrize("method", ["key", "certificate"])
@needs_corpus
def test_every_curve_signs(tmp_path: Path, method: Method, curve: type[ec.EllipticCurve]) -> None:
    signer = Signer.make(tmp_path / "signer", method, curve)
    stranger = Signer.make(tmp_path / "stranger", method, curve, root=forge.issue("Other"))
    model, bundle = write(tmp_path / "model", FILES), tmp_path / "bundle.sig"
    assert sign(model, bundle, signer) == 0
    assert_schema_valid(bundle.read_bytes())
    assert verify(model, bundle, *trusting(signer)) == 0
    assert verify(model, bundle, *trusting(stranger)) == REFUSED


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b", "blake3"])
@pytest.mark.parametrize("shard_size", [None, 100])
def test_a_single_file_and_the_other_ways_to_hash(
    tmp_path: Path, hash_type: str, shard_size: int | None
) -> None:
    signer = Signer.make(tmp_path / "signer")
    model = write(tmp_path / "model", {"model.bin": bytes(250)})
    options = ("--hash-algorithm", hash_type) + (("--shard-size", shard_size) if shard_size else ())
    for subject in (model / "model.bin", model):
        bundle = tmp_path / f"{subject.name}.sig"
        assert sign(subject, bundle, signer, *options) == 0
        made = statement_in(bundle)["predicate"]
        assert made["resources"][0]["name"] == "model.bin" + (":0:100" if shard_size else "")
        assert made["serialization"]["hash_type"] == hash_type
        assert made["serialization"].get("shard_size") == shard_size
        assert verify(subject, bundle, *trusting(signer)) == 0
    (model / "model.bin").write_bytes(bytes(249) + b"1")
    for subject in (model / "model.bin", model):
        assert verify(subject, tmp_path / f"{subject.name}.sig", *trusting(signer)) == REFUSED


def test_what_is_ignored_is_not_signed(tmp_path: Path) -> None:
    signer = Signer.make(tmp_path / "signer")
    ignored = {"notes.tmp": b"1", "tmp/a": b"2", "tmp/b/c": b"3", ".git/HEAD": b"4"}
    kept = {"a.bin": b"1", "sub/notes.tmp": b"2", "sub/tmp/a": b"3", "tmpx": b"4"}
    model = write(tmp_path / "model", {**ignored, **kept})
    (tmp_path / "way").symlink_to(model)
    for place in (model, tmp_path / "way"):
        bundle = tmp_path / "bundle.sig"
        options = (
            "--ignore-paths",
            place / "notes.tmp",
            place / "tmp",
            "--ignore-paths",
            "/elsewhere",
        )
        assert sign(place, bundle, signer, *options) == 0
        made = statement_in(bundle)["predicate"]
        assert [entry["name"] for entry in made["resources"]] == sorted(kept)
        assert {"notes.tmp", "tmp", ".git"} <= set(made["serialization"]["ignore_paths"])
        assert not any("elsewhere" in path for path in made["serialization"]["ignore_paths"])
        assert verify(place, bundle, *trusting(signer)) == 0
    write(model, {"tmp/new": b"5"})
    assert verify(model, bundle, *trusting(signer)) == 0
    write(model, {"new": b"5"})
    assert verify(model, bundle, *trusting(signer)) == REFUSED


@pytest.mark.parametrize("case", ["empty", "all ignored", "link", "no model", "other key", "RSA"])
def test_what_cannot_be_signed(tmp_path: Path, case: str) -> None:
    """Nothing is written then; each case is one step away from one that can be."""
    signer = Signer.make(tmp_path / "signer", "certificate" if case == "other key" else "key")
    model, bundle = write(tmp_path / "model", {"a.bin": b"1"}), tmp_path / "bundle.sig"
    assert sign(model, tmp_path / "sound.sig", signer) == 0
    options: tuple[object, ...] = ()
    if case == "empty":
        (model / "a.bin").unlink()
    elif case == "all ignored":
        options = ("--ignore-paths", model / "a.bin")
    elif case == "link":
        (model / "b.bin").symlink_to("a.bin")
    elif case == "no model":
        shutil.rmtree(model)
    elif case == "other key":
        stranger = Signer.make(tmp_path / "stranger")
        options = ("--private-key", stranger.file("key"))
    else:
        signer.file("key").write_bytes(signer.file("public").read_bytes())
    assert sign(model, bundle, signer, *options) != 0
    assert not bundle.exists()


# The command line.

MODEL = ("--model-path", "/m")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sign",),
        ("verify-model",),
        ("verify-model", "--method", "pgp", *MODEL, "--bundle", "/b"),
        ("verify-model", "--method", "key", *MODEL, "--bundle", "/b"),
        ("verify-model", "--method", "key", *MODEL, "--bundle", "/b", "--force"),
        ("capabilities", "--force"),
        ("sign-model", "--method", "key", *MODEL, "--output-bundle", "/b"),
        ("sign-model", "--method", "certificate", *MODEL, "--output-bundle", "/b"),
        ("benchmark-model", "--operation", "sign", "--method", "key", *MODEL, "--repeat", "1"),
        ("benchmark-model", "--operation", "verify", "--method", "key", *MODEL, "--repeat", "1"),
    ],
)
def test_what_is_not_understood(arguments: tuple[str, ...]) -> None:
    assert ask(*arguments) == MISUSED


def test_without_a_token_nobody_signs_through_sigstore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME")
    for name in (*jobs, "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    model, bundle = write(tmp_path / "model", FILES), tmp_path / "bundle.sig"
    asked = ("sign-model", "--method", "sigstore", "--model-path", model, "--output-bundle", bundle)
    assert ask(*asked) == MISUSED
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "")
    assert ask(*asked) == REFUSED
    for staging in ((), ("--use-staging",)):
        assert ask(*asked, "--identity-token", "no.such.token", *staging) == REFUSED
    assert not bundle.exists()


def test_the_adapter_has_the_flags_that_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("benchmark-model", "--help") == 0
    shown = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    others = {"--help", "--operation", "--repeat", "--method", "--model-path"}
    assert shown - others - {"--bundle", "--output-bundle"} == set(FLAGS)


def test_the_adapter_says_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("capabilities") == 0
    assert json.loads(capsys.readouterr().out) == {
        "flags": list(FLAGS),
        "hash_algorithms": ["sha256", "blake2b", "blake3"],
        "benchmark_model": True,
        "client_version": oms_gate.__version__,
    }


def test_repetitions_are_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signer = Signer.make(tmp_path / "signer")
    model, bundle = write(tmp_path / "model", FILES), tmp_path / "bundle.sig"
    common = ("--method", "key", "--model-path", model, "--repeat")
    key = ("--private-key", signer.file("key"))
    verifying = ("--public-key", signer.file("public"), "--bundle", bundle)
    signing = (*key, "--output-bundle", bundle)
    for operation, options in (("sign", key), ("sign", signing), ("verify", verifying)):
        assert ask("benchmark-model", "--operation", operation, *common, 3, *options) == 0
        times = json.loads(capsys.readouterr().out)["times_ms"]
        assert len(times) == 3
        assert all(0 < each < 60_000 for each in times)
        assert bundle.exists() == (options is not key)
        for none in (0, -1):
            asked = ("benchmark-model", "--operation", operation, *common, none, *options)
            assert ask(*asked) == MISUSED
    (model / "config.json").write_bytes(b"other")
    assert ask("benchmark-model", "--operation", "verify", *common, 3, *verifying) == REFUSED
    assert capsys.readouterr().out == ""


def test_it_runs_from_anywhere_and_trusts_no_module_there(tmp_path: Path) -> None:
    """By a link, too; and says why it fails."""
    signer = Signer.make(tmp_path / "signer")
    model, bundle = write(tmp_path / "model", FILES), tmp_path / "bundle.sig"
    for module in ("json.py", "typing.py", "oms_gate.py", "tests.py", "cryptography.py"):
        (model / module).write_text("raise SystemExit(0)\n")
    link = tmp_path / "link to it"
    link.symlink_to(ADAPTER)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(link), *map(str, arguments)]
        return subprocess.run(command, cwd=model, capture_output=True, text=True, check=False)

    key = ("--method", "key", "--model-path", model)
    signed = run("sign-model", *key, "--private-key", signer.file("key"), "--output-bundle", bundle)
    assert (signed.returncode, signed.stdout, signed.stderr) == (0, "", "")
    verifying = ("verify-model", *key, "--bundle", bundle, "--public-key", signer.file("public"))
    assert run(*verifying).returncode == 0
    (model / "json.py").write_text("raise SystemExit(1)\n")
    refused = run(*verifying)
    assert refused.returncode == REFUSED
    assert "json.py was changed after signing" in refused.stderr


def test_it_runs_by_any_python_where_the_checkout_has_none(tmp_path: Path) -> None:
    root = ADAPTER.parents[2]
    shutil.copytree(root / "tests" / "conformance", tmp_path / "tests" / "conformance")
    (tmp_path / "oms_gate").symlink_to(root / "oms_gate")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    adapter = tmp_path / "tests" / "conformance" / "adapter"
    subprocess.run([adapter, "capabilities"], env=environment, check=True, capture_output=True)
