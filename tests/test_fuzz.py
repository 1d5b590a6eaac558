"""No input makes anything but a typed refusal, and what is accepted is what the format allows."""

from __future__ import annotations

import base64
import copy
import hashlib
import posixpath
import random
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_gate.errors import SignatureError
from oms_gate.oms import names
from oms_gate.oms.bundle import parse_bundle
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.statement import parse_statement, serialize_statement
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import inspect, verify
from tests import strategies
from tests.fuzz import seeds, trusted
from tests.fuzz.extremes import EXTREMES, cost, most_mebibytes
from tests.fuzz.mutator import changed
from tests.fuzz.target import Target
from tests.mutants.defences import MUTANTS, misplaced
from tests.oms import forge
from tests.oms.forge import LIMITS, NOW, Json, encode

TRUST = Trust(
    keys=forge.trusting().keys,
    certificates=forge.anchored(strategies.ROOT).certificates,
    sigstore={"private": strategies.SIGSTORE.root()},
)
thoroughly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def accepted(data: bytes) -> bool:
    try:
        verify(data, TRUST, at=NOW, limits=LIMITS)
    except SignatureError as error:
        assert str(error).isprintable()
        return False
    return True


# -- Only refusals


@pytest.mark.parametrize("method", strategies.METHODS)
def test_the_bundles_that_are_changed_are_sound(method: str) -> None:
    assert accepted(encode(strategies.sound_bundle(method)))


@thoroughly
@given(strategies.bundles())
def test_any_changed_bundle_is_read_or_refused(data: bytes) -> None:
    accepted(data)
    for read in (inspect, parse_bundle):
        try:
            read(data, LIMITS)
        except SignatureError as error:
            assert str(error).isprintable()


@thoroughly
@given(strategies.payloads())
def test_any_changed_statement_is_read_or_refused(payload: bytes) -> None:
    """And what is read comes back when it is written again."""
    try:
        found = parse_statement(payload, LIMITS)
    except SignatureError as error:
        assert str(error).isprintable()
        return
    again = serialize_statement(found.manifest, found.subject_name)
    assert parse_statement(again, LIMITS) == found


# -- What is accepted: a second, slower reading of the specification


def may_be_named(path: str) -> bool:
    """Whether it is a relative POSIX path in its normal form that every system reads alike."""
    return (
        "\ud800" not in path
        and 0 < len(path.encode()) <= 1024
        and all(0 < len(part.encode()) <= 255 for part in path.split("/"))
        and not any(unicodedata.category(character) == "Cc" for character in path)
        and "\\" not in path
        and posixpath.normpath(path) == path
        and not posixpath.isabs(path)
        and path.split("/")[0] not in (".", "..")
        and not (path[1:2] == ":" and path[0].isascii() and path[0].isalpha())
    )


def same_somewhere(left: str, right: str) -> bool:
    """Whether two names are one, or one the folder of the other, on some file system."""

    def key(path: str) -> list[str]:
        composed = unicodedata.normalize("NFC", path).casefold()
        return unicodedata.normalize("NFC", composed).split("/")

    first, second = sorted((key(left), key(right)), key=len)
    return second[: len(first)] == first


def is_sound(made: Json) -> bool:
    """Whether a statement of `strategies.statements` is one that a verifier may accept."""
    serialization = made["predicate"]["serialization"]
    ranges: dict[str, list[tuple[int, int]]] = {}
    size = serialization.get("shard_size")
    for entry in made["predicate"]["resources"]:
        path, start, end = entry["name"], "0", "1"
        if serialization["method"] == "shards":
            path, start, end = entry["name"].rsplit(":", 2)
        ranges.setdefault(path, []).append((int(start), int(end)))
    if not ranges:
        return False
    if serialization["method"] == "shards":
        if type(size) not in (int, float) or size != int(size) or not 0 < size < 2**63:
            return False
        for parts in ranges.values():
            length = max(end for _, end in parts)
            wanted = [
                (start, min(start + int(size), length)) for start in range(0, length, int(size))
            ]
            if length >= 2**63 or sorted(parts) != wanted:
                return False
    elif any(len(parts) > 1 for parts in ranges.values()):
        return False
    ignored = serialization.get("ignore_paths", [])
    paths = list(ranges)
    return (
        (paths == ["."] or all(map(may_be_named, paths)))
        and all(map(may_be_named, ignored))
        and not any(
            same_somewhere(left, right)
            for index, left in enumerate(paths)
            for right in paths[:index]
        )
        and not any(f"{path}/".startswith(f"{out}/") for path in paths for out in ignored)
    )


@settings(max_examples=500)
@given(strategies.hostile_names() | strategies.names())
def test_names_are_what_the_format_allows(path: str) -> None:
    assert (names.flaw(path) is None) is may_be_named(path)


@settings(max_examples=500)
@given(strategies.colliding_names())
def test_names_that_collide_are_all_found(paths: list[str]) -> None:
    pairs = [
        {left, right}
        for index, left in enumerate(paths)
        for right in paths[:index]
        if same_somewhere(left, right)
    ]
    found = names.clash(paths)
    assert set(found) in pairs if found else not pairs


@settings(max_examples=500)
@given(st.lists(strategies.names(), max_size=4), st.lists(strategies.names(), max_size=4))
def test_a_subtree_is_a_path_and_all_below_it(tops: list[str], paths: list[str]) -> None:
    subtrees = names.Subtrees(tops)
    for path in (*paths, *tops, *(f"{top}/{path}" for top in tops for path in paths)):
        assert (path in subtrees) is any(f"{path}/".startswith(f"{top}/") for top in tops)


@settings(thoroughly, max_examples=300)
@given(strategies.file_statements())
def test_statements_about_files_are_what_the_format_allows(made: Json) -> None:
    assert accepted(forge.signed(strategies.written(made))) is is_sound(made)


@settings(thoroughly, max_examples=300)
@given(strategies.shard_statements())
def test_statements_about_shards_are_what_the_format_allows(made: Json) -> None:
    assert accepted(forge.signed(strategies.written(made))) is is_sound(made)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5))
def test_the_root_is_the_digest_of_the_digests(digests: list[bytes]) -> None:
    resources = tuple(Resource(f"f{n}", digest.hex()) for n, digest in enumerate(digests))
    manifest = Manifest("files", "sha256", None, False, (), resources)
    assert manifest.root_digest == hashlib.sha256(b"".join(digests)).hexdigest()


# -- What is signed


@thoroughly
@given(st.sampled_from(strategies.METHODS), st.data())
def test_no_other_payload_than_the_signed_one(method: str, data: st.DataObject) -> None:
    """Any one byte changed, dropped or added."""
    bundle = copy.deepcopy(strategies.sound_bundle(method))
    payload = bytearray(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    position = data.draw(st.integers(0, len(payload) - 1))
    length = data.draw(st.integers(0, 1))
    payload[position : position + length] = data.draw(st.binary(max_size=1))
    bundle["dsseEnvelope"]["payload"] = forge.b64(bytes(payload))
    same = bundle == strategies.sound_bundle(method)
    assert accepted(encode(bundle)) is same


# -- Extremes


@pytest.mark.parametrize(
    "name",
    [
        "bundle_of_ascii_and_one_emoji_below_many_brackets",
        "payload_by_another_key",
        "statement_of_as_many_objects_as_are_read",
        "statement_of_as_many_keys_as_are_read",
        "statement_with_one_emoji_and_escape",
        "resources_200_000",
        "certificate_with_a_long_subject",
        "resources_in_deep_folders_with_ignored_paths",
        "ignored_paths",
        "certificates_by_many_slow_authorities",
        "log_entry_with_a_long_body",
    ],
)
def test_no_input_takes_long_or_much(name: str) -> None:
    """The most expensive ones; the bound of a second is not tested closely."""
    made = EXTREMES[name]()
    found = cost(made)
    assert found["mebibytes"] <= most_mebibytes(made)
    assert max(found["verify_seconds"], found["inspect_seconds"]) < 10


# -- The tools


def test_the_corpus_is_sound_and_holds_no_private_key() -> None:
    trust = trusted.load(seeds.TRUST)
    target = Target()
    for seed in sorted(seeds.CORPUS.iterdir()):
        verify(seed.read_bytes(), trust, at=NOW, limits=LIMITS)
        target(seed.read_bytes())
    for path in (*seeds.CORPUS.iterdir(), *seeds.TRUST.iterdir()):
        assert b"PRIVATE" not in path.read_bytes()


def test_the_target_notices_a_forgery(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    other = forge.signed(forge.statement({"other": b""}))
    target(other)
    monkeypatch.setattr(target, "_trust", forge.trusting())
    with pytest.raises(AssertionError, match="forgery"):
        target(other)


def test_changes_reach_every_layer() -> None:
    chooser = random.Random(1)
    seed = encode(strategies.sound_bundle("key"))
    reached = set()

    def note(part: bytes) -> bytes:
        reached.add(part)
        return part

    for _ in range(3000):
        changed(seed, chooser, note)
    assert seed in reached
    payload = base64.b64decode(strategies.sound_bundle("key")["dsseEnvelope"]["payload"])
    assert {payload, b"config.json"} <= reached


def test_every_mutant_can_be_made() -> None:
    assert misplaced() == []
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
