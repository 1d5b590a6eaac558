"""Why a model is decided on as it is, and what would have it admitted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oms_gate.authoring.tracing import FiredRule, fired_rules
from oms_gate.authoring.trusting import Advice, advise
from oms_gate.authoring.trying import unlogged
from oms_gate.check import Check
from oms_gate.config import GateConfig, open_engine
from oms_gate.errors import ConfigError, PolicyError, UsageError
from oms_gate.gate import Gate
from oms_gate.policy.compiler import policy_sources
from oms_gate.policy.decision import Decision
from oms_gate.policy.decision_log import read_events
from oms_gate.policy.engine import Engine
from oms_gate.policy.shipped import shipped
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.settings import PolicySettings
from oms_gate.verdict import Reason, printable


@dataclass(frozen=True)
class Explanation:
    """What the policy was asked about a model, what it answered, and what follows.

    model: its URL.
    document: the input document; None where the model was denied before the policy was asked.
    decision: None where there was none.
    reasons: why it is denied, the policy's reasons among them; empty if nothing speaks against it
        yet. No byte of its files was read.
    rules: those that held; None where `no_rules` says why they are not known.
    advice: None where there is nothing to advise.
    hint: what can be done where no addition of rules helps, a sentence.
    """

    model: str
    document: Mapping[str, Any] | None
    decision: Decision | None
    reasons: tuple[Reason, ...]
    rules: list[FiredRule] | None = None
    no_rules: str | None = None
    advice: Advice | None = None
    hint: str | None = None


def explain_model(config: GateConfig, model: Reference) -> Explanation:
    """Check a model up to the decision, and explain that.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    config = unlogged(config)
    with Gate.from_config(config) as gate:
        check = Check(gate, model, config.assurance, {"operation": "verify"})
        verdict = check.judged()
        if not check.document:
            hint = _HINTS.get(verdict.reasons[0].code, _NO_CHANGE)
            return Explanation(verdict.model.url, None, None, verdict.reasons, hint=hint)
        return _explained(config, gate.policy, check.document, verdict.reasons)


def explain_recorded(config: GateConfig, recorded: Path, name: str | None) -> Explanation:
    """Explain what the configuration decides on the last of the inputs that were recorded.

    name: of the model, where the last about it is meant.

    Raises:
        ConfigError: the record cannot be read, or the configuration cannot be used.
        UsageError: nothing was recorded about the model.
    """
    last = None
    for event in read_events(recorded):
        model = event.input.get("model")
        if name is None or (isinstance(model, dict) and model.get("name") == name):
            last = event
    if last is None:
        raise UsageError(
            f"{recorded} holds no decision about {name}; record one with oms-gate verify --record"
        )
    config = unlogged(config)
    with closing(open_engine(config)) as engine:
        return _explained(config, engine, last.input, None)


def _explained(
    config: GateConfig,
    engine: Engine,
    document: Mapping[str, Any],
    reasons: tuple[Reason, ...] | None,
) -> Explanation:
    """
    reasons: of the check; None where there was none, and the policy's are all.
    """
    model = _named(document)
    try:
        decision = engine.decide(document)
    except PolicyError as error:
        return Explanation(model, document, None, (error.reason,), hint=_NO_DECISION)
    reasons = decision.deny if reasons is None else reasons
    rules, no_rules = _rules(config, engine, document, decision)
    advice = hint = None
    if decision.deny:
        decide = None if engine.kind == "server" else _with_rules(document)
        advice = advise(config, document, decision, decide)
        hint = _hint(advice)
    elif reasons:
        hint = _HINTS.get(reasons[0].code, _NO_CHANGE)
    return Explanation(model, document, decision, reasons, rules, no_rules, advice, hint)


def _named(document: Mapping[str, Any]) -> str:
    model = document.get("model")
    return printable(str(model.get("url") if isinstance(model, dict) else None))


def _with_rules(document: Mapping[str, Any]) -> Any:
    def decide(config: GateConfig) -> Decision:
        with closing(open_engine(config)) as engine:
            return engine.decide(document)

    return decide


def _rules(
    config: GateConfig, engine: Engine, document: Mapping[str, Any], decision: Decision
) -> tuple[list[FiredRule] | None, str | None]:
    """The rules that held; or why they are not known."""
    rego = config.policy.rego
    if not isinstance(engine, WasmEngine):
        return None, "an OPA server decided, which does not say by which lines"
    try:
        if rego is not None and rego.is_dir():
            sources = policy_sources(rego)
        elif config.policy == PolicySettings():
            sources = _shipped_sources()
        else:
            return None, "the policy is a compiled bundle; name its folder instead to see lines"
        return fired_rules(sources, engine.data, document, decision), None
    except (ConfigError, PolicyError) as error:
        return None, str(error)


def _shipped_sources() -> dict[str, bytes]:
    folder = shipped("lib").parent
    files = [shipped("admission.rego"), *shipped("lib").glob("*.rego")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _hint(advice: Advice) -> str | None:
    codes = {reason.code for reason in advice.remaining}
    for code in (ReasonCode.HISTORY_SIGNER_CHANGED, ReasonCode.HISTORY_ROLLBACK):
        if code in codes:
            return _HINTS[code]
    if advice.tried and advice.remaining:
        return _NO_CHANGE
    return None


_NO_CHANGE: Final = "no change of publishers or exceptions helps against this"
_NO_DECISION: Final = "there is no decision, so no change of rules can help; see the reason"
_TRUST: Final = (
    "whoever signed it is under none of your trust roots; if you know its publisher's {what} by "
    "another way than from beside the model, name it in gate.yaml ({where}) and run this again to "
    "see which signer to name"
)
_KEY: Final = _TRUST.format(what="public key", where="trust: {keys: {NAME: FILE.pub}}")
_ROOT: Final = _TRUST.format(
    what="root certificate", where="trust: {certificates: {NAME: FILE.pem}}"
)
_APPROVE: Final = (
    "what is remembered of the model speaks against this; if its publisher confirms the change, "
    "approve it: oms-gate trust add REF"
)
_HINTS: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.KEY_UNTRUSTED: _KEY,
    ReasonCode.CERTIFICATE_UNTRUSTED: _ROOT,
    ReasonCode.TRUST_NOT_CONFIGURED: "you trust nobody of the kind that signed it; add the "
    "publisher's root under 'trust' in gate.yaml (keys, certificates, sigstore, or public_good: "
    "true), and run this again to see which signer to name",
    ReasonCode.HISTORY_SIGNER_CHANGED: _APPROVE,
    ReasonCode.HISTORY_ROLLBACK: _APPROVE,
    ReasonCode.SIGNATURE_MISSING: "nobody signed it, so there is nobody to trust; ask its "
    "publisher to sign it, or sign it yourself: oms-gate sign",
}
