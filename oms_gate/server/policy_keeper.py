"""Keeps the rulebook as the cluster's policies say, and tells each policy what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from oms_gate.errors import ConfigError
from oms_gate.server.cluster import Cluster
from oms_gate.server.findings import Review
from oms_gate.server.gate_policies import GatePolicy, read_policy, unreadable
from oms_gate.server.mirror import Key
from oms_gate.server.rulebook import Rulebook

_LOG = logging.getLogger(__name__)

# ConfigMaps with trust roots are not watched.
_REREAD_SECONDS: Final = 60.0
_STATUS_SECONDS: Final = 5.0
_VERDICTS: Final = 10
_READY: Final = "Ready"
# As much as the schema of the status takes.
_CHARACTERS: Final = 4096
_OBJECT_CHARACTERS: Final = 512


class PolicyKeeper:
    """A thread that follows the policies of a cluster.

    ready: set once the rulebook has those that the cluster has.
    """

    def __init__(self, cluster: Cluster, rulebook: Rulebook, namespace: str) -> None:
        """
        namespace: the gate's own.
        """
        self._cluster = cluster
        self._rulebook = rulebook
        self._namespace = namespace
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._mistakes: dict[Key, str | None] = {}
        self._noting = threading.Lock()
        self._verdicts: dict[Key, deque[dict[str, Any]]] = {}
        self.ready = threading.Event()

    def changed(self) -> None:
        """Look at the policies again soon."""
        self._changed.set()

    def note(self, review: Review) -> None:
        """Remember what was decided, for the status of the policies that it depended on."""
        request = review.request
        for model in review.models:
            signer = model.verdict.signer
            entry = {
                "model": model.verdict.model.url[:_CHARACTERS],
                "namespace": request.namespace,
                "object": f"{request.kind}/{request.name}"[:_OBJECT_CHARACTERS],
                "outcome": model.verdict.outcome,
                "reason": str(model.verdict.reasons[0].code) if model.verdict.reasons else "",
                "signer": "" if signer is None else signer.identity[:_CHARACTERS],
                "time": model.verdict.checked_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            with self._noting:
                for policy in model.terms.concerning:
                    key = (policy.namespace or "", policy.name)
                    self._verdicts.setdefault(key, deque(maxlen=_VERDICTS)).append(entry)

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._keep, name="oms-gate-policies", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()
        self._changed.set()

    def _keep(self) -> None:
        reread = 0.0
        while not self._stopped.is_set():
            has_changed = self._changed.wait(_STATUS_SECONDS)
            try:
                self._rulebook.follow()
                if self._cluster.ready and (has_changed or time.monotonic() > reread):
                    self._changed.clear()
                    self._reread()
                    reread = time.monotonic() + _REREAD_SECONDS
                if self.ready.is_set():
                    self._tell()
            except Exception:  # noqa: BLE001 - the rules stay those that they were
                _LOG.exception("while reading the cluster's policies")
                self._stopped.wait(_STATUS_SECONDS)

    def _reread(self) -> None:
        policies: list[GatePolicy] = []
        mistakes: dict[Key, str | None] = {}
        for item in self._cluster.policies:
            try:
                policy, mistake = self._read(item)
            except Exception as error:  # noqa: BLE001 - it must not stop the others
                _LOG.exception("while reading a policy")
                policy, mistake = unreadable(item), f"the gate failed at it: {error!r}"
            policies.append(policy)
            mistakes[policy.namespace or "", policy.name] = mistake
        self._rulebook.replace(policies)
        self._mistakes = mistakes
        self.ready.set()

    def _read(self, item: Mapping[str, Any]) -> tuple[GatePolicy, str | None]:
        """A policy, and why it cannot be used, if it cannot."""
        policy, mistake = read_policy(item, self._cluster.config_map, self._namespace)
        try:
            if mistake is None:
                self._rulebook.check(policy)
        except ConfigError as error:
            return policy.without_grants(), str(error)
        return policy, mistake

    def _tell(self) -> None:
        for item in self._cluster.policies:
            key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            if key not in self._mistakes:
                continue
            with self._noting:
                verdicts = list(self._verdicts.pop(key, ()))
            status = _status(item, self._mistakes[key], verdicts)
            if status == item.get("status"):
                continue
            try:
                self._cluster.set_status(item, status)
            except Exception as error:  # noqa: BLE001 - no decision depends on it
                _LOG.info("the status of the policy %s was not taken: %s", key, error)
                with self._noting:
                    self._verdicts.setdefault(key, deque(maxlen=_VERDICTS)).extendleft(
                        reversed(verdicts)
                    )


def _status(
    item: Mapping[str, Any], mistake: str | None, verdicts: list[dict[str, Any]]
) -> dict[str, Any]:
    """A policy's status: whether it is in force, and the last verdicts that depended on it."""
    before = item.get("status") or {}
    generation = item["metadata"].get("generation", 0)
    condition = {
        "type": _READY,
        "status": "False" if mistake else "True",
        "reason": "Unusable" if mistake else "InForce",
        "message": (mistake or "the policy is in force")[:_CHARACTERS],
        "observedGeneration": generation,
    }
    known: Mapping[str, Any] = next(
        (c for c in before.get("conditions") or () if c.get("type") == _READY), {}
    )
    since = known.get("lastTransitionTime")
    if since is None or known.get("status") != condition["status"]:
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {
        **before,
        "observedGeneration": generation,
        "conditions": [{**condition, "lastTransitionTime": since}],
    }
    if verdicts:
        # Other replicas have theirs.
        merged = [*(before.get("lastVerdicts") or ()), *verdicts]
        distinct = list({repr(sorted(entry.items())): entry for entry in merged}.values())
        status["lastVerdicts"] = sorted(distinct, key=lambda entry: entry["time"])[-_VERDICTS:]
    return status
