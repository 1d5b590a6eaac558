"""What only one client refuses: bundles that are validly signed, and still wrong.

Each is one step away from a bundle that both accept (`TWINS`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.oms.statement import OLD_PREDICATE_TYPE, STATEMENT_TYPE
from oms_gate.policy.engine import Engine
from oms_gate.reason_codes import ReasonCode
from tests.interop.clients import (
    NOW,
    VALID,
    Settings,
    Signer,
    bundle_of,
    gate_for,
    refusal_here,
    refusal_there,
    sign_here,
)
from tests.models import write
from tests.oms.forge import (
    FILES,
    TLS_SERVER,
    Json,
    b64,
    bundle,
    changed,
    encode,
    issue,
    key,
    key_bundle,
    old_signing_bytes,
    public_pem,
    rooted,
    rsa_key,
    sha256,
    statement,
)

DAY: Final = timedelta(days=1)
SINGLE: Final[Mapping[str, bytes]] = {"model.gguf": b"weights"}

Forger = Callable[[Any, bytes], Json]
"""Makes a bundle of a key and of a sound payload."""


def _soundly(signer: Any, payload: bytes) -> Json:
    return key_bundle(payload, signer)


def _unchanged(_: object) -> None:
    """Leave it as it is."""


@dataclass(frozen=True)
class Trap:
    """One row.

    here: why this project refuses. note: what is wrong.
    edit: of the sound statement. forge: of the bundle. certificates: differences of the signer's
        (see `Signer.make`), which is then the method.
    prepare: of the folder beside and around the model. single: whether it is its only file.
    """

    title: str
    here: ReasonCode | None
    note: str
    edit: Callable[[Json], object] = _unchanged
    forge: Forger = _soundly
    certificates: Mapping[str, Any] | None = None
    prepare: Callable[[Path], object] = _unchanged
    single: bool = False
    ignore_unsigned_files: bool = False


def _entries(made: Json) -> list[Json]:
    found: list[Json] = made["predicate"]["resources"]
    return found


def _settings(made: Json) -> Json:
    found: Json = made["predicate"]["serialization"]
    return found


def _listed_as(name: str, content: bytes) -> Callable[[Json], object]:
    entry = {"name": name, "digest": sha256(content), "algorithm": "sha256"}
    return lambda made: _entries(made).append(entry)


def _twice(made: Json) -> None:
    _entries(made).insert(0, _entries(made)[0] | {"digest": sha256(b"another file")})


def _nothing(made: Json) -> None:
    made["predicate"]["resources"] = []
    _settings(made)["ignore_paths"] = ["."]


def _shouted(made: Json) -> None:
    _entries(made)[0]["digest"] = _entries(made)[0]["digest"].upper()


def _second_signature(signer: Any, payload: bytes) -> Json:
    made = key_bundle(payload, signer)
    made["dsseEnvelope"]["signatures"].append({"sig": b64(b"of somebody"), "keyid": ""})
    return made


def _broken_base64(signer: Any, payload: bytes) -> Json:
    made = key_bundle(payload, signer)
    made["dsseEnvelope"]["payload"] = "\n" + made["dsseEnvelope"]["payload"]
    return made


def _old_bytes(signer: Any, payload: bytes) -> Json:
    sound = key_bundle(payload, signer)
    signature = signer.sign(old_signing_bytes(payload), ec.ECDSA(hashes.SHA256()))
    return bundle(payload, signature, sound["verificationMaterial"])


def _old_format(signer: Any, payload: bytes) -> Json:
    files = [
        {"name": entry["name"], "digest": {"sha256": entry["digest"]}}
        for entry in _entries(json.loads(payload))
    ]
    older = {"subject": files, "predicateType": OLD_PREDICATE_TYPE, "predicate": {"unused": ""}}
    return _old_bytes(signer, encode({"_type": STATEMENT_TYPE, **older}))


def _two_keys(signer: Any, payload: bytes) -> Json:
    made = key_bundle(payload, signer)
    made["verificationMaterial"]["publicKey"]["rawBytes"] = b64(public_pem(key("stranger")))
    return made


def _two_readings(signer: Any, payload: bytes) -> Json:
    return key_bundle(payload.replace(b"{", b'{"subject": [], ', 1), signer)


def _folder_elsewhere(model: Path) -> None:
    elsewhere = write(model.parent / "elsewhere", {"x.bin": b"outside"})
    (model / "link").symlink_to(elsewhere)


TWINS: Final[tuple[Trap, ...]] = (
    Trap("a sound folder", None, ""),
    Trap("a sound folder among others", None, "", ignore_unsigned_files=True),
    Trap("a sound file", None, "", single=True),
    Trap("sound certificates", None, "", certificates={}),
)

TRAPS: Final[tuple[Trap, ...]] = (
    Trap(
        "the signer's certificate has expired",
        ReasonCode.CERTIFICATE_EXPIRED,
        "The specification wants it to be valid; the reference looks at the moment at which its "
        "validity began.",
        certificates={"end": NOW - DAY},
    ),
    Trap(
        "the signer's certificate is not valid yet",
        ReasonCode.CERTIFICATE_NOT_YET_VALID,
        "As before.",
        certificates={"start": NOW + DAY},
    ),
    Trap(
        "an intermediate certificate has expired",
        ReasonCode.CERTIFICATE_EXPIRED,
        "As before.",
        certificates={"intermediate": {"end": NOW - DAY}},
    ),
    Trap(
        "the signer's certificate is for a web server",
        ReasonCode.CERTIFICATE_UNSUITABLE,
        "A certificate that names its purposes, and code signing is none of them, signs no models.",
        certificates={"more": [TLS_SERVER]},
    ),
    Trap(
        "the root has an RSA key of 1024 bits",
        ReasonCode.CERTIFICATE_UNSUITABLE,
        "Such keys can be broken.",
        certificates={"root": issue("Root", private_key=rsa_key(1024), **VALID)},
    ),
    Trap(
        "a name is `./config.json`",
        ReasonCode.STATEMENT_UNSAFE_NAME,
        "The specification wants names in normal form: one file, one name.",
        edit=lambda made: _entries(made)[0].update(name="./config.json"),
    ),
    Trap(
        "a name is `../outside.bin`, with unsigned files ignored",
        ReasonCode.STATEMENT_UNSAFE_NAME,
        "The specification forbids it; the reference hashes a file outside the model.",
        edit=_listed_as("../outside.bin", b"outside"),
        prepare=lambda model: (model.parent / "outside.bin").write_bytes(b"outside"),
        ignore_unsigned_files=True,
    ),
    Trap(
        "a file lies behind a link to a folder elsewhere, with unsigned files ignored",
        ReasonCode.STORE_UNSAFE_FILE,
        "Links were not to be followed; the reference looks at the last part of a path alone.",
        edit=_listed_as("link/x.bin", b"outside"),
        prepare=_folder_elsewhere,
        ignore_unsigned_files=True,
    ),
    Trap(
        "a file is listed twice, with different digests",
        ReasonCode.STATEMENT_MALFORMED,
        "The reference takes the last.",
        edit=_twice,
    ),
    Trap(
        "nothing is listed, and `.` is ignored",
        ReasonCode.STATEMENT_MALFORMED,
        "The specification wants one resource at least. For the reference that signs any model.",
        edit=_nothing,
    ),
    Trap(
        "the ignored paths are a text instead of a list",
        ReasonCode.STATEMENT_MALFORMED,
        "Against the schema; the reference takes each letter for a path.",
        edit=lambda made: _settings(made).update(ignore_paths="notes"),
        single=True,
    ),
    Trap(
        "`allow_symlinks` is a text",
        ReasonCode.STATEMENT_MALFORMED,
        "Against the schema; the reference does not look at it.",
        edit=lambda made: _settings(made).update(allow_symlinks="false"),
    ),
    Trap(
        "whole files have a shard size",
        ReasonCode.STATEMENT_MALFORMED,
        "The specification forbids it.",
        edit=lambda made: _settings(made).update(shard_size=4),
    ),
    Trap(
        "a digest is in capitals",
        ReasonCode.STATEMENT_MALFORMED,
        "Against the schema: one digest, one spelling.",
        edit=_shouted,
    ),
    Trap(
        "the subject has an empty name",
        ReasonCode.STATEMENT_MALFORMED,
        "Against the schema.",
        edit=lambda made: made["subject"][0].update(name=""),
    ),
    Trap(
        "the statement has a key twice",
        ReasonCode.STATEMENT_MALFORMED,
        "Two readers may read two different things.",
        forge=_two_readings,
    ),
    Trap(
        "the statement is in UTF-16",
        ReasonCode.STATEMENT_MALFORMED,
        "JSON between systems is UTF-8 (RFC 8259).",
        forge=lambda signer, payload: key_bundle(payload.decode().encode("utf-16"), signer),
    ),
    Trap(
        "there is a second signature, by nobody",
        ReasonCode.BUNDLE_MALFORMED,
        "Sigstore bundles have exactly one; the reference looks at the first.",
        forge=_second_signature,
    ),
    Trap(
        "the payload's base64 holds a line break",
        ReasonCode.BUNDLE_MALFORMED,
        "Plain base64 has none (RFC 4648): one payload, one spelling.",
        forge=_broken_base64,
    ),
    Trap(
        "the signature is over the bytes of the format before v1.0",
        ReasonCode.SIGNATURE_INVALID,
        "Those bytes belong to the older statement alone.",
        forge=_old_bytes,
    ),
    Trap(
        "a key has signed in the format before v1.0",
        ReasonCode.BUNDLE_UNSUPPORTED,
        "Nobody has to read that format; here an operator can ask for it (`old_format`), for "
        "certificates only.",
        forge=_old_format,
        single=True,
    ),
    Trap(
        "the bundle names one key and carries another",
        ReasonCode.KEY_UNTRUSTED,
        "Either may name the key, so what is there has to be right.",
        forge=_two_keys,
    ),
)


def refusals(trap: Trap, folder: Path, engine: Engine) -> tuple[str | None, str | None]:
    """Why the reference refuses, and why this project does; in a new folder."""
    folder.mkdir()
    model = folder / "model"
    model.mkdir()
    files = SINGLE if trap.single else FILES
    write(model, files)
    if trap.single:
        model /= next(iter(files))
    trap.prepare(model)
    if trap.certificates is None:
        signer = Signer.make(folder / "signer")
        sound = statement({".": SINGLE["model.gguf"]} if trap.single else FILES)
        payload = encode(rooted(changed(sound, trap.edit)))
        bundle_of(model).write_bytes(encode(trap.forge(signer.chain[0].private_key, payload)))
    else:
        signer = Signer.make(folder / "signer", "certificate", **trap.certificates)
        sign_here(model, signer, Settings())
    return (
        refusal_there(model, signer, ignore_unsigned_files=trap.ignore_unsigned_files),
        refusal_here(gate_for(signer, engine), model),
    )
