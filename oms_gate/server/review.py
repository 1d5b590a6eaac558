"""AdmissionReview of ``admission.k8s.io/v1``: what the API server asks, and what it is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oms_gate.errors import UsageError
from oms_gate.verdict import printable

API_VERSION: Final = "admission.k8s.io/v1"
# The API server cuts warnings at this many characters, and drops those after 4096 in all.
_WARNING_CHARACTERS = 256
_WARNINGS_CHARACTERS = 4096
_MESSAGE_CHARACTERS = 8192


@dataclass(frozen=True)
class ReviewRequest:
    """What the API server asks about.

    group, kind, subresource: of the object.
    operation: ``CREATE``, ``UPDATE`` and the like.
    item, old: the object as it is to be, and as it was; None where there is none.
    """

    uid: str
    group: str
    version: str
    kind: str
    subresource: str
    operation: str
    namespace: str
    name: str
    user: str
    groups: tuple[str, ...]
    dry_run: bool
    item: Mapping[str, Any] | None
    old: Mapping[str, Any] | None

    @classmethod
    def parse(cls, body: bytes) -> ReviewRequest:
        """Read an AdmissionReview.

        Raises:
            UsageError: it is none.
        """
        try:
            review = json.loads(body)
            if review["apiVersion"] != API_VERSION or review["kind"] != "AdmissionReview":
                raise UsageError(f"the request is no AdmissionReview of {API_VERSION}")
            request = review["request"]
            kind, user = request["kind"], request.get("userInfo") or {}
            item, old = request.get("object"), request.get("oldObject")
            if not all(part is None or isinstance(part, dict) for part in (item, old)):
                raise UsageError("the object under review is no object")
            return cls(
                uid=str(request["uid"]),
                group=str(kind.get("group") or ""),
                version=str(kind.get("version") or ""),
                kind=str(kind["kind"]),
                subresource=str(request.get("subResource") or ""),
                operation=str(request["operation"]),
                namespace=str(request.get("namespace") or ""),
                name=str(request.get("name") or _generated(item) or ""),
                user=str(user.get("username") or ""),
                groups=tuple(map(str, user.get("groups") or ())),
                dry_run=bool(request.get("dryRun")),
                item=item,
                old=old,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"the request is no AdmissionReview: {error!r}") from error

    @property
    def label(self) -> str:
        """What messages call the object."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True)
class Answer:
    """What the API server is told.

    message: why it is not allowed.
    warnings: shown to who asked, whether or not it is allowed.
    audit: goes into the API server's audit log.
    patch: operations of JSON Patch (RFC 6902).
    """

    allowed: bool
    message: str = ""
    warnings: Sequence[str] = ()
    audit: Mapping[str, str] = field(default_factory=dict)
    patch: Sequence[Mapping[str, Any]] = ()

    def to_json(self, uid: str) -> dict[str, Any]:
        """The AdmissionReview that answers the request with this uid."""
        response: dict[str, Any] = {"uid": uid, "allowed": self.allowed}
        if not self.allowed:
            message = _cut(printable(self.message), _MESSAGE_CHARACTERS)
            response["status"] = {"code": 403, "reason": "Forbidden", "message": message}
        if self.warnings:
            response["warnings"] = _within_limits(self.warnings)
        if self.audit:
            response["auditAnnotations"] = {k: printable(v) for k, v in self.audit.items()}
        if self.patch:
            operations = json.dumps(self.patch, separators=(",", ":")).encode()
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(operations).decode()
        return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _generated(item: Any) -> str | None:
    metadata = (item or {}).get("metadata") or {}
    name = metadata.get("name") or metadata.get("generateName")
    return name if isinstance(name, str) else None


def _within_limits(warnings: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = _WARNINGS_CHARACTERS
    for warning in map(printable, warnings):
        text = _cut(warning, _WARNING_CHARACTERS)
        room -= len(text)
        if room < 0:
            break
        kept.append(text)
    return kept


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
