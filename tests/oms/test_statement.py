"""Validly signed statements: each attack is refused beside a twin that passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import SignatureError, StepError
from oms_gate.limits import Limits
from oms_gate.oms.digests import DIGEST_BYTES, HashType
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.statement import parse_statement, serialize_statement
from oms_gate.oms.verify import verify
from oms_gate.reason_codes import ReasonCode
from tests.oms.forge import (
    LIMITS,
    NOW,
    Json,
    changed,
    checked,
    refused,
    rooted,
    sha256,
    sharded,
    signed,
    statement,
    trusting,
)

MALFORMED = ReasonCode.STATEMENT_MALFORMED
UNSAFE = ReasonCode.STATEMENT_UNSAFE_NAME
ROOT = ReasonCode.STATEMENT_ROOT_DIGEST


def with_(path: str, value: object, made: Json | None = None) -> Json:
    """A statement in which the member at a dotted path has another value, or ... for none.

    The root digest is made to agree, unless it is what has been changed.
    """

    def change(document: Any) -> None:
        *folders, last = (int(step) if step.isdecimal() else step for step in path.split("."))
        for step in folders:
            document = document[step]
        if value is ...:
            del document[last]
        else:
            document[last] = value

    edited = changed(made or statement(), change)
    return edited if path.startswith("subject") else rooted(edited)


FIRST = "predicate.resources.0"
SETTINGS = "predicate.serialization"
EMPTY_ROOT = sha256(b"")


@pytest.mark.parametrize(
    ("path", "sound", "attack", "code"),
    [
        # The statement.
        (
            "_type",
            "https://in-toto.io/Statement/v1",
            "https://in-toto.io/Statement/v0.1",
            MALFORMED,
        ),
        ("_type", "https://in-toto.io/Statement/v1", ..., MALFORMED),
        (
            "predicateType",
            "https://model_signing/signature/v1.0",
            "https://model_signing/signature/v1.1",
            MALFORMED,
        ),
        (
            "predicateType",
            "https://model_signing/signature/v1.0",
            "https://model_signing/Digests/v0.1",
            ReasonCode.BUNDLE_UNSUPPORTED,
        ),
        ("predicateType", "https://model_signing/signature/v1.0", None, MALFORMED),
        ("predicate", statement()["predicate"], [], MALFORMED),
        # The subject.
        ("subject.0.name", "m", "", MALFORMED),
        ("subject.0.name", "m", 1, MALFORMED),
        ("subject.0.name", "m", ..., MALFORMED),
        ("subject", statement()["subject"], [], MALFORMED),
        ("subject", statement()["subject"], statement()["subject"] * 2, MALFORMED),
        ("subject", statement()["subject"], statement()["subject"][0], MALFORMED),
        ("subject.0.digest", statement()["subject"][0]["digest"], {}, MALFORMED),
        (
            "subject.0.digest",
            statement()["subject"][0]["digest"],
            {"sha512": statement()["subject"][0]["digest"]["sha256"]},
            MALFORMED,
        ),
        (
            "subject.0.digest.sha256",
            statement()["subject"][0]["digest"]["sha256"],
            statement()["subject"][0]["digest"]["sha256"].upper(),
            MALFORMED,
        ),
        (
            "subject.0.digest.sha256",
            statement()["subject"][0]["digest"]["sha256"],
            EMPTY_ROOT,
            ROOT,
        ),
        # The settings.
        (f"{SETTINGS}.method", "files", "shards", MALFORMED),
        (f"{SETTINGS}.method", "files", "digest", MALFORMED),
        (f"{SETTINGS}.hash_type", "sha256", "sha1", MALFORMED),
        (f"{SETTINGS}.hash_type", "sha256", "blake3", MALFORMED),
        (f"{SETTINGS}.hash_type", "sha256", "SHA256", MALFORMED),
        (f"{SETTINGS}.hash_type", "sha256", ..., MALFORMED),
        (f"{SETTINGS}.allow_symlinks", True, 1, MALFORMED),
        (f"{SETTINGS}.allow_symlinks", False, "false", MALFORMED),
        (f"{SETTINGS}.allow_symlinks", False, None, MALFORMED),
        (f"{SETTINGS}.allow_symlinks", False, ..., MALFORMED),
        (f"{SETTINGS}.ignore_paths", [".cache"], ".cache", MALFORMED),
        (f"{SETTINGS}.ignore_paths", [".cache"], [1], MALFORMED),
        (f"{SETTINGS}.ignore_paths", [".cache"], None, MALFORMED),
        (f"{SETTINGS}.ignore_paths", [".cache"], ["."], UNSAFE),
        (f"{SETTINGS}.ignore_paths", [".cache"], [""], UNSAFE),
        (f"{SETTINGS}.ignore_paths", ["x"], ["../x"], UNSAFE),
        (f"{SETTINGS}.ignore_paths", ["x"], ["/x"], UNSAFE),
        (f"{SETTINGS}.ignore_paths", ["x"], ["x/"], UNSAFE),
        (f"{SETTINGS}.ignore_paths", ["config.jso"], ["config.json"], MALFORMED),
        (f"{SETTINGS}.ignore_paths", ["su"], ["sub"], MALFORMED),
        # The resources.
        ("predicate.resources", statement()["predicate"]["resources"], {}, MALFORMED),
        (FIRST, statement()["predicate"]["resources"][0], "config.json", MALFORMED),
        (f"{FIRST}.name", "x", "", MALFORMED),
        (f"{FIRST}.name", "x", None, MALFORMED),
        (f"{FIRST}.name", "x", ..., MALFORMED),
        (f"{FIRST}.name", "x", "sub/vocab.txt", MALFORMED),
        (f"{FIRST}.name", "x", "./x", UNSAFE),
        (f"{FIRST}.name", "x", "../x", UNSAFE),
        (f"{FIRST}.name", "d/x", "d//x", UNSAFE),
        (f"{FIRST}.name", "x", "x/", UNSAFE),
        (f"{FIRST}.name", "x", "/x", UNSAFE),
        (f"{FIRST}.name", "d/x", "d\\x", UNSAFE),
        (f"{FIRST}.name", "x", "x\0", UNSAFE),
        (f"{FIRST}.name", "cc:x", "c:x", UNSAFE),
        (f"{FIRST}.name", "other", "MODEL.safetensors", UNSAFE),
        (f"{FIRST}.name", "other", "sub", UNSAFE),
        (f"{FIRST}.digest", "ab" * 32, "AB" * 32, MALFORMED),
        (f"{FIRST}.digest", "ab" * 32, "ab " * 32, MALFORMED),
        (f"{FIRST}.digest", "ab" * 32, "ab" * 31, MALFORMED),
        (f"{FIRST}.digest", "ab" * 32, "ab" * 64, MALFORMED),
        (f"{FIRST}.digest", "ab" * 32, ["ab"], MALFORMED),
        (f"{FIRST}.digest", "ab" * 32, ..., MALFORMED),
        (f"{FIRST}.algorithm", "sha256", "blake2b", MALFORMED),
        (f"{FIRST}.algorithm", "sha256", "sha1", MALFORMED),
        (f"{FIRST}.algorithm", "sha256", "sha256-sharded-4", MALFORMED),
        (f"{FIRST}.algorithm", "sha256", ..., MALFORMED),
    ],
)
def test_one_member(path: str, sound: object, attack: object, code: ReasonCode) -> None:
    checked(signed(with_(path, sound)))
    refused(code, signed(with_(path, attack)))


@pytest.mark.parametrize("place", ["", "predicate", SETTINGS])
def test_unknown_keys_are_refused_where_the_schema_closes_the_object(place: str) -> None:
    path = f"{place}.extra".lstrip(".")
    checked(signed(statement()))
    refused(MALFORMED, signed(with_(path, 1)))


@pytest.mark.parametrize("place", ["subject.0", FIRST])
def test_unknown_keys_are_passed_over_where_the_schema_opens_the_object(place: str) -> None:
    checked(signed(with_(f"{place}.extra", 1)))


def test_an_empty_model_is_refused() -> None:
    made = with_("predicate.resources", [])
    assert made["subject"][0]["digest"]["sha256"] == EMPTY_ROOT
    refused(MALFORMED, signed(made))
    made["predicate"]["serialization"]["ignore_paths"] = ["."]
    refused(MALFORMED, signed(made))


def test_the_order_is_part_of_the_root_digest_and_unsorted_is_noted() -> None:
    made = statement()
    assert checked(signed(made)).manifest.sorted_names
    made["predicate"]["resources"].reverse()
    refused(ROOT, signed(made))
    assert not checked(signed(rooted(made))).manifest.sorted_names


def test_shards_are_ordered_by_their_whole_names() -> None:
    """OMS v1.0, 5.2.1 and 6.4: by code point, so that 12 comes before 4."""
    by_name = ["w.json:0:2", "w:0:4", "w:12:16", "w:4:8", "w:8:12"]
    by_number = ["w:0:4", "w:4:8", "w:8:12", "w:12:16", "w.json:0:2"]
    assert checked(signed(sharded(by_name, 4))).manifest.sorted_names
    assert not checked(signed(sharded(by_number, 4))).manifest.sorted_names


@pytest.mark.parametrize(
    ("shards", "size", "algorithm"),
    [
        (["w:0:4", "w:4:8", "w:8:9"], 4, "sha256"),
        (["w:0:4", "w:4:8"], 4, "sha256-sharded-4"),
        (["w:0:4", "w:4:8"], 4.0, "sha256-sharded-4"),
        (["w:8:9", "w:0:4", "w:4:8"], 4, "sha256"),
        (["odd:0:4:name:0:4", "odd:0:4:name:4:5"], 4, "sha256"),
        ([".:0:3"], 4, "sha256"),
        ([f"w:0:{2**63 - 1}"], 2**63 - 1, "sha256"),
    ],
)
def test_shards_are_read(shards: list[str], size: object, algorithm: str) -> None:
    manifest = checked(signed(sharded(shards, size, algorithm))).manifest
    assert manifest.serialization == "shards"
    (path,) = manifest.files
    assert path == shards[0].rsplit(":", 2)[0]
    assert manifest.files[path][-1].end == max(int(name.rsplit(":", 1)[1]) for name in shards)


@pytest.mark.parametrize(
    ("sound", "attack"),
    [
        ({"ranges": ["w:0:4", "w:4:8"]}, {"ranges": ["w:0:4", "w:5:8"]}),
        ({"ranges": ["w:0:4", "w:4:8"]}, {"ranges": ["w:0:4", "w:3:7"]}),
        ({"ranges": ["w:0:4", "w:4:8"]}, {"ranges": ["w:0:4", "w:0:4"]}),
        ({"ranges": ["w:0:4", "w:4:8"]}, {"ranges": ["w:0:4", "w:4:8", "w:4:8"]}),
        ({"ranges": ["w:0:4", "w:4:8"]}, {"ranges": ["w:4:8"]}),
        ({"ranges": ["w:0:4", "w:4:7"]}, {"ranges": ["w:0:3", "w:3:7"]}),
        ({"ranges": ["w:0:4", "w:4:7"]}, {"ranges": ["w:0:4", "w:4:9"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:5"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:0"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:4:0"]}),
        ({"ranges": ["w:0:4", "w:4:5"]}, {"ranges": ["w:0:4", "w:4:4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w: 0:4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0: 4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:4 "]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:+4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w: 0:+4"]}),
        ({"ranges": ["w:0:8"], "shard_size": 8}, {"ranges": ["w:0:0_8"], "shard_size": 8}),
        ({"ranges": ["w:0:10"], "shard_size": 10}, {"ranges": ["w:0:1_0"], "shard_size": 10}),
        ({"ranges": ["w:0:10"], "shard_size": 16}, {"ranges": ["w:0:1e1"], "shard_size": 16}),
        ({"ranges": ["w:0:16"], "shard_size": 16}, {"ranges": ["w:0:0x10"], "shard_size": 16}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:4.0"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:04"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:00:4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:-0:4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:-4:4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:\u0664"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:\uff14"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:\u00b2"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:4\n"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w::4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0:"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": ["w:0-4"]}),
        ({"ranges": ["w:0:4"]}, {"ranges": [":0:4"]}),
        (
            {"ranges": [f"w:0:{2**63 - 1}"], "shard_size": 2**63 - 1},
            {"ranges": [f"w:0:{2**63}"], "shard_size": 2**63 - 1},
        ),
        (
            {"ranges": [f"w:0:{2**63 - 1}"], "shard_size": 2**63 - 1},
            {"ranges": [f"w:0:{2**63 - 1}"], "shard_size": 2**63},
        ),
        ({"shard_size": 4}, {"shard_size": 0}),
        ({"shard_size": 4}, {"shard_size": -4}),
        ({"shard_size": 4}, {"shard_size": 4.5}),
        ({"shard_size": 4.0}, {"shard_size": 4.000001}),
        ({"shard_size": 4}, {"shard_size": "4"}),
        ({"shard_size": 4}, {"shard_size": [4]}),
        ({"shard_size": 4}, {"shard_size": None}),
        ({"shard_size": 4}, {"shard_size": 2**63}),
        ({"shard_size": 4}, {"shard_size": 10**39}),
        (
            {"ranges": ["w:0:1"], "shard_size": 1},
            {"ranges": ["w:0:1"], "shard_size": True},
        ),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "sha256-sharded-8"}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "sha256-sharded-04"}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "sha256-sharded-4.5"}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "sha256-sharded-"}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "sha256-sharded-4 "}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "SHA256-sharded-4"}),
        ({"algorithm": "sha256-sharded-4"}, {"algorithm": "blake3-sharded-4"}),
        ({"algorithm": "sha256"}, {"algorithm": "blake3"}),
    ],
)
def test_bad_shards_are_refused(sound: dict[str, Any], attack: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"ranges": ["w:0:4"], "shard_size": 4, "algorithm": "sha256"}
    checked(signed(sharded(**usual | sound)))
    refused(MALFORMED, signed(sharded(**usual | attack)))


@pytest.mark.parametrize(
    ("sound", "attack"),
    [
        ("w:0:4", "../w:0:4"),
        ("d/w:0:4", "d//w:0:4"),
        ("w:0:4", "/w:0:4"),
        ("w:0:4", "./w:0:4"),
        ("cc:0:4:0:4", "c:0:4:0:4"),
    ],
)
def test_unsafe_shard_names_are_refused(sound: str, attack: str) -> None:
    checked(signed(sharded([sound])))
    refused(UNSAFE, signed(sharded([attack])))


def test_the_range_is_the_last_two_parts_of_a_shards_name() -> None:
    names = ["path with:colon:0:4", "path with:colon:4:6", "path with:0:4", "path with::0:4"]
    manifest = checked(signed(sharded(names))).manifest
    assert {path: manifest.files[path][-1].end for path in manifest.files} == {
        "path with:colon": 6,
        "path with": 4,
        "path with:": 4,
    }


def test_shard_size_goes_with_shards_only() -> None:
    for made in (statement(), sharded(["w:0:4"])):
        checked(signed(made))
    refused(MALFORMED, signed(with_(f"{SETTINGS}.shard_size", 4)))
    refused(MALFORMED, signed(with_(f"{SETTINGS}.shard_size", None)))
    refused(MALFORMED, signed(with_(f"{SETTINGS}.shard_size", ..., sharded(["w:0:4"]))))


@pytest.mark.parametrize(
    ("hash_type", "algorithm", "means"),
    [
        ("sha256", "sha256", "sha256"),
        ("blake2b", "blake2b", "blake2b"),
        ("blake2b", "blake2", "blake2b"),
        ("blake2", "blake2b", "blake2b"),
        ("blake2", "blake2", "blake2b"),
        ("blake3", "blake3", "blake3"),
    ],
)
def test_the_reference_implementations_spellings_are_understood(
    hash_type: str, algorithm: str, means: HashType
) -> None:
    made = statement()
    made["predicate"]["serialization"]["hash_type"] = hash_type
    for entry in made["predicate"]["resources"]:
        entry |= {"algorithm": algorithm, "digest": "ab" * DIGEST_BYTES[means]}
    assert checked(signed(rooted(made))).manifest.hash_type == means
    made["predicate"]["resources"][0]["algorithm"] = "sha256" if means != "sha256" else "blake3"
    refused(MALFORMED, signed(rooted(made)))


def test_values_are_counted_before_they_are_decoded() -> None:
    def extended(count: int) -> bytes:
        return signed(with_(f"{FIRST}.annotations", ["x"] * count))

    limits = Limits(resources=len(statement()["predicate"]["resources"]))
    verify(extended(9_000), trusting(), at=NOW, limits=limits)
    with pytest.raises(SignatureError, match=r"values \(limits\.resources\)") as caught:
        verify(extended(11_000), trusting(), at=NOW, limits=limits)
    assert caught.value.reason.code is MALFORMED
    verify(extended(11_000), trusting(), at=NOW, limits=Limits())
    # Each name has as many commas as an entry has values of its own.
    names = {f"{number},,,,": b"" for number in range(3000)}
    verify(signed(statement(names)), trusting(), at=NOW, limits=Limits(resources=3000))


def test_limits_are_denials() -> None:
    data = signed(statement())
    count = len(statement()["predicate"]["resources"])
    verify(data, trusting(), at=NOW, limits=Limits(resources=count))
    with pytest.raises(SignatureError, match=r"limits\.resources") as caught:
        verify(data, trusting(), at=NOW, limits=Limits(resources=count - 1))
    assert caught.value.reason.code is MALFORMED
    ignored = [f"ignored-{number}" for number in range(count + 1)]
    for paths, most in ((ignored, count + 1), (ignored[1:], count)):
        data = signed(with_(f"{SETTINGS}.ignore_paths", paths))
        verify(data, trusting(), at=NOW, limits=Limits(resources=most))
    with pytest.raises(SignatureError, match=r"in ignore_paths, but limits\.resources"):
        verify(
            signed(with_(f"{SETTINGS}.ignore_paths", ignored)),
            trusting(),
            at=NOW,
            limits=Limits(resources=count),
        )
    nested: Any = 1
    for _ in range(40):
        nested = [nested]
    message = refused(MALFORMED, signed(with_("subject.0.extra", nested)))
    assert "json_depth" in message


def test_names_in_messages_are_quoted() -> None:
    message = refused(UNSAFE, signed(with_(f"{FIRST}.name", "\x1b[2J\u202e../x")))
    assert message.isprintable()


NAMES = st.lists(
    st.text("abc/\u00e9.:", min_size=1, max_size=6), min_size=1, max_size=5, unique=True
)


@given(NAMES, st.booleans(), st.sampled_from(["sha256", "blake2b", "blake3"]), st.text(min_size=1))
def test_what_is_written_is_read_back(
    paths: list[str], allow_symlinks: bool, hash_type: HashType, subject: str
) -> None:
    digest = "0f" * DIGEST_BYTES[hash_type]
    resources = tuple(Resource(path, digest) for path in paths)
    try:
        manifest = Manifest("files", hash_type, None, allow_symlinks, (".cache",), resources)
    except SignatureError:
        return
    payload = serialize_statement(manifest, subject)
    assert payload == serialize_statement(manifest, subject)
    read = parse_statement(payload, LIMITS)
    assert (read.manifest, read.subject_name) == (manifest, subject)


def edits() -> st.SearchStrategy[tuple[str, object]]:
    places = st.sampled_from(
        ["subject.0.name", "predicateType", SETTINGS, f"{SETTINGS}.ignore_paths", f"{FIRST}.name"]
    )
    values = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
    )
    return st.tuples(places, values)


@given(edits())
def test_any_signed_statement_is_read_or_refused(edit: tuple[str, object]) -> None:
    payload = json.dumps(with_(*edit)).encode()
    try:
        checked(signed(payload))
    except StepError:
        return


@given(st.binary(min_size=1))
def test_any_signed_bytes_are_refused(payload: bytes) -> None:
    refused(MALFORMED, signed(payload))
