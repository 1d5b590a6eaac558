"""Files that are nothing but keys or certificates, in forms other than PEM."""

from __future__ import annotations

import base64
import re
from contextlib import suppress

from oms_gate.inspection.findings import Sighting
from oms_gate.reason_codes import ReasonCode

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
    rb"\A(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+[ \t]*+(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}"
    rb"|sk-(?:ssh|ecdsa)-[0-9a-z@.-]{1,40})[ \t]+AAAA[0-9A-Za-z+/]{40}"
)
_MINISIGN = re.compile(rb"untrusted comment: [^\n]{0,1024}\nRW[0-9A-Za-z+/]{54}\s*+\Z")
# JSON may escape a slash.
_TRUSTED_ROOT = re.compile(rb"\"application\\*+/vnd\.dev\.sigstore\.trustedroot[+.]")
# The beginning of a sequence in base64, and what there may be in a file of it.
_BASE64_BEGIN = b"M"
_BASE64 = re.compile(rb"\A\s*+(?:[0-9A-Za-z+/_-]++\s*+)++={0,2}+\s*+\Z")
# More keys and certificates than that are in no file of DER.
_MOST_SEQUENCES = 64


def key_file(path: str, content: bytes) -> Sighting | None:
    """What a file is, if it is one.

    content: all of it, or the beginning of one that is longer than any of them.
    """
    if _KEY_STORE.match(content):
        return _private("a key store")
    if content[:1] == b"0":
        if path.lower().endswith(_SIGNED_DATA_ENDS) and _SIGNED_DATA.match(content):
            return _public("certificates (PKCS #7)")
        return _of_sequences(content)
    if content[:64].lstrip()[:1] == _BASE64_BEGIN and _BASE64.match(content):
        binary = base64.urlsafe_b64decode(_plain_base64(content))
        return _of_sequences(binary) if binary[:1] == b"0" else None
    openpgp = _OPENPGP.match(content)
    if openpgp is not None:
        if openpgp["private"]:
            return _private("a private key of OpenPGP")
        return _public("a public key of OpenPGP")
    if ssh := _SSH.match(content):
        lines = content.splitlines()
        alone = all(_SSH.match(line) for line in lines if line.strip() and line[:1] != b"#")
        return _public("a public key of SSH", ssh.end() - 1, alone=alone)
    if _MINISIGN.match(content):
        return _public("a public key of minisign")
    if root := _TRUSTED_ROOT.search(content):
        return _public("a trusted root of Sigstore", root.start(), alone=False)
    return None


def _plain_base64(content: bytes) -> bytes:
    """Without line breaks, in the alphabet of URLs, and as long as it has to be."""
    text = b"".join(content.split()).rstrip(b"=").translate(bytes.maketrans(b"+/", b"-_"))
    return text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4)


def _of_sequences(content: bytes) -> Sighting | None:
    """What the first private one of them is, or else the first that is anything."""
    found = [one for one in map(_of_der, _sequences(content)) if one is not None]
    return next(
        (one for one in found if one.code is ReasonCode.PUBLISH_SECRET), found[0] if found else None
    )


def _sequences(content: bytes) -> list[bytes]:
    """The sequences that a file is made of; none where there is anything else but a line break."""
    sequences: list[bytes] = []
    place = 0
    while content[place : place + 1] == b"0" and len(sequences) < _MOST_SEQUENCES:
        width = max(int.from_bytes(content[place + 1 : place + 2]) - 0x80, 0)
        length = content[place + 2 : place + 2 + width] if width else content[place + 1 : place + 2]
        end = place + 2 + width + int.from_bytes(length)
        if end > len(content):
            return []
        sequences.append(content[place:end])
        place = end
        while content[place : place + 1] in (b"\r", b"\n"):
            place += 1
    return sequences if place == len(content) or len(sequences) == _MOST_SEQUENCES else []


def _of_der(content: bytes) -> Sighting | None:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        with suppress(x509.InvalidVersion):  # Otherwise it is one, and others may read it.
            x509.load_der_x509_certificate(content)
        return _public("a certificate")
    except ValueError:
        pass
    try:
        with suppress(UnsupportedAlgorithm):
            serialization.load_der_public_key(content)
        return _public("a public key")
    except ValueError:
        pass
    try:
        # Whether its numbers are primes may take minutes to find out, and does not matter.
        with suppress(UnsupportedAlgorithm):
            serialization.load_der_private_key(
                content, password=None, unsafe_skip_rsa_key_validation=True
            )
    except TypeError:  # It is encrypted.
        return _private("an encrypted private key")
    except ValueError:
        return None
    return _private("a private key")


def _private(what: str) -> Sighting:
    return Sighting(ReasonCode.PUBLISH_SECRET, what)


def _public(what: str, position: int = 0, *, alone: bool = True) -> Sighting:
    return Sighting(ReasonCode.PUBLISH_TRUST_ANCHOR, what, position, alone)
