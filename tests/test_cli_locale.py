"""Names of files are bytes: what a locale makes of them is neither signed nor looked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import oms_gate

NAMES = ("ä.md", "süb/ö.safetensors")


@pytest.fixture(params=["ASCII", "ISO-8859-1"])
def locale(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which Python does not take names for UTF-8."""
    if request.param == "ASCII":
        return {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    if shutil.which("localedef") is None:
        pytest.skip("there is no localedef to make a locale with")
    made = tmp_path / "locales" / "en_US.ISO-8859-1"
    made.parent.mkdir()
    command = ["localedef", "-f", "ISO-8859-1", "-i", "en_US", str(made)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("the sources of locales are not installed")
    return {"LC_ALL": made.name, "LOCPATH": str(made.parent)}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert oms_gate("keygen", tmp_path / "release", "--no-passphrase").returncode == 0
    return tmp_path / "release.key"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "model"


def test_a_model_is_the_same_in_every_locale(
    model: Path, key: Path, locale: dict[str, str]
) -> None:
    public = ("--public-key", key.with_suffix(".pub"))
    signed = oms_gate("sign", model, "--key", key, **locale)
    assert signed.returncode == 0, signed.stderr
    for environment in (locale, {}):
        verified = oms_gate("verify", model, *public, **environment)
        assert verified.returncode == 0, verified.stdout
    claims = json.loads(oms_gate("inspect", model / "model.sig", "--json").stdout)
    assert [resource["path"] for resource in claims["claimed_resources"]] == sorted(NAMES)


def test_what_the_options_name_in_a_model(model: Path, key: Path, locale: dict[str, str]) -> None:
    named = ("--signature", "süb/é.sig", "--ignore-path", "ä.md")
    signed = oms_gate("sign", model, "--key", key, *named, **locale)
    assert (signed.returncode, signed.stderr) == (0, "")
    verified = oms_gate(
        "verify", model, "--public-key", key.with_suffix(".pub"), "--signature", "süb/é.sig"
    )
    assert "1 left out by the signer" in verified.stdout
    elsewhere = ("--output", model / "è.sig")
    assert oms_gate("sign", model, "--key", key, *named[2:], *elsewhere, **locale).returncode == 0
    claims = json.loads(oms_gate("inspect", model / "è.sig", "--json").stdout)
    assert {"ä.md", "è.sig"} <= set(claims["claimed_serialization"]["ignore_paths"])


def test_a_file_by_itself(model: Path, key: Path, locale: dict[str, str]) -> None:
    file = model / "süb/ö.safetensors"
    signed = oms_gate("sign", file, "--key", key, **locale)
    if locale["LC_ALL"] == "C":
        # A reference is text, also to a policy.
        assert signed.returncode == 2
        assert "UTF-8" in signed.stderr
        return
    assert signed.returncode == 0, signed.stderr
    verified = oms_gate("verify", file, "--public-key", key.with_suffix(".pub"))
    assert verified.returncode == 0, verified.stdout
    again = oms_gate("sign", file, "--key", key, **locale)
    assert again.returncode == 0, again.stderr
    (model / "süb/ö.safetensors.sig").write_bytes(b"IMPORTANT")
    told = locale | {"PYTHONIOENCODING": "utf-8"}
    assert "is no signature" in oms_gate("sign", file, "--key", key, **told).stderr
    assert (model / "süb/ö.safetensors.sig").read_bytes() == b"IMPORTANT"


def test_a_name_that_is_no_utf_8(model: Path, key: Path, locale: dict[str, str]) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/\xe4.txt")).touch()
    refused = oms_gate("sign", model, "--key", key, **locale)
    assert refused.returncode == 1
    assert "rename or remove it" in refused.stderr
