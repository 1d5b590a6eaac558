"""Where a signature goes: looked at before anything is hashed or signed, written in the end."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oms_gate.errors import ConfigError, SignatureError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms import names
from oms_gate.oms.bundle import parse_bundle
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.signing.ignored import flaw_of
from oms_gate.stores import Snapshot, Written
from oms_gate.stores.local_names import native, portable
from oms_gate.stores.local_writing import write_below


@dataclass(frozen=True)
class Destination:
    """The place of a signature: beside the model in its store, or a local file.

    name: of the signature in the model's folder, whether it goes there or not.
    output: the local file, or None.
    message, pull_request: for the Hub, see `Snapshot.write`.
    """

    snapshot: Snapshot
    name: str
    output: Path | None
    message: str
    pull_request: bool
    limits: Limits

    @property
    def ignored(self) -> set[str]:
        """What of the model is no part of it, since it is or will be its signature.

        Beside a single file nothing is part of it anyway.
        """
        if self.snapshot.single:
            return set()
        below = self._below()
        return {self.name} if below is None else {self.name, below}

    def check(self) -> None:
        """Refuse a place where nothing can be written, or where something else would be lost.

        Raises:
            UsageError: it is such a place.
            StepError: the store fails.
        """
        self._check_name(self.name)
        if self.output is None:
            self.snapshot.check_write(self.name, pull_request=self.pull_request)
            reference = self.snapshot.reference
            if reference.is_local:
                root = Path(reference.location)
                _check_place((root.parent if self.snapshot.single else root) / native(self.name))
            if self.name in self.snapshot.files:
                content = self.snapshot.read(self.name, self.limits.bundle_bytes)
                self._check_replaced(self.name, content)
            return
        if self.pull_request:
            raise UsageError("--output writes a local file, so there is no pull request to make")
        below = self._below()
        if below is not None:
            self._check_name(below)
        self._check_output(self.output)

    def write(self, bundle: bytes) -> Written:
        """Write the signature, as a whole or not at all.

        Raises:
            UsageError, StoreError: see `Snapshot.write`; the latter also where the local file
                cannot be written.
        """
        if self.output is None:
            return self.snapshot.write(
                self.name, bundle, message=self.message, pull_request=self.pull_request
            )
        output = self.output.absolute()
        try:
            # Much may have come there since.
            check = partial(self._check_output, output)
            write_below(output.parent.resolve(), output.name, bundle, check)
        except OSError as error:
            raise StoreError(ReasonCode.STORE_UNAVAILABLE, _unwritable(output, error)) from error
        return Written(Reference("file", str(output)).url)

    def _below(self) -> str | None:
        """The path of the local file in a local model, if it is in it."""
        reference = self.snapshot.reference
        if self.output is None or not reference.is_local or self.snapshot.single:
            return None
        output = self.output.absolute().parent.resolve() / self.output.name
        root = Path(reference.location).resolve()
        return portable(str(output.relative_to(root))) if output.is_relative_to(root) else None

    def _check_name(self, name: str) -> None:
        # Among the paths that are left out, the name is stated; a single file leaves out none.
        flaw = names.flaw(name) if self.snapshot.single else flaw_of(name)
        if flaw is not None:
            raise UsageError(f"the name of the signature {name!r} {flaw}; give another one")
        files = [path for path in self.snapshot.files if path != name]
        if len(files) < len(self.snapshot.files):
            return
        if name in (names.clash([*files, name]) or ()):
            raise UsageError(
                f"the signature cannot be named {name!r}: the model has a folder or a file of that "
                "name, or one that differs by letter case alone; give another name"
            )

    def _check_output(self, output: Path) -> None:
        _check_place(output)
        try:
            with output.open("rb") as stream:
                content = stream.read(self.limits.bundle_bytes + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(_unwritable(output, error)) from error
        self._check_replaced(str(output), content)

    def _check_replaced(self, name: str, content: bytes | None) -> None:
        """Nothing but an earlier signature may give way: no model file, and no key.

        content: None where it is too large for a signature.
        """
        if content is None or (content and not self._is_signature(content)):
            raise UsageError(
                f"{name} is there already and is no signature, so it is not overwritten; name "
                "another file with --output, or remove it first"
            )

    def _is_signature(self, content: bytes) -> bool:
        try:
            parse_bundle(content, self.limits)
        except SignatureError:
            return False
        return True


def _check_place(place: Path) -> None:
    """Find out beforehand whether a local file can be written, which is not done through a link."""
    if not os.access(place.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise UsageError(
            f"the signature cannot be written to {place.parent}, which is not there or not yours "
            "to write; name a file elsewhere with --output"
        )
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(_unwritable(place, error)) from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a link, a pipe or a device"
        raise UsageError(f"{place} is {what}; name another file for the signature with --output")


def _unwritable(output: Path, error: OSError) -> str:
    return f"{output} cannot be written: {error.strerror}; name another file with --output"
