"""That there is too much to do."""

from __future__ import annotations


class BusyError(Exception):
    """As much is being decided, or fetched, as may be at a time."""
