"""Expensive statements, validly signed: what they list, and what they leave out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.limits import MIB, Limits
from oms_gate.oms import old_format
from oms_gate.oms.statement import OLD_PREDICATE_TYPE
from tests.fuzz.extremes.made import PAYLOAD, Extreme, compact, extreme, filled, signed
from tests.oms import forge
from tests.oms.forge import encode

# -- The signed statement


@extreme
def statement_of_blanks() -> bytes:
    return signed(b" " * PAYLOAD)


@extreme
def statement_of_open_brackets() -> bytes:
    return signed(b"[" * PAYLOAD)


@extreme
def statement_of_commas() -> bytes:
    return signed(b"[" + b"," * (PAYLOAD - 1))


@extreme
def statement_of_numbers() -> bytes:
    return signed(filled('{"_type": [$0]}', "0.5,", PAYLOAD))


@extreme
def statement_of_as_many_lists_as_are_read() -> bytes:
    return signed(filled('{"_type": [$0]}', "[],", 1_200_000))


@extreme
def statement_of_as_many_objects_as_are_read() -> bytes:
    return signed(filled('{"_type": [$0]}', '{"":0},', 2_800_000))


@extreme
def statement_of_as_many_keys_as_are_read() -> bytes:
    keys = ",".join(f'"{number:x}":0.5' for number in range(809_000))
    return signed(f"{{{keys}}}".encode())


@extreme
def statement_of_long_numbers() -> bytes:
    return signed(filled('{"_type": [$0]}', "0." + "5" * 38 + ",", PAYLOAD))


@extreme
def statement_with_one_emoji_and_escape() -> bytes:
    made = forge.statement()
    made["subject"][0]["name"] = "\U0001f600" + "x" * (PAYLOAD - 5000)
    return signed(encode(made).replace(b"xx", b"\\u0041", 1))


@extreme
def statement_with_a_long_subject() -> bytes:
    made = forge.statement()
    made["subject"][0]["name"] = "x" * (PAYLOAD - 5000)
    return signed(encode(made))


@extreme
def statement_with_many_subject_digests() -> bytes:
    made = forge.statement()
    made["subject"][0]["digest"] |= {f"{number:x}": "a" for number in range(700_000)}
    return signed(compact(made))


# -- Resources


def _listing(names: Iterable[str], *, ignored: Iterable[str] = (), size: int = PAYLOAD) -> bytes:
    """A sound statement with as many of these names as fit, whole files or shards of one byte."""
    digest = "ab" * 32
    entries = []
    is_sharded = False
    ignore_paths = list(ignored)
    left = size - 1000 - sum(len(path.encode()) + 3 for path in ignore_paths)
    for name in names:
        is_sharded = is_sharded or ":" in name
        left -= len(name.encode()) + len(digest) + 45
        if left < 0:
            break
        entries.append({"name": name, "digest": digest, "algorithm": "sha256"})
    made = forge.sharded([], 1) if is_sharded else forge.statement()
    made["predicate"]["resources"] = entries
    made["predicate"]["serialization"]["ignore_paths"] = ignore_paths
    return compact(forge.rooted(made))


@extreme
def resources_with_short_names() -> bytes:
    return signed(_listing(f"{number:x}" for number in itertools.count()))


@extreme
def resources_200_000() -> Extreme:
    """More than fit into a bundle of the usual size, so that an operator has raised that limit."""
    names = (f"{number:x}" for number in range(200_000))
    payload = _listing(names, size=64 * MIB)
    return Extreme(encode(forge.key_bundle(payload)), limits=Limits(bundle_bytes=64 * MIB))


@extreme
def resources_200_000_in_shards() -> Extreme:
    names = (f"{number:x}:0:1" for number in range(200_000))
    payload = _listing(names, size=64 * MIB)
    return Extreme(encode(forge.key_bundle(payload)), limits=Limits(bundle_bytes=64 * MIB))


@extreme
def resources_in_shards_of_one_file() -> bytes:
    return signed(_listing(f"f:{number}:{number + 1}" for number in itertools.count()))


@extreme
def resources_with_long_names() -> bytes:
    return signed(
        _listing("/".join(["x" * 253] * 3 + [f"{number:0240}"]) for number in itertools.count())
    )


@extreme
def resources_in_deep_folders() -> bytes:
    return signed(_listing("a/" * 505 + f"{number:x}" for number in itertools.count()))


@extreme
def resources_in_deep_folders_with_ignored_paths() -> bytes:
    return signed(
        _listing(("a/" * 505 + f"{number:x}" for number in itertools.count()), ignored=[".cache"])
    )


@extreme
def resources_in_different_deep_folders() -> bytes:
    return signed(
        _listing(f"{number:x}/" + "a/" * 504 for number in itertools.count()).replace(b'/"', b'"')
    )


@extreme
def resources_that_fold() -> bytes:
    return signed(_listing(f"\u0390\u1e9e{number:x}" for number in itertools.count()))


@extreme
def resources_that_fold_at_length() -> bytes:
    return signed(
        _listing("/".join(["\u0390" * 127] * 3) + f"/{number:x}" for number in itertools.count())
    )


def _marked(pair: str, pairs: int) -> bytes:
    """Names of as many marks in a row, half of which are in the wrong order."""
    segment = ("a" + pair[0] * pairs + pair[1] * pairs) * (120 // (2 * pairs))
    return signed(
        _listing("/".join([segment] * 4)[:500] + f"/{number:x}" for number in itertools.count())
    )


@extreme
def resources_with_marks_out_of_order() -> bytes:
    return _marked("\u0315\u0301", 60)


@extreme
def resources_with_as_many_marks_as_are_read() -> bytes:
    return _marked("\u0315\u0301", 15)


@extreme
def resources_with_letters_that_fall_apart() -> bytes:
    return signed(_listing("\U0001d15f" * 60 + f"/{number:x}" for number in itertools.count()))


@extreme
def ignored_paths() -> bytes:
    made = forge.statement()
    made["predicate"]["serialization"]["ignore_paths"] = [f"{n:x}" for n in range(1000, 800_000)]
    return signed(compact(made))


@extreme
def as_many_ignored_paths_as_are_read() -> bytes:
    made = forge.statement()
    paths = [f"{number:x}/{'a' * 40}" for number in range(200_000)]
    made["predicate"]["serialization"]["ignore_paths"] = paths
    return signed(compact(made))


@extreme
def ignored_paths_beside_many_resources() -> bytes:
    return signed(
        _listing(
            (f"{number:x}" for number in itertools.count()),
            ignored=(f"g/{number:x}" for number in range(100_000)),
        )
    )


@extreme
def ignored_deep_paths() -> bytes:
    made = forge.statement()
    paths = [f"{number:x}" + "/a" * 505 for number in range(11_000)]
    made["predicate"]["serialization"]["ignore_paths"] = paths
    return signed(compact(made))


# -- The format before v1.0


@extreme
def payload_in_the_old_format() -> Extreme:
    """Its signature is over the payload as Python prints bytes: four characters for most."""
    return _in_the_old_format(OLD_PREDICATE_TYPE.encode() + bytes(PAYLOAD - 5000))


@extreme
def files_in_the_old_format() -> Extreme:
    digest = {"sha256": "ab" * 32}
    files = [{"name": f"{number:x}", "digest": digest} for number in range(120_000)]
    made = forge.statement() | {"subject": files, "predicateType": OLD_PREDICATE_TYPE}
    return _in_the_old_format(compact(made))


def _in_the_old_format(payload: bytes) -> Extreme:
    leaf = forge.issue_leaf("leaf")
    made = forge.certificate_bundle(payload, leaf)
    signature = leaf.private_key.sign(old_format.encoding(payload), ec.ECDSA(hashes.SHA256()))
    made["dsseEnvelope"]["signatures"][0]["sig"] = forge.b64(signature)
    return Extreme(encode(made), (leaf,))
