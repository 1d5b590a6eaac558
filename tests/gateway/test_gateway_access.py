"""Private and gated repositories: a verdict for one client reveals nothing to another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.config import GateConfig
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.gateway.running import Running, running
from tests.peers.hub import HubStandIn

WEIGHTS = "model.safetensors"


@pytest.fixture
def gateway(
    hub: HubStandIn,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Running]:
    """A gateway on a machine that has a token of its own, which may see everything."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        yield gateway


@pytest.fixture
def signature(key: ec.EllipticCurvePrivateKey) -> bytes:
    return models.signature(models.FILES, key)


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def tokens_of(hub: HubStandIn) -> set[str | None]:
    """What the Hub was shown; what is at its CDN needs none."""
    return {r.headers.get("authorization") for r in hub.requests if r.origin == "api"}


QUESTIONS = [
    ("GET", f"/acme/m/resolve/main/{WEIGHTS}", {}),
    ("HEAD", f"/acme/m/resolve/main/{WEIGHTS}", {}),
    ("GET", f"/acme/m/resolve/main/{WEIGHTS}", {"Range": "bytes=0-9"}),
    ("GET", f"/acme/m/resolve/COMMIT/{WEIGHTS}", {"Range": "bytes=0-"}),
    ("GET", "/acme/m/resolve/main/model.sig", {}),
    ("GET", "/acme/m/resolve/main/absent", {}),
    ("GET", "/api/models/acme/m", {}),
    ("GET", "/api/models/acme/m/revision/COMMIT", {}),
    ("GET", "/api/models/acme/m/tree/COMMIT?recursive=true", {}),
    ("POST", "/api/models/acme/m/paths-info/main", {}),
    ("GET", "/api/models/acme/m/refs", {}),
    ("GET", "/api/models/acme/m/commits/main", {}),
    ("GET", "/api/models/acme/m/auth-check", {}),
]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("kind", "codes"),
    [({"private": True}, {"RepoNotFound"}), ({"gated": "manual"}, {"GatedRepo"})],
)
def test_who_may_not_read_learns_nothing_of_what_others_were_given(
    gateway: Running,
    hub: HubStandIn,
    signature: bytes,
    kind: dict[str, Any],
    codes: set[str],
    signed: bool,
) -> None:
    files = {**models.FILES, **({"model.sig": signature} if signed else {})}
    commit = hub.create("acme/m", files=files, **kind)
    expected = {200, 206, 404} if signed else {403}
    questions = [(m, path.replace("COMMIT", commit), h) for m, path, h in QUESTIONS]
    for method, path, headers in questions:
        answer = gateway.ask(path, method, headers | bearer(hub.token))
        assert answer.status in expected
        assert answer.headers["X-OMS-Gate-Verdict"] == ("admitted" if signed else "denied")
    for token in (None, hub.state.outsider_token, "hf_nobody"):
        for method, path, headers in questions:
            answer = gateway.ask(path, method, headers | bearer(token))
            assert answer.headers["X-Error-Code"] in codes | {"RepoNotFound"}
            assert answer.status in (401, 403, 404)
            said = {name: v for name, v in answer.headers.items() if name.startswith("X-OMS-Gate")}
            assert said.keys() <= {"X-OMS-Gate-Reason"}
            assert all(value.startswith("store.") for value in said.values())
            told = f"{answer.headers}{answer.content!r}"
            assert commit in path or commit not in told
            assert not [word for word in ("signature", "sha256", "verdict") if word in told]
    assert gateway.ask(QUESTIONS[0][1], headers=bearer(hub.token)).status in expected


def test_each_client_asks_with_its_own_token(
    gateway: Running, hub: HubStandIn, signature: bytes
) -> None:
    hub.create("acme/m", files={**models.FILES, "model.sig": signature})
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    for token in (hub.token, hub.state.outsider_token, None):
        hub.clear()
        assert gateway.ask(path, headers=bearer(token)).status == 200
        gateway.ask("/api/models/acme/m/refs", headers=bearer(token))
        assert tokens_of(hub) == {bearer(token).get("Authorization")}


def test_what_is_let_through_is_asked_for_with_each_clients_token(
    hub: HubStandIn, settings: dict[str, Any], tmp_path: Path
) -> None:
    hub.create("acme/m", files=dict(models.FILES))
    config = GateConfig.model_validate(settings | {"mode": "annotate"})
    with running(config, tmp_path / "caches") as gateway:
        for token in (hub.token, hub.state.outsider_token, hub.token):
            hub.clear()
            for path in ("/acme/m/resolve/main/config.json", "/api/models/acme/m/refs"):
                assert gateway.ask(path, headers=bearer(token)).status == 200
            assert tokens_of(hub) == {f"Bearer {token}"}


def test_access_that_was_withdrawn_ends(
    hub: HubStandIn, settings: dict[str, Any], signature: bytes, tmp_path: Path
) -> None:
    hub.create("acme/m", files={**models.FILES, "model.sig": signature})
    config = GateConfig.model_validate(settings | {"gateway": {"access_seconds": 0.2}})
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    with running(config, tmp_path / "caches") as gateway:
        client = bearer(hub.state.outsider_token)
        assert gateway.ask(path, headers=client).status == 200
        hub.state.repositories["model", "acme/m"].private = True
        time.sleep(0.25)
        answer = gateway.ask(path, headers=client)
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")


def test_what_is_private_is_not_kept_with_what_is_not(
    gateway: Running, hub: HubStandIn, signature: bytes, tmp_path: Path
) -> None:
    files = {**models.FILES, "model.sig": signature}
    hub.create("acme/private", files=files, private=True)
    hub.create("acme/public", files=files)
    private = f"/acme/private/resolve/main/{WEIGHTS}"
    assert gateway.ask(private, headers=bearer(hub.token)).content == files[WEIGHTS]
    # The same content elsewhere is read from there: that it is here already says nothing.
    hub.replace_under_commit("acme/public", WEIGHTS, files[WEIGHTS][:-1] + b"x")
    public = gateway.ask(f"/acme/public/resolve/main/{WEIGHTS}")
    assert public.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED
    assert gateway.ask(private, headers=bearer(hub.token)).content == files[WEIGHTS]
    assert len(list((tmp_path / "caches").glob("*/known"))) == 2


def test_a_wrong_file_is_denied_to_all(
    gateway: Running, hub: HubStandIn, signature: bytes, key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files={**models.FILES, "model.sig": signature})
    tokens = (hub.token, hub.state.outsider_token)
    for token in tokens:
        assert gateway.ask("/acme/m/resolve/main/config.json", headers=bearer(token)).status == 200
    hub.replace_under_commit("acme/m", WEIGHTS, models.FILES[WEIGHTS][:-1] + b"x")
    assert gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}", headers=bearer(tokens[0])).status == 403
    everybody: list[str | None] = [*tokens, None]
    for each in everybody:
        answer = gateway.ask("/acme/m/resolve/main/config.json", headers=bearer(each))
        assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic aGY6eA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \xfc"},
    ],
)
def test_what_is_no_token_is_refused(
    gateway: Running, hub: HubStandIn, headers: dict[str, str]
) -> None:
    assert gateway.ask("/api/models/acme/m", headers=headers).status == 400
    assert not hub.requests
