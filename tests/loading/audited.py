"""Run a program as Python does, and write down every file that it opens.

``python audited.py OPENED PROGRAM [ARGUMENT ...]``
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

opened: list[str] = []


def note(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: it cannot be removed again, and misses nothing that Python opens."""
    if event == "open" and isinstance(arguments[0], str):
        opened.append(os.path.abspath(arguments[0]))


if __name__ == "__main__":
    report, *sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.addaudithook(note)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        Path(report).write_text("\n".join(opened))
