"""The hooks themselves: small scripts in a repository, which call the gate."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

from oms_gate.errors import ConfigError, UsageError
from oms_gate.publish.git.program import Git

Hook = Literal["pre-push", "pre-receive"]
HOOKS: tuple[Hook, ...] = ("pre-push", "pre-receive")

_MARK = "# Written by: oms-gate hooks install"
# Git gives the references on standard input, and both hooks are to read them.
_SCRIPT = """\
#!/bin/sh
{mark}
# Lets nothing out that the gate denies. Taken away by: oms-gate hooks uninstall
program={program}
if ! [ -x "$program" ]; then
    echo "oms-gate: $program is gone, so nothing can be checked, and the push is refused; install \\
oms-gate again, and run oms-gate hooks install" >&2
    exit 2
fi
references=$(cat) || exit 2
references() {{ [ -z "$references" ] || printf '%s\\n' "$references"; }}
references | "$program" -P -m oms_gate hooks {hook} -- "$@" || exit
# The hook that was here before. This file itself may have been given another name since.
before="${{0%/*}}/{before}"
[ -x "$before" ] || exit 0
references | "$before" "$@"
"""


def install(git: Git, hook: Hook) -> Path:
    """Put a hook into the repository, in one step; the path of its file.

    A hook that is there already is kept beside it, as ``<hook>.before-oms-gate``, and runs after
    this one has let the push through.

    Raises:
        UsageError: this is no repository; or there is a hook, and one that was kept before.
        ConfigError: the folder of the hooks cannot be written to.
    """
    path = _path(git, hook)
    before = _before(path)
    # -P: what lies in the repository is not to be taken for modules of Python.
    program = shlex.quote(sys.executable)
    script = _SCRIPT.format(mark=_MARK, program=program, hook=hook, before=before.name).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not _is_ours(path):
            if os.path.lexists(before) and before.read_bytes() != path.read_bytes():
                raise UsageError(
                    f"{path} is not the gate's hook, and {before.name} beside it was kept earlier; "
                    "make one hook of the two, or move one of them away"
                )
            # A copy: at no time is there no hook.
            shutil.copy2(path, before, follow_symlinks=False)
        if not path.is_file() or path.read_bytes() != script:
            _write(path, script)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    return path


def uninstall(git: Git, hook: Hook) -> Path | None:
    """Take the gate's hook away, and give the one before it its name back; the path, or None.

    Raises:
        UsageError: this is no repository.
        ConfigError: the folder of the hooks cannot be written to.
    """
    path = _path(git, hook)
    before = _before(path)
    try:
        if not _is_ours(path):
            return None
        if os.path.lexists(before):
            before.replace(path)
        else:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be removed: {error.strerror}") from error
    return path


def _path(git: Git, hook: Hook) -> Path:
    return git.place("--git-path", "hooks") / hook


def _before(path: Path) -> Path:
    # Not .legacy: that is what pre-commit calls the hook that it runs before its own.
    return path.with_name(f"{path.name}.before-oms-gate")


def _is_ours(path: Path) -> bool:
    return path.is_file() and _MARK.encode() in path.read_bytes().splitlines()[1:2]


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".oms-gate-{secrets.token_hex(8)}")
    # Executable from the start: Git passes over a hook that is not.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
