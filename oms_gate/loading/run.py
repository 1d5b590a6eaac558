"""Running a program as it is, under a guard that all its Python processes inherit."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from oms_gate.config import CONFIG_VARIABLE, load_config, load_trust
from oms_gate.errors import UsageError

BOOTSTRAP: Final = Path(__file__).with_name("bootstrap")
"""The folder with the ``sitecustomize.py`` that guards each Python that has it on its path."""

_PATH = "PYTHONPATH"
# Python ignores these, and what it starts would go on to.
_IGNORED = ("SIGPIPE", "SIGXFSZ")


def run(config: Path, words: Sequence[str]) -> NoReturn:
    """Become a program whose Python processes load admitted models only.

    The environment carries the guard, so that it is inherited by whatever the program starts.

    config: the gate's.
    words: see `command`.

    Raises:
        ConfigError: `config` cannot be used.
        UsageError: there is no such program.
    """
    load_trust(load_config(config).trust)
    program, arguments = command(words)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, arguments, environment(config, os.environ))  # noqa: S606 - is asked for
    except OSError as error:
        raise UsageError(f"{program} cannot be run: {error.strerror}") from error


def command(words: Sequence[str]) -> tuple[str, list[str]]:
    """The program that is meant, and what it is called with.

    words: what follows ``python`` where the first is a script (``*.py``), ``-m``, ``-c`` or ``-``;
        else a program of the PATH, or with a slash the path of one.

    Raises:
        UsageError: there is no such program.
    """
    if not words:
        raise UsageError(
            "no program is named: oms-gate run -- script.py, or -m module, or a program"
        )
    first = words[0]
    if first in ("-m", "-c", "-") or first.endswith(".py"):
        return sys.executable, [sys.executable, *words]
    if first.startswith("-"):
        raise UsageError(
            f"{first} is no program; options of Python go after it: oms-gate run -- python {first}"
        )
    program = shutil.which(first)
    if program is None:
        raise UsageError(
            f"there is no program {first}; a script ends with .py, and a program is on the PATH or "
            "named with a slash"
        )
    return program, list(words)


def environment(config: Path, around: Mapping[str, str]) -> dict[str, str]:
    """The environment in which each Python guards itself, else as the one `around`."""
    bootstrap = str(BOOTSTRAP)
    others = [entry for entry in around.get(_PATH, "").split(os.pathsep) if entry != bootstrap]
    path = os.pathsep.join([bootstrap, *others] if any(others) else [bootstrap])
    return {**around, CONFIG_VARIABLE: os.path.abspath(config), _PATH: path}
