"""Timestamps: an authority states when a signature existed (RFC 3161).

With one, a signature stays verifiable after its certificate has expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oms_gate.errors import UsageError
from oms_gate.oms.quoting import quoted
from oms_gate.oms.sign import Timestamper
from oms_gate.signing.services import Service, check_address

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest

_AUTHORITY: Final = Service(
    "timestamp authority",
    refused="check its address, and whom it serves",
    unusable="check its address, or use another authority",
)
_HEADERS: Final = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
}


def timestamper(url: str) -> Timestamper:
    """Have signatures timestamped by the authority at `url`.

    Plain http will do, and is what many authorities offer: the answer is signed, and says which
    signature and which request it is for. What is called gives the whole response in DER, as
    Sigstore bundles carry it. Whether the authority is one to be trusted is for those who verify
    to say, and not looked at here.

    Raises:
        UsageError: `url` is not the address of a service.
        SigningError: by what is returned, where the authority gives no timestamp for the
            signature: it cannot be reached, refuses, is too slow, or answers something else.
    """
    try:
        check_address(url)
    except ValueError as error:
        raise UsageError(f"no timestamp authority can be asked: {error}") from error

    def timestamp(message: bytes) -> bytes:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        # With a nonce, and with the wish for the authority's certificate.
        request = TimestampRequestBuilder(message, HashAlgorithm.SHA256).build()
        answer = _AUTHORITY.post(url, request.as_bytes(), _HEADERS)
        with _AUTHORITY.answering(url):
            _check(answer, request)
        return answer

    return timestamp


class _Unfit(ValueError):  # noqa: N818 - becomes the middle of a sentence
    """Why a response is not what was asked for."""


def _check(answer: bytes, request: TimeStampRequest) -> None:
    """See that a response is for a request (RFC 3161, 2.4.2), which needs no trust in anybody.

    Raises:
        ValueError: it is not.
    """
    from rfc3161_client import PKIStatus, decode_timestamp_response

    response = decode_timestamp_response(answer)
    # Verifiers accept no other status, such as that of a timestamp with changes.
    if response.status != PKIStatus.GRANTED:
        said = "".join(f", {quoted(text)}" for text in response.status_string)
        raise _Unfit(f"its status is {response.status} and not 0, granted{said}")
    stated, asked = response.tst_info, request.message_imprint
    if stated.nonce != request.nonce:
        raise _Unfit("it is the answer to another request")
    imprint = stated.message_imprint
    if (imprint.hash_algorithm, imprint.message) != (asked.hash_algorithm, asked.message):
        raise _Unfit("it is a timestamp for something else")
    if not response.signed_data.certificates:
        raise _Unfit("it lacks the authority's certificate")
