"""Globs of what may be published: those of publisher rules, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oms_gate.inspection.settings import PublishSettings
from oms_gate.policy.globs import Globs


def expression(glob: str) -> str:
    """As the shipped policy makes it of a glob."""
    parts = (map(re.escape, part.split("*")) for part in glob.split("**"))
    return "(?s:.*)".join("[^/]*".join(part) for part in parts)


@given(glob=st.text("ab/*.", max_size=9), path=st.text("ab/.\n", max_size=9))
def test_a_glob_is_what_it_is_in_a_publisher_rule(glob: str, path: str) -> None:
    assert (path in Globs([glob])) == (re.fullmatch(expression(glob), path) is not None)


def test_of_several_any_will_do() -> None:
    globs = Globs(["a/*.pem", "tests/**", "b[1].key"])
    assert all(path in globs for path in ("a/x.pem", "tests/x/y", "b[1].key", "a/.pem"))
    assert not any(
        path in globs for path in ("a/b/x.pem", "x/tests/y", "b1.key", "tests", "A/x.pem")
    )
    assert "x" not in Globs([])


@pytest.mark.parametrize("star", ["*", "**", "***"])
def test_no_glob_takes_long(star: str) -> None:
    hostile = f"{star}a" * 300
    assert "a" * 4000 + "b" not in Globs([hostile])
    assert "a" * 4000 in Globs([hostile])


@pytest.mark.parametrize("glob", ["", "/a", "a/", "../a", "a//b", "a?", "{a,b}", " a"])
def test_a_glob_that_can_match_nothing_is_a_mistake(glob: str) -> None:
    with pytest.raises(ValidationError):
        PublishSettings(allow_secrets=(glob,))
