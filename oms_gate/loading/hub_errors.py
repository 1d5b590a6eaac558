"""The errors by which libraries recognize that something is not there, with the gate's reasons."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from huggingface_hub import errors

from oms_gate.errors import AdmissionDenied
from oms_gate.reason_codes import ReasonCode

# Nothing was denied where there is nothing: libraries look for repositories that may not exist.
_NOT_THERE = {
    ReasonCode.STORE_NOT_FOUND: ("RepositoryNotFoundError", 404),
    ReasonCode.STORE_REVISION_NOT_FOUND: ("RevisionNotFoundError", 404),
    ReasonCode.STORE_GATED: ("GatedRepoError", 403),
    ReasonCode.STORE_FORBIDDEN: ("GatedRepoError", 403),
}


def missing_file(url: str, message: str) -> Exception:
    """The error for a file that a repository does not have."""
    kind: Any = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)
    error: Exception = kind(message, response=_response(404, url))
    return error


def is_missing_file(error: Exception) -> bool:
    """Whether it is one of these two."""
    return isinstance(error, errors.EntryNotFoundError)


def missing_here(message: str) -> Exception:
    """The error for a file that is not on this machine, where nothing may be asked of the Hub."""
    return errors.LocalEntryNotFoundError(message)


def is_not_there(denied: AdmissionDenied) -> bool:
    """Whether the Hub has no such repository or revision, or does not give it to this user."""
    return {reason.code for reason in denied.verdict.reasons} <= _NOT_THERE.keys()


def as_library_error(denied: AdmissionDenied) -> AdmissionDenied:
    """The same denial; where there is nothing, it is huggingface_hub's error for that, too."""
    if not is_not_there(denied):
        return denied
    name, status = _NOT_THERE[denied.verdict.reasons[0].code]
    error = _both(name)(denied.verdict)
    errors.HfHubHTTPError.__init__(
        error,  # type: ignore[arg-type]  # it is one by its second base
        str(denied),
        response=_response(status, denied.verdict.model.url),
    )
    return error


@cache
def _both(name: str) -> type[AdmissionDenied]:
    def init(self: Any, verdict: Any) -> None:
        self.verdict = verdict

    def reduce(self: Any, _protocol: object) -> tuple[Any, ...]:
        return as_library_error, (AdmissionDenied(self.verdict),)

    own = {"__init__": init, "__reduce_ex__": reduce}
    return type(name, (AdmissionDenied, getattr(errors, name)), own)


def _response(status: int, url: str) -> Any:
    """An answer as the library's own transport would have given it: some look at its status."""
    transport = next(
        kind.__module__.partition(".")[0]
        for kind in errors.HfHubHTTPError.__mro__
        if kind.__name__ == "HTTPError"
    )
    module: Any = importlib.import_module(transport)
    if transport == "requests":
        response = module.Response()
        response.status_code, response.url = status, url
        response.request = module.Request("GET", url)
        return response
    return module.Response(status, request=module.Request("GET", url))
