"""What of a model is to arrive: patterns over its files, as the Hub's own client has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from oms_gate.coverage import Comparison
from oms_gate.delivery.place import STAGE
from oms_gate.errors import DeliveryError, UsageError
from oms_gate.oms import names
from oms_gate.oms.manifest import Resource
from oms_gate.oms.quoting import quoted
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.verdict import VERDICT_FILE


@dataclass(frozen=True)
class Selection:
    """Patterns over paths: ``*`` matches ``/`` too; one that ends in ``/`` means all below.

    include: a file must match one of these, if there are any.
    exclude: and none of these.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __contains__(self, path: str) -> bool:
        return (not self.include or _matches(path, self.include)) and not _matches(
            path, self.exclude
        )


@dataclass(frozen=True)
class Wanted:
    """The files of a model that are to arrive, and how.

    signed: those that are compared with what was signed of them, by path.
    others: those that arrive as they are, although the model is denied.
    left_out: signed files that the patterns leave out, as a count.
    """

    signed: Mapping[str, tuple[Resource, ...]]
    others: tuple[str, ...]
    left_out: int


def wanted(
    snapshot: Snapshot,
    comparison: Comparison | None,
    bundle: str | None,
    selection: Selection,
    *,
    as_it_is: bool,
) -> Wanted:
    """Choose what arrives: the signed files and the attestations that count, and only where the
    model is denied and let through all the same, the others too.

    comparison: None where the signature could not be read.
    bundle: what the signature will be called beside the files.

    Raises:
        UsageError: the patterns leave nothing.
        DeliveryError: a signed file has a name that is needed beside the files.
    """
    signed = {} if comparison is None else {**comparison.signed, **comparison.attested}
    reserved = [VERDICT_FILE, STAGE, *([bundle] if bundle is not None else [])]
    _check_names(signed, reserved)
    chosen = {path: parts for path, parts in signed.items() if path in selection}
    left_out = len(signed) - len(chosen)
    others: tuple[str, ...] = ()
    if as_it_is:
        # Ranges of a file of another size cannot be read as they were signed.
        chosen = {
            path: parts
            for path, parts in chosen.items()
            if parts[-1].end in (None, snapshot.files[path].size)
        }
        kept_free = names.Subtrees(reserved)
        others = tuple(
            path
            for path in snapshot.files
            if path not in chosen and path in selection and path not in kept_free
        )
    if not chosen and not others:
        if not selection.include and not selection.exclude:
            raise DeliveryError(
                ReasonCode.COVERAGE_MISSING,
                f"{snapshot.reference.url} has no file but what belongs to its signature, so there "
                "is nothing to pull; its publisher must add the model",
            )
        raise UsageError(
            f"the patterns leave no file of {snapshot.reference.url}; change --include or --exclude"
        )
    return Wanted(chosen, others, left_out)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern)
        for pattern in patterns
    )


def _check_names(signed: Mapping[str, object], reserved: list[str]) -> None:
    taken = next((name for name in reserved if name in signed or reserved.count(name) > 1), None)
    pair = (taken, taken) if taken is not None else names.clash([*signed, *reserved])
    if pair is not None:
        raise DeliveryError(
            ReasonCode.STATEMENT_UNSAFE_NAME,
            f"the name {quoted(pair[0])} is in the way of what a pull puts beside a model's files "
            f"({', '.join(reserved)}); the publisher must rename the file and sign the model again",
            path=pair[0][: names.NAME_BYTES],
        )
