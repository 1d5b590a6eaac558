"""What the two clients exchange: one feature of the format a row, with what each must make of it.

Where the specification says what is right, the note says so and which of them differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.errors import OmsGateError
from oms_gate.policy.engine import Engine
from oms_gate.reason_codes import ReasonCode
from tests.interop.clients import (
    Method,
    Settings,
    Signer,
    gate_for,
    refusal_here,
    refusal_there,
    sign_here,
    sign_there,
)
from tests.models import write
from tests.oms.forge import CODE_SIGNING

Cell = Literal["yes", "no", "not signed"]


@dataclass(frozen=True)
class Outcome:
    """Whether one client signed and the other verified; `why` is a part of what it said if not."""

    cell: Cell
    why: str = ""


YES: Final = Outcome("yes")

OURS: Final = "signed here"
THEIRS: Final = "signed there"
"""Folders of the two models of a row."""

FOLDER: Final[Mapping[str, bytes]] = {
    "config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 4,
    "tokenizer/vocab.txt": b"a\nb\n",
}
ONE: Final[Mapping[str, bytes]] = {"model.gguf": bytes(range(256))}


@dataclass(frozen=True)
class Feature:
    """One row.

    there: what the reference makes of what this project signed. here: the other way round.
    own: what the reference makes of its own signature.
    single: whether the model is its only file. links: symbolic links, name to target.
    certificate: differences of the signer's certificates (see `Signer.make`).
    """

    title: str
    there: Outcome = YES
    here: Outcome = YES
    note: str = ""
    own: Outcome = YES
    method: Method = "key"
    curve: type[ec.EllipticCurve] = ec.SECP256R1
    files: Mapping[str, bytes] = field(default_factory=lambda: FOLDER)
    single: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    certificate: Mapping[str, Any] = field(default_factory=dict)


_MISMATCH = "Signature mismatch"
_BLAKE2B = Outcome("no", "Unsupported hashing method blake2b")
_FLOAT = Outcome("no", "'float' object cannot be interpreted as an integer")
_COLONS = Outcome("no", "expected 3 components separated by")
_UNSAFE = Outcome("no", ReasonCode.STATEMENT_UNSAFE_NAME)
_SHARDS = Settings(shard_size=100)

FEATURES: Final[tuple[Feature, ...]] = (
    Feature("key on P-256"),
    Feature("key on P-384", curve=ec.SECP384R1),
    Feature("key on P-521", curve=ec.SECP521R1),
    Feature("certificate on P-256", method="certificate"),
    Feature("certificate on P-384", method="certificate", curve=ec.SECP384R1),
    Feature("certificate on P-521", method="certificate", curve=ec.SECP521R1),
    Feature(
        "certificates with the root in the bundle", method="certificate", certificate={"sent": 3}
    ),
    Feature(
        "certificate with the purpose of code signing, without key usage",
        method="certificate",
        certificate={"key_usage": None, "more": [CODE_SIGNING]},
    ),
    Feature(
        "certificate without key usage and purposes",
        there=Outcome("no", "Signing certificate cannot be used for signing"),
        own=Outcome("no", "Signing certificate cannot be used for signing"),
        note="A certificate without these extensions is not restricted (RFC 5280), and the "
        "specification asks for none; the reference signs with it and refuses the result.",
        method="certificate",
        certificate={"key_usage": None},
    ),
    Feature("hash type sha256 with an empty file", files={**FOLDER, "empty.txt": b""}),
    Feature(
        "hash type blake2b",
        there=_BLAKE2B,
        own=_BLAKE2B,
        note="`blake2b` is the name in the specification; the reference writes it too, but when it "
        "verifies it only knows `blake2`. It verifies when told the hash type.",
        settings=Settings("blake2b"),
    ),
    Feature("hash type blake3", settings=Settings("blake3")),
    Feature(
        "single file",
        there=Outcome("no", _MISMATCH),
        note="The specification names the file; the reference names it `.` and refuses any other "
        "name. This project writes the name and accepts `.` too.",
        files=ONE,
        single=True,
    ),
    Feature(
        "shards, sha256",
        there=Outcome("no", _MISMATCH),
        own=_FLOAT,
        note="The specification names the algorithm of a shard by the hash type; the reference "
        "writes and wants `sha256-sharded-<size>`, and writes the size as `100.0`, which this "
        "project reads as what is meant and the reference itself cannot read back.",
        settings=_SHARDS,
    ),
    Feature(
        "shards, blake2b",
        there=_BLAKE2B,
        own=_BLAKE2B,
        note="As with blake2b and with shards each.",
        settings=replace(_SHARDS, hash_type="blake2b"),
    ),
    Feature(
        "shards, blake3",
        there=Outcome("no", _MISMATCH),
        note="The reference signs whole files instead of shards with blake3, and reads bundles of "
        "others as if these had done so too.",
        settings=replace(_SHARDS, hash_type="blake3"),
    ),
    Feature(
        "shards of a single file",
        there=Outcome("no", _MISMATCH),
        own=_FLOAT,
        note="As with single files and with shards each.",
        files=ONE,
        single=True,
        settings=_SHARDS,
    ),
    Feature(
        "shards of a file whose name holds colons",
        there=_COLONS,
        own=_COLONS,
        note="The range is what follows the last but one colon; the reference splits at each.",
        files={"part:1.bin": bytes(250)},
        settings=_SHARDS,
    ),
    Feature(
        "ignored file and ignored folder",
        files={**FOLDER, "notes.tmp": b"1", "tmp/x": b"2"},
        settings=Settings(ignore_paths=("notes.tmp", "tmp")),
    ),
    Feature(
        "ignored path that is not there",
        settings=Settings(ignore_paths=("absent",)),
    ),
    Feature(
        ".git and .gitattributes at the top, nested ones signed",
        files={**FOLDER, ".gitattributes": b"x", ".git/HEAD": b"y", "sub/.gitignore": b"z"},
    ),
    Feature(
        ".gitignore signed on request",
        there=Outcome("not signed"),
        own=Outcome("no", "Missing files"),
        note="The format leaves it out by default. Where a signer lists it, it is checked; the "
        "reference then refuses its own signature unless told again.",
        files={**FOLDER, ".gitignore": b"x"},
        settings=Settings(git=True),
    ),
    Feature(
        "names in several scripts, with spaces, colons and quotes",
        files={
            "é.bin": b"1",
            "e\u0301.txt.bin": b"2",
            "模型 1/😀 \"a'b.bin": b"3",
            "-c:d.bin": b"4",
        },
    ),
    Feature(
        "order of names: by path part or by code point",
        files={"a/b.bin": b"1", "a-b.bin": b"2", "a.bin": b"3", "a/B/c.bin": b"4"},
        note="The specification sorts by code point of the whole name, the reference by parts of "
        "the path. Both verify here; the verdict mentions an order that is not the format's.",
    ),
    Feature(
        "names with a backslash",
        there=Outcome("not signed"),
        here=Outcome("no", ReasonCode.STORE_UNSAFE_FILE),
        note="On Windows that is a folder; the specification wants `/` everywhere.",
        files={"a\\b.bin": b"1"},
    ),
    Feature(
        "names that begin like a drive of Windows",
        there=Outcome("not signed"),
        here=_UNSAFE,
        note="`C:x` leaves the model's folder on Windows: refused here on every system.",
        files={"C:x.bin": b"1"},
    ),
    Feature(
        "names that differ by letter case alone",
        there=Outcome("not signed"),
        here=_UNSAFE,
        note="Two files in the specification, one file on many file systems: refused here.",
        files={"A.bin": b"1", "a.bin": b"2"},
    ),
    Feature(
        "model without files",
        there=Outcome("not signed"),
        here=Outcome("no", ReasonCode.STATEMENT_MALFORMED),
        note="The specification wants one resource at least; the reference signs none and verifies "
        "it.",
        files={},
    ),
    Feature(
        "empty file among shards",
        there=Outcome("not signed", "no shard could cover it"),
        here=Outcome("no", ReasonCode.COVERAGE_UNSIGNED),
        own=_FLOAT,
        note="The format has no shard for a file of no bytes, so nobody can sign one. An empty "
        "`__init__.py` is code all the same: it counts as unsigned here.",
        files={**FOLDER, "__init__.py": b""},
        settings=_SHARDS,
    ),
    Feature(
        "symbolic link to another file of the model",
        there=Outcome("not signed"),
        here=Outcome("no", ReasonCode.STORE_UNSAFE_FILE),
        own=Outcome("no", "Cannot use"),
        note="The specification lets signers follow links and expects that to end. This project "
        "follows none in a folder, the reference none unless told so again; a copy with files in "
        "the place of links verifies.",
        links={"copy.safetensors": "model.safetensors"},
        settings=Settings(allow_symlinks=True),
    ),
)


@dataclass(frozen=True)
class Result:
    """What became of one row, in the order of `Feature`."""

    there: Outcome
    here: Outcome
    own: Outcome


def result_of(feature: Feature, folder: Path, engine: Engine) -> Result:
    """Sign and verify both ways, in a new folder; the signer and both models stay there."""
    folder.mkdir()
    signer = Signer.make(folder / "signer", feature.method, feature.curve, **feature.certificate)
    ours, theirs = lay_out(feature, folder / OURS), lay_out(feature, folder / THEIRS)
    sign_there(theirs, signer, feature.settings)
    return Result(
        there=_signed_here(ours, signer, feature.settings),
        here=outcome(refusal_here(gate_for(signer, engine), theirs)),
        own=outcome(refusal_there(theirs, signer)),
    )


def lay_out(feature: Feature, folder: Path) -> Path:
    """The row's model, in a new folder."""
    folder.mkdir()
    write(folder, feature.files)
    for name, target in feature.links.items():
        (folder / name).symlink_to(target)
    return folder / next(iter(feature.files)) if feature.single else folder


def _signed_here(model: Path, signer: Signer, settings: Settings) -> Outcome:
    try:
        sign_here(model, signer, settings)
    except (OmsGateError, NotImplementedError) as error:
        return Outcome("not signed", str(error))
    return outcome(refusal_there(model, signer))


def outcome(refusal: str | None) -> Outcome:
    """The outcome of a verification, by why it refused."""
    return YES if refusal is None else Outcome("no", refusal)
