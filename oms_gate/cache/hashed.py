"""Hashing files of the cache while other processes give them further names, or take some away."""

from __future__ import annotations

import os
from collections.abc import Mapping

from oms_gate.delivery.folders import status_of
from oms_gate.delivery.present import is_same, right_files
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Resource
from oms_gate.streaming.hashing import ProgressCallback

# As often the same content can be wanted for another model while it is hashed.
_ATTEMPTS = 10


def hashed_files(
    cache: int,
    wanted: Mapping[str, tuple[Resource, ...]],
    hash_type: HashType,
    limits: Limits,
    *,
    deadline: float,
    on_progress: ProgressCallback | None,
) -> dict[str, os.stat_result]:
    """The status of each file that is what was signed, as it was while it was hashed.

    To the system a further name is a change of the file like any other, so what got or lost one
    meanwhile is hashed again.

    cache: a descriptor.
    wanted: what was signed of each file, by its path below the cache's folder.

    Raises:
        MeasureError: the deadline passed.
    """
    right: dict[str, os.stat_result] = {}
    for _ in range(_ATTEMPTS):
        left = {path: parts for path, parts in wanted.items() if path not in right}
        before = {path: status_of(cache, path) for path in left}
        right |= right_files(
            cache,
            left,
            # Where parts were signed, what follows the last one was not.
            {path: parts[-1].end for path, parts in left.items()},
            hash_type,
            limits,
            deadline=deadline,
            on_progress=on_progress,
        )
        wrong = left.keys() - right.keys()
        if not any(_was_renamed(before[path], status_of(cache, path)) for path in wrong):
            break
    return right


def _was_renamed(before: os.stat_result | None, now: os.stat_result | None) -> bool:
    return (
        before is not None
        and now is not None
        and is_same(before, now)
        and before.st_ctime_ns != now.st_ctime_ns
    )
