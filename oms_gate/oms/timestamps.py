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

from oms_gate.errors import is_failure
from oms_gate.oms.trust import TimestampRoot
from oms_gate.verdict import SignatureTime

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse


def proven_times(
    timestamps: Sequence[bytes],
    message: bytes,
    authorities: Mapping[str, TimestampRoot],
    *,
    at: datetime,
) -> tuple[SignatureTime, ...]:
    """The times before which `message` is proven to have existed, in the order of `timestamps`.

    A timestamp by an authority that is not trusted proves nothing, and does no harm either: a
    publisher may use one that this gate does not know. Nor does one from after `at`.

    timestamps: responses in DER.
    authorities: the trusted timestamp authorities.
    """
    if not authorities:
        return ()
    times = []
    for timestamp in dict.fromkeys(timestamps):
        for authority in authorities.values():
            time = _time_by(timestamp, message, authority)
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


def _time_by(timestamp: bytes, message: bytes, authority: TimestampRoot) -> datetime | None:
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(timestamp)
        signers = authority.signers or (None,)
        if any(is_by(response, message, signer, authority.issuers) for signer in signers):
            return response.tst_info.gen_time
    except BaseException as error:
        if not is_failure(error):
            raise
    return None
