"""``oms-gate hooks``: may what is pushed be published?"""

from __future__ import annotations

import json as json_module
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import typer

from oms_gate.cli.output import after
from oms_gate.cli.render import new_console, print_reasons, print_verdict, progress_bar
from oms_gate.cli.verify import exit_status
from oms_gate.config import CONFIG_VARIABLE, load_config, named_files
from oms_gate.errors import ConfigError, UsageError
from oms_gate.gate import Gate
from oms_gate.inspection.inspect import inspect
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.publish.git import hook_files
from oms_gate.publish.git.checked_out import checked_out
from oms_gate.publish.git.destination import MODEL_SETTING, configured, of_remote
from oms_gate.publish.git.program import Git
from oms_gate.publish.git.push import Push, RefUpdate
from oms_gate.publish.git.work_tree import work_tree_files
from oms_gate.verdict import Verdict, printable

_CONFIG_SETTING = "oms-gate.config"
_PRE_COMMIT = ("REMOTE_NAME", "REMOTE_URL", "REMOTE_BRANCH", "LOCAL_BRANCH", "FROM_REF", "TO_REF")


def install(*, pre_receive: bool, config: Path | None, model: str | None) -> int:
    """Put a hook into the current repository; 0.

    Raises:
        UsageError: this is no repository, or the model cannot be one.
        ConfigError: the configuration, or the folder of the hooks, cannot be used.
    """
    git = Git(Limits())
    settings = {}
    if config is not None:
        load_config(config)
        settings[_CONFIG_SETTING] = os.path.abspath(config)
    if model is not None:
        configured(model, _home(git).name)
        settings[MODEL_SETTING] = model
    path = hook_files.install(git, "pre-receive" if pre_receive else "pre-push")
    for name, value in settings.items():
        git.value("config", name, value)
    typer.echo(f"{printable(str(path))} is there; it lets pushes through that the gate admits")
    if pre_receive and git.setting("receive.denyDeletes", "--type=bool") != "true":
        typer.echo(
            "a branch that is deleted and pushed again may go back to an older release; to refuse "
            "deletions: git config receive.denyDeletes true"
        )
    return 0


def uninstall() -> int:
    """Take the hooks out of the current repository; 0.

    Raises:
        UsageError: this is no repository.
        ConfigError: the folder of the hooks cannot be written to.
    """
    git = Git(Limits())
    removed = [path for hook in hook_files.HOOKS if (path := hook_files.uninstall(git, hook))]
    for path in removed:
        typer.echo(f"{printable(str(path))} is not the gate's any more")
    if not removed:
        typer.echo("there is no hook of the gate here")
    return 0


def pre_push(remote: str | None, url: str | None, *, json: bool) -> int:
    """Judge what is about to be pushed from the current repository; the exit status.

    Raises:
        UsageError: this is not called as a hook, or nobody says which model the repository is.
        ConfigError: there is no configuration, or it cannot be used.
    """
    git = Git(Limits())
    if remote is None:
        remote, url, updates = _of_pre_commit(git)
    else:
        updates = [_pre_push_update(line) for line in _lines()]
    if not updates:
        return 0
    with _gate(_config(git)) as gate:
        target = of_remote(url or remote, git.setting(MODEL_SETTING), _home(git).name)
        push = Push(gate, Git(gate.limits), target, known=())
        return _judged(push, updates, json=json)


def pre_receive(*, json: bool) -> int:
    """Judge what is being pushed to the current repository; the exit status.

    Raises:
        UsageError: this is not called as a hook.
        ConfigError: there is no configuration, or it cannot be used.
    """
    git = Git(Limits())
    updates = [_pre_receive_update(line) for line in _lines()]
    if not updates:
        return 0
    config, model = git.setting(_CONFIG_SETTING, "--type=path"), git.setting(MODEL_SETTING)
    if config is None or model is None:
        raise ConfigError(
            f"this repository takes no pushes until git config has {_CONFIG_SETTING} and "
            f"{MODEL_SETTING} for it: oms-gate hooks install --pre-receive --config FILE "
            "--model REF"
        )
    for file in (Path(config), *named_files(load_config(Path(config)))):
        if checked_out(file, git):
            raise ConfigError(
                f"{printable(str(file))}, which the gate goes by, is among the files that are "
                "pushed here, and whoever pushes must not decide; put it elsewhere"
            )
    target = configured(model, _home(git).name)
    with _gate(config) as gate:
        push = Push(gate, Git(gate.limits), target, known=["--all"])
        return _judged(push, updates, json=json)


def inspect_files(files: Collection[Path]) -> int:
    """Look into files of the current folder and print what was found; the exit status.

    Raises:
        UsageError: one is a folder.
        ConfigError: the configuration cannot be used.
        StoreError: a file cannot be read, or is none.
    """
    config = _config(Git(Limits()))
    settings, limits = PublishSettings(), Limits()
    if config is not None:
        loaded = load_config(Path(config))
        settings, limits = loaded.publish, loaded.limits
    snapshot = work_tree_files(files, limits)
    found = inspect(snapshot, snapshot.files, settings, limits)
    console = new_console(stderr=True)
    print_reasons(console, found.reasons, "[red]✗[/]")
    print_reasons(console, found.warnings, "[yellow]![/]")
    if not found.reasons:
        return 0
    return 3 if all(reason.code.undecided for reason in found.reasons) else 1


def _config(git: Git) -> str | None:
    return git.setting(_CONFIG_SETTING, "--type=path") or os.environ.get(CONFIG_VARIABLE) or None


def _gate(config: str | None) -> Gate:
    if config is None:
        raise ConfigError(
            f"nobody says who may sign: git config {_CONFIG_SETTING} FILE with the path of a "
            f"gate.yaml, or set {CONFIG_VARIABLE}"
        )
    return Gate.from_config(config)


def _home(git: Git) -> Path:
    """The folder of a repository, work tree or not, by the name that it is known by."""
    folder = git.place("--git-common-dir")
    if folder.name == ".git":
        return folder.parent
    return folder.with_name(folder.name.removesuffix(".git"))


def _lines() -> Iterator[str]:
    # By no other end of a line, which may be in a name.
    for line in sys.stdin.buffer.read().split(b"\n"):
        if line:
            yield line.decode("utf-8", "surrogateescape")


def _pre_push_update(line: str) -> RefUpdate:
    # What the publisher typed comes first, and may have spaces in it.
    parts = line.rsplit(" ", 3)
    if len(parts) != 4:
        raise _no_hook(line)
    _, new, ref, old = parts
    return RefUpdate.of(ref, old, new)


def _pre_receive_update(line: str) -> RefUpdate:
    parts = line.split(" ", 2)
    if len(parts) != 3:
        raise _no_hook(line)
    old, new, ref = parts
    return RefUpdate.of(ref, old, new)


def _no_hook(line: str) -> UsageError:
    return UsageError(
        f"'{printable(line[:80])}' is not what Git tells a hook; oms-gate hooks install lets Git "
        "call it"
    )


def _of_pre_commit(git: Git) -> tuple[str, str, list[RefUpdate]]:
    """What is pushed where, as pre-commit says it."""
    said = {name: os.environ.get(f"PRE_COMMIT_{name}", "") for name in _PRE_COMMIT}
    pushed = said["TO_REF"] or said["LOCAL_BRANCH"]
    if not pushed or not said["REMOTE_NAME"] or not said["REMOTE_BRANCH"]:
        raise UsageError(
            "nobody says what is pushed where; let Git call this (oms-gate hooks install), or "
            "pre-commit at its stage pre-push"
        )
    new = git.commit(pushed)
    if new is None:
        raise UsageError(f"'{printable(pushed)}' is no commit, which pre-commit says is pushed")
    old = git.commit(said["FROM_REF"]) if said["FROM_REF"] else None
    return said["REMOTE_NAME"], said["REMOTE_URL"], [RefUpdate(said["REMOTE_BRANCH"], old, new)]


def _judged(push: Push, updates: Collection[RefUpdate], *, json: bool) -> int:
    if json:
        verdicts = push.judge(updates)
    else:
        with progress_bar("checking the push") as on_progress:
            verdicts = push.judge(updates, on_progress)
    statuses = {exit_status(verdict) for verdict in verdicts.values()} - {0}
    with after("the push was judged"):
        if json:
            _print_json(updates, verdicts)
        else:
            _print(verdicts)
            if statuses:
                typer.echo("oms-gate: the push is refused, and nothing of it published", err=True)
    # What was decided is not to be tried again.
    return min(statuses, default=0)


def _print(verdicts: Mapping[str, Verdict]) -> None:
    for ref, verdict in verdicts.items():
        typer.echo(f"oms-gate: {printable(ref)}", err=True)
        print_verdict(verdict, lets_through=verdict.lets_through, stderr=True)


def _print_json(updates: Collection[RefUpdate], verdicts: Mapping[str, Verdict]) -> None:
    described = [
        {
            "ref": printable(update.ref),
            "old": update.old,
            "new": update.new,
            "verdict": verdict and verdict.model_dump(mode="json", by_alias=True),
        }
        for update in updates
        for verdict in [verdicts.get(update.ref)]
    ]
    typer.echo(json_module.dumps({"references": described}, indent=2))
