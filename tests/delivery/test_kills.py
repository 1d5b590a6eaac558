"""A few random kills of the real command; ``python -m tests.kills --times 50`` does more."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kills.__main__ import kill
from tests.peers.hub import HubStandIn


def test_killed_at_random_moments_it_leaves_nothing_wrong(hub: HubStandIn, tmp_path: Path) -> None:
    said: list[str] = []
    assert kill(hub, tmp_path, 6, random.Random(7), said.append) > 0
    assert len(said) == 6
