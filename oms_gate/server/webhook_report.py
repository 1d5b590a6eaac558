"""Verdicts, posted to a webhook of the operator's, and signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError, StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.server.shared_secrets import SharedSecrets
from oms_gate.service_settings.events import WebhookReport
from oms_gate.stores.connections import Body
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.verdict import Verdict


class WebhookSender:
    """Posts ``{"event": "verdict", "verdict": ..., "moved_to": ...}``.

    ``X-OMS-Gate-Signature: sha256=HEX`` is the HMAC-SHA256, by the shared secret, of the value of
    ``X-OMS-Gate-Timestamp`` (seconds since 1970), a dot, and the body. What gets no answer, 429 or
    5xx is sent again, with growing pauses. Redirects are not followed.
    """

    def __init__(self, settings: WebhookReport, config: GateConfig) -> None:
        """
        Raises:
            ConfigError: its secret cannot be used, or the verdicts would travel in the clear.
        """
        parts = urlsplit(settings.url)
        host = parts.hostname or ""
        private = host in config.stores.private_hosts
        if parts.scheme != "https" and not private:
            raise ConfigError(
                f"events.reports.webhook.url: {parts.scheme}:// sends verdicts in the clear; use "
                f"https://, or list {host} under stores.private_hosts if it is your own"
            )
        self._url = settings.url
        self._outcomes = settings.outcomes
        self._secret = SharedSecrets(
            [settings.secret_file], "the secret of reports", config.limits.reload_seconds
        )
        limits = config.limits.model_copy(update={"redirects": 0, "retries": config.events.retries})
        self._reader = HttpReader(limits, frozenset(config.stores.private_hosts))

    def wants(self, verdict: Verdict) -> bool:
        """Whether this one is to be sent."""
        return self._outcomes == "all" or not verdict.admitted

    def send(self, verdict: Verdict, moved: Reference | None) -> None:
        """Send one.

        moved: where the model is now, if it was moved.

        Raises:
            StoreError: it was not taken.
        """
        document: dict[str, Any] = {
            "event": "verdict",
            "verdict": verdict.model_dump(mode="json", by_alias=True),
            "moved_to": None if moved is None else moved.url,
        }
        content = json.dumps(document).encode()
        stamp = str(int(time.time()))
        signed = hmac.new(self._secret.newest(), f"{stamp}.".encode() + content, hashlib.sha256)
        file = RemoteFile(
            "the webhook of events.reports",
            lambda: self._url,
            headers={
                "X-OMS-Gate-Timestamp": stamp,
                "X-OMS-Gate-Signature": f"sha256={signed.hexdigest()}",
            },
        )
        answer = self._reader.answer(file, Body(content, "application/json"))
        if not 200 <= answer.status < 300:
            raise StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"the webhook of events.reports answered HTTP {answer.status}; check its address, "
                "and whether it has the same secret",
            )

    def close(self) -> None:
        """End what is being sent."""
        self._reader.close()
