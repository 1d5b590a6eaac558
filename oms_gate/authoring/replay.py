"""What a policy would decide on models that were decided on before.

Decisions are compared by what follows from them: whether a model is admitted, the codes and paths
of reasons and warnings, and the assurance that is wanted. Sentences may be worded anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oms_gate.errors import PolicyError
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.policy.decision_log import LoggedDecision, read_events
from oms_gate.policy.engine import Engine
from oms_gate.verdict import Assurance, Reason, printable

Effect = Literal["denied", "admitted", "changed", "same"]


@dataclass(frozen=True)
class Outcome:
    """What a policy came to; of a model for which there is no decision, why."""

    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...] = ()
    require: Assurance | None = None

    @property
    def admitted(self) -> bool:
        """Whether the policy has nothing against the model."""
        return not self.reasons


@dataclass(frozen=True)
class Replayed:
    """One recorded decision beside that of the new policy.

    place: of the record, its file and line.
    effect: ``denied`` and ``admitted`` are new; ``changed`` is about reasons, warnings or the
        assurance.
    """

    place: str
    timestamp: str
    model: str
    revision: str | None
    signer: str
    before: Outcome
    after: Outcome
    effect: Effect


def replay(recorded: Path, engine: Engine) -> Iterator[Replayed]:
    """Decide anew on what was recorded: a decision log, or a folder of them.

    Raises:
        ConfigError: it cannot be read.
    """
    for event in read_events(recorded):
        before = _recorded(event)
        after = _decided(engine, event.input)
        model = _object(event.input.get("model"))
        revision = model.get("revision")
        yield Replayed(
            place=event.place,
            timestamp=printable(event.timestamp),
            model=printable(str(model.get("name"))),
            revision=None if revision is None else printable(str(revision)),
            signer=_signer(_object(event.input.get("signer"))),
            before=before,
            after=after,
            effect=_effect(before, after),
        )


def _decided(engine: Engine, document: dict[str, object]) -> Outcome:
    try:
        return _outcome(engine.decide(document))
    except PolicyError as error:
        return Outcome((error.reason,))


def _recorded(event: LoggedDecision) -> Outcome:
    try:
        return _outcome(parse_decision(event.result))
    except PolicyError as error:
        return Outcome((error.reason,))


def _outcome(decision: Decision) -> Outcome:
    return Outcome(decision.deny, decision.warn, decision.require)


def _effect(before: Outcome, after: Outcome) -> Effect:
    if before.admitted != after.admitted:
        return "admitted" if after.admitted else "denied"
    same = (
        _told(before.reasons) == _told(after.reasons)
        and _told(before.warnings) == _told(after.warnings)
        and before.require == after.require
    )
    return "same" if same else "changed"


def _told(reasons: tuple[Reason, ...]) -> set[tuple[str, str | None]]:
    return {(reason.policy_code or reason.code, reason.path) for reason in reasons}


def _signer(signer: dict[str, object]) -> str:
    identity, issuer = signer.get("identity"), signer.get("issuer")
    root = _object(signer.get("root")).get("name")
    by = f" by {issuer}" if issuer else ""
    return printable(f"{identity}{by} ({signer.get('method')}, root '{root}')")


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
