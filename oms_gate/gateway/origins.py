"""Where repositories come from, and who may see them: each client by what it has itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oms_gate.gateway.paths import Repository
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings
from oms_gate.stores.hub import HubStore


@dataclass(frozen=True)
class Described:
    """A repository at a revision, as its origin describes it to one client.

    reference: at the immutable revision.
    commit: what clients call that: 40 hexadecimal digits.
    document: what the Hub's interface says of it; without its files, of which it says nothing
        that counts.
    options: with which its store is asked in that client's name.
    origin: what has described it.
    """

    repository: Repository
    reference: Reference
    commit: str
    document: Mapping[str, Any]
    options: Mapping[str, Any]
    origin: Origin


class Origin(Protocol):
    """Where repositories come from. Used by several threads."""

    def describe(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> Described | None:
        """A repository at a revision, if this client may read it; None if it is another's origin.

        revision: None for the default branch.
        token: the client's own, or None: with nobody else's it is asked for.

        Raises:
            StoreError: there is none, or the client may not read it, or nobody knows.
        """

    def passed_on(self, described: Described, what: str) -> Any:
        """What the Hub's interface says besides of a repository: its ``refs`` or ``commits``.

        Raises:
            StoreError: as `describe`.
        """


class HubOrigin:
    """The Hub, or a mirror of it."""

    def __init__(
        self, settings: StoreSettings, limits: Limits, endpoint: str | None, signature: str
    ) -> None:
        """
        endpoint: None for the configured one of the store.
        signature: what is called so in each repository; whoever may read it may read the rest.
        """
        self._settings = settings
        self._limits = limits
        self._endpoint = endpoint
        self._signature = signature

    def describe(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> Described:
        """See `Origin.describe`."""
        options: dict[str, Any] = {"token": token if token is not None else False}
        if self._endpoint is not None:
            options["endpoint"] = self._endpoint
        store = self._store(options)
        named = Reference("hf", repository.location, revision=revision)
        pinned, document = store.describe(named)
        assert pinned.revision is not None
        if document.get("gated") not in (False, None) or document.get("private"):
            # The Hub describes a gated repository to everybody.
            store.check_readable(pinned, self._signature)
        shown = {key: value for key, value in document.items() if key != "siblings"}
        return Described(repository, pinned, pinned.revision, shown, options, self)

    def passed_on(self, described: Described, what: str) -> Any:
        """See `Origin.passed_on`."""
        at = f"/{described.commit}" if what == "commits" else ""
        return self._store(described.options).passed_on(described.reference, what + at)

    def _store(self, options: Mapping[str, Any]) -> HubStore:
        configured = self._settings.options
        merged = {**configured, "hf": {**configured.get("hf", {}), **options}}
        return HubStore(self._settings.model_copy(update={"options": merged}), self._limits)
