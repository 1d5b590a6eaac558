"""A copy of a cluster's objects of one kind that follows every change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.client import ApiClient, ApiException
from kubernetes.watch import Watch

_LOG = logging.getLogger(__name__)

# A watch that says nothing for longer is asked for anew.
_WATCH_SECONDS = 300
_CONNECT_SECONDS = 5
_PAUSE_SECONDS = 2.0
_GONE = 410

Key = tuple[str, str]
"""Namespace, empty for what is in none; and name."""


class Mirror:
    """The objects of one kind, as JSON.

    ready: set once all of them are there.
    """

    def __init__(
        self,
        list_objects: Callable[..., Any],
        client: ApiClient,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """
        list_objects: a bound method of the Kubernetes client that lists them.
        on_change: called after every change, in the mirror's own thread.
        """
        self._list = list_objects
        self._client = client
        self._on_change = on_change
        self._items: dict[Key, dict[str, Any]] = {}
        self._watch: Watch | None = None
        self._stopped = threading.Event()
        self.ready = threading.Event()

    @property
    def items(self) -> Mapping[Key, Mapping[str, Any]]:
        """All objects as they are now; what was given before does not change."""
        return self._items

    def start(self) -> None:
        """Follow the cluster from now on."""
        threading.Thread(target=self._follow, name="oms-gate-mirror", daemon=True).start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopped.set()
        if self._watch is not None:
            self._watch.stop()  # type: ignore[no-untyped-call]

    def _follow(self) -> None:
        version: str | None = None
        while not self._stopped.is_set():
            try:
                version = self._relist() if version is None else self._watched(version)
            except ApiException as error:
                if error.status != _GONE:
                    _LOG.warning("the API server did not list what it was asked for: %s", error)
                    self._stopped.wait(_PAUSE_SECONDS)
                version = None
            except Exception as error:  # noqa: BLE001 - the copy is as good as before; go on
                _LOG.warning("the connection to the API server was lost: %s", error)
                self._stopped.wait(_PAUSE_SECONDS)
                version = None

    def _relist(self) -> str:
        answer = self._client.sanitize_for_serialization(  # type: ignore[no-untyped-call]
            self._list(_request_timeout=(_CONNECT_SECONDS, 60))
        )
        self._items = {_key(item): item for item in answer["items"]}
        self.ready.set()
        self._on_change()
        return str(answer["metadata"]["resourceVersion"])

    def _watched(self, version: str) -> str:
        """Follow one watch to its end; the version that the next one begins at."""
        self._watch = Watch()  # type: ignore[no-untyped-call]
        for event in self._watch.stream(  # type: ignore[no-untyped-call]
            self._list,
            resource_version=version,
            timeout_seconds=_WATCH_SECONDS,
            allow_watch_bookmarks=True,
            _request_timeout=(_CONNECT_SECONDS, _WATCH_SECONDS + 30),
        ):
            item = event["raw_object"]
            version = str(item["metadata"]["resourceVersion"])
            if event["type"] == "BOOKMARK":
                continue
            items = dict(self._items)
            if event["type"] == "DELETED":
                items.pop(_key(item), None)
            else:
                items[_key(item)] = item
            self._items = items
            self._on_change()
        return version


def _key(item: Mapping[str, Any]) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
