"""What changed since a model was signed: all of it is shown, and nothing else is signed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signing.changes import Changes
from oms_gate.signing.model import Signing, signable
from oms_gate.signing.review import Review, diff_model, review_to_sign
from oms_gate.signing.standing import of_the_signer
from oms_gate.stores import StoreSettings
from oms_gate.verdict import FileFact
from tests import models
from tests.oms import forge, test_old_format
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File
from tests.peers.seaweedfs import SeaweedFS
from tests.signing.signed import KEY, SIGNER, checked, sign

NOTHING = Changes((), (), (), (), (), ())
WEIGHTS = models.FILES["model.safetensors"]
SIGNATURE = models.signature(models.FILES, KEY)
VOUCH = of_the_signer(SIGNER, Limits())


def diff(reference: object, signature: str = "model.sig", **settings: Any) -> Review:
    return diff_model(Reference.parse(str(reference)), signature, **settings)


def paths(files: tuple[FileFact, ...]) -> list[str]:
    return [file.path for file in files]


@pytest.mark.parametrize(
    ("hash_type", "shard_size"), [("sha256", None), ("blake3", None), ("blake2b", 1000)]
)
def test_every_kind_of_change(model: Path, hash_type: HashType, shard_size: int | None) -> None:
    models.write(model, {"a.bin": b"a", "b/c.py": b"code", "gone.py": b"gone"})
    sign(model, hash_type=hash_type, shard_size=shard_size, ignore_paths=["docs"])
    assert diff(model).changes == NOTHING
    (model / "gone.py").unlink()
    (model / "b/c.py").rename(model / "b/run.py")
    shutil.copy(model / "a.bin", model / "z.bin")
    models.write(
        model,
        {
            "config.json": b'{"auto_map": 1}',
            "model.safetensors": WEIGHTS + b"more",
            "docs/a.md": b"text",
            "oms-gate.verdict.json": b"{}",
        },
    )
    changes = diff(model).changes
    assert changes == Changes(
        added=(FileFact(path="z.bin", size=1, kind="pickle"),),
        removed=(FileFact(path="gone.py", kind="code"),),
        changed=(
            FileFact(path="config.json", size=15, kind="config"),
            FileFact(path="model.safetensors", size=len(WEIGHTS) + 4, kind="weights"),
        ),
        moved=(("b/c.py", FileFact(path="b/run.py", size=4, kind="code")),),
        dropped=(),
        left_out=(FileFact(path="docs/a.md", size=4, kind="document"),),
    )
    assert len(changes) == 5


def test_files_that_are_the_same_move_one_by_one(model: Path) -> None:
    models.write(model, {"a/1.py": b"", "a/2.py": b"", "a/3.py": b""})
    sign(model)
    (model / "a").rename(model / "b")
    (model / "b/3.py").unlink()
    changes = diff(model).changes
    assert [(old, new.path) for old, new in changes.moved] == [
        ("a/1.py", "b/1.py"),
        ("a/2.py", "b/2.py"),
    ]
    assert paths(changes.removed) == ["a/3.py"]
    assert changes.added == ()


def test_a_copy_is_no_move(model: Path) -> None:
    sign(model)
    shutil.copy(model / "config.json", model / "copy.json")
    changes = diff(model).changes
    assert (changes.moved, paths(changes.added)) == ((), ["copy.json"])


def test_a_single_file_by_either_name(model: Path) -> None:
    weights = model / "model.safetensors"
    sign(weights)
    assert diff(weights).changes == NOTHING
    weights.with_name("model.safetensors.sig").write_bytes(models.signature({".": WEIGHTS}, KEY))
    assert diff(weights).changes == NOTHING
    weights.write_bytes(b"other")
    assert paths(diff(weights).changes.changed) == ["model.safetensors"]


def test_the_format_before_v1(model: Path) -> None:
    old = test_old_format.signed(test_old_format.statement(dict(models.FILES)))
    (model / "model.sig").write_bytes(old)
    assert diff(model).changes == NOTHING
    (model / "config.json").write_bytes(b"[]")
    assert paths(diff(model).changes.changed) == ["config.json"]


def test_what_was_signed_and_would_be_no_more(model: Path) -> None:
    models.write(model, {".gitattributes": b"*.bin filter=lfs"})
    files = {**models.FILES, ".gitattributes": b"*.bin filter=lfs"}
    (model / "model.sig").write_bytes(models.signature(files, KEY))
    changes = diff(model).changes
    assert changes == Changes((), (), (), (), changes.dropped, ())
    assert paths(changes.dropped) == [".gitattributes"]


def test_a_signature_of_another_name_or_place(model: Path, tmp_path: Path) -> None:
    sign(model, signature="our.sig")
    assert diff(model, "our.sig").changes == NOTHING
    (model / "our.sig").rename(tmp_path / "elsewhere.sig")
    assert diff(model, str(tmp_path / "elsewhere.sig")).changes == NOTHING


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{" * 5000,
        forge.encode(forge.key_bundle(b"{}", KEY)),
        b"x" * (16 * 1024 * 1024 + 1),
    ],
    ids=["none", "empty", "hostile", "no statement", "too large"],
)
def test_without_a_signature_that_can_be_read(model: Path, content: bytes | None) -> None:
    if content is not None:
        (model / "model.sig").write_bytes(content)
    with pytest.raises(UsageError, match=r"nothing to compare the model with.*oms-gate sign"):
        diff(model)


def test_of_a_repository_no_weight_is_read_that_its_listing_declares(hub: HubStandIn) -> None:
    hub.create("org/model", files={**models.FILES, "model.sig": SIGNATURE})
    review = diff("hf://org/model")
    assert review.changes == NOTHING
    assert review.believed == ("model.safetensors",)
    read = {record.file for record in hub.requests if record.file and record.sent}
    assert read == {"README.md", "config.json", "model.sig"}
    hub.commit("org/model", {"model.safetensors": b"other weights", "extra.bin": b"more"})
    hub.clear()
    changes = diff("hf://org/model").changes
    assert (paths(changes.changed), paths(changes.added)) == (["model.safetensors"], ["extra.bin"])
    assert "cdn" not in {record.origin for record in hub.requests}


def test_what_a_listing_declares_is_of_no_use_for_other_digests(hub: HubStandIn) -> None:
    bundle = models.signature(models.FILES, KEY, hash_type="blake3")
    hub.create("org/model", files={**models.FILES, "model.sig": bundle})
    review = diff("hf://org/model")
    assert (review.changes, review.believed) == (NOTHING, ())


@pytest.mark.usefixtures("token")
def test_what_is_signed_again_is_read_and_never_believed(hub: HubStandIn, public_key: Path) -> None:
    hub.create("org/model", files={**models.FILES, "model.sig": SIGNATURE})
    # The listing declares the digest that was signed, and the bytes are others.
    lying = File(WEIGHTS[::-1], sha256=forge.sha256(WEIGHTS))
    hub.commit("org/model", {"model.safetensors": lying})
    assert diff("hf://org/model").changes == NOTHING
    with signable(Reference.parse("hf://org/model"), Signing()) as place:
        review = review_to_sign(place, VOUCH)
    assert paths(review.changes.changed) == ["model.safetensors"]


@pytest.fixture
def token(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)


# Where a model lies, and how somebody changes a file of it.
Place = tuple[str, StoreSettings, Callable[[str, bytes], object]]


@pytest.fixture(params=["folder", "s3", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A signed model, somewhere."""
    files = {**models.FILES, "model.sig": SIGNATURE}
    if request.param == "folder":
        folder = models.write(tmp_path / "model", files)
        yield (
            str(folder),
            StoreSettings(),
            lambda path, content: (folder / path).write_bytes(content),
        )
    elif request.param == "s3":
        s3: SeaweedFS = request.getfixturevalue("s3")
        bucket = request.getfixturevalue("s3_bucket")
        for path, content in files.items():
            s3.put(bucket, f"m/{path}", content)
        yield (
            f"s3://{bucket}/m",
            StoreSettings(options={"s3": s3.storage_options()}),
            lambda path, content: s3.put(bucket, f"m/{path}", content),
        )
    else:
        hub: HubStandIn = request.getfixturevalue("hub")
        request.getfixturevalue("token")
        hub.create("org/model", files=files)
        yield (
            "hf://org/model",
            StoreSettings(),
            lambda path, content: hub.commit("org/model", {path: content}),
        )


def test_what_was_shown_is_signed_and_nothing_else(place: Place, public_key: Path) -> None:
    url, stores, put = place
    put("config.json", b'{"changed": true}')
    assert not checked(url, public_key, stores).admitted
    signing = Signing(stores=stores)
    with signable(Reference.parse(url), signing) as model:
        review = review_to_sign(model, VOUCH)
        assert paths(review.changes.changed) == ["config.json"]
        assert len(review.changes) == 1
        signed = model.sign(review.manifest, SIGNER)
    assert signed.manifest == review.manifest
    assert checked(url, public_key, stores).admitted
    assert diff(url, stores=stores).changes == NOTHING


def test_a_model_that_is_changed_while_it_is_reviewed_is_not_signed(
    place: Place, public_key: Path
) -> None:
    url, stores, put = place
    with signable(Reference.parse(url), Signing(stores=stores)) as model:
        review = review_to_sign(model, VOUCH)
        put("config.json", b'{"changed": true}')
        with pytest.raises(StoreError) as refused:
            model.sign(review.manifest, SIGNER)
    assert refused.value.reason.code is ReasonCode.STORE_CHANGED
    assert paths(diff(url, stores=stores).changes.changed) == ["config.json"]
    assert not checked(url, public_key, stores).admitted


def test_it_is_signed_again_as_it_was(model: Path, public_key: Path) -> None:
    models.write(model, {"docs/a.md": b"text", "logs/a.txt": b"text"})
    sign(model, hash_type="blake3", shard_size=1000, ignore_paths=["docs"], signature="our.sig")
    (model / "config.json").write_bytes(b"[]")
    signing = Signing(signature="our.sig", named=True, ignore_paths=["logs"])
    with signable(Reference.parse(str(model)), signing) as place:
        review = review_to_sign(place, VOUCH)
        place.sign(review.manifest, SIGNER)
    manifest = review.manifest
    assert (manifest.hash_type, manifest.shard_size) == ("blake3", 1000)
    assert {"docs", "logs", "our.sig"} <= set(manifest.ignore_paths)
    assert paths(review.changes.dropped) == ["logs/a.txt"]
    assert paths(review.changes.left_out) == ["docs/a.md"]
    assert checked(model, public_key, signature="our.sig").admitted


def test_what_the_format_leaves_out_is_shown_where_it_is_read(model: Path) -> None:
    sign(model)
    read = {".github/prompts/do.md", ".github/copilot-instructions.md", ".git/hooks/run.py"}
    inert = {".gitattributes", ".github/README.md"}
    models.write(model, dict.fromkeys(read | inert, b"x"))
    changes = diff(model).changes
    assert len(changes) == 0
    assert set(paths(changes.left_out)) == read


def test_what_a_stranger_leaves_out_is_shown(model: Path) -> None:
    """Whoever can write to the model may have put a signature there that leaves code out."""
    models.write(model, {"run.py": b"import os"})
    sign(model, ignore_paths=["run.py", "model.safetensors"])
    changes = diff(model).changes
    assert len(changes) == 0
    assert paths(changes.left_out) == ["model.safetensors", "run.py"]
