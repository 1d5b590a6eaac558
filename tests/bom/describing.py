"""Bills of materials for tests: of models that a test signed, read back and validated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from oms_gate import Gate
from oms_gate.bom.document import write_bom
from oms_gate.bom.facts import facts_of
from oms_gate.config import GateConfig
from oms_gate.reference import Reference
from tests import models

KEY = models.new_key()
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
CARD = b"""---
license: apache-2.0
license_link: https://www.apache.org/licenses/LICENSE-2.0
base_model: [acme/base-7b, ./local/base]
base_model_relation: finetune
datasets: [acme/corpus]
pipeline_tag: text-generation
library_name: transformers
language: [en, de]
tags: [chat]
---
# A model
"""
FILES: Mapping[str, bytes] = {
    "README.md": CARD,
    "config.json": b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": models.safetensors(2000),
    "tokenizer/vocab.txt": b"a b c",
}

Version = Literal["1.6", "1.7"]
Bom = dict[str, Any]


@cache
def _validator(version: Version) -> JsonStrictValidator:
    return JsonStrictValidator({"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}[version])


def valid(text: str, version: Version = "1.6") -> Bom:
    """What a BOM says, once it is found to be valid."""
    assert _validator(version).validate_str(text) is None
    document: Bom = json.loads(text)
    assert document["specVersion"] == version
    return document


def settings(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """A configuration that trusts KEY."""
    (tmp_path / "acme.pub").write_bytes(models.public_pem(KEY))
    signer = {"method": "key", "key": "acme"}
    return {
        "trust": {"keys": {"acme": tmp_path / "acme.pub"}, "public_good": False},
        "publishers": [
            {"name": "Acme", "models": [f"{tmp_path}/**", "hf://acme/*"], "signers": [signer]}
        ],
        **more,
    }


def described(
    configured: Mapping[str, Any],
    reference: object,
    version: Version = "1.6",
    made_at: datetime = MADE_AT,
) -> tuple[str, Bom]:
    """The BOM of a model, as text and as what it says."""
    with Gate.from_config(GateConfig.model_validate(configured)) as gate:
        facts = facts_of(gate, Reference.parse(str(reference)))
    text = write_bom(facts, version, made_at)
    return text, valid(text, version)


def properties(part: Mapping[str, Any]) -> dict[str, str]:
    """The properties of a part, without what their names begin with; repeated ones in lines."""
    found: dict[str, str] = {}
    for member in part.get("properties", ()):
        name = member["name"].removeprefix("oms-gate:")
        found[name] = "\n".join(filter(None, (found.get(name), member["value"])))
    return found


def by_name(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Components by their names."""
    return {part["name"]: part for part in parts}
