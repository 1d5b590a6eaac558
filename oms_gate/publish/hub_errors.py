"""What the errors of huggingface_hub mean to who publishes through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from oms_gate.errors import StepError, StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import origin
from oms_gate.stores.hub_api import HubApi
from oms_gate.stores.store import in_short

_PRECONDITION_FAILED = 412
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


@contextmanager
def answered(api: HubApi, *, committing: bool = False) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into an error of the gate's.

    committing: whether the commit may be there although nobody has said so.

    Raises:
        StepError: one that the library has made another one of, as it is.
        StoreError: for any other.
    """
    try:
        yield
    except Exception as error:
        causes = list(_causes(error))
        own = next((cause for cause in causes if isinstance(cause, StepError)), None)
        if own is not None:
            raise own from error
        refusal = _refusal(api, causes)
        if committing and refusal.reason.code is ReasonCode.STORE_UNAVAILABLE:
            refusal = StoreError(
                refusal.reason.code,
                f"{refusal.reason.message}; it may have been published all the same, so look first",
            )
        raise refusal from error


def overtaken(api: HubApi) -> StoreError:
    """The error for who was not the first to publish on top of a commit."""
    return StoreError(
        ReasonCode.STORE_CHANGED,
        f"somebody else has published to {api.reference.url} since it was looked at, so nothing "
        "was published; see what is there now, then publish again",
    )


def _refusal(api: HubApi, causes: Sequence[BaseException]) -> StoreError:
    name, endpoint = api.reference.url, api.endpoint
    error = causes[0]
    said = in_short(str(error))
    bare = getattr(error, "response", None) is None
    if bare and isinstance(error, (LookupError, TypeError, ValueError)):
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{name} cannot be published: huggingface_hub says '{said}'; correct that, or tell the "
            f"operator of {endpoint}",
        )
    for cause in causes:
        answer = getattr(cause, "response", None)
        if answer is None:
            continue
        status = answer.status_code
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
            return StoreError(
                ReasonCode.STORE_UNAVAILABLE,
                f"{endpoint} did not take what was sent to {name} (HTTP {status}); try again later",
            )
        if origin(str(answer.url)) != origin(endpoint):
            return StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"the Hub's own store of large files refused a file of {name} (HTTP {status}); "
                "try again",
            )
        if status == _PRECONDITION_FAILED:
            return overtaken(api)
        return api.refusal(status, answer.headers)
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"{endpoint} gave no usable answer for {name}: {said}; try again",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
