"""``oms-gate audit-log``: is the log of verdicts as it was written?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from oms_gate.cli.admission import SignerOptions, expected_signer
from oms_gate.cli.output import after
from oms_gate.cli.render import new_console, print_beside
from oms_gate.config import CONFIG_VARIABLE, load_config, load_trust
from oms_gate.errors import ConfigError, UsageError
from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.gates import is_by
from oms_gate.evidence.log_file import LogFile
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence.verification import ExpectedSigner, VerifiedLog, verify_log

if TYPE_CHECKING:
    from oms_gate.config import GateConfig

_SHOWN_FAULTS = 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOT_LOOKED_AT = (
    "not looked at: say who the gate is, as by --public-key; whoever can write a log could have "
    "made a chain as good as this one"
)


def verify(
    log: Path | None,
    config: Path | None,
    signer: SignerOptions,
    *,
    expected_hash: str | None,
    archived: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Read a log to its end and print what is left of it; 0 if it is whole, else 1.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: the log, the configuration or a file that it names cannot be used.
    """
    if json and quiet:
        raise UsageError("--json prints and --quiet does not; give one of them")
    if expected_hash is not None and not _SHA256.fullmatch(expected_hash := expected_hash.lower()):
        raise UsageError("--head is the digest of a line: 64 hexadecimal digits")
    settings = load_config(config) if config is not None else None
    if log is None:
        log = configured_log(settings)
    found = verify_log(
        log, expected_gate(signer, settings), expected_hash=expected_hash, archived=archived
    )
    with after(f"the audit log is {'whole' if found.is_whole else 'not whole'}"):
        if json:
            typer.echo(found.model_dump_json(indent=2))
        elif not quiet:
            _print(found)
    return 0 if found.is_whole else 1


def checkpoint(config: Path | None, *, json: bool) -> int:
    """Sign what is written, now; 0.

    Raises:
        UsageError: there is no configuration.
        ConfigError: it names no file or no signer, or what it names cannot be used.
        SigningError: the signature could not be made.
        EvidenceError: the log cannot be written.
    """
    settings = None if config is None else load_config(config)
    file = configured_log(settings)
    assert settings is not None
    assert settings.evidence.audit_log is not None
    if settings.evidence.signer is None:
        raise ConfigError("the gate has nothing to sign with: give it evidence.signer in gate.yaml")
    signer = OwnSigner(settings.evidence.signer)
    head = LogFile(file, settings.evidence.audit_log).head()
    with closing(AuditLog.from_settings(settings.evidence.audit_log, signer)) as log:
        log.sign(head)
    if json:
        typer.echo(head.model_dump_json())
    else:
        print(f"signed up to line {head.seq}: {head.hash}")  # noqa: T201
    return 0


def configured_log(settings: GateConfig | None) -> Path:
    """The file that a configuration names.

    Raises:
        UsageError: there is no configuration.
        ConfigError: it names no file.
    """
    if settings is None:
        raise UsageError(
            "no configuration says where the audit log is: give the file, or --config gate.yaml, "
            f"or set {CONFIG_VARIABLE}"
        )
    log = settings.evidence.audit_log
    if log is None or log.file is None:
        raise ConfigError("the gate writes no audit log: name its file (evidence.audit_log.file)")
    return log.file


def expected_gate(signer: SignerOptions, settings: GateConfig | None) -> ExpectedSigner | None:
    """Who signs the checkpoints, as the options say it, or else the configuration; None if neither.

    Raises:
        UsageError: the options cannot be meant together, or the configuration does not say enough.
        ConfigError: a file that they name cannot be used.
    """
    now = datetime.now(UTC)
    if signer.given:
        roots, known = expected_signer(signer)
        return ExpectedSigner(load_trust(roots), lambda found: is_by(known, found), now)
    if settings is None or (own := settings.evidence.signer) is None:
        return None
    if own.sigstore is not None:
        raise UsageError(
            "the gate signs by Sigstore, so say by which identity: --identity and --issuer (and "
            "--trusted-root for a private one)"
        )
    trust, identity = OwnSigner(own).verifies()
    return ExpectedSigner(trust, lambda found: found.identity == identity, now)


def _print(found: VerifiedLog) -> None:
    console = new_console()
    mark = "[bold green]✓[/] whole" if found.is_whole else "[bold red]✗[/] not whole"
    console.print(f"{mark}  {escape(found.log)}")
    for name, value in _facts(found):
        print_beside(console, f"  [dim]{name:<9}[/]", escape(value))
    for fault in found.faults[:_SHOWN_FAULTS]:
        place = f"{Path(fault.file).name}:{fault.line}"
        text = f"{escape(place)}: {escape(fault.message)} [dim]{escape(f'[{fault.kind}]')}[/]"
        print_beside(console, "  [red]✗[/]", text)
    more = len(found.faults) - _SHOWN_FAULTS + found.more_faults
    if more > 0:
        print_beside(console, "  [red]✗[/]", f"{more} more like these; --json shows all")


def _facts(found: VerifiedLog) -> Iterator[tuple[str, str]]:
    yield "log", found.id or "it has no line"
    yield "lines", f"{found.lines} in {found.files} files, {found.verdicts} of them verdicts"
    if found.unread:
        yield "unread", f"{found.unread} lines of another version of oms-gate, in their places"
    if found.first_time is not None and found.last_time is not None:
        yield "time", f"{_time(found.first_time)} to {_time(found.last_time)}"
    if found.is_whole and found.signer is not None and found.signed_at is not None:
        after_it = found.last_seq - found.signed_seq
        signed = f"up to line {found.signed_seq}, at {_time(found.signed_at)}; {after_it} after it"
        yield "signed", signed
        yield "by", found.signer.identity
    elif found.is_whole:
        yield "signed", _NOT_LOOKED_AT
    if found.recovered:
        yield "torn", f"{found.recovered} lines that were not written to their end"
    if found.last_hash is not None:
        yield "head", found.last_hash


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
