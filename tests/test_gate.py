"""The whole flow on real stores: what is admitted, what is denied, and what it costs."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError, UsageError
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.policy.decision import Decision
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.verdict import Assurance
from tests import models
from tests.peers import faults
from tests.peers.content import Content
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "verdict.schema.json").read_text())


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return models.new_key()


@pytest.fixture(scope="module")
def stranger() -> ec.EllipticCurvePrivateKey:
    return models.new_key()


@pytest.fixture
def settings(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> dict[str, Any]:
    """A configuration that trusts one key for every model named 'model' on every store."""
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(key))
    return {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [
            {
                "name": "Acme",
                "models": ["hf://acme/*", "s3://*/acme/*", f"{tmp_path}/acme/*"],
                "signers": [{"method": "key", "key": "acme"}],
            }
        ],
        "limits": {"read_seconds": 2, "connect_seconds": 2, "retries": 1},
    }


def check(settings: Mapping[str, Any], reference: str, **options: Any) -> Verdict:
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        verdict = gate.check(reference, **options)
    jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)
    assert verdict.admitted == (not verdict.reasons)
    for reason in verdict.reasons:
        assert "\n" not in reason.message
    return verdict


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def signed(key: ec.EllipticCurvePrivateKey, **options: Any) -> dict[str, bytes]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key, **options)}


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b", "blake3"])
@pytest.mark.parametrize("shard_size", [None, 10_000])
def test_a_signed_folder_is_admitted(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    hash_type: str,
    shard_size: int | None,
) -> None:
    files = signed(key, hash_type=hash_type, shard_size=shard_size)
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", files)))
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.BYTES
    assert verdict.coverage is not None
    assert verdict.coverage.measured == verdict.coverage.signed == 3
    assert verdict.coverage.measured_bytes == sum(map(len, models.FILES.values()))
    assert verdict.signer is not None
    assert (verdict.signer.method, verdict.signer.root.name) == ("key", "acme")
    assert verdict.annotations["publisher"] == "Acme"
    assert set(verdict.timings) == {
        "snapshot",
        "signature",
        "coverage",
        "policy",
        "measure",
        "total",
    }


Spoil = Callable[[dict[str, bytes]], object]

ATTACKS: dict[str, tuple[Spoil, ReasonCode]] = {
    "no signature": (lambda files: files.pop("model.sig"), ReasonCode.SIGNATURE_MISSING),
    "empty signature": (
        lambda files: files.update({"model.sig": b""}),
        ReasonCode.BUNDLE_MALFORMED,
    ),
    "cut signature": (
        lambda files: files.update({"model.sig": files["model.sig"][:-10]}),
        ReasonCode.BUNDLE_MALFORMED,
    ),
    "huge signature": (
        lambda files: files.update({"model.sig": b" " * (17 * 1024 * 1024)}),
        ReasonCode.SIGNATURE_TOO_LARGE,
    ),
    "changed byte": (
        lambda files: files.update({"model.safetensors": b"\1" + files["model.safetensors"][1:]}),
        ReasonCode.FILE_CHANGED,
    ),
    "changed document": (
        lambda files: files.update({"README.md": b"# Another\n"}),
        ReasonCode.FILE_CHANGED,
    ),
    "missing file": (lambda files: files.pop("config.json"), ReasonCode.COVERAGE_MISSING),
    "added code": (
        lambda files: files.update({"modeling_x.py": b"import os"}),
        ReasonCode.COVERAGE_UNSIGNED,
    ),
    "added pickle": (
        lambda files: files.update({"pytorch_model.bin": b"\x80"}),
        ReasonCode.COVERAGE_UNSIGNED,
    ),
    "added weights in a folder": (
        lambda files: files.update({"onnx/model.onnx": b"x"}),
        ReasonCode.COVERAGE_UNSIGNED,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_spoilt_folder_is_denied(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path, name: str
) -> None:
    spoil, code = ATTACKS[name]
    files = signed(key)
    folder = models.write(tmp_path / "acme" / "good", files)
    assert check(settings, str(folder)).admitted
    spoil(files)
    verdict = check(settings, str(models.write(tmp_path / "acme" / "bad", files)))
    assert codes(verdict) == [code]
    assert not verdict.undecided


def test_a_strangers_signature_is_denied(
    settings: dict[str, Any], stranger: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", signed(stranger))))
    assert codes(verdict) == [ReasonCode.KEY_UNTRUSTED]


def test_another_namespace_is_denied(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    verdict = check(settings, str(models.write(tmp_path / "mallory" / "m", signed(key))))
    assert codes(verdict) == [ReasonCode.PUBLISHER_UNKNOWN]


def test_a_trusted_key_of_another_publisher_is_denied(
    settings: dict[str, Any],
    stranger: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
) -> None:
    """The stranger's key is trusted for their own models, and signs one of Acme's."""
    public = tmp_path / "other.pub"
    public.write_bytes(models.public_pem(stranger))
    settings["trust"]["keys"]["other"] = public
    settings["publishers"].append(
        {
            "name": "Other",
            "models": [f"{tmp_path}/other/*"],
            "signers": [{"method": "key", "key": "other"}],
        }
    )
    own = models.write(tmp_path / "other" / "m", signed(stranger))
    assert check(settings, str(own)).admitted
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", signed(stranger))))
    assert codes(verdict) == [ReasonCode.PUBLISHER_WRONG_SIGNER]


def test_files_that_the_signer_hides_are_denied(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    bundle = models.signature(models.FILES, key, ignore_paths=["extra", "notes"])
    files = {**models.FILES, "model.sig": bundle, "notes/a.md": b"harmless"}
    folder = models.write(tmp_path / "acme" / "m", files)
    assert check(settings, str(folder)).admitted
    models.write(folder, {"extra/modeling.py": b"import os"})
    assert codes(check(settings, str(folder))) == [ReasonCode.COVERAGE_IGNORED]


def test_a_longer_file_than_its_shards_is_denied(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key, shard_size=10_000)
    files["model.safetensors"] += b"tail"
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", files)))
    assert codes(verdict) == [ReasonCode.FILE_SIZE]


def test_report_all_names_every_finding(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    files |= {"config.json": b"[]", "README.md": b"", "x.py": b""}
    folder = str(models.write(tmp_path / "acme" / "m", files))
    assert codes(check(settings, folder)) == [ReasonCode.COVERAGE_UNSIGNED]
    verdict = check(settings, folder, report_all=True)
    assert sorted((reason.code, reason.path) for reason in verdict.reasons) == [
        (ReasonCode.COVERAGE_UNSIGNED, "x.py"),
        (ReasonCode.FILE_CHANGED, "README.md"),
        (ReasonCode.FILE_CHANGED, "config.json"),
    ]


def test_annotate_lets_through_and_says_so(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = str(models.write(tmp_path / "acme" / "m", dict(models.FILES)))
    verdict = check({**settings, "mode": "annotate"}, folder)
    assert not verdict.admitted
    assert verdict.lets_through
    assert codes(verdict) == [ReasonCode.SIGNATURE_MISSING]
    assert not check(settings, folder).lets_through


def test_a_single_file_with_its_own_signature(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    folder = tmp_path / "acme"
    for name in (".", "x.gguf"):
        bundle = models.signature({name: b"weights"}, key)
        models.write(folder, {"x.gguf": b"weights", "x.gguf.sig": bundle, "y.gguf": b"other"})
        assert check(settings, str(folder / "x.gguf")).admitted
    models.write(folder, {"x.gguf": b"WEIGHTS"})
    assert codes(check(settings, str(folder / "x.gguf"))) == [ReasonCode.FILE_CHANGED]
    assert codes(check(settings, str(folder / "y.gguf"))) == [ReasonCode.SIGNATURE_MISSING]


def test_a_signature_elsewhere(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    folder = models.write(tmp_path / "acme" / "m", dict(models.FILES))
    bundle = tmp_path / "signatures" / "m.sig"
    models.write(bundle.parent, {"m.sig": models.signature(models.FILES, key)})
    assert check({**settings, "signature": str(bundle)}, str(folder)).admitted
    for signature in (bundle.parent, tmp_path / "none"):
        verdict = check({**settings, "signature": str(signature)}, str(folder))
        assert codes(verdict) == [ReasonCode.SIGNATURE_MISSING]


def test_the_hub_cache_and_a_local_dir_verify_as_they_are(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    settings["publishers"][0]["models"] = ["/**"]
    hub.create("acme/m", files=signed(key))
    cached = snapshot_download("acme/m", cache_dir=tmp_path / "cache")
    assert Path(cached, "model.safetensors").is_symlink()
    assert check(settings, cached).admitted
    plain = snapshot_download("acme/m", local_dir=tmp_path / "plain")
    assert Path(plain, ".cache", "huggingface").is_dir()
    assert check(settings, plain).admitted
    models.write(Path(plain), {".cache/huggingface/download/x.py": b"import os"})
    assert codes(check(settings, plain)) == [ReasonCode.COVERAGE_UNSIGNED]


def weight_requests(server: HubStandIn | SeaweedFS) -> list[str]:
    """Requests for the content of a file of the model that is not the signature."""
    others = ("model.sig", "oms-gate.release.json")
    return [
        record.path
        for record in server.requests
        if record.method == "GET" and record.file and not record.file.endswith(others)
    ]


def test_the_hub(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    commit = hub.create("acme/m", files=signed(key))
    verdict = check(settings, "hf://acme/m@main")
    assert verdict.admitted, verdict.reasons
    assert verdict.model.revision == commit
    assert verdict.model.url == f"hf://acme/m@{commit}"
    assert verdict.coverage is not None
    assert verdict.coverage.declared == 1  # The weights are in LFS.


@pytest.mark.parametrize("spoil", ["unsigned", "untrusted", "namespace", "declared"])
def test_a_denied_model_costs_no_weight_byte(
    hub: HubStandIn,
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    stranger: ec.EllipticCurvePrivateKey,
    spoil: str,
) -> None:
    files: dict[str, Content] = dict(signed(stranger if spoil == "untrusted" else key))
    if spoil == "unsigned":
        del files["model.sig"]
    if spoil == "declared":
        files["model.safetensors"] = b"others" * 10_000
    name = "mallory/m" if spoil == "namespace" else "acme/m"
    hub.create(name, files=files)
    verdict = check(settings, f"hf://{name}")
    assert codes(verdict) == [
        {
            "unsigned": ReasonCode.SIGNATURE_MISSING,
            "untrusted": ReasonCode.KEY_UNTRUSTED,
            "namespace": ReasonCode.PUBLISHER_UNKNOWN,
            "declared": ReasonCode.FILE_CHANGED,
        }[spoil]
    ]
    assert weight_requests(hub) == []
    hub.clear()
    hub.create("acme/good", files=dict(signed(key)))
    assert check(settings, "hf://acme/good").admitted
    assert len(weight_requests(hub)) >= 3


def test_a_branch_that_moves_while_it_is_checked(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    """What was resolved is what is read; the new head is another model, and unsigned."""
    first = hub.create("acme/m", files=signed(key))

    def move() -> None:
        hub.commit("acme/m", {"model.safetensors": b"other" * 100_000, "model.sig": None})

    hub.inject(faults.CallBefore(move), "*model.sig", times=1)
    verdict = check(settings, "hf://acme/m@main")
    assert verdict.admitted, verdict.reasons
    assert verdict.model.revision == first
    assert codes(check(settings, "hf://acme/m@main")) == [ReasonCode.SIGNATURE_MISSING]


def test_bytes_other_than_declared_are_denied(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    """The listing declares what was signed, and the server delivers something else."""
    hub.create("acme/m", files=signed(key))
    weights = bytes(len(models.FILES["model.safetensors"]))
    hub.replace_under_commit("acme/m", "model.safetensors", weights)
    verdict = check(settings, "hf://acme/m")
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert verdict.reasons[0].path == "model.safetensors"
    assert check({**settings, "assurance": "declared"}, "hf://acme/m").admitted


def test_a_server_that_ignores_ranges_is_denied(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    hub.create("acme/m", files=signed(key, shard_size=100_000))
    assert check(settings, "hf://acme/m").admitted
    hub.inject(faults.IgnoreRange(), "*model.safetensors")
    assert codes(check(settings, "hf://acme/m")) == [ReasonCode.STORE_PROTOCOL]


def test_declared_assurance_reads_no_weights(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    settings["assurance"] = "declared"
    hub.create("acme/m", files=signed(key))
    verdict = check(settings, "hf://acme/m")
    assert verdict.admitted, verdict.reasons
    assert verdict.assurance is Assurance.DECLARED
    assert not [path for path in weight_requests(hub) if "safetensors" in path]
    hub.create("acme/b", files=signed(key, hash_type="blake2b"))
    settings["limits"]["small_file_bytes"] = 1000
    assert codes(check(settings, "hf://acme/b")) == [ReasonCode.ASSURANCE_UNAVAILABLE]


def test_the_policy_may_require_more_than_was_asked(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    settings["assurance"] = "signature"
    hub.create("acme/m", files=signed(key))
    assert check(settings, "hf://acme/m").assurance is Assurance.SIGNATURE
    assert weight_requests(hub) == []
    settings["publishers"][0]["assurance"] = "bytes"
    assert check(settings, "hf://acme/m").assurance is Assurance.BYTES


@pytest.mark.parametrize("versioned", [False, True])
def test_s3(
    s3: SeaweedFS,
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    versioned: bool,
) -> None:
    bucket = s3.create_bucket(versioned=versioned)
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    for path, content in signed(key).items():
        s3.put(bucket, f"acme/m/{path}", content)
    verdict = check(settings, f"s3://{bucket}/acme/m/")
    assert verdict.admitted, verdict.reasons
    assert verdict.coverage is not None
    assert verdict.coverage.declared == 3
    s3.put(bucket, "acme/m/model.safetensors", b"other", checksum=False)
    assert codes(check(settings, f"s3://{bucket}/acme/m/")) == [ReasonCode.FILE_CHANGED]
    s3.clear()
    s3.client().delete_object(Bucket=bucket, Key="acme/m/model.sig")
    assert codes(check(settings, f"s3://{bucket}/acme/m/")) == [ReasonCode.SIGNATURE_MISSING]
    assert weight_requests(s3) == []


def test_an_object_overwritten_while_it_is_read_is_denied(
    s3: SeaweedFS, s3_bucket: str, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    settings["stores"] = {"options": {"s3": s3.storage_options()}}
    for path, content in signed(key, shard_size=100_000).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    assert check(settings, f"s3://{s3_bucket}/acme/m").admitted
    same_size = bytes(len(models.FILES["model.safetensors"]))

    def overwrite() -> None:
        s3.put(s3_bucket, "acme/m/model.safetensors", same_size)

    s3.inject(faults.CallBefore(overwrite), "*model.safetensors", method="GET", times=1)
    assert codes(check(settings, f"s3://{s3_bucket}/acme/m")) == [ReasonCode.STORE_CHANGED]


def test_an_aws_profile_is_enough(
    s3: SeaweedFS,
    s3_bucket: str,
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Endpoint and credentials from the files where users of AWS tools keep them."""
    for path, content in signed(key).items():
        s3.put(s3_bucket, f"acme/m/{path}", content)
    (tmp_path / "config").write_text(
        f"[profile models]\nendpoint_url = {s3.endpoint_url}\nregion = us-east-1\n"
    )
    (tmp_path / "credentials").write_text(
        f"[models]\naws_access_key_id = {s3.key}\naws_secret_access_key = {s3.secret}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "models")
    verdict = check(settings, f"s3://{s3_bucket}/acme/m")
    assert verdict.admitted, verdict.reasons


def test_a_store_that_is_down_is_undecided(settings: dict[str, Any], hub: HubStandIn) -> None:
    hub.create("acme/m", files={})
    hub.stop()
    verdict = check({**settings, "limits": {"listing_seconds": 5}}, "hf://acme/m")
    assert codes(verdict) == [ReasonCode.STORE_UNAVAILABLE]
    assert verdict.undecided


def test_a_signature_that_trickles_is_given_up(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    """Fast enough for the minimum rate, and too slow for the wait."""
    settings["limits"] |= {"listing_seconds": 1, "minimum_bytes_per_second": 0}
    hub.create("acme/m", files=signed(key))
    hub.inject(faults.Slow(10), "*model.sig")
    verdict = check(settings, "hf://acme/m")
    assert codes(verdict) == [ReasonCode.STORE_UNAVAILABLE]
    assert verdict.timings["total"] < 10


def test_a_slow_model_is_denied_at_the_deadline(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    settings["limits"] |= {"total_seconds": 1, "minimum_bytes_per_second": 0}
    hub.create("acme/m", files=signed(key))
    hub.inject(faults.Slow(100), "*model.safetensors")
    verdict = check(settings, "hf://acme/m")
    assert codes(verdict) == [ReasonCode.DEADLINE_EXCEEDED]
    assert verdict.timings["total"] < 10


CHECK_OFTEN = """
import json, os, sys
from oms_gate import Gate
from oms_gate.config import GateConfig

with Gate.from_config(GateConfig.model_validate(json.loads(sys.argv[1]))) as gate:
    counts = []
    for _ in range(15):
        assert gate.check("hf://acme/m").admitted
        counts.append(len(os.listdir("/proc/self/fd")))
print(counts[-1] - counts[1])
"""


def test_checks_leave_no_connections_behind(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    settings["trust"]["keys"]["acme"] = str(settings["trust"]["keys"]["acme"])
    hub.create("acme/m", files=signed(key))
    result = subprocess.run(
        [sys.executable, "-c", CHECK_OFTEN, json.dumps(settings)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 3


def test_an_operators_mistake_is_no_verdict(settings: dict[str, Any]) -> None:
    settings["stores"] = {"options": {"s3": {"no_such_option": 1}}}
    with pytest.raises(ConfigError):
        check(settings, "s3://bucket/acme/m")


def test_a_path_is_a_reference(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    folder = models.write(tmp_path / "acme" / "m", signed(key))
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        assert gate.check(folder).admitted


def test_hostile_names_are_escaped_in_the_verdict(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = {**signed(key), "\u202egpj.py": b""}
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", files)))
    assert codes(verdict) == [ReasonCode.COVERAGE_UNSIGNED]
    assert "\u202e" not in verdict.to_json()
    assert "\\u202egpj.py" in verdict.reasons[0].message


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"x", None), (b"y", ReasonCode.FILE_CHANGED), (None, ReasonCode.COVERAGE_MISSING)],
)
def test_hostile_names_are_escaped_although_they_are_signed(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    content: bytes | None,
    code: ReasonCode | None,
) -> None:
    name = "a\u202egpj.py"
    files = {**models.FILES, name: b"x"}
    found = {**models.FILES, "model.sig": models.signature(files, key)}
    if content is not None:
        found[name] = content
    verdict = check(settings, str(models.write(tmp_path / "acme" / "m", found)))
    assert [(reason.code, reason.path) for reason in verdict.reasons] == (
        [] if code is None else [(code, "a\\u202egpj.py")]
    )
    assert "\u202e" not in verdict.to_json()


def test_a_reference_that_is_none_is_a_usage_error(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        check(settings, "hf://")


class Broken:
    """A policy engine that fails as a defect, or its machine, would make it fail."""

    kind = "wasm"
    revision = "none"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def decide(self, _: Mapping[str, object]) -> Decision:
        raise self.error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a defect"), ReasonCode.INTERNAL_ERROR),
        (OSError(errno.ENOSPC, "No space left on device"), ReasonCode.DISK_FULL),
        (OSError(errno.EIO, "Input/output error"), ReasonCode.SYSTEM_IO),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_defect_of_the_gate_denies(
    key: ec.EllipticCurvePrivateKey, tmp_path: Path, error: Exception, code: ReasonCode
) -> None:
    trust = Trust(
        keys={"acme": KeyRoot.from_pem("acme", models.public_pem(key))},
        certificates={},
        sigstore={},
    )
    folder = models.write(tmp_path / "m", signed(key))
    verdict = Gate(trust=trust, policy=Broken(error)).check(str(folder))  # type: ignore[arg-type]
    assert codes(verdict) == [code]
    assert verdict.undecided
    assert not verdict.lets_through


def test_every_expected_file_ends_with_a_digest(
    key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """A reader that ends without an error and without all bytes is not believed."""
    from oms_gate.limits import Limits
    from oms_gate.oms.manifest import Resource
    from oms_gate.streaming.measure import measure

    content = b"0123456789"
    digest = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    for size, expected in [(10, []), (11, [ReasonCode.STORE_CHANGED])]:
        snapshot = Snapshot(
            Reference.parse(str(tmp_path)),
            {"a": StoredFile("a", size)},
            single=False,
            read_range=lambda *_: iter([content]),
        )
        measured = measure(
            snapshot, {"a": (Resource("a", digest),)}, "sha256", Limits(), deadline=1e12
        )
        assert [finding.code for finding in measured.findings] == expected


def test_one_gate_is_for_all_who_ask(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is of the environment, and who has used it does not close it for the others."""
    monkeypatch.delenv("OMS_GATE_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="OMS_GATE_CONFIG is not set"):
        Gate.from_environment()
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps(settings, default=str))
    monkeypatch.setenv("OMS_GATE_CONFIG", str(config))
    model = models.write(tmp_path / "acme" / "m", signed(key))
    with Gate.from_environment() as gate:
        assert gate.check(model).admitted
        assert gate.config_file == config
    assert Gate.from_environment() is gate
    assert gate.check(model).admitted
