"""Sign a model where it lies: hash it by streaming, sign, and put the signature beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from oms_gate.errors import ConfigError, StepError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.sign import Timestamper, payload_of, sign_with_certificate, sign_with_key
from oms_gate.oms.trust import CertificateRoot, KeyRoot, Trust
from oms_gate.oms.verify import verify
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.stores.local_writing import write_below
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of
from oms_gate.verdict import Signer

if TYPE_CHECKING:
    from cryptography import x509

    from oms_gate.oms.dsse import SigningKey
    from oms_gate.signing.sigstore import SigstoreInstance


# Certificates, log entry and timestamp of a real bundle have less.
_MATERIAL_BYTES = 32 * 1024


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
        """With a key and its certificate; the last one of the chain is taken as trusted."""
        root = CertificateRoot.of("signer", chain[-1:])
        sign = partial(sign_with_certificate, key=key, chain=chain, timestamper=timestamper)
        return cls(sign, Trust(certificates={root.name: root}))

    @classmethod
    def by_sigstore(cls, instance: SigstoreInstance, token: str) -> Self:
        """In the name of an identity token's holder."""
        from oms_gate.signing.sigstore import sign_with_sigstore

        sign = partial(sign_with_sigstore, instance=instance, token=token)
        return cls(sign, Trust(sigstore={instance.root.name: instance.root}))


@dataclass(frozen=True)
class Signing:
    """What is to be signed, and where the signature goes.

    signature: its name in the model's folder; a single file has its own name with .sig added.
    output: a local file for the signature instead of the model's store.
    ignore_paths: relative paths to leave out, a folder with all below it.
    shard_size: bytes; None for whole files.
    message, pull_request: for the Hub, see `Snapshot.write`.
    """

    signature: str = "model.sig"
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

    Nothing is written unless the signature verifies, nor where the model was changed meanwhile.

    Raises:
        UsageError: there is nothing to sign, or no way to write where the signature should go.
        ConfigError: the key or certificate cannot sign models, or the store cannot be opened.
        SigningError: a token or a service failed.
        StepError: the store failed, or a verifier would refuse what was to be signed.
    """
    signing = signing or Signing()
    snapshot = open_store(reference, signing.stores, signing.limits).snapshot(reference)
    try:
        name = _signature_name(snapshot, signing)
        manifest = manifest_of(
            snapshot,
            ignore_paths=_ignored(snapshot, name, signing),
            hash_type=signing.hash_type,
            shard_size=signing.shard_size,
            limits=signing.limits,
            on_progress=on_progress,
        )
        subject_name = reference.name.rpartition("/")[2]
        # Before anything is signed and, with Sigstore, recorded for good.
        _check_size(payload_of(manifest, subject_name), signing.limits)
        bundle = signer.sign(manifest, subject_name)
        verified = _verified(bundle, manifest, signer, signing.limits)
        url, pull_request = _write(snapshot, name, bundle, signing)
        size = sum(snapshot.files[path].size or 0 for path in manifest.files)
        return SignedModel(snapshot.reference, manifest, size, verified, url, pull_request)
    finally:
        snapshot.close()


def _signature_name(snapshot: Snapshot, signing: Signing) -> str:
    if snapshot.single:
        return f"{next(iter(snapshot.files))}.sig"
    return signing.signature


def _ignored(snapshot: Snapshot, name: str, signing: Signing) -> set[str]:
    """What the signer leaves out, and the signature itself wherever below the model it will be."""
    ignored = {*signing.ignore_paths, name}
    reference = snapshot.reference
    if signing.output is not None and reference.scheme == "file":
        output = Path(signing.output.absolute().parent.resolve(), signing.output.name)
        root = Path(reference.location).resolve()
        if output.is_relative_to(root):
            ignored.add(output.relative_to(root).as_posix())
    return ignored


def _check_size(payload: bytes, limits: Limits) -> None:
    size = len(payload) * 4 // 3 + _MATERIAL_BYTES
    if size > limits.bundle_bytes:
        raise UsageError(
            f"the signature would have some {size} bytes, more than the {limits.bundle_bytes} that "
            "verifiers allow by default (limits.bundle_bytes); sign larger shards or whole files, "
            "or the parts of the model on their own"
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


def _write(
    snapshot: Snapshot, name: str, bundle: bytes, signing: Signing
) -> tuple[str, str | None]:
    output = signing.output
    if output is None:
        written = snapshot.write(
            name, bundle, message=signing.message, pull_request=signing.pull_request
        )
        return written.url, written.pull_request
    try:
        write_below(output.absolute().parent.resolve(), output.name, bundle, lambda: None)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error
    return str(output), None
