"""What every input is put through, and what must hold then."""

from __future__ import annotations

import json
import time

from oms_gate.errors import SignatureError
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.statement import parse_statement, serialize_statement
from oms_gate.oms.verify import inspect, verify
from tests.fuzz import seeds, trusted
from tests.oms import forge
from tests.oms.forge import LIMITS, NOW

SECONDS = 1.0


class Target:
    """Reads inputs as bundles; raises whatever is not a typed refusal.

    The trusted keys that made the corpus are gone. So whatever verifies as it is says what a seed
    says; anything else would be a forgery. Statements are signed again with a key of this
    process, so that those too are read which nobody signed.
    """

    def __init__(self) -> None:
        self._trust = trusted.load(seeds.TRUST)
        self._own_trust = forge.trusting()
        self._signed = {
            parse_bundle(seed.read_bytes(), LIMITS).payload for seed in seeds.CORPUS.iterdir()
        }

    def __call__(self, data: bytes) -> None:
        """Read one input.

        Raises:
            AssertionError: a forgery was accepted, or it took too long.
            Exception: whatever else went wrong.
        """
        started = time.process_time()
        payload = self._as_it_is(data)
        if payload is not None:
            self._signed_again(payload)
        seconds = time.process_time() - started
        assert seconds < SECONDS, f"it took {seconds:.1f} seconds"

    def _as_it_is(self, data: bytes) -> bytes | None:
        """The payload, where the bundle can be read at all."""
        try:
            payload = parse_bundle(data, LIMITS).payload
        except SignatureError:
            payload = None
        try:
            inspect(data, LIMITS)
            assert payload is not None
        except SignatureError:
            pass
        try:
            verify(data, self._trust, at=NOW, limits=LIMITS)
            assert payload in self._signed, "a forgery was accepted"
        except SignatureError:
            pass
        return payload

    def _signed_again(self, payload: bytes) -> None:
        try:
            found = verify(forge.signed(payload), self._own_trust, at=NOW, limits=LIMITS)
        except SignatureError:
            return
        json.loads(payload)
        again = serialize_statement(found.manifest, found.subject_name)
        read = parse_statement(again, LIMITS)
        assert (read.manifest, read.subject_name) == (found.manifest, found.subject_name)
