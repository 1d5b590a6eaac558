"""Whether one who signed is one of those whom the configuration expects, by exact identities."""

from __future__ import annotations

import re

from oms_gate.policy.publishers import CertificateSigner, KeySigner, KnownSigner
from oms_gate.verdict import Signer

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def is_by(known: KnownSigner, signer: Signer) -> bool:
    """Whether `known` names the one who signed, as ``policies/lib/signers.rego`` has it.

    A pattern names nobody here: it is an engine's to match.
    """
    if known.method != signer.method:
        return False
    if isinstance(known, KeySigner):
        return signer.root.name == known.key
    if signer.root.name != known.root:
        return False
    if isinstance(known, CertificateSigner):
        in_time = signer.expired_at is None or known.allow_expired
        return in_time and (known.any_identity is True or _is_named(known, signer))
    return signer.identity == known.identity and signer.issuer == known.issuer


def _is_named(known: CertificateSigner, signer: Signer) -> bool:
    # "CN=me" must not pass for an alternative name of this text, nor the other way round.
    identity = known.identity or ""
    speaks_of_subject = "=" in identity and _URI.match(identity) is None
    goes_by_subject = signer.identity == signer.subject
    return signer.identity == known.identity and speaks_of_subject == goes_by_subject
