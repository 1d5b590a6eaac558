"""Validly signed JSON that two readers could read differently, at every level of both documents.

The statement is validly signed as it stands; the bundle around it is not signed at all, and the
signature in it stays valid.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oms_gate.oms.trust import Trust
from oms_gate.reason_codes import ReasonCode
from tests.oms import forge
from tests.oms.forge import Json, checked, encode, refused, statement

Path = tuple[str | int, ...]

ROOT = forge.issue("Root CA")
TRUST = Trust(keys=forge.trusting().keys, certificates=forge.anchored(ROOT).certificates)
HERE = "\uffff"


def bundle_by_key() -> Json:
    made = forge.key_bundle(encode(statement()))
    made["verificationMaterial"]["publicKey"]["rawBytes"] = forge.b64(forge.public_pem(forge.key()))
    return made


def bundle_by_certificate() -> Json:
    return forge.certificate_bundle(encode(statement()), forge.issue_leaf("P", ROOT), ROOT)


def as_signed(payload: bytes) -> bytes:
    return forge.signed(payload)


def as_it_is(bundle: bytes) -> bytes:
    return bundle


# A document, how its text becomes a bundle, and the reason to refuse it for.
DOCUMENTS: dict[str, tuple[Json, Callable[[bytes], bytes], ReasonCode]] = {
    "statement about files": (statement(), as_signed, ReasonCode.STATEMENT_MALFORMED),
    "statement about shards": (
        forge.sharded(["w:0:4", "w:4:5"]),
        as_signed,
        ReasonCode.STATEMENT_MALFORMED,
    ),
    "bundle by key": (bundle_by_key(), as_it_is, ReasonCode.BUNDLE_MALFORMED),
    "bundle by certificate": (bundle_by_certificate(), as_it_is, ReasonCode.BUNDLE_MALFORMED),
}


def members(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every member of every object in a document."""
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict):
            yield (*path, step)
        if isinstance(inner, dict | list):
            yield from members(inner, (*path, step))


def object_at(document: Json, path: Path) -> Any:
    node: Any = document
    for step in path:
        node = node[step]
    return node


@pytest.mark.parametrize(
    ("kind", "path"),
    [(kind, path) for kind, (document, *_) in DOCUMENTS.items() for path in members(document)],
    ids=lambda value: value if isinstance(value, str) else ".".join(map(str, value)),
)
def test_no_key_occurs_twice(kind: str, path: Path) -> None:
    """Not even with the same value, on which all readers agree."""
    document, bundled, code = DOCUMENTS[kind]
    checked(bundled(encode(document)), TRUST)
    doubled = copy.deepcopy(document)
    *folders, key = path
    node = object_at(doubled, tuple(folders))
    node[f"{key}{HERE}"] = node[key]
    text = encode(doubled).decode().replace(HERE, "")
    assert json.loads(text) == document
    assert "occurs twice" in refused(code, bundled(text.encode()), TRUST)


# Objects that the schemas leave open: what is in them is read by nobody.
OPEN: dict[str, Path] = {
    "statement about files": ("subject", 0),
    "statement about shards": ("predicate", "resources", 0),
    "bundle by key": ("verificationMaterial", "publicKey"),
    "bundle by certificate": ("verificationMaterial", "tlogEntries", 0),
}


def holding(kind: str, member: bytes) -> bytes:
    """A document with one more member, written as told, where any member may be."""
    document, bundled, _ = DOCUMENTS[kind]
    edited = copy.deepcopy(document)
    if kind == "bundle by certificate":
        edited["verificationMaterial"]["tlogEntries"] = [{}]
    object_at(edited, OPEN[kind])["more"] = HERE
    return bundled(encode(edited).replace(encode(HERE), member))


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize(
    ("sound", "attack"),
    [
        (b'"NaN"', b"NaN"),
        (b'"Infinity"', b"Infinity"),
        (b'"-Infinity"', b"-Infinity"),
        (b"1e300", b"1e400"),
        (b"-1e300", b"-1e400"),
        (b"9" * 40, b"9" * 41),
        (b"-" + b"9" * 39, b"-" + b"9" * 4000),
        (b"0." + b"9" * 38, b"0." + b"9" * 39),
        (b"10", b"010"),
        (b"1", b"+1"),
        (b"1.0", b"1."),
        (b"0.5", b".5"),
        (b"16", b"0x10"),
        (b"true", b"True"),
        (b"null", b"undefined"),
        (b'"a"', b"'a'"),
        (b"[1]", b"[1,]"),
        (b'{"a": 1}', b'{"a": 1,}'),
        (b'{"a": 1}', b"{a: 1}"),
        (b'{"a": 1, "b": 1}', b'{"a": 1, "\\u0061": 1}'),
        (b"1", b"1 /* one */"),
        (b'"\\ud83d\\ude00"', b'"\\ud83d"'),
        (b'"\\ud83d\\ude00"', b'"\\ude00\\ud83d"'),
        (b'{"\\ud83d\\ude00": 1}', b'{"\\ud83d": 1}'),
        (b'"\xf0\x9f\x98\x80"', b'"\xed\xa0\xbd\xed\xb8\x80"'),
        (b'"/"', b'"\xc0\xaf"'),
        (b'"\xc3\xa4"', b'"\xe4"'),
        (b'"\\t"', b'"\t"'),
        (b'"\\u0000"', b'"\0"'),
    ],
)
def test_a_value_has_one_reading(kind: str, sound: bytes, attack: bytes) -> None:
    checked(holding(kind, sound), TRUST)
    refused(DOCUMENTS[kind][-1], holding(kind, attack), TRUST)


@pytest.mark.parametrize("kind", OPEN)
def test_nesting_ends_at_the_limit(kind: str) -> None:
    # All the levels around the value are objects or lists of the document itself.
    left = forge.LIMITS.json_depth - len(OPEN[kind]) - 1
    checked(holding(kind, b"[" * left + b"]" * left), TRUST)
    for attack in (b"[" * (left + 1) + b"]" * (left + 1), b'{"":' * 5000 + b"1" + b"}" * 5000):
        message = refused(DOCUMENTS[kind][-1], holding(kind, attack), TRUST)
        assert "json_depth" in message


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.encode("utf-7").replace(b"{", b"+AHs-"),
        lambda text: text.encode() + b"\0",
        lambda text: text.encode() + b"{}",
        lambda text: text.encode() + b",",
        lambda text: text.encode() + b"\n// signed",
        lambda text: text.encode() + b"\xc2\xa0",
        lambda text: text.encode()[:-1],
        lambda text: b"[" + text.encode() + b"]",
        lambda text: encode(text),
    ],
)
def test_a_document_has_one_encoding_and_one_end(
    kind: str, rewrite: Callable[[str], bytes]
) -> None:
    document, bundled, code = DOCUMENTS[kind]
    text = encode(document).decode()
    for sound in (text, f" \r\n\t{text}\r\n"):
        checked(bundled(sound.encode()), TRUST)
    refused(code, bundled(rewrite(text)), TRUST)
