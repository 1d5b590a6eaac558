"""OPA's own program, which compiles, checks and tests policies."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from oms_gate.errors import ConfigError

IGNORE_HIDDEN: Final = "--ignore=.?*"
"""The option to leave out what is hidden, as the gate does; ``.*`` would leave out ``.`` too."""

_SECONDS: Final = 120


def find_opa() -> str:
    """The program: that of $OMS_GATE_OPA, or ``opa`` on the PATH.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get("OMS_GATE_OPA")
    program = shutil.which(named or "opa")
    if program is None:
        raise ConfigError(
            f"the policy compiler {named or 'opa'!r} was not found; install OPA "
            "(openpolicyagent.org/docs, one program), put it on the PATH or name it in "
            "OMS_GATE_OPA, or use an OPA server instead"
        )
    return program


def run_program(
    program: Path | str, arguments: Sequence[str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """What it answers, run in a folder; its exit status is its own affair.

    Raises:
        ConfigError: it cannot be run, or takes two minutes.
    """
    try:
        return subprocess.run(  # noqa: S603 - the operator's own program
            [str(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"the policy compiler {program} did not finish within {_SECONDS} seconds"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the policy compiler {program} cannot be run: {error.strerror}"
        ) from error
