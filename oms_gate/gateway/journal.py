"""What the disk has of an arrival: the file, how far it may be handed out, and what went wrong.

It is shared by the processes of a gateway, and outlives them.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from oms_gate.cache.layout import ARRIVALS, Layout
from oms_gate.errors import DeliveryError
from oms_gate.file_locks import locked
from oms_gate.reason_codes import ReasonCode

DISTRUST_SECONDS: Final = 24 * 3600.0
"""How long those who come back for the rest of a file are sent away, once it was wrong."""

REMEMBERED_SECONDS: Final = 90 * 24 * 3600.0
"""How long the entity tag tells what was wrong from what is right: clients keep partial files."""

_STATE = struct.Struct("<QQd8s")


class State(NamedTuple):
    """How far an arrival is.

    turn: how many times it was wrong before: what was handed out in another turn is another file.
    released: how many bytes of the file may be handed out.
    distrusted: when it was wrong, in seconds since 1970.
    source: what stands for the bytes of the store that arrive; see `CachedModel.declared`.
    """

    turn: int = 0
    released: int = 0
    distrusted: float = 0.0
    source: bytes = bytes(8)

    @property
    def is_remembered(self) -> bool:
        """Whether a file of another turn may still be told from this one by its entity tag."""
        return self.turn > 0 and time.time() < self.distrusted + REMEMBERED_SECONDS

    @property
    def is_distrusted(self) -> bool:
        """Whether clients may still have the beginning of a wrong file."""
        return self.turn > 0 and time.time() < self.distrusted + DISTRUST_SECONDS


class Journal:
    """Of one content. Only who is inside `written` may change anything.

    file: what has arrived so far.
    """

    def __init__(self, layout: Layout, content: str) -> None:
        """
        content: see `oms_gate.cache.contents.content_name`.
        """
        base = layout.folder / ARRIVALS / content.replace("/", "-")
        self.file: Path = base.with_name(base.name + ".part")
        self._state_file = base.with_name(base.name + ".state")
        self._handle = -1

    @contextmanager
    def written(self, waiting: Callable[[], None], deadline: float) -> Iterator[None]:
        """Be the only one, in whichever process, that changes it; until the block ends.

        waiting: called again and again while another one is; it takes a moment.
        deadline: on the clock of `time.monotonic`, in seconds.

        Raises:
            DeliveryError: another one is until then.
            OSError: the file system failed.
        """
        late = DeliveryError(
            ReasonCode.DEADLINE_EXCEEDED,
            f"another process has not let go of {self._state_file.name} in time; see what it waits "
            "for, or raise the limit 'total_seconds'",
        )
        with locked(self._state_file, waiting, deadline, late) as handle:
            self._handle = handle
            try:
                yield
            finally:
                self._handle = -1

    def state(self) -> State:
        """How far it is; from the start on where nothing is known."""
        try:
            content = self._state_file.read_bytes()
        except FileNotFoundError:
            return State()
        return State(*_STATE.unpack(content)) if len(content) == _STATE.size else State()

    def release(self, state: State) -> None:
        """Write down how far it is now; what may be handed out is in the file already."""
        os.pwrite(self._handle, _STATE.pack(*state), 0)

    def distrust(self) -> State:
        """Begin anew, as the file was wrong. In this order, should the process be killed."""
        before = self.state()
        after = before._replace(turn=before.turn + 1, released=0, distrusted=time.time())
        self.release(after)
        self.discard()
        return after

    def settle(self) -> State:
        """Begin anew, as the content came in another way, and nobody will know of the file whether
        it would have been right."""
        if self.state().released:
            return self.distrust()
        self.discard()
        return self.state()

    def discard(self) -> None:
        """Remove the file, of which nothing was handed out."""
        self.file.unlink(missing_ok=True)

    def forget(self) -> None:
        """Leave nothing of an arrival that was right, but how many before it were wrong."""
        state = self.state()
        if state.is_remembered:
            self.release(state._replace(released=0))
        else:
            self._state_file.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Remove what has arrived, unless it is gone on with at the moment.

        Nobody knows whether that was right, so who has the beginning of it must not go on.

        Raises:
            DeliveryError: it is.
            OSError: the file system failed.
        """
        with self.written(lambda: None, time.monotonic()):
            self.settle()
            self.forget()

    def open(self) -> int:
        """The descriptor of the file, for reading and writing; it is made where there is none."""
        return os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
