"""What a trusted signer, a third party or a neighbour may do to a model, through the whole gate.

Every signature is valid and every signer trusted, unless that is the point; each attack stands
beside a twin that is admitted.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.oms.trust import KeyRoot, Trust
from oms_gate.policy.decision import Decision
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.oms import forge

MISSING = ReasonCode.COVERAGE_MISSING
UNSIGNED = ReasonCode.COVERAGE_UNSIGNED
IGNORED = ReasonCode.COVERAGE_IGNORED
CHANGED = ReasonCode.FILE_CHANGED

WEIGHTS = "model.safetensors"
FILES = dict(models.FILES)
CONFIG = {"config.json": b"{}"}
OTHER = {path: content + b"other" for path, content in FILES.items()}


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return models.new_key()


@pytest.fixture(scope="module")
def gate(key: ec.EllipticCurvePrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Gate:
    """A gate that trusts one key for every model of this machine."""
    public = tmp_path_factory.mktemp("keys") / "acme.pub"
    public.write_bytes(models.public_pem(key))
    signers = [{"method": "key", "key": "acme"}]
    settings = {
        "trust": {"keys": {"acme": public}, "public_good": False},
        "publishers": [{"name": "Acme", "models": ["/**"], "signers": signers}],
    }
    return Gate.from_config(GateConfig.model_validate(settings))


def findings(verdict: Verdict) -> set[tuple[ReasonCode, str | None]]:
    return {(reason.code, reason.path) for reason in verdict.reasons}


def codes(verdict: Verdict) -> set[ReasonCode]:
    return {reason.code for reason in verdict.reasons}


# -- What is signed is not what is loaded


def test_a_signed_folder_does_not_vouch_for_the_weights_above_it(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    below = {f"original/{path}": content for path, content in FILES.items()}
    bundle = models.signature(below, key)
    model = models.write(tmp_path / "m", {**below, "model.sig": bundle})
    assert gate.check(model).admitted
    models.write(model, {WEIGHTS: FILES[WEIGHTS]})
    assert findings(gate.check(model)) == {(UNSIGNED, WEIGHTS)}


def test_a_signature_made_in_a_folder_does_not_fit_above_it(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Signed in original/, put beside it: the names are there, and mean other files."""
    bundle = models.signature(FILES, key)
    signed_there = {f"original/{path}": content for path, content in FILES.items()}
    model = models.write(tmp_path / "m", {**signed_there, **OTHER, "model.sig": bundle})
    verdict = gate.check(model, report_all=True)
    assert findings(verdict) == {
        *((CHANGED, path) for path in FILES),
        (UNSIGNED, f"original/{WEIGHTS}"),
        (UNSIGNED, "original/config.json"),
    }
    models.write(model, {"original/model.sig": bundle})
    assert gate.check(model / "original").admitted


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        ([], {(UNSIGNED, "config.json"), (UNSIGNED, WEIGHTS)}),
        ([WEIGHTS], {(UNSIGNED, "config.json"), (IGNORED, WEIGHTS)}),
        (["config.json", WEIGHTS], {(IGNORED, "config.json"), (IGNORED, WEIGHTS)}),
    ],
)
def test_a_signer_of_the_readme_alone_has_not_signed_the_model(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    ignored: list[str],
    expected: set[tuple[ReasonCode, str]],
) -> None:
    readme = {"README.md": FILES["README.md"]}
    files = {**FILES, "model.sig": models.signature(readme, key, ignore_paths=ignored)}
    verdict = gate.check(models.write(tmp_path / "m", files))
    assert findings(verdict) == expected
    assert verdict.coverage is not None
    assert {(file.path, file.scope) for file in verdict.coverage.ignored} == {
        ("model.sig", "signature"),
        *((path, "signer") for path in ignored),
    }
    files["model.sig"] = models.signature(FILES, key, ignore_paths=["notes"])
    assert gate.check(models.write(tmp_path / "m", files)).admitted


# -- What a third party adds


@pytest.mark.parametrize(
    ("sound", "attack", "code"),
    [
        ("notes/a.md", "notes/modeling.py", IGNORED),
        ("notes/a.md", "notes/model.safetensors", IGNORED),
        ("notes/a.md", "notes/pytorch_model.bin", IGNORED),
        ("notes/a.md", "notes/deep/er/model.gguf", IGNORED),
        ("notes/a.md", "notes/a.md.zip", IGNORED),
        ("notes/a.md", "notes/config.json", IGNORED),
        ("notes/a.md", "notes.py", UNSIGNED),
        ("notes/a.md", "sub/notes/a.py", UNSIGNED),
        ("notes/a.md", "Notes/a.py", UNSIGNED),
        (".github/FUNDING.md", ".github/modeling.py", IGNORED),
        (".github/workflows/ci.md", ".github/workflows/model.safetensors", IGNORED),
        (".github/a.png", ".github/a.pkl", IGNORED),
        (".git/HEAD", ".git/hooks/x.so", IGNORED),
        (".gitignore", ".gitignore.py", UNSIGNED),
        (".gitattributes", ".gitattributes.bin", UNSIGNED),
        (".github/a.md", "sub/.github/a.py", UNSIGNED),
        ("sub/model.sig", "sub/model.safetensors", UNSIGNED),
        ("model.sig.sig", "model.sig.py", UNSIGNED),
        ("a.md", "modeling_x.py", UNSIGNED),
        ("a.md", "pytorch_model.bin", UNSIGNED),
        ("a.md", "a.pkl", UNSIGNED),
        ("a.md", "__init__.py", UNSIGNED),
    ],
)
def test_files_that_a_third_party_adds(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    sound: str,
    attack: str,
    code: ReasonCode,
) -> None:
    bundle = models.signature(FILES, key, ignore_paths=["notes"])
    for path, expected in ((sound, set()), (attack, {(code, attack)})):
        files = {**FILES, "model.sig": bundle, path: b"x"}
        verdict = gate.check(models.write(tmp_path / path.replace("/", "_"), files))
        assert findings(verdict) == expected
        assert verdict.coverage is not None
        assert path in {
            *(file.path for file in verdict.coverage.unsigned),
            *(file.path for file in verdict.coverage.ignored),
        }


def test_a_signature_in_a_folder_of_the_model_signs_nothing_for_it(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Not even with the trusted key: the model's own signature must list what is loaded."""
    adapter = {"adapter_model.safetensors": b"adapter"}
    bundle = models.signature(adapter, key)
    model = models.write(tmp_path / "m", {**FILES, "model.sig": models.signature(FILES, key)})
    models.write(model / "sub", {**adapter, "model.sig": bundle})
    assert findings(gate.check(model)) == {(UNSIGNED, "sub/adapter_model.safetensors")}
    assert gate.check(model / "sub").admitted
    (model / "sub" / "adapter_model.safetensors").unlink()
    verdict = gate.check(model)
    assert verdict.admitted, verdict.reasons
    assert verdict.coverage is not None
    # It is a file like any other, that nobody signed and no loader reads.
    assert [file.path for file in verdict.coverage.unsigned] == ["sub/model.sig"]


@pytest.mark.parametrize(
    ("signed", "own_key", "expected"),
    [
        (FILES, True, set()),
        (FILES, False, {ReasonCode.KEY_UNTRUSTED}),
        (OTHER, True, {CHANGED}),
        ({"x.safetensors": b"x"}, True, {MISSING, UNSIGNED}),
    ],
    ids=["its own", "a stranger's", "of another revision", "of another model"],
)
def test_a_foreign_signature_in_the_place_of_its_own(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    signed: dict[str, bytes],
    own_key: bool,
    expected: set[ReasonCode],
) -> None:
    bundle = models.signature(signed, key if own_key else models.new_key())
    verdict = gate.check(models.write(tmp_path / "m", {**FILES, "model.sig": bundle}))
    assert codes(verdict) == expected


@pytest.mark.parametrize("swapped", FILES)
def test_files_of_two_signed_releases_are_no_release(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path, swapped: str
) -> None:
    """One file of the one among those of the other: each was signed, and not beside the rest."""
    releases = [{**files, "model.sig": models.signature(files, key)} for files in (FILES, OTHER)]
    for number, release in enumerate(releases):
        assert gate.check(models.write(tmp_path / f"whole-{number}", release)).admitted
        mixed = {**release, swapped: releases[1 - number][swapped]}
        verdict = gate.check(models.write(tmp_path / f"mixed-{number}", mixed))
        assert findings(verdict) == {(CHANGED, swapped)}


# -- Names


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that this process opens by `os.open`, as they are after all links."""
    paths: list[str] = []
    genuine = os.open

    def recording(path: Any, *arguments: Any, **options: Any) -> int:
        paths.append(os.path.realpath(path))
        return genuine(path, *arguments, **options)

    monkeypatch.setattr(os, "open", recording)
    return paths


@pytest.mark.parametrize("ignored", [[], ["notes"]])
@pytest.mark.parametrize("name", ["../outside.bin", "/{outside}", "a/../../outside.bin"])
def test_a_signed_name_that_leads_out_opens_nothing_there(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    opened: list[str],
    name: str,
    ignored: list[str],
) -> None:
    """The file is there, and its bytes are those that were signed."""
    outside = tmp_path / "outside.bin"
    outside.write_bytes(b"outside")
    name = name.replace("/{outside}", str(outside))
    made = forge.statement({"a/outside.bin": b"outside"})
    made["predicate"]["serialization"]["ignore_paths"] = ignored
    model = models.write(tmp_path / "m", {"a/outside.bin": b"outside"})
    models.write(model, {"model.sig": forge.signed(made, key)})
    assert gate.check(model).admitted
    assert str(model / "a" / "outside.bin") in opened
    opened.clear()
    made["predicate"]["resources"][0]["name"] = name
    models.write(model, {"model.sig": forge.signed(made, key)})
    assert codes(gate.check(model)) == {ReasonCode.STATEMENT_UNSAFE_NAME}
    assert all(Path(path).is_relative_to(model) for path in opened if "outside" in path)
    assert str(outside) not in opened


@pytest.mark.parametrize(
    ("signed", "there"),
    [
        ("mod\u00e8le.safetensors", "mode\u0300le.safetensors"),
        ("mode\u0300le.safetensors", "mod\u00e8le.safetensors"),
        ("model.safetensors", "Model.safetensors"),
        ("Sub/model.safetensors", "sub/model.safetensors"),
        ("model.safetensors", "model.safetensors "),
        ("\u212b.gguf", "\u00c5.gguf"),
    ],
)
def test_a_signed_name_is_that_name_alone(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    signed: str,
    there: str,
) -> None:
    both = {**CONFIG, "model.sig": models.signature({**CONFIG, signed: b"x"}, key)}
    good = models.write(tmp_path / "good", {signed: b"x", **both})
    assert gate.check(good).admitted
    bad = models.write(tmp_path / "bad", {there: b"x", **both})
    assert findings(gate.check(bad)) == {(MISSING, signed), (UNSIGNED, there)}


def test_a_linked_folder_is_refused_although_its_files_are_as_signed(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = {"config.json": b"{}", "sub/model.safetensors": b"x"}
    model = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, key)})
    assert gate.check(model).admitted
    for target in (tmp_path / "elsewhere", model / "other"):
        (model / "sub").rename(target)
        (model / "sub").symlink_to(target)
        assert findings(gate.check(model)) == {(ReasonCode.STORE_UNSAFE_FILE, "sub")}
        (model / "sub").unlink()
        target.rename(model / "sub")
    assert gate.check(model).admitted


# -- Shards


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda data: data[:-1], ReasonCode.FILE_SIZE),
        (lambda data: data[:10_000], ReasonCode.FILE_SIZE),
        (lambda data: data + b"\0", ReasonCode.FILE_SIZE),
        (lambda _: b"", ReasonCode.FILE_SIZE),
        (lambda data: b"\1" + data[1:], CHANGED),
        (lambda data: data[:-1] + b"\0", CHANGED),
        (lambda data: data[10_000:20_000] + data[:10_000] + data[20_000:], CHANGED),
    ],
    ids=["a byte less", "one shard", "a byte more", "empty", "first", "last", "swapped"],
)
def test_shards_cover_their_file_to_the_last_byte(
    gate: Gate,
    key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
    code: ReasonCode,
) -> None:
    bundle = models.signature(FILES, key, shard_size=10_000)
    model = models.write(tmp_path / "m", {**FILES, "model.sig": bundle})
    assert gate.check(model).admitted
    models.write(model, {WEIGHTS: spoil(FILES[WEIGHTS])})
    assert findings(gate.check(model)) == {(code, WEIGHTS)}


@pytest.mark.parametrize("name", ["__init__.py", "pkg/__init__.py", "config.json", "x.safetensors"])
def test_an_empty_file_is_in_no_shard_and_thus_unsigned(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path, name: str
) -> None:
    """An empty file turns a folder into a package; whole files can be signed empty."""
    files = {WEIGHTS: b"weights", name: b""}
    whole, shards = (models.signature(files, key, shard_size=size) for size in (None, 4))
    model = models.write(tmp_path / "m", {**files, "model.sig": whole})
    assert gate.check(model).admitted
    models.write(model, {"model.sig": shards})
    assert findings(gate.check(model)) == {(UNSIGNED, name)}
    (model / name).unlink()
    assert gate.check(model).admitted
    models.write(model, {"model.sig": whole})
    assert findings(gate.check(model)) == {(MISSING, name)}


# -- Single files


def test_each_file_of_a_gguf_repository_has_its_own_signature(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    quantized = {"x-q4.gguf": b"four", "x-q8.gguf": b"eight"}
    signatures = {
        f"{name}.sig": models.signature({name: content}, key) for name, content in quantized.items()
    }
    unsigned = {"README.md": b"# x\n", "modeling.py": b"import os"}
    model = models.write(tmp_path / "m", {**quantized, **signatures, **unsigned})
    for name in quantized:
        verdict = gate.check(model / name)
        assert verdict.admitted, verdict.reasons
        assert verdict.coverage is not None
        assert (verdict.coverage.signed, verdict.coverage.unsigned) == (1, ())
    # The folder as a whole has no signature, and nobody vouches for its code.
    assert codes(gate.check(model)) == {ReasonCode.SIGNATURE_MISSING}
    assert codes(gate.check(model / "modeling.py")) == {ReasonCode.SIGNATURE_MISSING}
    one, other = (signatures[f"{name}.sig"] for name in quantized)
    models.write(model, {"x-q4.gguf.sig": other, "x-q8.gguf.sig": one})
    for name in quantized:
        assert codes(gate.check(model / name)) == {MISSING, UNSIGNED}
    by_dot = models.signature({".": quantized["x-q4.gguf"]}, key)
    models.write(model, {"x-q4.gguf.sig": by_dot, "x-q8.gguf.sig": by_dot})
    assert gate.check(model / "x-q4.gguf").admitted
    assert codes(gate.check(model / "x-q8.gguf")) == {CHANGED}


def test_a_folders_signature_does_not_cover_a_file_alone(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """It has the file's digest in it, and lists files that a single file does not bring."""
    one = {"x.gguf": b"weights"}
    two = {**one, "config.json": b"{}"}
    model = models.write(tmp_path / "m", {**two, "x.gguf.sig": models.signature(one, key)})
    assert gate.check(model / "x.gguf").admitted
    models.write(model, {"x.gguf.sig": models.signature(two, key)})
    assert findings(gate.check(model / "x.gguf")) == {(MISSING, "config.json")}


# -- Trust anchors


def test_a_root_in_the_models_folder_is_no_trust_anchor(gate: Gate, tmp_path: Path) -> None:
    """Signed as well, and named as roots usually are; only the configuration makes it one."""
    now = datetime.now(UTC)
    window: dict[str, Any] = {"start": now - timedelta(days=1), "end": now + timedelta(days=1)}
    root = forge.issue("Publisher Root CA", **window)
    lookalike = forge.issue("Publisher Root CA", private_key=forge.key("lookalike"), **window)
    leaf = forge.issue_leaf("Publisher", root, **window)
    names = ("ca.pem", "root.pem", "ca-certificates.crt", "trust/root-cert.pem")
    files = {**FILES, **dict.fromkeys(names, root.pem)}
    payload = forge.encode(forge.statement(files))
    bundle = forge.encode(forge.certificate_bundle(payload, leaf, root))
    model = models.write(tmp_path / "m", {**files, "model.sig": bundle})

    def check(party: forge.Party) -> Verdict:
        models.write(tmp_path, {"anchor.pem": party.pem})
        signer = {"method": "certificate", "root": "anchor", "any_identity": True}
        rule = {"name": "x", "models": ["/**"], "signers": [signer]}
        certificates = {"anchor": tmp_path / "anchor.pem"}
        settings = {"trust": {"certificates": certificates}, "publishers": [rule]}
        with Gate.from_config(GateConfig.model_validate(settings)) as by_certificate:
            return by_certificate.check(model)

    assert check(root).admitted
    assert codes(check(lookalike)) == {ReasonCode.CERTIFICATE_UNTRUSTED}
    assert codes(gate.check(model)) == {ReasonCode.TRUST_NOT_CONFIGURED}


# -- While it is checked


class Meddling:
    """A policy that admits, and meanwhile does something to the model."""

    kind = "wasm"
    revision = "none"

    def __init__(self, meddle: Callable[[], object]) -> None:
        self.meddle = meddle

    def decide(self, _: Mapping[str, object]) -> Decision:
        self.meddle()
        return Decision(allow=True)

    def close(self) -> None:
        pass


@pytest.fixture
def model(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> Path:
    """A signed model of some chunks, last written long ago."""
    files = {WEIGHTS: bytes(5 * 1024 * 1024)}
    folder = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, key)})
    os.utime(folder / WEIGHTS, (1, 1))
    return folder


def check_while(
    meddle: Callable[[], object], key: ec.EllipticCurvePrivateKey, model: Path
) -> Verdict:
    root = KeyRoot.from_pem("acme", models.public_pem(key))
    gate = Gate(trust=Trust(keys={"acme": root}), policy=Meddling(meddle))  # type: ignore[arg-type]
    return gate.check(model)


def overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"overwritten")


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").replace(path)


def link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize("meddle", [overwrite, replace, link, Path.unlink])
def test_a_file_that_changes_before_it_is_hashed(
    key: ec.EllipticCurvePrivateKey, model: Path, meddle: Callable[[Path], object]
) -> None:
    """After listing and policy; even where the bytes stay as they were signed."""
    assert check_while(lambda: None, key, model).admitted
    verdict = check_while(lambda: meddle(model / WEIGHTS), key, model)
    assert findings(verdict) == {(ReasonCode.STORE_CHANGED, WEIGHTS)}


@pytest.mark.parametrize("where", [0, 4 * 1024 * 1024], ids=["behind the reader", "before it"])
def test_a_file_that_is_overwritten_while_it_is_hashed(
    key: ec.EllipticCurvePrivateKey, model: Path, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    """Behind the reader, every hashed byte was as signed, and other bytes stay on disk."""
    meddled: list[int] = []

    class Interrupted(io.FileIO):
        """The real file, and time for others after its first chunk."""

        def readinto(self, buffer: Any, /) -> int:
            count = super().readinto(buffer)
            if meddle and not meddled and os.fstat(self.fileno()).st_size > count:
                meddled.append(count)
                with (model / WEIGHTS).open("r+b") as stream:
                    stream.seek(where)
                    stream.write(b"overwritten")
            return count

    monkeypatch.setattr(os, "fdopen", lambda descriptor, *_, **__: Interrupted(descriptor))
    meddle = False
    assert check_while(lambda: None, key, model).admitted
    meddle = True
    verdict = check_while(lambda: None, key, model)
    assert findings(verdict) == {(ReasonCode.STORE_CHANGED, WEIGHTS)}
    assert 0 < meddled[0] < 4 * 1024 * 1024
