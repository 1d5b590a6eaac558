"""Policies on an OPA server, by its REST API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import requests
from opa_client.opa import OpaClient

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.operator_files import read_file
from oms_gate.policy.breaker import Breaker
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.policy.engine import ANSWER_BYTES, DECISION_PATH
from oms_gate.policy.transport import Transport
from oms_gate.policy.wire import TlsFiles, Wire
from oms_gate.reason_codes import ReasonCode
from oms_gate.reload import Followed, files_state
from oms_gate.verdict import printable

_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?"
    r"|(?P<socket>unix:///[!-~]+)"
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
        token_file: Path | None = None,
        tls: TlsFiles | None = None,
        path: str = DECISION_PATH,
        timeout: float = 5,
        retries: int = 2,
        failures: int = 5,
        rest: float = 10,
    ) -> None:
        """An engine for the server at `url`, which is not asked yet.

        url: ``http[s]://host[:port]``, or ``unix:///path`` of a socket.
        token: bearer token, sent to that server only.
        token_file: a file that holds it instead; it is read again when it changes.
        path: of the decision, below ``/v1/data``.
        timeout: seconds for a decision, all attempts together.
        retries: most new attempts where no answer came.
        failures, rest: after so many failures in a row it is not asked for so many seconds.

        Raises:
            ConfigError: one of these cannot be used.
        """
        origin = _ORIGIN.fullmatch(url)
        port = int((origin and origin["port"]) or 0)
        if origin is None or port > _HIGHEST_PORT:
            raise ConfigError(
                "the URL of the OPA server cannot be used; write https://host, http://host:port "
                "or unix:///path/of/socket, without credentials and without a path"
            )
        if not _PATH.fullmatch(path):
            raise ConfigError(f"{path!r} is not the path of a decision, such as {DECISION_PATH}")
        self._url = url if origin["socket"] else url.rstrip("/")
        self._path = path
        server = f"the OPA server {self._url}"
        self._breaker = Breaker(server, failures, rest)
        wire = Wire(self._url, tls, server=server, limit="policy_seconds", most_bytes=ANSWER_BYTES)
        self._client = _Client(
            Transport(wire, server, timeout, retries),
            _authorization(token, token_file),
            host=origin["host"] or "localhost",
            port=port or {"http": 80, "https": 443}.get(origin["scheme"], 80),
            ssl=origin["scheme"] == "https",
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
        with self._breaker.closed():
            answer = self._query(document)
        if "result" not in answer:
            raise PolicyError(
                ReasonCode.POLICY_UNDEFINED,
                f"the OPA server {self._url} has no decision at {self._path} for this model; load "
                "the policy into it, and give its decision rule a default",
            )
        decision = parse_decision(answer["result"])
        self._revision = _bundle_revisions(answer) or self._place
        known = {"revision": self._revision, "decision_id": _decision_id(answer)}
        return decision.model_copy(update=known)

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
        """Release the connections."""
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

    def __init__(
        self, transport: Transport, authorization: Callable[[], str | None], **options: object
    ) -> None:
        self._transport = transport
        self._authorization = authorization
        super().__init__(**options)

    def _init_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # A .netrc would replace the token, a proxy would see it.
        session.headers["Accept-Encoding"] = "identity"
        session.headers.update(self.headers or {})
        session.auth = self._authorized
        for scheme in ("http://", "https://"):
            session.mount(scheme, self._transport)
        return session

    def _authorized(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (authorization := self._authorization()) is not None:
            request.headers["Authorization"] = authorization
        return request


def _authorization(token: str | None, file: Path | None) -> Callable[[], str | None]:
    """What gives the header that says who asks, as it is now."""
    if file is not None:
        return bearer(file, "the OPA token").now
    if token is None:
        return lambda: None
    header = _header(token, "the token for the OPA server")
    return lambda: header


def bearer(file: Path, what: str) -> Followed[str]:
    """The header that a token in a file makes; it is read again when it changes.

    what: it is, for messages.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    return Followed(
        lambda: _header(read_file(file, what).decode("ascii", "replace").strip(), f"{what} {file}"),
        lambda: files_state([file]),
        f"{what} {file}",
    )


def _header(token: str, what: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{what} is empty or not printable ASCII")
    return f"Bearer {token}"


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


def _decision_id(answer: Mapping[str, object]) -> str | None:
    found = answer.get("decision_id")
    return printable(found)[:_SHOWN_CHARACTERS] if isinstance(found, str) else None
