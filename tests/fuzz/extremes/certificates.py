"""Expensive certificates, most of them of trusted authorities."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fuzz.extremes.made import LARGEST, PAYLOAD, Extreme, extensions, extreme, uri_names
from tests.oms import forge
from tests.oms.forge import encode

# -- Certificates


def _certified(*chain: forge.Party, anchors: tuple[forge.Party, ...] = ()) -> Extreme:
    made = encode(forge.certificate_bundle(encode(forge.statement()), *chain))
    assert len(made) <= LARGEST, len(made)
    return Extreme(made, anchors or chain[-1:])


def _long_subject(count: int) -> x509.Name:
    attribute = x509.NameOID.ORGANIZATIONAL_UNIT_NAME
    return x509.Name([x509.NameAttribute(attribute, "\u00fc,+<>#;\\") for _ in range(count)])


@extreme
def certificate_with_many_names() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=[uri_names(800_000)]))


@extreme
def certificate_with_a_long_subject() -> Extreme:
    return _certified(forge.issue_leaf("leaf", subject=_long_subject(300_000)))


@extreme
def stranger_with_a_long_subject() -> Extreme:
    leaf = forge.issue_leaf("leaf", subject=_long_subject(300_000))
    return _certified(leaf, anchors=(forge.issue("another"),))


@extreme
def certificate_with_many_extensions() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=extensions(5_000)))


@extreme
def stranger_with_many_extensions() -> Extreme:
    leaf = forge.issue_leaf("leaf", more=extensions(5_000))
    return _certified(leaf, anchors=(forge.issue("another"),))


@extreme
def certificates_by_many_authorities_of_one_name_and_key() -> Extreme:
    """Each could have issued each: the paths that could be tried are without number."""
    shared = forge.key("shared")
    name = forge.name("shared")
    parties = [forge.issue("shared", subject=name, private_key=shared) for _ in range(15)]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(forge.issue("another"),))


@extreme
def certificates_by_many_slow_authorities() -> Extreme:
    """The same with the keys that take longest to check a signature with."""
    shared = _slow_key()
    name = forge.name("shared")
    parties = [forge.issue("shared", subject=name, private_key=shared) for _ in range(15)]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(forge.issue("another"),))


def _slow_key() -> rsa.RSAPrivateKey:
    """An RSA key with an exponent as long as its modulus, which OpenSSL allows up to 3072 bits."""
    usual = forge.rsa_key(3072).private_numbers()
    order = math.lcm(usual.p - 1, usual.q - 1)
    exponent = next(e for e in itertools.count(2**3070 + 1, 2) if math.gcd(e, order) == 1)
    secret = pow(exponent, -1, order)
    numbers = rsa.RSAPrivateNumbers(
        usual.p,
        usual.q,
        secret,
        secret % (usual.p - 1),
        secret % (usual.q - 1),
        usual.iqmp,
        rsa.RSAPublicNumbers(exponent, usual.p * usual.q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@extreme
def certificates_by_many_authorities_to_an_expired_anchor() -> Extreme:
    """The anchor is reached by every path, and none is valid."""
    shared = forge.key("shared")
    name = forge.name("shared")
    anchor = forge.issue("top", end=forge.NOW - timedelta(days=1))
    parties = [forge.issue("shared", anchor, private_key=shared, subject=name)] + [
        forge.issue("shared", subject=name, private_key=shared) for _ in range(14)
    ]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(anchor,))


@extreme
def certificates_of_large_size() -> Extreme:
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(750_000))
    party = forge.issue_leaf("leaf", more=[padding])
    return _certified(*[party] * 16, anchors=(forge.issue("another"),))


@extreme
def certificates_of_the_largest_size_that_is_read() -> Extreme:
    leaf = forge.issue_leaf("leaf", subject=_long_subject(650))
    return _certified(*[leaf] * 16, anchors=(forge.issue("another"),))


@extreme
def certificate_with_as_many_names_as_are_read() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=[uri_names(4_000)]))


@extreme
def certificate_that_is_none() -> Extreme:
    made = forge.certificate_bundle(encode(forge.statement()), forge.issue_leaf("leaf"))
    chain = made["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain[0]["rawBytes"] = forge.b64(b"\x30\x84\x00\xb0\x00\x00" + bytes(PAYLOAD - 5000))
    return Extreme(encode(made), (forge.issue("another"),))
