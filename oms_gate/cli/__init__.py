"""The command line: it parses, calls the library, and prints."""

from __future__ import annotations

import io
import logging
import shutil
import signal
import sys
from textwrap import wrap
from types import FrameType

from oms_gate.cli.output import lenient


def main() -> None:
    """Entry point of ``oms-gate``. Exits 0 admitted, 1 denied, 2 usage, 3 could not decide.

    130 and 143 are for Ctrl-C and SIGTERM.
    """
    from oms_gate.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = lenient(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = lenient(sys.stderr)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("oms-gate: %(message)s"))
    logging.getLogger("oms_gate").addHandler(handler)
    # Who wants it ignored has it ignored, as with Ctrl-C.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except SystemExit as end:
        if end.code in (_INTERRUPTED, _TERMINATED):
            print("oms-gate: interrupted", file=sys.stderr)  # noqa: T201
        raise
    except Exception as error:  # noqa: BLE001 - no failure may look like an admission or denial
        sys.exit(_explain(error))


_INTERRUPTED = 128 + signal.SIGINT  # as typer ends then
_TERMINATED = 128 + signal.SIGTERM


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """End as by an exception, so that what was begun is cleaned up; and do that only once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(_TERMINATED)


def _explain(error: Exception) -> int:
    """Say what went wrong in one sentence; the exit status that it stands for."""
    from oms_gate.errors import ConfigError, OmsGateError, StepError, UsageError
    from oms_gate.reason_codes import ReasonCode
    from oms_gate.verdict import printable

    known = isinstance(error, OmsGateError)
    what = f"{error}" if known else f"it failed ({type(error).__name__}: {error})"
    # A terminal would break the line in the middle of words.
    shown = sys.stderr is not None and sys.stderr.isatty()
    width = shutil.get_terminal_size().columns if shown else sys.maxsize
    for line in what.splitlines():
        words = f"oms-gate: {printable(line)}"
        for part in wrap(words, width, break_long_words=False, break_on_hyphens=False):
            print(part, file=sys.stderr)  # noqa: T201
    if isinstance(error, (UsageError, ConfigError)):
        return 2
    # To a verdict these are findings; to whoever signs, the model is not what is the matter.
    store_failed = (
        ReasonCode.STORE_PROTOCOL,
        ReasonCode.STORE_REDIRECT_REFUSED,
        ReasonCode.STORE_TOO_SLOW,
    )
    code = error.reason.code if isinstance(error, StepError) else None
    return 3 if code is None or code.undecided or code in store_failed else 1
