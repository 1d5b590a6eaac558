"""The attestations of a model: looked for by name, read and capped, verified, and bound to it.

What is wrong with one is told and denies nothing by itself; whether a model needs one is for the
policy to say. A store that fails denies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

from oms_gate.errors import SignatureError, StepError, StoreError
from oms_gate.limits import Limits
from oms_gate.policy.globs import Globs
from oms_gate.policy.input import InputAttestation, InputRefusedAttestation
from oms_gate.policy.kinds import kind_of
from oms_gate.policy.predicates import shown, times_in
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, within
from oms_gate.verdict import Attestation, Reason, printable

if TYPE_CHECKING:
    from oms_gate.oms.attestation import SignedModel
    from oms_gate.oms.manifest import Resource
    from oms_gate.oms.trust import Trust
    from oms_gate.oms.verify import VerifiedSignature

_JSON: Final = (".json", ".jsonl")

Accepted = tuple[InputAttestation, Attestation]
"""As policies see it, and as a verdict tells it."""

Refused = tuple[InputRefusedAttestation, Reason]
"""As policies see it, and as a verdict warns of it."""

OpenSnapshot = Callable[[Reference], Snapshot]


@dataclass(frozen=True)
class Attestations:
    """What was found beside a model.

    accepted: what is verified and about the model.
    refused: the rest, and why.
    files: those that hold nothing but what is accepted, and that no loader can take for more, by
        path; their content.
    """

    accepted: tuple[Accepted, ...] = ()
    refused: tuple[Refused, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    """A file by its path, and what the configuration calls it; content: None if too large."""

    path: str
    names: tuple[str, ...]
    content: bytes | None


@dataclass(frozen=True)
class AttestationReader:
    """Reads the attestations of models, where the configuration says they are.

    places: globs over the paths in a model's folder, by the names that policies use. Beside a
        single file, the ``*`` at the start of one stands for the file's own name.
    trust, at: as of `verify`.
    """

    places: Mapping[str, str]
    trust: Trust
    at: datetime
    limits: Limits

    def read(
        self,
        snapshot: Snapshot,
        open_snapshot: OpenSnapshot,
        verified: VerifiedSignature,
        signed: Mapping[str, tuple[Resource, ...]],
        signature: str,
    ) -> Attestations:
        """Find, read and verify the attestations of one model.

        open_snapshot: lists what is beside a single file.
        verified, signed: what they have to be about: the signature, and the signed resources of
            each file that is there, by its path.
        signature: path of the model's own signature, which is none of them.

        Raises:
            StoreError: the store failed.
        """
        from oms_gate.oms.attestation import SignedModel

        model = SignedModel.of(verified, signed)
        left_out: dict[str, str] = {}
        if snapshot.single:
            files = list(self._beside(snapshot, open_snapshot))
        else:
            files, left_out = self._in_folder(snapshot, signature)
        accepted: list[Accepted] = []
        refused = [_refusal(name, path, self._too_many()) for name, path in left_out.items()]
        inert: dict[str, bytes] = {}
        room = self.limits.attestations
        for file in files:
            found, faults = self._judged(file, model, room)
            room -= (len(found) + len(faults)) // len(file.names)
            accepted += found
            refused += faults
            if file.content and found and not faults and _is_no_more(file.path):
                inert[file.path] = file.content
        return Attestations(tuple(accepted), tuple(refused), inert)

    def _in_folder(self, snapshot: Snapshot, signature: str) -> tuple[list[_File], dict[str, str]]:
        """The files that are named, as many as are allowed; by each name the first left out."""
        names: dict[str, list[str]] = {}
        for name, glob in self.places.items():
            globs = Globs([glob])
            for path in snapshot.files:
                if path != signature and path in globs:
                    names.setdefault(path, []).append(name)
        paths = sorted(names)
        kept = paths[: self.limits.attestations]
        left_out: dict[str, str] = {}
        for path in paths[len(kept) :]:
            for name in names[path]:
                left_out.setdefault(name, path)
        return [
            _File(path, tuple(names[path]), content)
            for path, content in zip(kept, self._contents(snapshot, kept), strict=True)
        ], left_out

    def _beside(self, snapshot: Snapshot, open_snapshot: OpenSnapshot) -> Iterator[_File]:
        model = next(iter(snapshot.files))
        for name, glob in self.places.items():
            suffix = glob.removeprefix("*")
            if suffix == glob or "*" in suffix or "/" in suffix:
                continue
            try:
                beside = open_snapshot(snapshot.reference.with_suffix(suffix))
            except StoreError as error:
                if error.reason.code is ReasonCode.STORE_NOT_FOUND:
                    continue
                raise
            if beside.single:
                (content,) = self._contents(beside, list(beside.files))
                yield _File(model + suffix, (name,), content)

    def _contents(self, snapshot: Snapshot, paths: list[str]) -> list[bytes | None]:
        limit = self.limits.attestation_bytes
        return within(
            self.limits.listing_seconds, lambda: [snapshot.read(path, limit) for path in paths]
        )

    def _judged(
        self, file: _File, model: SignedModel, room: int
    ) -> tuple[list[Accepted], list[Refused]]:
        """What is accepted of a file, and what is refused: each bundle, or all at once.

        room: most bundles that may still be looked at.
        """
        from oms_gate.oms.attestation import bundles_in

        accepted: list[Accepted] = []
        refused: list[Refused] = []
        try:
            if file.content is None:
                raise SignatureError(
                    ReasonCode.SIGNATURE_TOO_LARGE,
                    f"it is larger than {self.limits.attestation_bytes} bytes; if it is genuine, "
                    "raise the limit 'attestation_bytes'",
                )
            bundles = list(islice(bundles_in(file.content), room + 1))
            if len(bundles) > room:
                raise self._too_many()
        except SignatureError as error:
            return [], [_refusal(name, file.path, error) for name in file.names]
        for number, bundle in bundles:
            line = number if len(bundles) > 1 else None
            try:
                found = self._accepted(bundle, file.content, file.path, model)
            except SignatureError as error:
                refused += [_refusal(name, file.path, error, line) for name in file.names]
            else:
                accepted += [_named(name, found) for name in file.names]
        return accepted, refused

    def _accepted(self, bundle: bytes, content: bytes, path: str, model: SignedModel) -> Accepted:
        """
        Raises:
            SignatureError: see `verify_attestation` and `SignedModel.as_subject_of`.
        """
        from oms_gate.oms.attestation import verify_attestation

        attestation = verify_attestation(bundle, self.trust, at=self.at, limits=self.limits)
        whole, files = model.as_subject_of(attestation)
        try:
            predicate = shown(attestation.predicate)
            predicate_times = times_in(predicate)
        except ValueError as error:
            raise SignatureError(
                ReasonCode.STATEMENT_MALFORMED,
                f"the signed statement cannot be used: {error}; it must be made anew",
            ) from error
        seen = InputAttestation(
            name="",
            path=path,
            predicate_type=attestation.predicate_type,
            predicate=predicate,
            predicate_times=predicate_times,
            signer=attestation.signer,
            times=tuple(proof.time.timestamp() for proof in attestation.times),
            log_index=attestation.log_index,
            model=whole,
            files=files,
        )
        told = Attestation(
            name="",
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
            predicate_type=attestation.predicate_type,
            signer=attestation.signer,
            model=whole,
            files=files,
        )
        return seen, told

    def _too_many(self) -> SignatureError:
        return SignatureError(
            ReasonCode.ATTESTATION_TOO_MANY,
            f"with it and what follows, there are more than {self.limits.attestations} "
            "attestations beside the model (limits.attestations); raise the limit if they are "
            "genuine",
        )


def _named(name: str, found: Accepted) -> Accepted:
    update = {"name": printable(name)}
    return found[0].model_copy(update=update), found[1].model_copy(update=update)


def _is_no_more(path: str) -> bool:
    """Whether a file that holds bundles is nothing to a loader but the JSON that it is."""
    kind = kind_of(path)
    return kind == "signature" or (kind == "config" and path.lower().endswith(_JSON))


def _refusal(name: str, path: str, error: StepError, line: int | None = None) -> Refused:
    place = path if line is None else f"{path} (line {line})"
    message = f"the attestation {place} does not count: {error.reason.message}"
    reason = Reason(code=error.reason.code, message=message, path=path, line=line)
    return InputRefusedAttestation(name=name, path=path, code=reason.code, msg=message), reason
