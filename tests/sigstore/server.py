"""A private Sigstore over HTTP, for the clients that sign: all services on one loopback port.

Fulcio and Rekor check what they are sent as the real ones do: the token, the proof of possession
and the signature. Plain HTTP is what the URLs in the signing configuration say, and clients keep
to it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Self

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from oms_gate.oms import dsse
from tests.oms.forge import load
from tests.peers.wire import Answer, Origin, Request, RequestRecord, Response
from tests.sigstore import der
from tests.sigstore.authority import email, uri
from tests.sigstore.instance import Rekor, Sigstore, signing_config
from tests.sigstore.timestamps import HASHES
from tests.sigstore.transparency_log import dsse_body, hashedrekord_body
from tests.sigstore.trust import Json

AUDIENCE = "sigstore"


class _BadRequest(ValueError):  # noqa: N818 - a service says so, and means the client
    """Why a service refuses a request."""


class SigstoreServer(AbstractContextManager["SigstoreServer"]):
    """The services of an instance, while the context lasts.

    requests: what was asked, in order. routes: who answers a method and a path; a test may put
    a service of its own there.
    """

    def __init__(self, sigstore: Sigstore | None = None) -> None:
        self.sigstore = sigstore or Sigstore()
        self.requests: list[RequestRecord] = []
        self.routes: dict[tuple[str, str], Answer] = {
            ("POST", "/api/v2/signingCert"): self._certify,
            ("POST", "/api/v1/log/entries"): self._enter_v1,
            ("POST", "/api/v2/log/entries"): self._enter_v2,
            ("POST", "/api/v1/timestamp"): self._stamp,
            ("GET", "/.well-known/openid-configuration"): self._describe_issuer,
        }
        self._token_key = ec.generate_private_key(ec.SECP256R1())
        self._origin = Origin("sigstore", self._answer, self.requests.append)

    def __enter__(self) -> Self:
        self._origin.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._origin.stop()
        if self._origin.failures:
            raise self._origin.failures[0]

    @property
    def url(self) -> str:
        """Where all services are; also the issuer of tokens."""
        return self._origin.url

    def identity_token(self, subject: str, *, lifetime: timedelta = timedelta(minutes=5)) -> str:
        """A token (JWT) for an e-mail address or, for a machine, a URI."""
        now = datetime.now(UTC)
        claims: Json = {"iss": self.url, "aud": AUDIENCE, "sub": subject}
        claims |= {"iat": now, "nbf": now, "exp": now + lifetime}
        if "://" not in subject:
            claims |= {"email": subject, "email_verified": True}
        return jwt.encode(claims, self._token_key, algorithm="ES256")

    def signing_config(self, rekor: Sequence[Rekor] = (1, 2), *, timestamps: bool = True) -> Json:
        """The ``signing_config.json`` for logs of these versions, with timestamps or without."""
        return signing_config(
            fulcio=self.url,
            rekor=dict.fromkeys(rekor, self.url),
            tsa=f"{self.url}/api/v1/timestamp" if timestamps else "",
            oidc=self.url,
        )

    def client_trust_config(
        self, rekor: Sequence[Rekor] = (1, 2), *, timestamps: bool = True
    ) -> Json:
        """The same, with the trusted root, in one (Sigstore client trust configuration, 0.1)."""
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.sigstore.trusted_root(),
            "signingConfig": self.signing_config(rekor, timestamps=timestamps),
        }

    def _answer(self, request: Request) -> Response:
        answer = self.routes.get((request.method, request.quoted_path))
        if answer is None:
            return _error(404, "there is no such service")
        try:
            return answer(request)
        except jwt.InvalidTokenError as error:
            return _error(401, f"the token is not valid: {error}")
        except (InvalidSignature, _BadRequest) as error:
            return _error(400, f"the request is not valid: {error!r}")

    def _certify(self, request: Request) -> Response:
        """Fulcio: a certificate for the token's identity and the key of a signing request."""
        claims = jwt.decode(
            request.headers.get("authorization", "").removeprefix("Bearer "),
            self._token_key.public_key(),
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=self.url,
        )
        pem = base64.b64decode(request.json()["certificateSigningRequest"])
        asked = x509.load_pem_x509_csr(pem)
        public_key = asked.public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not asked.is_signature_valid:
            raise _BadRequest("the key is not the requester's")
        address = claims.get("email") if claims.get("email_verified") else None
        certificate = self.sigstore.authority.certify(
            public_key,
            self.sigstore.certificate_log,
            names=[email(address) if address else uri(claims["sub"])],
            claims={1: self.url, 8: self.url},
            start=datetime.now(UTC),
        )
        issuers = [member.certificate for member in self.sigstore.authority.chain]
        chain = [member.public_bytes(Encoding.PEM).decode() for member in (certificate, *issuers)]
        return Response.json({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})

    def _enter_v1(self, request: Request) -> Response:
        """Rekor v1: an entry for an envelope, in the words of its own interface."""
        proposed = request.json()
        if proposed["kind"] != "dsse":
            raise _BadRequest("only envelopes are taken in")
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        certificate = x509.load_pem_x509_certificate(base64.b64decode(content["verifiers"][0]))
        payload, signature = (
            base64.b64decode(encoded)
            for encoded in (envelope["payload"], envelope["signatures"][0]["sig"])
        )
        signed = dsse.pae(envelope["payloadType"], payload)
        _key_of(certificate).verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        entry = self.sigstore.rekor_v1.enter(dsse_body(envelope, certificate), datetime.now(UTC))
        proof = entry["inclusionProof"]
        answer = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logID": _hex(entry["logId"]["keyId"]),
            "logIndex": int(entry["logIndex"]),
            "verification": {
                "inclusionProof": {
                    "checkpoint": proof["checkpoint"]["envelope"],
                    "hashes": [_hex(node) for node in proof["hashes"]],
                    "logIndex": int(proof["logIndex"]),
                    "rootHash": _hex(proof["rootHash"]),
                    "treeSize": int(proof["treeSize"]),
                },
                **entry["inclusionPromise"],
            },
        }
        return Response.json({f"{int(proof['logIndex']):064x}": answer}, 201)

    def _enter_v2(self, request: Request) -> Response:
        """Rekor v2: an entry for a signature over a digest."""
        asked = request.json().get("hashedRekordRequestV002")
        if asked is None:
            raise _BadRequest("only hashedrekord is taken in")
        digest = base64.b64decode(asked["digest"])
        signature = base64.b64decode(asked["signature"]["content"])
        verifier = asked["signature"]["verifier"]
        certificate = load(base64.b64decode(verifier["x509Certificate"]["rawBytes"]))
        _key_of(certificate).verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        body = hashedrekord_body(digest, signature, certificate)
        return Response.json(self.sigstore.rekor_v2.enter(body), 201)

    def _stamp(self, request: Request) -> Response:
        """The timestamp authority: RFC 3161, 3.4."""
        ((_, asked),) = der.read(request.read())
        _version, (_, imprint), *options = der.read(asked)
        (_, algorithm), (_, digest) = der.read(imprint)
        names = [name for name, oid in HASHES.items() if algorithm.startswith(der.oid(oid))]
        if not names:
            raise _BadRequest("the imprint's hash function is not known")
        found = dict(options)
        nonce = found.get(der.INTEGER)
        response = self.sigstore.timestamp_authority.stamp(
            digest,
            datetime.now(UTC),
            names[0],
            nonce=None if nonce is None else int.from_bytes(nonce, "big"),
            embedded=found.get(der.BOOLEAN, b"\0") != b"\0",
        )
        return Response.of(response, 201, {"Content-Type": "application/timestamp-reply"})

    def _describe_issuer(self, _: Request) -> Response:
        """What clients ask of an issuer before they send people to it (OpenID Discovery)."""
        return Response.json(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
            }
        )


def _key_of(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    public_key = certificate.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise _BadRequest("the certificate's key is not one of ECDSA")
    return public_key


def _error(status: int, message: str) -> Response:
    return Response.json({"code": status, "message": message}, status)


def _hex(encoded: str) -> str:
    return base64.b64decode(encoded).hex()
