"""The store protocol, and which implementation a reference belongs to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.snapshot import Snapshot
from oms_gate.verdict import ReasonCode

T = TypeVar("T")


class StoreSettings(BaseModel):
    """How stores are reached; `stores:` in ``gate.yaml``.

    Credentials and endpoints come from where each store's users keep them (``HF_TOKEN``,
    ``HF_ENDPOINT``, the AWS environment and profiles); `options` overrides them by scheme.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    private_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts on private addresses to which a store may redirect a download.",
    )
    options: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict,
        description="fsspec storage options by scheme, such as s3: {endpoint_url: ...}.",
    )


class Store(Protocol):
    """A place where models live."""

    def snapshot(self, reference: Reference) -> Snapshot:
        """Pin the model's revision and list its files.

        Raises:
            StoreError: no such model or revision, no permission, or no usable answer.
        """


def open_store(reference: Reference, settings: StoreSettings, limits: Limits) -> Store:
    """The store that a reference belongs to; its clients are imported only here."""
    if reference.scheme == "file":
        from oms_gate.stores.local import LocalStore

        return LocalStore(limits)
    if reference.scheme == "hf":
        from oms_gate.stores.hub import HubStore

        return HubStore(settings, limits)
    if reference.scheme in ("s3", "s3a"):
        from oms_gate.stores.s3 import S3Store

        return S3Store(settings, limits)
    if reference.scheme in ("http", "https"):
        from oms_gate.stores.web import WebStore

        return WebStore(settings, limits)
    from oms_gate.stores.generic import GenericStore

    return GenericStore(settings, limits)


@contextmanager
def translated(translate: Callable[[Exception], StoreError]) -> Iterator[None]:
    """Turn whatever a store's client raises into a `StoreError` with a sentence."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise translate(error) from error


def within(seconds: float, call: Callable[[], T]) -> T:
    """Run a store client's call, and stop waiting for it after `seconds`.

    The clients bound each request, not the whole of a listing in pages or of a slow transfer.

    Raises:
        StoreError: it took longer.
        Exception: whatever `call` raised.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
            results.put((None, error))

    threading.Thread(target=run, name="oms-gate-listing", daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise StoreError(
            ReasonCode.STORE_UNAVAILABLE,
            f"the store did not give its listing or the signature within {seconds:g} seconds; try "
            "again, or raise the limit 'listing_seconds'",
        ) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # no error: it is call's own result
