"""The way in: who signed a bundle, and what. The signature is checked before what it signs is read.

OMS v1.0, verification.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms import certificate, dsse, old_format, sigstore
from oms_gate.oms.bundle import Bundle, Method, parse_bundle
from oms_gate.oms.certificate import SignatureCheck, verify_certificate
from oms_gate.oms.key import verify_key
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.quoting import one_line
from oms_gate.oms.sigstore import verify_sigstore
from oms_gate.oms.statement import (
    OLD_PREDICATE_TYPE,
    Format,
    Statement,
    parse_statement,
    read_statement,
    reading,
)
from oms_gate.oms.timestamps import proven_times
from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Signature, SignatureTime, Signer


@dataclass(frozen=True)
class VerifiedSignature:
    """What a bundle proves.

    subject_name: the signer's word for the model; it binds nothing.
    times: when the signature is proven to have existed, by log or timestamps.
    bundle_sha256: of the signature file, in hex.
    statement_sha256: of what it states, in hex; the file can be spelled otherwise.
    """

    method: Method
    signer: Signer
    manifest: Manifest
    subject_name: str
    format: Format
    times: tuple[SignatureTime, ...]
    log_index: int | None
    bundle_sha256: str
    statement_sha256: str

    def summary(self, location: str) -> Signature:
        """What a verdict says of it.

        location: of the bundle, a path beside the model or a URL.
        """
        return Signature(
            location=location,
            sha256=self.bundle_sha256,
            format=self.format,
            root_digest=self.manifest.root_digest,
            serialization=self.manifest.serialization,
            hash_type=self.manifest.hash_type,
            times=self.times,
            log_index=self.log_index,
        )


@dataclass(frozen=True)
class UnverifiedBundle:
    """What a bundle claims. Nothing of it was verified: for people to read, never to decide by.

    claimed_identity: for a key the key's hint; None where the bundle carries the key instead.
    claimed_timestamps: RFC 3161 timestamps, as a count.
    claimed_chain: subjects of the certificates, the signer's first (RFC 4514).
    """

    method: Method
    claimed_identity: str | None
    claimed_issuer: str | None
    claimed_chain: tuple[str, ...]
    claimed_time: datetime | None
    claimed_log_index: int | None
    claimed_timestamps: int
    claimed_subject_name: str
    claimed_manifest: Manifest
    bundle_sha256: str


def verify(bundle: bytes, trust: Trust, *, at: datetime, limits: Limits) -> VerifiedSignature:
    """Verify a signature file.

    at: the time at which certificates of the certificate method must be valid, unless a timestamp
        of a trusted authority proves an earlier one; aware of its time zone. Sigstore certificates
        are checked at the time that log or timestamp prove.

    Raises:
        SignatureError: see `parse_bundle`, `verify_key`, `verify_certificate`, `verify_sigstore`
            and `parse_statement`, which are called in this order.
        ValueError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of verification must have a time zone")
    parsed = parse_bundle(bundle, limits)
    parse = parse_statement
    try:
        signer, times, log_index = check_signature(parsed, trust, at)
    except SignatureError as error:
        if error.reason.code is not ReasonCode.SIGNATURE_INVALID or not _is_old(parsed):
            raise
        # Signatures of that format are over other bytes.
        if not trust.old_format or parsed.method != "certificate":
            _say_if_unsupported(parsed, limits)
            raise
        signer, times, log_index = check_signature(parsed, trust, at, check=old_format.verify)
        parse = old_format.parse_statement
    statement = parse(parsed.payload, limits)
    return VerifiedSignature(
        method=parsed.method,
        signer=signer,
        manifest=statement.manifest,
        subject_name=statement.subject_name,
        format=statement.format,
        times=times,
        log_index=log_index,
        bundle_sha256=parsed.sha256,
        statement_sha256=hashlib.sha256(parsed.payload).hexdigest(),
    )


def inspect(bundle: bytes, limits: Limits) -> UnverifiedBundle:
    """Say what a signature file claims, without verifying any of it.

    Raises:
        SignatureError: as `parse_bundle` and `parse_statement`; or ``bundle.malformed`` where a
            certificate cannot be read.
    """
    parsed = parse_bundle(bundle, limits)
    certificates = certificate.read_certificates(parsed)
    try:
        identity, issuer = _claimed_identity(parsed, certificates)
        chain = tuple(member.subject.rfc4514_string() for member in certificates)
    except SignatureError:
        raise
    except Exception as error:
        raise SignatureError(
            ReasonCode.BUNDLE_MALFORMED,
            f"the signer's certificate cannot be read ({one_line(error)}); get the publisher's own "
            "bundle",
        ) from error
    statement = _claimed_statement(parsed, limits)
    return UnverifiedBundle(
        method=parsed.method,
        claimed_identity=identity,
        claimed_issuer=issuer,
        claimed_chain=chain,
        claimed_time=parsed.log_entry.integrated_time if parsed.log_entry else None,
        claimed_log_index=parsed.log_entry.log_index if parsed.log_entry else None,
        claimed_timestamps=len(parsed.timestamps),
        claimed_subject_name=statement.subject_name,
        claimed_manifest=statement.manifest,
        bundle_sha256=parsed.sha256,
    )


def check_signature(
    bundle: Bundle, trust: Trust, at: datetime, check: SignatureCheck = dsse.verify
) -> tuple[Signer, tuple[SignatureTime, ...], int | None]:
    """Who signed the payload of a bundle, the proven times, and the place in the log.

    at: as of `verify`.
    check: how the envelope's signature is checked, where a certificate signed.

    Raises:
        SignatureError: see `verify_key`, `verify_certificate` and `verify_sigstore`.
    """
    if bundle.method == "sigstore":
        signed = verify_sigstore(bundle, trust.sigstore, at=at)
        return signed.signer, signed.times, signed.log_index
    authorities = trust.timestamp_authorities
    times = proven_times(bundle.timestamps, bundle.signature, authorities, at=at)
    if bundle.method == "certificate":
        roots = trust.certificates
        return verify_certificate(bundle, roots, at=at, times=times, check=check), times, None
    return verify_key(bundle, trust.keys), times, None


def _claimed_statement(bundle: Bundle, limits: Limits) -> Statement:
    """In either format: what is only looked at needs no request for the older one."""
    with reading(bundle.payload, limits) as statement:
        if statement.text("predicateType") == OLD_PREDICATE_TYPE:
            return old_format.read_statement(statement, limits)
        return read_statement(statement, limits)


def _say_if_unsupported(bundle: Bundle, limits: Limits) -> None:
    """That helps more than "invalid"; nothing else of an unverified statement is told."""
    try:
        parse_statement(bundle.payload, limits)
    except SignatureError as error:
        if error.reason.code is ReasonCode.BUNDLE_UNSUPPORTED:
            raise


def _is_old(bundle: Bundle) -> bool:
    return OLD_PREDICATE_TYPE.encode() in bundle.payload


def _claimed_identity(
    bundle: Bundle, certificates: list[x509.Certificate]
) -> tuple[str | None, str | None]:
    if bundle.method == "sigstore":
        found = sigstore.identity_of(certificates[0])
        return found.identity, found.issuer
    if bundle.method == "certificate":
        identity, _ = certificate.identity_of(certificates[0])
        return identity, certificates[0].issuer.rfc4514_string()
    return bundle.key_hint, None
