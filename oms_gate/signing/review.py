"""What changed in a model since it was signed, for whoever decides whether to sign it again."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass

from oms_gate.errors import SignatureError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.verify import UnverifiedBundle, inspect
from oms_gate.policy.kinds import kind_of
from oms_gate.reference import Reference
from oms_gate.signature_file import SignatureFile, SignaturePlace
from oms_gate.signing.changes import Changes, changes
from oms_gate.signing.ignored import left_out
from oms_gate.signing.model import Signable
from oms_gate.signing.standing import Standing, Vouch
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.manifest import manifest_of


@dataclass(frozen=True)
class Review:
    """A model as it lies now, against what a signature states.

    model: with the revision that was looked at.
    location: of the signature, a path beside the model or a URL.
    claims: what the signature says, whoever made it.
    standing: what it is worth; None if nobody was asked.
    manifest: of the model as it is now, with what the signature says to hash and to leave out.
    changes: since it was signed. Of a signature that does not count nothing does, neither that
        nor how it was made.
    believed: paths of the files that were not read: their store declares their digests.
    """

    model: Reference
    location: str
    claims: UnverifiedBundle
    standing: Standing | None
    manifest: Manifest
    changes: Changes
    believed: tuple[str, ...]


def diff_model(
    reference: Reference,
    signature: str = "model.sig",
    *,
    vouch: Vouch | None = None,
    stores: StoreSettings | None = None,
    limits: Limits | None = None,
    on_progress: ProgressCallback | None = None,
) -> Review:
    """Compare a model with its signature. Digests that the store declares are believed.

    signature: the bundle's name in the model's folder, or where it is instead (a URL or path).
    vouch: whose signature counts; None to take anybody's.

    Raises:
        UsageError: there is no signature that can be read, or nothing that could be signed.
        ConfigError: the store cannot be opened.
        StepError: the store failed, or a name cannot be signed.
    """
    stores, limits = stores or StoreSettings(), limits or Limits()
    snapshot = open_store(reference, stores, limits).snapshot(reference)
    try:
        ignored = {signature} & snapshot.files.keys()
        return _review(
            snapshot,
            signature,
            ignored,
            stores,
            limits,
            vouch=vouch,
            believe=True,
            on_progress=on_progress,
        )
    finally:
        snapshot.close()


def review_to_sign(
    model: Signable, vouch: Vouch, on_progress: ProgressCallback | None = None
) -> Review:
    """Compare a model with the signature that is to be replaced. Every byte is read.

    What `model.signing` leaves out is left out as well as what the signature does.

    vouch: whose signature counts.

    Raises:
        UsageError, ConfigError, StepError: as `diff_model`.
    """
    signing, destination = model.signing, model.destination
    ignored = left_out(signing.ignore_paths, model.snapshot.files) | destination.ignored
    return _review(
        model.snapshot,
        destination.name,
        ignored,
        signing.stores,
        signing.limits,
        vouch=vouch,
        believe=False,
        on_progress=on_progress,
    )


def _review(
    snapshot: Snapshot,
    signature: str,
    ignored: Collection[str],
    stores: StoreSettings,
    limits: Limits,
    *,
    vouch: Vouch | None,
    believe: bool,
    on_progress: ProgressCallback | None,
) -> Review:
    found, claims = _claims(snapshot, signature, stores, limits)
    standing = None if vouch is None else vouch(found.content, snapshot)
    before = claims.claimed_manifest if standing is None or standing.signer is not None else None
    hash_type = "sha256" if before is None else before.hash_type
    shard_size = None if before is None else before.shard_size
    known = {}
    if believe and shard_size is None and hash_type == "sha256":
        known = {path: file.sha256 for path, file in snapshot.files.items() if file.sha256}
    # Nobody signs the bookkeeping of a download, unless the signer did.
    left = {path for path in snapshot.files if kind_of(path) == "cache"}
    if before is not None:
        left = (left - before.files.keys()) | set(before.ignore_paths)
    manifest = manifest_of(
        snapshot,
        ignore_paths=left | set(ignored),
        hash_type=hash_type,
        shard_size=shard_size,
        known=known,
        limits=limits,
        on_progress=on_progress,
    )
    files = {path: file for path, file in snapshot.files.items() if path != found.location}
    return Review(
        snapshot.reference,
        found.location,
        claims,
        standing,
        manifest,
        changes(before, manifest, files),
        tuple(path for path in manifest.files if path in known),
    )


def _claims(
    snapshot: Snapshot, signature: str, stores: StoreSettings, limits: Limits
) -> tuple[SignatureFile, UnverifiedBundle]:
    with ExitStack() as opened:

        def listed(reference: Reference) -> Snapshot:
            other = open_store(reference, stores, limits).snapshot(reference)
            opened.callback(other.close)
            return other

        try:
            found = SignaturePlace.parse(signature).read(snapshot, listed, limits)
            return found, inspect(found.content, limits)
        except SignatureError as error:
            raise UsageError(
                f"there is nothing to compare the model with: {error}; oms-gate sign signs the "
                "model as it is now"
            ) from error
