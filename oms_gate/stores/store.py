"""The store protocol, and which implementation a reference belongs to."""

from __future__ import annotations

import ipaddress
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from oms_gate.errors import ConfigError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.snapshot import Snapshot
from oms_gate.verdict import printable

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_ERROR_CHARACTERS = 200

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

    @field_validator("private_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_host, hosts))


class Store(Protocol):
    """A place where models live."""

    def snapshot(self, reference: Reference, beside: str = "") -> Snapshot:
        """Pin the model's revision and list its files.

        beside: list with a single file the one, if it is there, whose name has this added: what
            is to be written there must be known.

        Raises:
            StoreError: no such model or revision, no permission, or no usable answer.
            ConfigError: the store cannot be opened as it is configured.
        """


def open_store(reference: Reference, settings: StoreSettings, limits: Limits) -> Store:
    """The store that a reference belongs to; its clients are imported only here.

    Raises:
        ConfigError: its options cannot be meant.
    """
    if reference.is_local:
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
    except (ConfigError, StoreError, UsageError):
        raise
    except Exception as error:
        raise translate(error) from error


@contextmanager
def unanswered(name: str) -> Iterator[None]:
    """Say of a write that got no answer that nobody knows whether it took place."""
    try:
        yield
    except StoreError as error:
        if error.reason.code is not ReasonCode.STORE_UNAVAILABLE:
            raise
        raise StoreError(
            ReasonCode.STORE_UNAVAILABLE,
            f"{error.reason.message}; {name} may have been written all the same, so look first",
            path=name,
        ) from error


def unusable(scheme: str, error: Exception) -> ConfigError:
    """The error for options, a package or a profile that a store's client cannot use."""
    return ConfigError(
        f"{scheme}:// cannot be used as it is configured: {in_short(error)}; check the options "
        f"under 'stores' and the environment"
    )


def in_short(said: Exception | str) -> str:
    """What a store or its client said, in one short line."""
    text = " ".join(str(said).split()) or type(said).__name__
    text = printable(text[:_ERROR_CHARACTERS])
    return text if len(text) < _ERROR_CHARACTERS else text[: _ERROR_CHARACTERS - 1] + "…"


def within(seconds: float, call: Callable[[], T], abandon: Callable[[], None] = lambda: None) -> T:
    """Run a store client's call, and stop waiting for it after `seconds`.

    The clients bound each request, not the whole of a listing in pages or of a slow transfer.

    abandon: tells the call, when it is not waited for any more, to end soon.

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
        abandon()
        raise too_late(seconds) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # no error: it is call's own result


def too_late(seconds: float) -> StoreError:
    """The error for a listing, or a file's reading or writing, that took more than `seconds`."""
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store did not give its whole answer within {seconds:g} seconds; try again, or raise "
        "the limit 'listing_seconds'",
    )


def _host(text: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(text.strip("[]")))
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"{text!r} is not a host name; write it without scheme, port and path")
    return host
