"""What a report counts, and that it remembers no more than it may."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from oms_gate.reason_codes import ReasonCode
from oms_gate.report.cures import cures
from oms_gate.report.document import document
from oms_gate.report.markdown import markdown
from oms_gate.report.page import page
from oms_gate.report.report import Report
from oms_gate.report.summary import Bounds, Summary
from oms_gate.report.table import table
from oms_gate.report.trend import Trend, chart
from oms_gate.verdict import AcceptedSummary, Coverage, TrustRoot, Verdict
from tests.report.verdicts import NOW, full, reason, record, signer, verdict

DAY = timedelta(days=1)


def summed(*found: tuple[Verdict, datetime], **bounds: int) -> Summary:
    summary = Summary(Bounds(**bounds))
    for line, (each, time) in enumerate(found, 1):
        summary.add(record(each, time, line, operation="pull"))
    return summary


def report(summary: Summary, **more: object) -> Report:
    return Report("t", NOW, summary, **more)  # type: ignore[arg-type]


def test_totals() -> None:
    measured = Coverage(signed=1, signed_bytes=7, measured=1, measured_bytes=7)
    summary = summed(
        (verdict("hf://a/a", coverage=measured), NOW - DAY),
        (verdict("hf://a/a", coverage=measured), NOW),
        (verdict("hf://a/b", reason(), mode="annotate"), NOW - 2 * DAY),
        (verdict("hf://a/c", reason(ReasonCode.STORE_NOT_FOUND)), NOW),
    )
    made = report(summary)
    assert dict(summary.outcomes) == {"admitted": 2, "denied": 1, "undecided": 1}
    assert dict(made.states) == {"admitted": 1, "denied": 1, "undecided": 1}
    assert (summary.measured_bytes, summary.let_through) == (14, 1)
    assert dict(summary.operations) == {"pull": 4}
    assert (summary.first, summary.last) == (NOW - 2 * DAY, NOW)
    assert [model.name for model in made.models] == ["hf://a/b", "hf://a/c", "hf://a/a"]
    assert made.models[2].verdicts == 2


def test_the_latest_verdict_is_that_of_the_latest_time() -> None:
    summary = summed((verdict("hf://a/a", reason()), NOW), (verdict("hf://a/a"), NOW - DAY))
    (model,) = report(summary).models
    assert model.line.outcome == "denied"
    assert model.line.place.line == 1
    assert [line.outcome for line in model.lines] == ["denied", "admitted"]
    assert model.first == NOW - DAY


def test_a_verdict_counts_once_for_a_code() -> None:
    summary = summed(
        (full("hf://a/a", files=3), NOW),
        (full("hf://a/a", files=2), NOW),
        (verdict("hf://a/b", reason(ReasonCode.COVERAGE_UNSIGNED)), NOW),
    )
    first, second = report(summary).denials
    assert (first.name, first.verdicts, first.models) == ("coverage.unsigned", 3, 2)
    assert (second.name, second.code, second.verdicts) == ("hf://a/a", ReasonCode.POLICY_DENIED, 2)
    assert first.cure.startswith("Sign the whole model")
    assert "`" not in first.cure


def test_every_code_has_its_cure() -> None:
    assert cures().keys() == {code.value for code in ReasonCode}
    assert all(cause and cure for cause, cure in cures().values())
    assert not any(mark in text for each in cures().values() for text in each for mark in "`[]")


def test_who_signs_what() -> None:
    other = signer(root=TrustRoot(name="staging", sha256="1" * 64))
    summary = summed(
        (verdict("hf://a/b", signer=signer()), NOW),
        (verdict("hf://a/a", signer=signer()), NOW),
        (verdict("hf://a/a", reason(), signer=other), NOW + DAY),
    )
    one, two = report(summary).signers
    assert (one.models, dict(one.outcomes)) == (("hf://a/a", "hf://a/b"), {"admitted": 2})
    assert (two.signer.root, two.models, dict(two.outcomes)) == (
        "staging",
        ("hf://a/a",),
        {"denied": 1},
    )
    found = {each.model.name: [word for word, _ in each.found] for each in report(summary).concerns}
    assert found == {"hf://a/a": ["unsigned", "signers"]}


def test_what_needs_attention() -> None:
    old = ReasonCode.CERTIFICATE_EXPIRED
    summary = summed(
        (verdict("fresh"), NOW - 30 * DAY),
        (verdict("stale"), NOW - 31 * DAY),
        (verdict("unsigned", reason()), NOW),
        (verdict("signed again", reason()), NOW - DAY),
        (verdict("signed again"), NOW),
        (verdict("expired since", signer=signer(expired_at=NOW - DAY)), NOW),
        (verdict("expired", reason(old), reason(ReasonCode.REQUIREMENT_AGE)), NOW),
    )
    made = report(summary)
    assert {each.model.name: [word for word, _ in each.found] for each in made.concerns} == {
        "stale": ["stale"],
        "unsigned": ["unsigned"],
        "expired since": ["expired"],
        "expired": ["expired", "old"],
    }
    assert "31 days" in next(
        each.found[0][1] for each in made.concerns if each.model.name == "stale"
    )
    # A report on a time that is past is as of its end.
    assert "stale" not in str(report(summary, until=NOW - DAY).concerns)


def test_no_more_is_kept_than_may_be() -> None:
    bounds = {"models": 3, "verdicts": 2, "findings": 4, "signers": 1, "codes": 5}
    found = []
    for number in range(20):
        time = NOW + number * DAY
        made = full(f"code-{number}", files=9)
        name = verdict(f"m{number % 4}").model
        by = signer(f"s{number}")
        found.append((made.model_copy(update={"model": name, "signer": by}), time))
    summary = summed(*found, **bounds)
    assert (len(summary.models), summary.beyond) == (3, 5)
    assert summary.outcomes.total() == 20
    for model in summary.models.values():
        assert (model.verdicts, len(model.lines), len(model.signers)) == (5, 2, 1)
        latest, coverage = model.latest, model.latest.coverage
        assert coverage is not None
        assert [len(coverage.missing), len(coverage.unsigned), len(coverage.ignored)] == [4] * 3
        assert len(latest.reasons) == 4
        assert (model.counts.reasons, model.counts.unsigned) == (10, 9)
    newest = summary.models["m0"].lines
    assert [line.time for line in newest] == [NOW + 16 * DAY, NOW + 12 * DAY]
    assert len(summary.codes) == 6
    assert summary.codes["further codes"].verdicts == 16


@pytest.mark.parametrize(
    ("times", "unit", "labels"),
    [
        ([0, 2], "hour", ["09-15 12:00", "09-15 13:00", "09-15 14:00"]),
        ([0, 96], "day", [f"2026-09-{day}" for day in range(15, 20)]),
        ([0, 24 * 100], "month", ["2026-09", "2026-10", "2026-11", "2026-12"]),
        ([0, 24 * 3653], "year", [str(year) for year in range(2026, 2037)]),
    ],
)
def test_a_trend_has_as_few_bars_as_can_be_seen(
    times: list[int], unit: str, labels: list[str]
) -> None:
    trend = Trend()
    for hours in times:
        trend.add(NOW + timedelta(hours=hours), "denied")
    found, bars, *left = trend.shown(NOW + 3653 * DAY)
    assert left == [0, 0]
    assert (found, [bar.label for bar in bars]) == (unit, labels)
    assert [bar.denied for bar in bars] == [1, *[0] * (len(bars) - 2), 1]


def test_a_trend_over_all_of_time_is_bounded() -> None:
    trend = Trend()
    for year in range(1, 10_000):
        trend.add(datetime(year, 1, 1, tzinfo=UTC), "admitted")
    for hours in range(9000):
        trend.add(NOW + timedelta(hours=hours), "admitted")
    shown = trend.shown(datetime.max.replace(tzinfo=UTC))
    assert (shown.unit, len(shown.bars), shown.bars[-1].label) == ("year", 100, "9999")
    assert shown.left_out == [f"{9899 + 9000:,} verdicts are from before 9900, and not shown."]
    assert len(trend._counts) <= 9999


def test_a_verdict_of_a_wrong_time_hides_no_other() -> None:
    summary = summed(
        (verdict("a"), NOW - DAY),
        (verdict("a"), NOW),
        (verdict("a"), datetime(9999, 12, 31, tzinfo=UTC)),
    )
    made = report(summary)
    assert (made.trend.unit, len(made.trend.bars)) == ("hour", 25)
    assert made.trend.left_out == ["1 verdict is of a time to come, and not shown."]
    assert document(made)["trend"]["to_come"] == 1
    assert "1 verdict is of a time to come, and not shown." in markdown(made).splitlines()
    html = page(made)
    assert "1 verdict is of a time to come, and not shown." in html
    assert "2 verdicts from 09-14 12:00 to 09-15 12:00." in html
    summary.add(record(verdict("a"), datetime(1900, 1, 1, tzinfo=UTC)))
    summary.add(record(verdict("a"), NOW + DAY))
    assert report(summary).trend.left_out == [
        "1 verdict is from before 1927, and not shown.",
        "2 verdicts are of times to come, and not shown.",
    ]


def test_a_trend_of_times_to_come_alone() -> None:
    made = report(summed((verdict("a"), NOW + DAY)))
    assert made.trend.bars == []
    assert "There is no verdict to show." in page(made)


def test_on_whose_word_a_model_was_admitted_is_said() -> None:
    given = AcceptedSummary(
        verifier="https://gate.example.com",
        location="m/oms.vsa.json",
        sha256="a" * 64,
        signer=signer("other-gate@example.com"),
        levels=("OMS_BYTES",),
        verified_at=NOW - DAY,
    )
    made = report(
        summed((verdict("m", summary=given, assurance="declared"), NOW), (verdict("n"), NOW))
    )
    told = (
        "https://gate.example.com, signed by other-gate@example.com, 2026-09-14T12:00:00+00:00, "
        f"sha256:{'a' * 64}"
    )
    rows = csv.DictReader(io.StringIO(table(made), newline=""))
    assert [row["relied_on"] for row in rows] == [told, ""]
    assert f"declared; relied on `{told}`" in markdown(made)
    html = page(made)
    assert html.count("<h4>Relied on</h4>") == 1
    _, facts = html.split("<h4>Relied on</h4>")
    facts, _ = facts.split("</dl>", 1)
    for fact in (given.verifier, given.signer.identity, given.location, given.sha256):
        assert f"<bdi>{fact}</bdi>" in facts
    assert "2026-09-14 12:00 UTC" in facts


def test_a_chart_is_to_scale() -> None:
    trend = Trend()
    for outcome in ("admitted", "denied", "denied", "undecided"):
        trend.add(NOW, outcome)
    trend.add(NOW + DAY * 4, "admitted")
    drawn = chart(trend.shown(NOW + DAY * 4).bars)
    assert [value for value, _ in drawn.ticks] == [0, 1, 2, 3, 4]
    heights = {(part.x, part.outcome): part.height for part in drawn.segments}
    first = drawn.segments[0].x
    assert heights[first, "denied"] == pytest.approx(2 * heights[first, "admitted"], abs=0.1)
    top = min(part.y for part in drawn.segments)
    assert top == pytest.approx(drawn.ticks[-1][1], abs=0.1)
    assert all(part.x + part.width <= drawn.width for part in drawn.segments)
