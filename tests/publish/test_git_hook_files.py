"""Hooks as files: where they are, and what becomes of those that were there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from oms_gate.cli import hooks
from oms_gate.errors import ConfigError, UsageError
from tests.publish.repositories import Repository, needs_git_lfs

MODEL = "hf://acme/model"

pytestmark = pytest.mark.usefixtures("in_repository")


@pytest.fixture
def hook(repository: Repository) -> Path:
    return repository.folder / ".git" / "hooks" / "pre-push"


def test_twice_and_away_again(
    repository: Repository, hook: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 7\n")
    hook.chmod(0o755)
    for _ in range(2):
        assert hooks.install(pre_receive=False, config=config, model=MODEL) == 0
        assert os.access(hook, os.X_OK)
        content, kept = hook.read_bytes(), hook.with_name("pre-push.before-oms-gate")
        assert kept.read_text() == "#!/bin/sh\nexit 7\n"
    changed = hook.stat().st_mtime_ns
    assert hooks.install(pre_receive=False, config=None, model=None) == 0
    assert (hook.read_bytes(), hook.stat().st_mtime_ns) == (content, changed)
    assert repository.git("config", "oms-gate.config") == str(config)
    assert repository.git("config", "oms-gate.model") == MODEL
    assert hooks.uninstall() == 0
    assert hook.read_text() == "#!/bin/sh\nexit 7\n"
    assert not kept.exists()
    capsys.readouterr()
    assert hooks.uninstall() == 0
    assert "no hook of the gate here" in capsys.readouterr().out
    assert hook.exists()


def test_two_that_are_not_ours(hook: Path) -> None:
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("one")
    hook.with_name("pre-push.before-oms-gate").write_text("two")
    with pytest.raises(UsageError, match="make one hook of the two"):
        hooks.install(pre_receive=False, config=None, model=None)
    assert hook.read_text() == "one"


def test_where_git_is_told_that_hooks_are(repository: Repository, tmp_path: Path) -> None:
    repository.git("config", "core.hooksPath", tmp_path / "hooks of all")
    hooks.install(pre_receive=True, config=None, model=None)
    assert os.access(tmp_path / "hooks of all" / "pre-receive", os.X_OK)
    hooks.uninstall()
    assert not list((tmp_path / "hooks of all").iterdir())


def test_of_deletions(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """A server is told once how to refuse them."""
    hooks.install(pre_receive=True, config=None, model=None)
    assert "git config receive.denyDeletes true" in capsys.readouterr().out
    repository.git("config", "receive.denyDeletes", "yes")
    hooks.install(pre_receive=True, config=None, model=None)
    hooks.install(pre_receive=False, config=None, model=None)
    assert "denyDeletes" not in capsys.readouterr().out


def test_a_remote_that_is_called_like_an_option(
    repository: Repository, config: Path, tmp_path: Path
) -> None:
    server = Repository.new(tmp_path / "server.git", "--bare")
    repository.git("config", "remote.--help.url", server.folder)
    hooks.install(pre_receive=False, config=config, model=MODEL)
    repository.commit({"README.md": b"# Not signed\n"})
    assert repository.tried("push", "--", "--help", "main").returncode == 1
    assert not server.git("for-each-ref")


def test_what_cannot_be_meant(hook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"config": tmp_path / "none.yaml"}, {"model": "hf://../x"}):
        given: dict[str, Any] = {"config": None, "model": None, **options}
        with pytest.raises((ConfigError, UsageError)):
            hooks.install(pre_receive=False, **given)
    assert not hook.exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="this is no repository of Git"):
        hooks.install(pre_receive=False, config=None, model=None)


@pytest.mark.parametrize(("status", "ran"), [(0, True), (1, False), (3, False)])
def test_the_one_before_gets_the_same(hook: Path, tmp_path: Path, status: int, ran: bool) -> None:
    """Under whatever name ours runs: pre-commit gives it another."""
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n(echo "$@"; cat) > "{tmp_path}/before"\nexit 9\n')
    hook.chmod(0o755)
    hooks.install(pre_receive=False, config=None, model=None)
    fake = tmp_path / "a 'program'"
    fake.write_text(f'#!/bin/sh\n(echo "$@"; cat) > "{tmp_path}/ours"\nexit {status}\n')
    fake.chmod(0o755)
    done = run(hook.rename(hook.with_name("pre-push.legacy")), fake)
    assert done.returncode == (9 if ran else status)
    assert (
        tmp_path / "ours"
    ).read_text() == "-P -m oms_gate hooks pre-push -- origin u\na \\n%s\nb\n"
    assert (tmp_path / "before").exists() == ran
    if ran:
        assert (tmp_path / "before").read_text() == "origin u\na \\n%s\nb\n"


def test_a_program_that_is_gone(hook: Path, tmp_path: Path) -> None:
    hooks.install(pre_receive=False, config=None, model=None)
    done = run(hook, tmp_path / "gone")
    assert done.returncode == 2
    assert done.stderr.startswith(f"oms-gate: {tmp_path}/gone is gone, so nothing can be")
    assert done.stderr.endswith("run oms-gate hooks install\n")


def run(hook: Path, program: Path) -> subprocess.CompletedProcess[str]:
    """The hook, as if another program had installed it."""
    text = hook.read_text().splitlines()
    (line,) = [number for number, line in enumerate(text) if line.startswith("program=")]
    quoted = str(program).replace("'", "'\\''")
    text[line] = f"program='{quoted}'"
    hook.write_text("\n".join(text))
    return subprocess.run(
        [hook, "origin", "u"], input="a \\n%s\nb\n", capture_output=True, text=True, check=False
    )


@needs_git_lfs
def test_git_lfs_does_not_take_our_place(repository: Repository, hook: Path) -> None:
    """Unless it is told to; and then its hook is the one that was there before."""
    hooks.install(pre_receive=False, config=None, model=None)
    ours = hook.read_bytes()
    tried = repository.tried("lfs", "install", "--local")
    assert tried.returncode != 0
    assert b"Hook already exists: pre-push" in tried.stdout + tried.stderr
    assert hook.read_bytes() == ours
    repository.git("lfs", "update", "--force")
    assert b"git lfs pre-push" in hook.read_bytes()
    hooks.install(pre_receive=False, config=None, model=None)
    assert hook.read_bytes() == ours
    assert b"git lfs pre-push" in hook.with_name("pre-push.before-oms-gate").read_bytes()
