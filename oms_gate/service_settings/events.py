"""Which events are received, and what follows from them: ``events:`` in ``gate.yaml``."""

from __future__ import annotations

from oms_gate.settings import Section


class EventSettings(Section):
    """Events of the Hub and of S3: each new revision is decided about in the background."""
