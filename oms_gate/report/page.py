"""The report as one HTML page, which needs no script and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from markupsafe import Markup

from oms_gate.report.report import Report
from oms_gate.report.summary import Counts, signer_key
from oms_gate.report.trend import OUTCOMES, chart
from oms_gate.sizes import human_bytes
from oms_gate.templating import source, templates
from oms_gate.verdict import Verdict

_PACKAGE: Final = "oms_gate.report"
_BAR_WIDTH: Final = 200
# Of the models of one signer, those that are named.
_NAMED: Final = 20


def page(report: Report) -> str:
    """The whole page; its style is the only one that its security policy lets in."""
    style = source(_PACKAGE, "report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shown = report.listed
    return (
        templates(_PACKAGE)
        .get_template("report.html")
        .render(
            report=report,
            summary=report.summary,
            bounds=report.summary.bounds,
            # It is ours, and must be as it was hashed.
            style=Markup(style),  # noqa: S704
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
            "base-uri 'none'; form-action 'none'",
            trend=report.trend,
            chart=chart(report.trend.bars) if report.trend.bars else None,
            outcomes=OUTCOMES,
            numbers={model.name: number for number, model in enumerate(shown, 1)},
            states={model.name: model.line.outcome for model in report.models},
            codes={denials.name: number for number, denials in enumerate(report.denials, 1)},
            covered=[model for model in shown if model.latest.coverage is not None],
            share=_share,
            parts=_parts,
            key=signer_key,
            size=human_bytes,
            named=_NAMED,
        )
    )


def _share(part: int, whole: int, width: int = 100) -> float:
    """How much of `width` a part of the whole takes, and never too little to be seen."""
    return max(round(width * part / whole, 2), 1.0) if part and whole else 0.0


def _parts(verdict: Verdict, counts: Counts) -> list[tuple[str, int, float, float]]:
    """A bar of files: of each kind its name, how many, where it begins and how wide it is."""
    assert verdict.coverage is not None
    kinds = (
        ("signed", verdict.coverage.signed),
        ("missing", counts.missing),
        ("unsigned", counts.unsigned),
        ("ignored", counts.ignored),
    )
    whole = sum(count for _, count in kinds)
    found, x = [], 0.0
    scale = _BAR_WIDTH / (sum(_share(count, whole, _BAR_WIDTH) for _, count in kinds) or 1)
    for name, count in kinds:
        width = round(_share(count, whole, _BAR_WIDTH) * scale, 2)
        found.append((name, count, round(x, 2), width))
        x += width
    return found
