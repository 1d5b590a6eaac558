"""What a signature that is there already is worth: only whose it is makes it count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms_gate.errors import SigningError
from oms_gate.limits import Limits
from oms_gate.oms.trust import Trust
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner, Signing, signable
from oms_gate.signing.review import Review, diff_model, review_to_sign
from oms_gate.signing.sigstore import SigstoreInstance
from oms_gate.signing.standing import Vouch, of_the_policy, of_the_signer
from oms_gate.verdict import Assurance
from tests import models
from tests.oms import forge
from tests.oms.forge import encode
from tests.signing.signed import sign
from tests.sigstore.server import SigstoreServer

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
ROOT = forge.issue("root", start=NOW - 30 * DAY, end=NOW + 30 * DAY)
MINE, THEIRS = "CN=release", "CN=mallory"


def certificate(subject: str, start: datetime, end: datetime) -> forge.Party:
    return forge.issue_leaf(subject.removeprefix("CN="), ROOT, start=start, end=end)


def by(party: forge.Party) -> ModelSigner:
    return ModelSigner.by_certificate(party.private_key, [party.certificate, ROOT.certificate])


def put(model: Path, *chain: forge.Party) -> None:
    """The model's signature, by whoever has that certificate."""
    statement = encode(forge.statement(dict(models.FILES)))
    (model / "model.sig").write_bytes(encode(forge.certificate_bundle(statement, *chain)))


def of_the_rule(model: Path) -> Iterator[Vouch]:
    """Of a policy that names `MINE` and says nothing of certificates that have expired."""
    signer = {"method": "certificate", "root": "anchors", "identity": MINE}
    rule = Publisher.model_validate({"name": "a", "models": [str(model)], "signers": [signer]})
    engine = WasmEngine.bundled(data_document([rule]), Limits())
    yield of_the_policy(forge.anchored(ROOT), engine, Assurance.BYTES, Limits())
    engine.close()


def of_mine(_: Path) -> Iterator[Vouch]:
    yield of_the_signer(by(certificate(MINE, NOW - DAY, NOW + DAY)), Limits())


@pytest.fixture(params=[of_the_rule, of_mine], ids=["policy", "signer"])
def vouch(request: pytest.FixtureRequest, model: Path) -> Iterator[Vouch]:
    by_whom: Callable[[Path], Iterator[Vouch]] = request.param
    yield from by_whom(model)


def diff(model: Path, vouch: Vouch) -> Review:
    return diff_model(Reference.parse(str(model)), vouch=vouch)


def counts(model: Path, vouch: Vouch) -> bool:
    review = diff(model, vouch)
    assert review.standing is not None
    assert (review.standing.signer is None) == (len(review.changes) == len(models.FILES))
    assert (review.standing.signer is None) == (review.standing.doubt is not None)
    return review.standing.signer is not None


def test_a_certificate_may_have_expired(model: Path, vouch: Vouch) -> None:
    put(model, certificate(MINE, NOW - 3 * DAY, NOW - DAY))
    assert counts(model, vouch)
    # For nothing else it may.
    with pytest.raises(Exception, match="expired"):
        forge.checked((model / "model.sig").read_bytes(), forge.anchored(ROOT), at=NOW)


def test_expired_or_not_it_has_to_lead_to_the_root(model: Path, vouch: Vouch) -> None:
    start, end = NOW - 3 * DAY, NOW - DAY
    other = forge.issue("root", start=start, end=end, private_key=models.new_key())
    leaf = forge.issue_leaf("release", other, start=start, end=end)
    put(model, leaf, other)
    assert not counts(model, vouch)
    put(model, certificate(MINE, NOW + DAY, NOW + 2 * DAY))
    assert not counts(model, vouch)


def test_somebody_else_under_the_same_root(model: Path, vouch: Vouch) -> None:
    put(model, certificate(THEIRS, NOW - DAY, NOW + DAY))
    assert not counts(model, vouch)


def test_other_files_are_no_matter_of_whose_it_is(model: Path, vouch: Vouch) -> None:
    """They are what is shown, and the policy would deny them."""
    put(model, certificate(MINE, NOW - DAY, NOW + DAY))
    models.write(model, {"more.py": b"import os"})
    (model / "config.json").unlink()
    review = diff(model, vouch)
    assert review.standing is not None
    assert review.standing.doubt is None
    assert len(review.changes) == 2


def test_a_signature_that_was_tampered_with(model: Path, vouch: Vouch) -> None:
    put(model, certificate(MINE, NOW - DAY, NOW + DAY))
    bundle = forge.certificate_bundle(b"", certificate(MINE, NOW - DAY, NOW + DAY))
    statement = encode(forge.statement(dict(models.FILES)))
    bundle["dsseEnvelope"]["payload"] = forge.b64(statement)
    (model / "model.sig").write_bytes(encode(bundle))
    assert not counts(model, vouch)


def test_nothing_of_it_counts(model: Path) -> None:
    """Neither what it leaves out, nor how it hashes."""
    models.write(model, {"run.py": b"import os"})
    stranger = ModelSigner.by_key(models.new_key())
    sign(model, stranger, hash_type="blake3", shard_size=1000, ignore_paths=["run.py"])
    review = diff(model, of_the_signer(ModelSigner.by_key(models.new_key()), Limits()))
    manifest = review.manifest
    assert (manifest.hash_type, manifest.serialization) == ("sha256", "files")
    assert "run.py" not in manifest.ignore_paths
    assert {file.path for file in review.changes.added} == {*models.FILES, "run.py"}


def test_of_a_sigstore_only_the_same_identity(server: SigstoreServer, model: Path) -> None:
    """Anybody may sign there, and who does is known only when it is done."""
    instance = SigstoreInstance.from_files(
        encode(server.sigstore.trusted_root()), encode(server.signing_config([1]))
    )

    def signer(subject: str) -> ModelSigner:
        return ModelSigner.by_sigstore(instance, lambda: server.identity_token(subject))

    sign(model, signer("mallory@example.com"))
    before = (model / "model.sig").read_bytes()
    mine = signer("release@example.com")
    with signable(Reference.parse(str(model)), Signing()) as place:
        review = review_to_sign(place, of_the_signer(mine, Limits()))
        assert review.standing is not None
        assert review.standing.conditional
        with pytest.raises(SigningError, match=r"signed by mallory@example\.com"):
            place.sign(review.manifest, mine, only_as=review.standing.signer)
        assert (model / "model.sig").read_bytes() == before
        again = signer("mallory@example.com")
        place.sign(review.manifest, again, only_as=review.standing.signer)
    assert (model / "model.sig").read_bytes() != before


def test_whoever_trusts_nobody(model: Path) -> None:
    put(model, certificate(MINE, NOW - DAY, NOW + DAY))
    engine = WasmEngine.bundled(data_document([]), Limits())
    vouch = of_the_policy(Trust(), engine, Assurance.BYTES, Limits())
    assert not counts(model, vouch)
    engine.close()
