"""The webhook's own certificate, for clusters that have nobody who makes one.

A Secret holds an authority and a certificate by it. The certificate is renewed when a third of its
time is left; the webhook configurations trust the authority, and for a while the one before.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, ApiException, CoreV1Api

from oms_gate.errors import ConfigError
from oms_gate.server.tls import KeyPair

_AUTHORITY_TIME: Final = timedelta(days=3650)
_CERTIFICATE_TIME: Final = timedelta(days=90)
_RENEW_BEFORE: Final = timedelta(days=30)
_CLOCKS_APART: Final = timedelta(minutes=5)
_CONFLICT: Final = 409
_ATTEMPTS: Final = 5
_TRUSTED: Final = 3
_PEM_END = b"-----END CERTIFICATE-----\n"


class OwnCertificate:
    """The certificate that is kept in a Secret."""

    def __init__(
        self, client: ApiClient, namespace: str, secret: str, service: str, configuration: str
    ) -> None:
        """
        secret, service: their names in the gate's own namespace.
        configuration: name of the mutating and of the validating webhook configuration.
        """
        self._core = CoreV1Api(client)
        self._registration = AdmissionregistrationV1Api(client)
        self._namespace = namespace
        self._secret = secret
        self._names = [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
        self._configuration = configuration

    def current(self) -> KeyPair:
        """The pair as it should be now; made or renewed where it is time, and trusted.

        Raises:
            ConfigError: the API server does not let the gate do so.
        """
        try:
            data = self._kept()
            self._trust(data["ca.crt"])
        except ApiException as error:
            raise ConfigError(
                f"the webhook's certificate cannot be kept in the Secret {self._namespace}/"
                f"{self._secret}: {error.status} {error.reason}; see that it is there and that the "
                "gate's role allows it"
            ) from error
        except Exception as error:
            raise ConfigError(f"the webhook's certificate cannot be had: {error}") from error
        return KeyPair(data["tls.crt"], data["tls.key"])

    def _kept(self) -> dict[str, bytes]:
        for _ in range(_ATTEMPTS):
            secret = self._core.read_namespaced_secret(self._secret, self._namespace)
            found = {k: base64.b64decode(v) for k, v in (secret.data or {}).items()}
            if _is_good(found, self._names):
                return found
            made = _renewed(found, self._names)
            secret.data = {k: base64.b64encode(v).decode() for k, v in made.items()}
            try:
                self._core.replace_namespaced_secret(self._secret, self._namespace, secret)
            except ApiException as error:
                if error.status != _CONFLICT:
                    raise
                continue  # Another replica was first.
            return made
        raise ConfigError("the Secret is changed all the time")

    def _trust(self, authority: bytes) -> None:
        api = self._registration
        for read, patch in (
            (api.read_mutating_webhook_configuration, api.patch_mutating_webhook_configuration),
            (api.read_validating_webhook_configuration, api.patch_validating_webhook_configuration),
        ):
            configuration = read(self._configuration)
            hooks = []
            for hook in configuration.webhooks or ():
                bundle = base64.b64decode(hook.client_config.ca_bundle or "")
                wanted = _bundle(authority, bundle)
                if wanted != bundle:
                    encoded = base64.b64encode(wanted).decode()
                    hooks.append({"name": hook.name, "clientConfig": {"caBundle": encoded}})
            if hooks:
                patch(self._configuration, {"webhooks": hooks})


def _bundle(authority: bytes, before: bytes) -> bytes:
    """The authority, and those before it, for replicas that still have a certificate by them."""
    others = [part + _PEM_END for part in before.split(_PEM_END) if b"BEGIN" in part]
    return b"".join(list(dict.fromkeys([authority, *others]))[:_TRUSTED])


def _is_good(data: dict[str, bytes], names: list[str]) -> bool:
    try:
        authority = x509.load_pem_x509_certificate(data["ca.crt"])
        certificate = x509.load_pem_x509_certificate(data["tls.crt"])
        key = serialization.load_pem_private_key(data["tls.key"], None)
        certificate.verify_directly_issued_by(authority)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever it is, it is no certificate to go on with
        return False
    return (
        key.public_key() == certificate.public_key()
        and set(names) <= set(found.get_values_for_type(x509.DNSName))
        and certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE
    )


def _renewed(data: dict[str, bytes], names: list[str]) -> dict[str, bytes]:
    """A new certificate by the same authority; by a new one where it will not last."""
    now = datetime.now(UTC)
    try:
        authority = x509.load_pem_x509_certificate(data["ca.crt"])
        key: Any = serialization.load_pem_private_key(data["ca.key"], None)
        usable = (
            key.public_key() == authority.public_key()
            and authority.not_valid_after_utc > now + _CERTIFICATE_TIME
        )
    except Exception:  # noqa: BLE001 - whatever it is, it is no authority to go on with
        usable = False
    if not usable:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "oms-gate webhook authority")])
        authority = (
            _builder(name, name, key, now, _AUTHORITY_TIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, authority.subject, own, now, _CERTIFICATE_TIME)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return {
        **data,
        "ca.crt": authority.public_bytes(serialization.Encoding.PEM),
        "ca.key": _pem(key),
        "tls.crt": certificate.public_bytes(serialization.Encoding.PEM),
        "tls.key": _pem(own),
    }


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    time: timedelta,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _CLOCKS_APART,
        not_valid_after=now + time,
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
