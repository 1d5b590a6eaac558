"""Changes inside the layers of a bundle: in its JSON, below base64, and in the JSON below that."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Bytes = Callable[[bytes], bytes]

_STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.0, 4.5, 2**63, 10**39),
    *("", "0", "\0", "..", "/", "\U0001f600", [], {}, [{}]),
)


def changed(data: bytes, chooser: random.Random, change: Bytes) -> bytes:
    """`data` with one change: to the text itself, or where it is JSON often to a member of it.

    change: how plain bytes are changed.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return change(data)
    places = list(_places(document))
    if not places or chooser.random() < 0.2:
        return change(data)
    holder, key = chooser.choice(places)
    value = holder[key]
    kind = chooser.randrange(8)
    if isinstance(value, str) and kind < 5:
        holder[key] = _text(value, chooser, change)
    elif kind == 5:
        del holder[key]
    elif kind == 6:
        other, place = chooser.choice(places)
        holder[key] = other[place]
    elif kind == 7 and isinstance(holder, list):
        holder.append(value)
    else:
        holder[key] = chooser.choice(_STRANGE)
    try:
        return json.dumps(document, ensure_ascii=chooser.random() < 0.2).encode("utf-8", "replace")
    except (ValueError, RecursionError):  # a member that was put into itself
        return change(data)


def _text(text: str, chooser: random.Random, change: Bytes) -> str:
    """Below base64, if that is what it is."""
    try:
        inner = base64.b64decode(text, validate=True)
    except ValueError:
        inner = b""
    if len(inner) < 8:
        return change(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    return base64.b64encode(changed(inner, chooser, change)).decode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each member of each list and object, as what holds it and the index or key."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
                yield holder, key
                waiting.append(holder[key])
