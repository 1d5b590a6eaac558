"""RFC 3161 timestamps: the word of a timestamp authority that a signature existed at a time.

A timestamp is over the bytes of the envelope's signature, as in Sigstore bundles. What
``rfc3161_client`` checks: the status, the imprint of the message, the authority's signature and
purpose (a critical extended key usage of time stamping), and that every certificate was valid at
the time it tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509

from oms_gate.oms.trust import CertificateRoot
from oms_gate.verdict import SignatureTime

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse


def proven_times(
    timestamps: Sequence[bytes],
    message: bytes,
    authorities: Mapping[str, CertificateRoot],
    *,
    at: datetime,
) -> tuple[SignatureTime, ...]:
    """The times before which `message` is proven to have existed, in the order of `timestamps`.

    A timestamp by an authority that is not trusted proves nothing, and does no harm either: a
    publisher may use one that this gate does not know. Nor does one from after `at`.

    timestamps: responses in DER.
    authorities: roots, or whole chains, of the trusted timestamp authorities.
    """
    if not authorities:
        return ()
    times = []
    for timestamp in dict.fromkeys(timestamps):
        for authority in authorities.values():
            time = _time_by(timestamp, message, authority.anchors)
            if time is not None and time <= at:
                times.append(SignatureTime(source="timestamp-authority", time=time))
                break
    return tuple(times)


def is_by(
    timestamp: TimeStampResponse,
    message: bytes,
    signer: x509.Certificate | None,
    issuers: Sequence[x509.Certificate],
) -> bool:
    """Whether an authority made `timestamp` over `message`.

    signer: the certificate of the authority; None for whichever the timestamp holds.
    issuers: the certificates above it that are trusted; the last is self-signed.
    """
    from rfc3161_client import VerificationError, VerifierBuilder

    verifier = VerifierBuilder(tsa_certificate=signer, roots=list(issuers)).build()
    try:
        return verifier.verify_message(timestamp, message)
    except VerificationError:
        return False


def is_failure(error: BaseException) -> bool:
    """Whether a library failed, rather than the process being told to end.

    A panic in compiled code is no Exception, and must not get past a verifier either.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _time_by(
    timestamp: bytes, message: bytes, anchors: Sequence[x509.Certificate]
) -> datetime | None:
    from rfc3161_client import decode_timestamp_response

    issuers = [anchor for anchor in anchors if _is_authority(anchor)]
    # With the authority's own certificate among the anchors, no other one counts.
    signers = [anchor for anchor in anchors if anchor not in issuers] or (None,)
    try:
        response = decode_timestamp_response(timestamp)
        if any(is_by(response, message, signer, issuers) for signer in signers):
            return response.tst_info.gen_time
    except BaseException as error:
        if not is_failure(error):
            raise
    return None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca
