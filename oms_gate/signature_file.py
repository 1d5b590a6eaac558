"""Where a model's signature is, and its bytes: read before anything else, and capped."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from oms_gate.errors import SignatureError, StepError, UsageError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, within

_SHA256 = re.compile(r"[0-9a-f]{64}")


def pin(text: str) -> str:
    """The digest that pins a signature file.

    Raises:
        UsageError: it is none.
    """
    if not _SHA256.fullmatch(text):
        raise UsageError(
            f"{text!r} does not pin a signature; give the SHA-256 of the signature file, 64 "
            "lower-case hexadecimal digits, as a verdict has it in signature.sha256"
        )
    return text


@dataclass(frozen=True)
class SignatureFile:
    """A bundle as it was found, of which nothing is verified yet.

    location: path beside the model, or URL.
    name: what it is called where it lies beside its model.
    """

    location: str
    name: str
    content: bytes


@dataclass(frozen=True)
class SignaturePlace:
    """Where models have their bundles, as the gate's configuration says it.

    location: the name in a model's folder; or a URL or path, for all models the same.
    elsewhere: the bundle's own reference, where it is not looked for beside the model.
    """

    location: str
    elsewhere: Reference | None

    @classmethod
    def parse(cls, location: str) -> SignaturePlace:
        """Read what an operator wrote.

        Raises:
            UsageError: the URL cannot be meant.
        """
        named = location.startswith(("/", "./", "../", "~")) or "://" in location
        return cls(location, Reference.parse(location) if named else None)

    def read(
        self, snapshot: Snapshot, open_snapshot: Callable[[Reference], Snapshot], limits: Limits
    ) -> SignatureFile:
        """Find and read the bundle of a model.

        open_snapshot: lists what is outside the model's folder.

        Raises:
            SignatureError: there is none, or it is larger than `limits.bundle_bytes`.
            StoreError: the store failed.
        """
        location = name = self.location
        if self.elsewhere is not None:
            name = "model.sig"
            content = _sole_file(self.elsewhere, open_snapshot, limits)
        elif snapshot.single:
            beside = snapshot.reference.with_suffix(".sig")
            location = beside.name
            name = f"{next(iter(snapshot.files))}.sig"
            content = _sole_file(beside, open_snapshot, limits)
        elif location in snapshot.files:
            content = _read(snapshot, location, limits)
        else:
            # That of a single file is beside it, and is for no other.
            others = [
                path
                for path in snapshot.files
                if path.endswith(".sig") and path.removesuffix(".sig") not in snapshot.files
            ]
            hint = f" (there is {others[0]}, which --signature can name)" if others else ""
            raise SignatureError(
                ReasonCode.SIGNATURE_MISSING,
                f"the model has no signature: there is no {location} in its folder{hint}; its "
                "publisher must sign it, or name the signature if it is elsewhere",
            )
        if content is None:
            raise SignatureError(
                ReasonCode.SIGNATURE_TOO_LARGE,
                f"the signature {location} is larger than {limits.bundle_bytes} bytes; if it is "
                "genuine, raise the limit 'bundle_bytes'",
            )
        return SignatureFile(location, name, content)


def _sole_file(
    reference: Reference, open_snapshot: Callable[[Reference], Snapshot], limits: Limits
) -> bytes | None:
    """A bundle outside the model's folder; None where it is too large."""
    try:
        snapshot = open_snapshot(reference)
    except StepError as error:
        if error.reason.code is not ReasonCode.STORE_NOT_FOUND:
            raise
        raise SignatureError(
            ReasonCode.SIGNATURE_MISSING,
            f"the model has no signature: there is no {reference.url}; its publisher must sign "
            "it, or name the signature if it is elsewhere",
        ) from error
    if not snapshot.single:
        raise SignatureError(
            ReasonCode.SIGNATURE_MISSING,
            f"{reference.url} is a folder; name the signature file in it",
        )
    return _read(snapshot, next(iter(snapshot.files)), limits)


def _read(snapshot: Snapshot, path: str, limits: Limits) -> bytes | None:
    return within(limits.listing_seconds, lambda: snapshot.read(path, limits.bundle_bytes))
