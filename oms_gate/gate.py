"""The gate: one flow from a model reference to a verdict, cheap before dear."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from oms_gate import __version__
from oms_gate.config import GateConfig, load_config, load_trust, open_engine
from oms_gate.coverage import Comparison, compare
from oms_gate.errors import ConfigError, MeasureError, StepError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.signature_file import SignaturePlace
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import measure
from oms_gate.verdict import (
    Assurance,
    Coverage,
    Model,
    PolicyUsed,
    Reason,
    ReasonCode,
    Signature,
    Signer,
    Verdict,
)

if TYPE_CHECKING:
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Manifest, Resource
    from oms_gate.oms.trust import Trust
    from oms_gate.oms.verify import VerifiedSignature
    from oms_gate.policy.engine import Engine

_LOG = logging.getLogger(__name__)


class Gate:
    """Decides whether models may be used. Safe for use by several threads."""

    def __init__(
        self,
        *,
        trust: Trust,
        policy: Engine,
        mode: Literal["enforce", "annotate"] = "enforce",
        assurance: Assurance = Assurance.BYTES,
        signature: str = "model.sig",
        stores: StoreSettings | None = None,
        limits: Limits | None = None,
    ) -> None:
        """A gate with its own trust roots and policy engine.

        signature: the bundle's name in a model's folder, or where it is instead (a URL or path).
        """
        self.trust = trust
        self.policy = policy
        self.mode = mode
        self.assurance = assurance
        self.signature = SignaturePlace.parse(signature)
        self.stores = stores or StoreSettings()
        self.limits = limits or Limits()

    @classmethod
    def from_config(cls, config: GateConfig | Path | str) -> Gate:
        """A gate as ``gate.yaml`` describes it.

        Raises:
            ConfigError: with the place of each mistake.
        """
        if not isinstance(config, GateConfig):
            config = load_config(Path(config))
        return cls(
            trust=load_trust(config.trust),
            policy=open_engine(config),
            mode=config.mode,
            assurance=config.assurance,
            signature=config.signature,
            stores=config.stores,
            limits=config.limits,
        )

    def check(
        self,
        reference: Reference | str | os.PathLike[str],
        *,
        report_all: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Verdict:
        """Check one model.

        A bad model, store or policy engine is a denial, never an exception.

        report_all: go on after a denial, as far as it makes sense, to report everything.

        Raises:
            UsageError: `reference` cannot be the name of a model.
            ConfigError: its store cannot be opened as it is configured.
        """
        if not isinstance(reference, Reference):
            reference = Reference.parse(os.fspath(reference))
        check = _Check(self, reference, report_all, on_progress)
        try:
            check.run()
        except StepError as error:
            check.reasons.append(error.reason)
        except ConfigError:
            raise  # The operator's mistake, and nothing about this model.
        except OSError as error:
            check.reasons.append(_system_reason(error))
        except Exception as error:  # noqa: BLE001 - a defect must deny, not crash the caller
            _LOG.exception("while checking %s", reference)
            check.reasons.append(_defect(type(error).__name__))
        finally:
            check.close()
        return check.verdict()

    def close(self) -> None:
        """Release the policy engine."""
        self.policy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class _Check:
    """One run of the flow, and what it found so far."""

    gate: Gate
    reference: Reference
    report_all: bool
    on_progress: ProgressCallback | None
    started: float = field(default_factory=time.monotonic)
    checked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    opened: list[Snapshot] = field(default_factory=list)
    snapshot: Snapshot | None = None
    signer: Signer | None = None
    signature: Signature | None = None
    coverage: Coverage | None = None
    assurance: Assurance | None = None
    policy: PolicyUsed | None = None

    def run(self) -> None:
        """The flow. A step that cannot go on raises; a denial ends it before the next step."""
        with self._timed("snapshot"):
            snapshot = self.snapshot = self._snapshot(self.reference)
        with self._timed("signature"):
            verified, signature = self._verify(snapshot)
        with self._timed("coverage"):
            comparison = self._compare(snapshot, verified.manifest)
        with self._timed("policy"):
            required = self._decide(snapshot, verified, signature, comparison)
        if self.reasons and not self.report_all:
            return
        self.assurance = Assurance.SIGNATURE
        wanted = max(self.gate.assurance, required or Assurance.SIGNATURE, key=lambda a: a.rank)
        if wanted is not Assurance.SIGNATURE:
            with self._timed("measure"):
                self._measure(snapshot, verified.manifest.hash_type, comparison, wanted)

    def verdict(self) -> Verdict:
        """What this run came to. Only a run that ended without a reason admits."""
        if not self.reasons and (self.policy is None or self.assurance is None):
            self.reasons.append(_defect("it ended without a decision"))
        self.timings["total"] = round(time.monotonic() - self.started, 6)
        return Verdict(
            outcome="denied" if self.reasons else "admitted",
            undecided=bool(self.reasons) and all(r.code.undecided for r in self.reasons),
            mode=self.gate.mode,
            model=_model(self.reference, self.snapshot),
            assurance=self.assurance,
            reasons=tuple(self.reasons),
            warnings=tuple(self.warnings),
            signer=self.signer,
            signature=self.signature,
            coverage=self.coverage,
            annotations=self.annotations,
            policy=self.policy,
            timings=self.timings,
            checked_at=self.checked_at,
            gate_version=__version__,
        )

    def close(self) -> None:
        """Release the connections to stores."""
        for snapshot in self.opened:
            snapshot.close()

    def _snapshot(self, reference: Reference) -> Snapshot:
        store = open_store(reference, self.gate.stores, self.gate.limits)
        snapshot = store.snapshot(reference)
        self.opened.append(snapshot)
        return snapshot

    def _verify(self, snapshot: Snapshot) -> tuple[VerifiedSignature, Signature]:
        """The verified bundle, and what the verdict says of it."""
        from oms_gate.oms.verify import verify

        bundle = self.gate.signature.read(snapshot, self._snapshot, self.gate.limits)
        verified = verify(
            bundle.content, self.gate.trust, at=self.checked_at, limits=self.gate.limits
        )
        self.signer = verified.signer
        self.signature = Signature(
            location=bundle.location,
            sha256=verified.bundle_sha256,
            format=verified.format,
            root_digest=verified.manifest.root_digest,
            serialization=verified.manifest.serialization,
            hash_type=verified.manifest.hash_type,
            times=verified.times,
            log_index=verified.log_index,
        )
        return verified, self.signature

    def _compare(self, snapshot: Snapshot, manifest: Manifest) -> Comparison:
        bundle = self.gate.signature.location
        signature = bundle if bundle in snapshot.files else None
        comparison = compare(manifest, snapshot, signature)
        self.reasons += comparison.contradictions
        self.coverage = comparison.summary(snapshot)
        return comparison

    def _decide(
        self,
        snapshot: Snapshot,
        verified: VerifiedSignature,
        signature: Signature,
        comparison: Comparison,
    ) -> Assurance | None:
        """Ask the policy; the assurance that it requires, if it does."""
        from oms_gate.policy.input import CoverageInput, input_document

        document = input_document(
            model=_model(snapshot.reference, snapshot),
            signer=verified.signer,
            signature=signature,
            sorted_names=verified.manifest.sorted_names,
            allow_symlinks=verified.manifest.allow_symlinks,
            coverage=CoverageInput(
                signed=tuple((path, snapshot.files[path].size) for path in comparison.signed),
                missing=comparison.missing,
                unsigned=tuple((file.path, file.size) for file in comparison.unsigned),
                ignored=tuple((file.path, file.size, scope) for file, scope in comparison.ignored),
            ),
            assurance=self.gate.assurance,
            now=self.checked_at,
        )
        engine = self.gate.policy
        decision = engine.decide(document)
        self.policy = PolicyUsed(engine=engine.kind, revision=engine.revision)
        self.reasons += decision.deny
        self.warnings += decision.warn
        self.annotations.update(decision.annotations)
        return decision.require

    def _measure(
        self,
        snapshot: Snapshot,
        hash_type: HashType,
        comparison: Comparison,
        wanted: Assurance,
    ) -> None:
        """Hash what the wanted assurance needs hashed."""
        limits = self.gate.limits
        measured = measure(
            snapshot,
            _to_hash(snapshot, comparison, wanted, limits),
            hash_type,
            limits,
            deadline=self.started + limits.total_seconds,
            report_all=self.report_all,
            on_progress=self.on_progress,
        )
        if self.coverage is not None:
            counts = {"measured": measured.files, "measured_bytes": measured.bytes}
            self.coverage = self.coverage.model_copy(update=counts)
        self.reasons += measured.findings
        if not measured.findings:
            self.assurance = wanted

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[step] = round(time.monotonic() - start, 6)


def _to_hash(
    snapshot: Snapshot, comparison: Comparison, wanted: Assurance, limits: Limits
) -> Mapping[str, tuple[Resource, ...]]:
    """The signed files whose bytes must be read for an assurance."""
    if wanted is Assurance.BYTES:
        return comparison.signed
    unproven = {
        path: parts for path, parts in comparison.signed.items() if path not in comparison.declared
    }
    for path in unproven:
        size = snapshot.files[path].size
        if size is None or size > limits.small_file_bytes:
            raise MeasureError(
                ReasonCode.ASSURANCE_UNAVAILABLE,
                f"the store declares no comparable sha256 of {path}, and it is too large to be "
                "read for a verdict at 'declared' assurance; ask for 'bytes'",
                path=path,
            )
    return unproven


def _model(reference: Reference, snapshot: Snapshot | None) -> Model:
    if snapshot is None:
        return Model(url=reference.url, name=reference.name)
    pinned = snapshot.reference
    return Model(url=pinned.url, name=pinned.name, revision=snapshot.revision)


def _defect(what: str) -> Reason:
    return Reason(
        code=ReasonCode.INTERNAL_ERROR,
        message=f"the gate itself failed ({what}); please report this with its log",
    )


def _system_reason(error: OSError) -> Reason:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else os.strerror(error.errno) if error.errno else str(error)
    return Reason(
        code=ReasonCode.SYSTEM_IO,
        message=f"the gate's own machine failed: {what}; free some space, or see its log",
    )
