"""The number of connections: it grows while that helps, and goes back where it does not."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from oms_gate.streaming.pace import Pace


def after(
    pace: Pace, rate: Callable[[int], float], seconds: float = 10, *, hungry: float = 1
) -> int:
    """The number of connections after some time, where so many do that much a second."""
    now, work, starved = getattr(pace, "stood", (0.0, 0.0, 0.0))
    until = now + seconds
    while now < until:
        pace.observe(now, work, starved)
        now += 0.1
        starved += 0.1 * hungry
        work += 0.1 * rate(pace.count)
    pace.stood = now, work, starved  # type: ignore[attr-defined]  # for the next call of this function
    return pace.count


def test_it_grows_while_that_makes_it_faster() -> None:
    assert after(Pace(4, 64), lambda count: 60 * count) == 64
    assert after(Pace(1, 8), lambda count: 60 * count) == 8
    assert after(Pace(4, 64), lambda count: 60 * min(count, 16)) == 16


def test_it_goes_back_where_more_did_not_help() -> None:
    assert after(Pace(4, 64), lambda _: 500) == 4
    assert after(Pace(1, 64), lambda _: 500) == 1
    assert after(Pace(1, 64), lambda count: 500 / count) == 1


def test_it_does_not_grow_where_what_comes_in_is_enough() -> None:
    pace = Pace(1, 64)
    assert after(pace, lambda count: 60 * count, hungry=0.1) == 1
    # Then the other end gets slower.
    assert after(pace, lambda count: 10 * count) == 64


def test_it_tries_again_where_the_work_has_changed() -> None:
    """Large files over a fast line, then small ones, each of which waits for its server."""
    pace = Pace(4, 64)
    assert after(pace, lambda _: 500) == 4
    assert after(pace, lambda count: 2 * count) == 64


def test_it_begins_with_no_more_than_is_allowed() -> None:
    assert [Pace(4, most).count for most in (1, 4, 8)] == [1, 4, 4]


@given(
    most=st.integers(1, 64),
    first=st.integers(1, 64),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(0, 10**9), st.booleans()), max_size=50),
)
def test_it_stays_within_bounds(
    first: int, most: int, steps: list[tuple[float, int, bool]]
) -> None:
    pace, now, work, starved = Pace(first, most), 0.0, 0, 0.0
    for seconds, done, hungry in steps:
        starved += seconds * hungry
        pace.observe(now := now + seconds, work := work + done, starved)
        assert 1 <= pace.count <= most
