"""A bundle that somebody else has verified, known by its digest: only its statement is read.

Whoever pins a bundle has decided on its signer. That decision is about these very bytes and no
others, so nothing of it is repeated here: no key, certificate or log is looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms import old_format
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.statement import Format, parse_statement
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Signature


@dataclass(frozen=True)
class PinnedSignature:
    """What a bundle states whose digest is the one that was asked for.

    bundle_sha256: of the signature file, in hex.
    """

    manifest: Manifest
    format: Format
    bundle_sha256: str

    def summary(self, location: str) -> Signature:
        """What a verdict says of it: no times and no place in a log, which nobody verified here.

        location: of the bundle, a path beside the model or a URL.
        """
        return Signature(
            location=location,
            sha256=self.bundle_sha256,
            format=self.format,
            root_digest=self.manifest.root_digest,
            serialization=self.manifest.serialization,
            hash_type=self.manifest.hash_type,
        )


def read_pinned(bundle: bytes, sha256: str, limits: Limits, *, accept_old: bool) -> PinnedSignature:
    """Read the statement of a signature file that must have this digest.

    sha256: in lower-case hex.
    accept_old: whether to read the format before OMS v1.0 where a certificate signed.

    Raises:
        SignatureError: ``signature.not-pinned``, it is another file; or as `parse_bundle` and
            `parse_statement`, which read it as strictly as ever.
    """
    found = hashlib.sha256(bundle).hexdigest()
    if found != sha256:
        raise SignatureError(
            ReasonCode.SIGNATURE_NOT_PINNED,
            f"the model's signature is not the one that was admitted: pinned sha256 {sha256}, "
            f"found {found}; the model was signed anew since, so let it be admitted again (a pod: "
            "create it anew)",
        )
    parsed = parse_bundle(bundle, limits)
    try:
        statement = parse_statement(parsed.payload, limits)
    except SignatureError as error:
        unsupported = error.reason.code is ReasonCode.BUNDLE_UNSUPPORTED
        if not unsupported or not accept_old or parsed.method != "certificate":
            raise
        statement = old_format.parse_statement(parsed.payload, limits)
    return PinnedSignature(statement.manifest, statement.format, found)
