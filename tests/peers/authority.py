"""A certificate authority of the tests' own, for servers and clients on this machine.

authority = Authority(folder)
server = authority.issue("server", hosts=["127.0.0.1"])
context.load_cert_chain(server.certificate, server.key)     # and authority.certificate for clients
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_BEFORE = timedelta(minutes=5)  # clocks differ
_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Credential:
    """A certificate and its key, each in a file in PEM."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates that are valid for a day; everything is written into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        more = [x509.BasicConstraints(ca=True, path_length=0), usage]
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = self._sign(self._name, self._key.public_key(), [*more, self._identifier])
        self.certificate = folder / "authority.crt"
        self.certificate.write_bytes(certificate)

    def issue(
        self, name: str, *, groups: Sequence[str] = (), hosts: Sequence[str] = ()
    ) -> Credential:
        """A certificate for this common name, in files of this name.

        groups: its organizations, which are the groups of a Kubernetes user; hosts: the names and
        addresses of a server.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        more: list[x509.ExtensionType] = [
            x509.BasicConstraints(ca=False, path_length=None),
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
        ]
        if hosts:
            more.append(x509.SubjectAlternativeName([_general_name(host) for host in hosts]))
        file = name.replace("/", "-").replace(":", "-")
        issued = Credential(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        issued.certificate.write_bytes(self._sign(_name(name, groups), key.public_key(), more))
        write_key(key, issued.key)
        return issued

    def _sign(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        extensions: Sequence[x509.ExtensionType],
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BEFORE)
            .not_valid_after(now + _AFTER)
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Write a private key in the one form that kube-apiserver reads everywhere."""
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )


def _name(common: str, organizations: Sequence[str] = ()) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
