"""Policies in process: the operator's own, compiled here, hostile or broken."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import MIB, Limits
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from oms_gate.verdict import ReasonCode
from tests.policy.opa_process import ROOT
from tests.policy.samples import (
    ALLOW,
    EXAMPLE,
    NO_DATA,
    Build,
    MakeEngine,
    document,
    policy_folder,
    sigstore,
)

LOOP = """
spin(n) := count([1 | some i in numbers.range(1, n); some j in numbers.range(1, n); i * j == -1])
decision := {"allow": true} if spin(input.n) == 0
"""


def reason_of(engine: WasmEngine, **document: Any) -> ReasonCode:
    with pytest.raises(PolicyError) as caught:
        engine.decide(document)
    return caught.value.reason.code


def test_a_policy_of_ones_own(build: Build) -> None:
    engine = build(
        'default decision := {"allow": false}\n'
        'decision := {"allow": true, "annotations": {"team": data.teams[input.team]}}',
        data__json='{"teams": {"a": "Alpha"}}',
        admission_test__rego="package broken {",
    )
    decision = engine.decide({"team": "a"})
    assert decision.allow
    assert decision.annotations == {"team": "Alpha"}
    assert engine.decide({"team": "b"}).deny[0].code is ReasonCode.POLICY_DENIED
    assert engine.kind == "wasm"
    engine.close()


def test_the_gates_policy_can_be_added_to(opa: Path, tmp_path: Path) -> None:
    folder = policy_folder(
        tmp_path,
        'deny contains {"code": "mine", "msg": sprintf("Not on day %d.", [input.now])} if '
        "input.now > 5",
    )
    (folder / "gate.rego").write_text((ROOT / "policies/admission.rego").read_text())
    shutil.copytree(ROOT / "policies/lib", folder / "lib")
    data = data_document([Publisher.model_validate(EXAMPLE)])
    engine = WasmEngine.from_rego(folder, data, Limits(), opa=opa, cache=tmp_path / "cache")
    assert engine.decide({**document(), "now": 5}).allow
    (reason,) = engine.decide({**document(), "now": 6}).deny
    assert (reason.policy_code, reason.message) == ("mine", "Not on day 6.")
    engine.close()


def test_undefined(build: Build) -> None:
    engine = build('decision := {"allow": true} if input.good')
    assert engine.decide({"good": True}).allow
    assert reason_of(engine) is ReasonCode.POLICY_UNDEFINED
    engine.close()


@pytest.mark.parametrize("value", ["null", "true", '{"allow": "yes"}', '{"deny": set()}', "[]"])
def test_ill_typed(build: Build, value: str) -> None:
    engine = build(f"decision := {value}")
    assert reason_of(engine) is ReasonCode.POLICY_ILL_TYPED
    engine.close()


def test_time_for_a_policy_is_never_too_short_to_decide() -> None:
    assert Limits(policy_seconds=0.05).policy_seconds == 0.05
    with pytest.raises(ValidationError):
        Limits(policy_seconds=0.049)


def test_two_decisions_at_once(build: Build) -> None:
    engine = build('decision := {"allow": true}\ndecision := {"allow": false} if input.bad')
    assert reason_of(engine, bad=True) is ReasonCode.POLICY_ERROR
    assert engine.decide({}).allow
    engine.close()


def test_runaway(build: Build) -> None:
    engine = build(LOOP, Limits(policy_seconds=0.1))
    assert engine.decide({"n": 3}).allow
    start = time.monotonic()
    assert reason_of(engine, n=100_000) is ReasonCode.POLICY_TIMEOUT
    assert time.monotonic() - start < 1
    assert engine.decide({"n": 3}).allow
    engine.close()


def test_more_runaways_than_the_engine_has_room_for(build: Build) -> None:
    engine = build(LOOP, Limits(policy_seconds=0.1, policy_memory_bytes=512 * MIB))
    with ThreadPoolExecutor(8) as threads:
        codes = set(threads.map(lambda _: reason_of(engine, n=100_000), range(8)))
    assert codes == {ReasonCode.POLICY_TIMEOUT}
    assert engine.decide({"n": 3}).allow
    engine.close()


def test_memory(build: Build) -> None:
    engine = build(LOOP, Limits(policy_memory_bytes=8 * MIB))
    assert reason_of(engine, n=100_000) is ReasonCode.POLICY_ERROR
    assert engine.decide({"n": 3}).allow
    engine.close()


def test_inputs_that_cannot_be_evaluated(build: Build) -> None:
    engine = build(ALLOW, Limits(policy_memory_bytes=4 * MIB))
    assert engine.decide({"x": "a" * MIB}).allow
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("a" * 3 * MIB, "a" * 5 * MIB, "\ud800", deep):
        assert reason_of(engine, x=value) is ReasonCode.POLICY_ERROR
    engine.close()
    assert reason_of(engine) is ReasonCode.POLICY_ERROR


def test_what_is_no_number_is_none(make_wasm: MakeEngine) -> None:
    engine = make_wasm([EXAMPLE])
    for number in (float("nan"), float("inf")):
        (reason,) = engine.decide({**document(), "now": number}).deny
        assert reason.code is ReasonCode.POLICY_ERROR
    engine.close()


def test_data_beyond_the_memory() -> None:
    with pytest.raises(ConfigError, match="data is"):
        WasmEngine.bundled({"x": "a" * 5 * MIB}, Limits(policy_memory_bytes=4 * MIB))
    assert not [thread for thread in threading.enumerate() if "epoch" in thread.name]


def test_threads_get_their_own_decision(make_wasm: MakeEngine) -> None:
    engine = make_wasm([EXAMPLE])
    documents = [document(signer=sigstore(f"{n % 2 or ''}release@example.com")) for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(lambda made: engine.decide(made).allow, documents))
    assert allowed == [n % 2 == 0 for n in range(200)]
    engine.close()
    assert not [thread for thread in threading.enumerate() if "epoch" in thread.name]


def test_a_thousand_files_take_few_milliseconds(make_wasm: MakeEngine) -> None:
    engine = make_wasm([EXAMPLE])
    made = document(signed=tuple((f"a/model-{n:05}.safetensors", n) for n in range(1000)))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        assert engine.decide(made).allow
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005
    engine.close()


def test_a_hundred_thousand_files_fit(make_wasm: MakeEngine) -> None:
    engine = make_wasm([EXAMPLE])
    files = tuple((f"data/part-{n:06}.parquet", n) for n in range(100_000))
    assert engine.decide(document(signed=files)).allow
    assert len(engine.decide(document(unsigned=files)).deny) == 21
    engine.close()


def test_the_revision_is_that_of_policy_and_data(build: Build, make_wasm: MakeEngine) -> None:
    revisions = []
    for engine in (make_wasm([]), make_wasm([EXAMPLE]), make_wasm([EXAMPLE]), build(ALLOW)):
        revisions.append(engine.revision)
        engine.close()
    assert all(revision.startswith("sha256:") for revision in revisions)
    assert revisions[1] == revisions[2]
    assert len(set(revisions)) == 3


# Bundles that were compiled before.


def bundle_of(**files: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo("/" + name.replace("__", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    module = (ROOT / "policies/admission.wasm").read_bytes()
    path.write_bytes(bundle_of(policy__wasm=module, data__json=b"{}"))
    data = data_document([Publisher.model_validate(EXAMPLE)])
    engine = WasmEngine.from_bundle(path, data, Limits())
    assert engine.decide(document()).allow
    engine.close()
    bundled = WasmEngine.bundled(data, Limits())
    assert bundled.revision == engine.revision
    bundled.close()


def test_bundles_that_are_refused(tmp_path: Path, opa: Path) -> None:
    module = (ROOT / "policies/admission.wasm").read_bytes()
    (tmp_path / "x.rego").write_text("package x\ndecision := 1")
    command = [str(opa), "build", "-t", "wasm", "-e", "x/decision", "-o", "/dev/stdout", "x.rego"]
    other = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    bundles: list[bytes] = [
        b"",
        b"{}",
        module,
        other,
        gzip.compress(b""),
        gzip.compress(b"x" * 5000),
        gzip.compress(bytes(65 * MIB)),
        bundle_of(data__json=b"{}"),
        bundle_of(policy__wasm=b""),
        bundle_of(policy__wasm=b"\0asm"),
        bundle_of(policy__wasm=b"\0asm\1\0\0\0"),
        bundle_of(policy__wasm=module[:-100]),
        bundle_of(policy__wasm=module, data__json=b"{"),
        bundle_of(policy__wasm=module, data__json=b"[]"),
        bundle_of(policy__wasm=module, data__json=b'{"oms_gate": 1}'),
        bundle_of(policy__wasm=module)[:-30],
    ]
    path = tmp_path / "bundle.tar.gz"
    for bundle in bundles:
        path.write_bytes(bundle)
        with pytest.raises(ConfigError) as caught:
            WasmEngine.from_bundle(path, NO_DATA, Limits())
        assert "bundle.tar.gz" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="absent"):
        WasmEngine.from_bundle(tmp_path / "absent", NO_DATA, Limits())
