"""Who may ask the decision API: ``api:`` in ``gate.yaml``."""

from __future__ import annotations

from oms_gate.settings import Section


class ApiSettings(Section):
    """The decision API, and the page with its verdicts."""
