"""The command line: it parses, calls the library, and prints."""

from __future__ import annotations

import io
import logging
import sys


def main() -> None:
    """Entry point of ``oms-gate``. Exits 0 admitted, 1 denied, 2 usage, 3 could not decide."""
    from oms_gate.cli.app import app

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("oms-gate: %(message)s"))
    logging.getLogger("oms_gate").addHandler(handler)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not turn a verdict into a failure.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:  # noqa: BLE001 - no failure may look like an admission or denial
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Say what went wrong in one sentence; the exit status that it stands for."""
    from oms_gate.errors import ConfigError, OmsGateError, StepError, UsageError
    from oms_gate.verdict import ReasonCode, printable

    known = isinstance(error, OmsGateError)
    what = f"{error}" if known else f"it failed ({type(error).__name__}: {error})"
    for line in what.splitlines():
        print(f"oms-gate: {printable(line)}", file=sys.stderr)  # noqa: T201
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
