"""The command that runs programs, and its options."""

from __future__ import annotations

from typing import Annotated

import typer

from oms_gate.cli.options import Config


def run(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PROGRAM",
            help="A script (*.py), -m MODULE or -c CODE, as after 'python'; or a program.",
            show_default=False,
        ),
    ],
    config: Config = None,
) -> None:
    """Run a program as it is; it and all that it starts load admitted models only.

    Exit status and output are the program's own. What is not guarded: Python with -I, -E or -S,
    and what is not Python.

    Examples:

        oms-gate run -c gate.yaml -- train.py --epochs 3

        oms-gate run -c gate.yaml -- -m my_package

        oms-gate run -c gate.yaml -- vllm serve org/name
    """
    from oms_gate.errors import UsageError
    from oms_gate.loading.run import run as run_program

    if config is None:
        raise UsageError("no gate is named: give --config gate.yaml, or set OMS_GATE_CONFIG")
    run_program(config, words)
