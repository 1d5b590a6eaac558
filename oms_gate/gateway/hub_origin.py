"""Repositories of the Hub, or of a mirror of it: each client sees what the Hub lets it see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oms_gate.errors import StoreError
from oms_gate.gateway.origins import Described
from oms_gate.gateway.paths import Repository
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.hub import HubStore


class HubOrigin:
    """An `Origin`: the Hub, or a mirror of it."""

    def __init__(
        self,
        settings: StoreSettings,
        limits: Limits,
        endpoint: str | None,
        signature: str,
        is_own: Callable[[str | None], bool],
    ) -> None:
        """
        endpoint: None for the configured one of the store.
        signature: what is called so in each repository.
        is_own: whether a token is one of the gateway's own, which the Hub is not to see.
        """
        self._settings = settings
        self._limits = limits
        self._endpoint = endpoint
        self._signature = signature
        self._is_own = is_own

    def has(self, _repository: Repository) -> bool:
        """See `Origin.has`: all that is nowhere else."""
        return True

    def token(self, _repository: Repository, token: str | None) -> str | None:
        """See `Origin.token`."""
        return None if self._is_own(token) else token

    def describe(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> Described:
        """See `Origin.describe`."""
        options = self._options(token)
        store = self._store(options)
        pinned, document = store.describe(Reference("hf", repository.location, revision=revision))
        assert pinned.revision is not None
        if document.get("gated") not in (False, None) or document.get("private"):
            # The Hub describes a gated repository to everybody.
            self._check_readable(store, pinned, document)
        shown = {key: value for key, value in document.items() if key != "siblings"}
        return Described(repository, pinned, pinned.revision, shown, options, self)

    def commit(self, snapshot: Snapshot) -> str:
        """See `Origin.commit`."""
        return snapshot.revision

    def passed_on(self, described: Described, what: str, query: Mapping[str, str]) -> Any:
        """See `Origin.passed_on`."""
        at = f"/{described.commit}" if what == "commits" else ""
        return self._store(described.options).passed_on(described.reference, what + at, query)

    def who(self, token: str) -> Mapping[str, Any]:
        """What the Hub says of a client, by its token.

        Raises:
            StoreError: the Hub does not know it, or gives no usable answer.
        """
        if self._is_own(token):
            raise StoreError(
                ReasonCode.STORE_FORBIDDEN,
                "this token is one of the gateway's own, of which the Hub knows nothing; use it "
                "for the repositories that it is for",
            )
        return self._store(self._options(token)).who()

    def _check_readable(
        self, store: HubStore, pinned: Reference, document: Mapping[str, Any]
    ) -> None:
        """See that a client may read files: any that is there, as it may have all of them then.

        Raises:
            StoreError: it may not.
        """
        siblings = document.get("siblings")
        names = [
            name
            for each in (siblings if isinstance(siblings, list) else ())
            if isinstance(each, dict) and isinstance(name := each.get("rfilename"), str)
        ]
        if not names:
            return
        try:
            store.check_readable(pinned, self._signature if self._signature in names else names[0])
        except StoreError as error:
            refused = error.reason.code is ReasonCode.STORE_FORBIDDEN
            if not refused or not document.get("gated"):
                raise
            raise StoreError(
                ReasonCode.STORE_GATED,
                f"access to {pinned.name} must be requested from its publisher on the Hub first, "
                "and then be shown by a token (HF_TOKEN)",
            ) from error

    def _options(self, token: str | None) -> dict[str, Any]:
        # Without one, no token of this machine is used either.
        options: dict[str, Any] = {"token": token if token is not None else False}
        if self._endpoint is not None:
            options["endpoint"] = self._endpoint
        return options

    def _store(self, options: Mapping[str, Any]) -> HubStore:
        configured = self._settings.options
        merged = {**configured, "hf": {**configured.get("hf", {}), **options}}
        return HubStore(self._settings.model_copy(update={"options": merged}), self._limits)
