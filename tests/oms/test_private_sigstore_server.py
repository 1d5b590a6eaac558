"""The private Sigstore over HTTP: the real client signs against it, and the gate admits that."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from oms_gate.oms import dsse
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import VerifiedSignature
from tests.oms import forge
from tests.oms.forge import b64, checked
from tests.sigstore.authority import CertificateAuthority
from tests.sigstore.instance import KEY, Rekor, Sigstore
from tests.sigstore.server import SigstoreServer
from tests.sigstore.trust import Json
from tests.sigstore.verdicts import PAYLOAD

STRANGER = forge.key("stranger")


@pytest.fixture(scope="module")
def _server() -> Iterator[SigstoreServer]:
    authority = CertificateAuthority.make(CertificateAuthority.make())
    with SigstoreServer(Sigstore(authority)) as server:
        yield server


@pytest.fixture
def server(_server: SigstoreServer) -> SigstoreServer:
    _server.requests.clear()
    return _server


# -- The real client


def signed(
    server: SigstoreServer, subject: str, rekor: Rekor, *, timestamps: bool = True
) -> VerifiedSignature:
    """Sign with sigstore's own client as it is configured for this server, and verify."""
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    config = server.client_trust_config([rekor], timestamps=timestamps)
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(json.dumps(config)))
    with context.signer(IdentityToken(server.identity_token(subject))) as signer:
        bundle = signer.sign_dsse(Statement(PAYLOAD)).to_json()
    trust = Trust(sigstore={"private": server.sigstore.root()})
    return checked(bundle.encode(), trust, at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("rekor", "timestamps", "sources"),
    [
        (1, False, ["transparency-log"]),
        (1, True, ["transparency-log", "timestamp-authority"]),
        (2, True, ["timestamp-authority"]),
    ],
)
def test_the_real_client_signs(
    server: SigstoreServer, rekor: Rekor, timestamps: bool, sources: list[str]
) -> None:
    before = datetime.now(UTC)
    found = signed(server, "release@example.com", rekor, timestamps=timestamps)
    assert (found.signer.identity, found.signer.issuer) == ("release@example.com", server.url)
    assert [time.source for time in found.times] == sources
    for time in found.times:
        assert timedelta(seconds=-1) <= time.time - before <= timedelta(minutes=1)
    assert [(request.path, request.status) for request in server.requests] == [
        ("/api/v2/signingCert", 200),
        *([("/api/v1/timestamp", 201)] if timestamps else []),
        (f"/api/v{rekor}/log/entries", 201),
    ]


def test_machines_sign_too(server: SigstoreServer) -> None:
    workflow = "https://example.com/models/.github/workflows/sign.yml@refs/heads/main"
    assert signed(server, workflow, 1).signer.identity == workflow


def test_clients_find_the_issuer(server: SigstoreServer) -> None:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import Issuer

    config = ClientTrustConfig.from_json(json.dumps(server.client_trust_config()))
    issuer = Issuer(config.signing_config.get_oidc_url())
    issuer.session.close()
    assert issuer.oidc_config.token_endpoint.startswith(server.url)


# -- What the services refuse, as the real ones do


def post(server: SigstoreServer, path: str, body: Any, **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(server.url + path, data=data, headers=headers, timeout=5)


def signing_request() -> Json:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return {"certificateSigningRequest": b64(_pem(builder.sign(KEY, hashes.SHA256())))}


def test_fulcio_wants_a_token_of_its_issuer(server: SigstoreServer) -> None:
    with SigstoreServer() as other:
        foreign = other.identity_token("release@example.com")
    expired = server.identity_token("release@example.com", lifetime=timedelta(seconds=-1))
    right = server.identity_token("release@example.com")
    for token, status in ((right, 200), (foreign, 401), (expired, 401), (right + "x", 401)):
        authorization = f"Bearer {token}"
        answer = post(server, "/api/v2/signingCert", signing_request(), Authorization=authorization)
        assert answer.status_code == status
    assert post(server, "/api/v2/signingCert", signing_request()).status_code == 401


def test_fulcio_wants_proof_of_the_key(server: SigstoreServer) -> None:
    asked = signing_request()
    raw = bytearray(
        x509.load_pem_x509_csr(_bytes(asked["certificateSigningRequest"])).public_bytes(
            Encoding.DER
        )
    )
    raw[-1] ^= 1
    asked["certificateSigningRequest"] = b64(_pem(x509.load_der_x509_csr(bytes(raw))))
    authorization = f"Bearer {server.identity_token('release@example.com')}"
    answer = post(server, "/api/v2/signingCert", asked, Authorization=authorization)
    assert (answer.status_code, "key" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(("signer", "status"), [(KEY, 201), (STRANGER, 400)])
def test_the_logs_take_only_signatures_by_the_certificates_key(
    server: SigstoreServer, signer: Any, status: int
) -> None:
    certificate = server.sigstore.certify(KEY)
    signature = dsse.sign(signer, PAYLOAD)
    envelope = forge.bundle(PAYLOAD, signature, {})["dsseEnvelope"]
    content = {"envelope": json.dumps(envelope), "verifiers": [b64(_pem(certificate))]}
    proposed = {"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": content}}
    assert post(server, "/api/v1/log/entries", proposed).status_code == status

    digest = hashes.Hash(hashes.SHA256())
    digest.update(dsse.pae(dsse.PAYLOAD_TYPE, PAYLOAD))
    raw = {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}
    verifier = {"x509Certificate": raw, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    signed = {"content": b64(signature), "verifier": verifier}
    asked = {"hashedRekordRequestV002": {"digest": b64(digest.finalize()), "signature": signed}}
    assert post(server, "/api/v2/log/entries", asked).status_code == status


def test_the_logs_take_no_other_kinds(server: SigstoreServer) -> None:
    assert post(server, "/api/v1/log/entries", {"kind": "intoto"}).status_code == 400
    assert post(server, "/api/v2/log/entries", {"dsseRequestV002": {}}).status_code == 400
    assert post(server, "/api/v3/log/entries", {}).status_code == 404


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA256, HashAlgorithm.SHA512])
def test_timestamps_are_as_asked_for(
    server: SigstoreServer, algorithm: HashAlgorithm, embedded: bool
) -> None:
    asked = (
        TimestampRequestBuilder()
        .data(b"message")
        .hash_algorithm(algorithm)
        .cert_request(cert_request=embedded)
        .build()
    )
    answer = post(server, "/api/v1/timestamp", asked.as_bytes())
    response = decode_timestamp_response(answer.content)
    assert response.tst_info.nonce == asked.nonce
    assert response.tst_info.message_imprint.message == asked.message_imprint.message
    assert len(response.signed_data.certificates) == embedded


def _pem(made: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return made.public_bytes(Encoding.PEM)


def _bytes(encoded: str) -> bytes:
    return base64.b64decode(encoded)
