"""The JSON schemas that the specification publishes, for what is signed here and by others."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.corpus import CORPUS

SCHEMAS = "oms-spec/schemas/v1.0"
KINDS = ("bundle", "envelope", "statement", "predicate")


def assert_schema_valid(bundle: bytes) -> None:
    """Assert that a signature file, and the statement in it, are valid; it needs the corpus.

    Raises:
        jsonschema.ValidationError: one of them is not.
    """
    document = json.loads(bundle)
    validator("bundle").validate(document)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"], validate=True)
    validator("statement").validate(json.loads(payload))


@cache
def validator(kind: str) -> Any:
    """A validator of one kind of document, which knows the schemas of all."""
    schemas = {
        each: json.loads((CORPUS / SCHEMAS / f"{each}.schema.json").read_bytes()) for each in KINDS
    }
    resources = ((schema["$id"], Resource.from_contents(schema)) for schema in schemas.values())
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(schemas[kind], registry=registry)
