"""Forked processes that do something at the same time."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def failures(count: int, work: Callable[[int], None]) -> int:
    """Fork that many, which begin at once; how many of them failed, of what is on standard error.

    work: what each does, by its number.
    """
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(number)
                status = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                raise
            finally:
                os._exit(status)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)
