"""Publishing to S3: a release in a folder of its own, and then the pointer to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress

from oms_gate.errors import ConfigError, StoreError, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.publication import Judgement, Publication
from oms_gate.publish.registry import Published
from oms_gate.publish.rollback import statement_digest
from oms_gate.publish.s3_transfer import Transfer
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import S3_SCHEMES, Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.s3 import S3Store
from oms_gate.stores.s3_client import S3Client, store_error
from oms_gate.stores.s3_releases import (
    POINTER,
    Pointer,
    Shortened,
    current_release,
    new_release,
    point,
    releases_before,
)
from oms_gate.stores.s3_uploading import S3Uploader
from oms_gate.stores.store import translated, unanswered
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance

# Answers by which the pointer was not written, now. After any other error nobody knows.
_REFUSED = (ReasonCode.STORE_CHANGED, ReasonCode.STORE_FORBIDDEN)


class S3Registry:
    """A model's place in S3, see `Registry`; each publication is a release, complete by itself.

    What the current release has already, or `source`, is copied by S3 itself, if it declares of it
    the SHA-256 that was signed.

    copied: the files of what was published of which that is so; all others were hashed here.
    """

    additive = False
    copied: frozenset[str] = frozenset()

    def __init__(self, target: Reference, gate: Gate, source: Snapshot | None = None) -> None:
        """
        source: where files come from, if that is in S3 too.

        Raises:
            UsageError: the target is a release, or an object.
            ConfigError: the store cannot be opened as it is configured.
            StoreError: the store refuses or fails, or what is there cannot be read.
        """
        if target.release is not None:
            raise UsageError(f"{target.url} is a release, which never changes; name {target.name}")
        self.target = target
        self._limits = gate.limits
        self._client = S3Client(gate.stores, gate.limits)
        self._pointer = self._current()
        self.published = self._listed(gate)
        self._donors = [
            snapshot
            for snapshot in (self.published, source)
            if snapshot is not None and snapshot.reference.scheme in S3_SCHEMES
        ]
        self._uploader = S3Uploader(
            self._client, f"{target.location}/{POINTER}", gate.limits, gate.stores.private_hosts
        )
        self._signature = gate.signature.location

    def earlier_statements(self) -> Iterable[str]:
        """See `Registry.earlier_statements`; of each release only the start of it is known."""
        if self._pointer is None:
            return ()
        with self._translated():
            found = self._client.run(
                releases_before(self._client, self.target, self._pointer.release, self._signature)
            )
        return Shortened(found)

    def publish(
        self,
        publication: Publication,
        judgement: Judgement,
        *,
        message: str,  # noqa: ARG002 - S3 has no history to say it in
        pull_request: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Published:
        """See `Registry.publish`."""
        if pull_request:
            raise UsageError(
                f"{self.target.url} is not on the Hub, so there is no pull request to make; leave "
                "that option out"
            )
        signature = judgement.signature
        assert signature is not None  # Or it would have been denied.
        result = publication.result
        # Where the gate looks for signatures elsewhere, it goes by a name of its own.
        own = self._signature if self._signature in result.files else signature.name
        if self._pointer is not None and self._is_published(result, judgement, own):
            if self._current() != self._pointer:
                raise self._overtaken()
            return Published(self.target.at_release(self._pointer.release).url)
        digest = hashlib.sha256(signature.content).hexdigest()
        release = new_release(
            statement_digest(signature.content, self._limits) or digest,
            None if self._pointer is None else self._pointer.release,
        )
        folder = self.target.at_release(release)
        paths = [path for path in result.files if path != own]
        # Without its signature a release never became one, so that goes first.
        names = [f"{folder.location}/{path}" for path in (own, *paths)]
        transfer = self._transfer(folder, result, judgement)
        try:
            transfer.run(paths, on_progress)
            self.copied = frozenset(transfer.copied)
            self._uploader.upload(
                names[0],
                len(signature.content),
                lambda start, end: [signature.content[start:end]],
                digest,
            )
        except BaseException:
            self._remove(names)
            raise
        self._point_to(release, names)
        return Published(folder.url)

    def close(self) -> None:
        """Release the connections."""
        self._uploader.close()
        if self.published is not None:
            self.published.close()
        self._client.close()

    def _current(self) -> Pointer | None:
        async def current() -> Pointer | None:
            await self._client.connect()
            return await current_release(self._client, self.target)

        with self._translated():
            return self._client.run(current())

    def _is_published(self, result: Snapshot, judgement: Judgement, own: str) -> bool:
        """Whether the current release is what would be the next one: all of it signed, and read.

        own: the name of the signature.
        """
        unread = judgement.verdict.assurance is Assurance.SIGNATURE
        if unread or self.published is None or self.published.files.keys() != result.files.keys():
            return False
        present = self.published.read(own, self._limits.bundle_bytes)
        signature = judgement.signature
        all_signed = result.files.keys() - {own} <= judgement.signed.keys()
        return all_signed and signature is not None and present == signature.content

    def _listed(self, gate: Gate) -> Snapshot | None:
        """What is published now, at the release that the pointer names.

        Whoever reads the model is refused where that release is gone; another one is the way on.
        """
        place = (
            self.target if self._pointer is None else self.target.at_release(self._pointer.release)
        )
        try:
            snapshot = S3Store(gate.stores, gate.limits).snapshot(place)
        except StoreError as error:
            if error.reason.code is not ReasonCode.STORE_NOT_FOUND:
                raise
            snapshot = None
        if snapshot is not None and snapshot.single:
            snapshot.close()
            raise UsageError(f"{self.target.url} is one object; name a prefix to publish to")
        if snapshot is not None and snapshot.reference.release != place.release:
            snapshot.close()
            raise self._overtaken()
        return snapshot

    def _transfer(self, folder: Reference, result: Snapshot, judgement: Judgement) -> Transfer:
        return Transfer(
            self._uploader, folder.location, result, judgement, self._donors, self._limits
        )

    def _point_to(self, release: str, names: Sequence[str]) -> None:
        """Make it the current release, if nobody has published since.

        names: its objects, which go where it cannot become current any more.
        """
        try:
            with unanswered(POINTER), self._translated("written"):
                self._client.run(point(self._client, self.target, release, self._pointer))
        except StoreError as error:
            if error.reason.code not in _REFUSED:
                raise
            # It may have been written before, and the answer to that was lost.
            if self._is_current(release, error):
                return
            self._remove(names)
            if error.reason.code is ReasonCode.STORE_CHANGED:
                raise self._overtaken() from error
            raise

    def _is_current(self, release: str, refusal: StoreError) -> bool:
        """Whether it is the current release although that was refused.

        Raises:
            StoreError: nobody can say.
        """
        try:
            pointer = self._current()
        except (ConfigError, StoreError) as error:
            raise StoreError(
                refusal.reason.code,
                f"{refusal.reason.message}; it may have been published before that, which cannot "
                f"be seen ({error}), so nothing was removed: look first at what "
                f"{self.target.url} is now",
            ) from error
        return pointer is not None and pointer.release == release

    def _remove(self, names: Sequence[str]) -> None:
        with suppress(StoreError):  # They are in nobody's way.
            self._uploader.delete(names)

    def _overtaken(self) -> StoreError:
        return StoreError(
            ReasonCode.STORE_CHANGED,
            f"somebody else has published at {self.target.url} meanwhile, so nothing was changed; "
            "look at what is there now, then publish again",
        )

    def _translated(self, done: str = "read") -> AbstractContextManager[None]:
        return translated(lambda error: store_error(error, self.target.url, done))
