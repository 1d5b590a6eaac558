"""Coverage: the signed manifest against what the store lists, before any weight is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from oms_gate.errors import MeasureError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType, new_hasher
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.policy.input import CoverageInput
from oms_gate.policy.kinds import kind_of
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.verdict import (
    Assurance,
    Coverage,
    FileFact,
    IgnoredFile,
    IgnoreScope,
    Reason,
)


@dataclass(frozen=True)
class Comparison:
    """What the listing and the manifest say of each other.

    signed: the signed resources of each listed file, by its path.
    missing: signed names that are not listed.
    unsigned: listed files that are neither signed nor out of the signature's scope.
    ignored: listed files out of its scope, and whose doing that is: the format's (default), the
        signer's, or that they are the signature itself or a download client's bookkeeping.
    declared: signed files whose digest, as the store declares it, is the signed one.
    contradictions: files of which the listing alone shows that they are not the signed ones.
    attested: files with verified attestations that nobody signed, as if they were signed as they
        were verified.
    """

    signed: Mapping[str, tuple[Resource, ...]]
    missing: tuple[str, ...]
    unsigned: tuple[StoredFile, ...]
    ignored: tuple[tuple[StoredFile, IgnoreScope], ...]
    declared: frozenset[str]
    contradictions: tuple[Reason, ...]
    attested: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)

    def absent(self) -> tuple[Reason, ...]:
        """A reason for each signed file that is not there, for where no policy is asked."""
        return tuple(
            Reason(
                code=ReasonCode.COVERAGE_MISSING,
                message=f"{path} is signed but not there; restore it, or sign the model as it is "
                "now",
                path=path,
            )
            for path in self.missing
        )

    def with_attestations(self, files: Mapping[str, bytes], hash_type: HashType) -> Comparison:
        """The same, where these files are part of the signature: nobody else has to sign them.

        files: what was verified, by its path.
        """
        attested = {}
        for file in self._outside():
            if file.path in files:
                hasher = new_hasher(hash_type)
                hasher.update(files[file.path])
                attested[file] = Resource(file.path, hasher.hexdigest())
        return replace(
            self,
            unsigned=tuple(file for file in self.unsigned if file not in attested),
            ignored=(
                *((file, scope) for file, scope in self.ignored if file not in attested),
                *((file, "signature") for file in attested),
            ),
            attested={file.path: (resource,) for file, resource in attested.items()},
        )

    def _outside(self) -> Iterator[StoredFile]:
        yield from self.unsigned
        yield from (file for file, _ in self.ignored)

    def summary(self, snapshot: Snapshot) -> Coverage:
        """What a verdict says of it, before anything is measured."""
        return Coverage(
            signed=len(self.signed),
            signed_bytes=sum(snapshot.files[path].size or 0 for path in self.signed),
            missing=self.missing,
            unsigned=tuple(
                FileFact(path=file.path, size=file.size, kind=kind_of(file.path))
                for file in self.unsigned
            ),
            ignored=tuple(
                IgnoredFile(path=file.path, size=file.size, kind=kind_of(file.path), scope=scope)
                for file, scope in self.ignored
            ),
            declared=len(self.declared),
        )

    def for_policy(self, snapshot: Snapshot) -> CoverageInput:
        """What a policy is told of it."""
        return CoverageInput(
            signed=tuple((path, snapshot.files[path].size) for path in self.signed),
            missing=self.missing,
            unsigned=tuple((file.path, file.size) for file in self.unsigned),
            ignored=tuple((file.path, file.size, scope) for file, scope in self.ignored),
        )

    def to_hash(
        self, snapshot: Snapshot, wanted: Assurance, limits: Limits
    ) -> Mapping[str, tuple[Resource, ...]]:
        """The signed files whose bytes must be read for an assurance.

        Raises:
            MeasureError: for ``declared``, where a large file has no comparable digest.
        """
        if wanted is Assurance.BYTES:
            return self.signed
        unproven = {path: parts for path, parts in self.signed.items() if path not in self.declared}
        for path in unproven:
            size = snapshot.files[path].size
            if size is None or size > limits.small_file_bytes:
                raise MeasureError(
                    ReasonCode.ASSURANCE_UNAVAILABLE,
                    f"the store declares no comparable sha256 of {path}, and it is too large to "
                    "be read for a verdict at 'declared' assurance; ask for 'bytes'",
                    path=path,
                )
        return unproven


def compare(manifest: Manifest, snapshot: Snapshot, signature_path: str | None) -> Comparison:
    """Compare a signed manifest with a listing.

    signature_path: the bundle's own path in the listing, if it is there.
    """
    resources = manifest.files
    if snapshot.single and set(resources) == {"."}:
        # The reference implementation's name for a model that is a single file.
        resources = {next(iter(snapshot.files)): resources["."]}
    signed, unsigned, ignored = {}, [], []
    declared, contradictions = set(), []
    for path, file in snapshot.files.items():
        if path in resources:
            signed[path] = resources[path]
            if (reason := _contradiction(manifest, resources[path], file)) is not None:
                contradictions.append(reason)
            elif _comparable(manifest, file):
                declared.add(path)
        elif scope := _ignored(manifest, path, signature_path):
            ignored.append((file, scope))
        else:
            unsigned.append(file)
    return Comparison(
        signed=signed,
        missing=tuple(path for path in resources if path not in signed),
        unsigned=tuple(unsigned),
        ignored=tuple(ignored),
        declared=frozenset(declared),
        contradictions=tuple(contradictions),
    )


def _ignored(manifest: Manifest, path: str, signature_path: str | None) -> IgnoreScope | None:
    if path == signature_path:
        return "signature"
    if kind_of(path) == "cache":
        return "cache"
    return manifest.excludes(path)


def _comparable(manifest: Manifest, file: StoredFile) -> bool:
    """Whether the digest that the store declares is of the kind that was signed."""
    whole_sha256 = (manifest.serialization, manifest.hash_type) == ("files", "sha256")
    return file.sha256 is not None and whole_sha256


def _contradiction(
    manifest: Manifest, resources: tuple[Resource, ...], file: StoredFile
) -> Reason | None:
    size = resources[-1].end
    if size is not None and size != file.size:
        found = "an unknown number" if file.size is None else file.size
        return Reason(
            code=ReasonCode.FILE_SIZE,
            message=f"{file.path} was signed with {size} bytes and its store says {found}; sign "
            "the model again after changing it",
            path=file.path,
        )
    if _comparable(manifest, file) and resources[0].digest != file.sha256:
        return Reason(
            code=ReasonCode.FILE_CHANGED,
            message=f"{file.path} is not the file that was signed: signed sha256 "
            f"{resources[0].digest}, its store declares {file.sha256}; sign the model again after "
            "changing it",
            path=file.path,
        )
    return None
