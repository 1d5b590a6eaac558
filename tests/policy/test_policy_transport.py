"""OPA servers that are down, slow, broken or hostile."""

from __future__ import annotations

import gzip
import json
import socket
import time
from pathlib import Path

import pytest

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.breaker import Breaker
from oms_gate.policy.engine import ANSWER_BYTES
from oms_gate.policy.server import ServerEngine
from oms_gate.policy.wire import TlsFiles
from oms_gate.reason_codes import ReasonCode
from tests.policy.certificates import Certify
from tests.policy.hostile_server import (
    GOOD,
    SECONDS,
    Behaviour,
    answer,
    failure,
    failure_at,
    raw,
    serve,
)
from tests.policy.opa_process import TOKEN, free_port

# Not there.


def test_down() -> None:
    reason = failure(ServerEngine(f"http://127.0.0.1:{free_port()}", timeout=SECONDS))
    assert reason.code is ReasonCode.POLICY_UNREACHABLE
    assert "refused" in reason.message


def test_no_such_name() -> None:
    engine = ServerEngine(f"http://{'a' * 64}.invalid", timeout=SECONDS)
    assert failure(engine).code is ReasonCode.POLICY_UNREACHABLE


def test_a_full_backlog() -> None:
    """A port that accepts nothing, as behind a firewall that drops."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        reason = failure(ServerEngine(f"http://127.0.0.1:{address[1]}", timeout=SECONDS))
        assert reason.code is ReasonCode.POLICY_UNREACHABLE
        for each in waiting:
            each.close()


def test_hung_up() -> None:
    assert failure_at(raw()).code is ReasonCode.POLICY_UNREACHABLE
    assert failure_at(reset).code is ReasonCode.POLICY_UNREACHABLE


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


# Slow.


def silence(connection: socket.socket) -> None:
    connection.recv(1)


def drip(start: bytes, piece: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(SECONDS / 20)

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SLOW = {
    "silence": silence,
    "status": drip(b"HTTP/1.1 200 ", b"O"),
    "header": drip(b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "interim answers": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
    "body to the end": drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunks": drip(CHUNKED, b"1\r\n \r\n"),
    "chunk length": drip(CHUNKED, b"0"),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
def test_slow(behaviour: Behaviour) -> None:
    assert failure_at(behaviour).code is ReasonCode.POLICY_TIMEOUT


# Broken or hostile.


def flood(start: bytes, piece: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece * 100)

    return behave


ERRORS: dict[str, tuple[Behaviour, str]] = {
    "500": (
        answer(b'{"code": "internal_error", "message": "It broke"}', "500 Internal Server Error"),
        "status 500: It broke",
    ),
    "500 with details": (
        answer(b'{"message": "a", "errors": [{"message": "b"}, 5]}', "500 Internal Server Error"),
        "status 500: a; b; 5",
    ),
    "400": (answer(b'{"message": "No such thing"}', "400 Bad Request"), "No such thing"),
    "403": (answer(b"", "403 Forbidden"), "check its token"),
    "an error that is no object": (answer(b"[1]", "500 No"), "[1]"),
    "a deep error": (answer(b"[" * 100_000, "500 No"), "[[["),
    "a long error": (answer(b"x" * 100_000, "500 No"), "x" * 300),
    "an error with control characters": (answer(b"\x1b[2J\xff", "500 No"), "\\x1b[2J"),
    "nothing": (answer(b""), "JSON"),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "JSON"),
    "HTML": (answer(b"<html>"), "JSON"),
    "half of it": (answer(GOOD[:-1]), "JSON"),
    "more than it": (answer(GOOD + b"}"), "JSON"),
    "hung up in the middle": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", GOOD[:10]),
        "JSON",
    ),
    "hung up in a chunk": (raw(CHUNKED, b"fff\r\n", GOOD), "broke off"),
    "no text": (answer(b"\xff\xfe" + GOOD), "JSON"),
    "a list": (answer(b"[]"), "object"),
    "a number": (answer(b"1"), "object"),
    "deep": (answer(b"[" * 100_000 + b"]" * 100_000), "RecursionError"),
    "a long number": (answer(b'{"result": ' + b"9" * 10_000 + b"}"), "JSON"),
    "compressed": (answer(gzip.compress(GOOD), "200 OK", "Content-Encoding: gzip"), "JSON"),
    "large": (answer(b'"' + b"x" * ANSWER_BYTES + b'"'), "more than"),
    "endless": (flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000), "more than"),
    "endless chunks": (flood(CHUNKED, b"2710\r\n" + b"x" * 10_000 + b"\r\n"), "more than"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "broke off"),
    "many headers": (raw(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200), "broke off"),
    "a long header": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n"), "broke off"),
    "a wrong chunk": (raw(CHUNKED, b"zz\r\n"), "broke off"),
}


@pytest.mark.parametrize(("behaviour", "words"), ERRORS.values(), ids=ERRORS)
def test_errors(behaviour: Behaviour, words: str) -> None:
    reason = failure_at(behaviour)
    assert reason.code is ReasonCode.POLICY_ERROR
    assert words in reason.message
    assert len(reason.message) < 600
    assert TOKEN not in reason.message


@pytest.mark.parametrize("status", ["301 A", "302 B", "303 C", "307 D", "308 E"])
def test_redirects_are_not_followed(status: str) -> None:
    with serve(answer(GOOD)) as other:
        reason = failure_at(answer(b"", status, f"Location: {other.url}/v1/data"))
        assert reason.code is ReasonCode.POLICY_ERROR
        assert other.url in reason.message
        assert len(failure_at(answer(b"", status, f"Location: {'x' * 9999}")).message) < 600
        assert not other.requests


def test_the_request(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment changes who is asked, or with what token."""
    with serve(answer(GOOD)) as server, serve(answer(GOOD)) as proxy:
        netrc = home / ".netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        engine = ServerEngine(server.url + "/", token=TOKEN, timeout=SECONDS)
        assert engine.decide({"é": 1}).allow
        engine.close()
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == (
            "POST /v1/data/oms_gate/admission/decision?strict-builtin-errors=true&provenance=true"
            " HTTP/1.1"
        )
        assert f"Authorization: Bearer {TOKEN}" in lines
        assert f"Host: 127.0.0.1:{server.port}" in lines
        assert json.loads(body) == {"input": {"é": 1}}
        assert not proxy.requests


# TLS.


def test_tls(certify: Certify) -> None:
    context, ca_file = certify("127.0.0.1")
    with serve(answer(GOOD), context) as server:
        url = f"https://127.0.0.1:{server.port}"
        engine = ServerEngine(url, token=TOKEN, tls=TlsFiles(ca_file))
        assert engine.decide({}).allow
        engine.close()
        assert len(server.requests) == 1
        untrusted = failure(ServerEngine(url, token=TOKEN))
        plain = failure(ServerEngine(server.url, token=TOKEN, timeout=SECONDS))
        assert untrusted.code is plain.code is ReasonCode.POLICY_UNREACHABLE
        assert len(server.requests) == 1


def test_tls_for_another_host(certify: Certify) -> None:
    context, ca_file = certify("127.0.0.2")
    with serve(answer(GOOD), context) as server:
        engine = ServerEngine(
            f"https://127.0.0.1:{server.port}", token=TOKEN, tls=TlsFiles(ca_file)
        )
        assert failure(engine).code is ReasonCode.POLICY_UNREACHABLE
        assert not server.requests


def test_tls_to_a_server_without(certify: Certify) -> None:
    with serve(answer(GOOD)) as server:
        engine = ServerEngine(f"https://127.0.0.1:{server.port}", token=TOKEN, timeout=SECONDS)
        assert failure(engine).code is ReasonCode.POLICY_UNREACHABLE


def test_an_ipv6_address() -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with probe:
        port = probe.getsockname()[1]
    reason = failure(ServerEngine(f"http://[::1]:{port}"))
    assert reason.code is ReasonCode.POLICY_UNREACHABLE
    assert f"http://[::1]:{port}" in reason.message


# Attempts, and none.


def _after(failures: int, first: Behaviour, then: Behaviour) -> Behaviour:
    """Behave in one way so many times, and then in another."""
    left = iter(range(failures))

    def behave(connection: socket.socket) -> None:
        (first if next(left, None) is not None else then)(connection)

    return behave


BUSY = answer(b"", "503 Service Unavailable")


@pytest.mark.parametrize("first", [raw(), BUSY, answer(b"", "429 Too Many Requests")])
def test_another_attempt(first: Behaviour) -> None:
    with serve(_after(2, first, answer(GOOD))) as server:
        engine = ServerEngine(server.url, retries=2)
        assert engine.decide({}).allow
        engine.close()
        assert len(server.requests) == 3
    with serve(_after(2, first, answer(GOOD))) as server:
        engine = ServerEngine(server.url, retries=1)
        assert failure(engine).code is ReasonCode.POLICY_UNREACHABLE
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "first",
    [
        answer(b"{}", "500 Internal Server Error"),
        answer(b"{}", "401 Unauthorized"),
        answer(b"", "302 Found", "Location: http://127.0.0.1/"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    ],
    ids=["500", "401", "302", "dies mid-answer"],
)
def test_an_answer_is_not_asked_for_again(first: Behaviour) -> None:
    with serve(_after(1, first, answer(GOOD))) as server:
        assert failure(ServerEngine(server.url, retries=5)).code is ReasonCode.POLICY_ERROR
        assert len(server.requests) == 1


def test_one_deadline_for_all_attempts() -> None:
    with serve(BUSY) as server:
        started = time.monotonic()
        failure(ServerEngine(server.url, timeout=SECONDS, retries=10))
        assert time.monotonic() - started < SECONDS + 0.1
        assert 1 < len(server.requests) < 10


def test_the_circuit_opens_and_closes() -> None:
    later = _after(1, answer(GOOD), _after(1, BUSY, answer(GOOD)))
    with serve(_after(3, BUSY, later)) as server:
        engine = ServerEngine(server.url, retries=0, failures=2, rest=0.3)
        codes = [_code(engine) for _ in range(4)]
        assert codes == [
            ReasonCode.POLICY_UNREACHABLE,
            ReasonCode.POLICY_UNREACHABLE,
            ReasonCode.POLICY_CIRCUIT_OPEN,
            ReasonCode.POLICY_CIRCUIT_OPEN,
        ]
        assert ReasonCode.POLICY_CIRCUIT_OPEN.undecided
        assert len(server.requests) == 2
        time.sleep(0.3)
        # One probe, which fails, and it is open again.
        assert [_code(engine), _code(engine)] == codes[1:3]
        time.sleep(0.3)
        # Once answered, it takes as many failures as at first.
        assert [_code(engine) for _ in range(3)] == [None, ReasonCode.POLICY_UNREACHABLE, None]
        assert len(server.requests) == 6
        engine.close()


def test_one_probe_at_a_time() -> None:
    breaker = Breaker("the server", 1, 0)
    ill = PolicyError(ReasonCode.POLICY_TIMEOUT, "late")
    with pytest.raises(PolicyError, match="late"), breaker.closed():
        raise ill
    with breaker.closed(), pytest.raises(PolicyError, match="left alone"), breaker.closed():
        raise AssertionError("two questions went through")
    with breaker.closed():
        pass


def test_a_server_that_answers_is_not_ill() -> None:
    with serve(answer(b"{}", "500 Internal Server Error")) as server:
        engine = ServerEngine(server.url, failures=1)
        assert [_code(engine), _code(engine)] == [ReasonCode.POLICY_ERROR] * 2
        engine.close()


def _code(engine: ServerEngine) -> ReasonCode | None:
    try:
        engine.decide({})
    except PolicyError as error:
        return error.reason.code
    return None


def _kept(connection: socket.socket) -> None:
    """Answer whatever comes over one connection."""
    answer(GOOD)(connection)
    while connection.recv(65536):
        answer(GOOD)(connection)


def test_a_connection_is_used_again() -> None:
    with serve(_kept) as server:
        engine = ServerEngine(server.url)
        assert [_code(engine) for _ in range(3)] == [None] * 3
        assert len(server.requests) == 1
        engine.close()


def _unasked(connection: socket.socket) -> None:
    """Deny, and allow in advance what will be asked next."""
    answer(b'{"result": {"allow": false}}')(connection)
    time.sleep(SECONDS / 4)
    answer(GOOD)(connection)
    connection.recv(1)


def _breaking(connection: socket.socket) -> None:
    """Answer, and hang up when something else is asked."""
    answer(GOOD)(connection)
    connection.recv(1)


def test_an_answer_that_nobody_asked_for() -> None:
    with serve(_unasked) as server:
        engine = ServerEngine(server.url)
        for asked in (1, 2):
            assert not engine.decide({}).allow
            assert len(server.requests) == asked
            time.sleep(SECONDS / 2)
        engine.close()


def test_a_connection_that_breaks_when_it_is_used_again() -> None:
    with serve(_breaking) as server:
        engine = ServerEngine(server.url, retries=0)
        assert [_code(engine) for _ in range(3)] == [None] * 3
        assert len(server.requests) == 3
        engine.close()


# Secrets that are changed.


def test_a_token_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with serve(answer(GOOD)) as server:
        engine = ServerEngine(server.url, token_file=file)
        for content in ("first", "second", ""):
            file.write_text(content)
            assert engine.decide({}).allow
        engine.close()
        sent = [request.split(b"Bearer ")[1].split(b"\r\n")[0] for request in server.requests]
    assert sent == [b"first", b"second", b"second"]
    with pytest.raises(ConfigError, match=r"token .* is empty"):
        ServerEngine(server.url, token_file=file)


def test_authorities_are_read_again(certify: Certify, tmp_path: Path) -> None:
    context, ca_file = certify("127.0.0.1")
    _, another = certify("127.0.0.2")
    current = tmp_path / "current.pem"
    current.write_bytes(another.read_bytes())
    with serve(_kept, context) as server:
        url = f"https://127.0.0.1:{server.port}"
        engine = ServerEngine(url, tls=TlsFiles(current), retries=0)
        assert _code(engine) is ReasonCode.POLICY_UNREACHABLE
        current.write_bytes(ca_file.read_bytes())
        assert _code(engine) is None
        current.write_bytes(another.read_bytes())
        assert _code(engine) is ReasonCode.POLICY_UNREACHABLE
        engine.close()
