"""Policies of the operator's own: compiled by a local opa, and kept."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_gate.errors import ConfigError
from oms_gate.limits import Limits
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from tests.policy.samples import ALLOW, EXAMPLE, NO_DATA, Build, policy_folder

# Policies that cannot be used.


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("decision := {", "admission.rego:3: rego_parse_error"),
        ("decision := undeclared", "rego_unsafe_var_error"),
        ("other := true", "oms_gate/admission/decision"),
        ("decision := time.now_ns()", "time.now_ns"),
        ('decision := http.send({"url": "http://localhost"})', "http.send"),
        ("decision := opa.runtime()", "opa.runtime"),
        ('decision := yaml.unmarshal("a: 1")', "yaml.unmarshal"),
    ],
)
def test_policies_that_are_refused(build: Build, rules: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(rules)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_are_refused(build: Build, opa: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/x_test.rego").touch()
    for name in ("empty", "absent", "empty/x_test.rego"):
        with pytest.raises(ConfigError, match=name):
            WasmEngine.from_rego(tmp_path / name, NO_DATA, Limits(), opa=opa)
    with pytest.raises(ConfigError, match=r"data\.json"):
        build(ALLOW, data__json="{")


def test_publishers_in_two_places(opa: Path, tmp_path: Path) -> None:
    rules = 'decision := {"allow": true, "annotations": data.oms_gate.publishers[0]}'
    own = '{"oms_gate": {"publishers": [{"name": "own"}]}}'
    folder = policy_folder(tmp_path, rules, data__json=own)
    engine = WasmEngine.from_rego(folder, NO_DATA, Limits(), opa=opa)
    assert engine.decide({}).annotations == {"name": "own"}
    engine.close()
    given = data_document([Publisher.model_validate(EXAMPLE)])
    with pytest.raises(ConfigError, match=r"data\.oms_gate\.publishers"):
        WasmEngine.from_rego(folder, given, Limits(), opa=opa)


def test_without_opa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = policy_folder(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="install OPA"):
        WasmEngine.from_rego(folder, NO_DATA, Limits())
    broken = tmp_path / "opa"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(ConfigError, match="cannot be run"):
        WasmEngine.from_rego(folder, NO_DATA, Limits())
    broken.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ConfigError, match="opa failed with exit status 3 and said nothing"):
        WasmEngine.from_rego(folder, NO_DATA, Limits())
    broken.write_text("#!/bin/sh\necho 'error: too old' >&2\nexit 3\n")
    with pytest.raises(ConfigError, match="OPA refuses the policy: too old"):
        WasmEngine.from_rego(folder, NO_DATA, Limits())


def test_opa_by_the_environment(opa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = policy_folder(tmp_path)
    monkeypatch.setenv("OMS_GATE_OPA", str(opa))
    WasmEngine.from_rego(folder, NO_DATA, Limits()).close()
    monkeypatch.setenv("OMS_GATE_OPA", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="absent"):
        WasmEngine.from_rego(folder, NO_DATA, Limits())


def test_a_folder_as_kubernetes_mounts_it(opa: Path, tmp_path: Path) -> None:
    folder = policy_folder(tmp_path)
    real = folder / "..2026_09_01"
    real.mkdir()
    (folder / "admission.rego").rename(real / "admission.rego")
    (folder / "..data").symlink_to(real.name)
    (folder / "admission.rego").symlink_to("..data/admission.rego")
    engine = WasmEngine.from_rego(folder, NO_DATA, Limits(), opa=opa)
    assert engine.decide({}).allow
    engine.close()


# The cache of compiled policies.


@pytest.fixture
def counting_opa(opa: Path, tmp_path: Path) -> tuple[Path, Callable[[], int]]:
    """A compiler that notes its runs."""
    log, program = tmp_path / "log", tmp_path / "counting-opa"
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {opa} "$@"\n')
    program.chmod(0o755)
    return program, lambda: log.read_text().split().count("build")


def test_compiled_once(counting_opa: tuple[Path, Callable[[], int]], tmp_path: Path) -> None:
    program, builds = counting_opa
    cache = tmp_path / "cache"

    def decide(folder: Path) -> bool:
        engine = WasmEngine.from_rego(folder, NO_DATA, Limits(), opa=program, cache=cache)
        allow = engine.decide({}).allow
        engine.close()
        return allow

    assert decide(policy_folder(tmp_path))
    assert decide(policy_folder(tmp_path))
    assert builds() == 1
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not decide(policy_folder(tmp_path, 'decision := {"allow": false}'))
    assert builds() == 2

    # Row 31: what somebody else put there, or the bundle of another policy, does not count.
    (denies,) = (path for path in cache.iterdir() if path != kept)
    allows, good = kept.read_bytes(), denies.read_bytes()
    folder = policy_folder(tmp_path, 'decision := {"allow": false}')
    for poison in (allows, good[:-1], good + b"x", good[:32] + allows[32:], b"", b"\0" * 99):
        denies.write_bytes(poison)
        assert not decide(folder)
        assert denies.read_bytes() == good
    assert builds() == 8
    denies.chmod(0o622)
    assert not decide(folder)
    assert builds() == 9
    (tmp_path / "elsewhere").write_bytes(good)
    denies.unlink()
    denies.symlink_to(tmp_path / "elsewhere")
    assert not decide(folder)
    assert builds() == 10
    assert not denies.is_symlink()
    assert not decide(folder)
    assert builds() == 10


def test_the_users_cache_folder(build: Build, home: Path, opa: Path, tmp_path: Path) -> None:
    WasmEngine.from_rego(policy_folder(tmp_path), NO_DATA, Limits(), opa=opa).close()
    (folder,) = home.rglob("oms-gate/policies")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1


def test_a_cache_that_cannot_be_used(
    opa: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    caplog.set_level(logging.DEBUG, "oms_gate")
    for cache in (tmp_path / "file", tmp_path / "file/below"):
        folder = policy_folder(tmp_path)
        WasmEngine.from_rego(folder, NO_DATA, Limits(), opa=opa, cache=cache).close()
        (record,) = caplog.records
        # It costs time and nothing else, so that even a quiet command must not speak of it.
        assert record.levelno == logging.DEBUG
        assert "not kept" in record.message
        caplog.clear()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from oms_gate.limits import Limits
from oms_gate.policy.wasm import WasmEngine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
engine = WasmEngine.from_rego(
    Path(sys.argv[2]), {}, Limits(), opa=Path(sys.argv[3]), cache=Path(sys.argv[4])
)
print(engine.decide({}).allow, list(Path(sys.argv[4]).iterdir()))
"""


def test_a_full_disk(opa: Path, tmp_path: Path) -> None:
    """No file can grow beyond some size, as if the disk were full then."""
    folder, cache = policy_folder(tmp_path), tmp_path / "cache"

    def run(most_bytes: int) -> subprocess.CompletedProcess[str]:
        arguments = [str(most_bytes), str(folder), str(opa), str(cache)]
        command = [sys.executable, "-c", FULL_DISK, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    assert run(10_000).stdout == "True []\n"
    full = "PolicyError: the policy could not be compiled because the temporary folder failed"
    assert full in run(10).stderr
