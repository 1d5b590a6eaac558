"""The errors of the gate: a small tree, each with a sentence for people.

Inside the gate an error of a step carries a reason code, and becomes a reason of the verdict.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason, Verdict


def is_failure(error: BaseException) -> bool:
    """Whether a library failed, rather than the process being told to end.

    A panic in compiled code is no Exception, and must not get past a verifier either.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class OmsGateError(Exception):
    """Base of every error raised by this project."""


class UsageError(OmsGateError):
    """A reference or an option that cannot be meant; nothing was checked."""


class ConfigError(OmsGateError):
    """The configuration, a trust file or a policy cannot be used; nothing was checked."""


class SigningError(OmsGateError):
    """A signature could not be made: a service or a token refused, failed, or gave no answer."""


class StepError(OmsGateError):
    """A step of the flow refused the model, or could not decide."""

    def __init__(self, code: ReasonCode, message: str, *, path: str | None = None) -> None:
        self.reason = Reason(code=code, message=message, path=path)
        super().__init__(self.reason.message)


class StoreError(StepError):
    """The store refused, failed, or gave an answer that is not to be believed."""


class SignatureError(StepError):
    """The bundle is not a valid signature by somebody whom the configuration trusts."""


class PolicyError(StepError):
    """The policy engine gave no usable decision."""


class HistoryError(StepError):
    """What is remembered of models could not be read or written."""


class EvidenceError(StepError):
    """What is to be left of a verdict could not be kept, or is not what it should be."""


class MeasureError(StepError):
    """A file's bytes are not those that were signed, or could not be hashed in time."""


class DeliveryError(StepError):
    """The model could not be put where it should be."""


def defect(what: str) -> Reason:
    """The reason for a denial that the gate's own code is to blame for."""
    return Reason(
        code=ReasonCode.INTERNAL_ERROR,
        message=f"the gate itself failed ({what}); please report this with its log",
    )


def machine_failure(error: OSError) -> Reason:
    """The reason for a denial that the gate's own machine is to blame for."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else os.strerror(error.errno) if error.errno else str(error)
    return Reason(
        code=ReasonCode.DISK_FULL if full else ReasonCode.SYSTEM_IO,
        message=f"the gate's own machine failed: {what}; free some space, or see its log",
    )


def reason_of(error: BaseException) -> Reason:
    """The reason for a denial that an error has caused: a step's own, the machine, or a defect."""
    if isinstance(error, StepError):
        return error.reason
    return machine_failure(error) if isinstance(error, OSError) else defect(type(error).__name__)


class AdmissionDenied(OSError):  # noqa: N818 - reads as the event that it is
    """A model was denied and must not be used.

    An `OSError`, so that model libraries pass it on to their user as it is: of most others, a
    `ValueError` included, they make an error of their own.
    """

    def __init__(self, verdict: Verdict) -> None:
        reasons = "; ".join(f"{reason.message} [{reason.code}]" for reason in verdict.reasons)
        super().__init__(f"{verdict.model.url} was denied: {reasons}")
        self.verdict = verdict

    def __reduce__(self) -> tuple[Any, ...]:
        # Of an `OSError` it would be made of its text. Pools of processes pass errors on so, and
        # one that cannot be made again leaves their caller waiting forever.
        return AdmissionDenied, (self.verdict,)


class AdmissionWarning(UserWarning):
    """A model was denied and is used all the same: the gate is in ``mode: annotate``."""
