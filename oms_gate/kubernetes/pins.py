"""What was decided about the models of a pod, written down in its annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from oms_gate.errors import UsageError
from oms_gate.reference import RELEASE_ID, S3_SCHEMES, Reference
from oms_gate.stores.hub_api import COMMIT

ADMITTED_ANNOTATION: Final = "oms-gate.dev/admitted"
"""The models that were admitted: JSON, written by the gate."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """What was decided about one model.

    asked: the reference as the pod has it.
    revision: the commit on the Hub, the release in S3; None where the store has none for a whole
        model.
    signature: SHA-256 of the signature file that was verified, in hex.
    """

    asked: Reference
    revision: str | None
    signature: str

    @property
    def pinned(self) -> Reference:
        """The reference that is fetched."""
        if self.revision is None or self.revision == self.asked.release:
            return self.asked
        if self.asked.scheme in S3_SCHEMES:
            return self.asked.at_release(self.revision)
        return self.asked.at(self.revision)

    @property
    def own(self) -> Pin:
        """The pin of the pinned reference itself."""
        return replace(self, asked=self.pinned)


def read_pins(annotations: Mapping[str, str]) -> dict[str, Pin]:
    """The pins in a pod's annotations, by the reference asked for.

    Whatever is not as the gate writes it counts as nothing: it decides anew.
    """
    pins: dict[str, Pin] = {}
    with suppress(ValueError, TypeError, KeyError, AttributeError, UsageError):
        for entry in json.loads(annotations.get(ADMITTED_ANNOTATION, "[]")):
            pin = Pin(Reference.parse(entry["model"]), entry.get("revision"), entry["signature"])
            if _is_sound(pin):
                pins[pin.asked.url] = pin
    return pins


def _is_sound(pin: Pin) -> bool:
    if not _SHA256.fullmatch(pin.signature):
        return False
    if pin.asked.scheme in S3_SCHEMES and pin.revision is not None:
        release = RELEASE_ID.fullmatch(pin.revision) is not None
        return release and pin.asked.release in (None, pin.revision)
    if pin.asked.scheme != "hf":
        return pin.revision is None
    # A commit that was asked for is the only one that can have been admitted.
    named = pin.asked.revision or ""
    return bool(COMMIT.fullmatch(pin.revision or "")) and (
        not COMMIT.fullmatch(named) or named == pin.revision
    )


def written_pins(pins: Iterable[Pin]) -> str:
    """The annotation's value."""
    return json.dumps(
        [
            {
                "model": pin.asked.url,
                **({} if pin.revision is None else {"revision": pin.revision}),
                "signature": pin.signature,
            }
            for pin in sorted({pin.asked.url: pin for pin in pins}.values(), key=_url)
        ],
        separators=(",", ":"),
    )


def _url(pin: Pin) -> str:
    return pin.asked.url
