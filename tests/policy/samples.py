"""A model as the gate would describe it to a policy, and rules to judge it by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oms_gate.policy.engine import Engine
from oms_gate.policy.exceptions import PolicyException
from oms_gate.policy.input import (
    CoverageInput,
    InputAttestation,
    InputBom,
    InputHistory,
    InputRefusedAttestation,
    InputRefusedBom,
    input_document,
)
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.requirements import Requirement
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from oms_gate.verdict import Assurance, Model, Signature, SignatureTime, Signer, TrustRoot

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ISSUER = "https://issuer.example"
COVERAGE = CoverageInput(
    signed=(("config.json", 700), ("model.safetensors", 90_000_000), ("README.md", None)),
    ignored=((".gitattributes", 100, "default"), ("model.sig", 9000, "signature")),
)
EXAMPLE = {
    "name": "Example",
    "models": ["example/*"],
    "signers": [{"method": "sigstore", "identity": "release@example.com", "issuer": ISSUER}],
}
ALLOW = 'decision := {"allow": true}'
NO_DATA: dict[str, object] = {"oms_gate": {"publishers": []}}
MEMORY = InputHistory(first_seen=None, pinned=(), signer_pinned=False, newer=None)

MakeEngine = Callable[..., Engine]
Engines = tuple[Engine, Engine]
Build = Callable[..., WasmEngine]


def data_of(
    publishers: Iterable[dict[str, Any]],
    requirements: Iterable[dict[str, Any]] = (),
    exceptions: Iterable[dict[str, Any]] = (),
) -> dict[str, object]:
    """The data document of rules as they are in ``gate.yaml``."""
    return data_document(
        [Publisher.model_validate(rule) for rule in publishers],
        [Requirement.model_validate(rule) for rule in requirements],
        [PolicyException.model_validate(rule) for rule in exceptions],
    )


def policy_folder(tmp_path: Path, rules: str = ALLOW, **files: str) -> Path:
    """A policy of an operator's own; in the names of more files ``__`` stands for a dot."""
    folder = tmp_path / "policy"
    folder.mkdir(exist_ok=True)
    (folder / "admission.rego").write_text(f"package oms_gate.admission\n{rules}\n")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def sigstore(identity: str = "release@example.com", **changes: Any) -> Signer:
    root = TrustRoot(name=changes.pop("root", "public-good"), sha256="ab" * 32)
    fields = {"issuer": ISSUER, "alternative_names": (identity,), "key_sha256": "cd" * 32}
    return Signer(method="sigstore", identity=identity, root=root, **{**fields, **changes})


def certificate(
    identity: str = "release@example.com",
    subject: str = "CN=Example,O=Example",
    root: str = "ca",
    expired_at: datetime | None = None,
) -> Signer:
    return Signer(
        method="certificate",
        identity=identity,
        issuer="CN=Example CA",
        subject=subject,
        alternative_names=() if identity == subject else (identity,),
        chain=(subject, "CN=Example CA"),
        expired_at=expired_at,
        key_sha256="cd" * 32,
        root=TrustRoot(name=root, sha256="ab" * 32),
    )


def key(root: str = "release") -> Signer:
    digest = "cd" * 32
    return Signer(
        method="key",
        identity=f"sha256:{digest}",
        key_sha256=digest,
        root=TrustRoot(name=root, sha256="ab" * 32),
    )


def document(
    name: str = "hf://example/model",
    signer: Signer | None = None,
    *,
    sorted_names: bool = True,
    context: Mapping[str, Any] | None = None,
    signature: Mapping[str, Any] | None = None,
    history: InputHistory | None = None,
    attestations: Sequence[InputAttestation] = (),
    refused_attestations: Sequence[InputRefusedAttestation] = (),
    boms: Sequence[InputBom] = (),
    refused_boms: Sequence[InputRefusedBom] = (),
    **coverage: Any,
) -> dict[str, Any]:
    """The document on a model; signature: what is other than usual of that."""
    return input_document(
        model=Model(url=f"{name}@{'0' * 40}", name=name, revision="0" * 40),
        signer=signer or sigstore(),
        signature=Signature.model_validate(
            {
                "location": "model.sig",
                "sha256": "ef" * 32,
                "root_digest": "12" * 32,
                "serialization": "files",
                "hash_type": "sha256",
                "times": signed_at(timedelta()),
                "log_index": 7,
                **(signature or {}),
            }
        ),
        sorted_names=sorted_names,
        allow_symlinks=False,
        coverage=dataclasses.replace(COVERAGE, **coverage),
        assurance=Assurance.BYTES,
        now=NOW,
        context=context,
        history=history,
        attestations=attestations,
        refused_attestations=refused_attestations,
        boms=boms,
        refused_boms=refused_boms,
    )


def signed_at(*ago: timedelta) -> tuple[SignatureTime, ...]:
    """Proven times that long before NOW."""
    return tuple(SignatureTime(source="transparency-log", time=NOW - each) for each in ago)
