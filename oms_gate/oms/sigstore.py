"""The Sigstore method: a short-lived certificate for an identity, and a log that saw it used.

OMS v1.0, Sigstore signing. The sigstore library checks certificate, log entry and signature.
Added here: strict reading beforehand (`bundle`, `evidence`); only authorities and keys whose
``validFor`` covers the times in question take part, and only authorities whose own certificates
were valid then; every timestamp must verify; no time may lie ahead; the log must be one that the
root names, and its checkpoint one about the tree of the proof; and the identity is read from the
certificate only after everything else has been verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import SignatureError, is_failure
from oms_gate.oms.bundle import Bundle
from oms_gate.oms.dsse import PAYLOAD_TYPE
from oms_gate.oms.evidence import LogEntry
from oms_gate.oms.general_names import text_of
from oms_gate.oms.quoting import one_line
from oms_gate.oms.timestamps import is_by
from oms_gate.oms.trust import SigstoreRoot, fingerprint
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import SignatureTime, Signer, TrustRoot, printable

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse
    from sigstore.models import TrustedRoot
    from sigstore_models.common.v1 import TimeRange
    from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance

_ARC: Final = "1.3.6.1.4.1.57264.1."
_OTHER_NAME: Final = x509.ObjectIdentifier(_ARC + "7")
_USER_NAME = re.compile(r"[^!]+![^!@:/\s]+")
_DER_UTF8_STRING = 0x0C
_CLOCK_SKEW = timedelta(minutes=10)
# Of the kinds of entries in logs of Rekor v1.
_FIRST_VERSION: Final = "0.0.1"
# Fulcio's extensions by the last number of their identifier; to 6 they are bare strings.
_LAST_BARE = 6
_CLAIMS: Final[dict[int, str]] = {
    1: "issuer_v1",
    2: "github_workflow_trigger",
    3: "github_workflow_sha",
    4: "github_workflow_name",
    5: "github_workflow_repository",
    6: "github_workflow_ref",
    8: "issuer",
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility_at_signing",
}


@dataclass(frozen=True)
class SigstoreSignature:
    """A verified Sigstore signature.

    log_index: the number of the entry in its transparency log.
    """

    signer: Signer
    times: tuple[SignatureTime, ...]
    log_index: int


@dataclass(frozen=True)
class SigstoreIdentity:
    """Whom a Fulcio certificate names, and who vouched for it to Fulcio.

    claims: Fulcio's extensions by their names in snake case, such as ``source_repository_uri``.
    """

    identity: str
    issuer: str
    claims: dict[str, str]


class _Refused(ValueError):  # noqa: N818 - becomes the second half of a sentence
    """Why a root did not verify the bundle."""


def verify_sigstore(
    bundle: Bundle, roots: Mapping[str, SigstoreRoot], *, at: datetime
) -> SigstoreSignature:
    """Check a Sigstore bundle against each of the configured roots, in their order.

    at: the time of verification, after which nothing can have been signed; with its time zone.

    Raises:
        SignatureError: ``trust.not-configured``; else ``sigstore.invalid``, whatever went wrong.
    """
    if not roots:
        raise SignatureError(
            ReasonCode.TRUST_NOT_CONFIGURED,
            "the signature is through Sigstore, but no Sigstore root is trusted; add one, for "
            "instance the public-good instance, to the trusted Sigstore roots",
        )
    refusals = []
    for root in roots.values():
        try:
            return _verify(bundle, root, at)
        except BaseException as error:
            if not is_failure(error):
                raise
            refusals.append(f"{root.name}: {one_line(error)}")
    raise SignatureError(
        ReasonCode.SIGSTORE_INVALID,
        f"the Sigstore signature is not valid under any trusted Sigstore root "
        f"({'; '.join(refusals)}); get the publisher's own bundle or have it signed again",
    )


def identity_of(certificate: x509.Certificate) -> SigstoreIdentity:
    """Read the identity from a Fulcio certificate.

    Raises:
        ValueError: there is not exactly one identity and one issuer, readable and unambiguous.
    """
    claims: dict[str, str] = {}
    names: list[x509.GeneralName] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names.extend(extension.value)
        if isinstance(extension.value, x509.UnrecognizedExtension):
            oid = extension.oid.dotted_string
            number = oid.removeprefix(_ARC)
            if number != oid and number.isdecimal() and int(number) in _CLAIMS:
                claims[_CLAIMS[int(number)]] = _claim(int(number), extension.value.value)
    if len(names) != 1:
        raise _Refused(f"the certificate must name exactly one identity, but names {len(names)}")
    old_issuer = claims.pop("issuer_v1", None)
    issuer = claims.pop("issuer", old_issuer)
    if not issuer:
        raise _Refused("the certificate does not say who vouched for the identity")
    if old_issuer not in (None, issuer):
        raise _Refused("the certificate names two different issuers of the identity")
    identity = _name(names[0])
    for text in (identity, issuer):
        if not text or printable(text) != text:
            raise _Refused("the certificate's identity or issuer has unreadable characters")
    return SigstoreIdentity(identity, issuer, claims)


def _verify(bundle: Bundle, root: SigstoreRoot, at: datetime) -> SigstoreSignature:
    # Heavy, and needed for this method only.
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.verify import Verifier

    entry = bundle.log_entry
    if entry is None:
        raise _Refused("it has no transparency log entry")
    document = SigstoreBundle.from_json(bundle.raw)
    leaf = document.signing_certificate
    data = document.verification_material.timestamp_verification_data
    timestamps = data.rfc3161_timestamps if data is not None else []

    times = [
        SignatureTime(source="timestamp-authority", time=t.tst_info.gen_time) for t in timestamps
    ]
    if entry.integrated_time is not None:
        times.insert(0, SignatureTime(source="transparency-log", time=entry.integrated_time))
    if not times:
        raise _Refused("nothing proves when it was signed")
    if max(time.time for time in times) > at + _CLOCK_SKEW:
        raise _Refused("it is said to have been signed in the future; check this machine's clock")
    # The library verifies envelopes with SHA-256 whatever the curve.
    if not isinstance(public_key := leaf.public_key(), ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise _Refused("the certificate's key is not on P-256")
    trusted = _in_force(root, [time.time for time in times], leaf, entry)
    payload_type, payload = Verifier(trusted_root=trusted).verify_dsse(document, _AnyIdentity())
    if payload_type != PAYLOAD_TYPE or payload != bundle.payload:
        raise _Refused("the verified statement is not the one that was read")
    for timestamp in timestamps:
        _check_timestamp(timestamp, document.signature, trusted)

    found = identity_of(leaf)
    signer = Signer(
        method="sigstore",
        identity=found.identity,
        issuer=found.issuer,
        subject=leaf.subject.rfc4514_string() or None,
        alternative_names=(found.identity,),
        claims=found.claims,
        key_sha256=fingerprint(public_key),
        root=TrustRoot(name=root.name, sha256=root.sha256),
    )
    return SigstoreSignature(signer, tuple(times), entry.log_index)


class _AnyIdentity:
    """Accepts every certificate: the library asks before it has verified the log entry."""

    def verify(self, cert: x509.Certificate) -> None:
        """Say nothing."""


def _in_force(
    root: SigstoreRoot, times: Sequence[datetime], leaf: x509.Certificate, entry: LogEntry
) -> TrustedRoot:
    """The part of a root that was in force when the signature is said to have been made.

    The times are claims still. That is enough: each that comes to be verified is among them, and
    a false one can only leave less to verify with.
    """
    from sigstore.models import TrustedRoot

    whole = root.trusted_root
    logged = _certificate_log_times(leaf)
    if max(logged, default=leaf.not_valid_before_utc) > leaf.not_valid_after_utc:
        raise _Refused("the certificate was logged only after it had expired")
    authorities = [
        authority
        for authority in whole.certificate_authorities
        if _covers(authority.valid_for, times) and _were_valid(authority, times)
    ]
    logs = [log for log in whole.tlogs if _covers(log.public_key.valid_for, times)]
    certificate_logs = [log for log in whole.ctlogs if _covers(log.public_key.valid_for, logged)]
    for kind, kept in (
        ("certificate authority", authorities),
        ("transparency log key", logs),
        ("certificate log key", certificate_logs),
    ):
        if not kept:
            raise _Refused(f"no {kind} of this root was in force at the time of signing")
    _check_log(entry, logs)
    return TrustedRoot(
        whole.model_copy(
            update={
                "certificate_authorities": authorities,
                "tlogs": logs,
                "ctlogs": certificate_logs,
            }
        )
    )


def _certificate_log_times(leaf: x509.Certificate) -> list[datetime]:
    found = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    return [timestamp.timestamp.replace(tzinfo=UTC) for timestamp in found.value]


def _were_valid(authority: CertificateAuthority, times: Iterable[datetime]) -> bool:
    chain = [
        x509.load_der_x509_certificate(member.raw_bytes)
        for member in authority.cert_chain.certificates
    ]
    return all(
        member.not_valid_before_utc <= time <= member.not_valid_after_utc
        for member in chain
        for time in times
    )


def _check_log(entry: LogEntry, logs: Iterable[TransparencyLogInstance]) -> None:
    """Check that an entry is of one of these logs, and its checkpoint about the tree of its proof.

    The library tries all keys where none has the log's identifier, and looks at nothing but the
    root hash of a checkpoint.
    """
    named = [log for log in logs if log.log_id.key_id == entry.log_id]
    if not named:
        raise _Refused("its transparency log is none of this root that was in force")
    if entry.promised and entry.integrated_time is None:
        raise _Refused("the promise of its transparency log is about no time")
    if entry.checkpoint_size != str(entry.tree_size):
        raise _Refused("the checkpoint of its transparency log is about a tree of another size")
    # Logs of the first version may call themselves anything.
    origins = {urlsplit(log.base_url).hostname for log in named}
    if entry.kind_version != _FIRST_VERSION and entry.checkpoint_origin not in origins:
        raise _Refused("the checkpoint of its transparency log is by a log of another name")


def _covers(period: TimeRange | None, times: Iterable[datetime]) -> bool:
    return period is None or all(
        period.start <= time and (period.end is None or time <= period.end) for time in times
    )


def _check_timestamp(timestamp: TimeStampResponse, message: bytes, trusted: TrustedRoot) -> None:
    """The library passes over timestamps that do not verify; here each one must."""
    time = timestamp.tst_info.gen_time
    for authority in trusted.get_timestamp_authorities():
        signer, *issuers = authority.certificates(allow_expired=True)
        end = authority.validity_period_end
        in_force = authority.validity_period_start <= time and (end is None or time <= end)
        if issuers and in_force and is_by(timestamp, message, signer, issuers):
            return
    raise _Refused("a timestamp is not by any timestamp authority of this root")


def _claim(number: int, value: bytes) -> str:
    return (value if number <= _LAST_BARE else _utf8_string(value)).decode("utf-8")


def _utf8_string(der: bytes) -> bytes:
    """The content of a DER UTF8String."""
    if len(der) < 2 or der[0] != _DER_UTF8_STRING:
        raise _Refused("a claim of the certificate is not a string")
    content = der[2:]
    length = der[1]
    if length > 0x7F:
        width = length & 0x7F
        length, content = int.from_bytes(der[2 : 2 + width], "big"), der[2 + width :]
        if width > 2 or length <= 0x7F or length >> (8 * (width - 1)) == 0:
            raise _Refused("a claim of the certificate is not in DER")
    if len(content) != length:
        raise _Refused("a claim of the certificate has a wrong length")
    return content


def _name(name: x509.GeneralName) -> str:
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
        return text_of(name)
    if isinstance(name, x509.OtherName) and name.type_id == _OTHER_NAME:
        # Fulcio's form, so that it cannot be taken for an address or a workflow.
        if _USER_NAME.fullmatch(text := _utf8_string(name.value).decode("utf-8")):
            return text
        raise _Refused("the certificate's user name is not of the form user!domain")
    raise _Refused("the certificate's identity is neither an e-mail address nor a URI nor a name")
