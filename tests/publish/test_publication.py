"""What may be published: judged as the revision that is to be, in its registry's name."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Assurance, Gate, ReasonCode, UsageError, Verdict
from oms_gate.errors import SignatureError, StoreError
from oms_gate.limits import Limits
from oms_gate.oms.pinned import read_pinned
from oms_gate.publish.publication import Publication, judge, refusal
from oms_gate.publish.registry import open_registry
from oms_gate.publish.release import Release, Upload, release_folder
from oms_gate.publish.rollback import statement_digest
from oms_gate.publish.signature import sign
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner
from tests import models
from tests.delivery.pulling import codes, gate_of, signed
from tests.peers import faults
from tests.peers.hub import HubStandIn
from tests.publish.shelf import Shelf
from tests.sigstore.instance import stamp
from tests.sigstore.timestamps import TimestampAuthority

TARGET = "hf://acme/model"


def shelf(there: Path | None = None, target: str = TARGET, **more: Any) -> Shelf:
    return Shelf(Reference.parse(target), there, **more)


def published(
    gate: Gate, folder: Path, registry: Shelf | None = None, upload: Any = None, **options: Any
) -> Release:
    return release_folder(gate, registry or shelf(), upload or Upload(folder), **options)


def judged(gate: Gate, folder: Path, registry: Shelf | None = None, **patterns: Any) -> Verdict:
    """The verdict alone; nothing that is denied was published."""
    registry = registry or shelf()
    came = published(gate, folder, registry, Upload(folder, **patterns))
    assert (came.published is not None) == came.verdict.lets_through == bool(registry.got)
    return came.verdict


def stated(folder: Path) -> str:
    """The digest of what a model's signature states."""
    digest = statement_digest((folder / "model.sig").read_bytes(), Limits())
    assert digest is not None
    return digest


def reason(verdict: Verdict, code: ReasonCode) -> str:
    """The sentence of a code that is there once."""
    (found,) = [reason.message for reason in verdict.reasons if reason.code is code]
    return found


def test_a_signed_model_goes_out_as_it_is(gate: Gate, folder: Path) -> None:
    registry = shelf()
    came = published(gate, folder, registry)
    assert came.verdict.admitted, came.verdict
    assert came.verdict.model.url == TARGET
    assert came.verdict.assurance is Assurance.BYTES
    assert registry.got == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert came.published is not None


def test_only_to_say_whether_it_may(gate: Gate, folder: Path) -> None:
    registry = shelf()
    came = published(gate, folder, registry, publish=False)
    assert came.verdict.admitted
    assert came.published is None
    assert not registry.got


def test_a_signature_that_went_stale(gate: Gate, folder: Path) -> None:
    """As on the Hub: a new README, and nobody signed again."""
    (folder / "README.md").write_bytes(b"# A modal\n")
    verdict = judged(gate, folder)
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert "README.md was changed after signing" in reason(verdict, ReasonCode.FILE_CHANGED)


def test_a_file_that_is_missing(gate: Gate, folder: Path) -> None:
    (folder / "config.json").unlink()
    verdict = judged(gate, folder)
    assert codes(verdict) == [ReasonCode.COVERAGE_MISSING]


def test_a_file_that_came_after_signing(gate: Gate, folder: Path) -> None:
    (folder / "modeling_acme.py").write_text("import os\n")
    assert codes(judged(gate, folder)) == [ReasonCode.COVERAGE_UNSIGNED]


def test_no_signature(gate: Gate, folder: Path) -> None:
    (folder / "model.sig").unlink()
    assert codes(judged(gate, folder)) == [ReasonCode.SIGNATURE_MISSING]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("hf://other/model", ReasonCode.PUBLISHER_UNKNOWN),
        ("s3://bucket/other/model", ReasonCode.PUBLISHER_UNKNOWN),
        ("s3://bucket/acme/model", None),
    ],
)
def test_policy_goes_by_where_it_is_to_be(
    gate: Gate, folder: Path, target: str, code: ReasonCode | None
) -> None:
    verdict = judged(gate, folder, shelf(target=target))
    assert codes(verdict) == ([] if code is None else [code])


def test_somebody_elses_signature(gate: Gate, folder: Path) -> None:
    """It is valid, and their key is trusted for nothing here."""
    stranger = models.new_key()
    (folder / "model.sig").write_bytes(models.signature(models.FILES, stranger))
    assert codes(judged(gate, folder)) == [ReasonCode.KEY_UNTRUSTED]


def test_policy_sees_that_it_is_about_publishing(
    settings: dict[str, Any],
    folder: Path,
    tmp_path: Path,
    opa: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rule of the operator's own for publications alone."""
    monkeypatch.setenv("OMS_GATE_OPA", str(opa))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.rego").write_text(
        "package oms_gate.admission\n"
        'decision := {"allow": false, "deny": [{"code": "frozen", "msg": "no releases today"}],\n'
        '"warn": [], "annotations": {}} if input.context.operation == "publish"\n'
        'else := {"allow": true, "deny": [], "warn": [], "annotations": {}}\n'
    )
    frozen = gate_of(settings | {"policy": {"rego": str(tmp_path / "rules")}})
    verdict = judged(frozen, folder)
    assert codes(verdict) == [ReasonCode.POLICY_DENIED]
    assert frozen.check(folder).admitted


def test_what_a_gitignore_leaves_out(gate: Gate, folder: Path) -> None:
    """The Hub drops it without a word, so that the revision would lack a signed file."""
    (folder / ".gitignore").write_text("*.safetensors\n")
    verdict = judged(gate, folder)
    assert codes(verdict) == [ReasonCode.PUBLISH_LEFT_OUT]
    said = reason(verdict, ReasonCode.PUBLISH_LEFT_OUT)
    assert said.startswith(
        "model.safetensors is signed, but would not be sent: the .gitignore file"
    )
    assert judged(gate, folder, shelf(target="s3://b/acme/model")).admitted  # knows none


@pytest.mark.parametrize(
    ("patterns", "what"),
    [({"exclude": ("*.json",)}, "--exclude"), ({"include": ("*.md", "model.*")}, "--include")],
)
def test_what_patterns_leave_out(
    gate: Gate, folder: Path, patterns: dict[str, Any], what: str
) -> None:
    verdict = judged(gate, folder, **patterns)
    assert f"{what} leaves it out" in reason(verdict, ReasonCode.PUBLISH_LEFT_OUT)


def test_what_no_upload_takes_along(gate: Gate, folder: Path) -> None:
    """Nor is it looked at: there may be links."""
    for place in (".git", "sub/.git", ".cache/huggingface"):
        (folder / place).mkdir(parents=True)
        (folder / place / "code.py").write_text("import os\n")
        (folder / place / "link").symlink_to("/etc/hostname")
    (folder / "wandb").mkdir()
    (folder / "wandb" / "latest").symlink_to("/etc/hostname")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "model.safetensors").write_bytes(b"unsigned")
    (folder / "oms-gate.verdict.json").write_text("{}")
    (folder / f".oms-gate-{'0' * 16}").write_text("{}")
    registry = shelf()
    came = published(gate, folder, registry, Upload(folder, exclude=("checkpoint-*", "wandb/*")))
    assert came.verdict.admitted, came.verdict
    assert registry.got.keys() == {*models.FILES, "model.sig"}


def test_a_link_is_not_followed(gate: Gate, folder: Path) -> None:
    (folder / "notes.md").symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match=r"notes\.md is a symbolic link") as caught:
        published(gate, folder)
    assert caught.value.reason.code is ReasonCode.STORE_UNSAFE_FILE


@pytest.mark.parametrize("patterns", [{}, {"include": ("*.gguf",)}])
def test_nothing_to_publish(gate: Gate, tmp_path: Path, patterns: dict[str, Any]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"nothing of .* would be sent"):
        published(gate, tmp_path / "empty", upload=Upload(tmp_path / "empty", **patterns))
    with pytest.raises(UsageError, match="is no folder"):
        published(gate, tmp_path / "absent")


class TestOnTopOfWhatIsThere:
    """The Hub keeps what an upload does not replace."""

    @pytest.fixture
    def there(self, tmp_path: Path) -> Path:
        """Somebody has put code there, which nobody signed."""
        return models.write(tmp_path / "there", {"modeling_acme.py": b"import os\n"})

    def test_what_stays_has_to_be_signed_too(self, gate: Gate, folder: Path, there: Path) -> None:
        verdict = judged(gate, folder, shelf(there))
        assert codes(verdict) == [ReasonCode.PUBLISH_LEFT_BEHIND]
        said = reason(verdict, ReasonCode.PUBLISH_LEFT_BEHIND)
        assert said.startswith(f"modeling_acme.py is at {TARGET} now and would stay there")

    def test_unless_it_is_deleted(self, gate: Gate, folder: Path, there: Path) -> None:
        registry = shelf(there)
        came = published(gate, folder, registry, Upload(folder, delete=("*.py",)))
        assert came.verdict.admitted
        assert "modeling_acme.py" not in registry.got

    def test_or_what_is_there_is_replaced_as_a_whole(
        self, gate: Gate, folder: Path, there: Path
    ) -> None:
        assert judged(gate, folder, shelf(there, additive=False), delete=("*.py",)).admitted

    def test_nothing_is_deleted_that_is_sent_or_that_the_hub_keeps(
        self, gate: Gate, folder: Path, there: Path
    ) -> None:
        models.write(there, {"README.md": b"old", ".gitattributes": b"", "LICENSE": b"old"})
        registry = shelf(there)
        published(gate, folder, registry, Upload(folder, delete=("*",)))
        assert registry.got.keys() == {*models.FILES, "model.sig", ".gitattributes"}
        assert registry.got["README.md"] == models.FILES["README.md"]

    def test_what_was_signed_and_is_there_is_not_read_from_the_folder(
        self, gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
    ) -> None:
        """A new signature over both: the weights are there, the rest is sent."""
        weights = {"model.safetensors": models.FILES["model.safetensors"]}
        there = models.write(tmp_path / "there", weights)
        rest = {path: models.FILES[path] for path in ("README.md", "config.json")}
        folder = models.write(tmp_path / "rest", rest)
        (folder / "model.sig").write_bytes(models.signature(models.FILES, key))
        verdict = judged(gate, folder, shelf(there))
        assert verdict.admitted, verdict
        (there / "model.safetensors").write_bytes(b"x" * 256_000)
        assert codes(judged(gate, folder, shelf(there))) == [ReasonCode.FILE_CHANGED]

    def test_a_gitignore_that_is_there(self, gate: Gate, folder: Path, there: Path) -> None:
        (there / "modeling_acme.py").unlink()
        (there / ".gitignore").write_text("config.json\n")
        said = reason(judged(gate, folder, shelf(there)), ReasonCode.PUBLISH_LEFT_OUT)
        assert "config.json" in said
        (folder / ".gitignore").write_text("")  # takes its place
        assert judged(gate, folder, shelf(there)).admitted

    def test_below_a_folder_of_the_model(
        self, gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
    ) -> None:
        files = {"sub/config.json": b"{}", "README.md": b"# A model\n"}
        there = models.write(tmp_path / "there", {**files, "sub/old.py": b"", "old.py": b""})
        folder = models.write(tmp_path / "sub", {"config.json": b"{}"})
        (there / "model.sig").write_bytes(models.signature({**files, "old.py": b""}, key))
        registry = shelf(there)
        upload = Upload(folder, below="sub", delete=("*.py",))
        came = published(gate, folder, registry, upload)
        assert came.verdict.admitted, came.verdict
        assert registry.got.keys() == {*files, "old.py", "model.sig"}


class TestRollback:
    """Back to a release that was signed just as validly."""

    @pytest.fixture
    def there(self, tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
        """A newer release."""
        newer = {**models.FILES, "config.json": b'{"model_type": "newer"}\n'}
        return models.write(tmp_path / "newer", signed(key, newer))  # type: ignore[arg-type]

    def test_to_a_signature_that_was_replaced(self, gate: Gate, folder: Path, there: Path) -> None:
        digest = stated(folder)
        bundle = (folder / "model.sig").read_bytes()
        for spelling in (b"", b"\n"):
            (folder / "model.sig").write_bytes(bundle + spelling)
            verdict = judged(gate, folder, shelf(there, earlier=["0" * 64, digest]))
            assert codes(verdict) == [ReasonCode.PUBLISH_ROLLBACK]
            assert "had what this signature states before" in verdict.reasons[0].message
        assert judged(gate, folder, shelf(there, earlier=["0" * 64])).admitted

    def test_who_signs_it_now_means_it(
        self, gate: Gate, folder: Path, there: Path, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """The signature is the same as before, byte for byte."""
        signer = ModelSigner.by_key(key)
        published(gate, folder, signer=signer)
        bundle = (folder / "model.sig").read_bytes()
        registry = shelf(there, earlier=[stated(folder)])
        assert codes(judged(gate, folder, registry)) == [ReasonCode.PUBLISH_ROLLBACK]
        came = published(gate, folder, registry, signer=signer)
        assert came.verdict.admitted, came.verdict
        assert (folder / "model.sig").read_bytes() == bundle

    def test_the_present_release_again_is_none(self, gate: Gate, folder: Path) -> None:
        assert judged(gate, folder, shelf(folder, earlier=[stated(folder)])).admitted

    def test_what_was_there_cannot_be_found_out(
        self, gate: Gate, folder: Path, there: Path
    ) -> None:
        class Silent(Shelf):
            def earlier_statements(self) -> Sequence[str]:
                raise StoreError(ReasonCode.STORE_UNAVAILABLE, "the history cannot be read")

        registry = Silent(Reference.parse(TARGET), there)
        verdict = judged(gate, folder, registry)
        assert codes(verdict) == [ReasonCode.STORE_UNAVAILABLE]
        assert verdict.undecided

    @pytest.mark.parametrize(("days", "code"), [(-1, ReasonCode.PUBLISH_ROLLBACK), (1, None)])
    def test_to_one_that_was_signed_earlier(
        self,
        settings: dict[str, Any],
        folder: Path,
        there: Path,
        tmp_path: Path,
        days: int,
        code: ReasonCode | None,
    ) -> None:
        authority = TimestampAuthority.make()
        (tmp_path / "tsa.pem").write_bytes(authority.root_pem)
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
        for place, at in ((there, now), (folder, now + timedelta(days=days))):
            bundle = json.loads((place / "model.sig").read_bytes())
            stamp(bundle, authority, at)
            (place / "model.sig").write_text(json.dumps(bundle))
        settings["trust"]["timestamp_authorities"] = {"tsa": str(tmp_path / "tsa.pem")}
        verdict = judged(gate_of(settings), folder, shelf(there))
        assert codes(verdict) == ([] if code is None else [code])
        if code is not None:
            assert f"was signed later, at {now:%Y-%m-%d %H:%M:%S} UTC" in verdict.reasons[0].message


class TestSigning:
    """A signature for the revision that is to be."""

    @pytest.fixture
    def signer(self, key: ec.EllipticCurvePrivateKey) -> ModelSigner:
        return ModelSigner.by_key(key)

    def test_what_is_published_and_kept_in_the_folder(
        self, gate: Gate, folder: Path, signer: ModelSigner
    ) -> None:
        (folder / "README.md").write_bytes(b"# A modal\n")  # the old signature is stale
        registry = shelf()
        came = published(gate, folder, registry, signer=signer)
        assert came.verdict.admitted, came.verdict
        assert registry.got["model.sig"] == (folder / "model.sig").read_bytes()
        assert judged(gate, folder).admitted

    def test_nothing_is_kept_of_what_may_not_be_published(
        self, gate: Gate, folder: Path, signer: ModelSigner
    ) -> None:
        before = (folder / "model.sig").read_bytes()
        (folder / "README.md").write_bytes(b"# A modal\n")
        came = published(gate, folder, shelf(target="hf://other/model"), signer=signer)
        assert not came.verdict.admitted
        assert (folder / "model.sig").read_bytes() == before

    def test_what_is_left_out_is_not_signed(
        self, gate: Gate, folder: Path, signer: ModelSigner
    ) -> None:
        (folder / ".gitignore").write_text("*.log\n")
        (folder / "train.log").write_text("epoch 1\n")
        registry = shelf()
        verdict = published(gate, folder, registry, signer=signer).verdict
        assert verdict.admitted
        assert verdict.warnings == ()
        assert "train.log" not in registry.got

    def test_weights_that_a_gitignore_leaves_out_are_told_of(
        self, gate: Gate, folder: Path, signer: ModelSigner
    ) -> None:
        (folder / ".gitignore").write_text("*.safetensors\n")
        verdict = published(gate, folder, signer=signer).verdict
        assert verdict.admitted
        (warning,) = verdict.warnings
        assert warning.code is ReasonCode.PUBLISH_LEFT_OUT
        assert warning.path == "model.safetensors"

    def test_what_others_have_put_there_is_not_vouched_for(
        self, gate: Gate, folder: Path, signer: ModelSigner, tmp_path: Path
    ) -> None:
        """It would get the publisher's signature by their next upload."""
        there = models.write(tmp_path / "there", {"modeling_acme.py": b"import os\n"})
        came = published(gate, folder, shelf(there), signer=signer)
        assert ReasonCode.PUBLISH_LEFT_BEHIND in codes(came.verdict)

    def test_nor_is_what_was_changed_under_the_present_signature(
        self,
        gate: Gate,
        folder: Path,
        signer: ModelSigner,
        key: ec.EllipticCurvePrivateKey,
        tmp_path: Path,
    ) -> None:
        files = {**models.FILES, "modeling_acme.py": b"import os\n"}
        there = models.write(tmp_path / "there", signed(key, files))  # type: ignore[arg-type]
        (there / "modeling_acme.py").write_bytes(b"import oz\n")
        came = published(gate, folder, shelf(there), signer=signer)
        assert ReasonCode.FILE_CHANGED in codes(came.verdict)

    def test_what_is_there_and_signed_is_signed_again_unread(
        self,
        gate: Gate,
        signer: ModelSigner,
        key: ec.EllipticCurvePrivateKey,
        tmp_path: Path,
    ) -> None:
        there = models.write(tmp_path / "there", signed(key))  # type: ignore[arg-type]
        folder = models.write(tmp_path / "card", {"README.md": b"# A better model\n"})
        registry = shelf(there)
        publication, _ = Upload(folder).publication(registry, gate)
        (there / "model.safetensors").unlink()
        _, bundle = sign(gate, publication, signer)
        digest = hashlib.sha256(bundle).hexdigest()
        manifest = read_pinned(bundle, digest, gate.limits, accept_old=False).manifest
        files = {**models.FILES, "README.md": b"# A better model\n"}
        assert {path: parts[0].digest for path, parts in manifest.files.items()} == {
            path: hashlib.sha256(content).hexdigest() for path, content in files.items()
        }

    def test_with_a_stranger_s_signature_there_nothing_of_it_is(
        self, gate: Gate, signer: ModelSigner, folder: Path, tmp_path: Path
    ) -> None:
        files = {**models.FILES, "modeling_acme.py": b"import os\n"}
        stranger = models.new_key()
        there = models.write(tmp_path / "there", signed(stranger, files))  # type: ignore[arg-type]
        came = published(gate, folder, shelf(there), signer=signer)
        assert codes(came.verdict) == [ReasonCode.PUBLISH_LEFT_BEHIND]
        assert "vouches for none of it: the signature is by a key" in str(came.verdict)

    def test_what_was_brought_back_is_not_vouched_for(
        self, gate: Gate, signer: ModelSigner, key: ec.EllipticCurvePrivateKey, tmp_path: Path
    ) -> None:
        """Somebody without a key may have put an older release there, just as it was."""
        there = models.write(tmp_path / "there", signed(key))  # type: ignore[arg-type]
        card = models.write(tmp_path / "card", {"README.md": b"# Better\n"})
        came = published(gate, card, shelf(there, earlier=[stated(there)]), signer=signer)
        assert ReasonCode.PUBLISH_LEFT_BEHIND in codes(came.verdict)
        assert "was there before, and was replaced since" in str(came.verdict)

    def test_nor_what_somebody_else_has_signed(
        self,
        settings: dict[str, Any],
        key: ec.EllipticCurvePrivateKey,
        tmp_path: Path,
    ) -> None:
        """Policy has both sign the model; each vouches for what they have seen."""
        other = models.new_key()
        (tmp_path / "other.pub").write_bytes(models.public_pem(other))
        settings["trust"]["keys"]["other"] = str(tmp_path / "other.pub")
        settings["publishers"][0]["signers"].append({"method": "key", "key": "other"})
        both = gate_of(settings)
        there = models.write(tmp_path / "there", signed(key))  # type: ignore[arg-type]
        card = models.write(tmp_path / "card", {"README.md": b"# Better\n"})
        with pytest.raises(SignatureError, match="would vouch for it unread") as caught:
            published(both, card, shelf(there), signer=ModelSigner.by_key(other))
        assert caught.value.reason.code is ReasonCode.PUBLISH_LEFT_BEHIND
        assert published(both, card, shelf(there), signer=ModelSigner.by_key(key)).published

    def test_a_store_that_fails_meanwhile_is_no_denial(
        self, hub: HubStandIn, gate: Gate, signer: ModelSigner, folder: Path, tmp_path: Path
    ) -> None:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        hub.create("acme/model", files=files)
        card = models.write(tmp_path / "card", {"README.md": b"# Better\n"})
        with closing(open_registry(Reference.parse(TARGET), gate)) as registry:
            hub.inject(faults.Status(503), "*model.sig")
            with pytest.raises(StoreError) as caught:
                release_folder(gate, registry, Upload(card), signer=signer)
        assert caught.value.reason.code is ReasonCode.STORE_UNAVAILABLE

    def test_where_signatures_are_elsewhere(
        self, settings: dict[str, Any], folder: Path, signer: ModelSigner, tmp_path: Path
    ) -> None:
        elsewhere = gate_of(settings | {"signature": str(tmp_path / "model.sig")})
        with pytest.raises(UsageError, match="elsewhere than beside the model"):
            published(elsewhere, folder, signer=signer)


def test_no_mode_lets_out_what_is_denied(settings: dict[str, Any], folder: Path) -> None:
    """It is for who uses models, and the file may be the same."""
    (folder / "README.md").write_bytes(b"# A modal\n")
    verdict = judged(gate_of(settings | {"mode": "annotate"}), folder)
    assert codes(verdict) == [ReasonCode.FILE_CHANGED]
    assert not verdict.lets_through


def test_shards_that_the_index_names_are_there(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    name = "model-0000{}-of-00003.safetensors"
    index = {"weight_map": {f"w{number}": name.format(number) for number in (1, 2, 3)}}
    files = {
        "sub/model.safetensors.index.json": json.dumps(index).encode(),
        **{f"sub/{name.format(number)}": models.safetensors(1000) for number in (1, 2, 3)},
    }
    folder = models.write(tmp_path / "whole", signed(key, files))  # type: ignore[arg-type]
    assert judged(gate, folder).admitted
    del files[f"sub/{name.format(2)}"]
    folder = models.write(tmp_path / "part", signed(key, files))  # type: ignore[arg-type]
    verdict = judged(gate, folder)
    assert codes(verdict) == [ReasonCode.PUBLISH_INCOMPLETE]
    assert f"weights are in sub/{name.format(2)}, which" in verdict.reasons[0].message
    for odd in (b"{", b"[]", b'{"weight_map": [1]}', b'{"weight_map": {"a": 1}}'):
        files["sub/model.safetensors.index.json"] = odd
        folder = models.write(tmp_path / "odd", signed(key, files))  # type: ignore[arg-type]
        assert judged(gate, folder).admitted


def test_signatures_beside_files_are_theirs(
    gate: Gate, key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """As GGUF files have them: whoever takes one file goes by its own."""
    weights = b"GGUF" + bytes(1000)
    own = models.signature({"a.gguf": weights}, key)
    files = {"a.gguf": weights, "a.gguf.sig": own, "README.md.sig": b"-----BEGIN PGP"}
    folder = models.write(tmp_path / "fresh", signed(key, files))  # type: ignore[arg-type]
    assert judged(gate, folder).admitted
    files["a.gguf"] = weights + b"!"
    folder = models.write(tmp_path / "stale", signed(key, files))  # type: ignore[arg-type]
    verdict = judged(gate, folder)
    assert codes(verdict) == [ReasonCode.PUBLISH_STALE_SIGNATURE]
    assert "a.gguf.sig is a signature of a.gguf, which was changed" in verdict.reasons[0].message
    del files["a.gguf"]
    folder = models.write(tmp_path / "alone", signed(key, files))  # type: ignore[arg-type]
    assert codes(judged(gate, folder)) == [ReasonCode.PUBLISH_STALE_SIGNATURE]


def test_what_would_be_gone_is_told(
    gate: Gate, key: ec.EllipticCurvePrivateKey, folder: Path, tmp_path: Path
) -> None:
    """In S3 a release is complete by itself, and a new README alone is no model."""
    files = {"README.md": b"# Better\n"}
    card = models.write(tmp_path / "card", signed(key, files))  # type: ignore[arg-type]
    registry = shelf(folder, "s3://bucket/acme/model", additive=False)
    verdict = judged(gate, card, registry)
    assert codes(verdict) == [ReasonCode.PUBLISH_GONE]
    assert "config.json and 1 more file of the present release" in verdict.reasons[0].message
    assert judged(gate, card, registry, delete=("*.json", "*.safetensors")).admitted


def test_a_signature_that_is_not_sent(gate: Gate, folder: Path) -> None:
    (folder / ".gitignore").write_text("*.sig\n")
    assert ReasonCode.PUBLISH_LEFT_OUT in codes(judged(gate, folder))
    (folder / ".gitignore").unlink()
    assert judged(gate, folder, include=("*.md", "*.json", "*.safetensors")).admitted


def test_a_gitignore_that_would_take_forever(gate: Gate, folder: Path) -> None:
    (folder / ".gitignore").write_text(f"{'*a' * 12}\n")
    with pytest.raises(UsageError, match="more than 6 asterisks"):
        published(gate, folder)


def test_what_cannot_be_read(gate: Gate, folder: Path) -> None:
    publication, _ = Upload(folder).publication(shelf(), gate)
    shutil.rmtree(folder)
    verdict = judge(gate, publication).verdict
    assert ReasonCode.STORE_CHANGED in codes(verdict)


def test_what_could_not_be_judged_is_denied(gate: Gate) -> None:
    error = StoreError(ReasonCode.STORE_FORBIDDEN, "this token may not write")
    verdict = refusal(gate, Reference.parse(TARGET), error)
    assert codes(verdict) == [ReasonCode.STORE_FORBIDDEN]
    assert verdict.undecided
    assert verdict.model.url == TARGET
    annotating = copy.copy(gate)
    annotating.mode = "annotate"
    assert not refusal(annotating, Reference.parse(TARGET), error).lets_through


def test_more_findings_only_deny(gate: Gate, folder: Path) -> None:
    publication, _ = Upload(folder).publication(shelf(), gate)
    assert isinstance(publication, Publication)
    verdict = judge(gate, publication).verdict
    assert verdict.with_findings((), ()) == verdict
    found = refusal(
        gate, Reference.parse(TARGET), StoreError(ReasonCode.STORE_UNAVAILABLE, "down")
    ).reasons
    assert verdict.with_findings(found, found).undecided
    assert verdict.with_findings(found, found).warnings == found


def test_what_is_to_be_published_is_not_remembered_as_if_it_were_there(
    settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """What is remembered is told to the policy all the same."""
    gate = copy.copy(gate_of({**settings, "history": {"file": str(tmp_path / "history.db")}}))
    policy, told = gate.policy, []

    class Asked:
        kind, revision = policy.kind, policy.revision

        def decide(self, document: dict[str, Any]) -> Any:
            told.append(document["history"])
            return policy.decide(document)

    gate.policy = Asked()  # type: ignore[assignment]
    assert judged(gate, folder).admitted
    nothing: dict[str, Any] = {
        "first_seen": None,
        "pinned": [],
        "signer_pinned": False,
        "newer": None,
    }
    assert told == [nothing]
    assert gate.history is not None
    assert gate.history.releases() == []
