"""Real clients, unchanged, in front of the gateway.

What each of them shows in each case is in docs/clients.md, which `make clients` writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.reason_codes import ReasonCode
from tests.gateway.clients.client import LIBRARIES, MORE_NAMES, NAMES, Clients, MissingError, Said
from tests.gateway.clients.gated import MODEL, config, create, spoil
from tests.gateway.clients.table import COMMAND, DOCUMENT
from tests.gateway.running import running
from tests.peers.hub import HubStandIn
from tests.peers.olah import Olah

# One worker has the processes of all clients.
pytestmark = pytest.mark.xdist_group("gateway-clients")

# Which file is wanted can be told to all but these.
OF_ALL_FILES = (*LIBRARIES, *(name for name in NAMES if name.startswith("hf download")))
# Looks into its cache first, and then asks nobody: no server has a word in it.
ASKS_NOBODY = "hf-hub 0.5.0"


@pytest.fixture(scope="module")
def server() -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        yield hub
        hub.reset()  # fails if the stand-in did


@pytest.fixture(scope="module")
def clients(
    server: HubStandIn, public_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clients]:
    """All clients, in front of a gateway in front of the Hub."""
    folder = tmp_path_factory.mktemp("clients")
    with (
        running(config(public_key, server.endpoint), folder / "caches") as gateway,
        Clients(gateway.endpoint, folder / "homes") as clients,
    ):
        yield clients


def load(clients: Clients, name: str, repository: str, *files: str) -> Said:
    try:
        return clients.load(name, repository, *([files] if files else []))
    except MissingError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", NAMES)
def test_a_signed_model_loads(
    clients: Clients, server: HubStandIn, key: ec.EllipticCurvePrivateKey, name: str
) -> None:
    said = load(clients, name, create(server, key), *MODEL)
    assert said.files == ({} if name in LIBRARIES else MODEL), said.text


@pytest.mark.parametrize("name", NAMES)
def test_a_denied_model_is_told_and_never_taken_from_the_cache(
    clients: Clients, server: HubStandIn, key: ec.EllipticCurvePrivateKey, name: str
) -> None:
    repository = create(server, key)
    if name != ASKS_NOBODY:
        assert load(clients, name, repository).files is not None
    spoil(server, repository)
    said = load(clients, name, repository)
    assert said.files is None
    # This one shows nothing but the status.
    assert ("http status: 403" if name == ASKS_NOBODY else ReasonCode.FILE_CHANGED) in said.text


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_ALL_FILES])
def test_an_unsigned_file_beside_a_signed_model_is_not_there(
    clients: Clients, server: HubStandIn, key: ec.EllipticCurvePrivateKey, name: str
) -> None:
    repository = create(server, key, {"NOTES.md": b"# Notes\n"})
    assert load(clients, name, repository).files is not None
    assert "NOTES.md" not in (load(clients, name, repository, "NOTES.md").files or {})


def test_it_works_with_a_mirror_as_its_upstream(
    server: HubStandIn, key: ec.EllipticCurvePrivateKey, public_key: Path, tmp_path: Path
) -> None:
    signed = create(server, key)
    denied = create(server, key)
    spoil(server, denied)
    with (
        Olah(server, tmp_path / "olah") as mirror,
        running(config(public_key, mirror.endpoint), tmp_path / "caches") as gateway,
        Clients(gateway.endpoint, tmp_path / "homes") as clients,
    ):
        for name in ("hf_hub_download 2.4.0", "curl"):
            assert load(clients, name, signed).files
            said = load(clients, name, denied)
            assert said.files is None
            assert ReasonCode.FILE_CHANGED in said.text


@pytest.fixture(scope="module")
def private(
    server: HubStandIn, public_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clients]:
    """All clients, of a user who may see the repository."""
    folder = tmp_path_factory.mktemp("private")
    with (
        running(config(public_key, server.endpoint), folder / "caches") as gateway,
        Clients(gateway.endpoint, folder / "homes", server.token) as clients,
    ):
        yield clients


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_ALL_FILES])
def test_each_shows_its_token_to_the_gateway(
    private: Clients, server: HubStandIn, key: ec.EllipticCurvePrivateKey, name: str
) -> None:
    repository = create(server, key, private=True)
    assert load(private, name, repository).files is not None


def test_the_guide_has_a_row_of_each_table_for_each() -> None:
    rows = re.findall(r"^\| (.+?) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    for name in (*NAMES, *MORE_NAMES):
        assert rows.count(name) >= 2, f"run `{COMMAND}`"
