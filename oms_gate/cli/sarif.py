"""Verdicts as SARIF 2.1.0, which code hosts and editors show beside the files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import PurePosixPath
from urllib.parse import quote

from oms_gate import __version__
from oms_gate.verdict import Reason, Verdict

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
# In a URL, these have a meaning, or begin an escape.
_URL_SIGNS = ":/?#[]@!$&'()*+,;=%"


def sarif(verdict: Verdict, root: str | None) -> str:
    """A verdict as a SARIF log of one run: a reason is an error, a warning is a warning.

    The reasons for which a model was denied and is let through (``mode: annotate``) are warnings.

    root: the model's folder, absolute, or relative to where the files of the log are looked for,
        such as a repository. None where that is the model's folder itself.
    """
    level = "warning" if verdict.lets_through else "error"
    rules = [*_rules((*verdict.reasons, *verdict.warnings))]
    driver = {"name": "oms-gate", "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": not verdict.undecided,
                "endTimeUtc": f"{verdict.checked_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            }
        ],
        "results": [
            *_results(verdict.reasons, level, verdict, root),
            *_results(verdict.warnings, "warning", verdict, root),
        ],
        "properties": {
            "model": verdict.model.url,
            "outcome": verdict.outcome,
            "mode": verdict.mode,
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rules(reasons: Iterable[Reason]) -> Iterator[dict[str, object]]:
    """One for each code, and for each code of the operator's own policy."""
    for rule, reason in sorted({_rule_of(reason): reason for reason in reasons}.items()):
        area, _, what = reason.code.replace("-", " ").partition(".")
        where = f"{reason.code} in docs/reasons.md of oms-gate"
        yield {
            "id": rule,
            "shortDescription": {"text": f"{area}: {what}"},
            "help": {"text": f"For cause and cure see {where}."},
        }


def _results(
    reasons: Iterable[Reason], level: str, verdict: Verdict, root: str | None
) -> Iterator[dict[str, object]]:
    same: Counter[str] = Counter()
    for reason in reasons:
        # Where a finding is moved to another line, it is still the same one.
        message = reason.message.replace(f" in line {reason.line}", "")
        parts = (_rule_of(reason), reason.path or "", message)
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        same[digest] += 1
        location: dict[str, object] = {"artifactLocation": {"uri": _uri(reason, verdict, root)}}
        if reason.line is not None:
            location["region"] = {"startLine": reason.line}
        yield {
            "ruleId": _rule_of(reason),
            "level": level,
            "message": {"text": _literal(reason.message)},
            "locations": [{"physicalLocation": location}],
            "partialFingerprints": {"omsGateFinding/v1": f"{digest}:{same[digest]}"},
        }


def _rule_of(reason: Reason) -> str:
    return reason.policy_code or reason.code.value


def _literal(text: str) -> str:
    """A text in which nothing is a placeholder or a link: names in it come from strangers."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _uri(reason: Reason, verdict: Verdict, root: str | None) -> str:
    """Of the file that a finding is about; else of the signature, or of the model's folder.

    Code hosts show no finding that is nowhere.
    """
    path = reason.path
    if path is None and verdict.signature is not None:
        path = verdict.signature.location
        if "://" in path:
            return quote(path, safe=_URL_SIGNS)
    where = PurePosixPath(root or ".", path or ".")
    return where.as_uri() if where.is_absolute() else quote(str(where))
