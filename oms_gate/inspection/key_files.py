"""Files that are nothing but keys or certificates, in forms other than PEM."""

from __future__ import annotations

import re

from oms_gate.inspection.findings import Sighting
from oms_gate.verdict import ReasonCode

# The beginning of a sequence in DER or BER.
_SEQUENCE = rb"0(?:\x80|\x81.|\x82..|\x83...)"
# Of Java, in two formats; and PKCS #12.
_KEY_STORE = re.compile(
    rb"(?:\xfe\xed\xfe\xed|\xce\xce\xce\xce)\0\0\0[\x01\x02]|" + _SEQUENCE + rb"\x02\x01\x030",
    re.DOTALL,
)
# Also what signatures are made of; the name tells which it is.
_SIGNED_DATA = re.compile(_SEQUENCE + rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", re.DOTALL)
_SIGNED_DATA_ENDS = (".p7b", ".p7c")
# A tag and a length; version, time, and an algorithm that signs or encrypts.
_OPENPGP = re.compile(
    rb"(?:(?P<private>\x94.|\x95..|\xc5(?:[\0-\xbf]|[\xc0-\xdf].))"
    rb"|\x98.|\x99..|\xc6(?:[\0-\xbf]|[\xc0-\xdf].))"
    rb"[\x04-\x06].{4}[\x01\x10\x11\x12\x13\x16\x19-\x1c]",
    re.DOTALL,
)
# After comments and empty lines.
_SSH = re.compile(
    rb"(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+[ \t]*+(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}"
    rb"|sk-(?:ssh|ecdsa)-[0-9a-z@.-]{1,40})[ \t]+AAAA[0-9A-Za-z+/]{40}"
)
_MINISIGN = re.compile(rb"untrusted comment: [^\n]{0,1024}\nRW[0-9A-Za-z+/]{54}\s*\Z")
_TRUSTED_ROOT = re.compile(rb"\"application/vnd\.dev\.sigstore\.trustedroot[+.]")


def key_file(path: str, content: bytes) -> Sighting | None:
    """What a file is, if it is one.

    content: all of it, or the beginning of one that is longer than any of them.
    """
    if _KEY_STORE.match(content):
        return _private("a key store")
    if content[:1] == b"0":
        if path.lower().endswith(_SIGNED_DATA_ENDS) and _SIGNED_DATA.match(content):
            return _public("certificates (PKCS #7)")
        return _of_der(content) if _is_one_sequence(content) else None
    openpgp = _OPENPGP.match(content)
    if openpgp is not None:
        if openpgp["private"]:
            return _private("a private key of OpenPGP")
        return _public("a public key of OpenPGP")
    if ssh := _SSH.match(content):
        return _public("a public key of SSH", ssh.end() - 1)
    if _MINISIGN.match(content):
        return _public("a public key of minisign")
    if root := _TRUSTED_ROOT.search(content):
        return _public("a trusted root of Sigstore", root.start())
    return None


def _is_one_sequence(content: bytes) -> bool:
    """Whether the sequence that it begins with ends where the content does."""
    width = max(int.from_bytes(content[1:2]) - 0x80, 0)
    if not width:
        return len(content) == 2 + int.from_bytes(content[1:2])
    return len(content) == 2 + width + int.from_bytes(content[2 : 2 + width], "big")


def _of_der(content: bytes) -> Sighting | None:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        x509.load_der_x509_certificate(content)
        return _public("a certificate")
    except ValueError:
        pass
    try:
        serialization.load_der_public_key(content)
        return _public("a public key")
    except (ValueError, UnsupportedAlgorithm):
        pass
    try:
        serialization.load_der_private_key(content, password=None)
    except TypeError:  # It is encrypted.
        return _private("an encrypted private key")
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _private("a private key")


def _private(what: str) -> Sighting:
    return Sighting(ReasonCode.PUBLISH_SECRET, what)


def _public(what: str, position: int = 0) -> Sighting:
    return Sighting(ReasonCode.PUBLISH_TRUST_ANCHOR, what, position)
