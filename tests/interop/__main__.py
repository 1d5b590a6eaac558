"""``python -m tests.interop``: try out the exchange with the reference client, print the tables.

With ``--write`` they go into ``docs/interoperability.md`` instead.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.interop.table import DOCUMENT, made, written


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write into {DOCUMENT.name}")
    write = parser.parse_args().write
    logging.disable(logging.WARNING)  # what the reference wonders at
    with tempfile.TemporaryDirectory() as folder:
        tables = made(Path(folder))
    if write:
        DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8"), tables), "utf-8")
    else:
        sys.stdout.write(tables + "\n")


if __name__ == "__main__":
    main()
