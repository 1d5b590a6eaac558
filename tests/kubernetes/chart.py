"""The chart, as helm renders it."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.policy.compiler import is_test

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/oms-gate"
VALUES = sorted(path.stem for path in (Path(__file__).parent / "values").glob("*.yaml"))
NAMESPACE = "oms-gate"

# helm on its own takes an old version for that of the cluster.
KUBERNETES = ("--kube-version", "1.34.0")
RELEASE = ("oms-gate", str(CHART), "--namespace", NAMESPACE, *KUBERNETES)

Object = dict[str, Any]


@cache
def helm() -> str:
    """The program; the test is skipped where there is none."""
    local = ROOT / ".tools/bin/helm"
    program = str(local) if local.exists() else shutil.which("helm")
    if program is None:
        pytest.skip("there is no helm in .tools/bin or on the PATH: run `make peers`")
    return program


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm, and keep what it says."""
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False)


@cache
def authority() -> str:
    """A certificate, PEM, whose key nobody has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def arguments(values: str | None, folder: Path) -> list[str]:
    """helm's arguments for a file of tests/kubernetes/values, or for the chart's own values."""
    if values is None:
        return []
    made = ["--values", str(Path(__file__).parent / f"values/{values}.yaml")]
    if values == "existing":
        bundle = folder / "authority.pem"
        bundle.write_text(authority())
        made += ["--set-file", f"certificates.caBundle={bundle}"]
    if values == "opa":
        policies = ROOT / "policies"
        library = (path for path in policies.glob("lib/*.rego") if not is_test(path.name))
        for path in (policies / "admission.rego", *library):
            made += ["--set-file", rf"opa.rego.{path.stem}\.rego={path}"]
    return made


def rendered(values: str | None, folder: Path, *more: str) -> list[Object]:
    """All objects of a release."""
    done = run("template", *RELEASE, *arguments(values, folder), *more)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Those of one kind."""
    return [made for made in objects if made["kind"] == kind]


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The only one of its kind, or of its kind and name."""
    found = [made for made in of_kind(objects, kind) if name in (None, made["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name or ''}"
    return found[0]


def pods(objects: list[Object]) -> Iterator[Object]:
    """The specs of all pods that the objects are, or make."""
    for made in objects:
        if made["kind"] == "Pod":
            yield made["spec"]
        if made["kind"] == "Deployment":
            yield made["spec"]["template"]["spec"]


def containers(objects: list[Object]) -> Iterator[Object]:
    """All containers of these pods."""
    for spec in pods(objects):
        yield from spec.get("initContainers", ())
        yield from spec["containers"]


def notes(values: str | None, folder: Path) -> str:
    """What an installation tells its operator. `helm template` shows it only as an object."""
    copy = folder / "chart"
    shutil.copytree(CHART, copy)
    (copy / "templates/NOTES.txt").rename(copy / "NOTES.txt")
    (copy / "templates/notes.yaml").write_text(
        "kind: Notes\nmetadata: {name: notes}\n"
        'text: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n'
    )
    release = ("oms-gate", str(copy), "--namespace", NAMESPACE, *KUBERNETES)
    done = run("template", *release, *arguments(values, folder), "-s", "templates/notes.yaml")
    assert done.returncode == 0, done.stderr
    text: str = yaml.safe_load(done.stdout)["text"]
    return text
