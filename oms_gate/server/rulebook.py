"""Which rules hold where in a cluster: the gate's configuration, and the policies of the cluster.

Publisher rules grant, so they add up. Mode and assurance only tighten: the strictest of all that
concern a namespace holds, except that a ClusterGatePolicy may let it annotate where no other
policy says ``enforce``.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from oms_gate.config import (
    GateConfig,
    load_config,
    load_trust,
    open_engine,
    open_evidence,
    open_history,
    policy_state,
)
from oms_gate.errors import ConfigError
from oms_gate.gate import Gate
from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, TimestampRoot, Trust
from oms_gate.policy.globs import covers
from oms_gate.policy.publishers import FirstUseSigner, KeySigner, Publisher
from oms_gate.reload import Followed, files_state
from oms_gate.server.gate_policies import ROOT_KINDS, GatePolicy
from oms_gate.verdict import Assurance

if TYPE_CHECKING:
    from oms_gate.evidence.evidence import Evidence
    from oms_gate.history import History

# A gate holds a policy engine of its own: some 20 MB.
_MOST_GATES = 32
_LONGEST_CHECK_SECONDS = 15 * 60
_READERS: Mapping[str, Any] = {
    "keys": KeyRoot.from_pem,
    "certificates": CertificateRoot.from_pem,
    "sigstore": SigstoreRoot.from_json,
    "timestamp_authorities": TimestampRoot.from_pem,
}


@dataclass(frozen=True)
class Terms:
    """What holds for one model in one namespace.

    granting: the policies whose rules and trust roots count, besides the configuration's own.
    concerning: all policies that are about the namespace.
    epoch: of the gate that decides (`Gate.epoch`).
    """

    mode: Literal["enforce", "annotate"]
    assurance: Assurance
    granting: tuple[GatePolicy, ...]
    concerning: tuple[GatePolicy, ...]
    epoch: str

    @property
    def key(self) -> tuple[str, ...]:
        """What tells these terms from others, as far as a verdict depends on them."""
        policies = (policy.version for policy in self.granting)
        return (self.epoch, self.mode, self.assurance, *policies)


class Rulebook:
    """The rules of a cluster. Safe for use by several threads."""

    def __init__(self, config: GateConfig, file: Path | None = None) -> None:
        """
        file: where the configuration is from, to follow what it says of trust, rules and policy;
            None to leave it as it is.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        self._config = config
        self._history = open_history(config)
        self._evidence = open_evidence(config)
        self._policies: tuple[GatePolicy, ...] = ()
        self._gates: OrderedDict[tuple[str, ...], Gate] = OrderedDict()
        self._retired: deque[tuple[float, Gate]] = deque()
        self._building = threading.Lock()
        self._file = file
        self._followed = Followed(
            self._reread,
            lambda: (None if file is None else files_state([file]), policy_state(self._config)),
            "the gate's configuration",
            seconds=config.limits.reload_seconds,
        )

    def follow(self) -> None:
        """Take the configuration as it is now. It may take a moment."""
        if self._file is not None:
            self._followed.now()

    @property
    def mistake(self) -> str | None:
        """Why the configuration is in force as it was; None where it is as it is now."""
        return self._followed.mistake

    def _reread(self) -> None:
        config = self._config
        if self._file is not None:
            # All else is as it was when the service began.
            now = load_config(self._file)
            followed = (
                "trust",
                "publishers",
                "requirements",
                "exceptions",
                "attestations",
                "boms",
                "policy",
            )
            config = config.model_copy(update={name: getattr(now, name) for name in followed})
        trust = load_trust(config.trust)
        gate = _built(config, trust, (), self._history, self._evidence)
        with self._building:
            until = time.monotonic() + _LONGEST_CHECK_SECONDS
            self._retired.extend((until, old) for old in self._gates.values())
            self._gates.clear()
            self._config, self._trust = config, trust
            self._gates[()] = self._own = gate

    def replace(self, policies: Sequence[GatePolicy]) -> None:
        """Take these policies instead of those before."""
        self._policies = tuple(policies)

    def check(self, policy: GatePolicy) -> None:
        """See that a policy can be used with the configuration.

        Raises:
            ConfigError: it cannot, and why.
        """
        if policy.publishers and self._config.policy.server is not None:
            raise ConfigError(
                "the gate asks an OPA server, which has publishers of its own: 'publishers' has no "
                "effect here"
            )
        trust, names = _with_roots(self._trust, [policy])
        known = {
            "keys": trust.keys,
            "certificates": trust.certificates,
            "sigstore": trust.sigstore,
        }
        for rule in policy.publishers:
            for signer in rule.signers:
                if isinstance(signer, FirstUseSigner):
                    raise ConfigError(
                        f"the rule {rule.name!r}: only the gate's own configuration can trust "
                        "whoever signs first; name the signers"
                    )
                root = signer.key if isinstance(signer, KeySigner) else signer.root
                if names.get(root, root) not in known[ROOT_KINDS[signer.method]]:
                    raise ConfigError(
                        f"the rule {rule.name!r}: the {signer.method} trust root {root!r} is "
                        "neither under 'trust' nor in the gate's configuration"
                    )

    def terms(self, namespace: str, labels: Mapping[str, str], model: str) -> Terms:
        """What holds for a model in a namespace.

        labels: of the namespace.
        model: its name, the URL without a revision.
        """
        concerning = [p for p in self._policies if p.concerns(namespace, labels)]
        cluster = [policy for policy in concerning if policy.namespace is None]
        delegated = any(covers(glob, model) for policy in cluster for glob in policy.delegated)
        granting = [
            policy
            for policy in concerning
            if policy.publishers and (policy.namespace is None or delegated)
        ]
        modes = {policy.mode for policy in concerning} - {None}
        assurances = [policy.assurance for policy in concerning if policy.assurance is not None]
        own = Assurance(self._config.kubernetes.assurance)
        granting.sort(key=lambda policy: policy.version)
        return Terms(
            mode=_mode(self._config.mode, modes),
            assurance=max([own, *assurances], key=lambda assurance: assurance.rank),
            granting=tuple(granting),
            concerning=tuple(concerning),
            epoch=self._epoch(granting),
        )

    def gate(self, terms: Terms) -> Gate:
        """The gate that decides by these terms. The first time takes a moment.

        Raises:
            ConfigError: the policies cannot be used together.
        """
        gate = copy.copy(self._gate(terms.granting))
        gate.mode = terms.mode
        return gate

    def _epoch(self, granting: Sequence[GatePolicy]) -> str:
        """Until their own gate is there, that of the one which adds nothing to the configuration:
        both change with it."""
        key = tuple(policy.version for policy in granting)
        return self._gates.get(key, self._own).epoch

    def _gate(self, granting: tuple[GatePolicy, ...]) -> Gate:
        key = tuple(policy.version for policy in granting)
        with self._building:
            if key not in self._gates:
                self._gates[key] = _built(
                    self._config, self._trust, granting, self._history, self._evidence
                )
                self._retire()
            self._gates.move_to_end(key)
            return self._gates[key]

    def _retire(self) -> None:
        """Close the gates that nobody has asked for lately; checks under way come to their end."""
        now = time.monotonic()
        while len(self._gates) > _MOST_GATES:
            self._retired.append((now + _LONGEST_CHECK_SECONDS, self._gates.popitem(last=False)[1]))
        while self._retired and self._retired[0][0] < now:
            self._retired.popleft()[1].close()

    def close(self) -> None:
        """Release the policy engines, and what evidence is sent over."""
        with self._building:
            for gate in (*self._gates.values(), *(gate for _, gate in self._retired)):
                gate.close()
            self._gates.clear()
            self._retired.clear()
        if self._evidence is not None:
            self._evidence.close()


def _built(
    config: GateConfig,
    roots: Trust,
    granting: Sequence[GatePolicy],
    history: History | None,
    evidence: Evidence | None,
) -> Gate:
    trust, names = _with_roots(roots, granting)
    rules = [_renamed(rule, names) for policy in granting for rule in policy.publishers]
    update = {"publishers": (*config.publishers, *rules)}
    # Whom one namespace trusts must not be remembered by the others.
    shared = all(policy.namespace is None for policy in granting)
    return Gate(
        trust=trust,
        policy=open_engine(config.model_copy(update=update)),
        signature=config.signature,
        attestations=config.attestations,
        boms=config.boms,
        stores=config.stores,
        limits=config.limits,
        history=history if shared else None,
        evidence=evidence,
    )


def _mode(own: Literal["enforce", "annotate"], modes: set[Any]) -> Literal["enforce", "annotate"]:
    if "enforce" in modes:
        return "enforce"
    return "annotate" if "annotate" in modes else own


def _with_roots(trust: Trust, policies: Sequence[GatePolicy]) -> tuple[Trust, dict[str, str]]:
    """The trust roots, with those of policies; and what else a policy's root is called here.

    A root that is there by another name is not added: it can have one name only.
    """
    names: dict[str, str] = {}
    kinds: dict[str, dict[str, Any]] = {kind: dict(getattr(trust, kind)) for kind in _READERS}
    for policy in policies:
        for kind, roots in policy.roots.items():
            for name, content in roots.items():
                root = _READERS[kind](name, content)
                # Nobody goes by the name of a timestamp authority.
                digest = getattr(root, "sha256", None)
                same = [n for n, known in kinds[kind].items() if digest and known.sha256 == digest]
                if same:
                    names[name] = same[0]
                else:
                    kinds[kind][name] = root
    together = Trust(
        keys=kinds["keys"],
        certificates=kinds["certificates"],
        sigstore=kinds["sigstore"],
        timestamp_authorities=kinds["timestamp_authorities"],
        old_format=trust.old_format,
    )
    return together, names


def _renamed(rule: Publisher, names: Mapping[str, str]) -> Publisher:
    signers = []
    for signer in rule.signers:
        field = "key" if isinstance(signer, KeySigner) else "root"
        root = getattr(signer, field)
        signers.append(signer.model_copy(update={field: names.get(root, root)}))
    return rule.model_copy(update={"signers": tuple(signers)})
