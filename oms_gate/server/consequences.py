"""What follows from a verdict on what has changed: tags, quarantine, reports."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from oms_gate.annotation.annotate import annotate
from oms_gate.annotation.examination import Examined
from oms_gate.annotation.quarantine import can_be_moved, quarantine
from oms_gate.config import GateConfig
from oms_gate.errors import OmsGateError
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.server.hub_report import report_on_the_hub
from oms_gate.server.webhook_report import WebhookSender
from oms_gate.verdict import printable

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to the objects of a model.

    moved: where they are now, if they were.
    """

    tagged: bool = False
    moved: Reference | None = None


class Consequences:
    """As the operator has them. Safe for use by several threads."""

    def __init__(self, config: GateConfig) -> None:
        """
        Raises:
            ConfigError: reports cannot be sent as it is configured.
        """
        self._events = config.events
        prefix = config.events.quarantine.prefix
        self._prefix = None if prefix is None else Reference.parse(prefix)
        webhook = config.events.reports.webhook
        self._sender = None if webhook is None else WebhookSender(webhook, config)

    def on_objects(self, gate: Gate, examined: Examined) -> Outcome:
        """Tag the objects of a decided model in S3, or move them away.

        Raises:
            ConfigError, StoreError: that could not be done.
        """
        snapshot, verdict = examined.snapshot, examined.verdict
        if snapshot is None or snapshot.single:
            return Outcome()
        seconds = gate.limits.total_seconds
        # In mode 'annotate' nothing is taken from anybody.
        if self._prefix is not None and not verdict.lets_through and can_be_moved(examined):
            moved = quarantine(gate, examined, self._prefix, seconds)
            _LOG.warning("%s was moved to %s", verdict.model.url, moved.url)
            return Outcome(moved=moved)
        marks = self._events.quarantine.action != "none" and not verdict.admitted
        if not self._events.annotate and not marks:
            return Outcome()
        tagged = annotate(gate, examined, seconds)
        _LOG.info(
            "%s: %d objects tagged admitted, %d denied",
            verdict.model.url,
            tagged.admitted,
            tagged.denied,
        )
        return Outcome(tagged=True)

    def report(self, gate: Gate, examined: Examined, moved: Reference | None) -> None:
        """Tell whoever is to be told. What fails is logged: the verdict stands."""
        verdict, reports = examined.verdict, self._events.reports
        on_hub = verdict.model.url.startswith("hf://")
        if reports.hub_discussion and on_hub and not verdict.admitted:
            _logged(verdict.model.url, lambda: report_on_the_hub(gate, examined))
        sender = self._sender
        if sender is not None and sender.wants(verdict):
            _logged(verdict.model.url, lambda: sender.send(verdict, moved))

    def close(self) -> None:
        """Release connections, and end what is being sent."""
        if self._sender is not None:
            self._sender.close()


def _logged(model: str, report: Callable[[], object]) -> None:
    try:
        report()
    except OmsGateError as error:
        _LOG.error("the verdict on %s could not be reported: %s", model, printable(str(error)))
    except Exception as error:  # noqa: BLE001 - the verdict stands
        _LOG.error("the verdict on %s could not be reported: %s", model, type(error).__name__)
