"""Answers as the Hub gives them, so that each client shows its user what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from oms_gate.gateway.origins import Described
from oms_gate.gateway.paths import Asked
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Assurance, Reason, Verdict, printable

_HEADER_CHARACTERS = 1000
_RETRY = {"Retry-After": "5"}
# The one refusal after which no version of huggingface_hub takes what it has in its cache, and
# which each shows; with 429 rather than 503, after which 0.36 does so all the same.
_FINAL = "RevisionNotFound"

NOT_THERE: Final[Mapping[ReasonCode, tuple[int, str]]] = {
    ReasonCode.STORE_NOT_FOUND: (404, "RepoNotFound"),
    ReasonCode.STORE_RENAMED: (404, "RepoNotFound"),
    ReasonCode.STORE_REVISION_NOT_FOUND: (404, "RevisionNotFound"),
    ReasonCode.STORE_GATED: (403, "GatedRepo"),
    ReasonCode.STORE_FORBIDDEN: (401, "RepoNotFound"),
}
"""Status and X-Error-Code where an origin says that something is not there for this client."""


def verdict_headers(verdict: Verdict, assurance: Assurance | None = None) -> dict[str, str]:
    """What every answer about a decided model says of it.

    assurance: of what is in the answer, where that is another one than the verdict's.
    """
    proven = assurance or verdict.assurance
    outcome = "undecided" if verdict.undecided else verdict.outcome
    headers: dict[str, str] = {"X-OMS-Gate-Verdict": outcome}
    if verdict.signer is not None:
        headers["X-OMS-Gate-Signer"] = _header(verdict.signer.identity)
    if proven is not None:
        headers["X-OMS-Gate-Assurance"] = proven
    if verdict.reasons:
        codes = dict.fromkeys(reason.code for reason in verdict.reasons)
        headers["X-OMS-Gate-Reason"] = _header(", ".join(codes))
    if not verdict.admitted:
        headers |= _warning(verdict.model.url, _sentence(verdict))
    return headers


def denied(verdict: Verdict) -> web.Response:
    """That a model is denied, with the verdict."""
    message = _sentence(verdict)
    headers = verdict_headers(verdict) | _error(_FINAL, message)
    document = {"error": message, "verdict": verdict.model_dump(mode="json", by_alias=True)}
    if verdict.undecided:
        return _json(429, document, headers | _RETRY)
    return _json(403, document, headers)


def unavailable(reason: Reason) -> web.Response:
    """That something is not there for this client, or nobody knows."""
    headers: dict[str, str] = {"X-OMS-Gate-Reason": reason.code}
    if reason.code in NOT_THERE:
        status, code = NOT_THERE[reason.code]
        return refusal(status, code, reason.message, headers)
    return later(f"{reason.message}; try again in a moment", headers)


def later(message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """That it is to be tried again in a moment."""
    told = _RETRY | _warning("is busy", message)
    return refusal(429, _FINAL, message, {**(headers or {}), **told})


def refusal(
    status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error as the Hub has it: a sentence in a header, and in the body.

    code: the Hub's own word for it, if it has one.
    """
    return _json(
        status, {"error": printable(message)}, {**(headers or {}), **_error(code, message)}
    )


def no_entry(asked: Asked, headers: Mapping[str, str]) -> web.Response:
    """That a repository has no such file, as far as its signature goes."""
    return refusal(
        404,
        "EntryNotFound",
        f"{asked.repository.name} has no {asked.path or 'such file'} that its signature covers; "
        "if it should be there, ask its publisher to sign it",
        headers,
    )


def no_registry() -> web.Response:
    """What a client of a registry of containers, such as Ollama, is told (OCI Distribution
    Specification 1.1, "Error Codes")."""
    message = (
        "this gateway speaks the Hub's protocol, and not that of a registry; download the file "
        "from it (hf download, or curl), and give it to ollama create"
    )
    return _json(404, {"errors": [{"code": "UNSUPPORTED", "message": message}]}, {})


def commit(described: Described) -> dict[str, str]:
    """The header that says at which commit all of an answer is."""
    return {"X-Repo-Commit": described.commit}


def document(content: object, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON document."""
    return _json(200, content, headers or {})


def _json(status: int, content: object, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(content, allow_nan=False).encode(),
        content_type="application/json",
        headers=headers,
    )


def _error(code: str | None, message: str) -> dict[str, str]:
    return {"X-Error-Message": _header(message)} | ({"X-Error-Code": code} if code else {})


def _warning(topic: str, message: str) -> dict[str, str]:
    """What huggingface_hub shows besides its own words for an error.

    It shows one a topic, and takes what follows the first semicolon for the warning.
    """
    said = message.replace(";", ",")
    return {"X-HF-Warning": _header(f"oms-gate {topic}; {said}")}


def _sentence(verdict: Verdict) -> str:
    said = "; ".join(f"{reason.message} [{reason.code}]" for reason in verdict.reasons)
    return f"{verdict.model.url} was denied: {said}"


def _header(text: str) -> str:
    """Text as it may be in a header: one short line of ASCII."""
    plain = printable(text).encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= _HEADER_CHARACTERS else plain[: _HEADER_CHARACTERS - 3] + "..."
