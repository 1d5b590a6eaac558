"""Signed where it lies, and admitted there: each store, and what is denied had it not been so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from oms_gate import Gate
from oms_gate.config import GateConfig
from oms_gate.errors import StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner, Signing, sign_model
from oms_gate.stores import Snapshot, StoreSettings, open_store
from tests import models
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS


@dataclass
class Place:
    """A model without a signature, and the options to reach its store."""

    url: str
    options: dict[str, dict[str, Any]]


@pytest.fixture
def local(tmp_path: Path) -> Place:
    return Place(str(models.write(tmp_path / "model", models.FILES)), {})


@pytest.fixture
def on_hub(hub: HubStandIn) -> Place:
    hub.create("org/model", files=models.FILES)
    return Place("hf://org/model", {"hf": {"endpoint": hub.endpoint, "token": hub.token}})


@pytest.fixture
def on_s3(s3: SeaweedFS, s3_versioned_bucket: str) -> Place:
    for path, content in models.FILES.items():
        s3.put(s3_versioned_bucket, f"m/{path}", content)
    return Place(f"s3://{s3_versioned_bucket}/m", {"s3": s3.storage_options()})


@pytest.fixture
def in_memory() -> Iterator[Place]:
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/m/{path}": content for path, content in models.FILES.items()})
    yield Place("memory://m", {})
    fs.rm("/m", recursive=True)


PLACES = ("local", "on_hub", "on_s3", "in_memory")
SIGNER = ModelSigner.by_key(models.new_key())


def listed(place: Place) -> Snapshot:
    reference = Reference.parse(place.url)
    store = open_store(reference, StoreSettings(options=place.options), Limits())
    return store.snapshot(reference)


def sign_one_file(place: Place, signer: ModelSigner = SIGNER) -> None:
    reference = Reference.parse(f"{place.url}/model.safetensors")
    sign_model(reference, signer, Signing(stores=StoreSettings(options=place.options)))


@pytest.mark.parametrize("where", PLACES)
def test_beside_a_file_only_a_signature_gives_way(
    request: pytest.FixtureRequest, where: str
) -> None:
    place: Place = request.getfixturevalue(where)

    def never(*_: object) -> bytes:
        raise AssertionError("it was hashed and signed")

    sign_one_file(place, ModelSigner.by_key(models.new_key()))
    earlier = listed(place).read("model.safetensors.sig", 10**6)
    sign_one_file(place)
    assert listed(place).read("model.safetensors.sig", 10**6) != earlier
    listed(place).write("model.safetensors.sig", b"IMPORTANT", message="Something else")
    with pytest.raises(UsageError, match="is no signature"):
        sign_one_file(place, ModelSigner(never, SIGNER.trust))
    assert listed(place).read("model.safetensors.sig", 10**6) == b"IMPORTANT"


@pytest.mark.parametrize("where", PLACES)
def test_what_comes_beside_a_file_while_it_is_signed_stays(
    request: pytest.FixtureRequest, where: str
) -> None:
    place: Place = request.getfixturevalue(where)

    def sign_late(payload: bytes) -> bytes:
        listed(place).write("model.safetensors.sig", b"IMPORTANT", message="Something else")
        return SIGNER.make(payload)

    with pytest.raises(StoreError) as caught:
        sign_one_file(place, ModelSigner(sign_late, SIGNER.trust))
    assert caught.value.reason.code is ReasonCode.STORE_CHANGED
    assert listed(place).read("model.safetensors.sig", 10**6) == b"IMPORTANT"


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("path", ["", "model.safetensors"])
def test_signed_in_place(
    request: pytest.FixtureRequest, tmp_path: Path, where: str, path: str
) -> None:
    place: Place = request.getfixturevalue(where)
    key = models.new_key()
    (tmp_path / "acme.pub").write_bytes(models.public_pem(key))
    config = GateConfig.model_validate(
        {
            "trust": {"keys": {"acme": tmp_path / "acme.pub"}, "public_good": False},
            "publishers": [
                {
                    "name": "Acme",
                    "models": [f"{place.url}/*", place.url],
                    "signers": [{"method": "key", "key": "acme"}],
                }
            ],
            "stores": {"options": place.options},
        }
    )
    url = f"{place.url}/{path}" if path else place.url
    reference = Reference.parse(url)
    files = {path: models.FILES[path]} if path else models.FILES
    with Gate.from_config(config) as gate:
        assert not gate.check(url).admitted
        snapshot = open_store(reference, config.stores, config.limits).snapshot(reference)
        assert {name: snapshot.read(name, 10**6) for name in snapshot.files} == files
        bundle = models.signature(files, key)
        written = snapshot.write(f"{path or 'model'}.sig", bundle, message="Sign the model")
        snapshot.close()
        assert written.url.endswith(f"/{path or 'model'}.sig")
        verdict = gate.check(url)
        assert verdict.admitted, verdict.reasons
