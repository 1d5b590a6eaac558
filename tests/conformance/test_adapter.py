"""The adapter verifies: genuine models of others, and what was done to them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.oms.statement import OLD_PREDICATE_TYPE, STATEMENT_TYPE
from tests.conformance.asking import MISUSED, REFUSED, sign, trusting, verify
from tests.corpus import CORPUS, corpus_files, needs_corpus
from tests.interop.clients import NOW, Signer
from tests.models import write
from tests.oms import forge
from tests.sigstore.authority import IDENTITY, ISSUER
from tests.sigstore.instance import Sigstore

KEYS = "oms-reference/keys/certificate"
IBM = ("--identity", "stefanb@us.ibm.com", "--identity-provider")
BY_KEY = ("--method", "key", "--public-key", CORPUS / KEYS / "signing-key-pub.pem")
BY_CERTIFICATE = ("--method", "certificate", "--cert-chain", CORPUS / KEYS / "ca-cert.pem")
BY_SIGSTORE = ("--method", "sigstore", *IBM, "https://sigstore.verify.ibm.com/oauth2")
BY_NVIDIA = (
    "--method",
    "certificate",
    "--cert-chain",
    CORPUS / "nvidia-skills/nv-agent-root-cert.pem",
)
REFERENCE = {"elliptic-key": BY_KEY, "certificate": BY_CERTIFICATE, "sigstore": BY_SIGSTORE}


def copied(folder: str, to: Path) -> Path:
    """A copy of a folder of the corpus that may be written to."""
    model = to / Path(folder).name
    model.mkdir()
    for source in sorted((CORPUS / folder).rglob("*")):
        target = model / source.relative_to(CORPUS / folder)
        if source.is_dir():
            target.mkdir()
        else:
            target.write_bytes(source.read_bytes())
    return model


@needs_corpus
@pytest.mark.parametrize("method", REFERENCE)
@pytest.mark.parametrize("release", ["v1.0.1", "v1.1.0"])
def test_models_of_the_reference_implementation(method: str, release: str) -> None:
    """Releases before 1.1 do not record what the signer ignored, so the verifier must say it."""
    model = CORPUS / "oms-reference" / f"{release}-{method}"
    bundle, options = model / "model.sig", REFERENCE[method]
    ignoring = ("--ignore-paths", model / "ignore-me")
    assert verify(model, bundle, *options, *ignoring) == 0
    assert verify(model, bundle, *options, "--ignore-unsigned-files") == 0
    assert verify(model, bundle, *options) == (REFUSED if release == "v1.0.1" else 0)
    others = [other for other in REFERENCE.values() if other is not options]
    for other in others:
        assert verify(model, bundle, *other, *ignoring) == REFUSED


@needs_corpus
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("aiq-deploy", 0),
        ("accelerated-computing-cudf", 0),
        ("rag-blueprint", 0),
        ("amc-run-rtsp-calibration", REFUSED),
        ("earth2studio-create-diagnostic", REFUSED),
    ],
)
def test_skills_of_nvidia(name: str, status: int) -> None:
    model = CORPUS / "nvidia-skills" / name
    assert verify(model, model / "skill.oms.sig", *BY_NVIDIA) == status
    assert verify(model, model / "skill.oms.sig", *BY_CERTIFICATE) == REFUSED


# The specification's vectors are about the files of these models.
VECTORS = "oms-spec/test-vectors/v1.0"
VALID_VECTORS = {"certificate": "elliptic-key", "key": "elliptic-key", "sigstore": "sigstore"}


@needs_corpus
@pytest.mark.parametrize("vector", VALID_VECTORS)
def test_valid_vectors(vector: str) -> None:
    model = CORPUS / "oms-reference" / f"v1.1.0-{VALID_VECTORS[vector]}"
    bundle = CORPUS / VECTORS / "valid" / f"{vector}.bundle.json"
    options = REFERENCE[vector.replace("key", "elliptic-key")]
    # The model has a bundle of its own, which this one leaves unsigned unless it says so.
    own = ("--ignore-paths", model / "model.sig")
    assert verify(model, bundle, *options, *own) == 0
    assert verify(model, bundle, *options) == (0 if vector == "sigstore" else REFUSED)


@needs_corpus
@pytest.mark.parametrize("vector", corpus_files(f"{VECTORS}/invalid*/*.json"))
def test_invalid_vectors(vector: str) -> None:
    for name, options in REFERENCE.items():
        model = CORPUS / "oms-reference" / f"v1.1.0-{name}"
        assert verify(model, CORPUS / vector, *options, "--ignore-unsigned-files") == REFUSED


@dataclass(frozen=True)
class Attack:
    """What is done to a genuine model.

    tolerable: whether it passes for a verifier who ignores unsigned files.
    """

    title: str
    change: Callable[[Path], object]
    status: int = REFUSED
    tolerable: bool = False


def link(model: Path) -> None:
    (model / "link").symlink_to("signme-1")


def linked_in_place(model: Path) -> None:
    (model / "signme-1").rename(model.parent / "elsewhere")
    (model / "signme-1").symlink_to(model.parent / "elsewhere")


def with_bundle(change: Callable[[forge.Json], object]) -> Callable[[Path], object]:
    def rewrite(model: Path) -> None:
        made = json.loads((model / "model.sig").read_bytes())
        change(made)
        (model / "model.sig").write_bytes(forge.encode(made))

    return rewrite


def folder_for_a_file(model: Path) -> None:
    (model / "signme-2").unlink()
    (model / "signme-2").mkdir()


def nothing(_: Path) -> None:
    pass


def more(path: str) -> Callable[[Path], object]:
    return lambda model: write(model, {path: b""})


def other(path: str, content: bytes) -> Callable[[Path], object]:
    return lambda model: (model / path).write_bytes(content)


ATTACKS = (
    Attack("nothing", nothing, status=0),
    Attack("a changed file", other("signme-1", b"signme-3\n")),
    Attack("a longer file", other("signme-1", b"signme-1\n\n")),
    Attack("a missing file", lambda model: (model / "signme-2").unlink()),
    Attack("a folder for a file", folder_for_a_file),
    Attack("an empty folder more", lambda model: (model / "folder").mkdir(), status=0),
    Attack("a link more", link),
    Attack("a link for a file", linked_in_place),
    Attack("an unsigned document", more("README.md"), tolerable=True),
    Attack("an unsigned image", more("sub/a.png"), tolerable=True),
    Attack("an unsigned weight", more("a.bin"), tolerable=True),
    Attack("another signature", more("other.sig"), tolerable=True),
    Attack("a download client's", more(".cache/huggingface/x.metadata"), tolerable=True),
    Attack("a name that is escaped", more("a\u202eb"), tolerable=True),
    Attack("a file of git", more(".git/HEAD"), status=0),
    Attack("a workflow", more(".github/workflows/x.yml"), status=0),
    Attack("a file of git elsewhere", more("sub/.git/HEAD"), tolerable=True),
    Attack("an ignored file's namesake elsewhere", more("sub/ignore-me"), tolerable=True),
    Attack("no bundle", lambda model: (model / "model.sig").unlink()),
    Attack("an empty bundle", other("model.sig", b"")),
    Attack("half a bundle", lambda model: os.truncate(model / "model.sig", 800)),
    Attack("no signature", with_bundle(lambda made: made["dsseEnvelope"].update(signatures=[]))),
    Attack("another media type", with_bundle(lambda made: made.update(mediaType="text/plain"))),
    Attack("no model", lambda model: shutil.rmtree(model)),
)


@needs_corpus
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.title)
def test_attacks_on_a_genuine_model(tmp_path: Path, attack: Attack) -> None:
    model = copied("oms-reference/v1.1.0-elliptic-key", tmp_path)
    attack.change(model)
    bundle = model / "model.sig"
    assert verify(model, bundle, *BY_KEY) == attack.status
    assert verify(model, bundle, *BY_KEY, "--ignore-unsigned") == MISUSED
    lenient = verify(model, bundle, *BY_KEY, "--ignore-unsigned-files")
    assert lenient == (0 if attack.tolerable else attack.status)


@needs_corpus
@pytest.mark.parametrize(
    "where", ["extra.bin", "sub/extra.bin", "sub/deep/extra.bin", "sub/e\u200bx.bin"]
)
def test_the_verifier_ignores_exact_paths_and_what_is_below(tmp_path: Path, where: str) -> None:
    model = copied("oms-reference/v1.1.0-elliptic-key", tmp_path)
    write(model, {where: b"x"})
    bundle = model / "model.sig"
    for ignored in (model / where, (model / where).parent, model):
        status = 0 if ignored != model / "sub" or where.startswith("sub/") else REFUSED
        assert verify(model, bundle, *BY_KEY, "--ignore-paths", ignored) == status
    for other in (model / f"{where[:-1]}", model.parent / where, model / "su", Path("/")):
        assert verify(model, bundle, *BY_KEY, "--ignore-paths", other) == REFUSED
    both = ("--ignore-paths", model / "absent", model / where)
    assert verify(model, bundle, *BY_KEY, *both) == 0
    assert (
        verify(model, bundle, "--ignore-paths", model / where, *BY_KEY, "--ignore-paths", "/x") == 0
    )


@needs_corpus
def test_what_is_signed_is_verified_even_where_it_is_ignored(tmp_path: Path) -> None:
    model = copied("oms-reference/v1.1.0-elliptic-key", tmp_path)
    ignoring = (*BY_KEY, "--ignore-paths", model / "signme-1", model)
    assert verify(model, model / "model.sig", *ignoring) == 0
    (model / "signme-1").write_bytes(b"signme-3\n")
    assert verify(model, model / "model.sig", *ignoring) == REFUSED
    (model / "signme-1").unlink()
    assert verify(model, model / "model.sig", *ignoring) == REFUSED


@needs_corpus
def test_sigstore_wants_exactly_this_identity_of_this_issuer() -> None:
    model = CORPUS / "oms-reference/v1.1.0-sigstore"
    issuer = str(BY_SIGSTORE[-1])

    def asked(identity: str, provider: str, *more: str) -> int:
        who = ("--identity", identity, "--identity-provider", provider)
        return verify(model, model / "model.sig", "--method", "sigstore", *who, *more)

    assert asked("stefanb@us.ibm.com", issuer) == 0
    for identity in ("stefanb@us.ibm.co", "Stefanb@us.ibm.com", ".*", "", "stefanb@us.ibm.com "):
        assert asked(identity, issuer) == REFUSED, identity
    for provider in (f"{issuer}/", issuer[:-1], "https://accounts.google.com", ""):
        assert asked("stefanb@us.ibm.com", provider) == REFUSED, provider
    assert asked("stefanb@us.ibm.com", issuer, "--use-staging") == REFUSED
    for missing in (BY_SIGSTORE[:4], BY_SIGSTORE[:2] + BY_SIGSTORE[4:]):
        assert verify(model, model / "model.sig", *missing) == MISUSED


def test_a_private_sigstore_by_its_trusted_root(tmp_path: Path) -> None:
    sigstore, stranger = Sigstore(), Sigstore()
    model = write(tmp_path / "model", forge.FILES)
    bundle = tmp_path / "bundle.sig"
    bundle.write_bytes(forge.encode(sigstore.sign(forge.encode(forge.statement()))))
    who = ("--method", "sigstore", "--identity", IDENTITY, "--identity-provider", ISSUER)
    for name, one in (("its", sigstore), ("other", stranger)):
        (tmp_path / name).write_text(json.dumps(one.trusted_root()))
    assert verify(model, bundle, *who, "--trusted-root", tmp_path / "its") == 0
    assert verify(model, bundle, *who, "--trusted-root", tmp_path / "other") == REFUSED
    assert verify(model, bundle, *who) == REFUSED
    assert verify(model, bundle, *who, "--trusted-root", bundle) == MISUSED
    wrong = (*who[:2], "--identity", "x@example.com", *who[4:])
    assert verify(model, bundle, *wrong, "--trusted-root", tmp_path / "its") == REFUSED


# Certificates.


@pytest.mark.parametrize(
    ("differences", "status"),
    [
        ({}, 0),
        ({"end": NOW - timedelta(hours=1)}, REFUSED),
        ({"start": NOW + timedelta(hours=1)}, REFUSED),
        ({"intermediate": {"end": NOW - timedelta(hours=1)}}, REFUSED),
        ({"more": [forge.TLS_SERVER]}, REFUSED),
    ],
    ids=["sound", "expired", "not yet valid", "expired intermediate", "for a web server"],
)
def test_certificates(tmp_path: Path, differences: Mapping[str, Any], status: int) -> None:
    """Signing refuses what verifying does, so the bundle is forged."""
    signer = Signer.make(tmp_path / "signer", "certificate", **differences)
    model, bundle = write(tmp_path / "model", forge.FILES), tmp_path / "bundle.sig"
    bundle.write_bytes(forge.certified(*signer.chain[:2]))
    assert verify(model, bundle, *trusting(signer)) == status
    assert sign(model, tmp_path / "new.sig", signer) == (MISUSED if status else 0)
    assert (tmp_path / "new.sig").exists() is (status == 0)


def test_anchors_are_those_of_the_command_line(tmp_path: Path) -> None:
    signer = Signer.make(tmp_path / "signer", "certificate", sent=3)
    stranger = Signer.make(tmp_path / "stranger", "certificate", root=forge.issue("Other"))
    model, bundle = write(tmp_path / "model", forge.FILES), tmp_path / "bundle.sig"
    bundle.write_bytes(forge.certified(*signer.chain))
    root, other = signer.file("root"), stranger.file("root")
    for anchors, status in (
        ([root], 0),
        ([other], REFUSED),
        ([other, "--cert-chain", root], 0),
        ([other, root], 0),
        ([signer.file("intermediate")], 0),
        ([signer.file("key")], MISUSED),
    ):
        asked = ("--method", "certificate", "--cert-chain", *anchors)
        assert verify(model, bundle, *asked) == status, anchors
    assert verify(model, bundle, "--method", "certificate") == MISUSED
    assert verify(model, bundle, *trusting(signer), "--identity", "somebody") == MISUSED


def old_bundle(signer: Signer, material: forge.Json) -> forge.Json:
    files = [
        {
            "name": path,
            "digest": {"sha256": forge.sha256(content)},
            "annotations": {"actual_hash_algorithm": "file-sha256"},
        }
        for path, content in forge.FILES.items()
    ]
    older = {"subject": files, "predicateType": OLD_PREDICATE_TYPE, "predicate": {"unused": ""}}
    payload = forge.encode({"_type": STATEMENT_TYPE, **older})
    key = signer.chain[0].private_key
    signature = key.sign(forge.old_signing_bytes(payload), ec.ECDSA(hashes.SHA256()))
    return forge.bundle(payload, signature, material)


def test_the_format_before_v1_is_accepted_on_request_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer.make(tmp_path / "signer", "certificate")
    by_key = Signer("key", signer.folder, signer.chain)
    now = forge.certificate_bundle(b"{}", *signer.chain)["verificationMaterial"]
    key = forge.key_bundle(b"{}", signer.chain[0].private_key)["verificationMaterial"]
    model = write(tmp_path / "model", forge.FILES)
    (tmp_path / "old").write_bytes(forge.encode(old_bundle(signer, now)))
    (tmp_path / "old by key").write_bytes(forge.encode(old_bundle(signer, key)))
    for allowed, status in (("", REFUSED), ("0", REFUSED), ("1", 0)):
        monkeypatch.setenv("OMS_GATE_ADAPTER_ALLOW_V02", allowed)
        assert verify(model, tmp_path / "old", *trusting(signer)) == status
        assert verify(model, tmp_path / "old by key", *trusting(by_key)) == REFUSED
    (model / "config.json").write_bytes(b"[]")
    assert verify(model, tmp_path / "old", *trusting(signer)) == REFUSED
