"""A certificate authority made on the spot, and a certificate for 127.0.0.1."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.oms import forge


def make(folder: Path) -> tuple[Path, Path]:
    """Write the authority, which clients are told to trust, and the server's certificate and key.

    Returns their paths, both PEM.
    """
    now = datetime.now(UTC)
    valid: forge.Json = {"start": now - timedelta(days=1), "end": now + timedelta(days=1)}
    # Since Python 3.13 clients ask for what leads from one to the other.
    public_key = forge.key("root").public_key()
    subject = x509.SubjectKeyIdentifier.from_public_key(public_key)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)
    root = forge.issue("root", more=[subject], **valid)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = forge.issue_leaf("server", root, more=[forge.TLS_SERVER, here, issuer], **valid)
    authority, certificate = folder / "authority.pem", folder / "server.pem"
    authority.write_bytes(root.pem)
    key = server.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate.write_bytes(server.pem + key)
    return authority, certificate
