"""Bills of materials are valid CycloneDX, of what was proven, and mark what is only declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_gate import Gate
from oms_gate.bom.card import Card
from oms_gate.bom.document import write_bom
from oms_gate.bom.facts import Facts, SignedFile, facts_of
from oms_gate.config import GateConfig
from oms_gate.errors import AdmissionDenied, OmsGateError, UsageError
from oms_gate.oms.digests import HashType
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings
from oms_gate.stores.hub import other_hub
from tests import attesting, models
from tests.bom import describing
from tests.bom.describing import FILES, KEY, MADE_AT, by_name, described, properties, valid
from tests.corpus import CORPUS, needs_corpus
from tests.peers.hub import HubStandIn

SIGNATURE = models.signature(FILES, KEY, ignore_paths=["notes.md"])
SIGNED = {**FILES, "model.sig": SIGNATURE, "notes.md": b"x"}


def facts(configured: dict[str, Any], reference: object) -> Facts:
    with Gate.from_config(GateConfig.model_validate(configured)) as gate:
        return facts_of(gate, Reference.parse(str(reference)))


def marks(part: Mapping[str, Any], of: str = "") -> tuple[str | None, ...]:
    """Who declares something, in which file, and whether that is signed."""
    said = properties(part)
    return tuple(
        said.get(of + name) for name in ("declared-by", "declared-in", "declared-in:signed")
    )


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_a_model(tmp_path: Path, version: describing.Version) -> None:
    folder = models.write(tmp_path / "m", {**SIGNED, "LICENSE": b"y"})
    _, bom = described(describing.settings(tmp_path), folder, version)
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["timestamp"] == "2026-01-01T00:00:00+00:00"
    (tool,) = bom["metadata"]["tools"]["components"]
    assert tool["name"] == "oms-gate"
    model = bom["metadata"]["component"]
    root = attesting.root_digest(SIGNATURE)
    assert (model["type"], model["name"]) == ("machine-learning-model", "m")
    assert model["version"] == f"sha256:{root}"
    assert "purl" not in model
    said = properties(model)
    assert said["assurance"] == "bytes"
    assert said["signer:method"] == "key"
    assert said["signer:identity"] == f"sha256:{said['signer:key-sha256']}"
    assert said["signature:root-digest"] == root
    assert said["signature:sha256"] == attesting.sha256(SIGNATURE)
    assert said["policy:engine"] == "wasm"
    assert said["card:signed"] == "true"
    assert said["card:sha256"] == attesting.sha256(FILES["README.md"])
    assert "problem" not in said
    assert str(tmp_path) not in str(bom)

    files = by_name(model["components"])
    assert {name: properties(file)["coverage"] for name, file in files.items()} == {
        **dict.fromkeys(FILES, "signed"),
        "model.sig": "ignored",
        "notes.md": "ignored",
        "LICENSE": "unsigned",
    }
    for path, content in FILES.items():
        (digest,) = files[path]["hashes"]
        assert digest == {"alg": "SHA-256", "content": attesting.sha256(content)}
        assert properties(files[path])["size"] == str(len(content))
    assert "hashes" not in files["LICENSE"]
    assert properties(files["model.safetensors"])["kind"] == "weights"
    assert properties(files["notes.md"])["ignored-by"] == "signer"

    (reference,) = model["externalReferences"]
    assert (reference["type"], reference["url"]) == ("digital-signature", "model.sig")
    assert reference["hashes"][0]["content"] == attesting.sha256(SIGNATURE)
    (identity,) = model["evidence"]["identity"]
    assert identity["concludedValue"] == root
    assert {method["technique"] for method in identity["methods"]} == {
        "attestation",
        "hash-comparison",
    }


def test_what_the_publisher_declares_is_marked(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", SIGNED)
    _, bom = described(describing.settings(tmp_path), folder)
    model = bom["metadata"]["component"]
    ((licence,),) = (tuple(model["licenses"]),)
    assert licence["license"]["id"] == "Apache-2.0"
    assert licence["license"]["url"] == "https://www.apache.org/licenses/LICENSE-2.0"
    assert licence["license"]["acknowledgement"] == "declared"
    parts = by_name(bom["components"])
    assert parts["acme/base-7b"]["purl"] == "pkg:huggingface/acme/base-7b"
    assert "purl" not in parts["./local/base"]
    assert parts["acme/corpus"]["type"] == "data"
    assert properties(parts["acme/base-7b"])["relation"] == "finetune"
    for part in (*parts.values(), model["modelCard"]):
        said = properties(part)
        assert said["declared-by"] == "publisher"
        assert said["declared-in"] == "README.md"
        assert said["declared-in:signed"] == "true"
    assert marks(model, "license:") == ("publisher", "README.md", "true")
    assert marks(model["modelCard"], "architecture:") == ("publisher", "config.json", "true")
    assert model["modelCard"]["modelParameters"] == {
        "task": "text-generation",
        "architectureFamily": "llama",
        "modelArchitecture": "LlamaForCausalLM",
        "datasets": [{"ref": "dataset:acme/corpus"}],
    }
    said = properties(model["modelCard"])
    assert (said["card:language"], said["card:tag"]) == ("en\nde", "chat")
    (depends,) = [part for part in bom["dependencies"] if part["ref"] == "model"]
    assert depends["dependsOn"] == [
        "base-model:./local/base",
        "base-model:acme/base-7b",
        "dataset:acme/corpus",
    ]


def test_a_card_that_nobody_signed_is_told_apart(tmp_path: Path) -> None:
    signed = {path: content for path, content in FILES.items() if path != "README.md"}
    files = {**FILES, "model.sig": models.signature(signed, KEY)}
    _, bom = described(describing.settings(tmp_path), models.write(tmp_path / "m", files))
    model = bom["metadata"]["component"]
    assert properties(model)["card:signed"] == "false"
    assert properties(model)["card:sha256"] == attesting.sha256(FILES["README.md"])
    for part in (*bom["components"], model["modelCard"]):
        assert marks(part) == ("publisher", "README.md", "false")
    assert marks(model, "license:") == ("publisher", "README.md", "false")
    # Of the configuration that is signed, the same names would say that it is not.
    assert marks(model["modelCard"], "architecture:") == ("publisher", "config.json", "true")


def test_an_unsigned_configuration_says_nothing(tmp_path: Path) -> None:
    signed = {path: content for path, content in FILES.items() if path != "config.json"}
    files = {**FILES, "model.sig": models.signature(signed, KEY)}
    configured = describing.settings(tmp_path)
    configured["publishers"][0]["allow_unsigned"] = ["config.json"]
    _, bom = described(configured, models.write(tmp_path / "m", files))
    assert "architectureFamily" not in bom["metadata"]["component"]["modelCard"]["modelParameters"]


def test_without_card_and_configuration(tmp_path: Path) -> None:
    files = {"w.safetensors": FILES["model.safetensors"]}
    folder = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, KEY)})
    _, bom = described(describing.settings(tmp_path), folder)
    model = bom["metadata"]["component"]
    assert properties(model)["card"] == "absent"
    assert "license:declared-by" not in properties(model)
    assert model["modelCard"]["properties"] == []
    assert "licenses" not in model
    assert "components" not in bom


@pytest.mark.parametrize("path", ["README.md", "config.json"])
def test_the_bytes_that_are_read_are_the_signed_ones(tmp_path: Path, path: str) -> None:
    """At `signature` assurance nothing else of the model is read."""
    folder = models.write(tmp_path / "m", SIGNED)
    configured = describing.settings(tmp_path, assurance="signature")
    described(configured, folder)
    (folder / path).write_bytes(FILES[path].replace(b"ll", b"LL").replace(b"license", b"License"))
    with pytest.raises(AdmissionDenied) as denied:
        facts(configured, folder)
    (reason,) = denied.value.verdict.reasons
    assert (reason.code, reason.path) == (ReasonCode.FILE_CHANGED, path)
    models.write(folder, FILES)
    (folder / "model.safetensors").write_bytes(models.safetensors(3000))
    _, bom = described(configured, folder)
    assert properties(bom["metadata"]["component"])["assurance"] == "signature"
    (identity,) = bom["metadata"]["component"]["evidence"]["identity"]
    assert [method["technique"] for method in identity["methods"]] == ["attestation"]


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    """An exception admits the model; nobody has hashed every byte that was signed."""
    folder = models.write(tmp_path / "m", SIGNED)
    for path in ("config.json", "tokenizer/vocab.txt"):
        (folder / path).unlink()
    excepted = {
        "reason": "a test",
        "owner": "tests",
        "expires": "9999-01-01",
        "models": [f"{tmp_path}/**"],
        "codes": ["coverage.missing"],
    }
    _, bom = described(describing.settings(tmp_path, exceptions=[excepted]), folder)
    model = bom["metadata"]["component"]
    assert properties(model)["assurance"] == "bytes"
    assert properties(model)["missing"] == "config.json\ntokenizer/vocab.txt"
    (identity,) = model["evidence"]["identity"]
    assert [method["technique"] for method in identity["methods"]] == ["attestation"]


def test_a_denied_model_has_no_bill(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", {**SIGNED, "model.safetensors": models.safetensors(2001)})
    with pytest.raises(AdmissionDenied):
        facts(describing.settings(tmp_path, mode="annotate"), folder)


def test_what_the_policy_requires_is_done(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", {**SIGNED, "model.safetensors": models.safetensors(2001)})
    configured = describing.settings(tmp_path, assurance="signature")
    facts(configured, folder)
    configured["publishers"][0]["assurance"] = "bytes"
    with pytest.raises(AdmissionDenied):
        facts(configured, folder)


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("README.md", b"---\nlicense: &a mit\ntags: [*a]\n---\n", "aliases are not allowed"),
        ("README.md", b" " * 2000, "limits.card_bytes"),
        ("config.json", b'{"a": 1, "a": 2}', "occurs twice"),
        ("config.json", b" " * 2000, "limits.card_bytes"),
    ],
    ids=["card of aliases", "large card", "configuration of two readings", "large configuration"],
)
def test_what_cannot_be_told_is_said(
    tmp_path: Path, path: str, content: bytes, problem: str
) -> None:
    files = {**FILES, path: content}
    folder = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, KEY)})
    configured = describing.settings(tmp_path, limits={"card_bytes": 1024})
    _, bom = described(configured, folder)
    said = properties(bom["metadata"]["component"])["problem"]
    assert said.startswith(f"{path}:")
    assert problem in said


@pytest.mark.parametrize(
    "content", [b"[]", b'{"model_type": 7, "architectures": "x"}', b'{"architectures": []}']
)
def test_a_configuration_of_another_kind_says_nothing(tmp_path: Path, content: bytes) -> None:
    files = {**FILES, "config.json": content}
    folder = models.write(tmp_path / "m", {**files, "model.sig": models.signature(files, KEY)})
    found = facts(describing.settings(tmp_path), folder)
    assert (found.model_type, found.architecture, found.problems) == (None, None, ())


def test_a_bill_has_a_bound(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", SIGNED)
    count = len(SIGNED)
    facts(describing.settings(tmp_path, limits={"bom_files": count}), folder)
    with pytest.raises(UsageError, match="'bom_files'"):
        facts(describing.settings(tmp_path, limits={"bom_files": count - 1}), folder)


def test_the_same_model_has_the_same_bill(tmp_path: Path) -> None:
    configured = describing.settings(tmp_path)
    models.write(tmp_path / "a" / "m", SIGNED)
    models.write(tmp_path / "b" / "m", dict(reversed(SIGNED.items())))
    first, bom = described(configured, tmp_path / "a" / "m")
    second, _ = described(configured, tmp_path / "b" / "m")
    assert first == second
    _, later = described(configured, tmp_path / "a" / "m", made_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert later["metadata"].pop("timestamp") != bom["metadata"].pop("timestamp")
    assert later == bom
    (tmp_path / "a" / "m" / "LICENSE").write_bytes(b"x")
    _, other = described(configured, tmp_path / "a" / "m")
    assert other["serialNumber"] != bom["serialNumber"]


@pytest.mark.parametrize(
    ("hash_type", "algorithm"), [("blake2b", "BLAKE2b-512"), ("blake3", "BLAKE3")]
)
def test_other_digests(tmp_path: Path, hash_type: HashType, algorithm: str) -> None:
    signature = models.signature(FILES, KEY, hash_type=hash_type)
    folder = models.write(tmp_path / "m", {**FILES, "model.sig": signature})
    _, bom = described(describing.settings(tmp_path), folder)
    files = by_name(bom["metadata"]["component"]["components"])
    assert [digest["alg"] for digest in files["config.json"]["hashes"]] == [algorithm]


def test_shards_have_digests_of_their_own(tmp_path: Path) -> None:
    signature = models.signature(FILES, KEY, shard_size=1000)
    folder = models.write(tmp_path / "m", {**FILES, "model.sig": signature})
    _, bom = described(describing.settings(tmp_path), folder)
    weights = by_name(bom["metadata"]["component"]["components"])["model.safetensors"]
    content = FILES["model.safetensors"]
    assert "hashes" not in weights
    assert properties(weights)["shard"].splitlines() == [
        f"0-1000 sha256:{attesting.sha256(content[:1000])}",
        f"1000-2000 sha256:{attesting.sha256(content[1000:])}",
    ]


def test_a_model_of_the_hub(tmp_path: Path, hub: HubStandIn) -> None:
    hub.create("acme/Model")
    commit = hub.commit("acme/Model", SIGNED)
    _, bom = described(describing.settings(tmp_path), "hf://acme/Model")
    model = bom["metadata"]["component"]
    assert (model["group"], model["name"], model["version"]) == ("acme", "Model", commit)
    # The same name at the public Hub may be another model.
    assert model["purl"] == (f"pkg:huggingface/acme/Model@{commit}?repository_url={hub.endpoint}")
    assert by_name(bom["components"])["acme/base-7b"]["purl"] == "pkg:huggingface/acme/base-7b"
    assert properties(model)["model"] == "hf://acme/Model"


@pytest.mark.parametrize(
    ("endpoint", "other"),
    [
        ("https://huggingface.co/", None),
        ("https://hf.co", None),
        ("http://huggingface.co", "http://huggingface.co"),
        ("https://hub.acme.example:8443/hf/", "https://hub.acme.example:8443/hf"),
        ("https://me:secret@hub.acme.example?token=secret", "https://hub.acme.example"),
    ],
)
def test_which_hub_is_another(endpoint: str, other: str | None) -> None:
    assert other_hub(StoreSettings(options={"hf": {"endpoint": endpoint}})) == other


def test_an_attestation_is_evidence(tmp_path: Path) -> None:
    statement = attesting.statement([attesting.root_digest(SIGNATURE)])
    files = {**SIGNED, "data:a b?.intoto.jsonl": attesting.signed(statement, KEY)}
    configured = describing.settings(tmp_path, attestations={"built": "*.intoto.jsonl"})
    _, bom = described(configured, models.write(tmp_path / "m", files))
    references = {each["type"]: each for each in bom["metadata"]["component"]["externalReferences"]}
    # No URL with a scheme and a query, which whoever named the file would choose.
    assert references["attestation"]["url"] == "data%3Aa%20b%3F.intoto.jsonl"
    assert attesting.PROVENANCE in references["attestation"]["comment"]


def test_a_signature_elsewhere_does_not_tell_where(tmp_path: Path) -> None:
    folder = models.write(tmp_path / "m", FILES)
    models.write(tmp_path / "signatures", {"m.sig": SIGNATURE})
    configured = describing.settings(tmp_path, signature=str(tmp_path / "signatures" / "m.sig"))
    text, bom = described(configured, folder)
    (reference,) = bom["metadata"]["component"]["externalReferences"]
    assert reference["url"] == "m.sig"
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("x:y/a b?#.sig", "x%3Ay/a%20b%3F%23.sig"),
        ("s3://signatures/a b?.sig", "s3://signatures/a%20b%3F.sig"),
        ("https://acme.example:8443/50%.sig", "https://acme.example:8443/50%25.sig"),
        ("hf://acme/x@v1/m.sig", "hf://acme/x@v1/m.sig"),
        ("local:///home/me/m.sig", "m.sig"),
        ("file:///home/me/m.sig", "m.sig"),
        ("../mine/m.sig", "m.sig"),
        ("./mine/m.sig", "m.sig"),
        ("~me/m.sig", "m.sig"),
    ],
)
def test_the_url_of_a_signature(plain: Facts, location: str, url: str) -> None:
    assert plain.verdict.signature is not None
    signature = plain.verdict.signature.model_copy(update={"location": location})
    verdict = plain.verdict.model_copy(update={"signature": signature})
    bom = valid(write_bom(replace(plain, verdict=verdict), "1.6", MADE_AT))
    assert bom["metadata"]["component"]["externalReferences"][0]["url"] == url


@pytest.mark.parametrize(
    ("reference", "kind", "purl"),
    [
        (Reference("hf", "datasets/acme/x", revision="ab"), "data", None),
        (Reference("hf", "spaces/acme/x", revision="ab"), "application", None),
        (
            Reference("hf", "acme/x", "gguf/q4", "AB"),
            "machine-learning-model",
            "pkg:huggingface/acme/x@ab#gguf/q4",
        ),
        (
            Reference("hf", "gpt2", revision="ab"),
            "machine-learning-model",
            "pkg:huggingface/gpt2@ab",
        ),
        (Reference("s3", "bucket/models/x"), "machine-learning-model", None),
    ],
    ids=["dataset", "space", "folder", "canonical model", "prefix in S3"],
)
def test_what_a_reference_is(
    plain: Facts, reference: Reference, kind: str, purl: str | None
) -> None:
    bom = valid(write_bom(replace(plain, reference=reference), "1.6", MADE_AT))
    model = bom["metadata"]["component"]
    assert (model["type"], model.get("purl")) == (kind, purl)
    # The specification has model cards for models only.
    assert ("modelCard" in model) == (kind == "machine-learning-model")


LICENCES: dict[str, tuple[Card, list[dict[str, str]]]] = {
    "of SPDX, in capitals": (Card(licences=("MIT",)), [{"id": "MIT"}]),
    "an expression": (Card(licences=("MIT OR Apache-2.0",)), [{"expression": "MIT OR Apache-2.0"}]),
    "several": (
        Card(licences=("mit", "MIT OR Apache-2.0")),
        [{"id": "MIT"}, {"name": "MIT OR Apache-2.0"}],
    ),
    "of the Hub's": (Card(licences=("llama3.1",)), [{"name": "llama3.1"}]),
    "named": (
        Card(licences=("other",), licence_name="acme-1.0", licence_link="LICENSE"),
        [{"name": "acme-1.0", "url": "LICENSE"}],
    ),
    "named and known": (Card(licences=("mit",), licence_name="acme-1.0"), [{"id": "MIT"}]),
    "other, without a name": (Card(licences=("other",)), [{"name": "other"}]),
    "half an expression": (Card(licences=("MIT OR",)), [{"name": "MIT OR"}]),
    "brackets": (Card(licences=("(" * 500,)), [{"name": "(" * 500}]),
    "no link": (Card(licences=("mit",), licence_link="http://[x"), [{"id": "MIT"}]),
    "half an escape": (Card(licences=("mit",), licence_link="http://x/%zz"), [{"id": "MIT"}]),
    "a script": (Card(licences=("mit",), licence_link="javascript:alert(1)"), [{"id": "MIT"}]),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Of a small model."""
    folder = tmp_path_factory.mktemp("plain")
    return facts(describing.settings(folder), models.write(folder / "m", SIGNED))


@pytest.mark.parametrize("name", LICENCES)
def test_a_licence_that_is(plain: Facts, name: str) -> None:
    card, expected = LICENCES[name]
    bom = valid(write_bom(replace(plain, card=card), "1.6", MADE_AT))
    found = []
    for choice in bom["metadata"]["component"]["licenses"]:
        licence = choice.get("license", choice)
        assert licence["acknowledgement"] == "declared"
        assert "properties" not in licence
        found.append(
            {key: licence[key] for key in ("id", "name", "url", "expression") if key in licence}
        )
    assert found == expected
    # An expression has no place for them, so they are where those of all licences are.
    assert marks(bom["metadata"]["component"], "license:") == ("publisher", "README.md", "true")


TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=30)
LISTS = st.lists(
    TEXTS | st.sampled_from(["mit", "gpt2", "acme/base"]), max_size=3, unique=True
).map(tuple)


@settings(max_examples=15)
@given(
    card=st.builds(
        Card,
        licences=LISTS,
        licence_name=st.none() | TEXTS,
        licence_link=st.none() | TEXTS,
        base_models=LISTS,
        relation=st.none() | TEXTS,
        datasets=LISTS,
        task=st.none() | TEXTS,
        tags=LISTS,
        problems=LISTS,
    )
)
def test_any_card_makes_a_valid_bill(plain: Facts, card: Card) -> None:
    bom = valid(write_bom(replace(plain, card=card), "1.6", MADE_AT))
    assert len(bom.get("components", ())) == len(card.base_models) + len(card.datasets)


def test_what_is_not_valid_is_not_written(plain: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oms_gate.bom.document._model_card", lambda _: {"surprise": 1})
    with pytest.raises(OmsGateError, match=r"would not be valid CycloneDX 1\.6.*surprise"):
        write_bom(plain, "1.6", MADE_AT)


def test_each_of_many_files_is_validated(plain: Facts) -> None:
    """Files are validated some at a time; what is wrong with the last one is found, too."""
    (whole,) = plain.files[0].resources
    many = [SignedFile(f"{number:03}", 1, (whole,)) for number in range(150)]
    bom = valid(write_bom(replace(plain, files=tuple(many)), "1.6", MADE_AT))
    names = {file["name"] for file in bom["metadata"]["component"]["components"]}
    assert names.issuperset(file.path for file in many)
    bad = SignedFile("z", 1, (whole._replace(digest="no digest"),))
    with pytest.raises(OmsGateError, match="would not be valid CycloneDX"):
        write_bom(replace(plain, files=(*many, bad)), "1.6", MADE_AT)


@needs_corpus
@pytest.mark.parametrize("version", ["1.6", "1.7"])
@pytest.mark.parametrize("name", ["aiq-deploy", "rag-blueprint"])
def test_skills_of_nvidia(name: str, version: describing.Version) -> None:
    folder = CORPUS / "nvidia-skills"
    signer = {"method": "certificate", "root": "nvidia", "any_identity": True}
    configured = {
        "signature": "skill.oms.sig",
        "trust": {"certificates": {"nvidia": folder / "nv-agent-root-cert.pem"}},
        "publishers": [{"name": "NVIDIA", "models": [f"{folder}/*"], "signers": [signer]}],
    }
    _, bom = described(configured, folder / name, version)
    model = bom["metadata"]["component"]
    said = properties(model)
    assert said["signer:method"] == "certificate"
    assert "NVIDIA" in said["signer:issuer"]
    signed = [file for file in model["components"] if properties(file)["coverage"] == "signed"]
    assert all(file["hashes"] for file in signed)
    assert model["externalReferences"][0]["url"] == "skill.oms.sig"


@needs_corpus
@pytest.mark.parametrize("release", ["v1.0.1", "v1.1.0"])
def test_models_of_the_reference_implementation(release: str) -> None:
    folder = CORPUS / "oms-reference" / f"{release}-sigstore"
    signer = {
        "method": "sigstore",
        "identity": "stefanb@us.ibm.com",
        "issuer": "https://sigstore.verify.ibm.com/oauth2",
    }
    publisher = {"name": "reference", "models": [str(folder)], "signers": [signer]}
    publisher["allow_unsigned"] = ["ignore-me"]
    _, bom = described({"publishers": [publisher]}, folder)
    said = properties(bom["metadata"]["component"])
    assert said["signer:identity"] == "stefanb@us.ibm.com"
    assert said["signer:issuer"] == "https://sigstore.verify.ibm.com/oauth2"
    assert int(said["signature:log-index"]) > 0
    assert said["signature:time:transparency-log"].startswith("202")
