"""The OPA server's client, over connections that are bounded, with another attempt or two."""

from __future__ import annotations

import io
import random
import time
from typing import Final

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from oms_gate.policy.wire import Answer, NoAnswerError, Wire
from oms_gate.reason_codes import ReasonCode

# What is before a server says these where the server itself is not there, or busy.
_PASSING: Final = (429, 502, 503, 504)
_FIRST_WAIT_SECONDS: Final = 0.05


class Transport(BaseAdapter):
    """A transport of requests that raises the reason why there is no answer."""

    def __init__(self, wire: Wire, server: str, seconds: float, retries: int) -> None:
        """
        server: what messages call it.
        seconds: for all attempts together.
        retries: most new attempts where there was no answer, or one of something before the
            server.
        """
        super().__init__()
        self._wire = wire
        self._server = server
        self._seconds = seconds
        self._retries = retries

    def send(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> requests.Response:
        """Send one request, and read its answer to the end.

        Only `request` counts: time, authorities and the like are those of this transport.

        Raises:
            PolicyError: as `Wire.exchange`; POLICY_UNREACHABLE also where something before the
                server answered in its place.
        """
        deadline = time.monotonic() + self._seconds
        failures = 0
        while True:
            try:
                answer = self._answer(request, deadline)
                break
            except NoAnswerError:
                failures += 1
                wait = _FIRST_WAIT_SECONDS * 2**failures * random.uniform(0.5, 1)  # noqa: S311
                if failures > self._retries or time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
        response = requests.Response()
        response.status_code = answer.status
        response.reason = answer.reason
        response.headers = CaseInsensitiveDict(answer.headers)
        response.raw = io.BytesIO(answer.body)
        response.encoding = "utf-8"
        response.url, response.request = str(request.url), request
        return response

    def close(self) -> None:
        """Release the connections."""
        self._wire.close()

    def _answer(self, request: requests.PreparedRequest, deadline: float) -> Answer:
        answer = self._wire.exchange(
            str(request.method),
            request.path_url,
            dict(request.headers),
            request.body,
            deadline=deadline,
        )
        if answer.status in _PASSING:
            raise NoAnswerError(
                ReasonCode.POLICY_UNREACHABLE,
                f"{self._server} is not there or is busy (status {answer.status}); see its log, "
                "and that of what is before it",
            )
        return answer
