"""Where a signature goes: looked at before anything is hashed or signed, written in the end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from oms_gate.errors import ConfigError, SignatureError, StoreError, UsageError
from oms_gate.limits import Limits
from oms_gate.oms import names
from oms_gate.oms.bundle import parse_bundle
from oms_gate.stores import Snapshot, Written
from oms_gate.stores.local_names import native, portable
from oms_gate.stores.local_writing import write_below
from oms_gate.verdict import ReasonCode

# Stands for what no signature can be.
_TOO_LARGE = b"too large"


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
        """What of the model is no part of it, since it is or will be its signature."""
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
            self._check_folder()
            self._check_lost(self.name)
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
        folder = self.output.absolute().parent.resolve()
        try:
            write_below(folder, self.output.name, bundle, lambda: None)
        except OSError as error:
            raise StoreError(
                ReasonCode.STORE_UNAVAILABLE, _unwritable(self.output, error)
            ) from error
        return Written(str(self.output))

    def _below(self) -> str | None:
        """The path of the local file in a local model, if it is in it."""
        if self.output is None or self.snapshot.reference.scheme != "file" or self.snapshot.single:
            return None
        output = self.output.absolute().parent.resolve() / self.output.name
        root = Path(self.snapshot.reference.location).resolve()
        return portable(str(output.relative_to(root))) if output.is_relative_to(root) else None

    def _check_name(self, name: str) -> None:
        if flaw := names.flaw(name):
            raise UsageError(f"the name of the signature {name!r} {flaw}; give another one")
        files = [path for path in self.snapshot.files if path != name]
        if len(files) < len(self.snapshot.files):
            return
        if name in (names.clash([*files, name]) or ()):
            raise UsageError(
                f"the signature cannot be named {name!r}: the model has a folder or a file of that "
                "name, or one that differs by letter case alone; give another name"
            )

    def _check_folder(self) -> None:
        reference = self.snapshot.reference
        if reference.scheme == "file" and not self.snapshot.single:
            folder = Path(reference.location, native(self.name)).parent
            if not os.access(folder, os.W_OK):
                raise UsageError(
                    f"the signature cannot be written to {folder}, which is not there or not yours "
                    "to write; give another name, or a file elsewhere with --output"
                )

    def _check_lost(self, name: str) -> None:
        if name in self.snapshot.files:
            content = self.snapshot.read(name, self.limits.bundle_bytes)
            self._check_replaced(name, _TOO_LARGE if content is None else content)

    def _check_output(self, output: Path) -> None:
        folder = output.absolute().parent
        if output.is_dir() or not os.access(folder, os.W_OK):
            what = "is a folder" if output.is_dir() else "is in no folder that can be written"
            raise UsageError(f"{str(output)!r} {what}; name a file for the signature")
        try:
            with output.open("rb") as stream:
                content = stream.read(self.limits.bundle_bytes + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(_unwritable(output, error)) from error
        self._check_replaced(str(output), content)

    def _check_replaced(self, name: str, content: bytes) -> None:
        """Nothing but an earlier signature may give way: no model file, and no key."""
        if not content:
            return
        try:
            parse_bundle(content, self.limits)
        except SignatureError as error:
            raise UsageError(
                f"{name} is there already and is no signature, so it is not overwritten; give "
                "another name, or remove it first"
            ) from error


def _unwritable(output: Path, error: OSError) -> str:
    return f"{output} cannot be written: {error.strerror}; name another file with --output"
