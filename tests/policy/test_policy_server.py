"""Policies on a real OPA server, and answers that are none."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.decision_log import read_events
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wire import TlsFiles
from oms_gate.reason_codes import ReasonCode
from tests.policy.certificates import Certify
from tests.policy.hostile_server import SECONDS, answer, failure, failure_at, serve
from tests.policy.opa_process import TOKEN, OpaServer, free_port, run_opa

# Against a real OPA.


@pytest.fixture(scope="module")
def odd_policies(opa_server: OpaServer) -> None:
    opa_server.put("policies/odd", 'package odd\nfails := {"allow": to_number("x") == 1}')
    opa_server.put(
        "policies/slow",
        'package slow\nslow := {"allow": n == 0} if n := count([1 | '
        "some i in numbers.range(1, 5000); some j in numbers.range(1, 5000); i * j < 0])",
    )
    opa_server.put("policies/two", 'package two\nx := {"allow": true}\nx := {"allow": false}')
    opa_server.put("policies/typed", 'package typed\nx := {"allow": "yes"}')


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("oms_gate/admission/decisions", ReasonCode.POLICY_UNDEFINED, "oms_gate/admission"),
        ("odd/fails", ReasonCode.POLICY_ERROR, "to_number"),
        ("slow/slow", ReasonCode.POLICY_TIMEOUT, "policy_seconds"),
        ("two/x", ReasonCode.POLICY_ERROR, "conflict"),
        ("typed/x", ReasonCode.POLICY_ILL_TYPED, "allow"),
        ("typed", ReasonCode.POLICY_ILL_TYPED, "allow"),
    ],
)
def test_failures_of_policies(
    opa_server: OpaServer, odd_policies: None, path: str, code: ReasonCode, words: str
) -> None:
    reason = failure(ServerEngine(opa_server.url, token=TOKEN, path=path, timeout=SECONDS))
    assert reason.code is code
    assert words in reason.message


@pytest.mark.parametrize("token", ["another-token", None])
def test_a_wrong_token(opa_server: OpaServer, token: str | None) -> None:
    reason = failure(ServerEngine(opa_server.url, token=token))
    assert reason.code is ReasonCode.POLICY_ERROR
    assert "status 401, check its token" in reason.message


def test_health(opa_server: OpaServer) -> None:
    good = ServerEngine(opa_server.url, token=TOKEN)
    assert good.kind == "server"
    good.health()
    good.close()
    for engine in (
        ServerEngine(opa_server.url, token="another-token"),
        ServerEngine(opa_server.url, token=TOKEN, path="oms_gate/nothing"),
        ServerEngine(f"http://127.0.0.1:{free_port()}"),
    ):
        with pytest.raises(PolicyError):
            engine.health()
        engine.close()
    with serve(answer(b"{}", "500 No")) as server:
        engine = ServerEngine(server.url)
        with pytest.raises(PolicyError):
            engine.health()
        engine.close()


def test_what_cannot_be_sent() -> None:
    engine = ServerEngine(f"http://127.0.0.1:{free_port()}")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (float("nan"), deep):
        with pytest.raises(PolicyError) as caught:
            engine.decide({"x": value})
        assert caught.value.reason.code is ReasonCode.POLICY_ERROR


def test_the_revision_is_that_of_the_bundles(opa: Path, tmp_path: Path) -> None:
    (tmp_path / "x.rego").write_text('package oms_gate.admission\ndecision := {"allow": true}')
    build = [str(opa), "build", "--revision", "r7", "x.rego", "-o", "bundle.tar.gz"]
    subprocess.run(build, cwd=tmp_path, check=True)
    with run_opa(opa, tmp_path, "--bundle", "bundle.tar.gz") as server:
        engine = ServerEngine(server.url)
        assert engine.revision == f"{server.url}/v1/data/oms_gate/admission/decision"
        engine.health()
        assert engine.revision == "bundle.tar.gz@r7"
        engine.close()


ANSWERS: dict[str, tuple[bytes, ReasonCode]] = {
    "no result": (b"{}", ReasonCode.POLICY_UNDEFINED),
    "another result": (b'{"results": {"allow": true}}', ReasonCode.POLICY_UNDEFINED),
    "null": (b'{"result": null}', ReasonCode.POLICY_ILL_TYPED),
    "true": (b'{"result": true}', ReasonCode.POLICY_ILL_TYPED),
    "allow is no boolean": (b'{"result": {"allow": "true"}}', ReasonCode.POLICY_ILL_TYPED),
    "allow is a number": (b'{"result": {"allow": 1}}', ReasonCode.POLICY_ILL_TYPED),
    "no allow": (b'{"result": {"deny": []}}', ReasonCode.POLICY_ILL_TYPED),
    "partial": (b'{"result": {"allow": true, "deny": [{}]}}', ReasonCode.POLICY_ILL_TYPED),
}


@pytest.mark.parametrize(("body", "code"), ANSWERS.values(), ids=ANSWERS)
def test_answers_that_are_no_decision(body: bytes, code: ReasonCode) -> None:
    assert failure_at(answer(body)).code is code


PROVENANCES: list[object] = [
    None,
    [],
    {},
    {"bundles": []},
    {"bundles": {"a": 1}},
    {"bundles": {"a": {}}},
    {"bundles": {"a": {"revision": ""}}},
]


@pytest.mark.parametrize("provenance", PROVENANCES, ids=repr)
def test_a_provenance_without_bundles(provenance: object) -> None:
    body = json.dumps({"result": {"allow": True}, "provenance": provenance}).encode()
    with serve(answer(body)) as server:
        engine = ServerEngine(server.url)
        assert engine.decide({}).allow
        assert engine.revision == f"{server.url}/v1/data/oms_gate/admission/decision"
        engine.close()


def test_a_revision_is_shown_escaped() -> None:
    bundles = {"a\x1b[2J": {"revision": "\u202er"}, "b": {"revision": "7"}}
    body = json.dumps({"result": {"allow": True}, "provenance": {"bundles": bundles}}).encode()
    with serve(answer(body)) as server:
        engine = ServerEngine(server.url)
        assert engine.decide({}).allow
        assert engine.revision == "a\\x1b[2J@\\u202er, b@7"
        engine.close()


# Configuration.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "localhost:8181"}, "URL"),
        ({"url": "ftp://localhost"}, "URL"),
        ({"url": "http://"}, "URL"),
        ({"url": "http://localhost:port"}, "URL"),
        ({"url": "http://localhost:99999"}, "URL"),
        ({"url": "http://localhost/opa"}, "URL"),
        ({"url": "http://localhost?x=1"}, "URL"),
        ({"url": "http://localhost#x"}, "URL"),
        ({"url": "http://[::1"}, "URL"),
        ({"url": "unix://run/opa.sock"}, "URL"),
        ({"url": "unix:///run/opa\n"}, "URL"),
        ({"url": "http://me:secret@localhost"}, "credentials"),
        ({"url": "http://localhost:8181\n"}, "URL"),
        ({"path": "../policies"}, "path"),
        ({"path": "a/b?x=1"}, "path"),
        ({"path": "/a"}, "path"),
        ({"path": "a.b"}, "path"),
        ({"token": ""}, "token"),
        ({"token": "a b"}, "token"),
        ({"token": "a\r\nX: y"}, "token"),
        ({"token": "é"}, "token"),
        ({"url": "https://opa", "tls": TlsFiles(Path("/absent/ca.pem"))}, "ca.pem"),
        ({"url": "https://opa", "tls": TlsFiles(Path(__file__))}, "test_policy_server.py"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerEngine(**{"url": "http://localhost:8181", **options})
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


# A socket, mutual TLS, and what its decision log calls a decision.


def test_a_unix_socket(opa: Path, tmp_path: Path) -> None:
    (tmp_path / "x.rego").write_text('package oms_gate.admission\ndecision := {"allow": true}')
    path = tmp_path / "opa.sock"
    with run_opa(opa, tmp_path, "--addr", f"unix://{path}", "x.rego"):
        engine = ServerEngine(f"unix://{path}")
        engine.health()
        assert engine.decide({}).allow
        assert engine.revision == f"unix://{path}/v1/data/oms_gate/admission/decision"
        engine.close()
    path.unlink(missing_ok=True)
    reason = failure(ServerEngine(f"unix://{path}", retries=0))
    assert reason.code is ReasonCode.POLICY_UNREACHABLE
    assert str(path) in reason.message


def test_mutual_tls(opa: Path, tmp_path: Path, certify: Certify) -> None:
    (tmp_path / "x.rego").write_text('package oms_gate.admission\ndecision := {"allow": true}')
    _, ca = certify("127.0.0.1")
    _, client = certify("127.0.0.3")
    port = free_port()
    options = ["--addr", f"https://127.0.0.1:{port}", "--authentication=tls"]
    options += ["--tls-cert-file", str(ca), "--tls-private-key-file", str(ca.parent / "key.pem")]
    options += ["--tls-ca-cert-file", str(client), "--set=decision_logs.console=true"]
    url = f"https://127.0.0.1:{port}"
    with run_opa(opa, tmp_path, *options, "x.rego"):
        known = ServerEngine(url, tls=TlsFiles(ca, client, client.parent / "key.pem"))
        deadline = time.monotonic() + 10
        while True:
            with suppress(PolicyError):
                decision = known.decide({"now": 1})
                break
            assert time.monotonic() < deadline
        known.close()
        unknown = failure(ServerEngine(url, tls=TlsFiles(ca), retries=0))
        foreign = TlsFiles(ca, ca, ca.parent / "key.pem")
        stranger = failure(ServerEngine(url, tls=foreign, retries=0))
    assert unknown.code is stranger.code is ReasonCode.POLICY_UNREACHABLE
    assert "cert_file" in unknown.message
    (logged,) = read_events(tmp_path / "opa.log")
    assert logged.decision_id == decision.decision_id is not None
    assert logged.input == {"now": 1}
    assert logged.result == {"allow": True}


def test_a_client_certificate_that_cannot_be_used(certify: Certify) -> None:
    _, certificate = certify("127.0.0.1")
    _, other = certify("127.0.0.2")
    another = other.parent / "key.pem"
    for key, named in ((None, "the key in it"), (another, re.escape(str(another)))):
        with pytest.raises(ConfigError, match=f"and {named} cannot be used as the client of"):
            ServerEngine("https://opa", tls=TlsFiles(None, certificate, key))
