"""What names tell of files whose content is not to be had."""

from __future__ import annotations

from collections.abc import Collection

from oms_gate.inspection.credential_files import credential_file
from oms_gate.inspection.findings import Findings
from oms_gate.inspection.inspect import inspect
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.policy.kinds import kind_of
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile

# It is nothing by itself.
_ANY_CONTENT = b"\0"


def inspect_names(
    model: Reference, paths: Collection[str], settings: PublishSettings, limits: Limits
) -> Findings:
    """What `inspect` says of files as soon as there is anything in them.

    model: where they are.
    """
    telling = {path: StoredFile(path, len(_ANY_CONTENT)) for path in paths if _tells(path)}
    stand_in = Snapshot(
        model, telling, single=False, read_range=lambda *_: iter((memoryview(_ANY_CONTENT),))
    )
    return inspect(stand_in, telling, settings, limits)


def _tells(path: str) -> bool:
    # What is called .bin may be anything.
    pickle = kind_of(path) == "pickle" and not path.lower().endswith(".bin")
    return pickle or credential_file(path, _ANY_CONTENT) is not None
