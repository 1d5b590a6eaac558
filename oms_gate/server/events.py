"""Kubernetes' Events about what was decided, for who looks at the objects."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from oms_gate.server.cluster import Cluster
from oms_gate.server.findings import Review
from oms_gate.verdict import printable

_LOG = logging.getLogger(__name__)

_WAITING: Final = 200
_AGAIN_SECONDS: Final = 60.0
_REMEMBERED: Final = 2000
_MESSAGE_CHARACTERS: Final = 1024
_REASONS: Final = {
    "admitted": ("Normal", "ModelAdmitted"),
    "annotated": ("Warning", "ModelNotAdmitted"),
    "denied": ("Warning", "ModelDenied"),
}


class EventWriter:
    """Writes events in a thread of its own. One that says the same again is left out for a while.

    Where the API server does not keep up, events are dropped: admission waits for none.
    """

    def __init__(self, cluster: Cluster, instance: str) -> None:
        """
        instance: what this replica of the gate is called.
        """
        self._cluster = cluster
        self._instance = instance
        self._waiting: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(_WAITING)
        self._written: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._write, name="oms-gate-events", daemon=True).start()

    def note(self, review: Review) -> None:
        """Write of a review, if it is one that somebody wants to see."""
        item = review.request.item or {}
        owners = (item.get("metadata") or {}).get("ownerReferences")
        if review.request.dry_run or (review.outcome == "admitted" and owners):
            return
        kind, reason = _REASONS[review.outcome]
        message = "; ".join(review.sentences()) or ", ".join(
            f"{model.verdict.model.url} was admitted" for model in review.models
        )
        about = _about(review, item)
        key = (review.request.namespace, about["kind"], about.get("name", ""), reason, message)
        now = time.monotonic()
        if self._written.get(key, 0) > now:
            return
        self._written[key] = now + _AGAIN_SECONDS
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "oms-gate-", "namespace": review.request.namespace},
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": printable(message)[:_MESSAGE_CHARACTERS],
            "source": {"component": "oms-gate"},
            "reportingComponent": "oms-gate.dev/webhook",
            "reportingInstance": self._instance,
            "action": "Admission",
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            self._waiting.put_nowait((review.request.namespace, event))
        except queue.Full:
            _LOG.info("an event was left out, as %d wait to be written", _WAITING)

    def stop(self) -> None:
        """End, once what waits is written; at once, where that is too much."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _write(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            try:
                self._cluster.create_event(*waiting)
            except Exception as error:  # noqa: BLE001 - no decision depends on it
                _LOG.info("an event was not taken: %s", error)


def _about(review: Review, item: Mapping[str, Any]) -> dict[str, Any]:
    """The object that people look at: for a controller's pod, which never came to be, that."""
    request = review.request
    metadata = item.get("metadata") or {}
    owners = metadata.get("ownerReferences") or ()
    owner = next((owner for owner in owners if owner.get("controller")), None)
    if owner is not None and review.outcome == "denied":
        keys = ("apiVersion", "kind", "name", "uid")
        about = {key: owner[key] for key in keys if key in owner}
    else:
        version = f"{request.group}/{request.version}" if request.group else request.version
        about = {"apiVersion": version, "kind": request.kind, "name": request.name}
        if "uid" in metadata:
            about["uid"] = metadata["uid"]
    return {**about, "namespace": request.namespace}
