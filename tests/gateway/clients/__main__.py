"""``python -m tests.gateway.clients``: let every client meet the gateway, print the tables.

With ``--write`` they go into ``docs/clients.md`` instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.gateway.clients.table import DOCUMENT, made, written


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.clients", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write into {DOCUMENT.name}")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        tables = made(Path(folder))
    if write:
        DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8"), tables), "utf-8")
    else:
        sys.stdout.write(tables + "\n")


if __name__ == "__main__":
    main()
