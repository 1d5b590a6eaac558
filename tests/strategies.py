"""Hypothesis strategies: names, statements, shard sets and bundles, sound ones and hostile ones."""

from __future__ import annotations

import json
from functools import cache
from random import Random

from hypothesis import strategies as st

from tests.fuzz.mutator import changed
from tests.oms import forge
from tests.oms.forge import Json, encode
from tests.sigstore.instance import Sigstore

METHODS = ("key", "certificate", "sigstore")
SIGSTORE = Sigstore()
ROOT = forge.issue("root")
LEAF = forge.issue_leaf("leaf", ROOT)

_SEGMENTS = st.sampled_from(
    [
        *("a", "A", "b", "a.b", "...", "a:0:4", "x" * 255),
        *("\u00e9", "e\u0301", "\u00c9", "\u00df", "ss", "\u4e2d"),
    ]
) | st.text("aAb\u00e9 .-:", min_size=1, max_size=4)
_HOSTILE = st.sampled_from(
    [
        *("", ".", "..", "c:", "C:x", "a\\b", "x" * 256, "\u00e9" * 128),
        *("a\0", "\x1b[2J", "\x85", "\u202e", "\ud800"),
    ]
)


def names() -> st.SearchStrategy[str]:
    """Relative paths, most of which are sound."""
    return st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join)


def hostile_names() -> st.SearchStrategy[str]:
    """Paths with at least one part that is likely to be unsound, and plain noise."""
    parts = st.lists(_SEGMENTS | _HOSTILE, min_size=1, max_size=4).map("/".join)
    return parts | st.text(max_size=6) | st.sampled_from(["/a", "a/", "a//b", "a/" * 512 + "a"])


@st.composite
def shard_names(draw: st.DrawFn) -> tuple[list[str], object]:
    """Names of byte ranges and the shard size: whole sets, and sets with one thing wrong."""
    size = draw(st.sampled_from([1, 2, 4, 4.0, 2**62, 2**63 - 1]))
    step = int(size)
    ranges = []
    for path in draw(st.lists(names(), min_size=1, max_size=3, unique=True)):
        end = draw(st.integers(1, 3 * step))
        ranges += [(path, start, min(start + step, end)) for start in range(0, end, step)]
    for _ in range(draw(st.integers(0, 2))):
        index = draw(st.integers(0, len(ranges) - 1))
        path, start, end = ranges[index]
        edit = draw(st.sampled_from(["drop", "twice", "start", "end", "split", "swap", "path"]))
        by = draw(st.sampled_from([-1, 1, step, -step]))
        if edit == "drop" and len(ranges) > 1:
            del ranges[index]
        elif edit == "twice":
            ranges.append(ranges[index])
        elif edit == "start":
            ranges[index] = path, start + by, end
        elif edit == "end":
            ranges[index] = path, start, end + by
        elif edit == "split":
            ranges[index : index + 1] = [(path, start, start + 1), (path, start + 1, end)]
        elif edit == "swap":
            ranges.append(ranges.pop(index))
        elif edit == "path":
            ranges[index] = draw(names()), start, end
    stated: object = draw(
        st.sampled_from([size, size, size, size, 0, -1, 4.5, 2**63, True, None, "4"])
    )
    return [f"{path}:{start}:{end}" for path, start, end in ranges], stated


def colliding_names() -> st.SearchStrategy[list[str]]:
    """A few different names that are much alike."""
    alike = st.sampled_from(["a", "A", "b", "\u00e9", "e\u0301", "\u00c9", "\u00df", "ss", "a.b"])
    paths = st.lists(alike, min_size=1, max_size=2).map("/".join)
    return st.lists(paths, min_size=2, max_size=3, unique=True)


def file_statements() -> st.SearchStrategy[Json]:
    """Statements about whole files, each with the right root digest."""
    several = st.lists(names(), min_size=1, max_size=3) | colliding_names()
    paths = several | st.lists(names() | hostile_names(), max_size=3)
    nothing: list[str] = []
    ignored = (
        st.just(nothing) | st.lists(names(), max_size=2) | st.lists(hostile_names(), max_size=1)
    )

    def stated(found: tuple[list[str], list[str]]) -> Json:
        made = forge.statement()
        first = made["predicate"]["resources"][0]
        made["predicate"]["resources"] = [{**first, "name": path} for path in found[0]]
        made["predicate"]["serialization"]["ignore_paths"] = found[1]
        return forge.rooted(made)

    return st.tuples(paths, ignored).map(stated)


def shard_statements() -> st.SearchStrategy[Json]:
    """Statements about byte ranges, each with the right root digest."""
    return shard_names().map(lambda found: forge.sharded(*found))


def statements() -> st.SearchStrategy[Json]:
    """Statements of both kinds."""
    return file_statements() | shard_statements()


def choosers() -> st.SearchStrategy[Random]:
    """Chance for edits.

    How often one is asked depends on the text, and signatures differ from run to run, so every
    question cannot be a draw of its own.
    """
    return st.builds(Random, st.integers(0, 2**32 - 1))


def payloads() -> st.SearchStrategy[bytes]:
    """Statements as text, most of them with a few changes that no signer makes."""
    return st.tuples(statements().map(written), st.integers(0, 3), choosers()).map(_edited)


@st.composite
def bundles(draw: st.DrawFn) -> bytes:
    """Bundles of each method: validly signed ones, and what a few changes make of those."""
    method = draw(st.sampled_from(METHODS))
    made = sound_bundle(method)
    if method != "sigstore" and draw(st.booleans()):
        payload = draw(payloads())
        made = (
            forge.key_bundle(payload)
            if method == "key"
            else forge.certificate_bundle(payload, LEAF, ROOT)
        )
    return _edited((encode(made), draw(st.integers(0, 3)), draw(choosers())))


@cache
def sound_bundle(method: str) -> Json:
    """A valid bundle of a method, the same each time."""
    payload = encode(forge.statement())
    if method == "key":
        return forge.key_bundle(payload)
    if method == "certificate":
        return forge.certificate_bundle(payload, LEAF, ROOT)
    return SIGSTORE.sign(payload, stamped=True)


def written(made: Json) -> bytes:
    """A statement as text."""
    # A lone surrogate has no UTF-8, so it can only be written as an escape.
    return json.dumps(made).encode()


def _edited(of: tuple[bytes, int, Random]) -> bytes:
    data, count, chooser = of

    def scratched(part: bytes) -> bytes:
        """Some bytes dropped, doubled or replaced, such as a member that comes to be twice."""
        start = chooser.randint(0, len(part))
        end = min(len(part), start + chooser.choice([0, 1, 1, 4, 40]))
        middle = [b"", part[start:end] * 2, bytes([chooser.randint(0, 255)]), b"\\ud800", b'"a":1,']
        return part[:start] + chooser.choice(middle) + part[end:]

    for _ in range(count):
        data = changed(data, chooser, scratched)
    return data
