"""The certificate method: the signer's certificate leads to a configured trust anchor.

OMS v1.0, certificate-based signing. ``cryptography.x509.verification`` finds the path and checks
its signatures, validity and lengths. Its web rules would refuse real signing certificates, which
have no alternative name and are sometimes marked as authorities, so the rules on members are here:

- each member, the anchor too, is inside its validity at the given time, or was at the earliest
  time at which the signature is proven to have existed;
- only configured certificates are anchors (a root in a bundle never is); an intermediate or the
  signer's own certificate may be configured as one;
- a member that restricts its purposes (extended key usage) has code signing among them; "any
  purpose" is not enough;
- an authority is marked as one, may sign certificates where its key usage is restricted, carries
  no name constraints (nothing would apply them to subjects), and has an RSA key of 2048 bits or
  more, or P-256, P-384 or P-521;
- the signer has P-256, P-384 or P-521 and may sign where its key usage is restricted;
- no member below the anchor is signed with anything but SHA-256, SHA-384 or SHA-512.

Revocation is not checked: remove the anchor, or deny the identity by policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from oms_gate.errors import ConfigError, SignatureError
from oms_gate.oms import dsse
from oms_gate.oms.bundle import Bundle
from oms_gate.oms.general_names import text_of
from oms_gate.oms.quoting import one_line, quoted
from oms_gate.oms.trust import CertificateRoot, fingerprint
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import SignatureTime, Signer, TrustRoot, printable

_LONGEST_PATH = 10
_RSA_BITS = 2048
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

Extension = TypeVar("Extension", bound=x509.ExtensionType)
SignatureCheck = Callable[[ec.EllipticCurvePublicKey, bytes, bytes], None]


def verify_certificate(
    bundle: Bundle,
    roots: Mapping[str, CertificateRoot],
    *,
    at: datetime,
    times: Sequence[SignatureTime] = (),
    check: SignatureCheck = dsse.verify,
) -> Signer:
    """Check a certificate-signed bundle against the configured anchors.

    at: the time at which every certificate must be valid; aware of its time zone.
    times: when the signature is proven to have existed. Where a certificate has expired since,
        all must have been valid at the earliest at which the signer's was, and the signer says so
        (`expired_at`).
    check: how the envelope's signature is checked.

    Raises:
        SignatureError: ``trust.not-configured``, ``certificate.untrusted``,
            ``certificate.expired``, ``certificate.not-yet-valid``, ``certificate.unsuitable``,
            ``signature.invalid``, or ``bundle.malformed`` where a certificate cannot be read.
    """
    if not roots:
        raise SignatureError(
            ReasonCode.TRUST_NOT_CONFIGURED,
            "the signature is by a certificate, but no certificate is trusted; add the "
            "publisher's root certificate to the trusted certificates",
        )
    try:
        return _verify(bundle, roots, at, times, check)
    except SignatureError:
        raise
    except Exception as error:
        raise SignatureError(
            ReasonCode.CERTIFICATE_UNSUITABLE,
            f"the signer's certificate chain cannot be understood ({one_line(error)}); get the "
            "publisher's own bundle, or have it signed with another certificate",
        ) from error


def check_own_chain(chain: Sequence[x509.Certificate], *, at: datetime) -> None:
    """Check, before signing, that verifiers who trust the end of a chain would accept its leaf.

    chain: each certificate is issued by the next one, as a bundle has them (OMS v1.0, certificate
        signing): there are verifiers that look for no other order.

    Raises:
        ConfigError: they would not.
    """
    try:
        _verified_path(chain[0], chain[1:], chain[-1:], at)
        identity_of(chain[0])
    except SignatureError as error:
        if error.reason.code is ReasonCode.CERTIFICATE_UNTRUSTED:
            raise _refused(
                "the certificates do not lead from the signer's to the last one given; give all in "
                "between, in that order"
            ) from error
        raise _refused(error.reason.message) from error
    except ValueError as error:
        raise _refused(one_line(error)) from error
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError) as error:
            raise _refused(
                f"{_subject(issuer)} follows {_subject(certificate)} and has not issued it; give "
                "the certificates in order, the signer's first and each issuer after what it issued"
            ) from error


def _refused(fault: str) -> ConfigError:
    return ConfigError(f"a signature with this certificate would be refused: {fault}")


def read_certificates(bundle: Bundle) -> list[x509.Certificate]:
    """The certificates of a bundle, the signer's first.

    Raises:
        SignatureError: ``bundle.malformed``.
    """
    try:
        return [x509.load_der_x509_certificate(der) for der in bundle.certificates]
    except Exception as error:
        raise SignatureError(
            ReasonCode.BUNDLE_MALFORMED,
            f"the signature bundle holds something that is not a certificate ({one_line(error)}); "
            "get the publisher's own bundle",
        ) from error


def identity_of(leaf: x509.Certificate) -> tuple[str, tuple[str, ...]]:
    """Who a certificate says that its holder is, and all its alternative names.

    The identity is the only alternative name; where there is none or more than one, the subject
    (RFC 4514).

    Raises:
        SignatureError: ``certificate.unsuitable`` where that is empty or cannot be displayed.
        ValueError: an alternative name cannot be read, or is not what it is said to be.
    """
    found = _extension(leaf, x509.SubjectAlternativeName)
    alternative_names = tuple(map(text_of, found or ()))
    identity = leaf.subject.rfc4514_string()
    if len(alternative_names) == 1:
        identity = alternative_names[0]
    if not identity or printable(identity) != identity:
        raise _unsuitable("the signer's certificate", leaf, "names nobody in readable characters")
    return identity, alternative_names


def _verify(
    bundle: Bundle,
    roots: Mapping[str, CertificateRoot],
    at: datetime,
    times: Sequence[SignatureTime],
    check: SignatureCheck,
) -> Signer:
    anchors = {anchor: root for root in roots.values() for anchor in root.anchors}
    leaf, *others = read_certificates(bundle)
    path, expired_at = _path_in_time(leaf, others, anchors, at, times)
    identity, alternative_names = identity_of(leaf)
    # Any other kind of key has been refused as a flaw.
    public_key = cast("ec.EllipticCurvePublicKey", leaf.public_key())
    check(public_key, bundle.payload, bundle.signature)
    return Signer(
        method="certificate",
        identity=identity,
        issuer=leaf.issuer.rfc4514_string(),
        subject=leaf.subject.rfc4514_string(),
        alternative_names=alternative_names,
        chain=tuple(member.subject.rfc4514_string() for member in path),
        expired_at=expired_at,
        key_sha256=fingerprint(public_key),
        root=TrustRoot(
            name=anchors[path[-1]].name,
            sha256=hashlib.sha256(path[-1].public_bytes(Encoding.DER)).hexdigest(),
        ),
    )


def _path_in_time(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Collection[x509.Certificate],
    at: datetime,
    times: Sequence[SignatureTime],
) -> tuple[list[x509.Certificate], datetime | None]:
    """The path at the time of verification or, where that is over, at a proven time before.

    With the latter comes the time at which the first certificate expired.
    """
    try:
        return _verified_path(leaf, others, anchors, at), None
    except SignatureError as error:
        if error.reason.code is not ReasonCode.CERTIFICATE_EXPIRED:
            raise
        # Of several times one will do; each further search would take time.
        in_time = [proof.time for proof in times if _is_valid(leaf, proof.time)]
        if not in_time:
            raise
        earliest = min(in_time)
        with suppress(SignatureError):
            path = _verified_path(leaf, others, anchors, earliest)
            return path, min(member.not_valid_after_utc for member in path)
        raise


def _verified_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Collection[x509.Certificate],
    at: datetime,
) -> list[x509.Certificate]:
    """The path from the leaf to an anchor, every rule checked."""
    permissive = ExtensionPolicy.permit_all()
    authorities = permissive.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    # Of two authorities of one name, the path finder takes the first that its own rules allow.
    ends = [anchor for anchor in anchors if anchor == leaf or _may_certify(anchor, is_anchor=True)]
    links = [other for other in others if _may_certify(other, is_anchor=False)]
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(ends))
            .time(at)
            .extension_policies(ca_policy=authorities, ee_policy=permissive)
            .build_client_verifier()
        )
        path = verifier.verify(leaf, links).chain
    except Exception as error:
        # Whatever the path finder disliked: find the sentence that helps, then refuse.
        supposed = _supposed_path(leaf, others, anchors)
        if supposed[-1] not in anchors:
            raise SignatureError(
                ReasonCode.CERTIFICATE_UNTRUSTED,
                f"the signer's certificate {_subject(leaf)} does not lead to a trusted "
                f"certificate: what the bundle holds ends at {_subject(supposed[-1])}, issued by "
                f"{quoted(supposed[-1].issuer.rfc4514_string())}; add the publisher's root "
                "certificate to the trusted certificates if it is to be trusted",
            ) from error
        _check_members(supposed, at)
        raise _unsuitable(
            "the signer's certificate", leaf, f"has no valid path: {one_line(error)}"
        ) from error
    _check_members(path, at)
    return path


def _supposed_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Collection[x509.Certificate],
) -> list[x509.Certificate]:
    """Follow issuers by name and key alone, so that an unusable member can be named."""
    path = [leaf]
    while path[-1] not in anchors and len(path) < _LONGEST_PATH:
        candidates = (*anchors, *others)
        issuer = next((c for c in candidates if c not in path and _issued(c, path[-1])), None)
        if issuer is None:
            break
        path.append(issuer)
    return path


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # A signature of a kind that is not even checked; the member is to be named for that.
        return True
    return True


def _may_certify(certificate: x509.Certificate, *, is_anchor: bool) -> bool:
    """Whether a path may lead through an authority, or end at it."""
    try:
        if _flaw(certificate, is_leaf=False, is_anchor=is_anchor):
            return False
        # Unless it is trusted, a root leads nowhere but to itself.
        return is_anchor or not _issued(certificate, certificate)
    except Exception:  # noqa: BLE001 - what cannot be read certifies nothing
        return False


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _check_members(path: Sequence[x509.Certificate], at: datetime) -> None:
    for position, member in enumerate(path):
        is_leaf, is_anchor = position == 0, position == len(path) - 1
        role = (
            "the signer's certificate"
            if is_leaf
            else "the trusted certificate"
            if is_anchor
            else "the intermediate certificate"
        )
        if at > member.not_valid_after_utc:
            raise SignatureError(
                ReasonCode.CERTIFICATE_EXPIRED,
                f"{role} {_subject(member)} expired at {member.not_valid_after_utc:%Y-%m-%dT%TZ}; "
                "the publisher must sign the model again with a valid certificate, unless a "
                "timestamp by a trusted authority proves that the signature is older",
            )
        if at < member.not_valid_before_utc:
            raise SignatureError(
                ReasonCode.CERTIFICATE_NOT_YET_VALID,
                f"{role} {_subject(member)} is valid only from "
                f"{member.not_valid_before_utc:%Y-%m-%dT%TZ} on; check this machine's clock, or "
                "wait until then",
            )
        if flaw := _flaw(member, is_leaf=is_leaf, is_anchor=is_anchor):
            raise _unsuitable(role, member, flaw)


def _flaw(certificate: x509.Certificate, *, is_leaf: bool, is_anchor: bool) -> str | None:
    """What is wrong with a member, apart from its time, to complete "the certificate ..."."""
    flaw = _version_flaw(certificate)
    flaw = flaw or (_signer_flaw(certificate) if is_leaf else _authority_flaw(certificate))
    return flaw or (None if is_anchor else _signature_flaw(certificate))


def _version_flaw(certificate: x509.Certificate) -> str | None:
    if certificate.version is not x509.Version.v3:
        return "is of an X.509 version before 3, which has no extensions; issue it with some"
    return None


def _signer_flaw(certificate: x509.Certificate) -> str | None:
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        return "is not for digital signatures (key usage)"
    if not dsse.is_supported(certificate.public_key()):
        return "has a key that is not on P-256, P-384 or P-521"
    return _purpose_flaw(certificate)


def _authority_flaw(certificate: x509.Certificate) -> str | None:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "is not a certificate authority"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "may not sign certificates (key usage)"
    if _extension(certificate, x509.NameConstraints) is not None:
        return "has name constraints, which are not supported"
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_BITS:
            return f"has an RSA key of {key.key_size} bits, fewer than {_RSA_BITS}"
    elif not dsse.is_supported(key):
        return "has a key that is neither RSA nor on P-256, P-384 or P-521"
    return _purpose_flaw(certificate)


def _purpose_flaw(certificate: x509.Certificate) -> str | None:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        return "is not for code signing (extended key usage)"
    return None


def _signature_flaw(certificate: x509.Certificate) -> str | None:
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        return "is signed with a hash function other than SHA-256, SHA-384 or SHA-512"
    # The signature ends the certificate, after a byte that counts the bits it does not use.
    if certificate.public_bytes(Encoding.DER)[-len(certificate.signature) - 1] != 0:
        return "has a signature that is not a whole number of bytes"
    return None


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _subject(certificate: x509.Certificate) -> str:
    return quoted(certificate.subject.rfc4514_string())


def _unsuitable(role: str, certificate: x509.Certificate, flaw: str) -> SignatureError:
    return SignatureError(
        ReasonCode.CERTIFICATE_UNSUITABLE,
        f"{role} {_subject(certificate)} {flaw}; the publisher must sign with a suitable "
        "code-signing certificate",
    )
