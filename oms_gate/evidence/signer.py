"""The gate's own signature: in-toto statements of what it says, signed by its identity."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from oms_gate.errors import SigningError
from oms_gate.signing.opening import SigningIdentity, open_signer

if TYPE_CHECKING:
    from oms_gate.evidence_settings import GateSigner
    from oms_gate.oms.trust import Trust
    from oms_gate.signing.sigstore import SigstoreInstance


class OwnSigner:
    """Signs statements as the configuration says. Safe for several threads, and across forks.

    Key, certificate or token are opened anew for each: nothing secret is kept, and what was
    exchanged on the disk is used.
    """

    def __init__(self, settings: GateSigner) -> None:
        self._identity = SigningIdentity(
            key=settings.key,
            passphrase_file=settings.passphrase_file,
            certificate=None if settings.certificate is None else str(settings.certificate),
            certificate_chain=settings.certificate_chain,
            timestamp_url=settings.timestamp_url,
            sigstore=settings.sigstore,
            trusted_root=settings.trusted_root,
            signing_config=settings.signing_config,
        )

    def check(self) -> None:
        """See that key or certificate can sign now; where Sigstore is to, only a signature tells.

        Raises:
            ConfigError, SigningError: as `sign`.
        """
        if self._identity.sigstore is None:
            self.verifies()

    def sign(self, statement: Mapping[str, object]) -> bytes:
        """The bundle of an in-toto statement (Sigstore bundle v0.3, DSSE): one line of JSON.

        Raises:
            ConfigError: the key, certificate or token cannot be used.
            SigningError: a service or a token failed, or there is no identity to sign by.
        """
        payload = json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode()
        with open_signer(self._identity, _ambient) as signer:
            bundle = signer.attest(payload)
        return json.dumps(json.loads(bundle), separators=(",", ":")).encode()

    def verifies(self) -> tuple[Trust, str]:
        """What its signatures verify under, and in whose name, where it signs by a key.

        Raises:
            ConfigError: as `sign`.
        """
        with open_signer(self._identity, _ambient) as signer:
            return signer.trust, signer.identity or ""


def _ambient(_: SigstoreInstance) -> Callable[[], str]:
    from oms_gate.signing.identity_tokens import ambient_token

    def token() -> str:
        if (found := ambient_token()) is None:
            raise SigningError(
                "there is no identity for the gate to sign by: set SIGSTORE_ID_TOKEN, run it where "
                "the platform gives one, or give it a key under evidence.signer"
            )
        return found

    return token
