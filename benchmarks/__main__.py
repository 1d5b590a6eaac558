"""``make bench``: measure, and print or write the tables of docs/performance.md."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks import report
from benchmarks.servers.nginx import PROGRAM
from benchmarks.setting import Setting
from oms_gate.signing.keys import write_key_pair
from tests import models

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
# Of each section, whether it needs nginx.
SECTIONS = {
    "hub": True,
    "s3": False,
    "tls": True,
    "capped": True,
    "small": True,
    "local": False,
    "memory": False,
    "shapes": False,
    "verification": False,
    "policy": False,
    "loading": False,
    "admission": False,
    "publishing": False,
    "gateway": True,
    "evidence": False,
    "start": False,
}


def main() -> None:
    """Run the benchmark as the command line says."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="oms-gate-bench-") as folder:
        key = models.new_key()
        write_key_pair(Path(folder, "key"), Path(folder, "key.pub"), key, None)
        setting = Setting(
            megabytes=options.megabytes,
            rounds=options.rounds,
            small_files=options.small_files,
            memory=options.memory,
            disk=options.disk,
            key=key,
            private_key=Path(folder, "key"),
            public_key=Path(folder, "key.pub"),
        )
        for name in options.only:
            if SECTIONS[name] and PROGRAM is None:
                print(f"{name}: left out, as nginx is missing", file=sys.stderr)
                continue
            start = time.monotonic()
            text = _section(name, setting)
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
            if options.write:
                DOCUMENT.write_text(report.replaced(DOCUMENT.read_text(), name, text))
            else:
                print(f"## {name}\n\n{text}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_sections,
        default=list(SECTIONS),
        metavar="SECTION,...",
        help=f"some of {', '.join(SECTIONS)}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="trials of each candidate")
    parser.add_argument("--megabytes", type=int, default=4300, help="size of the model")
    parser.add_argument(
        "--small-files", type=int, default=10_000, help="files of the model of small files"
    )
    parser.add_argument(
        "--memory", type=Path, default=Path("/dev/shm"), help="a folder in main memory"
    )
    parser.add_argument(
        "--disk", type=Path, default=Path(tempfile.gettempdir()), help="a folder on disk"
    )
    parser.add_argument("--write", action="store_true", help=f"write the tables to {DOCUMENT.name}")
    return parser


def _sections(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"there is no section {', '.join(sorted(unknown))}")
    return names


def _section(name: str, setting: Setting) -> str:
    """The text of a section: how it was made, and what it found."""
    pieces = import_module(f"benchmarks.sections.{name}").measure(setting)
    command = f"python -m benchmarks --only {name}"
    for option in ("rounds", "megabytes", "small_files"):
        value = getattr(setting, option)
        if value != _parser().get_default(option):
            command += f" --{option.replace('_', '-')} {value}"
    made = (
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({_processor()}), "
        f"Python {platform.python_version()}.\n"
    )
    return "\n".join(["", made, *pieces])


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
