"""The gate: one flow from a model reference to a verdict, cheap before dear."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from oms_gate import __version__
from oms_gate.config import GateConfig, load_config, load_trust, open_engine
from oms_gate.coverage import Comparison, compare
from oms_gate.errors import (
    AdmissionDenied,
    ConfigError,
    StepError,
    UsageError,
    defect,
    machine_failure,
)
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.signature_file import SignatureFile, SignaturePlace
from oms_gate.stores import Snapshot, StoreSettings, open_store
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import Measurement, measure
from oms_gate.verdict import (
    Assurance,
    Coverage,
    Delivery,
    Model,
    PolicyUsed,
    Reason,
    Signature,
    Signer,
    Verdict,
)

if TYPE_CHECKING:
    from oms_gate.delivery.pull import Pull
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Manifest
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
        return _Check(self, _parsed(reference), report_all, on_progress, self.assurance).end()

    def deliver(
        self,
        reference: Reference | str | os.PathLike[str],
        folder: str | os.PathLike[str],
        *,
        include: Collection[str] = (),
        exclude: Collection[str] = (),
        on_progress: ProgressCallback | None = None,
    ) -> Verdict:
        """Check one model as `check` does, and pull it into a folder in the same pass.

        Every byte that arrives is hashed here, whatever the gate's assurance. The folder holds the
        signed files, the signature and the verdict when all of that is there; until then it is
        what it was. `Verdict.delivery` is None where nothing arrived.

        include, exclude: patterns over the paths of the files that are to arrive, as the Hub's
            client has them. The check is of the whole model.

        Raises:
            UsageError: `reference` cannot be the name of a model; `folder` cannot be one for it,
                or holds what no pull has put there; or the patterns leave nothing.
            ConfigError: the model's store cannot be opened as it is configured.
        """
        from oms_gate.delivery.pull import Pull

        model, pull = _parsed(reference), Pull(folder, include, exclude)
        return _Check(self, model, False, on_progress, Assurance.BYTES, pull).end()

    def pull(
        self,
        reference: Reference | str | os.PathLike[str],
        folder: str | os.PathLike[str],
        *,
        include: Collection[str] = (),
        exclude: Collection[str] = (),
        on_progress: ProgressCallback | None = None,
    ) -> Path:
        """The folder with the model, as `deliver` puts it there.

        Raises:
            AdmissionDenied: nothing arrived; it has the verdict.
            UsageError, ConfigError: as `deliver`.
        """
        verdict = self.deliver(
            reference, folder, include=include, exclude=exclude, on_progress=on_progress
        )
        if verdict.delivery is None:
            raise AdmissionDenied(verdict)
        return Path(folder)

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
    asked: Assurance
    pull: Pull | None = None
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
    found: SignatureFile | None = None
    hash_type: HashType | None = None
    comparison: Comparison | None = None
    published: Verdict | None = None

    def end(self) -> Verdict:
        """Run the flow to its end, whatever that is."""
        try:
            self._run()
        except StepError as error:
            self.reasons.append(error.reason)
        except (ConfigError, UsageError):
            raise  # The operator's mistake, and nothing about this model.
        except OSError as error:
            self.reasons.append(machine_failure(error))
        except Exception as error:  # noqa: BLE001 - a defect must deny, not crash the caller
            _LOG.exception("while checking %s", self.reference)
            self.reasons.append(defect(type(error).__name__))
        finally:
            for snapshot in self.opened:
                snapshot.close()
        return self.published or self.verdict()

    def _run(self) -> None:
        """The flow. A step that cannot go on raises; a denial ends it before the next step."""
        with self._timed("snapshot"):
            snapshot = self.snapshot = self._snapshot(self.reference)
        required = None
        try:
            required = self._judge(snapshot)
        except StepError as error:
            if not self._delivers_denied:
                raise
            self.reasons.append(error.reason)
        if self.reasons and not (self.report_all or self._delivers_denied):
            return
        if not self.reasons or self.report_all:
            self.assurance = Assurance.SIGNATURE
        wanted = max(self.asked, required or Assurance.SIGNATURE, key=lambda a: a.rank)
        if self.pull is not None:
            self._deliver(self.pull, snapshot)
        elif wanted is not Assurance.SIGNATURE:
            self._measure(snapshot, wanted)

    @property
    def _delivers_denied(self) -> bool:
        """Whether a denied model is delivered all the same."""
        return self.pull is not None and self.gate.mode == "annotate"

    def _judge(self, snapshot: Snapshot) -> Assurance | None:
        """What needs no byte of the files; the assurance that the policy requires, if it does."""
        with self._timed("signature"):
            verified, signature = self._verify(snapshot)
        with self._timed("coverage"):
            comparison = self.comparison = self._compare(snapshot, verified.manifest)
        with self._timed("policy"):
            return self._decide(snapshot, verified, signature, comparison)

    def verdict(self, delivery: Delivery | None = None) -> Verdict:
        """What this run came to. Only a run that ended without a reason admits."""
        if not self.reasons and (self.policy is None or self.assurance is None):
            self.reasons.append(defect("it ended without a decision"))
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
            delivery=delivery,
            timings=self.timings,
            checked_at=self.checked_at,
            gate_version=__version__,
        )

    def _snapshot(self, reference: Reference) -> Snapshot:
        store = open_store(reference, self.gate.stores, self.gate.limits)
        snapshot = store.snapshot(reference)
        self.opened.append(snapshot)
        return snapshot

    def _verify(self, snapshot: Snapshot) -> tuple[VerifiedSignature, Signature]:
        """The verified bundle, and what the verdict says of it."""
        from oms_gate.oms.verify import verify

        bundle = self.gate.signature.read(snapshot, self._snapshot, self.gate.limits)
        self.found = bundle
        verified = verify(
            bundle.content, self.gate.trust, at=self.checked_at, limits=self.gate.limits
        )
        self.signer = verified.signer
        self.signature = verified.summary(bundle.location)
        self.hash_type = verified.manifest.hash_type
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
            assurance=self.asked,
            now=self.checked_at,
        )
        engine = self.gate.policy
        decision = engine.decide(document)
        self.policy = PolicyUsed(engine=engine.kind, revision=engine.revision)
        self.reasons += decision.deny
        self.warnings += decision.warn
        self.annotations.update(decision.annotations)
        return decision.require

    def _measure(self, snapshot: Snapshot, wanted: Assurance) -> None:
        """Hash what the wanted assurance needs hashed."""
        limits = self.gate.limits
        assert self.comparison is not None
        assert self.hash_type is not None
        with self._timed("measure"):
            measured = measure(
                snapshot,
                self.comparison.to_hash(snapshot, wanted, limits),
                self.hash_type,
                limits,
                deadline=self.started + limits.total_seconds,
                report_all=self.report_all,
                on_progress=self.on_progress,
            )
        self._count(measured, wanted)

    def _deliver(self, pull: Pull, snapshot: Snapshot) -> None:
        """Hash what is to arrive while it is written, and let it arrive with the verdict."""
        from oms_gate.delivery.pull import Source

        source = Source(
            snapshot,
            self.comparison,
            self.hash_type,
            self.found,
            denied=bool(self.reasons),
            lets_through=self._delivers_denied,
        )
        limits = self.gate.limits
        with pull.begin(source, limits, self.started + limits.total_seconds) as transfer:
            with self._timed("measure"):
                measured = transfer.run(self.on_progress)
            self._count(measured, Assurance.BYTES)
            if transfer.complete:
                verdict = self.verdict(transfer.delivery())
                transfer.publish(verdict.to_json())
                self.published = verdict

    def _count(self, measured: Measurement, proven: Assurance) -> None:
        if self.coverage is not None:
            counts = {"measured": measured.files, "measured_bytes": measured.bytes}
            self.coverage = self.coverage.model_copy(update=counts)
        self.reasons += measured.findings
        if self.assurance is not None and not measured.findings:
            self.assurance = proven

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[step] = round(time.monotonic() - start, 6)


def _parsed(reference: Reference | str | os.PathLike[str]) -> Reference:
    if isinstance(reference, Reference):
        return reference
    return Reference.parse(os.fspath(reference))


def _model(reference: Reference, snapshot: Snapshot | None) -> Model:
    if snapshot is None:
        return Model(url=reference.url, name=reference.name)
    pinned = snapshot.reference
    return Model(url=pinned.url, name=pinned.name, revision=snapshot.revision)
