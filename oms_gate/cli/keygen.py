"""``oms-gate keygen``: a key pair to sign with."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.markup import escape

from oms_gate.cli.output import after
from oms_gate.cli.render import new_console
from oms_gate.cli.signers import ask_passphrase
from oms_gate.errors import UsageError
from oms_gate.signing.keys import (
    PASSPHRASE_VARIABLE,
    CurveName,
    check_new,
    generate_key,
    write_key_pair,
)
from oms_gate.signing.opening import passphrase_from


def run(name: str, curve: CurveName, *, passphrase_file: Path | None, no_passphrase: bool) -> int:
    """Write NAME.key and NAME.pub; the exit status.

    Raises:
        UsageError: there is no passphrase, and nobody to ask for one.
        ConfigError: one of the files is there already, or cannot be written.
    """
    if no_passphrase and passphrase_file is not None:
        raise UsageError("--passphrase-file gives a passphrase and --no-passphrase wants none")
    name = name.removesuffix(".key")
    if name.rpartition("/")[2] in ("", ".", ".."):
        raise UsageError(f"{name!r} is no name for a key; give one such as release")
    private, public = Path(f"{name}.key"), Path(f"{name}.pub")
    check_new(private, public)
    passphrase = None if no_passphrase else passphrase_from(passphrase_file) or _asked(private)
    write_key_pair(private, public, generate_key(curve), passphrase)
    with after(f"{private} and {public} are written"):
        console = new_console()
        console.print(f"[bold green]✓[/] {escape(str(private))}  keep it secret; it signs")
        console.print(f"  {escape(str(public))}  give it to those who are to trust them")
    return 0


def _asked(private: Path) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{private} needs a passphrase: give --passphrase-file, set {PASSPHRASE_VARIABLE}, "
            "or say --no-passphrase"
        )
    passphrase = ask_passphrase(f"Passphrase for {private}: ")
    if not passphrase:
        raise UsageError("the passphrase is empty; say --no-passphrase for a key without one")
    if passphrase != ask_passphrase("Once more: "):
        raise UsageError("the two passphrases differ; nothing was written")
    return passphrase
