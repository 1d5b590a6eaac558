"""What a gateway tells those who count, log and record."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict


class Transfer(NamedTuple):
    """A file on its way from a store.

    model: URL of its model.
    path: in the model.
    hashed_bytes: what came, and was hashed.
    seconds: how long it took.
    failure: why it is not there, if it is not.
    """

    model: str
    path: str
    hashed_bytes: int
    seconds: float
    failure: ReasonCode | None


class Observer(Protocol):
    """Is told what happens. Called by several threads; it must be quick, and never raises."""

    def decided(self, verdict: Verdict, seconds: float) -> None:
        """A model was decided about anew, or a file of an admitted one was found to be wrong."""

    def looked_up(self, what: Literal["decision", "file"], *, hit: bool) -> None:
        """A decision or a verified file was wanted; `hit`: it was there already."""

    def fetched(self, transfer: Transfer) -> None:
        """A file came from a store, or did not."""

    def upstream_failed(self, code: ReasonCode) -> None:
        """The store gave no usable answer."""


def tell(observer: Observer, transfer: Transfer) -> None:
    """Tell of a transfer that is over, and of the store where that is what it failed of."""
    observer.fetched(transfer)
    if transfer.failure is not None and transfer.failure.of_store:
        observer.upstream_failed(transfer.failure)
