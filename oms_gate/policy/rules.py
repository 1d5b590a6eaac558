"""The rules of a gate, as policies see them: ``data.oms_gate``."""

from __future__ import annotations

from collections.abc import Iterable

from oms_gate.policy.exceptions import PolicyException
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.requirements import Requirement


def data_document(
    publishers: Iterable[Publisher],
    requirements: Iterable[Requirement] = (),
    exceptions: Iterable[PolicyException] = (),
) -> dict[str, object]:
    """The data document of the policy engines.

    Each exception has ``expires_at`` besides, in Unix seconds.
    """
    return {
        "oms_gate": {
            "publishers": [_plain(publisher) for publisher in publishers],
            "requirements": [_plain(requirement) for requirement in requirements],
            "exceptions": [
                {**_plain(exception), "expires_at": exception.expires_at.timestamp()}
                for exception in exceptions
            ],
        }
    }


def _plain(rule: Publisher | Requirement | PolicyException) -> dict[str, object]:
    return rule.model_dump(mode="json", exclude_none=True)
