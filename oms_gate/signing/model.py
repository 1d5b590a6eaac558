"""Sign a model where it lies: hash it by streaming, sign, and put the signature beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from oms_gate.errors import ConfigError, StepError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.certificate import check_own_chain
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.sign import Timestamper, check_pair, sign_with_certificate, sign_with_key
from oms_gate.oms.trust import CertificateRoot, KeyRoot, Trust
from oms_gate.oms.verify import verify
from oms_gate.policy.kinds import INERT, kind_of
from oms_gate.reference import Reference
from oms_gate.signing.destination import Destination
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of
from oms_gate.verdict import ReasonCode, Signer

if TYPE_CHECKING:
    from cryptography import x509

    from oms_gate.oms.dsse import SigningKey
    from oms_gate.signing.sigstore import SigstoreInstance


# What a statement calls a model whose own name cannot be shown; it means nothing to verifiers.
_NAMELESS = "model"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSigner:
    """One way to sign, and what its signatures must verify under before they are let go.

    sign: makes the signature file for a manifest and the model's name.
    """

    sign: Callable[[Manifest, str], bytes]
    trust: Trust

    @classmethod
    def by_key(cls, key: SigningKey, timestamper: Timestamper | None = None) -> Self:
        """With a bare key."""
        root = KeyRoot.of("signer", key.public_key())
        sign = partial(sign_with_key, key=key, timestamper=timestamper)
        return cls(sign, Trust(keys={root.name: root}))

    @classmethod
    def by_certificate(
        cls,
        key: SigningKey,
        chain: Sequence[x509.Certificate],
        timestamper: Timestamper | None = None,
    ) -> Self:
        """With a key and its certificate; the last one of the chain is taken as trusted.

        Raises:
            ConfigError: verifiers would refuse the certificate, or it is another key's.
        """
        check_pair(key, chain)
        check_own_chain(chain, at=datetime.now(UTC))
        root = CertificateRoot.of("signer", chain[-1:])
        sign = partial(sign_with_certificate, key=key, chain=chain, timestamper=timestamper)
        return cls(sign, Trust(certificates={root.name: root}))

    @classmethod
    def by_sigstore(
        cls, instance: SigstoreInstance, token: Callable[[], str], limits: Limits
    ) -> Self:
        """In the name of an identity token's holder.

        token: is asked for it when the model has been hashed, since tokens live for minutes.
        """
        from oms_gate.signing.sigstore import sign_with_sigstore

        def sign(manifest: Manifest, subject_name: str) -> bytes:
            return sign_with_sigstore(manifest, subject_name, instance, token(), limits=limits)

        return cls(sign, Trust(sigstore={instance.root.name: instance.root}))


@dataclass(frozen=True)
class Signing:
    """What is to be signed, and where the signature goes.

    signature: its name in the model's folder; that of a single file is its own with .sig added.
    named: whether that name was asked for, which a single file then refuses.
    output: a local file for the signature instead of the model's store.
    ignore_paths: relative paths to leave out, a folder with all below it.
    shard_size: bytes; None for whole files.
    message, pull_request: for the Hub, see `Snapshot.write`.
    """

    signature: str = "model.sig"
    named: bool = False
    output: Path | None = None
    ignore_paths: Collection[str] = ()
    hash_type: HashType = "sha256"
    shard_size: int | None = None
    message: str = "Sign the model"
    pull_request: bool = False
    stores: StoreSettings = field(default_factory=StoreSettings)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class SignedModel:
    """What was signed by whom, and where the signature is.

    bytes: what was hashed.
    url: of the signature file; on the Hub, at the commit that brought it.
    pull_request: the page of the pull request that proposes it, or None.
    """

    model: Reference
    manifest: Manifest
    bytes: int
    signer: Signer
    url: str
    pull_request: str | None


def sign_model(
    reference: Reference,
    signer: ModelSigner,
    signing: Signing | None = None,
    *,
    on_progress: ProgressCallback | None = None,
) -> SignedModel:
    """Sign the model at `reference`, and write the signature.

    What can be refused beforehand is, before anything is hashed. Nothing is written unless the
    signature verifies, nor into a model that was changed meanwhile.

    Raises:
        UsageError: there is nothing to sign, or no way to write where the signature should go.
        ConfigError: the key or certificate cannot sign models, or the store cannot be opened.
        SigningError: a token or a service failed.
        StepError: the store failed, or a verifier would refuse what was to be signed.
    """
    signing = signing or Signing()
    limits = signing.limits
    snapshot = _snapshot(reference, signing)
    try:
        destination = Destination(
            snapshot=snapshot,
            name=_name(snapshot, signing),
            output=signing.output,
            message=signing.message,
            pull_request=signing.pull_request,
            limits=limits,
        )
        destination.check()
        for path in signing.ignore_paths:
            _warn_of(path, snapshot)
        manifest = manifest_of(
            snapshot,
            ignore_paths={*signing.ignore_paths, *destination.ignored},
            hash_type=signing.hash_type,
            shard_size=signing.shard_size,
            limits=limits,
            on_progress=on_progress,
        )
        name = reference.name.rpartition("/")[2]
        bundle = signer.sign(manifest, name if name and name.isprintable() else _NAMELESS)
        verified = _verified(bundle, manifest, signer, limits)
        written = destination.write(bundle)
        size = sum(snapshot.files[path].size or 0 for path in manifest.files)
        return SignedModel(
            snapshot.reference, manifest, size, verified, written.url, written.pull_request
        )
    finally:
        snapshot.close()


def _snapshot(reference: Reference, signing: Signing) -> Snapshot:
    try:
        return open_store(reference, signing.stores, signing.limits).snapshot(reference)
    except StoreError as error:
        # Elsewhere it may be a matter of who asks.
        if reference.scheme == "file" and error.reason.code is ReasonCode.STORE_NOT_FOUND:
            raise UsageError(f"there is nothing to sign: {error}") from error
        raise


def _name(snapshot: Snapshot, signing: Signing) -> str:
    """The signature's, in the model's folder."""
    if not snapshot.single:
        return signing.signature
    name = f"{next(iter(snapshot.files))}.sig"
    if signing.named and signing.signature != name:
        raise UsageError(
            f"the signature of a single file is always {name} beside it; leave out --signature, or "
            "name a file elsewhere with --output"
        )
    return name


def _warn_of(path: str, snapshot: Snapshot) -> None:
    """Say what a path that is to be left out does not do, or does to a verifier."""
    left_out = [file for file in snapshot.files if f"{file}/".startswith(f"{path}/")]
    if not left_out:
        _LOG.warning("%s is to be left out, but there is no such path in the model", path)
    if read := [file for file in left_out if kind_of(file) not in INERT]:
        _LOG.warning(
            "%s is left out, but loaders may read %s%s: unless allowed, verifiers refuse it",
            path,
            read[0],
            " and more" if read[1:] else "",
        )


def _verified(bundle: bytes, manifest: Manifest, signer: ModelSigner, limits: Limits) -> Signer:
    """Verify a signature before anybody else gets to: who has signed."""
    try:
        verified = verify(bundle, signer.trust, at=datetime.now(UTC), limits=limits)
    except StepError as error:
        raise ConfigError(
            f"a signature made this way would be refused: {error.reason.message}"
        ) from error
    if verified.manifest != manifest:
        raise ConfigError("a signature made this way would not say what was signed")
    return verified.signer
