"""What a bill of materials of a model is made of: what was proven, and what the model declares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oms_gate.bom.card import CARD, LONGEST_TEXT, Card, parse_card
from oms_gate.check import Check
from oms_gate.errors import StepError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms import strict_json
from oms_gate.reference import Reference
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import check_measured
from oms_gate.verdict import Verdict, printable

if TYPE_CHECKING:
    from oms_gate.admission import Admission
    from oms_gate.gate import Gate
    from oms_gate.oms.digests import HashType
    from oms_gate.oms.manifest import Resource
    from oms_gate.stores import StoreSettings

CONFIG: Final = "config.json"


@dataclass(frozen=True)
class SignedFile:
    """A file, as it was signed.

    size: bytes, as the store says.
    resources: one for the whole file, or one for each shard.
    """

    path: str
    size: int | None
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class ReadFile:
    """A file of which the model's own statements were read.

    sha256: of its content, in hex; None where it is too large to be read.
    signed: whether the signature covers it, and so what it says is said by the signer.
    """

    path: str
    sha256: str | None
    signed: bool


@dataclass(frozen=True)
class Facts:
    """An admitted model.

    verdict: admitted, at the assurance that was asked for or required.
    reference: with the revision that was checked.
    hub: URL of the server that was asked in place of the public Hub, for a model of the Hub's.
    files: the signed ones, in the order of their paths.
    card: what it declares; `card_file` is where; None without one.
    model_type, architecture: what its signed config.json says of it, if it does.
    problems: what of card and configuration cannot be told, and why.
    """

    verdict: Verdict
    reference: Reference
    hub: str | None
    hash_type: HashType
    files: tuple[SignedFile, ...]
    card: Card
    card_file: ReadFile | None
    model_type: str | None
    architecture: str | None
    problems: tuple[str, ...]


def facts_of(
    gate: Gate, reference: Reference, *, on_progress: ProgressCallback | None = None
) -> Facts:
    """Check a model as `Gate.check` does, and read what it declares.

    The bytes of signed files that are read are compared with what was signed, whatever the
    assurance is. What a card says that nobody signed is told, and told apart.

    Raises:
        AdmissionDenied: it has the verdict.
        UsageError: it has more files than `limits.bom_files`.
        ConfigError: its store cannot be opened as it is configured.
    """
    with gate.held() as held:
        check = Check(
            held, reference, held.assurance, {"operation": "verify"}, on_progress=on_progress
        )
        admission = check.admission()
        try:
            return _read(admission, held.limits, held.stores)
        except StepError as error:
            raise admission.denied([error.reason]) from error
        finally:
            admission.snapshot.close()


def _read(admission: Admission, limits: Limits, stores: StoreSettings) -> Facts:
    snapshot = admission.snapshot
    if len(snapshot.files) > limits.bom_files:
        raise UsageError(
            f"the model has {len(snapshot.files)} files, and a bill of materials is made of "
            f"{limits.bom_files} at most; raise the limit 'bom_files' if you can wait for it"
        )
    card, card_file = _card(admission, limits)
    model_type, architecture, problems = _architecture(admission, limits)
    return Facts(
        verdict=admission.verdict,
        reference=snapshot.reference,
        hub=_other_hub(stores) if snapshot.reference.scheme == "hf" else None,
        hash_type=admission.hash_type,
        files=tuple(
            SignedFile(path, snapshot.files[path].size, admission.signed[path])
            for path in sorted(admission.signed)
        ),
        card=card,
        card_file=card_file,
        model_type=model_type,
        architecture=architecture,
        problems=(*(f"{CARD}: {problem}" for problem in card.problems), *problems),
    )


def _other_hub(stores: StoreSettings) -> str | None:
    from oms_gate.stores.hub import other_hub

    return other_hub(stores)


def _card(admission: Admission, limits: Limits) -> tuple[Card, ReadFile | None]:
    """What the card declares, and where that is."""
    if CARD not in admission.snapshot.files:
        return Card(), None
    content = admission.snapshot.read(CARD, limits.card_bytes)
    signed = admission.signed.get(CARD)
    if content is None:
        card = Card(problems=(_too_large(limits),))
        return card, ReadFile(CARD, None, signed is not None)
    if signed is not None:
        check_measured(content, CARD, signed, admission.hash_type)
    sha256 = hashlib.sha256(content).hexdigest()
    return parse_card(content), ReadFile(CARD, sha256, signed is not None)


def _architecture(
    admission: Admission, limits: Limits
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Type and architecture of the model, as a signed configuration for transformers has them."""
    signed = admission.signed.get(CONFIG)
    if signed is None:
        return None, None, ()
    content = admission.snapshot.read(CONFIG, limits.card_bytes)
    if content is None:
        return None, None, (f"{CONFIG}: {_too_large(limits)}",)
    check_measured(content, CONFIG, signed, admission.hash_type)
    try:
        value = strict_json.parse(content, depth=limits.json_depth, values=limits.bom_values)
    except strict_json.MalformedJson as error:
        return None, None, (f"{CONFIG}: {error}",)
    members = value if isinstance(value, dict) else {}
    architectures = members.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    return _short(members.get("model_type")), _short(first), ()


def _short(value: object) -> str | None:
    """A text that can be told; None for anything else."""
    if isinstance(value, str) and 0 < len(text := printable(value)) <= LONGEST_TEXT:
        return text
    return None


def _too_large(limits: Limits) -> str:
    return f"it is larger than {limits.card_bytes} bytes (limits.card_bytes), and was not read"
