"""Attestations in the whole flow: each attack is validly signed, and beside a twin that passes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig, load_trust
from oms_gate.limits import Limits
from oms_gate.oms.bundle import parse_bundle
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reason_codes import ReasonCode
from oms_gate.strict_yaml import parse_yaml
from tests import attesting, models
from tests.commands import oms_gate
from tests.oms import forge
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

PUBLISHER, CI, STRANGER = models.new_key(), models.new_key(), models.new_key()
MODEL = {**models.FILES, "second.safetensors": models.safetensors(5000)}
SIGNATURE = models.signature(MODEL, PUBLISHER)
SIGNED = {**MODEL, "model.sig": SIGNATURE}
ROOT = attesting.root_digest(SIGNATURE)
WEIGHTS = [attesting.sha256(MODEL[path]) for path in ("model.safetensors", "second.safetensors")]
CI_SIGNER = {"method": "key", "key": "ci"}
WANTED = {
    "predicate_type": attesting.PROVENANCE,
    "signers": [CI_SIGNER],
    "builders": ["https://ci.example/*"],
    "sources": ["git+https://git.example/acme/model@**"],
}
CLEAN = {
    "predicate_type": "https://in-toto.io/attestation/vulns/*",
    "signers": [CI_SIGNER],
    "max_age_days": 30,
    "no_findings": ["critical", "high"],
}
UNMET, MISSING = ReasonCode.ATTESTATION_UNMET, ReasonCode.ATTESTATION_MISSING


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Wants provenance by the CI of every model of Acme's."""
    keys = {}
    for name, key in {"acme": PUBLISHER, "ci": CI}.items():
        keys[name] = tmp_path / f"{name}.pub"
        keys[name].write_bytes(models.public_pem(key))
    return {
        "trust": {"keys": keys, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": [f"{tmp_path}/*", "hf://acme/*", "hf://datasets/acme/*", "s3://*/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "attestations": {"provenance": "*.intoto.jsonl", "scan": "attestations/*.json"},
        "requirements": [{"name": "built", "attestations": [WANTED]}],
    }


def wanting(settings: dict[str, Any], *wanted: Mapping[str, Any]) -> dict[str, Any]:
    requirements = [{"name": "built", "attestations": list(wanted)}] if wanted else []
    return {**settings, "requirements": requirements}


def check(settings: Mapping[str, Any], reference: object, **options: Any) -> Verdict:
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        return gate.check(str(reference), **options)


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def warned(verdict: Verdict) -> list[tuple[ReasonCode, str | None]]:
    return [(warning.code, warning.path) for warning in verdict.warnings]


def provenance(*digests: str, key: ec.EllipticCurvePrivateKey = CI, **changes: Any) -> bytes:
    return attesting.signed(attesting.statement(digests, **changes), key)


def scanned(*severities: str, days_ago: float = 1, about: Sequence[str] = (ROOT,)) -> bytes:
    predicate = attesting.scan(*severities, days_ago=days_ago)
    return provenance(*about, predicate=predicate, predicate_type=attesting.SCAN)


def test_provenance_of_the_model_is_enough(settings: dict[str, Any], tmp_path: Path) -> None:
    content = provenance(ROOT)
    folder = models.write(tmp_path / "m", {**SIGNED, "a.intoto.jsonl": content})
    verdict = check(settings, folder)
    assert verdict.admitted, verdict.reasons
    (attestation,) = verdict.attestations
    assert attestation.name == "provenance"
    assert attestation.path == "a.intoto.jsonl"
    assert attestation.sha256 == attesting.sha256(content)
    assert attestation.predicate_type == attesting.PROVENANCE
    assert attestation.signer.root.name == "ci"
    assert attestation.model
    assert verdict.warnings == ()
    assert {"attestations"} < set(verdict.timings)


@pytest.mark.parametrize(
    "digests",
    [[attesting.sha256(SIGNATURE)], WEIGHTS, [*WEIGHTS, "00" * 32]],
    ids=["signature", "weights", "weights and more"],
)
def test_the_signature_or_all_weights_are_enough(
    settings: dict[str, Any], tmp_path: Path, digests: list[str]
) -> None:
    files = {**SIGNED, "a.intoto.jsonl": provenance(*digests)}
    verdict = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted, verdict.reasons
    (attestation,) = verdict.attestations
    assert attestation.model == (digests[0] not in WEIGHTS)
    if digests[0] in WEIGHTS:
        assert attestation.files == ("model.safetensors", "second.safetensors")


def tampered(content: bytes) -> bytes:
    bundle = json.loads(content)
    payload = attesting.statement([ROOT], {**attesting.BUILD, "extra": 1})
    bundle["dsseEnvelope"]["payload"] = forge.b64(forge.encode(payload))
    return json.dumps(bundle).encode()


ATTACKS: dict[str, tuple[bytes, ReasonCode, ReasonCode | None]] = {
    "of another model": (provenance("00" * 32), MISSING, ReasonCode.ATTESTATION_UNRELATED),
    "by a stranger": (provenance(ROOT, key=STRANGER), MISSING, ReasonCode.KEY_UNTRUSTED),
    "by the publisher, who is not the CI": (provenance(ROOT, key=PUBLISHER), MISSING, None),
    "by the name alone": (
        provenance(subject=[{"name": "model.safetensors", "digest": {"sha256": "00" * 32}}]),
        MISSING,
        ReasonCode.ATTESTATION_UNRELATED,
    ),
    "of one of two files": (provenance(WEIGHTS[0]), UNMET, None),
    "of the configuration": (provenance(attesting.sha256(MODEL["config.json"])), UNMET, None),
    "of another type": (provenance(ROOT, predicate_type="https://x.example"), MISSING, None),
    "by another builder": (
        provenance(
            ROOT,
            predicate={**attesting.BUILD, "runDetails": {"builder": {"id": "https://ci.examples"}}},
        ),
        UNMET,
        None,
    ),
    "that is cut": (provenance(ROOT, predicate={"runDetails": {}}), UNMET, None),
    "that is tampered with": (tampered(provenance(ROOT)), MISSING, ReasonCode.SIGNATURE_INVALID),
    "that is a model's signature": (SIGNATURE, MISSING, ReasonCode.BUNDLE_UNSUPPORTED),
    "with a key twice": (
        json.dumps(
            forge.key_bundle(
                forge.encode(attesting.statement([ROOT])).replace(
                    b'"buildType"', b'"buildType": "x", "buildType"'
                ),
                CI,
            )
        ).encode(),
        MISSING,
        ReasonCode.STATEMENT_MALFORMED,
    ),
    "with keys that look the same": (
        provenance(ROOT, predicate={**attesting.BUILD, "a\u202e": 1, "a\\u202e": 2}),
        MISSING,
        ReasonCode.STATEMENT_MALFORMED,
    ),
    "that is no bundle": (
        b'{"payload": "e30=", "payloadType": "x"}',
        MISSING,
        ReasonCode.BUNDLE_UNSUPPORTED,
    ),
    "that is empty": (b"", MISSING, ReasonCode.BUNDLE_MALFORMED),
    "that is huge": (b" " * 4_194_305, MISSING, ReasonCode.SIGNATURE_TOO_LARGE),
    "among a thousand": (
        b"\n".join([provenance(ROOT)] * 1000),
        MISSING,
        ReasonCode.ATTESTATION_TOO_MANY,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_provenance(settings: dict[str, Any], tmp_path: Path, name: str) -> None:
    content, code, warning = ATTACKS[name]
    folder = models.write(tmp_path / "m", {**SIGNED, "a.intoto.jsonl": content})
    verdict = check(settings, folder)
    assert codes(verdict) == [code], verdict.reasons
    assert warned(verdict) == ([] if warning is None else [(warning, "a.intoto.jsonl")])
    assert "built" in verdict.reasons[0].message
    assert ("a.intoto.jsonl does not count" in verdict.reasons[0].message) == (warning is not None)
    # The same beside one that is right, and where nothing is required.
    models.write(folder, {"b.intoto.jsonl": provenance(ROOT)})
    if warning is not ReasonCode.ATTESTATION_TOO_MANY:
        assert check(settings, folder).admitted
    assert check(wanting(settings), folder).admitted


SCANS: dict[str, tuple[list[bytes], ReasonCode | None]] = {
    "clean": ([scanned("low", "medium")], None),
    "old": ([scanned(days_ago=31)], UNMET),
    "critical": ([scanned("low", "critical")], UNMET),
    "of a severity that nobody knows": ([scanned("urgent")], UNMET),
    "from the future": ([scanned(days_ago=-1)], UNMET),
    "old and clean, then critical": ([scanned(days_ago=20), scanned("high", days_ago=2)], UNMET),
    "critical, then clean": ([scanned("high", days_ago=20), scanned(days_ago=2)], None),
    "clean, then critical in one file": (
        [scanned(days_ago=20), scanned("high", days_ago=2, about=WEIGHTS[:1])],
        UNMET,
    ),
    "critical in one file, then clean": (
        [scanned("high", days_ago=20, about=WEIGHTS[:1]), scanned(days_ago=2)],
        None,
    ),
    "critical, then clean in all weights": (
        [scanned("high", days_ago=20), scanned(days_ago=2, about=WEIGHTS)],
        UNMET,
    ),
    "cut": (
        [provenance(ROOT, predicate={"scanner": {}}, predicate_type=attesting.SCAN)],
        UNMET,
    ),
}


@pytest.mark.parametrize("name", SCANS)
def test_a_scan(settings: dict[str, Any], tmp_path: Path, name: str) -> None:
    contents, code = SCANS[name]
    files = {f"attestations/{n}.json": content for n, content in enumerate(contents)}
    folder = models.write(tmp_path / "m", {**SIGNED, **files})
    assert codes(check(wanting(settings, CLEAN), folder)) == ([] if code is None else [code])


def test_an_attestation_is_no_signature(settings: dict[str, Any], tmp_path: Path) -> None:
    files = {**SIGNED, "model.sig": provenance(ROOT, key=PUBLISHER)}
    verdict = check(wanting(settings), models.write(tmp_path / "m", files))
    assert codes(verdict) == [ReasonCode.STATEMENT_MALFORMED]


def test_a_predicate_forges_no_output(settings: dict[str, Any], tmp_path: Path) -> None:
    kind = "https://x.example/\u202e\x1b[2J"
    predicate = {"a\u202e": "\x1b[2J"}
    files = {**SIGNED, "a.intoto.jsonl": provenance(ROOT, predicate=predicate, predicate_type=kind)}
    verdict = check(wanting(settings), models.write(tmp_path / "m", files))
    assert verdict.admitted
    assert verdict.attestations[0].predicate_type == "https://x.example/\\u202e\\x1b[2J"


def test_lines_count_one_by_one(settings: dict[str, Any], tmp_path: Path) -> None:
    lines = [b"{}", provenance("00" * 32), provenance(ROOT), b"{broken}"]
    files = {**SIGNED, "a.intoto.jsonl": b"\n".join([b"", *lines, b""])}
    verdict = check(settings, models.write(tmp_path / "m", files))
    assert verdict.admitted, verdict.reasons
    assert [warning.line for warning in verdict.warnings] == [2, 3, 5]
    assert len(verdict.attestations) == 1


def test_no_more_are_looked_at_than_allowed(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["limits"] = {"attestations": 2}
    files = {f"{name}.intoto.jsonl": provenance("00" * 32) for name in "ab"}
    folder = models.write(tmp_path / "m", {**SIGNED, **files, "c.intoto.jsonl": provenance(ROOT)})
    verdict = check(settings, folder)
    assert codes(verdict) == [MISSING]
    assert warned(verdict)[0] == (ReasonCode.ATTESTATION_TOO_MANY, "c.intoto.jsonl")
    (folder / "a.intoto.jsonl").unlink()
    assert check(settings, folder).admitted
    two = b"\n".join([provenance("00" * 32)] * 2)
    (folder / "b.intoto.jsonl").write_bytes(two)
    assert warned(check(settings, folder))[-1] == (
        ReasonCode.ATTESTATION_TOO_MANY,
        "c.intoto.jsonl",
    )


# -- Files that need not be signed


UNSIGNED: dict[str, tuple[str, bytes, bool]] = {
    "an attestation that counts": ("attestations/scan.json", provenance(ROOT), True),
    "a configuration by its name": ("attestations/evil.json", b'{"auto_map": {}}', False),
    "one of a stranger": ("attestations/scan.json", provenance(ROOT, key=STRANGER), False),
    "lines, one of which counts": (
        "attestations/scan.json",
        b"\n".join([provenance(ROOT), b'{"auto_map": {}}']),
        False,
    ),
    "code that is named so": ("attestations/x.py", provenance(ROOT), False),
    "a tokenizer that is named so": ("attestations/tokenizer.json", provenance(ROOT), False),
    "what an agent reads": ("attestations/AGENTS.md", provenance(ROOT), False),
    "what nobody reads": ("attestations/x.sigstore.json", b"{}", True),
    "where nothing is named": ("elsewhere/scan.json", provenance(ROOT), False),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_an_unsigned_file(settings: dict[str, Any], tmp_path: Path, name: str) -> None:
    path, content, passes = UNSIGNED[name]
    settings["attestations"]["any"] = "attestations/**"
    folder = models.write(tmp_path / "m", {**SIGNED, path: content})
    verdict = check(wanting(settings), folder)
    assert codes(verdict) == ([] if passes else [ReasonCode.COVERAGE_UNSIGNED])
    if passes and verdict.attestations:
        assert verdict.coverage is not None
        assert [(file.path, file.scope) for file in verdict.coverage.ignored] == [
            ("model.sig", "signature"),
            (path, "signature"),
        ]


def test_an_attestation_that_the_signer_left_out(settings: dict[str, Any], tmp_path: Path) -> None:
    signature = models.signature(MODEL, PUBLISHER, ignore_paths=["attestations"])
    content = provenance(attesting.root_digest(signature))
    files = {**MODEL, "model.sig": signature, "attestations/scan.json": content}
    folder = models.write(tmp_path / "m", files)
    assert check(settings, folder).admitted
    assert codes(check({**wanting(settings), "attestations": {}}, folder)) == [
        ReasonCode.COVERAGE_IGNORED
    ]


@pytest.mark.parametrize("name", ["train.intoto.jsonl", "train.sigstore.json"])
def test_a_dataset_is_read_whatever_its_files_are_called(
    hub: HubStandIn, settings: dict[str, Any], name: str
) -> None:
    settings = {**wanting(settings), "attestations": {"any": "*"}}
    cases: Any = ((b'{"text": "evil"}', [ReasonCode.COVERAGE_UNSIGNED]), (provenance(ROOT), []))
    for number, (content, expected) in enumerate(cases):
        hub.create(f"acme/{number}", kind="dataset", files={**SIGNED, name: content})
        assert codes(check(settings, f"hf://datasets/acme/{number}")) == expected
        hub.create(f"acme/m{number}", files={**SIGNED, name: content})
        assert check(settings, f"hf://acme/m{number}").admitted


def test_attestations_arrive_with_their_model(settings: dict[str, Any], tmp_path: Path) -> None:
    """And no other: where the model was pulled to, it is verified as well."""
    files = {
        **SIGNED,
        "a.intoto.jsonl": provenance(ROOT),
        "b.intoto.jsonl": provenance("00" * 32),
        "attestations/scan.json": scanned(),
        "attestations/x.sigstore.json": b"{}",
    }
    folder = models.write(tmp_path / "m", files)
    settings = wanting(settings, WANTED, CLEAN)
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        gate.pull(str(folder), tmp_path / "pulled")
    there = {
        str(path.relative_to(tmp_path / "pulled"))
        for path in (tmp_path / "pulled").rglob("*.json*")
    }
    assert there == {
        "config.json",
        "a.intoto.jsonl",
        "attestations/scan.json",
        "oms-gate.verdict.json",
    }
    verdict = check(settings, tmp_path / "pulled")
    assert verdict.admitted, verdict.reasons
    assert verdict.warnings == ()


def test_an_attestation_that_changes_as_it_is_pulled(
    hub: HubStandIn, settings: dict[str, Any], tmp_path: Path
) -> None:
    hub.create("acme/m", files={**SIGNED, "a.intoto.jsonl": provenance(ROOT)})
    hub.inject(
        faults.CallBefore(
            lambda: hub.replace_under_commit("acme/m", "a.intoto.jsonl", provenance("00" * 32))
        ),
        "*second.safetensors",
        times=1,
    )
    settings["limits"] = {"connections": 1}
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        verdict = gate.deliver("hf://acme/m", tmp_path / "pulled")
    assert ReasonCode.FILE_CHANGED in codes(verdict)
    assert verdict.delivery is None


# -- Stores


def test_a_model_on_the_hub(hub: HubStandIn, settings: dict[str, Any]) -> None:
    hub.create("acme/m", files={**SIGNED, "a.intoto.jsonl": provenance(ROOT)})
    assert check(settings, "hf://acme/m").admitted
    hub.create("acme/n", files={**SIGNED, "a.intoto.jsonl": provenance("00" * 32)})
    assert codes(check(settings, "hf://acme/n")) == [MISSING]


def test_a_store_that_fails_denies(hub: HubStandIn, settings: dict[str, Any]) -> None:
    """Although nothing requires the attestation: it may be what an own policy denies for."""
    settings = {**wanting(settings), "limits": {"retries": 0}}
    hub.create("acme/m", files={**SIGNED, "a.intoto.jsonl": provenance(ROOT)})
    assert check(settings, "hf://acme/m").admitted
    hub.inject(faults.Status(500), "*a.intoto.jsonl")
    verdict = check(settings, "hf://acme/m")
    assert codes(verdict) == [ReasonCode.STORE_UNAVAILABLE]
    assert verdict.undecided


def test_a_model_on_s3(s3: SeaweedFS, settings: dict[str, Any]) -> None:
    bucket = s3.create_bucket()
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    for path, content in {**SIGNED, "a.intoto.jsonl": provenance(ROOT)}.items():
        s3.put(bucket, f"acme/m/{path}", content)
    assert check(settings, f"s3://{bucket}/acme/m/").admitted
    s3.put(bucket, "acme/m/a.intoto.jsonl", provenance(ROOT, key=STRANGER))
    assert codes(check(settings, f"s3://{bucket}/acme/m/")) == [MISSING]


def test_a_single_file_has_its_attestations_beside_it(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    content = models.safetensors(5000)
    signature = models.signature({"x.gguf": content}, PUBLISHER)
    models.write(tmp_path, {"x.gguf": content, "x.gguf.sig": signature})
    assert codes(check(settings, tmp_path / "x.gguf")) == [MISSING]
    digest = attesting.sha256(content)
    models.write(tmp_path, {"other.intoto.jsonl": provenance(digest)})
    assert codes(check(settings, tmp_path / "x.gguf")) == [MISSING]
    models.write(tmp_path, {"x.gguf.intoto.jsonl": provenance(digest)})
    verdict = check(settings, tmp_path / "x.gguf")
    assert verdict.admitted, verdict.reasons
    assert [found.path for found in verdict.attestations] == ["x.gguf.intoto.jsonl"]
    assert verdict.attestations[0].files == ("x.gguf",)


def test_a_blake3_signature_is_attested_as_a_whole(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """The digests of its files are of another kind, whatever they look like."""
    signature = models.signature(MODEL, PUBLISHER, hash_type="blake3")
    entries = json.loads(parse_bundle(signature, Limits()).payload)["predicate"]["resources"]
    by_file = provenance(*(entry["digest"] for entry in entries))
    files = {**MODEL, "model.sig": signature, "a.intoto.jsonl": by_file}
    folder = models.write(tmp_path / "m", files)
    verdict = check(settings, folder)
    assert codes(verdict) == [MISSING]
    assert warned(verdict) == [(ReasonCode.ATTESTATION_UNRELATED, "a.intoto.jsonl")]
    models.write(folder, {"a.intoto.jsonl": provenance(attesting.root_digest(signature))})
    assert check(settings, folder).admitted


def test_the_pages_own_policy(settings: dict[str, Any], opa: Path, tmp_path: Path) -> None:
    """The Rego of docs/attestations.md, beside the library."""
    root = Path(__file__).parents[1]
    page = (root / "docs/attestations.md").read_text()
    policy = models.write(tmp_path / "policy", {"own.rego": fenced(page, "rego").encode()})
    shutil.copytree(root / "policies/lib", policy / "lib", ignore=shutil.ignore_patterns("*_test*"))
    shutil.copy(root / "policies/admission.rego", policy)
    config = GateConfig.model_validate(wanting(settings))
    engine = WasmEngine.from_rego(policy, config.data, Limits(), opa=opa, cache=tmp_path / "cache")
    builder = {"builder": {"id": "https://ci.acme.example/runner@v1"}}
    built = provenance(ROOT, predicate={**attesting.BUILD, "runDetails": builder})
    folder = models.write(tmp_path / "m", SIGNED)
    with Gate(
        trust=load_trust(config.trust), policy=engine, attestations=config.attestations
    ) as gate:
        assert own_codes(gate.check(str(folder))) == ["acme.origin", "acme.scan"]
        models.write(folder, {"a.intoto.jsonl": built})
        assert own_codes(gate.check(str(folder))) == ["acme.scan"]
        models.write(folder, {"attestations/scan.json": scanned("high", days_ago=6)})
        assert gate.check(str(folder)).admitted
        models.write(folder, {"attestations/scan.json": scanned("critical", days_ago=6)})
        assert own_codes(gate.check(str(folder))) == ["acme.scan"]


def test_the_pages_configuration_is_valid() -> None:
    page = (Path(__file__).parents[1] / "docs/attestations.md").read_text()
    config = GateConfig.model_validate(parse_yaml("page", fenced(page, "yaml").encode()).value)
    assert config.requirements[0].attestations is not None


def fenced(page: str, language: str) -> str:
    """The first block of code in a language."""
    return page.split(f"```{language}\n")[1].split("```")[0]


def own_codes(verdict: Verdict) -> list[str]:
    return sorted(reason.policy_code or "" for reason in verdict.reasons)


def test_people_are_told_what_is_attested(settings: dict[str, Any], tmp_path: Path) -> None:
    files = {
        **SIGNED,
        "a.intoto.jsonl": provenance(ROOT),
        "b.intoto.jsonl": provenance(*WEIGHTS, "00" * 32),
        "c.intoto.jsonl": provenance("00" * 32),
    }
    folder = models.write(tmp_path / "m", files)
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps(settings, default=str))
    shown = oms_gate("verify", folder, "--config", config).stdout
    assert f"attested  {attesting.PROVENANCE} about the model, by key 'ci'" in shown
    assert "about 2 of its files, by key 'ci'" in shown
    assert "the attestation c.intoto.jsonl does not count: it is about something else" in shown
