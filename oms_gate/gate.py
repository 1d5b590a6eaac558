"""The gate: what decides whether models may be used."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from oms_gate.check import Check
from oms_gate.config import (
    CONFIG_VARIABLE,
    GateConfig,
    load_config,
    load_trust,
    open_engine,
    open_evidence,
    open_history,
)
from oms_gate.errors import AdmissionDenied, ConfigError, HistoryError, UsageError
from oms_gate.following import Following
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.signature_file import SignaturePlace, pin
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Assurance, Operation, Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from oms_gate.admission import Admission
    from oms_gate.delivery.hub_cache import HubCache, HubCachePull
    from oms_gate.delivery.pull import Pull
    from oms_gate.evidence.evidence import Evidence
    from oms_gate.history import History, Recollection
    from oms_gate.oms.trust import Trust
    from oms_gate.policy.engine import Engine


class Gate:
    """Decides whether models may be used. Safe for use by several threads.

    config_file: absolute path of the file that describes it, if one does.
    """

    config_file: Path | None = None
    _own_evidence: Evidence | None = None

    def __init__(
        self,
        *,
        trust: Trust,
        policy: Engine,
        mode: Literal["enforce", "annotate"] = "enforce",
        assurance: Assurance = Assurance.BYTES,
        signature: str = "model.sig",
        attestations: Mapping[str, str] | None = None,
        boms: Mapping[str, str] | None = None,
        stores: StoreSettings | None = None,
        limits: Limits | None = None,
        publish: PublishSettings | None = None,
        history: History | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """A gate with its own trust roots and policy engine.

        signature: the bundle's name in a model's folder, or where it is instead (a URL or path).
        attestations: which files beside a model are attestations: globs over their paths, by the
            names that policies use.
        boms: the same, of bills of materials in a model.
        publish: what may be published although it looks as if it should not.
        history: what it remembers of models; None for nothing.
        evidence: what keeps its verdicts; None to keep none. Whoever made it closes it.
        """
        self.trust = trust
        self.policy = policy
        self.mode = mode
        self.assurance = assurance
        self.signature = SignaturePlace.parse(signature)
        self.attestations: Mapping[str, str] = attestations or {}
        self.boms: Mapping[str, str] = boms or {}
        self.stores = stores or StoreSettings()
        self.limits = limits or Limits()
        self.publish = publish or PublishSettings()
        self.history = history
        self.evidence = evidence

    @classmethod
    def from_config(cls, config: GateConfig | Path | str) -> Gate:
        """A gate as ``gate.yaml`` describes it.

        Raises:
            ConfigError: with the place of each mistake.
        """
        file = None
        if not isinstance(config, GateConfig):
            file = Path(os.path.abspath(config))
            config = load_config(Path(config))
        evidence = open_evidence(config)  # Before the engine, which has a thread.
        gate = cls(
            trust=load_trust(config.trust),
            policy=open_engine(config),
            mode=config.mode,
            assurance=config.assurance,
            signature=config.signature,
            attestations=config.attestations,
            boms=config.boms,
            stores=config.stores,
            limits=config.limits,
            publish=config.publish,
            history=open_history(config),
            evidence=evidence,
        )
        gate.config_file, gate._own_evidence = file, evidence
        return gate

    @classmethod
    def from_environment(cls) -> Gate:
        """The gate that ``OMS_GATE_CONFIG`` configures: one for all who ask in this process.

        It follows the files that decide (`oms_gate.reload`): trust roots, rules and policy are
        those of now. What else the configuration says stays as it was at first.

        Raises:
            ConfigError: the variable is not set; or as `from_config`.
        """
        path = os.environ.get(CONFIG_VARIABLE)
        if not path:
            raise ConfigError(
                f"no gate is given, and {CONFIG_VARIABLE} is not set: set it to the path of a "
                "gate.yaml"
            )
        path = os.path.abspath(path)
        with _sharing:
            if path not in _shared:
                _shared[path] = _SharedGate.following(Path(path))
            return _shared[path]

    def check(
        self,
        reference: Reference | str | os.PathLike[str],
        *,
        report_all: bool = False,
        context: Mapping[str, JsonValue] | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Verdict:
        """Check one model. A bad model, store or policy engine is a denial, never an exception.

        report_all: go on after a denial, as far as it makes sense, to report everything.
        context: what the caller adds to the policy's input, such as a namespace; or another
            ``operation`` than this one.

        Raises:
            UsageError: `reference` cannot be the name of a model.
            ConfigError: its store cannot be opened as it is configured.
        """
        with self.held() as gate:
            return Check(
                gate,
                Reference.of(reference),
                gate.assurance,
                _wanted_for("verify", context),
                report_all=report_all,
                on_progress=on_progress,
                accepts_summaries=True,
            ).end()

    def deliver(
        self,
        reference: Reference | str | os.PathLike[str],
        folder: str | os.PathLike[str] | HubCache,
        *,
        include: Collection[str] = (),
        exclude: Collection[str] = (),
        context: Mapping[str, JsonValue] | None = None,
        pinned_signature: str | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Verdict:
        """Check one model as `check` does, and pull it into a folder in the same pass.

        Every byte that arrives is hashed here, whatever the gate's assurance. The folder holds the
        signed files, the signature and the verdict when all of that is there; until then it is
        what it was. `Verdict.delivery` is None where nothing arrived.

        folder: a `HubCache` to have it among others by its name.
        include, exclude: patterns over the paths of the files that are to arrive, as the Hub's
            client has them. The check is of the whole model.
        context: as of `check`.
        pinned_signature: SHA-256, in hex, of the signature file for which somebody else has
            decided on signer and policy. Neither is asked then, no other signature will do, and
            nothing is let through in whatever mode.

        Raises:
            UsageError: `reference` cannot be the name of a model; `folder` cannot be one for it,
                or holds what no pull has put there; the patterns leave nothing; or
                `pinned_signature` is no digest.
            ConfigError: the model's store cannot be opened as it is configured.
        """
        model = Reference.of(reference)
        with self.held() as gate:
            return Check(
                gate,
                model,
                Assurance.BYTES,
                _wanted_for("pull", context),
                on_progress=on_progress,
                pull=_pull(model, folder, include, exclude),
                pinned=None if pinned_signature is None else pin(pinned_signature),
            ).end()

    def pull(
        self,
        reference: Reference | str | os.PathLike[str],
        folder: str | os.PathLike[str] | HubCache,
        *,
        include: Collection[str] = (),
        exclude: Collection[str] = (),
        context: Mapping[str, JsonValue] | None = None,
        pinned_signature: str | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Path:
        """The folder with the model, as `deliver` puts it there; of a `HubCache`, the cache's.

        Raises:
            AdmissionDenied: nothing arrived; it has the verdict.
            UsageError, ConfigError: as `deliver`.
        """
        verdict = self.deliver(
            reference,
            folder,
            include=include,
            exclude=exclude,
            context=context,
            pinned_signature=pinned_signature,
            on_progress=on_progress,
        )
        if verdict.delivery is None:
            raise AdmissionDenied(verdict)
        return Path(folder if isinstance(folder, (str, os.PathLike)) else folder.folder)

    def admit(
        self,
        reference: Reference | str | os.PathLike[str],
        *,
        listing: Callable[[], Snapshot] | None = None,
        assurance: Assurance = Assurance.SIGNATURE,
        context: Mapping[str, JsonValue] | None = None,
    ) -> Admission:
        """Decide about one model without its weights; whoever reads them compares what they read.

        The policy is asked for assurance ``bytes``, as every byte that is used is hashed.

        listing: gives the model's listing, where its store need not be asked for all of it.
        assurance: how far to look here and now. ``declared`` also compares the digests that the
            store declares, and reads small files of which it declares none.
        context: as of `check`.

        Raises:
            AdmissionDenied: it has the verdict.
            UsageError: `reference` cannot be the name of a model; or the assurance is ``bytes``,
                which is what `check` and `pull` are for.
            ConfigError: as `check`.
        """
        if assurance is Assurance.BYTES:
            raise UsageError(
                "an admission is decided before the bytes are read; ask for 'signature' or "
                "'declared', or check or pull the model"
            )
        purpose = _wanted_for("load", context)
        with self.held() as gate:
            check = Check(gate, Reference.of(reference), Assurance.BYTES, purpose)
            return check.admission(listing, assurance)

    def keep(self, verdict: Verdict, context: Mapping[str, JsonValue]) -> Verdict:
        """Keep evidence of a verdict, as the gate does of its own; what comes back is to be given.

        context: as of `check`, with its ``operation``.
        """
        return verdict if self.evidence is None else self.evidence.keep(verdict, context)

    @contextmanager
    def held(self) -> Iterator[Gate]:
        """The gate as it is now: until the block ends, its trust and its policy stay the same."""
        yield self

    @property
    def epoch(self) -> str:
        """What is another whenever the same model may be decided about otherwise.

        A decision may be given again only in the epoch in which it was made. The bundles of an OPA
        server are known as of its last decision, so besides `limits.decision_seconds` count.
        """
        gates = None if self.evidence is None else repr(self.evidence.accepted)
        named = self.mode, self.signature.location, dict(self.attestations), dict(self.boms), gates
        parts = (self.trust.epoch, self.policy.kind, self.policy.revision, named, self._generation)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def _generation(self) -> tuple[str, int] | str | None:
        """Of the memory; another each time where it cannot be read: whoever asks is denied."""
        if self.history is None:
            return None
        try:
            return str(self.history.file), self.history.generation()
        except HistoryError:
            return secrets.token_hex()

    def recall(self, reference: Reference | str | os.PathLike[str]) -> Recollection:
        """What is remembered of a model, and the release that is there now, its signature verified.

        Nothing is decided about it, or recorded.

        Raises:
            StepError: the store failed, there is no valid signature by a trusted root, or the
                memory cannot be read.
            UsageError: `reference` cannot be the name of a model.
            ConfigError: its store cannot be opened as it is configured; or the gate has no memory.
        """
        recalled = Check(self, Reference.of(reference), Assurance.SIGNATURE).recall()
        if recalled is None:
            raise ConfigError(
                "the gate keeps no memory of models; name a file for it under history in gate.yaml "
                "(history: {file: history.db})"
            )
        return recalled

    def with_store_options(self, scheme: str, options: Mapping[str, Any]) -> Gate:
        """The same gate, which reaches one kind of store with further options of fsspec.

        Its policy engine is this one's.
        """
        gate = copy.copy(self)
        merged = {**self.stores.options.get(scheme, {}), **options}
        update = {"options": {**self.stores.options, scheme: merged}}
        gate.stores = self.stores.model_copy(update=update)
        return gate

    def close(self) -> None:
        """Release the policy engine, and what evidence is sent over."""
        self.policy.close()
        if self._own_evidence is not None:
            self._own_evidence.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_sharing = threading.Lock()
# Of `Gate.from_environment`, by the path of their configuration.
_shared: dict[str, Gate] = {}


class _SharedGate(Gate):
    """A gate that follows its files, and that nobody closes for the others."""

    _following: Following[Gate]

    @classmethod
    def following(cls, file: Path) -> Self:
        """The gate of a configuration.

        Raises:
            ConfigError: with the place of each mistake.
        """

        def make(config: GateConfig) -> Gate:
            made = Gate.from_config(config)
            made.config_file = file
            return made

        following = Following(file, make)
        gate = cls.__new__(cls)
        with following.held() as now:
            gate.__dict__.update(now.__dict__)
        gate._following = following
        return gate

    @contextmanager
    def held(self) -> Iterator[Gate]:
        """See `Gate.held`."""
        with self._following.held() as now:
            gate = copy.copy(now)
            gate.mode, gate.assurance, gate.signature = self.mode, self.assurance, self.signature
            gate.stores, gate.limits, gate.publish = self.stores, self.limits, self.publish
            yield gate

    def close(self) -> None:
        """Leave it open: it lasts as long as the process."""


def _wanted_for(
    operation: Operation, context: Mapping[str, JsonValue] | None
) -> Mapping[str, JsonValue]:
    """What the policy is told of a check: its caller knows best what for it is."""
    return {"operation": operation, **(context or {})}


def _pull(
    model: Reference,
    folder: str | os.PathLike[str] | HubCache,
    include: Collection[str],
    exclude: Collection[str],
) -> Pull | HubCachePull:
    from oms_gate.delivery.place import Place
    from oms_gate.delivery.pull import Pull

    if isinstance(folder, (str, os.PathLike)):
        return Pull(Place.of(folder), include, exclude)
    return folder.pull(model, include, exclude)
