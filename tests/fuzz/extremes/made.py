"""What the most expensive inputs are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509

from oms_gate.limits import Limits
from tests.oms import forge
from tests.oms.forge import Json

LARGEST = Limits().bundle_bytes
# Of a payload whose base64 has to fit into a bundle, with room for what is around it.
PAYLOAD = (LARGEST - 4096) * 3 // 4


@dataclass(frozen=True)
class Extreme:
    """An input, and what is trusted while it is verified."""

    bundle: bytes
    anchors: tuple[forge.Party, ...] = ()
    limits: Limits = field(default_factory=Limits)


EXTREMES: dict[str, Callable[[], Extreme]] = {}


def extreme(make: Callable[[], bytes | Extreme]) -> Callable[[], bytes | Extreme]:
    """Add an input to those that are measured, by its function's name."""

    def made() -> Extreme:
        found = make()
        return found if isinstance(found, Extreme) else Extreme(found)

    EXTREMES[make.__name__.strip("_")] = made
    return make


def filled(template: str, unit: str, size: int = LARGEST) -> bytes:
    """`template` with as many units in the place of ``$`` as fit into `size` bytes."""
    room = size - len(template.encode())
    return template.replace("$", unit * (room // len(unit.encode()))).encode()


def signed(payload: bytes) -> bytes:
    """In a bundle validly signed with the trusted key, written as tightly as possible."""
    made = json.dumps(forge.key_bundle(payload), separators=(",", ":")).encode()
    assert len(made) <= LARGEST, len(made)
    return made


def compact(made: Json) -> bytes:
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def uri_names(count: int) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(f"a:{number}") for number in range(count)]
    )


def extensions(count: int) -> list[x509.ExtensionType]:
    return [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\x05\x00")
        for number in range(count)
    ]
