"""Trust on first use: one signer is pinned to a model's name, and another is denied."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms_gate import AdmissionDenied, Gate
from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError
from oms_gate.history.observation import identity_of
from oms_gate.reason_codes import ReasonCode
from oms_gate.server.rulebook import Rulebook
from oms_gate.verdict import Signer, TrustRoot
from tests import models
from tests.history.remembering import (
    FIRST_USE,
    KEYS,
    NAMED,
    admit,
    codes,
    gate_of,
    key_signer,
    memory,
    observed,
    release,
    settings,
)
from tests.oms import forge

CHANGED = [ReasonCode.HISTORY_SIGNER_CHANGED]
LASTING: dict[str, Any] = {
    "start": datetime.now(UTC) - timedelta(days=1),
    "end": datetime.now(UTC) + timedelta(days=1),
}
SAME = {"name": "the same", "same_signer": True}


def replace(folder: Path, files: Mapping[str, Any]) -> Path:
    return models.write(folder, files)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write(tmp_path / "m", release(1))


def test_the_first_signer_is_trusted_and_another_is_not(model: Path, tmp_path: Path) -> None:
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(model).admitted
        assert gate.check(model).admitted
        replace(model, release(2))
        assert gate.check(model).admitted
        replace(model, release(3, "other"))
        denied = gate.check(model)
        assert codes(denied) == CHANGED
        assert "oms-gate trust add" in denied.reasons[0].message
        # What is denied is not remembered, however often.
        assert codes(gate.check(model)) == CHANGED
        assert len(memory(gate).releases()) == 2
        # Elsewhere, the other one is the first.
        assert gate.check(replace(tmp_path / "n", release(3, "other"))).admitted


def test_whom_no_root_vouches_for_is_not_even_the_first(tmp_path: Path) -> None:
    model = replace(tmp_path / "m", release(1, "stranger"))
    with gate_of(settings(tmp_path)) as gate:
        assert codes(gate.check(model)) == [ReasonCode.KEY_UNTRUSTED]
        assert memory(gate).pins() == []
        assert gate.check(replace(model, release(1))).admitted


def test_what_is_denied_for_something_else_pins_nobody(model: Path, tmp_path: Path) -> None:
    (model / "config.json").write_bytes(b"{}")
    with gate_of(settings(tmp_path)) as gate:
        assert ReasonCode.FILE_CHANGED in codes(gate.check(model))
        assert (memory(gate).pins(), memory(gate).releases()) == ([], [])
        assert gate.check(replace(model, release(1, "other"))).admitted


def test_in_mode_annotate_nothing_denied_is_remembered(model: Path, tmp_path: Path) -> None:
    with gate_of(settings(tmp_path, mode="annotate")) as gate:
        assert gate.deliver(model, tmp_path / "a").admitted
        replace(model, release(2, "other"))
        let_through = gate.deliver(model, tmp_path / "b")
        assert let_through.delivery is not None
        assert codes(let_through) == CHANGED
        assert [found.signer.root.name for found in memory(gate).releases()] == ["acme"]


def test_what_is_approved_is_trusted_beside_the_first(model: Path, tmp_path: Path) -> None:
    with gate_of(settings(tmp_path)) as gate:
        gate.check(model)
        replace(model, release(2, "other"))
        assert codes(gate.check(model)) == CHANGED
        before = memory(gate).generation()
        gate.recall(model).approve(datetime.now(UTC))
        assert memory(gate).generation() != before
        assert gate.check(model).admitted
        assert gate.check(replace(model, release(3))).admitted
        assert [(pin.signer.root.name, pin.approved) for pin in memory(gate).pins()] == [
            ("acme", False),
            ("other", True),
        ]


def test_what_is_removed_is_trusted_no_more(model: Path, tmp_path: Path) -> None:
    with gate_of(settings(tmp_path)) as gate:
        name = gate.check(model).model.name
        memory(gate).approve(*_found(gate, replace(model, release(2, "other"))))
        assert gate.check(model).admitted
        before = memory(gate).generation()
        (gone,) = memory(gate).withdraw(name, "acme")
        assert gone.signer.root.name == "acme"
        assert memory(gate).generation() != before
        assert codes(gate.check(replace(model, release(3)))) == CHANGED
        # Without any, the next one is the first.
        assert [pin.signer.root.name for pin in memory(gate).withdraw(name)] == ["other"]
        assert gate.check(model).admitted
        assert [pin.signer.root.name for pin in memory(gate).pins()] == ["acme"]


def _found(gate: Gate, model: Path) -> tuple[Any, Any, datetime]:
    recalled = gate.recall(model)
    return recalled.observation, recalled.facts, datetime.now(UTC)


def test_a_requirement_holds_those_whom_rules_name_to_it_too(model: Path, tmp_path: Path) -> None:
    free = settings(tmp_path, NAMED)
    with gate_of(free) as gate:
        assert gate.check(model).admitted
        assert gate.check(replace(model, release(2, "other"))).admitted
        assert [pin.signer.root.name for pin in memory(gate).pins()] == ["acme"]
    with gate_of(settings(tmp_path, NAMED, requirements=[SAME])) as gate:
        assert codes(gate.check(model)) == CHANGED
        assert gate.check(replace(model, release(3))).admitted
    with gate_of(settings(tmp_path, NAMED, requirements=[SAME])) as gate:
        gate.history = None
        assert codes(gate.check(model)) == CHANGED
        with pytest.raises(ConfigError, match="keeps no memory"):
            gate.recall(model)


@pytest.mark.parametrize("way", ["check", "deliver", "admit"])
def test_all_ways_remember_and_heed(way: str, model: Path, tmp_path: Path) -> None:
    def decide(gate: Gate) -> list[ReasonCode]:
        if way == "check":
            return codes(gate.check(model))
        if way == "deliver":
            verdict = gate.deliver(model, tmp_path / "to")
            assert (verdict.delivery is None) == bool(verdict.reasons)
            return codes(verdict)
        try:
            gate.admit(model).snapshot.close()
        except AdmissionDenied as denied:
            return codes(denied.verdict)
        return []

    with gate_of(settings(tmp_path)) as gate:
        assert decide(gate) == []
        assert [found.count for found in memory(gate).releases()] == [1]
        replace(model, release(2, "other"))
        assert decide(gate) == CHANGED


def test_a_pinned_signature_neither_reads_nor_writes(model: Path, tmp_path: Path) -> None:
    with gate_of(settings(tmp_path)) as gate:
        assert gate.check(model).admitted
        replace(model, release(2, "other"))
        signature = gate.check(model).signature
        assert signature is not None
        # It could not be read.
        memory(gate).file.write_bytes(b"")
        assert gate.deliver(model, tmp_path / "to", pinned_signature=signature.sha256).admitted


class Meanwhile:
    """A policy engine that lets somebody else do something before it first answers."""

    def __init__(self, engine: Any, action: Any) -> None:
        self._engine, self._action = engine, action
        self.kind, self.revision = engine.kind, engine.revision
        self.asked = 0

    def decide(self, document: Any) -> Any:
        self.asked += 1
        decision = self._engine.decide(document)
        if self.asked == 1:
            self._action()
        return decision

    def close(self) -> None:
        self._engine.close()


@pytest.mark.parametrize("way", ["check", "deliver", "admit"])
def test_of_two_first_signers_at_once_one_is_pinned(way: str, model: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path)
    other = models.write(tmp_path / "n", release(2, "other"))
    with gate_of(configured) as gate:

        def another() -> None:
            found = gate.recall(other).observation
            admit(memory(gate), observed(model=f"file://{model}", signer=found.signer))

        gate.policy = Meanwhile(gate.policy, another)
        if way == "admit":
            with pytest.raises(AdmissionDenied) as denial:
                gate.admit(model)
            verdict = denial.value.verdict
        elif way == "deliver":
            verdict = gate.deliver(model, tmp_path / "to")
            assert not (tmp_path / "to").exists()
        else:
            verdict = gate.check(model)
        assert codes(verdict) == CHANGED
        assert [pin.signer.root.name for pin in memory(gate).pins()] == ["other"]
        assert [found.signer.root.name for found in memory(gate).releases()] == ["other"]


def test_one_who_was_not_the_first_by_a_moment_may_be_trusted_all_the_same(
    model: Path, tmp_path: Path
) -> None:
    with gate_of(settings(tmp_path, NAMED)) as gate:

        def another() -> None:
            admit(memory(gate), observed(model=f"file://{model}"))

        gate.policy = engine = Meanwhile(gate.policy, another)
        assert gate.check(model).admitted
        assert engine.asked == 2
        assert len(memory(gate).releases()) == 2


def signer(method: str, identity: str, **differences: Any) -> Signer:
    facts: dict[str, Any] = {
        "method": method,
        "identity": identity,
        "issuer": "https://issuer.example",
        "key_sha256": "1" * 64,
        "root": TrustRoot(name="root", sha256="2" * 64),
    }
    return Signer(**{**facts, **differences})


def test_a_signer_is_who_is_vouched_for() -> None:
    mail = signer("sigstore", "a@example.com")
    root = {"root": TrustRoot(name="root", sha256="3" * 64)}
    assert identity_of(mail) == identity_of(signer("sigstore", "a@example.com", **root))
    assert identity_of(mail) == identity_of(
        signer("sigstore", "a@example.com", key_sha256="9" * 64)
    )
    certificate = signer("certificate", "a@example.com", subject="CN=a")
    renewed = signer(
        "certificate", "a@example.com", subject="CN=a", issuer="CN=new", key_sha256="9" * 64
    )
    assert identity_of(certificate) == identity_of(renewed)
    assert identity_of(key_signer("a", "one")) == identity_of(key_signer("a", "two"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (signer("sigstore", "a"), signer("sigstore", "b")),
        (signer("sigstore", "a"), signer("sigstore", "a", issuer="https://other.example")),
        (
            signer("sigstore", "a"),
            signer("sigstore", "a", root=TrustRoot(name="other", sha256="2" * 64)),
        ),
        (signer("sigstore", "a"), signer("certificate", "a")),
        (signer("certificate", "a"), signer("certificate", "b")),
        (signer("certificate", "CN=a", subject="CN=a"), signer("certificate", "CN=a")),
        (key_signer("a"), key_signer("b")),
    ],
)
def test_and_nobody_else(one: Signer, two: Signer) -> None:
    assert identity_of(one) != identity_of(two)


def certified(number: int, root: forge.Party, name: str) -> dict[str, bytes]:
    """A release that is signed with a new key, for which there is a new certificate."""
    own = release(number)
    payload = base64.b64decode(json.loads(own["model.sig"])["dsseEnvelope"]["payload"])
    leaf = forge.issue_leaf(name, root, private_key=models.new_key(), **LASTING)
    return {**own, "model.sig": forge.encode(forge.certificate_bundle(payload, leaf))}


def test_a_new_certificate_is_no_new_signer(tmp_path: Path) -> None:
    roots = [forge.issue(f"root {n}", private_key=models.new_key(), **LASTING) for n in (1, 2)]
    configured = settings(tmp_path)
    for number, root in enumerate(roots):
        (tmp_path / f"{number}.pem").write_bytes(root.pem)
    configured["trust"]["certificates"] = {n: str(tmp_path / f"{n}.pem") for n in "01"}
    model = replace(tmp_path / "m", certified(1, roots[0], "release"))
    with gate_of(configured) as gate:
        assert gate.check(model).admitted
        assert gate.check(replace(model, certified(2, roots[0], "release"))).admitted
        for root, name in ((roots[1], "release"), (roots[0], "somebody")):
            assert codes(gate.check(replace(model, certified(3, root, name)))) == CHANGED
        assert gate.check(replace(model, certified(3, roots[0], "release"))).admitted


def test_a_root_of_one_namespace_is_not_remembered_for_others(tmp_path: Path) -> None:
    from tests.kubernetes.test_rulebook import granting, policy

    configured = settings(tmp_path, NAMED)
    book = Rulebook(GateConfig.model_validate(configured))
    try:
        delegating = policy("all", {"delegate": {"models": ["hf://x/*"]}})
        book.replace([delegating, policy("own", granting(KEYS["stranger"], "k"), "team")])
        assert book.gate(book.terms("team", {}, "hf://x/y")).history is None
        shared = book.gate(book.terms("other", {}, "hf://x/y")).history
        assert shared is not None
        assert str(shared.file) == configured["history"]["file"]
    finally:
        book.close()


def test_first_use_needs_a_memory(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="needs a memory"):
        gate_of(settings(tmp_path, FIRST_USE, history=None))
