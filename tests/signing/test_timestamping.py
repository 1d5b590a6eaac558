"""Timestamps from an authority over HTTP: the right answer is taken, and nothing else."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from oms_gate.errors import SigningError, UsageError
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.oms.statement import parse_statement
from oms_gate.signing.services import ANSWER_BYTES, Service
from oms_gate.signing.timestamps import timestamper
from tests.oms import forge
from tests.peers.wire import Origin, Request, RequestRecord, Response
from tests.policy.hostile_server import Behaviour, answer, raw, serve
from tests.sigstore import der
from tests.sigstore.instance import signature_of
from tests.sigstore.server import SigstoreServer
from tests.sigstore.timestamps import GRANTED_WITH_CHANGES, REJECTED

MESSAGE = b"a signature"
PATH = "/api/v1/timestamp"


def refusal(url: str) -> str:
    """Why there is no timestamp: one sentence that names the authority."""
    with pytest.raises(SigningError) as caught:
        timestamper(url)(MESSAGE)
    message = str(caught.value)
    assert message.startswith(f"the timestamp authority {url} ")
    assert "; " in message
    assert "\n" not in message
    return message


def asked(request: Request) -> tuple[bytes, int]:
    """The digest and the nonce of a request."""
    ((_, content),) = der.read(request.read())
    _version, (_, imprint), *options = der.read(content)
    _algorithm, (_, digest) = der.read(imprint)
    return digest, int.from_bytes(dict(options)[der.INTEGER], "big")


def stamping(server: SigstoreServer, change: Callable[[dict[str, Any]], object]) -> None:
    """Let the authority's timestamps be right but for a `change` of what they are made from."""

    def stamp(request: Request) -> Response:
        digest, nonce = asked(request)
        made: dict[str, Any] = {"digest": digest, "at": datetime.now(UTC), "nonce": nonce}
        change(made)
        return Response.of(server.sigstore.timestamp_authority.stamp(**made))

    server.routes["POST", PATH] = stamp


def saying(server: SigstoreServer, response: Response) -> str:
    """Why there is no timestamp, where the authority answers so."""
    server.routes["POST", PATH] = lambda _: response
    return refusal(server.url + PATH)


def test_the_answer_is_a_timestamp_over_the_message(server: SigstoreServer) -> None:
    before = datetime.now(UTC)
    response = decode_timestamp_response(timestamper(server.url + PATH)(MESSAGE))
    assert timedelta(seconds=-1) <= response.tst_info.gen_time - before <= timedelta(minutes=1)
    (root,) = (party.certificate for party in server.sigstore.timestamp_authority.chain[-1:])
    verifier = VerifierBuilder(roots=[root]).build()
    verifier.verify_message(response, MESSAGE)
    with pytest.raises(VerificationError):
        verifier.verify_message(response, MESSAGE + b"!")
    (request,) = server.requests
    assert request.headers["content-type"] == "application/timestamp-query"
    assert request.headers["accept"] == "application/timestamp-reply"


def test_a_bundle_carries_the_whole_response(server: SigstoreServer) -> None:
    manifest = parse_statement(forge.encode(forge.statement()), forge.LIMITS).manifest
    stamped = timestamper(server.url + PATH)
    data = sign_with_key(payload_of(manifest, "model"), forge.key(), timestamper=stamped)
    forge.checked(data)
    bundle = json.loads(data)
    evidence = bundle["verificationMaterial"]["timestampVerificationData"]
    (entry,) = evidence["rfc3161Timestamps"]
    response = decode_timestamp_response(base64.b64decode(entry["signedTimestamp"]))
    assert response.tst_info.message_imprint.message.hex() == forge.sha256(signature_of(bundle))


def test_each_request_is_another(server: SigstoreServer) -> None:
    nonces = []
    stamping(server, lambda made: nonces.append(made["nonce"]))
    for _ in range(2):
        timestamper(server.url + PATH)(MESSAGE)
    assert nonces[0] != nonces[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"nonce": 5}, "it is the answer to another request"),
        ({"nonce": None}, "it is the answer to another request"),
        ({"digest": b"\5" * 32}, "it is a timestamp for something else"),
        ({"algorithm": "sha512"}, "it is a timestamp for something else"),
        ({"embedded": False}, "it lacks the authority's certificate"),
        ({"status": REJECTED}, "its status is 2 and not 0, granted"),
        ({"status": GRANTED_WITH_CHANGES}, "its status is 1 and not 0, granted"),
    ],
)
def test_an_answer_to_something_else_is_refused(
    server: SigstoreServer, change: dict[str, Any], why: str
) -> None:
    stamping(server, lambda _: None)
    timestamper(server.url + PATH)(MESSAGE)
    stamping(server, lambda made: made.update(change))
    assert f"cannot be used ({why})" in refusal(server.url + PATH)


def test_an_old_answer_is_refused(server: SigstoreServer) -> None:
    old = Response.of(timestamper(server.url + PATH)(MESSAGE))
    assert "another request" in saying(server, old)


def test_a_rejection_is_passed_on(server: SigstoreServer) -> None:
    status = der.sequence(der.integer(REJECTED), der.sequence(der.utf8("closed\x1b[2J")))
    assert "granted, 'closed\\x1b[2J')" in saying(server, Response.of(der.sequence(status)))


def test_whatever_follows_a_timestamp_is_refused(server: SigstoreServer) -> None:
    stamping(server, lambda _: None)
    honest = server.routes["POST", PATH]

    def stamp(request: Request) -> Response:
        blocks = [*honest(request).blocks, b"\0"]
        return Response(200, {}, blocks, sum(map(len, blocks)))

    server.routes["POST", PATH] = stamp
    assert "cannot be used (ASN.1 parse error" in refusal(server.url + PATH)


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"{}", b"\x30\x80"])
def test_what_is_no_timestamp_is_refused(server: SigstoreServer, content: bytes) -> None:
    assert "cannot be used (ASN.1 parse error" in saying(server, Response.of(content))


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (400, "refused the request (HTTP 400: 'no \\x1b'); check its address, and whom it serves"),
        (404, "refused the request (HTTP 404: 'no \\x1b'); check its address, and whom it serves"),
        (408, "is not available (HTTP 408: 'no \\x1b'); try again later"),
        (429, "is not available (HTTP 429: 'no \\x1b'); try again later"),
        (500, "is not available (HTTP 500: 'no \\x1b'); try again later"),
        (503, "is not available (HTTP 503: 'no \\x1b'); try again later"),
    ],
)
def test_what_the_authority_says_of_its_refusal_is_passed_on(
    server: SigstoreServer, status: int, what: str
) -> None:
    assert saying(server, Response.json({"message": "no \x1b"}, status)).endswith(what)


@pytest.mark.parametrize(
    "content", [b"<html>", b"[1]", b'"no"', b'{"message": {}}', b"\xff", b"[" * 100_000, b""]
)
def test_a_refusal_without_a_word_is_one_too(server: SigstoreServer, content: bytes) -> None:
    assert "refused the request (HTTP 400); " in saying(server, Response.of(content, 400))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server: SigstoreServer, status: int) -> None:
    """Round in circles, or to what only this machine can reach."""
    target = f"{server.url}{PATH}"
    said = saying(server, Response.of(b"", status, {"Location": target}))
    assert f"redirects to '{target}', which is not followed" in said
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", [ANSWER_BYTES + 1, None])
def test_no_more_is_read_than_the_limit(server: SigstoreServer, length: int | None) -> None:
    block = b"\0" * 4096
    blocks = (block for _ in range(16 * ANSWER_BYTES // 4096))
    said = saying(server, Response(200, {}, blocks, length))
    assert f"more than {ANSWER_BYTES} bytes" in said
    assert server.requests[0].sent < 8 * ANSWER_BYTES


def trickling(head: bytes) -> Behaviour:
    """Send `head`, and then a byte at a time, for much longer than anybody waits."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    return behave


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "behaviour",
    [
        lambda connection: connection.recv(1),
        trickling(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"),
    ],
    ids=["silent", "slow headers", "slow body"],
)
def test_a_slow_authority_is_not_waited_for(behaviour: Behaviour) -> None:
    start = time.monotonic()
    with serve(behaviour) as hostile:
        assert "did not answer within 0.4 seconds; try again later" in refusal(f"{hostile.url}/x")
        assert time.monotonic() - start < 6


@pytest.mark.parametrize(
    "behaviour",
    [raw(), raw(b"\0\1\2\r\n\r\n"), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")],
    ids=["hangs up", "no HTTP", "breaks off"],
)
def test_a_broken_answer_is_none(behaviour: Behaviour) -> None:
    with serve(behaviour) as hostile:
        assert "did not answer (" in refusal(f"{hostile.url}/x")


def test_nobody_there(server: SigstoreServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = refusal(f"http://127.0.0.1:{port}/")
    assert " did not answer ([Errno " in said
    assert "Connection refused); check its address" in said


def test_an_authority_may_have_a_name_or_an_address_of_version_6(server: SigstoreServer) -> None:
    assert timestamper(server.url.replace("127.0.0.1", "LocalHost") + PATH)(MESSAGE)
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = listener.getsockname()[1]
    assert "Connection refused" in refusal(f"http://[::1]:{port}/")


def test_plain_http_takes_the_proxy_of_the_environment(
    server: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[RequestRecord] = []
    stamping(server, lambda _: None)
    proxy = Origin("proxy", server.routes["POST", PATH], records.append)
    proxy.start()
    try:
        monkeypatch.setenv("http_proxy", proxy.url)
        timestamper("http://timestamp.invalid/tsr")(MESSAGE)
    finally:
        proxy.stop()
    assert [record.path for record in records] == ["http://timestamp.invalid/tsr"]


def test_a_proxy_that_cannot_be_one_is_told(
    server: SigstoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "ftp://127.0.0.1")
    assert "did not answer (Proxy URL had unsupported scheme ftp" in refusal(server.url + PATH)


def test_the_authority_of_a_https_server_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    party = forge.issue_leaf(
        "localhost",
        more=[x509.SubjectAlternativeName([x509.DNSName("localhost")])],
        start=now - timedelta(hours=1),
        end=now + timedelta(hours=1),
    )
    file = tmp_path / "localhost.pem"
    file.write_bytes(
        party.pem
        + party.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serve(answer(b"", "404 Not Found"), context) as hostile:
        url = hostile.url.replace("http://127.0.0.1", "https://localhost")
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
        assert "did not answer (" in refusal(url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
        assert "refused the request (HTTP 404)" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "timestamp.example.com",
        "ftp://timestamp.example.com/",
        "https://",
        "https:///path",
        "https://user:secret@timestamp.example.com/",
        "https://timestamp.example.com:port/",
        "https://timestamp.example.com:0/",
        "https://[::1/",
        "https://timestamp.example.com./",
        "https://127.0.0.1\\.example.com/",
        "https://timestamp.example.com/\r\nX: y",
        "https://timestamp.example.com/a b",
        "https://t\u00efmestamp.example.com/",
    ],
)
def test_addresses_are_those_of_services(url: str) -> None:
    timestamper("https://timestamp.example.com/tsr?x=y")
    with pytest.raises(UsageError, match="not the address of a service") as caught:
        timestamper(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_panics_become_errors_and_interruptions_stay_what_they_are() -> None:
    class PanicException(BaseException):
        """As compiled code calls it."""

    service = Service("test service", refused="", unusable="use another")
    said = r"the test service x gave .* \(deep\); use another"
    with pytest.raises(SigningError, match=said), service.answering("x"):
        raise PanicException("deep")
    for passing in (KeyboardInterrupt, UsageError("mine")):
        with pytest.raises((KeyboardInterrupt, UsageError)), service.answering("x"):
            raise passing
