"""The floors of the house: a room imports only rooms on lower floors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oms_gate"

FLOORS = {
    "limits": 0,
    "reason_codes": 0,
    "verdict": 0,
    "errors": 0,
    "reload": 0,
    "reference": 0,
    "oms": 1,
    "stores": 1,
    "policy": 1,
    "strict_yaml": 1,
    "operator_files": 0,
    "durable": 0,
    "file_locks": 0,
    "process_lock": 0,
    "sizes": 0,
    "templating": 1,
    "kserve": 1,
    "coverage": 2,
    "attestations": 2,
    "signature_file": 2,
    "streaming": 2,
    "mistakes": 2,
    "kubernetes": 2,
    "inspection": 2,
    "settings": 1,
    "evidence_settings": 2,
    "service_settings": 2,
    "policy_source": 3,
    "config": 3,
    "following": 3,
    "delivery": 3,
    "admission": 3,
    "history": 3,
    "boms": 3,
    "judging": 3,
    "check": 3,
    "gate": 3,
    "signing": 3,
    "evidence": 3,
    "authoring": 4,
    "bom": 4,
    "cache": 4,
    "annotation": 5,
    "filesystem": 5,
    "gateway": 5,
    "loading": 5,
    "publish": 5,
    "report": 5,
    "server": 6,
    "cli": 7,
    "__main__": 8,
}
# On the ground floor, who may use whom.
GROUND = [
    "limits",
    "reason_codes",
    "verdict",
    "errors",
    "reload",
    "operator_files",
    "durable",
    "file_locks",
    "process_lock",
    "reference",
]
# On the third, the flow stands on its configuration, on what delivers, and on what is left of it.
THIRD = [
    "signing",
    "evidence",
    "history",
    "policy_source",
    "config",
    "following",
    "delivery",
    "admission",
    "boms",
    "judging",
    "check",
    "gate",
]

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    """Rooms that a module imports anywhere, late imports and those for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "oms_gate" and len(parts) > 1 and not parts[1].startswith("__"):
                yield parts[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_lower_floors(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":  # The public face.
        return
    for other in set(imported_rooms(path)) - {room}:
        if FLOORS[other] == FLOORS[room]:
            order = GROUND if room in GROUND else THIRD
            assert room in order, f"{room} imports {other} of its own floor"
            assert order.index(other) < order.index(room)
        else:
            assert FLOORS[other] < FLOORS[room], f"{room} imports {other} from above"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 420


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(FLOORS)
