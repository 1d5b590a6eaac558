"""The command line that conformance suites for OMS speak; see `adapter`.

The exit status is the answer: 0 done or verified, 1 refused or failed, 2 not understood. Why goes
to standard error.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import oms_gate
from oms_gate.errors import ConfigError, OmsGateError, UsageError
from oms_gate.oms.digests import HASH_TYPES


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "capabilities":
            _print(_capabilities())
        elif options.command == "benchmark-model":
            _print({"times_ms": _times(options)})
        else:
            with _prepared(options.command.removesuffix("-model"), options) as operate:
                operate()
    except (ConfigError, UsageError) as error:
        return _failed(error, 2)
    except (OmsGateError, OSError) as error:
        return _failed(error, 1)
    return 0


def _prepared(operation: str, options: Namespace) -> AbstractContextManager[Callable[[], None]]:
    # Either is slow to import, and only one is ever used.
    if operation == "sign":
        from tests.conformance.signing import signing

        return signing(options)
    from tests.conformance.verifying import verifying

    return verifying(options)


FLAGS = (
    *("--cert-chain", "--ignore-paths", "--use-staging"),
    *("--private-key", "--signing-cert", "--identity-token", "--hash-algorithm", "--shard-size"),
    *("--public-key", "--identity", "--identity-provider", "--trusted-root"),
    "--ignore-unsigned-files",
)
"""What a suite may give besides method, model and bundle."""


def _capabilities() -> dict[str, object]:
    return {
        "flags": list(FLAGS),
        "hash_algorithms": list(HASH_TYPES),
        "benchmark_model": True,
        "client_version": oms_gate.__version__,
    }


def _times(options: Namespace) -> list[float]:
    """How long each repetition took, in milliseconds, after one that warms up."""
    with _prepared(options.operation, options) as operate:
        operate()
        times = []
        for _ in range(options.repeat):
            start = time.perf_counter()
            operate()
            times.append(round(1000 * (time.perf_counter() - start), 3))
    return times


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="adapter", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    sign = commands.add_parser("sign-model", allow_abbrev=False)
    verify = commands.add_parser("verify-model", allow_abbrev=False)
    benchmark = commands.add_parser("benchmark-model", allow_abbrev=False)
    commands.add_parser("capabilities", allow_abbrev=False)
    benchmark.add_argument("--operation", choices=["sign", "verify"], required=True)
    benchmark.add_argument("--repeat", type=_count, required=True)
    for command in (sign, verify, benchmark):
        command.add_argument("--method", choices=["key", "certificate", "sigstore"], required=True)
        command.add_argument("--model-path", type=Path, required=True)
        for several in ("--cert-chain", "--ignore-paths"):
            command.add_argument(several, type=Path, nargs="+", action="extend", default=[])
        command.add_argument("--use-staging", action="store_true")
    for command in (sign, benchmark):
        command.add_argument("--output-bundle", type=Path, required=command is sign)
        command.add_argument("--private-key", type=Path)
        command.add_argument("--signing-cert", type=Path)
        command.add_argument("--identity-token")
        command.add_argument("--hash-algorithm", choices=HASH_TYPES, default="sha256")
        command.add_argument("--shard-size", type=int)
    for command in (verify, benchmark):
        command.add_argument("--bundle", type=Path, required=command is verify)
        command.add_argument("--public-key", type=Path)
        command.add_argument("--identity")
        command.add_argument("--identity-provider")
        command.add_argument("--trusted-root", type=Path)
        command.add_argument("--ignore-unsigned-files", action="store_true")
    return parser


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def _print(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


def _failed(error: Exception, status: int) -> int:
    sys.stderr.write(f"adapter: {error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
