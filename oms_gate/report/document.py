"""The report as a JSON document, for machines."""

from __future__ import annotations

import json
from typing import Any, Final

from oms_gate.report.report import Report
from oms_gate.report.summary import ModelSummary
from oms_gate.report.trend import OUTCOMES

REPORT_SCHEMA: Final = "oms-gate/report/v1"


def document(report: Report) -> dict[str, Any]:
    """What the page says, as JSON has it; of each model the latest verdict and its place."""
    summary = report.summary
    return {
        "schema": REPORT_SCHEMA,
        "title": report.title,
        "made_at": report.made_at.isoformat(),
        "gate_version": report.gate_version,
        "since": report.since and report.since.isoformat(),
        "until": report.until and report.until.isoformat(),
        "first": summary.first and summary.first.isoformat(),
        "last": summary.last and summary.last.isoformat(),
        "sources": [source._asdict() for source in report.sources],
        "logs": [
            {
                "file": log.file,
                "whole": log.whole,
                "signed": log.signed,
                "sentences": list(log.sentences),
            }
            for log in report.logs
        ],
        "not_checked": [each._asdict() for each in report.unchecked],
        "models": {word: report.states[word] for word in OUTCOMES},
        "verdicts": {word: summary.outcomes[word] for word in OUTCOMES},
        "operations": dict(summary.operations),
        "let_through": summary.let_through,
        "beyond_bound": summary.beyond,
        "measured_bytes": summary.measured_bytes,
        "transferred_bytes": summary.transferred_bytes,
        "trend": {
            **report.trend._asdict(),
            "bars": [bar._asdict() for bar in report.trend.bars if bar.total],
        },
        "denials": [
            {**each._asdict(), "code": each.code and each.code.value} for each in report.denials
        ],
        "signers": [
            {
                **each.signer._asdict(),
                "models": list(each.models),
                "verdicts": {word: each.outcomes[word] for word in OUTCOMES},
            }
            for each in report.signers
        ],
        "concerns": [
            {
                "model": each.model.name,
                "found": [{"word": word, "sentence": sentence} for word, sentence in each.found],
            }
            for each in report.concerns
        ],
        "latest": [_model(model) for model in report.models],
    }


def _model(model: ModelSummary) -> dict[str, Any]:
    place = model.line.place
    return {
        "model": model.name,
        "time": model.line.time.isoformat(),
        "first_time": model.first.isoformat(),
        "verdicts": {word: model.outcomes[word] for word in OUTCOMES},
        "operation": model.line.operation,
        "recorded_in": {
            "file": place.file,
            "line": place.line,
            "seq": place.seq,
            "hash": place.hash,
        },
        "files": model.counts._asdict(),
        "verdict": json.loads(model.latest.to_json()),
    }
