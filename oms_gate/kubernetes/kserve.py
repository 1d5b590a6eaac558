"""KServe's own init container, which fetches models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from oms_gate.errors import UsageError
from oms_gate.kserve import kserve_reference
from oms_gate.reference import Reference

INITIALIZER: Final = "storage-initializer"
"""Its name in every pod that KServe makes."""


def initializer_models(container: Mapping[str, Any]) -> Iterator[tuple[Reference, str]]:
    """The models that it fetches, each with its folder.

    Raises:
        UsageError: its arguments are no pairs of a storage URI and a folder.
    """
    words = [str(word) for word in container.get("args") or ()]
    if words[:1] == ["pull"] and len(words) > 2:
        # What the gate has made of it.
        yield Reference.parse(words[1].replace("$$", "$")), words[2].replace("$$", "$")
        return
    if not words or len(words) % 2:
        raise UsageError("its arguments are no pairs of a storage URI and a folder")
    for uri, folder in zip(words[::2], words[1::2], strict=True):
        yield kserve_reference(uri), folder
