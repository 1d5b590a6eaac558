"""Whatever is missing, mistyped or unknown in a document, nothing is admitted."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_gate.policy.engine import Engine
from oms_gate.policy.input import (
    InputAttestation,
    InputBom,
    InputHistory,
    InputRefusedAttestation,
    InputRefusedBom,
)
from oms_gate.reason_codes import ReasonCode
from tests.policy.amiss import VALUES, Path, at, kind_of, places, replaced, without
from tests.policy.decision_table import EXCEPTIONS, PUBLISHERS, REQUIREMENTS
from tests.policy.samples import MEMORY, Engines, certificate, document, key, sigstore

__all__ = ["EXCEPTIONS", "PUBLISHERS", "REQUIREMENTS"]  # what the engines load

SIGNED_AT: Final = 1_788_000_000.0
STATEMENT = InputAttestation(
    name="built",
    path="build.json",
    predicate_type="https://slsa.dev/provenance/v1",
    predicate={"builder": "x"},
    predicate_times={"/finished": SIGNED_AT},
    signer=key(),
    times=(SIGNED_AT,),
    log_index=8,
    model=True,
    files=("model.safetensors",),
)
REFUSED = InputRefusedAttestation(
    name="scan", path="scan.json", code="attestation.unmet", msg="it is old"
)
BOM = InputBom(
    name="sbom",
    path="model.cdx.json",
    format="CycloneDX",
    spec_version="1.6",
    document={"bomFormat": "CycloneDX"},
)
UNSIGNED = InputRefusedBom(
    name="spdx", path="m.spdx.json", code="bom.unsigned", msg="nobody signed it"
)
REMEMBERED = InputHistory(
    first_seen=SIGNED_AT, pinned=(sigstore(), key()), signer_pinned=True, newer=None
)
# All of these are admitted.
DOCUMENTS: Final = [
    document(),
    document("hf://many/model", key(), signed=(("a.gguf", 1), ("b.gguf", None))),
    document("hf://first/model", history=MEMORY),
    document("hf://required/same", history=REMEMBERED),
    document(attestations=(STATEMENT,), refused_attestations=(REFUSED,)),
    document(boms=(BOM,), refused_boms=(UNSIGNED,)),
    document(
        "hf://loose/model",
        key(),
        unsigned=(("assets/a.py", 1), ("README.md", None)),
        ignored=(
            ("build/x.json", 1, "signer"),
            ("x.xyz", None, "signer"),
            ("m.sig", 1, "signature"),
        ),
    ),
    document(
        "hf://veteran/model",
        certificate(
            "CN=Release,O=Example",
            "CN=Release,O=Example",
            expired_at=datetime(2026, 1, 2, tzinfo=UTC),
        ),
    ),
    document("hf://required/namespaced", context={"operation": "admit", "namespace": "prod-eu"}),
]
# What somebody else names: any or none of it is as good.
FREE: Final = ("claims", "predicate", "predicate_times", "document", "context")
NULLABLE: Final = {
    "revision", "issuer", "subject", "expired_at", "log_index", "size", "first_seen", "signed_at",
    "history", "newer",
}  # fmt: skip


def is_member(path: Path) -> bool:
    """Whether something has to be there: it is no item of a list, and nobody's own."""
    free = any(step in FREE for step in path[:-1])
    return isinstance(path[-1], str) and (not free or path == ("context", "operation"))


def may_be(path: Path, old: object, new: object) -> bool:
    """Whether a value of another type is one of the schema's, too."""
    if {"predicate", "document"} & set(path[:-1]) or kind_of(old) == kind_of(new):
        return True
    if path[0] == "context" and len(path) > 1:
        return path[1] not in ("operation", "namespace", "namespace_labels", "service_account")
    if path[-1] in ("size", "signed_bytes", "log_index", "first_seen", "signed_at"):
        return new is None or kind_of(new) == "number"
    if path[-1] in NULLABLE:
        return new is None or (isinstance(new, str) and path[-1] not in ("history", "newer"))
    return False


MISSING: Final = [
    (number, path)
    for number, whole in enumerate(DOCUMENTS)
    for path in places(whole)
    if is_member(path)
]
MISTYPED: Final = [
    (number, path, value)
    for number, whole in enumerate(DOCUMENTS)
    for path in places(whole)
    for value in VALUES
    if not may_be(path, at(whole, path), value)
]


def test_all_of_these_are_admitted(engine: Engine) -> None:
    for whole in DOCUMENTS:
        assert engine.decide(whole).allow


def test_nothing_is_admitted_on_a_document_that_lacks_a_member(engines: Engines) -> None:
    in_process, on_server = engines
    assert len(MISSING) > 300
    for turn, (number, path) in enumerate(MISSING):
        broken = without(DOCUMENTS[number], path)
        decision = in_process.decide(broken)
        assert not decision.allow, path
        assert [reason.code for reason in decision.deny] == [ReasonCode.POLICY_ERROR], path
        if turn % 10 == 0:
            assert on_server.decide(broken).to_answer() == decision.to_answer(), path


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_is_admitted_on_a_document_that_is_mistyped(
    engines: Engines, data: st.DataObject
) -> None:
    number, path, value = data.draw(st.sampled_from(MISTYPED))
    broken = replaced(DOCUMENTS[number], path, value)
    decision = engines[0].decide(broken)
    assert not decision.allow
    assert [reason.code for reason in decision.deny] == [ReasonCode.POLICY_ERROR]
    if data.draw(st.integers(0, 9)) == 0:
        assert engines[1].decide(broken).to_answer() == decision.to_answer()


@given(data=st.data(), name=st.text(min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_is_admitted_on_a_document_that_says_more(
    engines: Engines, data: st.DataObject, name: str
) -> None:
    whole = copy.deepcopy(data.draw(st.sampled_from(DOCUMENTS)))
    inside = [(), *(p for p in places(whole) if isinstance(at(whole, p), dict))]
    path = data.draw(st.sampled_from([p for p in inside if not set(p) & set(FREE)]))
    name = name.encode("utf-8", "replace").decode()
    if name in at(whole, path):
        return
    at(whole, path)[name] = data.draw(st.sampled_from(VALUES))
    assert not engines[0].decide(whole).allow
