"""Policy bundles from servers: fetched within bounds, signed, and never an older one again.

A process keeps the bundle that it has: it asks for another every `poll_seconds`, and goes on with
the one it has where the server is down, or offers something that is refused.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from oms_gate import __version__
from oms_gate.errors import ConfigError, OmsGateError, PolicyError
from oms_gate.limits import Limits
from oms_gate.operator_files import read_file
from oms_gate.policy.bundle import Bundle
from oms_gate.policy.bundle_signature import BundleKey, check_signature
from oms_gate.policy.server import bearer
from oms_gate.policy.wire import TlsFiles, Wire
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.settings import PolicyBundle
from oms_gate.stores import StoreSettings, open_store, within
from oms_gate.verdict import printable

_LOG = logging.getLogger(__name__)

_NUMBERS: Final = re.compile(r"v?[0-9]{1,18}(?:\.[0-9]{1,18})*", re.ASCII)
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


@dataclass(frozen=True)
class _Fetched:
    """What a server gave last.

    tag: by which the server tells whether it has another by now.
    polled: when it was asked, in seconds of `time.monotonic`.
    """

    content: bytes
    tag: str | None
    polled: float


@dataclass(frozen=True)
class _Active:
    """The bundle that was accepted last, and by which settings."""

    bundle: Bundle
    digest: str
    terms: tuple[object, ...]


_lock = threading.Lock()
# Of this process, by URL.
_fetched: dict[str, _Fetched] = {}
_active: dict[str, _Active] = {}
_said: dict[str, str] = {}


def latest_bundle(settings: PolicyBundle, stores: StoreSettings, limits: Limits) -> Bundle:
    """The newest bundle that may be used.

    Raises:
        ConfigError: there is none yet, and what the server has is refused.
        PolicyError: there is none yet, and the server does not give one: POLICY_UNREACHABLE,
            POLICY_TIMEOUT or POLICY_ERROR.
        StoreError: the same of S3.
    """
    with _lock:
        return _latest(settings, stores, limits).bundle


def bundle_digest(settings: PolicyBundle, stores: StoreSettings, limits: Limits) -> str:
    """What changes with the bundle that `latest_bundle` gives.

    Raises:
        ConfigError, PolicyError, StoreError: as `latest_bundle`.
    """
    with _lock:
        return _latest(settings, stores, limits).digest


def _latest(settings: PolicyBundle, stores: StoreSettings, limits: Limits) -> _Active:
    pem = read_file(settings.key, "the key of the policy bundle")
    terms = (pem, settings.scope, settings.minimum_revision)
    active = _active.get(settings.url)
    try:
        fetched = _fetch(settings, stores, limits)
        digest = hashlib.sha256(fetched.content).hexdigest()
        if active is None or (active.digest, active.terms) != (digest, terms):
            bundle = _accepted(fetched.content, settings, pem, active)
            active = _active[settings.url] = _Active(bundle, digest, terms)
    except OmsGateError as error:
        # Another key, scope or floor is another question, to which the old one is no answer.
        if active is None or active.terms != terms:
            raise
        if str(error) != _said.get(settings.url):
            _LOG.error("%s; the bundle before stays in force", error)
        _said[settings.url] = str(error)
    else:
        _said.pop(settings.url, None)
    return active


def _accepted(content: bytes, settings: PolicyBundle, pem: bytes, active: _Active | None) -> Bundle:
    """The bundle, if it is signed, and none that is older than it may be."""
    bundle = Bundle.from_bytes(content, f"the policy bundle {settings.url}")
    key = BundleKey.from_pem(pem, str(settings.key))
    check_signature(bundle, key, settings.scope)
    floors = {"'policy: bundle: minimum_revision'": settings.minimum_revision}
    if active is not None:
        floors["the one that this process used before"] = active.bundle.revision
    for what, floor in floors.items():
        if floor is not None:
            _check_floor(bundle, floor, what)
    return bundle


def _check_floor(bundle: Bundle, floor: str, what: str) -> None:
    revision = bundle.revision
    if revision == floor:
        return
    least, found = _order(floor), _order(revision or "")
    if least is None or found is None or least[0] != found[0]:
        raise ConfigError(
            f"{bundle.origin} is refused: its revision {revision or 'none'!r} cannot be compared "
            f"with {floor!r}, {what}; let both be numbers with dots, or times (RFC 3339) "
            "(opa build --revision)"
        )
    if found < least:
        raise ConfigError(
            f"{bundle.origin} is refused: its revision {revision!r} is older than {floor!r}, "
            f"{what}; find out who put it back, or build a newer one with what it had"
        )


def _order(revision: str) -> tuple[str, tuple[float, ...]] | None:
    """What puts revisions in order: a kind, and what counts within it; None for any other text.

    Numbers with dots, such as 7, v1.10 or 2026.11.28, number by number, where one that is not
    there is 0; or times as of RFC 3339.
    """
    if _NUMBERS.fullmatch(revision):
        numbers = [int(number) for number in revision.removeprefix("v").split(".")]
        while numbers and not numbers[-1]:
            numbers.pop()
        return "numbers", tuple(numbers)
    if _TIME.fullmatch(revision):
        try:
            return "time", (datetime.fromisoformat(revision).timestamp(),)
        except (ValueError, OverflowError):
            return None
    return None


def _fetch(settings: PolicyBundle, stores: StoreSettings, limits: Limits) -> _Fetched:
    """What the server has now, or had less than `poll_seconds` ago."""
    before = _fetched.get(settings.url)
    now = time.monotonic()
    if before is not None and now < before.polled + settings.poll_seconds:
        return before
    if before is not None:
        # However it ends, the server is not asked again before its time.
        _fetched[settings.url] = before = _Fetched(before.content, before.tag, now)
    get = _from_store if settings.url.startswith("s3://") else _from_server
    content, tag = get(settings, stores, limits, before)
    fetched = _fetched[settings.url] = _Fetched(content, tag, now)
    return fetched


def _from_server(
    settings: PolicyBundle, _: StoreSettings, limits: Limits, before: _Fetched | None
) -> tuple[bytes, str | None]:
    url = urlsplit(settings.url)
    server = f"the server of the policy bundle {settings.url}"
    wire = Wire(
        f"{url.scheme}://{url.netloc}",
        TlsFiles(settings.ca_file),
        server=server,
        limit="policy_bundle_seconds",
        most_bytes=limits.policy_bundle_bytes,
    )
    headers = {"Accept-Encoding": "identity", "User-Agent": f"oms-gate/{__version__}"}
    if settings.token_file is not None:
        headers["Authorization"] = bearer(settings.token_file, "the token for the bundle").now()
    if before is not None and before.tag is not None:
        headers["If-None-Match"] = before.tag
    deadline = time.monotonic() + limits.policy_bundle_seconds
    try:
        answer = wire.exchange("GET", url.path or "/", headers, deadline=deadline)
    finally:
        wire.close()
    if answer.status == 304 and before is not None:
        return before.content, before.tag
    if answer.status != 200:
        hint = ", check its token" if answer.status in (401, 403) else ""
        raise PolicyError(
            ReasonCode.POLICY_ERROR,
            f"{server} answered with status {answer.status}{hint}: "
            f"{printable(answer.reason)}; check its URL",
        )
    return answer.body, answer.headers.get("ETag")


def _from_store(
    settings: PolicyBundle, stores: StoreSettings, limits: Limits, before: _Fetched | None
) -> tuple[bytes, str | None]:
    reference = Reference.parse(settings.url)
    snapshot = open_store(reference, stores, limits).snapshot(reference)
    try:
        if not snapshot.single:
            raise ConfigError(f"{settings.url} is a folder; name the policy bundle in it")
        ((path, file),) = snapshot.files.items()
        if before is not None and file.version is not None and file.version == before.tag:
            return before.content, before.tag
        content = within(
            limits.listing_seconds, lambda: snapshot.read(path, limits.policy_bundle_bytes)
        )
    finally:
        snapshot.close()
    if content is None:
        raise PolicyError(
            ReasonCode.POLICY_ERROR,
            f"the policy bundle {settings.url} is larger than the limit 'policy_bundle_bytes' of "
            f"{limits.policy_bundle_bytes}; raise it if it is genuine",
        )
    return content, file.version
