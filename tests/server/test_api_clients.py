"""Who may ask: tokens that rotate, certificates, and nobody else."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from oms_gate.config import load_config
from oms_gate.errors import ConfigError
from tests.peers.authority import Authority
from tests.server.asking import TOKENS, Server, serving, settings

TOKEN = TOKENS["red"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def status(server: Server, authorization: str | None, path: str = "/v1/verdicts") -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = requests.get(server.url + path, headers=headers, timeout=10)
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert " Basic " in answer.headers["WWW-Authenticate"]
    return answer.status_code


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {TOKEN}", f"bearer   {TOKEN}", basic("red", TOKEN)],
    ids=["bearer", "case", "basic"],
)
def test_a_client_is_known_by_its_token(api: Server, authorization: str) -> None:
    assert status(api, authorization) == 200
    assert status(api, authorization, "/") == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Token {TOKEN}",
        f"Bearer {TOKEN} x",
        f"Bearer {TOKEN},Bearer {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}=",
        "Bearer " + hashlib.sha256(TOKEN.encode()).hexdigest(),
        "Bearer " + "a" * 5000,
        basic("ops", TOKEN),
        basic("", TOKEN),
        basic(TOKEN, ""),
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:" + TOKEN.encode()).decode(),
        "Basic !!!!",
        "Basic YQ",
        'Digest username="red"',
    ],
)
@pytest.mark.parametrize("path", ["/v1/verdicts", "/", f"/verdicts/{'0' * 32}"])
def test_nobody_else_is(api: Server, authorization: str | None, path: str) -> None:
    assert status(api, authorization, path) == 401


def test_two_tokens_are_none(api: Server) -> None:
    import http.client

    host = api.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest("GET", "/v1/verdicts")
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Authorization", f"Bearer {TOKENS['ops']}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_a_huge_header_is_refused(api: Server) -> None:
    assert status(api, "Bearer " + "a" * 100_000) == 400


def test_without_clients_nothing_is_there(public_key: Path, tmp_path: Path) -> None:
    config = settings(public_key)
    config["api"]["clients"] = []
    with serving(config, tmp_path) as api:
        for path in ("/v1/verdicts", "/", f"/v1/verdicts/{'0' * 32}"):
            assert status(api, f"Bearer {TOKEN}", path) == 404
        assert api.ask("hf://acme/model").status_code == 404


def test_tokens_rotate(public_key: Path, tmp_path: Path) -> None:
    config = settings(public_key)
    del config["api"]["clients"][1]["token_sha256"]
    config["api"]["clients"][1]["token_file"] = "tokens"
    file = tmp_path / "tokens"

    def write(*tokens: str) -> None:
        new = tmp_path / "new"
        new.write_text("\n".join(tokens) + "\n")
        new.chmod(0o600)
        new.rename(file)
        time.sleep(0.1)

    old, new = "old-token-0123456789", "new-token-0123456789"
    write(old)
    with serving(config, tmp_path) as api:
        assert (status(api, f"Bearer {old}"), status(api, f"Bearer {new}")) == (200, 401)
        write(old, new)
        assert (status(api, f"Bearer {old}"), status(api, f"Bearer {new}")) == (200, 200)
        write(new)
        assert (status(api, f"Bearer {old}"), status(api, f"Bearer {new}")) == (401, 200)
        write("short")  # Not in force, and nobody is let in by it.
        assert (status(api, "Bearer short"), status(api, f"Bearer {new}")) == (401, 200)


def test_a_client_that_is_taken_out_is_unknown(public_key: Path, tmp_path: Path) -> None:
    config = settings(public_key)
    with serving(config, tmp_path) as api:
        assert status(api, f"Bearer {TOKEN}") == 200
        config["api"]["clients"] = config["api"]["clients"][::2]
        (tmp_path / "gate.yaml").write_text(json.dumps(config))
        time.sleep(0.1)
        assert status(api, f"Bearer {TOKEN}") == 401
        assert status(api, f"Bearer {TOKENS['blue']}") == 200


@pytest.mark.parametrize(
    ("tokens", "mode", "word"),
    [
        ("", 0o600, "one token a line"),
        ("short\n", 0o600, "at least 16"),
        ("with spaces in the token\n", 0o600, "at least 16"),
        ("umläute-0123456789abc\n", 0o600, "characters"),
        (f"{TOKENS['ops']}\n", 0o600, "same token"),
        ("0123456789abcdef-x\n", 0o602, "every user"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_file_without_good_tokens_is_a_mistake(
    public_key: Path, tmp_path: Path, tokens: str | None, mode: int, word: str
) -> None:
    config = settings(public_key)
    config["api"]["clients"][1] = {"name": "red", "token_file": "tokens"}
    if tokens is not None:
        (tmp_path / "tokens").write_text(tokens)
        (tmp_path / "tokens").chmod(mode)
    with pytest.raises(ConfigError, match=word) as caught, serving(config, tmp_path):
        pass
    assert TOKENS["ops"] not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda api: api["clients"][1].update(name="ops"), "same name"),
        (lambda api: api["clients"][1].update(name="a:b"), "name"),
        (lambda api: api["clients"][1].pop("token_sha256"), "nobody can be known"),
        (lambda api: api["clients"][1].update(token_sha256=[TOKEN]), "token_sha256"),
        (lambda api: api["clients"][1].update(api["clients"][0], name="red"), "same token"),
        (lambda api: api["clients"][1].update(oprator=True), "did you mean 'operator'"),
        (lambda api: api.update(schemes=["file"]), "schemes"),
        (lambda api: api.update(schemes=["https"]), "schemes"),
        (lambda api: api.update(wait_seconds=float("inf")), "wait_seconds"),
    ],
)
def test_a_mistake_in_the_settings_is_told(
    public_key: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], word: str
) -> None:
    config = settings(public_key)
    change(config["api"])
    (tmp_path / "gate.yaml").write_text(json.dumps(config).replace("Infinity", ".inf"))
    with pytest.raises(ConfigError, match=word):
        load_config(tmp_path / "gate.yaml")


def test_a_client_is_known_by_its_certificate(public_key: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", hosts=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    config = settings(public_key)
    config["api"]["clients"][1]["certificate"] = "scheduler.example.org"
    config["api"]["clients"][2]["certificate"] = "CN=blue"
    shown = {
        "by its name": ("scheduler", ["scheduler.example.org"], 200),
        "by its subject": ("blue", [], 200),
        "one with a name and this subject": ("blue", ["else.example.org"], 401),
        "one with two names": ("two", ["scheduler.example.org", "x.example.org"], 401),
        "a stranger's": ("stranger", [], 401),
    }
    with serving(config, tmp_path, context) as api:

        def asked(**more: Any) -> int:
            where = f"{api.url}/v1/verdicts"
            answer = requests.get(where, verify=str(authority.certificate), timeout=10, **more)
            return answer.status_code

        for what, (name, hosts, expected) in shown.items():
            own = authority.issue(name, hosts=hosts)
            certificate = (str(own.certificate), str(own.key))
            assert asked(cert=certificate) == expected, what
        assert asked() == 401
        own = authority.issue("blue")
        certificate = (str(own.certificate), str(own.key))
        wrong = {"Authorization": "Bearer wrong-token-0123456789"}
        assert asked(cert=certificate, headers=wrong) == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert asked(headers=right) == 200
