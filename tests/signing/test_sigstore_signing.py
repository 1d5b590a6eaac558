"""Signing through a private Sigstore: what comes out verifies, or nothing comes out."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from oms_gate.errors import ConfigError, SigningError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of
from oms_gate.oms.statement import parse_statement
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import VerifiedSignature, verify
from oms_gate.reference import Reference
from oms_gate.signing import services
from oms_gate.signing.model import ModelSigner, sign_model
from oms_gate.signing.sigstore import SigstoreInstance
from tests import models
from tests.corpus import needs_corpus
from tests.oms import forge
from tests.oms.forge import encode
from tests.oms.schemas import assert_schema_valid
from tests.peers.wire import Origin, Request, RequestRecord, Response
from tests.sigstore.authority import CertificateAuthority
from tests.sigstore.certificate_log import CertificateLog
from tests.sigstore.instance import KEY, Rekor, Sigstore
from tests.sigstore.server import SigstoreServer
from tests.sigstore.timestamps import TimestampAuthority
from tests.sigstore.transparency_log import RekorV1, RekorV2
from tests.sigstore.trust import Json, LogKey

SIGNER = "release@example.com"
MANIFEST = parse_statement(encode(forge.statement()), forge.LIMITS).manifest
CERTIFY = "/api/v2/signingCert"
STAMP = "/api/v1/timestamp"
LOGS: dict[Rekor, str] = {1: "/api/v1/log/entries", 2: "/api/v2/log/entries"}
ALL = [CERTIFY, STAMP, *LOGS.values()]

Change = Callable[[Json], object]


def instance(
    server: SigstoreServer, rekor: Rekor = 1, *, timestamps: bool = True
) -> SigstoreInstance:
    """The server's, as somebody who signs has it configured."""
    return SigstoreInstance.from_files(
        encode(server.sigstore.trusted_root()),
        encode(server.signing_config([rekor], timestamps=timestamps)),
    )


def sign(
    server: SigstoreServer,
    signing: SigstoreInstance | None = None,
    *,
    manifest: Manifest = MANIFEST,
    subject: str = SIGNER,
) -> bytes:
    token = server.identity_token(subject)
    return signed_with(token, signing or instance(server), manifest)


def signed_with(token: str, signing: SigstoreInstance, manifest: Manifest = MANIFEST) -> bytes:
    data, _ = ModelSigner.by_sigstore(signing, lambda: token).sign(manifest, "a model")
    return data


def verified(server: SigstoreServer, data: bytes) -> VerifiedSignature:
    trust = Trust(sigstore={"private": server.sigstore.root()})
    return verify(data, trust, at=datetime.now(UTC), limits=Limits())


def failure(server: SigstoreServer, signing: SigstoreInstance | None = None) -> str:
    """Why nothing is signed: one sentence, without the token."""
    token = server.identity_token(SIGNER)
    with pytest.raises(SigningError) as caught:
        signed_with(token, signing or instance(server))
    message = str(caught.value)
    assert "; " in message
    assert "\n" not in message
    assert_hidden(token, message)
    return message


def assert_hidden(token: str, text: str) -> None:
    """Assert that neither the token nor its signature, nor much of it, is in a text."""
    for part in (token[:80], *token.split(".")[1:]):
        assert part not in text


def asked(server: SigstoreServer) -> list[str]:
    """Who was asked, in order."""
    return [request.path for request in server.requests]


@pytest.mark.parametrize(
    ("rekor", "timestamps", "sources"),
    [
        (1, False, ["transparency-log"]),
        (1, True, ["transparency-log", "timestamp-authority"]),
        (2, True, ["timestamp-authority"]),
    ],
)
def test_what_is_signed_verifies(
    server: SigstoreServer, rekor: Rekor, timestamps: bool, sources: list[str]
) -> None:
    before = datetime.now(UTC)
    data = sign(server, instance(server, rekor, timestamps=timestamps))
    found = verified(server, data)
    assert found.method == "sigstore"
    assert found.manifest == MANIFEST
    assert found.subject_name == "a model"
    assert (found.signer.identity, found.signer.issuer) == (SIGNER, server.url)
    assert [time.source for time in found.times] == sources
    for proven in found.times:
        assert timedelta(seconds=-1) <= proven.time - before <= timedelta(minutes=1)
    assert asked(server) == [CERTIFY, *[STAMP] * timestamps, LOGS[rekor]]
    assert data.decode("ascii") == json.dumps(json.loads(data), indent=2) + "\n"


@needs_corpus
@pytest.mark.parametrize(("rekor", "timestamps"), [(1, False), (1, True), (2, True)])
def test_what_is_signed_is_valid_under_the_published_schemas(
    server: SigstoreServer, rekor: Rekor, timestamps: bool
) -> None:
    assert_schema_valid(sign(server, instance(server, rekor, timestamps=timestamps)))


def test_the_statement_is_signed_byte_for_byte(server: SigstoreServer) -> None:
    names = ("config.json", "mod\u00e8le: 1/\u65e5\u672c.gguf", "\U0001f680")
    whole = Manifest(
        "files", "blake2b", None, False, (), tuple(Resource(name, "5a" * 64) for name in names)
    )
    shards = Manifest(
        "shards",
        "sha256",
        4,
        True,
        ("x",),
        tuple(Resource("dir/a:b", "5a" * 32, i, i + 4) for i in (0, 4)),
    )
    for manifest in (whole, shards):
        data = sign(server, manifest=manifest)
        assert parse_bundle(data, Limits()).payload == payload_of(manifest, "a model")
        assert verified(server, data).manifest == manifest


def test_machines_sign_too_and_authorities_may_be_in_the_middle() -> None:
    workflow = "https://example.com/models/.github/workflows/sign.yml@refs/heads/main"
    authority = CertificateAuthority.make(under=CertificateAuthority.make())
    with SigstoreServer(Sigstore(authority=authority)) as server:
        assert verified(server, sign(server, subject=workflow)).signer.identity == workflow


def test_only_the_certificate_authority_sees_the_token_and_no_log(
    server: SigstoreServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = server.identity_token(SIGNER)
    data = signed_with(f" {token}\n", instance(server, 2))
    authorized = {request.path: request.headers.get("authorization") for request in server.requests}
    assert authorized == {CERTIFY: f"Bearer {token}", STAMP: None, LOGS[2]: None}
    assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
    assert_hidden(token, caplog.text)
    assert_hidden(token, data.decode())


def test_a_password_for_the_host_does_not_take_the_tokens_place(
    server: SigstoreServer, home: Path
) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    assert verified(server, sign(server)).signer.identity == SIGNER


def test_for_what_cannot_be_signed_nobody_is_asked(server: SigstoreServer) -> None:
    unsorted = dataclasses.replace(MANIFEST, resources=MANIFEST.resources[::-1])
    with pytest.raises(UsageError, match="code point order"):
        sign(server, manifest=unsorted)
    assert asked(server) == []


def test_a_token_of_another_issuer_is_refused(server: SigstoreServer) -> None:
    with SigstoreServer() as other:
        token = other.identity_token(SIGNER)
    with pytest.raises(SigningError) as caught:
        signed_with(token, instance(server))
    message = str(caught.value)
    assert message.startswith(
        f"the certificate authority {server.url}{CERTIFY} refused the request (HTTP 401: "
    )
    assert "get a new identity token, from an issuer that this authority accepts" in message
    assert_hidden(token, message)
    assert asked(server) == [CERTIFY]


def test_a_service_that_repeats_the_token_does_not_make_it_known(server: SigstoreServer) -> None:
    def repeat(request: Request) -> Response:
        return Response.json({"message": f"bad {request.headers['authorization']}!"}, 400)

    server.routes["POST", CERTIFY] = repeat
    assert "(HTTP 400: 'bad Bearer …!')" in failure(server)


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_is_not_available_is_named(
    server: SigstoreServer, path: str, status: int
) -> None:
    rekor: Rekor = 2 if path == LOGS[2] else 1
    sign(server, instance(server, rekor))
    server.requests.clear()
    server.routes["POST", path] = lambda _: Response.json({"message": "resting"}, status)
    said = failure(server, instance(server, rekor))
    assert f"{server.url}{path} is not available (HTTP {status}: 'resting'); try again" in said
    assert asked(server)[-1] == path


@pytest.mark.parametrize("rekor", [1, 2])
def test_without_its_timestamp_nothing_gets_into_the_log(
    server: SigstoreServer, rekor: Rekor
) -> None:
    server.routes["POST", STAMP] = lambda _: Response.of(b"", 502)
    said = failure(server, instance(server, rekor))
    assert said.startswith(
        f"the timestamp authority {server.url}{STAMP} is not available (HTTP 502)"
    )
    assert asked(server) == [CERTIFY, STAMP]


@pytest.mark.parametrize("which", ["caUrls", "tsaUrls", "rekorTlogUrls"])
def test_a_service_that_is_not_there_is_named(server: SigstoreServer, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = server.signing_config([1])
    config[which][0]["url"] = nowhere
    signing = SigstoreInstance.from_files(encode(server.sigstore.trusted_root()), encode(config))
    said = failure(server, signing)
    assert f" {nowhere}" in said
    assert "Connection refused" in said


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", [CERTIFY, STAMP, LOGS[1], LOGS[2]])
def test_no_service_is_waited_for_without_end(server: SigstoreServer, path: str) -> None:
    honest = server.routes["POST", path]

    def trickle(request: Request) -> Response:
        response = honest(request)
        response.bytes_per_second = 100
        return response

    server.routes["POST", path] = trickle
    start = time.monotonic()
    said = failure(server, instance(server, 2 if path == LOGS[2] else 1))
    assert f"{server.url}{path} did not answer within 0.4 seconds; try again later" in said
    assert time.monotonic() - start < 6


@pytest.mark.parametrize("path", ALL)
def test_a_redirect_takes_nothing_elsewhere(server: SigstoreServer, path: str) -> None:
    records: list[RequestRecord] = []
    elsewhere = Origin("elsewhere", lambda _: Response(), records.append)
    elsewhere.start()
    moved = {"Location": f"{elsewhere.url}/?x"}
    server.routes["POST", path] = lambda _: Response.of(b"", 307, moved)
    try:
        said = failure(server, instance(server, 2 if path == LOGS[2] else 1))
    finally:
        elsewhere.stop()
    assert f"redirects to '{elsewhere.url}/?x', which is not followed" in said
    assert records == []


@pytest.mark.parametrize("path", ALL)
def test_an_endless_answer_is_not_read(server: SigstoreServer, path: str) -> None:
    endless = Response(200, {}, (b" " * 4096 for _ in range(4096)), None)
    server.routes["POST", path] = lambda _: endless
    said = failure(server, instance(server, 2 if path == LOGS[2] else 1))
    assert f"{server.url}{path} sent an answer of more than {services.ANSWER_BYTES} bytes" in said


def certificates(*chain: object) -> Json:
    return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        encode({}),
        encode([]),
        encode({"signedCertificateEmbeddedSct": []}),
        encode(certificates()),
        encode(certificates("one")),
        encode(certificates("one", "two")),
        encode(certificates(1, 2)),
    ],
)
def test_what_is_no_certificate_is_refused(server: SigstoreServer, content: bytes) -> None:
    server.routes["POST", CERTIFY] = lambda _: Response.of(content)
    said = failure(server)
    assert said.startswith(f"the certificate authority {server.url} gave an answer that cannot be ")
    assert asked(server) == [CERTIFY]


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[" * 100_000, b"[]", b"{}", b'{"0": {}}', b'{"0": {"body": "e30="}}'],
)
def test_what_is_no_log_entry_is_refused(
    server: SigstoreServer, rekor: Rekor, content: bytes
) -> None:
    server.routes["POST", LOGS[rekor]] = lambda _: Response.of(content, 201)
    said = failure(server, instance(server, rekor))
    assert said.startswith(f"the transparency log {server.url}/api/v{rekor} gave an answer that ")


def test_an_expired_certificate_is_not_signed_with(server: SigstoreServer) -> None:
    """As from an authority with another clock; the log would take it."""
    sigstore = server.sigstore
    real = server.routes["POST", CERTIFY]

    def certify(request: Request) -> Response:
        response = real(request)
        (content,) = response.blocks
        answer = json.loads(bytes(content))
        old = sigstore.certify(KEY, start=datetime.now(UTC) - timedelta(hours=1))
        pem = old.public_bytes(Encoding.PEM).decode()
        answer["signedCertificateEmbeddedSct"]["chain"]["certificates"][0] = pem
        return Response.json(answer)

    server.routes["POST", CERTIFY] = certify
    assert "gave a certificate that has expired already; check this machine's clock" in failure(
        server
    )
    assert asked(server) == [CERTIFY]


@pytest.mark.parametrize(
    ("rekor", "stranger", "why"),
    [
        (1, {"certificate_log": CertificateLog()}, "gave an answer that cannot be used (SCT"),
        (1, {"authority": CertificateAuthority.make()}, "made no valid signature"),
        (
            1,
            {"rekor_v1": RekorV1("rekor.private.example - 5")},
            "made no valid signature",
        ),
        (2, {"rekor_v2": RekorV2("log.example", LogKey.ed25519())}, "made no valid signature"),
        (1, {"timestamp_authority": TimestampAuthority.make()}, "made no valid signature"),
        (2, {"timestamp_authority": TimestampAuthority.make()}, "made no valid signature"),
    ],
)
def test_services_of_another_instance_make_no_signature(
    server: SigstoreServer, rekor: Rekor, stranger: dict[str, Any], why: str
) -> None:
    """Or of the same with new keys, which an old trusted root does not know."""
    signing = instance(server, rekor)
    sign(server, signing)
    server.sigstore = dataclasses.replace(server.sigstore, **stranger)
    said = failure(server, signing)
    assert why in said
    assert "); see that signing configuration and trusted root belong together" in said
    assert "the publisher's own bundle" not in said


def test_a_model_is_not_given_what_does_not_verify(server: SigstoreServer, tmp_path: Path) -> None:
    model = models.write(tmp_path / "model", models.FILES)
    signer = ModelSigner.by_sigstore(instance(server), lambda: server.identity_token(SIGNER))
    reference = Reference.parse(str(model))
    assert sign_model(reference, signer).signer.identity == SIGNER
    (model / "model.sig").unlink()
    server.sigstore = dataclasses.replace(server.sigstore, authority=CertificateAuthority.make())
    with pytest.raises(SigningError, match="made no valid signature"):
        sign_model(reference, signer)
    assert not (model / "model.sig").exists()


def test_an_entry_for_another_signature_makes_no_signature(server: SigstoreServer) -> None:
    """A log that answers with what it took in before."""
    kept: list[Response] = []
    honest = server.routes["POST", LOGS[1]]

    def answer(request: Request) -> Response:
        kept.append(honest(request))
        return kept[0]

    server.routes["POST", LOGS[1]] = answer
    sign(server)
    assert "made no valid signature" in failure(server)


def test_the_shipped_instances_touch_neither_network_nor_home(home: Path) -> None:
    for signing, domain, log in (
        (SigstoreInstance.public_good(), "sigstore.dev", "rekor"),
        (SigstoreInstance.staging(), "sigstage.dev", "rekor"),
    ):
        assert signing.services.get_fulcio().url == f"https://fulcio.{domain}"
        assert signing.services.get_oidc_url() == f"https://oauth2.{domain}/auth"
        assert [one.url for one in signing.services.get_tsas()] == [
            f"https://timestamp.{domain}/api/v1/timestamp"
        ]
        assert log in signing.signing_config.decode()
        assert "Urls" not in repr(signing)
    assert SigstoreInstance.public_good().root.name == "public-good"
    assert list(home.iterdir()) == []


def without(*names: str) -> Change:
    return lambda config: [config.update({name: []}) for name in names]


def ended(config: Json) -> None:
    config["caUrls"][0]["validFor"]["end"] = "2021-01-01T00:00:00Z"


def moved(url: str, service: str = "caUrls") -> Change:
    return lambda config: config[service][0].update(url=url)


@pytest.mark.parametrize(
    ("rekor", "change", "why"),
    [
        (1, without("caUrls"), "No valid Fulcio CA"),
        (1, without("rekorTlogUrls"), "No valid Rekor"),
        (2, without("tsaUrls"), "its transparency log proves no time, and no timestamp authority"),
        (1, ended, "No valid Fulcio CA"),
        (1, lambda c: c["caUrls"][0].update(majorApiVersion=2), "No valid Fulcio CA"),
        (1, lambda c: c["tsaConfig"].update(selector="EXACT", count=2), "Expected 2 services"),
        (1, lambda c: c.update(mediaType="x"), "mediaType"),
        (1, lambda c: c.update(caUrls="x"), "caUrls"),
        (1, lambda c: c.update(more=1), "more"),
        (1, moved("ftp://x/"), "'ftp://x/' is not the address of a service"),
        (1, moved("https://me:secret@x/"), "'x/' is not the address of a service"),
        (1, moved("x", "oidcUrls"), "'x' is not the address of a service"),
        (1, moved("x", "rekorTlogUrls"), "'x' is not the address of a service"),
        (1, moved("x", "tsaUrls"), "'x' is not the address of a service"),
    ],
)
def test_a_signing_configuration_is_usable_or_refused_at_once(
    server: SigstoreServer, rekor: Rekor, change: Change, why: str
) -> None:
    root, config = server.sigstore.trusted_root(), server.signing_config([rekor])
    SigstoreInstance.from_files(encode(root), encode(config))
    change(config)
    with pytest.raises(ConfigError, match=why) as caught:
        SigstoreInstance.from_files(encode(root), encode(config))
    assert "the Sigstore instance 'private' is not a usable signing_config.json" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_other_files_are_no_instance(server: SigstoreServer, content: bytes) -> None:
    root, config = encode(server.sigstore.trusted_root()), encode(server.signing_config([1]))
    with pytest.raises(ConfigError, match=r"not a usable signing_config\.json"):
        SigstoreInstance.from_files(root, content)
    with pytest.raises(ConfigError, match=r"not a usable trusted_root\.json"):
        SigstoreInstance.from_files(content, config)
