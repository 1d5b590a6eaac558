"""A denied commit, reported in the discussions of its repository on the Hub."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import islice
from typing import Final

from oms_gate.annotation.examination import Examined
from oms_gate.gate import Gate
from oms_gate.publish.hub_errors import answered
from oms_gate.stores.hub import HubStore
from oms_gate.stores.store import within
from oms_gate.verdict import Reason, Verdict, printable

_REASONS: Final = 10
_CHARACTERS: Final = 500
# Own discussions that are looked at for one about the same commit.
_LOOKED_AT: Final = 500
_OPENING: Final = "The admission gate of a user of this repository denies the commit `{commit}`:"
_CLOSING: Final = (
    "This is about the signature of the model (OpenSSF Model Signing) and about what that user's "
    "policy asks for. Whoever maintains the repository can sign the model again as it is now, or "
    "take back what was changed."
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def report_on_the_hub(gate: Gate, examined: Examined) -> bool:
    """Open a discussion about a denied commit, unless there is one by the same user already.

    Returns:
        Whether it was opened.

    Raises:
        ConfigError: the Hub cannot be reached as it is configured.
        StoreError: it refuses, or fails.
    """
    from huggingface_hub import HfApi

    verdict = examined.verdict
    title = f"oms-gate: commit {verdict.model.revision} is denied"
    store = HubStore(gate.stores, gate.limits)
    client = HfApi(store.endpoint, token=gate.stores.options.get("hf", {}).get("token"))
    api = store.api(examined.reference)

    def report() -> bool:
        own = client.get_repo_discussions(
            api.repository,
            repo_type=api.kind,
            author=str(client.whoami()["name"]),
            discussion_type="discussion",
        )
        # Anybody can open one with this title: only what this user wrote is a report.
        if any(discussion.title == title for discussion in islice(own, _LOOKED_AT)):
            return False
        client.create_discussion(
            api.repository, title, description=report_text(verdict), repo_type=api.kind
        )
        return True

    with closing(api.reader), answered(api):
        return within(gate.limits.listing_seconds, report)


def report_text(verdict: Verdict) -> str:
    """What is said of a denied commit, as Markdown in which strangers' text is just text."""
    reasons = [_line(reason) for reason in verdict.reasons[:_REASONS]]
    if (more := len(verdict.reasons) - _REASONS) > 0:
        reasons.append(f"- and {more} more like these")
    return "\n".join(
        (_OPENING.format(commit=verdict.model.revision), "", *reasons, "", _CLOSING),
    )


def _line(reason: Reason) -> str:
    return f"- {plain(reason.message)} ({plain(reason.code)})"


def plain(text: str) -> str:
    """Text for Markdown, in which it formats, links and mentions nothing."""
    short = printable(text[:_CHARACTERS]).replace("@", "(at)")
    return _PUNCTUATION.sub(r"\\\1", short)
