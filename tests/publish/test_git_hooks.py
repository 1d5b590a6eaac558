"""Hooks of Git: real pushes, to a registry that is a folder, and what Git or pre-commit calls."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cli import hooks
from oms_gate.errors import ConfigError, StoreError, UsageError
from tests import models
from tests.publish.repositories import (
    NOTHING,
    Repository,
    needs_git_lfs,
    pointer,
)
from tests.publish.test_git_push import private_pem

PROJECT = Path(__file__).parents[2]
MAIN = "refs/heads/main"
MODEL = "hf://acme/model"

pytestmark = pytest.mark.usefixtures("in_repository")


@pytest.fixture
def signed(key: ec.EllipticCurvePrivateKey) -> Mapping[str, bytes]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key)}


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Repository:
    """Its remote, `origin`."""
    server = Repository.new(tmp_path / "server" / "model.git", "--bare")
    repository.git("remote", "add", "origin", f"file://{server.folder}")
    return server


Told = Callable[[str], None]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What a hook reads."""

    def tell(lines: str) -> None:
        given = io.BytesIO(lines.encode("utf-8", "surrogateescape"))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))

    return tell


class TestPush:
    @needs_git_lfs
    def test_with_large_files(
        self,
        repository: Repository,
        server: Repository,
        signed: Mapping[str, bytes],
        config: Path,
        tmp_path: Path,
    ) -> None:
        """The hook of Git LFS runs after ours, and only if that lets the push through."""
        repository.git("lfs", "install", "--local")
        repository.git("lfs", "track", "*.safetensors")
        hooks.install(pre_receive=False, config=config, model=MODEL)
        repository.commit(signed)
        # It lies in the folder from which Git calls the hook.
        trap = tmp_path / "ran"
        (repository.folder / "typer.py").write_text(f"open({str(trap)!r}, 'w')\n")
        (repository.folder / ".git" / "info" / "exclude").write_text("typer.py\n")
        pushed = repository.tried("push", "origin", "main")
        assert pushed.returncode == 0, pushed.stderr
        assert "✓ admitted  hf://acme/model@" in pushed.stderr.decode()
        large = [path for path in (server.folder / "lfs").rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in large] == [models.FILES["model.safetensors"]]
        assert not trap.exists()

        new = models.FILES["model.safetensors"] + b"!"
        before = server.git("rev-parse", "main")
        repository.commit({"model.safetensors": new})
        pushed = repository.tried("push", "origin", "main")
        said = pushed.stderr.decode()
        assert pushed.returncode != 0
        assert "model.safetensors was changed after signing" in said
        assert "oms-gate: the push is refused" in said
        assert server.git("rev-parse", "main") == before
        assert len([path for path in (server.folder / "lfs").rglob("*") if path.is_file()]) == 1

    def test_to_a_server(
        self,
        repository: Repository,
        server: Repository,
        signed: Mapping[str, bytes],
        config: Path,
    ) -> None:
        """Who pushes has no hook; the server has, and its files come from nobody else."""
        with chdir(server.folder):
            hooks.install(pre_receive=True, config=config, model="hf://acme/{repository}")
        repository.commit(signed)
        pushed = repository.tried("push", "origin", "main")
        assert pushed.returncode == 0, pushed.stderr
        assert f"remote: oms-gate: {MAIN}" in pushed.stderr.decode()

        before = server.git("for-each-ref")
        repository.git("checkout", "-q", "-b", "good")
        repository.commit({".gitattributes": b"*.md text\n"})
        repository.git("checkout", "-q", "-b", "bad")
        repository.commit({"x\u202egpj.py": b"import os\n", "README.md": b"# Stale\n"})
        repository.git("checkout", "-q", "-b", "leak", "good")
        repository.commit({"notes.md": private_pem(models.new_key())})
        repository.commit({"notes.md": None})
        pushed = repository.tried("push", "origin", "good", "bad", "leak")
        said = pushed.stderr.decode()
        assert pushed.returncode != 0
        for branch in ("good", "bad", "leak"):
            assert f"remote: oms-gate: refs/heads/{branch}" in said
        assert "x\\u202egpj.py" in said
        assert "README.md was changed after signing" in said
        assert "rewrite the history" in said
        assert "pre-receive hook declined" in said
        assert server.git("for-each-ref") == before

        server.git("branch", "old", "main")
        assert repository.tried("push", "origin", "good", ":old").returncode == 0
        there = server.git("for-each-ref", "--format=%(refname:short)").splitlines()
        assert there == ["good", "main"]


class TestPrePush:
    def line(self, new: str, old: str = NOTHING) -> str:
        return f"HEAD@{{1 day ago}} {new} {MAIN} {old}\n"

    def test_as_json(
        self,
        repository: Repository,
        signed: Mapping[str, bytes],
        config: Path,
        told: Told,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        repository.git("config", "oms-gate.config", config)
        new = repository.commit(signed)
        gone = f"(delete) {NOTHING} refs/heads/gone {new}\n"
        url = "https://huggingface.co/acme/model"
        told(gone + self.line(new))
        assert hooks.pre_push("origin", url, json=True) == 0
        deleted, judged = json.loads(capsys.readouterr().out)["references"]
        assert deleted == {"ref": "refs/heads/gone", "old": new, "new": None, "verdict": None}
        assert judged["ref"] == MAIN
        assert judged["verdict"]["model"]["url"] == f"{MODEL}@{new}"

        told(self.line(repository.commit({"README.md": b"# Stale\n"}), new))
        assert hooks.pre_push("origin", url, json=True) == 1
        told(self.line(new, "1" * 40))
        assert hooks.pre_push("origin", url, json=True) == 1

    def test_what_pre_commit_says(
        self,
        repository: Repository,
        signed: Mapping[str, bytes],
        config: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("OMS_GATE_CONFIG", str(config))
        old = repository.commit(signed)
        new = repository.commit({"README.md": b"# Stale\n"})
        for name, value in {
            "FROM_REF": old,
            "TO_REF": new,
            "REMOTE_NAME": "origin",
            "REMOTE_URL": "https://huggingface.co/acme/model",
            "LOCAL_BRANCH": MAIN,
            "REMOTE_BRANCH": MAIN,
        }.items():
            monkeypatch.setenv(f"PRE_COMMIT_{name}", value)
        assert hooks.pre_push(None, None, json=True) == 1
        (judged,) = json.loads(capsys.readouterr().out)["references"]
        assert (judged["old"], judged["new"]) == (old, new)
        # Of a branch that is new it says nothing but the names.
        monkeypatch.delenv("PRE_COMMIT_FROM_REF")
        monkeypatch.delenv("PRE_COMMIT_TO_REF")
        repository.commit(signed)
        assert hooks.pre_push(None, None, json=True) == 0
        monkeypatch.setenv("PRE_COMMIT_LOCAL_BRANCH", "--help")
        with pytest.raises(UsageError, match="'--help' is no commit"):
            hooks.pre_push(None, None, json=True)
        monkeypatch.delenv("PRE_COMMIT_REMOTE_NAME")
        with pytest.raises(UsageError, match="nobody says what is pushed where"):
            hooks.pre_push(None, None, json=True)

    @pytest.mark.usefixtures("repository")
    def test_nothing_to_push(self, told: Told) -> None:
        told("")
        assert hooks.pre_push("origin", "anywhere", json=False) == 0

    @pytest.mark.parametrize("line", ["", "x", f"a {'1' * 40} {MAIN}", f"a b {MAIN} c"])
    @pytest.mark.usefixtures("repository")
    def test_what_git_does_not_say(self, told: Told, line: str) -> None:
        told(f"{line} \n")
        with pytest.raises(UsageError, match="oms-gate hooks install"):
            hooks.pre_push("origin", "anywhere", json=False)

    def test_nobody_says_who_may_sign(self, repository: Repository, told: Told) -> None:
        told(self.line(repository.commit({})))
        with pytest.raises(ConfigError, match=r"git config oms-gate\.config FILE"):
            hooks.pre_push("origin", "https://huggingface.co/acme/model", json=False)

    def test_what_was_once_there(
        self,
        repository: Repository,
        signed: Mapping[str, bytes],
        told: Told,
        config: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A branch with a secret was deleted at the remote, and this machine has not heard."""
        repository.git("config", "oms-gate.config", config)
        secret = repository.commit({"notes.txt": private_pem(models.new_key())})
        repository.git("update-ref", "refs/remotes/origin/old", secret)
        told(self.line(repository.commit({"notes.txt": None, **signed})))
        assert hooks.pre_push("origin", "https://huggingface.co/acme/model", json=False) == 1
        assert f"commit {secret[:12]}, which would be published too" in capsys.readouterr().err

    def test_the_model_is_another_than_the_url_says(
        self, repository: Repository, signed: Mapping[str, bytes], told: Told, config: Path
    ) -> None:
        repository.git("config", "oms-gate.config", config)
        repository.git("config", "oms-gate.model", MODEL)
        told(self.line(repository.commit(signed)))
        with pytest.raises(UsageError, match="the remote is hf://acme/other, which is another"):
            hooks.pre_push("origin", "https://huggingface.co/acme/other", json=False)

    def test_nobody_says_what_the_model_is(
        self, repository: Repository, told: Told, config: Path
    ) -> None:
        repository.git("config", "oms-gate.config", config)
        told(self.line(repository.commit({})))
        with pytest.raises(UsageError, match=r"git config oms-gate\.model REF"):
            hooks.pre_push("origin", "https://token@git.example/acme/model", json=False)


class TestPreReceive:
    def test_settings_that_are_missing(
        self, repository: Repository, told: Told, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment does not count: who pushes may have a say in it."""
        monkeypatch.setenv("OMS_GATE_CONFIG", str(config))
        repository.git("config", "oms-gate.model", MODEL)
        told(f"{NOTHING} {repository.commit({})} {MAIN}\n")
        with pytest.raises(ConfigError, match="takes no pushes until"):
            hooks.pre_receive(json=False)

    def test_a_configuration_that_is_pushed_along(
        self, repository: Repository, told: Told, config: Path
    ) -> None:
        own = repository.folder / "gate.yaml"
        own.symlink_to(config)
        own.unlink()
        own.write_bytes(config.read_bytes())
        repository.git("config", "oms-gate.model", MODEL)
        repository.git("config", "oms-gate.config", own)
        told(f"{NOTHING} {repository.commit({})} {MAIN}\n")
        with pytest.raises(ConfigError, match="among the files that are pushed here"):
            hooks.pre_receive(json=False)

    @pytest.mark.parametrize("named", ["trust", "policy"])
    def test_what_the_configuration_names_is_pushed_along(
        self,
        repository: Repository,
        told: Told,
        config: Path,
        settings: dict[str, Any],
        named: str,
        tmp_path: Path,
    ) -> None:
        """Also by a link that lies there."""
        own = repository.folder / "own"
        own.symlink_to(tmp_path)
        if named == "trust":
            settings["trust"]["keys"]["acme"] = str(own / "acme.pub")
        else:
            settings["policy"] = {"rego": str(tmp_path)}
        config.write_text(yaml.safe_dump(settings))
        repository.git("config", "oms-gate.model", MODEL)
        repository.git("config", "oms-gate.config", config)
        told(f"{NOTHING} {repository.commit({})} {MAIN}\n")
        with pytest.raises(ConfigError, match="which the gate goes by, is among the files"):
            hooks.pre_receive(json=False)

    @pytest.mark.parametrize("listed", [False, True])
    def test_a_work_tree_elsewhere(
        self,
        repository: Repository,
        told: Told,
        config: Path,
        tmp_path: Path,
        listed: bool,
    ) -> None:
        site = tmp_path / "site"
        new = repository.commit({})
        if listed:
            repository.git("worktree", "add", "-q", site)
        else:
            site.mkdir()
            repository.git("config", "core.worktree", "../../site")
        repository.git("config", "oms-gate.model", MODEL)
        repository.git("config", "oms-gate.config", config.rename(site / "gate.yaml"))
        told(f"{NOTHING} {new} {MAIN}\n")
        with pytest.raises(ConfigError, match="among the files that are pushed here"):
            hooks.pre_receive(json=False)

    def test_a_configuration_in_the_repository_itself(
        self, repository: Repository, told: Told, config: Path, tmp_path: Path
    ) -> None:
        """No push gets there, nor to what is in a bare one."""
        server = Repository.new(tmp_path / "server.git", "--bare")
        new = repository.commit({})
        repository.git("push", "-q", server.folder, f"{new}:{MAIN}")
        for place, folder in (
            (repository, repository.folder / ".git"),
            (server, server.folder),
        ):
            own = folder / "gate.yaml"
            own.write_bytes(config.read_bytes())
            place.git("config", "oms-gate.model", MODEL)
            place.git("config", "oms-gate.config", own)
            told(f"{NOTHING} {new} {MAIN}\n")
            with chdir(place.folder):
                assert hooks.pre_receive(json=False) == 1

    def test_a_name_with_an_end_of_line_of_its_own(
        self,
        repository: Repository,
        told: Told,
        config: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """To Git it is one name."""
        repository.git("config", "oms-gate.model", "s3://bucket/acme/model")
        repository.git("config", "oms-gate.config", config)
        new = repository.commit({})
        told(f"{NOTHING} {new} refs/heads/a\u2028b\x85c\n")
        assert hooks.pre_receive(json=False) == 1
        assert "oms-gate: refs/heads/a\\u2028b\\x85c\n" in capsys.readouterr().err


class TestInspect:
    def test_files(
        self, repository: Repository, config: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        models.write(repository.folder, {**models.FILES, "a/k.pem": private_pem(models.new_key())})
        assert hooks.inspect_files([Path("README.md"), Path("config.json").absolute()]) == 0
        assert capsys.readouterr().err == ""
        assert hooks.inspect_files([Path("README.md"), Path("a/k.pem")]) == 1
        assert "a/k.pem holds a private key" in capsys.readouterr().err
        with config.open("a") as stream:
            stream.write("publish: {allow_secrets: [a/*]}\n")
        repository.git("config", "oms-gate.config", config)
        assert hooks.inspect_files([Path("a/k.pem")]) == 0
        assert hooks.inspect_files([]) == 0

    def test_a_folder(self, repository: Repository) -> None:
        models.write(repository.folder / "sub", models.FILES)
        with pytest.raises(UsageError, match="sub is a folder, and only files are looked into"):
            hooks.inspect_files([Path("sub")])

    def test_what_is_no_file_here(self, repository: Repository, tmp_path: Path) -> None:
        (tmp_path / "outside").write_text("x")
        (repository.folder / "link").symlink_to(tmp_path / "outside")
        for path in (Path("link"), tmp_path / "outside", Path("absent")):
            with pytest.raises(StoreError):
                hooks.inspect_files([path])


class TestPreCommit:
    """The framework itself."""

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_the_manifest(self) -> None:
        done = self.run("validate-manifest", PROJECT / ".pre-commit-hooks.yaml")
        assert done.returncode == 0, done.stdout

    def test_its_hooks(
        self,
        repository: Repository,
        signed: Mapping[str, bytes],
        config: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        described = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
        own = [{**hook, "language": "system"} for hook in described]
        configured = {"repos": [{"repo": "local", "hooks": own}]}
        old = repository.commit({**signed, ".gitignore": yaml.safe_dump(configured).encode()})
        monkeypatch.setenv("OMS_GATE_CONFIG", str(config))
        committed = ("run", "--config", ".gitignore")
        pushed = (
            *(*committed, "--hook-stage", "pre-push", "--remote-name", "origin"),
            *("--remote-url", "https://huggingface.co/acme/model"),
            *("--local-branch", MAIN, "--remote-branch", MAIN, "--from-ref", old, "--to-ref"),
        )
        # Whatever the names of files look like.
        new = repository.commit({"README.md": private_pem(models.new_key()), "--help": b"x"})
        done = self.run(*committed, "--all-files")
        assert done.returncode == 1
        assert "README.md holds a private key" in done.stdout
        done = self.run(*pushed, new)
        assert done.returncode == 1
        assert "README.md was changed after signing" in done.stdout


def test_a_template_of_the_server(
    tmp_path: Path, repository: Repository, told: Told, config: Path
) -> None:
    """Which cannot lead to somebody else's name."""
    server = Repository.new(tmp_path / "a b.git", "--bare")
    repository.git("push", "-q", server.folder, f"{repository.commit({})}:{MAIN}")
    server.git("config", "oms-gate.config", config)
    server.git("config", "oms-gate.model", "hf://acme/{repository}")
    told(f"{NOTHING} {server.git('rev-parse', MAIN)} {MAIN}\n")
    with chdir(server.folder), pytest.raises(UsageError, match="is not a repository of the Hub"):
        hooks.pre_receive(json=False)


def test_pointers_are_not_what_is_inspected(repository: Repository) -> None:
    """They are small text files, and stand for what only a push can tell."""
    models.write(repository.folder, {"model.safetensors": pointer("0" * 64, 5)})
    assert hooks.inspect_files([Path("model.safetensors")]) == 1
