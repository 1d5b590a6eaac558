"""GatePolicy and ClusterGatePolicy: what they say, and whom they concern."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from oms_gate.errors import ConfigError
from oms_gate.mistakes import mistakes
from oms_gate.policy.publishers import KeySigner, ModelGlob, Publisher, Signer
from oms_gate.verdict import Assurance

GROUP = "oms-gate.dev"
VERSION = "v1alpha1"
CLUSTER_PLURAL = "clustergatepolicies"
PLURAL = "gatepolicies"

ROOT_KINDS: Final = {"key": "keys", "certificate": "certificates", "sigstore": "sigstore"}
"""Under ``trust``: where the roots of a method are."""

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")

ConfigMapReader = Callable[[str, str], Mapping[str, str]]
"""Gives the data of a ConfigMap by namespace and name; raises `ConfigError` where it cannot."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class _ConfigMapKey(_Part):
    name: str
    key: str


class _TrustSource(_Part):
    inline: str | None = None
    config_map: _ConfigMapKey | None = None


class _Trust(_Part):
    keys: dict[str, _TrustSource] = Field(default_factory=dict)
    certificates: dict[str, _TrustSource] = Field(default_factory=dict)
    sigstore: dict[str, _TrustSource] = Field(default_factory=dict)
    timestamp_authorities: dict[str, _TrustSource] = Field(default_factory=dict)


class _Requirement(_Part):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.operator == "In":
            return labels.get(self.key) in self.values
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values
        return (self.key in labels) == (self.operator == "Exists")


class _Selector(_Part):
    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[_Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.holds(labels) for requirement in self.match_expressions
        )


class _Delegate(_Part):
    models: tuple[ModelGlob, ...] = ()


class _Spec(_Part):
    namespace_selector: _Selector = _Selector()
    mode: Literal["enforce", "annotate"] | None = None
    assurance: Literal[Assurance.SIGNATURE, Assurance.DECLARED] | None = None
    publishers: tuple[Publisher, ...] = ()
    trust: _Trust = _Trust()
    delegate: _Delegate = _Delegate()


@dataclass(frozen=True)
class GatePolicy:
    """One policy, read.

    namespace: None for one of the whole cluster.
    version: changes with each change of what it says.
    publishers: its rules; the trust roots that are its own go by qualified names.
    roots: by kind (a field of ``trust`` in ``gate.yaml``) and qualified name, the files' content.
    delegated: globs over the models for which policies of namespaces may have rules.
    """

    name: str
    namespace: str | None
    version: str
    mode: Literal["enforce", "annotate"] | None
    assurance: Assurance | None
    publishers: tuple[Publisher, ...]
    roots: Mapping[str, Mapping[str, bytes]]
    delegated: tuple[str, ...]
    selector: _Selector

    def concerns(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether it is about a namespace."""
        if self.namespace is not None:
            return self.namespace == namespace
        return self.selector.selects(labels)

    def without_grants(self) -> GatePolicy:
        """The same policy, of which only what it tightens counts."""
        return replace(self, publishers=(), roots={}, delegated=())


def read_policy(
    item: Mapping[str, Any], read_config_map: ConfigMapReader, own_namespace: str
) -> tuple[GatePolicy, str | None]:
    """Read a policy as the cluster has it; and why it cannot be used, if it cannot.

    What cannot be read grants nothing; what it tightens, it tightens all the same.

    own_namespace: the gate's, in which the ConfigMaps of a ClusterGatePolicy are.
    """
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    label = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
    mistake = None
    try:
        spec = _Spec.model_validate(_with_snake_publishers(item.get("spec") or {}))
    except ValidationError as error:
        spec = _Spec(mode="enforce")
        mistake = "; ".join(map(str, mistakes(error, ())))
    mode = spec.mode
    if namespace is not None and mode == "annotate":
        mode = None
        mistake = "a GatePolicy can only tighten; 'mode: annotate' belongs to a ClusterGatePolicy"
    publishers: tuple[Publisher, ...] = ()
    roots: dict[str, dict[str, bytes]] = {}
    try:
        for kind in type(spec.trust).model_fields:
            for name, source in getattr(spec.trust, kind).items():
                content = _content(name, source, namespace or own_namespace, read_config_map)
                roots.setdefault(kind, {})[f"{label}:{name}"] = content
        publishers = tuple(_qualified(rule, label, roots) for rule in spec.publishers)
    except ConfigError as error:
        roots = {}
        mistake = str(error)
    digest = hashlib.sha256(repr(sorted(roots.items())).encode()).hexdigest()
    policy = GatePolicy(
        name=metadata["name"],
        namespace=namespace,
        version=f"{metadata.get('uid')}/{metadata.get('generation')}/{digest}",
        mode=mode,
        assurance=spec.assurance,
        publishers=publishers,
        roots=roots,
        delegated=spec.delegate.models,
        selector=spec.namespace_selector,
    )
    return policy, mistake


def unreadable(item: Mapping[str, Any]) -> GatePolicy:
    """What counts of a policy that cannot even be looked at: it may have meant to tighten."""
    metadata = item["metadata"]
    return GatePolicy(
        name=metadata["name"],
        namespace=metadata.get("namespace"),
        version=f"{metadata.get('uid')}/{metadata.get('generation')}",
        mode="enforce",
        assurance=None,
        publishers=(),
        roots={},
        delegated=(),
        selector=_Selector(),
    )


def _content(
    name: str, source: _TrustSource, namespace: str, read_config_map: ConfigMapReader
) -> bytes:
    if source.inline is not None:
        return source.inline.encode()
    if source.config_map is None:
        raise ConfigError(f"the trust root {name!r} has neither 'inline' nor 'configMap'")
    reference = source.config_map
    data = read_config_map(namespace, reference.name)
    if reference.key not in data:
        raise ConfigError(
            f"the trust root {name!r}: the ConfigMap {namespace}/{reference.name} has no key "
            f"{reference.key!r}"
        )
    return data[reference.key].encode()


def _qualified(rule: Publisher, label: str, roots: Mapping[str, Mapping[str, bytes]]) -> Publisher:
    """A rule whose signers are held to the policy's own roots, where it has one of that name."""
    signers: list[Signer] = []
    for signer in rule.signers:
        field = "key" if isinstance(signer, KeySigner) else "root"
        name = f"{label}:{getattr(signer, field, '')}"
        if signer.method != "first-use" and name in roots.get(ROOT_KINDS[signer.method], {}):
            signers.append(signer.model_copy(update={field: name}))
        else:
            signers.append(signer)
    return rule.model_copy(update={"name": f"{label}:{rule.name}", "signers": tuple(signers)})


def _with_snake_publishers(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The specification, with the keys of its rules as ``gate.yaml`` has them."""
    return {**spec, "publishers": _snake(spec.get("publishers") or [])}


def _snake(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_HUMP.sub(r"_\1", str(key)).lower(): _snake(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_snake(inner) for inner in value]
    return value
