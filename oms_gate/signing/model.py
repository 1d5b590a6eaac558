"""Sign a model where it lies: hash it by streaming, sign, and put the signature beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from oms_gate.errors import (
    ConfigError,
    OmsGateError,
    SigningError,
    StepError,
    StoreError,
    UsageError,
)
from oms_gate.limits import Limits
from oms_gate.oms.attestation import verify_attestation
from oms_gate.oms.certificate import check_own_chain, identity_of
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.sign import (
    Timestamper,
    check_pair,
    payload_of,
    sign_with_certificate,
    sign_with_key,
)
from oms_gate.oms.trust import CertificateRoot, KeyRoot, Trust
from oms_gate.oms.verify import verify
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signing.destination import Destination
from oms_gate.signing.ignored import left_out
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.stores.local_writing import is_temporary
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of
from oms_gate.verdict import Signer

if TYPE_CHECKING:
    from cryptography import x509

    from oms_gate.oms.dsse import SigningKey
    from oms_gate.signing.sigstore import SigstoreInstance


T = TypeVar("T", covariant=True)


class Verifier(Protocol[T]):
    """What verifies a bundle and reads its statement: `verify` or `verify_attestation`."""

    def __call__(self, bundle: bytes, trust: Trust, *, at: datetime, limits: Limits) -> T:
        """See `verify`."""


# What a statement calls a model whose own name cannot be shown; it means nothing to verifiers.
_NAMELESS = "model"
# What the name of a single file's signature has added.
BESIDE = ".sig"


def _would_be_refused(error: StepError) -> ConfigError:
    return ConfigError(f"a signature made this way would be refused: {error.reason.message}")


@dataclass(frozen=True)
class ModelSigner:
    """One way to sign, and what its signatures must verify under before they are let go.

    make: makes the bundle of a statement.
    identity: in whose name, as verifiers will say; None where only a signature tells.
    refused: the error for one that does not verify.
    """

    make: Callable[[bytes], bytes]
    trust: Trust
    identity: str | None = None
    refused: Callable[[StepError], OmsGateError] = _would_be_refused

    @classmethod
    def by_key(cls, key: SigningKey, timestamper: Timestamper | None = None) -> Self:
        """With a bare key."""
        root = KeyRoot.of("signer", key.public_key())
        sign = partial(sign_with_key, key=key, timestamper=timestamper)
        return cls(sign, Trust(keys={root.name: root}), f"sha256:{root.sha256}")

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
        identity, _ = identity_of(chain[0])
        return cls(sign, Trust(certificates={root.name: root}), identity)

    @classmethod
    def by_sigstore(cls, instance: SigstoreInstance, token: Callable[[], str]) -> Self:
        """In the name of an identity token's holder.

        token: is asked for it when the model has been hashed, since tokens live for minutes.
        """
        from oms_gate.signing.sigstore import sign_with_sigstore

        def make(payload: bytes) -> bytes:
            return sign_with_sigstore(payload, instance, token())

        return cls(make, instance.trust, refused=instance.refused)

    def sign(
        self, manifest: Manifest, subject_name: str, *, limits: Limits | None = None
    ) -> tuple[bytes, Signer]:
        """A signature file that verifies, and who has signed.

        Raises:
            UsageError: see `payload_of`.
            ConfigError: it would be refused.
            SigningError: a token or a service failed, or gave no valid signature.
        """
        bundle = self.make(payload_of(manifest, subject_name))
        verified = self._verified(verify, bundle, limits)
        if verified.manifest != manifest:
            raise ConfigError("a signature made this way would not say what was signed")
        return bundle, verified.signer

    def attest(self, statement: bytes) -> bytes:
        """The bundle of an in-toto statement that says something else than a model's content.

        Raises:
            ConfigError: it would be refused.
            SigningError: a token or a service failed, or gave no valid signature.
        """
        bundle = self.make(statement)
        self._verified(verify_attestation, bundle)
        return bundle

    def _verified(self, verifier: Verifier[T], bundle: bytes, limits: Limits | None = None) -> T:
        try:
            return verifier(bundle, self.trust, at=datetime.now(UTC), limits=limits or Limits())
        except StepError as error:
            raise self.refused(error) from error


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


@dataclass(frozen=True)
class Signable:
    """A model that lies where its signature can be written, as it was listed.

    snapshot: the model alone.
    destination: where the signature goes, looked at.
    """

    snapshot: Snapshot
    destination: Destination
    signing: Signing

    def sign(
        self, manifest: Manifest, signer: ModelSigner, *, only_as: Signer | None = None
    ) -> SignedModel:
        """Sign this manifest of the model, and write the signature.

        Nothing is written unless the signature verifies, nor into a model that was changed since
        it was listed.

        only_as: who has to turn out to have signed; None for anybody.

        Raises:
            UsageError: it cannot be signed, or written there.
            ConfigError: the key or certificate cannot sign models.
            SigningError: a token or a service failed, or it is somebody else.
            StepError: the store failed, or the model was changed.
        """
        name = self.snapshot.reference.name.rpartition("/")[2]
        name = name if name and name.isprintable() else _NAMELESS
        bundle, verified = signer.sign(manifest, name, limits=self.signing.limits)
        if only_as is not None and _who(verified) != _who(only_as):
            raise SigningError(
                f"nothing was written: you signed as {_named(verified)}, but the model is signed "
                f"by {_named(only_as)}; give --config with publishers if you trust that signer, or "
                "look at all of the model and sign it with oms-gate sign"
            )
        written = self.destination.write(bundle)
        size = sum(self.snapshot.files[path].size or 0 for path in manifest.files)
        return SignedModel(
            self.snapshot.reference, manifest, size, verified, written.url, written.pull_request
        )


@contextmanager
def signable(reference: Reference, signing: Signing) -> Iterator[Signable]:
    """The model at `reference`, as long as the context lasts.

    What can be refused beforehand is, before anything is hashed.

    Raises:
        UsageError: there is nothing to sign, or no way to write where the signature should go.
        ConfigError: the store cannot be opened.
        StepError: the store failed, or something in the model should not be signed.
    """
    snapshot = _snapshot(reference, signing)
    try:
        destination = Destination(
            snapshot=snapshot,
            name=_name(snapshot, signing),
            output=signing.output,
            message=signing.message,
            pull_request=signing.pull_request,
            limits=signing.limits,
        )
        destination.check()
        yield Signable(_to_sign(snapshot), destination, signing)
    finally:
        snapshot.close()


def sign_model(
    reference: Reference,
    signer: ModelSigner,
    signing: Signing | None = None,
    *,
    on_progress: ProgressCallback | None = None,
) -> SignedModel:
    """Sign the model at `reference`, and write the signature.

    Raises:
        UsageError, ConfigError, SigningError, StepError: see `signable`, `manifest_of` and
            `Signable.sign`.
    """
    signing = signing or Signing()
    with signable(reference, signing) as model:
        files = model.snapshot.files
        manifest = manifest_of(
            model.snapshot,
            ignore_paths=left_out(signing.ignore_paths, files) | model.destination.ignored,
            hash_type=signing.hash_type,
            shard_size=signing.shard_size,
            limits=signing.limits,
            on_progress=on_progress,
        )
        return model.sign(manifest, signer)


def _who(signer: Signer) -> tuple[str, str | None]:
    return signer.identity, signer.issuer


def _named(signer: Signer) -> str:
    return f"{signer.identity} (of {signer.issuer})" if signer.issuer else signer.identity


def _snapshot(reference: Reference, signing: Signing) -> Snapshot:
    store = open_store(reference, signing.stores, signing.limits)
    try:
        return store.snapshot(reference, beside="" if signing.output else BESIDE)
    except StoreError as error:
        # Elsewhere it may be a matter of who asks.
        if reference.is_local and error.reason.code is ReasonCode.STORE_NOT_FOUND:
            raise UsageError(f"there is nothing to sign: {error}") from error
        raise


def _name(snapshot: Snapshot, signing: Signing) -> str:
    """The signature's, in the model's folder."""
    if not snapshot.single:
        return signing.signature
    name = next(iter(snapshot.files)) + BESIDE
    if signing.named and signing.signature != name:
        raise UsageError(
            f"the signature of a single file is always {name} beside it; leave out --signature, "
            "and name a file elsewhere, if it is to be one, with --output"
        )
    return name


def _to_sign(snapshot: Snapshot) -> Snapshot:
    """What of a listing is the model.

    Raises:
        StoreError: something is in it that should not be signed.
    """
    if snapshot.single:
        return replace(snapshot, files=dict(islice(snapshot.files.items(), 1)))
    for path in snapshot.files:
        if is_temporary(path):
            raise StoreError(
                ReasonCode.STORE_UNSAFE_FILE,
                f"{path} is no part of the model: a signing that was interrupted left it; delete "
                "it, then sign again",
                path=path,
            )
    return snapshot
