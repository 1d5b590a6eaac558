"""What a validly signed statement covers: its root digest, its hash types, what it leaves out."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from blake3 import blake3

from oms_gate.errors import SignatureError
from oms_gate.limits import Limits
from oms_gate.oms.digests import DIGEST_BYTES, HASH_TYPES, HashType
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
    sharded,
    signed,
    statement,
    trusting,
)

MALFORMED = ReasonCode.STATEMENT_MALFORMED
UNSAFE = ReasonCode.STATEMENT_UNSAFE_NAME
ROOT = ReasonCode.STATEMENT_ROOT_DIGEST


# -- The root digest


def hashed_with(hash_type: HashType, **differences: str) -> Json:
    """A statement whose digests have the length of another hash function."""
    made = statement()
    made["predicate"]["serialization"]["hash_type"] = hash_type
    for number, entry in enumerate(made["predicate"]["resources"]):
        digest = bytes([number, 255]) * (DIGEST_BYTES[hash_type] // 2)
        entry |= {"algorithm": hash_type, "digest": digest.hex(), **differences}
    return rooted(made)


def root_of(made: Json, hasher: Any = hashlib.sha256, *, order: int = 1, text: bool = False) -> str:
    digests = [entry["digest"] for entry in made["predicate"]["resources"]][::order]
    joined = "".join(digests)
    return str(hasher(joined.encode() if text else bytes.fromhex(joined)).hexdigest())


@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda made: root_of(made, order=-1),
        lambda made: root_of(made, text=True),
        lambda made: root_of(made, blake3),
        lambda made: root_of(made, lambda data: hashlib.blake2b(data, digest_size=32)),
        lambda made: root_of(made, lambda data: hashlib.sha256(hashlib.sha256(data).digest())),
        lambda made: made["predicate"]["resources"][0]["digest"][:64],
        lambda _: hashlib.sha256(b"").hexdigest(),
        lambda made: root_of(made)[:-1],
        lambda made: root_of(made) + "00",
        lambda _: "0" * 64,
    ],
    ids=[
        "another order",
        "over hex",
        "BLAKE3",
        "BLAKE2b",
        "twice",
        "of one file",
        "of nothing",
        "short",
        "long",
        "zero",
    ],
)
def test_the_root_is_sha256_over_raw_digests_in_listed_order(
    hash_type: HashType, wrong: Any
) -> None:
    made = hashed_with(hash_type)
    assert root_of(made) == checked(signed(made)).manifest.root_digest
    attack = changed(made, lambda m: m["subject"][0]["digest"].update(sha256=wrong(made)))
    refused(ROOT, signed(attack))


def test_other_digests_of_the_subject_do_not_stand_in_for_the_root() -> None:
    made = statement()
    root = made["subject"][0]["digest"]["sha256"]
    for others in ({"sha512": "ab" * 64}, {"blake2b": root}, {"dirHash": root}):
        checked(signed(changed(made, lambda m, o=others: m["subject"][0]["digest"].update(o))))  # type: ignore[misc]
        wrong = {"sha256": "0" * 64, **others}
        refused(ROOT, signed(changed(made, lambda m, w=wrong: m["subject"][0].update(digest=w))))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["another-org/another-model", "original", ".", "\U0001f917"])
def test_the_subjects_name_means_nothing(name: str) -> None:
    verified = checked(signed(changed(statement(), lambda m: m["subject"][0].update(name=name))))
    assert verified.subject_name == name
    assert verified.manifest == checked(signed(statement())).manifest


@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize("algorithm", ["sha1", "md5", "sha512", "blake2s", "SHA256", "sha-256", ""])
def test_all_files_have_the_hash_of_the_manifest(hash_type: HashType, algorithm: str) -> None:
    checked(signed(hashed_with(hash_type)))
    refused(MALFORMED, signed(hashed_with(hash_type, algorithm=algorithm)))
    made = hashed_with(hash_type)
    made["predicate"]["resources"][-1]["algorithm"] = algorithm
    refused(MALFORMED, signed(made))
    made = hashed_with(hash_type)
    made["predicate"]["serialization"]["hash_type"] = algorithm
    refused(MALFORMED, signed(made))
    for other in set(HASH_TYPES) - {hash_type}:
        refused(MALFORMED, signed(hashed_with(hash_type, algorithm=other)))


@pytest.mark.parametrize("hash_type", HASH_TYPES)
@pytest.mark.parametrize(
    "rewrite",
    [
        lambda digest: digest.upper(),
        lambda digest: digest[:-2],
        lambda digest: digest[:-1],
        lambda digest: digest + "00",
        lambda digest: f" {digest[1:]}",
        lambda digest: f"{digest[:-1]}\n",
        lambda digest: f"{digest[:8]} {digest[9:]}",
        lambda digest: f"{digest[:8]}  {digest[8:]}",
        lambda digest: f"0x{digest[2:]}",
        lambda digest: f"{digest[:-1]}\uff10",
        lambda digest: f"{digest[:-1]}g",
        lambda _: "",
    ],
)
def test_digests_are_lower_case_hex_of_their_length(hash_type: HashType, rewrite: Any) -> None:
    """The root digest agrees with what a lax reader of hex would make of them."""
    made = hashed_with(hash_type)
    checked(signed(made))
    entry = made["predicate"]["resources"][0]
    entry["digest"] = rewrite(entry["digest"])
    refused(MALFORMED, signed(rooted(made)))


# -- What is left out


def ignoring(paths: object, *files: str) -> Json:
    made = statement(dict.fromkeys(files or ("model.safetensors",), b"x"))
    made["predicate"]["serialization"]["ignore_paths"] = paths
    return made


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (["."], UNSAFE),
        ([""], UNSAFE),
        (["./"], UNSAFE),
        (["./cache"], UNSAFE),
        (["cache/."], UNSAFE),
        (["cache/"], UNSAFE),
        (["cache//deep"], UNSAFE),
        ([".."], UNSAFE),
        (["../x"], UNSAFE),
        (["cache/../.."], UNSAFE),
        (["/"], UNSAFE),
        (["/cache"], UNSAFE),
        (["C:/cache"], UNSAFE),
        (["cache\\deep"], UNSAFE),
        (["cache\0"], UNSAFE),
        (["cache", "."], UNSAFE),
        (["model.safetensors"], MALFORMED),
        ("cache", MALFORMED),
        ("", MALFORMED),
        (None, MALFORMED),
        (True, MALFORMED),
        ({"cache": True}, MALFORMED),
        ([None], MALFORMED),
        ([["cache"]], MALFORMED),
        ([1], MALFORMED),
    ],
)
def test_ignored_paths_are_a_list_of_plain_relative_paths(attack: object, code: ReasonCode) -> None:
    manifest = checked(signed(ignoring(["cache"]))).manifest
    assert manifest.excludes("cache/x") == "signer"
    refused(code, signed(ignoring(attack)))
    # It does not take a manifest that lists nothing else to be refused for.
    checked(signed(ignoring([])))


@pytest.mark.parametrize("pattern", ["*", "**", "*.py", "?.py", "[a-z].py", "*/*", "{x,a}.py"])
def test_ignored_paths_are_no_patterns(pattern: str) -> None:
    manifest = checked(signed(ignoring([pattern], "a.py", "sub/a.py"))).manifest
    for path in ("x.py", "b", "sub/x.py", "model.safetensors"):
        assert manifest.excludes(path) is None
    assert manifest.excludes(pattern) == "signer"
    refused(MALFORMED, signed(ignoring([pattern], "a.py", pattern)))


@pytest.mark.parametrize(
    ("ignored", "hidden", "seen"),
    [
        ("extra", ["extra", "extra/x", "extra/a/b"], ["extras", "extra.py", "sub/extra", "Extra"]),
        ("sub/extra", ["sub/extra/x"], ["sub", "sub/x", "extra", "extra/x", "sub/extras"]),
        ("\u00e9", ["\u00e9/x"], ["e\u0301", "e\u0301/x", "\u00c9/x"]),
        (".cache", [".cache/x"], ["cache/x", "sub/.cache/x"]),
        ("model.sig", ["model.sig", "model.sig/x"], ["sub/model.sig", "MODEL.SIG", "x.sig"]),
    ],
)
def test_an_ignored_path_is_itself_and_all_below_it(
    ignored: str, hidden: list[str], seen: list[str]
) -> None:
    manifest = checked(signed(ignoring([ignored], "signed"))).manifest
    assert {path: manifest.excludes(path) for path in (*hidden, *seen)} == {
        **dict.fromkeys(hidden, "signer"),
        **dict.fromkeys(seen),
    }
    checked(signed(ignoring([ignored], *seen[:1])))
    for path in hidden:
        refused(MALFORMED, signed(ignoring([ignored], path)))


# -- Many shards


def test_a_shard_for_each_byte_takes_no_longer_than_it_must() -> None:
    """A reader that looks for each shard among all others takes half a minute; this one less than
    one second, so that even a busy machine can tell."""
    ranges = (f"w:{start}:{start + 1}" for start in range(40_000))
    data = signed(sharded(ranges, shard_size=1))
    began = time.process_time()
    assert checked(data).manifest.files["w"][-1].end == 40_000
    assert time.process_time() - began < 10


def test_more_shards_than_the_limit_are_refused() -> None:
    data = signed(sharded((f"w:{start}:{start + 1}" for start in range(11)), shard_size=1))
    verify(data, trusting(), at=NOW, limits=Limits(resources=11))
    with pytest.raises(SignatureError, match=r"limits\.resources"):
        verify(data, trusting(), at=NOW, limits=Limits(resources=10))
    assert LIMITS.resources < 300_000
