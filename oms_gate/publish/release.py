"""From a folder to a registry: listed, signed if that is asked for, judged, and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oms_gate.delivery.selection import Selection
from oms_gate.gate import Gate
from oms_gate.policy.kinds import INERT, kind_of
from oms_gate.publish.folder import GITIGNORE, Folder
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Publication, judge
from oms_gate.publish.registry import Published, Registry
from oms_gate.publish.signature import sign
from oms_gate.signing.model import ModelSigner
from oms_gate.stores import Snapshot
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Verdict

MESSAGE = "Publish the model with its signature"
# The Hub keeps it whatever is to be deleted.
_KEPT = ".gitattributes"
# Whoever leaves out a log knows it.
_OF_A_MODEL = ("weights", "pickle", "tokenizer", "config", "code")


@dataclass(frozen=True)
class Upload:
    """What of a folder becomes what of a model.

    below: the folder of the model that it becomes; empty for the model itself.
    include, exclude: patterns of what is sent, see `Folder`.
    delete: patterns, relative to `below`, of what is there now and is to go.
    """

    folder: Path
    below: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    delete: Sequence[str] = ()

    def publication(self, registry: Registry, gate: Gate) -> tuple[Publication, Snapshot]:
        """The revision that would be, and the listing of the folder.

        Raises:
            UsageError: nothing would be sent, or nothing can be deleted there.
            StoreError: something in the folder cannot be sent.
        """
        prefix = self.below and f"{self.below}/"
        published = registry.published
        base = published if registry.additive else None
        folder = Folder(
            self.folder,
            self.below,
            self.include,
            self.exclude,
            signature=None if gate.signature.elsewhere else gate.signature.location,
            limits=gate.limits,
        )
        if registry.target.scheme == "hf":
            folder = replace(folder, gitignore=self._gitignore(folder, base, gate))
        listing, ignored = folder.listing()
        sent = {prefix + path for path in listing.files}
        result = overlay(
            registry.target,
            base,
            listing,
            below=self.below,
            deleted=self._deleted(base, prefix) - sent,
        )
        publication = Publication(
            registry.target,
            result,
            sent,
            folder.left_out,
            published,
            registry.earlier_statements,
            ignored=[path for path in ignored if kind_of(path) in _OF_A_MODEL],
            gone=self._gone(published, result) - self._deleted(published, prefix),
        )
        return publication, listing

    def _gone(self, published: Snapshot | None, result: Snapshot) -> set[str]:
        """What is there, would not be any more, and is something that a loader may read."""
        there = set() if published is None else published.files.keys() - result.files.keys()
        return {path for path in there if kind_of(path) not in INERT}

    def _gitignore(self, folder: Folder, base: Snapshot | None, gate: Gate) -> str | None:
        """What the Hub goes by: the file that is sent, else the one that is there."""
        own = self.folder / GITIGNORE
        if not self.below and folder.left_out(GITIGNORE) is None and own.is_file():
            return own.read_text("utf-8", "replace")
        if base is None or GITIGNORE not in base.files:
            return None
        content = base.read(GITIGNORE, gate.limits.small_file_bytes)
        return None if content is None else content.decode("utf-8", "replace")

    def _deleted(self, base: Snapshot | None, prefix: str) -> set[str]:
        if not self.delete or base is None:
            return set()
        chosen = Selection(include=tuple(self.delete))
        return {
            path
            for path in base.files
            if path.startswith(prefix) and path.removeprefix(prefix) in chosen and path != _KEPT
        }


@dataclass(frozen=True)
class Release:
    """What came of it.

    published: where it is now; None where it was denied, or was only to be judged.
    """

    verdict: Verdict
    published: Published | None = None


def release(
    gate: Gate,
    registry: Registry,
    publication: Publication,
    *,
    signer: ModelSigner | None = None,
    keep: Callable[[bytes], object] = lambda _: None,
    publish: bool = True,
    message: str = MESSAGE,
    pull_request: bool = False,
    on_progress: ProgressCallback | None = None,
) -> Release:
    """Sign a publication if there is a signer, judge it, and publish it if it may be.

    keep: takes the new signature, if it may be published.
    publish: whether to publish it, or only to say whether one may.
    message, pull_request: for the Hub's history, see `Registry.publish`.

    Raises:
        UsageError, ConfigError, SigningError, StepError: see `sign`, `judge`, `Registry.publish`.
    """
    bundle = None
    if signer is not None:
        publication, bundle = sign(gate, publication, signer, on_progress=on_progress)
    judgement = judge(gate, publication, on_progress=on_progress).kept(gate)
    if not judgement.verdict.lets_through:
        return Release(judgement.verdict)
    if bundle is not None:
        keep(bundle)
    if not publish:
        return Release(judgement.verdict)
    published = registry.publish(
        publication,
        judgement,
        message=message,
        pull_request=pull_request,
        on_progress=on_progress,
    )
    return Release(judgement.verdict, published)


def release_folder(
    gate: Gate,
    registry: Registry,
    upload: Upload,
    *,
    signer: ModelSigner | None = None,
    publish: bool = True,
    message: str = MESSAGE,
    pull_request: bool = False,
    on_progress: ProgressCallback | None = None,
) -> Release:
    """The same for a folder, in which a new signature is kept too.

    Raises:
        UsageError, ConfigError, SigningError, StepError: see `release`.
    """
    publication, listing = upload.publication(registry, gate)

    def keep(bundle: bytes) -> None:
        if not upload.below:  # Elsewhere it would be that of another model.
            listing.write(gate.signature.location, bundle, message=message)

    return release(
        gate,
        registry,
        publication,
        signer=signer,
        keep=keep,
        publish=publish,
        message=message,
        pull_request=pull_request,
        on_progress=on_progress,
    )
