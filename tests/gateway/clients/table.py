"""The tables of ``docs/clients.md``: each cell is what happened when it was tried."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.clients.client import MORE_NAMES, NAMES, Clients, MissingError, Said
from tests.gateway.clients.gated import MODEL, config, create, spoil
from tests.gateway.running import running
from tests.peers.hub import HubStandIn
from tests.peers.olah import Olah

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "clients.md"
COMMAND: Final = "make clients"
BEGIN: Final = f"<!-- What follows is made by `{COMMAND}`. -->"
END: Final = "<!-- What was made ends here. -->"

_UNSIGNED = "NOTES.md"
_WIDTH = 300


@dataclass(frozen=True)
class _World:
    """The Hub, and its clients: asking it, a gateway, one behind a mirror, one that annotates."""

    hub: HubStandIn
    key: ec.EllipticCurvePrivateKey
    direct: Clients
    gated: Clients
    mirrored: Clients
    annotated: Clients
    member: Clients


def made(folder: Path) -> str:
    """Let each client load models in each case; the tables, with their markers."""
    key = models.new_key()
    public_key = folder / "acme.pub"
    public_key.write_bytes(models.public_pem(key))
    with ExitStack() as stack:
        hub = stack.enter_context(HubStandIn(cdn_host="localhost"))
        mirror = stack.enter_context(Olah(hub, folder / "olah"))

        def clients(name: str, endpoint: str, token: str | None = None) -> Clients:
            return stack.enter_context(Clients(endpoint, folder / name, token))

        gate, behind, lenient = (
            stack.enter_context(running(settings, folder / f"caches-{number}"))
            for number, settings in enumerate(
                (
                    config(public_key, hub.endpoint),
                    config(public_key, mirror.endpoint),
                    config(public_key, hub.endpoint, "annotate"),
                )
            )
        )
        world = _World(
            hub,
            key,
            clients("direct", hub.endpoint),
            clients("gated", gate.endpoint),
            clients("mirrored", behind.endpoint),
            clients("annotated", lenient.endpoint),
            clients("member", gate.endpoint, hub.token),
        )
        names = (*NAMES, *MORE_NAMES)
        loads = [(name, *_loads(world, name)) for name in names]
        denials = [(name, *_denials(world, name)) for name in names]
    return "\n\n".join([BEGIN, _loads_table(loads), _denials_table(denials), END])


def written(document: str, tables: str) -> str:
    """The document with the tables in place of those between the markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} has lost the markers of its tables")
    return before + tables + after


def _loads(world: _World, name: str) -> tuple[str, ...]:
    """What comes of models that may be loaded."""
    hub, key = world.hub, world.key

    def loaded(clients: Clients, repository: str) -> str:
        try:
            return _yes(clients.load(name, repository))
        except MissingError:
            return "not tried"

    denied = create(hub, key)
    spoil(hub, denied)
    annotated = loaded(world.annotated, denied)
    if annotated == "yes":
        other = create(hub, key)
        spoil(hub, other)
        told = ReasonCode.FILE_CHANGED in world.annotated.load(name, other).text
        annotated = "yes, and says why not" if told else "yes, silently"
    return (
        loaded(world.direct, create(hub, key)),
        loaded(world.gated, create(hub, key)),
        loaded(world.mirrored, create(hub, key)),
        loaded(world.member, create(hub, key, private=True)),
        annotated,
    )


def _denials(world: _World, name: str) -> tuple[str, ...]:
    """What comes of models and files that may not be loaded."""
    hub, key = world.hub, world.key
    cold, warm = create(hub, key), create(hub, key)
    beside = create(hub, key, {_UNSIGNED: b"# Notes\n"})
    spoil(hub, cold)
    try:
        said = world.gated.load(name, cold)
        world.gated.load(name, warm)
        spoil(hub, warm)
        hub.clear()
        again = world.gated.load(name, warm)
        asked = bool(hub.requests)
        unsigned = world.gated.load(name, beside, (*MODEL, _UNSIGNED))
    except MissingError:
        return ("not tried",) * 4
    stale = "refused" if again.files is None else "**taken**" if asked else "taken, nobody is asked"
    hidden = "**there**" if _UNSIGNED in (unsigned.files or {}) else "not there"
    shown = "the sentence" if ReasonCode.FILE_CHANGED in said.text else "the status"
    if said.files is not None:
        shown = "**it loads**"
    return shown, f"`{_last_line(said.text)}`", stale, hidden


def _yes(said: Said) -> str:
    return "**no**" if said.files is None else "yes"


def _last_line(text: str) -> str:
    """What a user sees last, without what differs from run to run."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Hint:")]
    line = told[-1] if told else ""
    line = re.sub(r"http://127\.0\.0\.1:\d+", "https://gate.example", line)
    line = re.sub(r"acme/m\d+", "acme/model", line)
    line = re.sub(r"\b[0-9a-f]{40,64}\b", "0123..", line).replace("|", "/").replace("`", "'")
    return line if len(line) <= _WIDTH else line[:_WIDTH] + " ..."


def _loads_table(rows: Iterable[tuple[str, ...]]) -> str:
    head = (
        "loads a signed model",
        "from the Hub",
        "from a gateway",
        "from a gateway behind a mirror",
        "a private one, with a token",
        "a denied one from a gateway that annotates",
    )
    return _table(head, rows)


def _denials_table(rows: Iterable[tuple[str, ...]]) -> str:
    head = (
        "is denied a model",
        "and shows",
        "the last line of which is",
        "an older commit in its cache is",
        "an unsigned file beside a signed model is",
    )
    return _table(head, rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
