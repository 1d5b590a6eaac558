"""A manifest that exists is sound: the same rules for who reads and for who signs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import SignatureError
from oms_gate.oms.digests import DIGEST_BYTES, HASH_TYPES, HashType
from oms_gate.oms.manifest import LARGEST_OFFSET, Manifest, Resource
from oms_gate.reason_codes import ReasonCode

DIGEST = "ab" * 32


def whole(*paths: str, **differences: Any) -> Manifest:
    sound = Manifest("files", "sha256", None, False, (), (Resource("x", DIGEST),))
    if paths:
        differences["resources"] = tuple(Resource(path, DIGEST) for path in paths)
    return replace(sound, **differences)


def shards(ranges: Sequence[tuple[str, int, int]], size: int | None = 4) -> Manifest:
    resources = tuple(Resource(path, DIGEST, start, end) for path, start, end in ranges)
    return Manifest("shards", "sha256", size, False, (), resources)


def refused(code: ReasonCode, make: Any) -> str:
    with pytest.raises(SignatureError) as caught:
        make()
    assert caught.value.reason.code is code
    return str(caught.value)


def test_files_are_found_by_path() -> None:
    manifest = whole("b", "a/c", "a.d")
    assert list(manifest.files) == ["b", "a/c", "a.d"]
    assert manifest.files["b"] == (Resource("b", DIGEST),)
    assert manifest.files["b"][-1].end is None
    assert not manifest.sorted_names
    assert whole("a.d", "a/c", "b").sorted_names
    with pytest.raises((TypeError, FrozenInstanceError)):
        manifest.files["z"] = ()  # type: ignore[index]


def test_the_root_digest_is_sha256_in_listed_order_for_every_hash_type() -> None:
    for hash_type in HASH_TYPES:
        digests = [bytes([value]) * DIGEST_BYTES[hash_type] for value in (2, 1)]
        resources = tuple(
            Resource(path, digest.hex()) for path, digest in zip("ba", digests, strict=True)
        )
        manifest = whole(hash_type=hash_type, resources=resources)
        assert manifest.root_digest == hashlib.sha256(b"".join(digests)).hexdigest()
        reverse = whole(hash_type=hash_type, resources=resources[::-1])
        assert reverse.root_digest != manifest.root_digest


def test_scope_is_told_by_whom() -> None:
    manifest = whole(ignore_paths=("cache", "a/b", "model.sig"))
    for path, scope in {
        "x": None,
        ".git": "default",
        ".git/config": "default",
        ".gitignore": "default",
        ".gitattributes": "default",
        ".github/workflows/x.yml": "default",
        ".github": "default",
        # Left out as files only: a folder of that name is nothing special.
        ".gitattributes/x.py": None,
        ".gitignore/x.py": None,
        ".gitmodules": None,
        "sub/.git": None,
        "sub/.github/x": None,
        "cache": "signer",
        "cache/deep/x": "signer",
        "cached": None,
        "sub/cache": None,
        "a": None,
        "a/b": "signer",
        "a/b/c": "signer",
        "a/bc": None,
        "model.sig": "signer",
        "MODEL.SIG": None,
    }.items():
        assert manifest.excludes(path) == scope, path


@pytest.mark.parametrize(
    "attack",
    [
        {"hash_type": "md5"},
        {"resources": ()},
        {"resources": (Resource("x", DIGEST), Resource("x", DIGEST))},
        {"resources": (Resource("x", DIGEST, 0, 4),)},
        {"resources": (Resource("x", DIGEST.upper()),)},
        {"resources": (Resource("x", DIGEST[:-2]),)},
        {"resources": (Resource("x", DIGEST + "ab"),)},
        {"resources": (Resource("x", DIGEST[:-2] + " b"),)},
        {"resources": (Resource("x", DIGEST[:-1] + "\u0661"),)},
        {"resources": (Resource("x", ""),)},
        {"hash_type": "blake2b"},
        {"shard_size": 4},
        {"ignore_paths": ("x",)},
        {"resources": (Resource("a/b/c", DIGEST),), "ignore_paths": ("a",)},
    ],
)
def test_manifests_that_mean_nothing_are_refused(attack: dict[str, Any]) -> None:
    whole()
    refused(ReasonCode.STATEMENT_MALFORMED, lambda: whole(**attack))


@pytest.mark.parametrize(
    ("sound", "attack"),
    [
        (("a", "b"), ("a", "../b")),
        (("a", "b"), ("a", ".")),
        (("a", "b"), ("a", "A")),
        (("a", "b"), ("a", "a/b")),
        (("b", "a"), ("b", "/a")),
    ],
)
def test_unsafe_names_are_refused(sound: tuple[str, ...], attack: tuple[str, ...]) -> None:
    whole(*sound)
    refused(ReasonCode.STATEMENT_UNSAFE_NAME, lambda: whole(*attack))


@pytest.mark.parametrize("path", ["", ".", "..", "../x", "/x", "a/", "./a", "a//b", "a\\b", "a\0"])
def test_unsafe_ignored_paths_are_refused(path: str) -> None:
    whole(ignore_paths=("model.sig", ".cache", "a/b", "gone"))
    refused(ReasonCode.STATEMENT_UNSAFE_NAME, lambda: whole(ignore_paths=(path,)))


def test_a_single_file_may_be_called_by_a_dot() -> None:
    assert list(whole(".").files) == ["."]
    assert shards([(".", 0, 4), (".", 4, 6)]).files["."][-1].end == 6


SIZES = st.integers(1, 40)


@given(st.dictionaries(st.text("bcd", min_size=1, max_size=3), SIZES, min_size=1), SIZES, st.data())
def test_shards_that_cover_a_file_are_sound_and_all_others_are_not(
    sizes: dict[str, int], size: int, data: st.DataObject
) -> None:
    ranges = [
        (path, start, min(start + size, length))
        for path, length in sizes.items()
        for start in range(0, length, size)
    ]
    ranges = data.draw(st.permutations(ranges))
    manifest = shards(ranges, size)
    assert {path: manifest.files[path][-1].end for path in sizes} == sizes
    for path, parts in manifest.files.items():
        assert [part.path for part in parts] == [path] * len(parts)
        assert [part.start for part in parts] == list(range(0, sizes[path], size))
    names = [":".join(map(str, part)) for part in ranges]
    assert [resource.name for resource in manifest.resources] == names
    assert manifest.sorted_names is (names == sorted(names))

    index = data.draw(st.integers(0, len(ranges) - 1))
    path, start, end = ranges[index]
    broken = {
        "twice": [*ranges, ranges[index]],
        "overlap": [*ranges, (path, start, start + 1)],
        "longer": [*ranges[:index], (path, start, start + size + 1), *ranges[index + 1 :]],
        "empty": [*ranges, (path, sizes[path], sizes[path])],
        "backwards": [*ranges[:index], (path, end, start), *ranges[index + 1 :]],
        "late": [*ranges[:index], (path, start + 1, end + 1), *ranges[index + 1 :]],
        "beyond": [*ranges, (path, sizes[path] + 1, sizes[path] + 2)],
    }
    if end < sizes[path]:
        broken["gap"] = [*ranges[:index], *ranges[index + 1 :]]
        broken["short"] = [*ranges[:index], (path, start, end - 1), *ranges[index + 1 :]]
    attack = data.draw(st.sampled_from(sorted(broken)))
    refused(ReasonCode.STATEMENT_MALFORMED, lambda: shards(broken[attack], size))


@pytest.mark.parametrize("size", [None, 0, -1, 2**63])
def test_shard_sizes_have_bounds(size: int | None) -> None:
    assert shards([("x", 0, 4)], LARGEST_OFFSET).files["x"][-1].end == 4
    assert shards([("x", 0, LARGEST_OFFSET)], LARGEST_OFFSET).files["x"][-1].end == LARGEST_OFFSET
    refused(ReasonCode.STATEMENT_MALFORMED, lambda: shards([("x", 0, 4)], size))


def test_messages_quote_strangers_safely_and_briefly() -> None:
    message = refused(
        ReasonCode.STATEMENT_UNSAFE_NAME, lambda: whole("\x1b[2J\u202e" + "a" * 100_000)
    )
    assert message.isprintable()
    assert len(message) < 500


def test_hash_types_are_the_three_of_the_specification() -> None:
    expected: tuple[HashType, ...] = ("sha256", "blake2b", "blake3")
    assert expected == HASH_TYPES
