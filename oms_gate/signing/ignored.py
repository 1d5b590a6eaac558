"""What a signer leaves out: exact paths and never patterns (OMS v1.0, ``ignore_paths``)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from oms_gate.errors import UsageError
from oms_gate.oms import names
from oms_gate.policy.kinds import INERT, kind_of

_LOG = logging.getLogger(__name__)


def flaw_of(path: str) -> str | None:
    """What is wrong with a path that is to be left out, to complete "the path ..."."""
    if any(character in path for character in "*?["):
        return (
            "holds one of * ? [, which the format allows in no path that a signature leaves out: "
            "they are exact and no patterns"
        )
    return names.flaw(path)


def left_out(paths: Iterable[str], files: Collection[str]) -> set[str]:
    """The paths that a signer wants to leave out, as they are stated in a signature.

    paths: relative ones, also as a shell completes them (./x, x/).
    files: of the model. There is a warning of a path that is none of theirs, and of what
        verifiers will miss.

    Raises:
        UsageError: one of the paths is none in a model.
    """
    plain = {path.removeprefix("./").rstrip("/") or path for path in paths}
    for path in plain:
        if flaw := flaw_of(path):
            raise UsageError(
                f"the path to leave out {path!r} {flaw}; name it relative to the model's folder"
            )
    for path in sorted(plain):
        _warn_of(path, [file for file in files if f"{file}/".startswith(f"{path}/")])
    return plain


def _warn_of(path: str, files: Sequence[str]) -> None:
    """Say what leaving out `path`, with these files, does not do, or does to a verifier."""
    if not files:
        _LOG.warning("%s is to be left out, but there is no such path in the model", path)
    if read := [file for file in files if kind_of(file) not in INERT]:
        _LOG.warning(
            "%s is left out, but loaders may read %s%s: unless allowed, verifiers refuse it",
            path,
            read[0],
            " and more" if read[1:] else "",
        )
