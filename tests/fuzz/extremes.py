"""The most expensive inputs that we can think of; ``python -m tests.fuzz.extremes`` measures each.

Where an attacker would need a trusted key or certificate, the input is validly signed with one.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from oms_gate.limits import MIB, Limits
from oms_gate.oms import old_format
from oms_gate.oms.statement import OLD_PREDICATE_TYPE
from oms_gate.oms.trust import SigstoreRoot
from tests.fuzz import trusted
from tests.oms import forge
from tests.oms.forge import Json, encode

PROJECT = Path(__file__).parents[2]
SECONDS = 1.0
MEBIBYTES = 300  # and what a bundle has beyond the usual limit
LARGEST = Limits().bundle_bytes
# Of a payload whose base64 has to fit into a bundle, with room for what is around it.
PAYLOAD = (LARGEST - 4096) * 3 // 4


@dataclass(frozen=True)
class Extreme:
    """An input, and what is trusted while it is verified."""

    bundle: bytes
    anchors: tuple[forge.Party, ...] = ()
    limits: Limits = field(default_factory=Limits)


EXTREMES: dict[str, Callable[[], Extreme]] = {}


def extreme(make: Callable[[], bytes | Extreme]) -> Callable[[], bytes | Extreme]:
    """Add an input to those that are measured, by its function's name."""

    def made() -> Extreme:
        found = make()
        return found if isinstance(found, Extreme) else Extreme(found)

    EXTREMES[make.__name__.strip("_")] = made
    return make


# -- The bundle's own JSON


def _filled(template: str, unit: str, size: int = LARGEST) -> bytes:
    """`template` with as many units in the place of ``$`` as fit into `size` bytes."""
    room = size - len(template.encode())
    return template.replace("$", unit * (room // len(unit.encode()))).encode()


@extreme
def bundle_of_open_brackets() -> bytes:
    return b"[" * LARGEST


@extreme
def bundle_of_quotes() -> bytes:
    return b'"' * LARGEST


@extreme
def bundle_of_blanks() -> bytes:
    return b" " * LARGEST


@extreme
def bundle_of_one_long_media_type() -> bytes:
    return _filled('{"mediaType": "$"}', "x")


@extreme
def bundle_of_one_long_key() -> bytes:
    return _filled('{"$": 1}', "x")


@extreme
def bundle_of_one_number() -> bytes:
    return _filled('{"mediaType": $}', "9")


@extreme
def bundle_of_one_fraction() -> bytes:
    return _filled('{"mediaType": 0.$}', "9")


@extreme
def bundle_of_empty_lists() -> bytes:
    return _filled('{"mediaType": [$0]}', "[],")


@extreme
def bundle_of_short_keys() -> bytes:
    return _filled('{$"a": 1}', '"a": 1,')


@extreme
def bundle_of_duplicate_long_keys() -> bytes:
    key = "k" * 1600
    return _filled('{$"a": 1}', f'"{key}": 1,')


@extreme
def bundle_of_escaped_ascii() -> bytes:
    return _filled('{"mediaType": "$"}', "\\u0041")


@extreme
def bundle_of_escaped_surrogates() -> bytes:
    return _filled('{"mediaType": "$"}', "\\ud83d\\ude00")


@extreme
def bundle_of_quotes_and_backslashes() -> bytes:
    return _filled('[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["$"]', '\\"')


@extreme
def bundle_of_emoji() -> bytes:
    return _filled('{"mediaType": "$"}', "\U0001f600")


@extreme
def bundle_of_ascii_and_one_emoji_below_many_brackets() -> bytes:
    brackets = "[" * 30 + "]" * 30
    return _filled(f'{{"a": [{brackets}, {brackets}, "\U0001f600\\u0041"], "mediaType": "$"}}', "x")


# -- The envelope


def _signed(payload: bytes) -> bytes:
    """In a bundle validly signed with the trusted key, written as tightly as possible."""
    made = json.dumps(forge.key_bundle(payload), separators=(",", ":")).encode()
    assert len(made) <= LARGEST, len(made)
    return made


def _around(change: forge.Change) -> bytes:
    return encode(forge.changed(forge.key_bundle(encode(forge.statement())), change))


@extreme
def payload_by_another_key() -> bytes:
    return encode(forge.key_bundle(b"x" * PAYLOAD, forge.key("stranger")))


@extreme
def long_hint() -> bytes:
    hint = {"hint": "\U0001f600" * (LARGEST // 4 - 1000)}
    return _around(lambda made: made["verificationMaterial"].update(publicKey=hint))


@extreme
def long_raw_key() -> bytes:
    raw = {"rawBytes": forge.b64(bytes(PAYLOAD - 3000))}
    return _around(lambda made: made["verificationMaterial"].update(publicKey=raw))


@extreme
def long_signature() -> bytes:
    sig = forge.b64(bytes(PAYLOAD - 3000))
    return _around(lambda made: made["dsseEnvelope"]["signatures"][0].update(sig=sig))


@extreme
def payload_of_lax_base64() -> bytes:
    return _around(lambda made: made["dsseEnvelope"].update(payload="A" * (LARGEST - 3002) + "B=="))


# -- The signed statement


@extreme
def statement_of_blanks() -> bytes:
    return _signed(b" " * PAYLOAD)


@extreme
def statement_of_open_brackets() -> bytes:
    return _signed(b"[" * PAYLOAD)


@extreme
def statement_of_commas() -> bytes:
    return _signed(b"[" + b"," * (PAYLOAD - 1))


@extreme
def statement_of_numbers() -> bytes:
    return _signed(_filled('{"_type": [$0]}', "0.5,", PAYLOAD))


@extreme
def statement_of_as_many_lists_as_are_read() -> bytes:
    return _signed(_filled('{"_type": [$0]}', "[],", 1_200_000))


@extreme
def statement_of_as_many_objects_as_are_read() -> bytes:
    return _signed(_filled('{"_type": [$0]}', '{"":0},', 2_800_000))


@extreme
def statement_of_as_many_keys_as_are_read() -> bytes:
    keys = ",".join(f'"{number:x}":0.5' for number in range(809_000))
    return _signed(f"{{{keys}}}".encode())


@extreme
def statement_of_long_numbers() -> bytes:
    return _signed(_filled('{"_type": [$0]}', "0." + "5" * 38 + ",", PAYLOAD))


@extreme
def statement_with_one_emoji_and_escape() -> bytes:
    made = forge.statement()
    made["subject"][0]["name"] = "\U0001f600" + "x" * (PAYLOAD - 5000)
    return _signed(encode(made).replace(b"xx", b"\\u0041", 1))


@extreme
def statement_with_a_long_subject() -> bytes:
    made = forge.statement()
    made["subject"][0]["name"] = "x" * (PAYLOAD - 5000)
    return _signed(encode(made))


@extreme
def statement_with_many_subject_digests() -> bytes:
    made = forge.statement()
    made["subject"][0]["digest"] |= {f"{number:x}": "a" for number in range(700_000)}
    return _signed(_compact(made))


# -- Resources


def _compact(made: Json) -> bytes:
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


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
    return _compact(forge.rooted(made))


@extreme
def resources_with_short_names() -> bytes:
    return _signed(_listing(f"{number:x}" for number in itertools.count()))


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
    return _signed(_listing(f"f:{number}:{number + 1}" for number in itertools.count()))


@extreme
def resources_with_long_names() -> bytes:
    return _signed(
        _listing("/".join(["x" * 253] * 3 + [f"{number:0240}"]) for number in itertools.count())
    )


@extreme
def resources_in_deep_folders() -> bytes:
    return _signed(_listing("a/" * 505 + f"{number:x}" for number in itertools.count()))


@extreme
def resources_in_deep_folders_with_ignored_paths() -> bytes:
    return _signed(
        _listing(("a/" * 505 + f"{number:x}" for number in itertools.count()), ignored=[".cache"])
    )


@extreme
def resources_in_different_deep_folders() -> bytes:
    return _signed(
        _listing(f"{number:x}/" + "a/" * 504 for number in itertools.count()).replace(b'/"', b'"')
    )


@extreme
def resources_that_fold() -> bytes:
    return _signed(_listing(f"\u0390\u1e9e{number:x}" for number in itertools.count()))


@extreme
def resources_that_fold_at_length() -> bytes:
    return _signed(
        _listing("/".join(["\u0390" * 127] * 3) + f"/{number:x}" for number in itertools.count())
    )


def _marked(pair: str, pairs: int) -> bytes:
    """Names of as many marks in a row, half of which are in the wrong order."""
    segment = ("a" + pair[0] * pairs + pair[1] * pairs) * (120 // (2 * pairs))
    return _signed(
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
    return _signed(_listing("\U0001d15f" * 60 + f"/{number:x}" for number in itertools.count()))


@extreme
def ignored_paths() -> bytes:
    made = forge.statement()
    made["predicate"]["serialization"]["ignore_paths"] = [f"{n:x}" for n in range(1000, 800_000)]
    return _signed(_compact(made))


@extreme
def as_many_ignored_paths_as_are_read() -> bytes:
    made = forge.statement()
    paths = [f"{number:x}/{'a' * 40}" for number in range(200_000)]
    made["predicate"]["serialization"]["ignore_paths"] = paths
    return _signed(_compact(made))


@extreme
def ignored_paths_beside_many_resources() -> bytes:
    return _signed(
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
    return _signed(_compact(made))


# -- Certificates


def _certified(*chain: forge.Party, anchors: tuple[forge.Party, ...] = ()) -> Extreme:
    made = encode(forge.certificate_bundle(encode(forge.statement()), *chain))
    assert len(made) <= LARGEST, len(made)
    return Extreme(made, anchors or chain[-1:])


def _uri_names(count: int) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(f"a:{number}") for number in range(count)]
    )


def _extensions(count: int) -> list[x509.ExtensionType]:
    return [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\x05\x00")
        for number in range(count)
    ]


def _long_subject(count: int) -> x509.Name:
    attribute = x509.NameOID.ORGANIZATIONAL_UNIT_NAME
    return x509.Name([x509.NameAttribute(attribute, "\u00fc,+<>#;\\") for _ in range(count)])


@extreme
def certificate_with_many_names() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=[_uri_names(800_000)]))


@extreme
def certificate_with_a_long_subject() -> Extreme:
    return _certified(forge.issue_leaf("leaf", subject=_long_subject(300_000)))


@extreme
def stranger_with_a_long_subject() -> Extreme:
    leaf = forge.issue_leaf("leaf", subject=_long_subject(300_000))
    return _certified(leaf, anchors=(forge.issue("another"),))


@extreme
def certificate_with_many_extensions() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=_extensions(5_000)))


@extreme
def stranger_with_many_extensions() -> Extreme:
    leaf = forge.issue_leaf("leaf", more=_extensions(5_000))
    return _certified(leaf, anchors=(forge.issue("another"),))


@extreme
def certificates_by_many_authorities_of_one_name_and_key() -> Extreme:
    """Each could have issued each: the paths that could be tried are without number."""
    shared = forge.key("shared")
    name = forge.name("shared")
    parties = [forge.issue("shared", subject=name, private_key=shared) for _ in range(15)]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(forge.issue("another"),))


@extreme
def certificates_by_many_slow_authorities() -> Extreme:
    """The same with the keys that take longest to check a signature with."""
    shared = _slow_key()
    name = forge.name("shared")
    parties = [forge.issue("shared", subject=name, private_key=shared) for _ in range(15)]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(forge.issue("another"),))


def _slow_key() -> rsa.RSAPrivateKey:
    """An RSA key with an exponent as long as its modulus, which OpenSSL allows up to 3072 bits."""
    usual = forge.rsa_key(3072).private_numbers()
    order = math.lcm(usual.p - 1, usual.q - 1)
    exponent = next(e for e in itertools.count(2**3070 + 1, 2) if math.gcd(e, order) == 1)
    secret = pow(exponent, -1, order)
    numbers = rsa.RSAPrivateNumbers(
        usual.p,
        usual.q,
        secret,
        secret % (usual.p - 1),
        secret % (usual.q - 1),
        usual.iqmp,
        rsa.RSAPublicNumbers(exponent, usual.p * usual.q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@extreme
def certificates_by_many_authorities_to_an_expired_anchor() -> Extreme:
    """The anchor is reached by every path, and none is valid."""
    shared = forge.key("shared")
    name = forge.name("shared")
    anchor = forge.issue("top", end=forge.NOW - timedelta(days=1))
    parties = [forge.issue("shared", anchor, private_key=shared, subject=name)] + [
        forge.issue("shared", subject=name, private_key=shared) for _ in range(14)
    ]
    leaf = forge.issue_leaf("leaf", parties[0])
    return _certified(leaf, *parties, anchors=(anchor,))


@extreme
def certificates_of_large_size() -> Extreme:
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(750_000))
    party = forge.issue_leaf("leaf", more=[padding])
    return _certified(*[party] * 16, anchors=(forge.issue("another"),))


@extreme
def certificates_of_the_largest_size_that_is_read() -> Extreme:
    leaf = forge.issue_leaf("leaf", subject=_long_subject(650))
    return _certified(*[leaf] * 16, anchors=(forge.issue("another"),))


@extreme
def certificate_with_as_many_names_as_are_read() -> Extreme:
    return _certified(forge.issue_leaf("leaf", more=[_uri_names(4_000)]))


@extreme
def payload_in_the_old_format() -> Extreme:
    """Its signature is over the payload as Python prints bytes: four characters for most."""
    return _in_the_old_format(OLD_PREDICATE_TYPE.encode() + bytes(PAYLOAD - 5000))


@extreme
def files_in_the_old_format() -> Extreme:
    digest = {"sha256": "ab" * 32}
    files = [{"name": f"{number:x}", "digest": digest} for number in range(120_000)]
    made = forge.statement() | {"subject": files, "predicateType": OLD_PREDICATE_TYPE}
    return _in_the_old_format(_compact(made))


def _in_the_old_format(payload: bytes) -> Extreme:
    leaf = forge.issue_leaf("leaf")
    made = forge.certificate_bundle(payload, leaf)
    signature = leaf.private_key.sign(old_format.encoding(payload), ec.ECDSA(hashes.SHA256()))
    made["dsseEnvelope"]["signatures"][0]["sig"] = forge.b64(signature)
    return Extreme(encode(made), (leaf,))


@extreme
def certificate_that_is_none() -> Extreme:
    made = forge.certificate_bundle(encode(forge.statement()), forge.issue_leaf("leaf"))
    chain = made["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain[0]["rawBytes"] = forge.b64(b"\x30\x84\x00\xb0\x00\x00" + bytes(PAYLOAD - 5000))
    return Extreme(encode(made), (forge.issue("another"),))


# -- Sigstore's evidence


def sigstore_shaped() -> Json:
    """A bundle that has all of Sigstore's members, none of them genuine."""
    leaf = forge.issue_leaf("leaf", more=[_uri_names(1)])
    made = forge.bundle(encode(forge.statement()), b"signature", {})
    made["verificationMaterial"] = {
        "certificate": {"rawBytes": forge.b64(leaf.der)},
        "tlogEntries": [
            {
                "logIndex": "7",
                "logId": {"keyId": forge.b64(bytes(32))},
                "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                "integratedTime": str(int(forge.NOW.timestamp())),
                "inclusionPromise": {"signedEntryTimestamp": forge.b64(b"promise")},
                "inclusionProof": {
                    "logIndex": "3",
                    "rootHash": forge.b64(bytes(32)),
                    "treeSize": "9",
                    "hashes": [forge.b64(bytes(32))],
                    "checkpoint": {"envelope": "log\n9\n\n"},
                },
                "canonicalizedBody": forge.b64(b"{}"),
            }
        ],
    }
    return made


def _logged(change: Callable[[Any], object]) -> bytes:
    made = sigstore_shaped()
    change(made["verificationMaterial"]["tlogEntries"][0])
    return encode(made)


@extreme
def log_entry_with_a_long_body() -> bytes:
    body = forge.b64(b"[" + b"[]," * ((PAYLOAD - 4000) // 3) + b"0]")
    return _logged(lambda entry: entry.update(canonicalizedBody=body))


@extreme
def log_entry_with_a_long_checkpoint() -> bytes:
    note = "log\n9\n" + "\n\u2014 x AAAA" * ((LARGEST - 5000) // 17)
    return _logged(lambda entry: entry["inclusionProof"]["checkpoint"].update(envelope=note))


@extreme
def log_entry_with_many_hashes() -> bytes:
    hashes = [forge.b64(bytes(32))] * 9_900
    return _logged(lambda entry: entry["inclusionProof"].update(hashes=hashes))


@extreme
def log_entry_with_long_hashes() -> bytes:
    hashes = [forge.b64(bytes(1200))] * 9_900
    return _logged(lambda entry: entry["inclusionProof"].update(hashes=hashes))


def _timestamped(timestamps: list[bytes]) -> bytes:
    made = sigstore_shaped()
    made["verificationMaterial"]["timestampVerificationData"] = {
        "rfc3161Timestamps": [{"signedTimestamp": forge.b64(each)} for each in timestamps]
    }
    return encode(made)


@extreme
def timestamps_that_are_none() -> bytes:
    return _timestamped([b"\x30\x82\x0b\xb8" + bytes(3000)] * 4_000)


@extreme
def sigstore_certificate_with_many_names() -> bytes:
    leaf = forge.issue_leaf("leaf", more=[_uri_names(800_000)])
    made = sigstore_shaped()
    made["verificationMaterial"]["certificate"] = {"rawBytes": forge.b64(leaf.der)}
    return encode(made)


@extreme
def sigstore_certificate_with_many_extensions() -> bytes:
    leaf = forge.issue_leaf("leaf", more=[_uri_names(1), *_extensions(5_000)])
    made = sigstore_shaped()
    made["verificationMaterial"]["certificate"] = {"rawBytes": forge.b64(leaf.der)}
    return encode(made)


def most_mebibytes(made: Extreme) -> int:
    """How much memory a process may need for an input."""
    return MEBIBYTES + max(0, len(made.bundle) - LARGEST) // MIB


def cost(made: Extreme) -> dict[str, Any]:
    """What an input costs in a process of its own (see `tests.fuzz.cost`)."""
    files = {
        "bundle": made.bundle,
        "limits.json": made.limits.model_dump_json().encode(),
        trusted.KEY: forge.public_pem(forge.key()),
        trusted.SIGSTORE: SigstoreRoot.public_good().raw,
    }
    if made.anchors:
        files[trusted.ANCHORS] = b"".join(party.pem for party in made.anchors)
    with tempfile.TemporaryDirectory(prefix="oms-gate-extreme-") as place:
        trusted.write(Path(place), files)
        command = [sys.executable, "-m", "tests.fuzz.cost", place, forge.NOW.isoformat()]
        done = subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
        )
    return dict(json.loads(done.stdout))


def main(names: list[str]) -> None:
    """Measure the named inputs, or all, and print a table."""
    print(f"{'input':<55} {'bytes':>9} {'verify s':>8} {'inspect s':>9} {'MiB':>4}  outcome")
    for name in names or EXTREMES:
        made = EXTREMES[name]()
        found = cost(made)
        slow = max(found["verify_seconds"], found["inspect_seconds"]) > SECONDS
        large = found["mebibytes"] > most_mebibytes(made)
        print(
            f"{name:<55} {len(made.bundle):>9} {found['verify_seconds']:>8.2f} "
            f"{found['inspect_seconds']:>9.2f} {found['mebibytes']:>4}  {found['verified']}"
            f"{' SLOW' * slow}{' LARGE' * large}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
