"""Signatures written back to a store, and writes that it refuses."""

from __future__ import annotations

import pytest

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot, Written


def write(of: Snapshot, content: bytes = b"bundle", name: str = "model.sig") -> Written:
    """Write it into the model of a snapshot."""
    return of.write(name, content, message="Sign")


def refused(of: Snapshot, code: ReasonCode, name: str = "model.sig") -> StoreError:
    """Assert that it is refused with `code`; the error."""
    with pytest.raises(StoreError) as caught:
        write(of, name=name)
    assert caught.value.reason.code is code, caught.value
    return caught.value
