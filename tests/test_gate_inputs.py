"""What the gate takes in and hands on: the signature's place, limits, what policy is told.

Each attack is signed as it should be, and beside a twin that is admitted.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fsspec.implementations.memory import MemoryFileSystem

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.policy.decision import Decision
from oms_gate.reason_codes import ReasonCode
from oms_gate.streaming.hashing import Progress
from oms_gate.verdict import Assurance, Reason
from tests import models
from tests.peers import faults
from tests.peers.content import Repeated
from tests.peers.hub import HubStandIn


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return models.new_key()


@pytest.fixture
def settings(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> dict[str, Any]:
    """A configuration that trusts one key for every model."""
    public = tmp_path / "acme.pub"
    public.write_bytes(models.public_pem(key))
    everywhere = ["/**", "hf://**", "sizeless://**"]
    signers = [{"method": "key", "key": "acme"}]
    return {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [{"name": "Acme", "models": everywhere, "signers": signers}],
    }


def check(settings: Mapping[str, Any], reference: str | Path, **options: Any) -> Verdict:
    with Gate.from_config(GateConfig.model_validate(settings)) as gate:
        return gate.check(str(reference), **options)


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


def signed(key: ec.EllipticCurvePrivateKey, **options: Any) -> dict[str, bytes]:
    return {**models.FILES, "model.sig": models.signature(models.FILES, key, **options)}


def test_a_signature_on_another_store(
    hub: HubStandIn, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    folder = models.write(tmp_path / "m", dict(models.FILES))
    hub.create("acme/signatures", files={"m.sig": models.signature(models.FILES, key)})
    settings["signature"] = "hf://acme/signatures/m.sig"
    verdict = check(settings, folder)
    assert verdict.admitted, verdict.reasons
    assert verdict.signature is not None
    assert verdict.signature.location == "hf://acme/signatures/m.sig"
    hub.inject(faults.Status(403), "/api/*")
    verdict = check(settings, folder)
    assert codes(verdict) == [ReasonCode.STORE_FORBIDDEN]
    assert verdict.undecided


def test_a_signature_at_home(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, home: Path, tmp_path: Path
) -> None:
    folder = models.write(tmp_path / "m", dict(models.FILES))
    models.write(home / "signatures", {"m.sig": models.signature(models.FILES, key)})
    assert check({**settings, "signature": "~/signatures/m.sig"}, folder).admitted
    verdict = check({**settings, "signature": "~/signatures/none"}, folder)
    assert codes(verdict) == [ReasonCode.SIGNATURE_MISSING]


def test_a_signature_of_another_name(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = signed(key)
    folder = models.write(tmp_path / "m", {**models.FILES, "acme.sig": files["model.sig"]})
    assert check({**settings, "signature": "acme.sig"}, folder).admitted
    assert codes(check(settings, folder)) == [ReasonCode.SIGNATURE_MISSING]


def test_only_the_bundle_itself_is_the_signature(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Another file of such a name is as unsigned as any other."""
    tag = ".cache/huggingface/CACHEDIR.TAG"
    folder = models.write(tmp_path / "m", {**signed(key), "other.sig": b"{}", tag: b"a tag"})
    coverage = check(settings, folder).coverage
    assert coverage is not None
    assert [file.path for file in coverage.unsigned] == ["other.sig"]
    assert {file.path for file in coverage.ignored} == {"model.sig", tag}


def test_a_huge_signature_is_not_read(hub: HubStandIn, settings: dict[str, Any]) -> None:
    hub.create("acme/m", files={**models.FILES, "model.sig": Repeated(b" ", 20 * 1024 * 1024)})
    assert codes(check(settings, "hf://acme/m")) == [ReasonCode.SIGNATURE_TOO_LARGE]
    assert not [record for record in hub.requests if record.file == "model.sig"]


def test_the_name_of_a_single_file_is_not_that_of_a_folder(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """A signature over one file does not cover a folder with that file in it."""
    bundle = models.signature({".": b"weights"}, key)
    files = {"a.gguf": b"weights", "a.gguf.sig": bundle, "model.sig": bundle}
    folder = models.write(tmp_path / "m", files)
    assert check(settings, folder / "a.gguf").admitted
    (folder / "a.gguf.sig").unlink()
    assert set(codes(check(settings, folder))) == {
        ReasonCode.COVERAGE_MISSING,
        ReasonCode.COVERAGE_UNSIGNED,
    }


def test_what_is_signed_although_it_need_not_be_is_measured(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """The format leaves .gitattributes out, unless the signer lists it."""
    files = {**models.FILES, ".gitattributes": b"* text\n"}
    folder = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, key)})
    verdict = check(settings, folder)
    assert verdict.admitted, verdict.reasons
    assert verdict.coverage is not None
    assert (verdict.coverage.signed, verdict.coverage.measured) == (4, 4)
    models.write(folder, {".gitattributes": b"* eol=lf\n"})
    assert codes(check(settings, folder)) == [ReasonCode.FILE_CHANGED]


class Sizeless(MemoryFileSystem):  # type: ignore[misc]
    """A file system that does not say how large its files are."""

    protocol = "sizeless"
    store: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("sizeless://"))
        return stripped

    def find(self, path: str, **options: Any) -> Any:
        found = super().find(path, **options)
        return {name: {**entry, "size": None} for name, entry in found.items()}

    def info(self, path: str, **options: Any) -> Any:
        return {**super().info(path, **options), "size": None}


@pytest.fixture
def sizeless() -> Iterator[MemoryFileSystem]:
    fsspec.register_implementation("sizeless", Sizeless, clobber=True)
    yield Sizeless(skip_instance_cache=True)
    Sizeless.store.clear()


def test_a_file_of_unknown_size_is_not_believed_to_be_small(
    sizeless: MemoryFileSystem, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    sizeless.pipe({f"/m/{path}": content for path, content in signed(key).items()})
    verdict = check(settings, "sizeless://m")
    assert verdict.admitted, verdict.reasons
    verdict = check({**settings, "assurance": "declared"}, "sizeless://m")
    assert codes(verdict) == [ReasonCode.ASSURANCE_UNAVAILABLE]


def test_a_file_of_unknown_size_may_be_longer_than_its_shards(
    sizeless: MemoryFileSystem, settings: dict[str, Any], key: ec.EllipticCurvePrivateKey
) -> None:
    """Every signed byte would be as it was signed, and others would follow."""
    files = signed(key, shard_size=10_000)
    files["model.safetensors"] += b"tail"
    sizeless.pipe({f"/m/{path}": content for path, content in files.items()})
    assert set(codes(check(settings, "sizeless://m"))) == {ReasonCode.FILE_SIZE}


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"resources": 2}, ReasonCode.STATEMENT_MALFORMED),
        ({"bundle_bytes": 1024}, ReasonCode.SIGNATURE_TOO_LARGE),
        ({"files": 3}, ReasonCode.STORE_TOO_MANY_FILES),
    ],
)
def test_the_limits_are_those_of_the_configuration(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    limits: dict[str, int],
    code: ReasonCode,
) -> None:
    folder = models.write(tmp_path / "m", signed(key))
    assert check(settings, folder).admitted
    assert codes(check({**settings, "limits": limits}, folder)) == [code]


def test_progress_is_told(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    told: list[Progress] = []
    folder = models.write(tmp_path / "m", signed(key))
    assert check(settings, folder, on_progress=told.append).admitted
    assert {each.files_total for each in told} == {3}
    assert {each.bytes_total for each in told} == {sum(map(len, models.FILES.values()))}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a defect"), ReasonCode.INTERNAL_ERROR),
        (OSError(errno.EIO, "Input/output error"), ReasonCode.SYSTEM_IO),
    ],
)
def test_a_defect_in_the_last_step_denies(
    settings: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    error: Exception,
    code: ReasonCode,
) -> None:
    """Everything before it was good, and nothing was found to be bad."""

    def fail(_: Progress) -> None:
        raise error

    folder = models.write(tmp_path / "m", signed(key))
    assert check(settings, folder).admitted
    verdict = check(settings, folder, on_progress=fail)
    assert codes(verdict) == [code]
    assert verdict.undecided


def test_a_denied_measurement_proves_no_more_than_the_signature(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    folder = models.write(tmp_path / "m", signed(key))
    assert check(settings, folder).assurance is Assurance.BYTES
    models.write(folder, {"config.json": b"{}"})
    for report_all in (False, True):
        verdict = check(settings, folder, report_all=report_all)
        assert codes(verdict) == [ReasonCode.FILE_CHANGED]
        assert verdict.assurance is Assurance.SIGNATURE


class Recording:
    """A policy engine that keeps what it was asked, and answers as it is told."""

    kind = "wasm"
    revision = "none"

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked: list[Mapping[str, Any]] = []

    def decide(self, document: Mapping[str, Any]) -> Decision:
        self.asked.append(document)
        return self.decision

    def close(self) -> None:
        pass


def test_the_policy_is_told_everything_and_heard(
    hub: HubStandIn, key: ec.EllipticCurvePrivateKey
) -> None:
    bundle = models.signature(models.FILES, key, ignore_paths=["notes"])
    files = {**models.FILES, "model.sig": bundle, "notes/a.md": b"x", "x.py": b"import os"}
    del files["config.json"]
    commit = hub.create("acme/m", files=files)
    pem = models.public_pem(key)
    trust = Trust(keys={"acme": KeyRoot.from_pem("acme", pem)}, certificates={}, sigstore={})
    warning = Reason(code=ReasonCode.POLICY_DENIED, message="beware")
    policy = Recording(Decision(allow=True, warn=(warning,), annotations={"a": "b"}))
    gate = Gate(trust=trust, policy=policy, assurance=Assurance.SIGNATURE)  # type: ignore[arg-type]
    verdict = gate.check("hf://acme/m@main")
    assert verdict.warnings == (warning,)
    assert verdict.annotations == {"a": "b"}
    (document,) = policy.asked
    assert document["model"]["revision"] == commit
    coverage = document["coverage"]
    assert coverage["missing"] == ["config.json"]
    assert [file["path"] for file in coverage["unsigned"]] == ["x.py"]
    assert {file["path"] for file in coverage["ignored"]} == {"model.sig", "notes/a.md"}
    assert coverage["signed"]


@pytest.mark.parametrize("allow_symlinks", [False, True])
def test_the_policy_is_told_how_the_signer_signed(
    key: ec.EllipticCurvePrivateKey, tmp_path: Path, allow_symlinks: bool
) -> None:
    manifest = Manifest(
        serialization="files",
        hash_type="sha256",
        shard_size=None,
        allow_symlinks=allow_symlinks,
        ignore_paths=(),
        resources=(Resource("a", hashlib.sha256(b"weights").hexdigest()),),
    )
    files = {"a": b"weights", "model.sig": sign_with_key(payload_of(manifest, "model"), key)}
    folder = models.write(tmp_path / "m", files)
    pem = models.public_pem(key)
    trust = Trust(keys={"acme": KeyRoot.from_pem("acme", pem)}, certificates={}, sigstore={})
    policy = Recording(Decision(allow=True))
    gate = Gate(trust=trust, policy=policy)  # type: ignore[arg-type]
    assert gate.check(str(folder)).admitted
    assert policy.asked[0]["signature"]["allow_symlinks"] is allow_symlinks
    assert policy.asked[0]["signature"]["sorted"] is True
