"""A validly signed older release, where a newer one was admitted before."""

from __future__ import annotations

import itertools
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies
from hypothesis import settings as examples

from oms_gate import Gate
from oms_gate.errors import HistoryError
from oms_gate.history import History, Observation
from oms_gate.history.observation import asked_of
from oms_gate.policy.input import InputHistory
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import RELEASES, Reference
from tests import models
from tests.history.remembering import (
    KEYS,
    NOW,
    SIGNED_AT,
    admit,
    codes,
    gate_of,
    history_in,
    key_signer,
    memory,
    observed,
    release,
    settings,
    stamped,
)
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

ROLLBACK = [ReasonCode.HISTORY_ROLLBACK]
URL = "hf://acme/m"


@pytest.mark.parametrize("proven", [True, False])
def test_a_branch_that_is_moved_back(hub: HubStandIn, tmp_path: Path, proven: bool) -> None:
    first, second = (release(n, signed_days=n if proven else None) for n in (1, 2))
    old = hub.create("acme/m", files=first)
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(URL).admitted
        new = hub.commit("acme/m", second)
        assert gate.check(URL).admitted
        hub.branch("acme/m", "main", old)
        denied = gate.check(URL)
        assert codes(denied) == ROLLBACK
        newer = next(found for found in memory(gate).releases() if found.revision == new)
        assert newer.root_digest in denied.reasons[0].message
        delivered = gate.deliver(URL, tmp_path / "to")
        assert (codes(delivered), (tmp_path / "to").exists()) == (ROLLBACK, False)
        # Whoever asks for the commit means it.
        assert gate.check(f"{URL}@{old}").admitted
        assert gate.check(f"{URL}@{old}").admitted
        assert codes(gate.check(URL)) == ROLLBACK
        hub.branch("acme/m", "main", new)
        assert gate.check(URL).admitted
        fixed = [found.asked for found in memory(gate).releases() if found.count == 2]
        assert fixed == ["", old]


def test_one_that_was_never_seen_is_older_by_its_proof(hub: HubStandIn, tmp_path: Path) -> None:
    old = hub.create("acme/m", files=release(1, signed_days=1))
    hub.commit("acme/m", release(2, signed_days=2))
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(URL).admitted
        hub.branch("acme/m", "main", old)
        assert codes(gate.check(URL)) == ROLLBACK


def test_without_its_proof_it_is_no_newer(hub: HubStandIn, tmp_path: Path) -> None:
    """Nobody has signed the timestamp, so whoever has the old release can leave it out."""
    hub.create("acme/m", files=release(2, signed_days=2))
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(URL).admitted
        hub.commit("acme/m", release(1))
        denied = gate.check(URL)
        assert codes(denied) == ROLLBACK
        assert "nothing proves when" in denied.reasons[0].message
        # A publisher who has no timestamps any more is told from that once.
        gate.recall(URL).approve(datetime.now(UTC))
        assert gate.check(URL).admitted
        hub.commit("acme/m", release(3))
        assert gate.check(URL).admitted


def test_tags_and_branches_have_their_own(hub: HubStandIn, tmp_path: Path) -> None:
    old = hub.create("acme/m", files=release(1, signed_days=1))
    new = hub.commit("acme/m", release(2, signed_days=2))
    hub.tag("acme/m", "v1", old)
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(URL).admitted
        assert gate.check(f"{URL}@v1").admitted
        hub.tag("acme/m", "v1", new)
        assert gate.check(f"{URL}@v1").admitted
        hub.tag("acme/m", "v1", old)
        assert codes(gate.check(f"{URL}@v1")) == ROLLBACK
        hub.tag("acme/m", "v1-again", old)
        assert gate.check(f"{URL}@v1-again").admitted
        # Approved by the tag, not by the branch.
        gate.recall(f"{URL}@v1").approve(datetime.now(UTC))
        assert gate.check(f"{URL}@v1").admitted
        hub.branch("acme/m", "main", old)
        assert codes(gate.check(URL)) == ROLLBACK


def test_a_folder_and_its_copy_from_before(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1))
    shutil.copytree(model, tmp_path / "copy")
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(model).admitted
        models.write(model, release(2))
        assert gate.check(model).admitted
        shutil.copytree(tmp_path / "copy", model, dirs_exist_ok=True)
        assert codes(gate.check(model)) == ROLLBACK
        gate.recall(model).approve(datetime.now(UTC))
        assert gate.check(model).admitted
        models.write(model, release(3))
        assert gate.check(model).admitted
        # What came after the approval was not approved of.
        shutil.copytree(tmp_path / "copy", model, dirs_exist_ok=True)
        assert codes(gate.check(model)) == ROLLBACK


def test_what_was_approved_is_taken_back_with_the_signers(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(2, signed_days=2))
    with gate_of(settings(tmp_path)) as gate:
        name = gate.check(model).model.name
        models.write(model, release(1, signed_days=1))
        gate.recall(model).approve(datetime.now(UTC))
        assert gate.check(model).admitted
        memory(gate).withdraw(name)
        assert codes(gate.check(model)) == ROLLBACK


def test_a_prefix_in_s3(s3: SeaweedFS, s3_bucket: str, tmp_path: Path) -> None:
    def put(files: dict[str, bytes], below: str = "") -> None:
        for path, content in files.items():
            s3.put(s3_bucket, f"acme/m/{below}{path}", content)

    url = f"s3://{s3_bucket}/acme/m"
    fixed = Reference.parse(url).at_release("20260101T000000Z-0123456789abcdef-01234567")
    with gate_of(settings(tmp_path)) as whole:
        gate = whole.with_store_options("s3", s3.storage_options())
        put(release(1))
        assert gate.check(url).admitted
        put(release(2))
        assert gate.check(url).admitted
        put(release(1))
        assert codes(gate.check(url)) == ROLLBACK
        put(release(1), f"{RELEASES}/{fixed.release}/")
        assert gate.check(fixed).admitted
        assert memory(gate).releases()[0].asked == fixed.release
        assert {found.model for found in memory(gate).releases()} == {url}


def test_what_is_signed_again_later_is_no_rollback(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1, signed_days=1))
    with gate_of(settings(tmp_path)) as gate:
        for number, days in ((1, 1), (1, 1), (2, 2), (1, 3), (1, 1)):
            models.write(model, release(number, signed_days=days))
            admitted = gate.check(model).admitted
            # The signature of the first day is as old as it was.
            assert admitted == (days >= 2 or not _seen(gate, 2))


def _seen(gate: Gate, count: int) -> bool:
    return len(memory(gate).releases()) >= count


def test_equal_times_are_no_rollback(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1, signed_days=1))
    with gate_of(settings(tmp_path)) as gate:
        for number in (1, 2, 1):
            models.write(model, release(number, signed_days=1))
            assert gate.check(model).admitted


def test_the_same_statement_is_the_same_release_whoever_signed(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1))
    configured = settings(tmp_path)
    with gate_of(configured) as gate:
        assert gate.check(model).admitted
        models.write(model, release(1, "other"))
        gate.recall(model).approve(datetime.now(UTC))
        for by in ("other", "acme", "other"):
            models.write(model, release(1, by))
            assert gate.check(model).admitted
        assert len(memory(gate).releases()) == 2


def test_an_approval_is_of_what_was_shown(tmp_path: Path) -> None:
    model = models.write(tmp_path / "m", release(1, signed_days=1))
    with gate_of(settings(tmp_path)) as gate:
        shown = gate.recall(model)
        admit(memory(gate), observed(model=shown.observation.model))
        with pytest.raises(HistoryError, match="has changed since it was read"):
            shown.approve(datetime.now(UTC))
        assert [pin.approved for pin in memory(gate).pins()] == [False]


Seen = tuple[str, float | None, str]
STEPS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["admit", "admit", "admit", "approve", "withdraw"]),
        strategies.sampled_from("abcd"),
        strategies.sampled_from([None, 1.0, 2.0, 3.0]),
        strategies.sampled_from(["one", "two"]),
    ),
    max_size=14,
)


class Simple:
    """The same semantics over a list of all that was admitted."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.pins: list[str] = []
        self.approved: dict[str, int] = {}

    def order(self) -> list[str]:
        return list(dict.fromkeys(statement for statement, _, _ in self.seen))

    def newer(self, statement: str, signed_at: float | None) -> set[str]:
        order, found = self.order(), set()
        for place, other in enumerate(order):
            if other == statement or place < self.approved.get(statement, 0):
                continue
            for signer in {by for of, _, by in self.seen if of == other}:
                times = [t for of, t, by in self.seen if (of, by) == (other, signer)]
                proven = max((t for t in times if t is not None), default=None)
                if proven is not None and signed_at is not None:
                    is_newer = proven > signed_at
                elif statement in order:
                    is_newer = place > order.index(statement)
                else:
                    is_newer = proven is not None and place == len(order) - 1
                if is_newer:
                    found.add(other)
        return found


@pytest.fixture(scope="module")
def shared_history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """One for all examples, each of which has a model of its own."""
    return history_in(tmp_path_factory.mktemp("memory"))


numbers = itertools.count()


@given(steps=STEPS)
@examples(max_examples=40)
def test_any_course_of_events_is_as_a_simple_model_has_it(
    steps: list[tuple[str, str, float | None, str]], shared_history: History
) -> None:
    history, simple = shared_history, Simple()
    model = f"hf://acme/m{next(numbers)}"
    for action, statement, signed_at, by in steps:
        found = observed(
            statement,
            model=model,
            root_digest=statement,
            signed_at=signed_at,
            signer=key_signer(by),
        )
        told = history.recall(found)
        _compare(told, simple, found, by)
        if action == "withdraw":
            history.withdraw(found.model)
            simple.pins, simple.approved = [], {}
        elif action == "approve":
            assert history.approve(found, told, NOW) is None
            if by not in simple.pins:
                simple.pins.append(by)
            if told.newer is not None:
                simple.approved[statement] = len(simple.order())
        elif told.newer is None:
            assert history.record(found, told, NOW) is None
            simple.seen.append((statement, signed_at, by))
            simple.pins = simple.pins or [by]
    assert sum(one.count for one in history.releases(model)) == len(simple.seen)


def _compare(told: InputHistory, simple: Simple, found: Observation, by: str) -> None:
    assert told.signer_pinned == (by in simple.pins)
    assert {signer.key_sha256 for signer in told.pinned} == {
        key_signer(name).key_sha256 for name in simple.pins
    }
    assert (told.first_seen is None) == (not simple.seen)
    newer = simple.newer(found.statement, found.signed_at)
    assert (told.newer is None) == (not newer)
    assert told.newer is None or told.newer.root_digest in newer


def test_a_commit_is_one_however_it_is_written() -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    for text in (commit, commit.upper()):
        assert asked_of(Reference.parse(f"{URL}@{text}")) == (commit, True)
    # Elsewhere it is part of a name, and short of a character that of a branch.
    assert asked_of(Reference.parse(f"/models/{commit}")) == ("", False)
    assert asked_of(Reference.parse(f"{URL}@{commit[1:]}")) == (commit[1:], False)


@pytest.mark.parametrize("fixed", [True, False])
def test_an_older_signature_kept_elsewhere_of_a_commit_that_was_asked_for(
    fixed: bool, tmp_path: Path
) -> None:
    history, at = history_in(tmp_path), {"asked": "c" * 40, "fixed": fixed}
    admit(history, observed("s2", signed_at=2.0, **at))
    assert (history.recall(observed("s1", signed_at=1.0, **at)).newer is None) == fixed


def test_the_newest_is_named(tmp_path: Path) -> None:
    history: History = history_in(tmp_path)
    for number, signed_at in ((1, 5.0), (2, 9.0), (3, 9.0), (4, 10.0)):
        admit(history, observed(f"s{number}", root_digest=str(number), signed_at=signed_at))
    newer = history.recall(observed("s0", signed_at=4.0)).newer
    assert newer is not None
    assert (newer.root_digest, newer.signed_at, newer.seen_at) == ("4", 10.0, NOW.timestamp())


def test_a_signature_says_nothing_of_another_model(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    admit(history, observed("s2", signed_at=2.0))
    other: Any = observed("s1", model="hf://acme/n", signed_at=1.0)
    assert history.recall(other) == InputHistory(
        first_seen=None, pinned=(), signer_pinned=False, newer=None
    )


def test_times_are_those_of_the_proof(tmp_path: Path) -> None:
    later = SIGNED_AT + timedelta(days=9)
    bundle = stamped(models.signature(models.FILES, KEYS["acme"]), later, SIGNED_AT)
    model = models.write(tmp_path / "m", {**models.FILES, "model.sig": bundle})
    with gate_of(settings(tmp_path)) as gate:
        verdict = gate.check(model)
        (found,) = memory(gate).releases()
    assert found.signed_at == SIGNED_AT.timestamp()
    assert found.first_seen == found.last_seen == verdict.checked_at.timestamp()
    assert found.revision == verdict.model.revision
