"""Policies on an OPA server, by its REST API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import requests
from opa_client.opa import OpaClient

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.policy.engine import DECISION_PATH
from oms_gate.policy.transport import Transport
from oms_gate.verdict import ReasonCode, printable

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_HIGHEST_PORT: Final = 65535
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*")
_TOKEN: Final = re.compile(r"[!-~]+")
_SHOWN_CHARACTERS: Final = 300
# Without it, the server turns an error inside a builtin into "undefined".
_QUERY: Final = {"strict-builtin-errors": "true", "provenance": "true"}


class ServerEngine:
    """An OPA server that holds the policy and its data. It is asked, never changed."""

    kind: Literal["server"] = "server"

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_file: Path | None = None,
        path: str = DECISION_PATH,
        timeout: float = 5,
    ) -> None:
        """An engine for the server at `url`, which is not asked yet.

        url: ``http[s]://host[:port]``.
        token: bearer token, sent to that origin only.
        ca_file: PEM file of the authorities that vouch for the server; otherwise the system's.
        path: of the decision, below ``/v1/data``.
        timeout: seconds for a connection, and again for the whole answer.

        Raises:
            ConfigError: one of these cannot be used.
        """
        origin = _ORIGIN.fullmatch(url)
        port = int((origin and origin["port"]) or 0)
        if origin is None or port > _HIGHEST_PORT:
            raise ConfigError(
                "the URL of the OPA server cannot be used; write https://host or http://host:port, "
                "without credentials and without a path"
            )
        if not _PATH.fullmatch(path):
            raise ConfigError(f"{path!r} is not the path of a decision, such as {DECISION_PATH}")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ConfigError("the token for the OPA server is empty or not printable ASCII")
        self._url = url.rstrip("/")
        self._path = path
        self._client = _Client(
            Transport(timeout, ca_file),
            host=origin["host"],
            port=port or {"http": 80, "https": 443}[origin["scheme"]],
            ssl=origin["scheme"] == "https",
            token=token,
        )
        self._place = self._revision = f"{self._url}/v1/data/{path}"

    @property
    def revision(self) -> str:
        """The revisions of the server's bundles as of the last decision; until then, or if it has
        no bundles, the URL of the decision."""
        return self._revision

    def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on one input document.

        Raises:
            PolicyError: as `oms_gate.policy.engine.Engine.decide` says.
        """
        answer = self._query(document)
        if "result" not in answer:
            raise PolicyError(
                ReasonCode.POLICY_UNDEFINED,
                f"the OPA server {self._url} has no decision at {self._path} for this model; load "
                "the policy into it, and give its decision rule a default",
            )
        decision = parse_decision(answer["result"])
        self._revision = _bundle_revisions(answer) or self._place
        return decision

    def health(self) -> None:
        """Make sure that the server is ready: its bundles are active, the token is good, and the
        policy decides (on an empty document).

        Raises:
            PolicyError: it is not.
        """
        if not self._client.check_health({"bundles": "true", "plugins": "true"}):
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"the OPA server {self._url} says that it is not ready; see its status and log",
            )
        self.decide({})

    def close(self) -> None:
        """Release the client."""
        self._client.close_connection()

    def _query(self, document: Mapping[str, object]) -> dict[str, object]:
        try:
            answer = self._client.query_rule(dict(document), self._path, query_params=_QUERY)
        except requests.HTTPError as error:
            raise self._failure(_complaint(error.response)) from error
        except (requests.RequestException, ValueError, RecursionError) as error:
            what = f"the document or its answer is not JSON ({type(error).__name__})"
            raise self._failure(what) from error
        if not isinstance(answer, dict):
            raise self._failure("it answered with something else than a JSON object")
        return answer

    def _failure(self, what: str) -> PolicyError:
        return PolicyError(
            ReasonCode.POLICY_ERROR,
            f"the OPA server {self._url} could not decide: {what}; see its log",
        )


class _Client(OpaClient):  # type: ignore[misc]
    """The client with a transport that is bounded, and none of the environment's settings."""

    def __init__(self, transport: Transport, **options: object) -> None:
        self._transport = transport
        super().__init__(**options)

    def _init_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # A .netrc would replace the token, a proxy would see it.
        session.headers["Accept-Encoding"] = "identity"
        session.headers.update(self.headers or {})
        for scheme in ("http://", "https://"):
            session.mount(scheme, self._transport)
        return session


def _complaint(response: requests.Response) -> str:
    """What the server said of a failure: ``{"code", "message", "errors": [{"message"}]}``."""
    said = response.text
    with suppress(ValueError, RecursionError):
        body = response.json()
        if isinstance(body, dict):
            errors = body.get("errors")
            details = [body.get("message"), *(errors if isinstance(errors, list) else [])]
            said = "; ".join(
                str(detail.get("message") if isinstance(detail, dict) else detail)
                for detail in details
            )
    hint = ", check its token" if response.status_code in (401, 403) else ""
    return f"status {response.status_code}{hint}: {said[:_SHOWN_CHARACTERS].strip()}"


def _bundle_revisions(answer: Mapping[str, object]) -> str | None:
    provenance = answer.get("provenance")
    bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
    if not isinstance(bundles, dict):
        return None
    revisions = (
        f"{name}@{bundle['revision']}"
        for name, bundle in sorted(bundles.items())
        if isinstance(bundle, dict) and bundle.get("revision")
    )
    return printable(", ".join(revisions)) or None
