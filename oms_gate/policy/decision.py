"""The decision: what a policy answers, read strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oms_gate.errors import PolicyError
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Printable, Reason

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# The codes that a policy may give as its own; any other is `policy.denied` with that code. Who
# signed matters before what the signature covers, and that before what is required besides.
_FAMILIES = ("publisher", "history", "policy", "coverage", "requirement", "attestation", "bom")
_CODES = {code.value: code for code in ReasonCode if code.value.split(".")[0] in _FAMILIES}


class Decision(BaseModel):
    """What a policy decided about one model.

    deny, warn: what speaks of the publisher, of what is remembered, of the policy, of coverage, of
        requirements, of attestations, of bills of materials; each in the order of code and path,
        whichever engine they came from.
    require: the least assurance that the gate must reach, if the policy says.
    decision_id: what the engine's decision log calls it, if it has one.
    revision: of the policy that decided, if the engine's may be another by now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: bool
    deny: tuple[Reason, ...] = ()
    warn: tuple[Reason, ...] = ()
    annotations: dict[Printable, Printable] = Field(default_factory=dict)
    require: Assurance | None = None
    decision_id: Printable | None = None
    revision: Printable | None = None

    def to_answer(self) -> dict[str, object]:
        """The decision as a policy gives it: `parse_decision` reads the same from it."""
        answer: dict[str, object] = {
            "allow": self.allow,
            "deny": [_finding(reason) for reason in self.deny],
            "warn": [_finding(reason) for reason in self.warn],
            "annotations": self.annotations,
        }
        if self.require is not None:
            answer["require"] = self.require
        return answer


def _finding(reason: Reason) -> dict[str, str]:
    finding = {"code": reason.policy_code or reason.code, "msg": reason.message}
    if reason.path is not None:
        finding["path"] = reason.path
    return finding


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Finding(_Strict):
    code: Annotated[str, Field(min_length=1)]
    msg: Annotated[str, Field(min_length=1)]
    path: str | None = None

    def reason(self) -> Reason:
        known = _CODES.get(self.code)
        return Reason(
            code=known or ReasonCode.POLICY_DENIED,
            message=self.msg,
            path=self.path,
            policy_code=None if known else self.code,
        )


class _Answer(_Strict):
    allow: bool
    deny: list[_Finding] = []
    warn: list[_Finding] = []
    annotations: dict[str, str] = {}
    require: Literal["bytes", "declared"] | None = None


def parse_decision(value: object) -> Decision:
    """Read the value of ``oms_gate.admission.decision``.

    A denial is one that says ``allow: false``, or that gives a reason to deny.

    Raises:
        PolicyError: POLICY_ILL_TYPED, the value is not a decision; a member that is misspelt
            would not be heeded, so an unknown one counts as that.
    """
    try:
        answer = _Answer.model_validate(value)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(key) for key in mistake["loc"]) or "the decision"
        raise PolicyError(
            ReasonCode.POLICY_ILL_TYPED,
            f"the policy's answer is not a decision ({where} {_fault(mistake)}); its "
            "decision rule must give allow, deny, warn, annotations and require as documented",
        ) from None
    deny = _in_order(answer.deny)
    if not answer.allow and not deny:
        deny = (
            Reason(
                code=ReasonCode.POLICY_DENIED,
                message="the policy did not allow the model and gave no reason; ask whoever "
                "wrote it, or add deny messages to it",
            ),
        )
    return Decision(
        allow=not deny,
        deny=deny,
        warn=_in_order(answer.warn),
        annotations=answer.annotations,
        require=answer.require and Assurance(answer.require),
    )


_FAULTS = {
    "missing": "is missing",
    "extra_forbidden": "is not a member that it may have",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be 'bytes' or 'declared'",
}


def _fault(mistake: ErrorDetails) -> str:
    return _FAULTS.get(mistake["type"], "is not as documented")


def _in_order(findings: list[_Finding]) -> tuple[Reason, ...]:
    # Some engines give sets in any order. What speaks of the remaining files comes last.
    def place(reason: Reason) -> tuple[int, str, bool, str, str]:
        family = _FAMILIES.index(reason.code.split(".")[0])
        return family, reason.code, reason.path is None, reason.path or "", reason.message

    return tuple(sorted((finding.reason() for finding in findings), key=place))
