"""What the reference client and this project make of each other's signatures, row by row.

Where the reference is right both agree; where it is not, or differs from the specification, the
row says what it does instead (see `features` and `traps`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from oms_gate.cli.app import app
from oms_gate.oms.digests import HASH_TYPES
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.policy.engine import Engine
from oms_gate.reason_codes import ReasonCode
from tests.corpus import needs_corpus
from tests.interop import keyless
from tests.interop.clients import (
    Method,
    Settings,
    Signer,
    bundle_of,
    gate_for,
    manifest_here,
    refusal_here,
    refusal_there,
    rules,
    sign_here,
    sign_there,
)
from tests.interop.features import (
    FEATURES,
    FOLDER,
    ONE,
    OURS,
    THEIRS,
    YES,
    Feature,
    Outcome,
    Result,
    result_of,
)
from tests.interop.keyless import SERVICES, Instance, Services
from tests.interop.table import DOCUMENT, made, written
from tests.interop.traps import TRAPS, TWINS, Trap, refusals
from tests.models import write
from tests.oms.schemas import assert_schema_valid
from tests.sigstore.timestamps import TimestampAuthority


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with rules() as engine:
        yield engine


def agrees(found: Outcome, expected: Outcome) -> bool:
    return found.cell == expected.cell and expected.why in found.why


def change(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def titled(row: Feature | Trap | Services) -> str:
    return row.title


@pytest.mark.parametrize("feature", FEATURES, ids=titled)
def test_what_one_signs_the_other_verifies_as_the_row_says(
    tmp_path: Path, engine: Engine, feature: Feature
) -> None:
    """And where it verifies, it refuses the same model with one bit changed."""
    result = result_of(feature, tmp_path / "row", engine)
    expected = Result(feature.there, feature.here, feature.own)
    for found, wanted in zip(vars(result).values(), vars(expected).values(), strict=True):
        assert agrees(found, wanted), (result, expected)

    signer = Signer(feature.method, tmp_path / "row" / "signer", ())
    file = next(iter(feature.files), "")
    if result.there == YES:
        change(tmp_path / "row" / OURS / file)
        model = tmp_path / "row" / OURS
        assert refusal_there(model / file if feature.single else model, signer)
    if result.here == YES:
        change(tmp_path / "row" / THEIRS / file)
        model = tmp_path / "row" / THEIRS
        refusal = refusal_here(gate_for(signer, engine), model / file if feature.single else model)
        assert refusal == ReasonCode.FILE_CHANGED


@pytest.mark.parametrize("method", ["key", "certificate"])
@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_every_combination(
    tmp_path: Path, engine: Engine, method: Method, curve: type[ec.EllipticCurve]
) -> None:
    """All that the reference signs is verified here; it verifies whole files in folders only, and
    no blake2b."""
    signatures = product(HASH_TYPES, [None, 100], [False, True])
    for number, (hash_type, shard_size, single) in enumerate(signatures):
        feature = Feature(
            f"{hash_type}, {shard_size}, {single}",
            method=method,
            curve=curve,
            files={"model.bin": bytes(250), "other.bin": b"1"} if not single else ONE,
            single=single,
            settings=Settings(hash_type, shard_size),
        )
        result = result_of(feature, tmp_path / str(number), engine)
        theirs = hash_type != "blake2b" and shard_size is None and not single
        assert (result.there == YES, result.here) == (theirs, YES), feature


@pytest.mark.parametrize("twin", TWINS, ids=titled)
def test_both_accept_what_the_traps_are_one_step_away_from(
    tmp_path: Path, engine: Engine, twin: Trap
) -> None:
    assert refusals(twin, tmp_path / "twin", engine) == (None, None)


@pytest.mark.parametrize("trap", TRAPS, ids=titled)
def test_the_reference_accepts_what_is_refused_here(
    tmp_path: Path, engine: Engine, trap: Trap
) -> None:
    assert refusals(trap, tmp_path / "trap", engine) == (None, trap.here)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with Instance.running(tmp_path_factory.mktemp("sigstore") / "instance") as instance:
        yield instance


@pytest.mark.parametrize("services", SERVICES, ids=titled)
def test_both_verify_what_the_other_signs_through_sigstore(
    tmp_path: Path, instance: Instance, services: Services
) -> None:
    """Unless it is in another name, or a bit of the model was changed."""
    assert keyless.result_of(services, tmp_path, instance) == Result(YES, YES, YES)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    change(ours / "config.json")
    assert "Hash mismatch for 'config.json'" in (instance.refusal_there(ours, services) or "")
    change(theirs / "config.json")
    assert instance.refusal_here(theirs) == ReasonCode.FILE_CHANGED

    instance.sign_here(ours, services, "other@example.com")
    assert "other@example.com" in (instance.refusal_there(ours, services) or "")
    instance.sign_there(theirs, services, "other@example.com")
    assert instance.refusal_here(theirs) == ReasonCode.PUBLISHER_WRONG_SIGNER


def test_the_reference_verifies_shards_of_its_own_only(tmp_path: Path) -> None:
    """Even when it is told how the model was signed, it wants its own name of the algorithm."""
    signer, settings = Signer.make(tmp_path / "signer"), Settings(shard_size=100)
    model = write(tmp_path / "model", FOLDER)
    sign_here(model, signer, settings)
    assert "Hash mismatch" in (refusal_there(model, signer, settings) or "")
    sign_there(model, signer, settings)
    assert refusal_there(model, signer, settings) is None


def test_the_reference_verifies_blake2b_when_told_so(tmp_path: Path) -> None:
    signer, settings = Signer.make(tmp_path / "signer"), Settings("blake2b")
    model = write(tmp_path / "model", FOLDER)
    sign_here(model, signer, settings)
    assert refusal_there(model, signer, settings) is None


def test_the_reference_does_not_mind_a_timestamp(tmp_path: Path) -> None:
    signer = Signer.make(tmp_path / "signer")
    model = write(tmp_path / "model", FOLDER)
    manifest = manifest_here(model, Settings())
    timestamper = TimestampAuthority.make().timestamp
    key = signer.chain[0].private_key
    bundle_of(model).write_bytes(
        sign_with_key(payload_of(manifest, "model"), key, timestamper=timestamper)
    )
    assert b"rfc3161Timestamps" in bundle_of(model).read_bytes()
    assert refusal_there(model, signer) is None


def reference(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The reference's own command line."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_both_command_lines(tmp_path: Path) -> None:
    signer = Signer.make(tmp_path / "signer")
    model = write(tmp_path / "model", FOLDER)
    bundle = bundle_of(model)
    signed = reference(
        "sign", "key", model, "--private_key", signer.file("key"), "--signature", bundle
    )
    assert signed.returncode == 0, signed.stderr
    options = ["verify", str(model), "--public-key", str(signer.file("public"))]
    verified = CliRunner().invoke(app, options)
    assert verified.exit_code == 0, verified.output

    signed_here = CliRunner().invoke(app, ["sign", str(model), "--key", str(signer.file("key"))])
    assert signed_here.exit_code == 0, signed_here.output
    verify = ("verify", "key", model, "--signature", bundle, "--public_key", signer.file("public"))
    assert reference(*verify).returncode == 0
    change(model / "config.json")
    assert "Hash mismatch for 'config.json'" in reference(*verify).stderr
    assert CliRunner().invoke(app, options).exit_code == 1


def test_the_references_command_line_verifies_sha256_only(tmp_path: Path) -> None:
    """Its library reads the hash type from the bundle, its command line does not."""
    signer = Signer.make(tmp_path / "signer")
    model = write(tmp_path / "model", FOLDER)
    sign_there(model, signer, Settings("blake3"))
    assert refusal_there(model, signer) is None
    verified = reference(
        "verify", "key", model,
        "--signature", bundle_of(model),
        "--public_key", signer.file("public"),
    )  # fmt: skip
    assert verified.returncode == 1
    assert "Hash mismatch" in verified.stderr


@needs_corpus
def test_the_schemas_hold_for_what_the_reference_signs_but_not_for_shards(tmp_path: Path) -> None:
    """Its own names of algorithms are not those of the specification."""
    from jsonschema import ValidationError

    signer = Signer.make(tmp_path / "signer")
    model = write(tmp_path / "model", FOLDER)
    sign_there(model, signer, Settings())
    assert_schema_valid(bundle_of(model).read_bytes())
    sign_there(model, signer, Settings(shard_size=100))
    with pytest.raises(ValidationError, match="'sha256-sharded-100' is not one of"):
        assert_schema_valid(bundle_of(model).read_bytes())


def test_the_document_tells_what_happens(tmp_path: Path) -> None:
    document = DOCUMENT.read_text("utf-8")
    assert document == written(document, made(tmp_path)), "run `make interop`"
