"""What evidence costs: a line of the audit log, alone and among many writers, and reading it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.report import Figure, Spread, Table
from benchmarks.setting import Setting
from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence.verification import ExpectedSigner, verify_log
from oms_gate.evidence_settings import AuditLogSettings, GateSigner
from oms_gate.verdict import Coverage, FileFact, Model, Verdict
from tests.forks import failures

_LINES = 2000
_WRITERS = 8
_CONTEXT = {"operation": "verify", "namespace": "production"}


def measure(setting: Setting) -> Iterator[str]:
    """On disk, with each line waited for and not; against the same bytes with no chain."""
    rows, ratios = [], {}
    for sync in ("always", "never"):
        for writers in (1, _WRITERS):
            ours, raw = [], []
            for _ in range(setting.rounds):
                raw.append(_took(setting, writers, _plain(sync)))
                ours.append(_took(setting, writers, _logged(setting, sync)))
            for name, took in (("the same bytes, appended", raw), ("a line of the log", ours)):
                per_second = Spread.of(_LINES / seconds for seconds in took)
                rows.append([name, str(writers), sync, per_second.text(0)])
            ratios[sync, writers] = report.over(ours, raw)
    yield f"{_LINES} verdicts of {len(_line())} bytes, on disk; a checkpoint after 1000 lines:\n"
    yield Table(("", "processes", "`sync`", "lines a second"), rows).markdown()
    yield report.figures(
        Figure(f"time, of appending the same bytes: {writers} processes, `sync: {sync}`", ratio)
        for (sync, writers), ratio in ratios.items()
    ).markdown()
    yield "Reading a log to its end:\n"
    took = [_verified(setting) for _ in range(setting.rounds)]
    row = ["`verify_log`, with the gate's key", Spread.of(_LINES / one for one in took).text(0)]
    yield Table(("", "lines a second"), [row]).markdown()


Writer = Callable[[Path, int], None]


def _took(setting: Setting, writers: int, write: Writer) -> float:
    with TemporaryDirectory(dir=setting.disk) as place:
        started = time.perf_counter()
        failed = failures(writers, lambda _: write(Path(place, "audit.jsonl"), _LINES // writers))
        assert not failed, f"{failed} of {writers} writers failed"
        return time.perf_counter() - started


def _logged(setting: Setting, sync: str) -> Writer:
    def write(file: Path, count: int) -> None:
        log = _log(setting, file, sync)
        for _ in range(count):
            log.write(_verdict(), _CONTEXT)

    return write


def _plain(sync: str) -> Writer:
    line = _line()

    def write(file: Path, count: int) -> None:
        for _ in range(count):
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(descriptor, line)
            if sync == "always":
                os.fsync(descriptor)
            os.close(descriptor)

    return write


def _verified(setting: Setting) -> float:
    with setting.scratch() as place:
        file = Path(place, "audit.jsonl")
        _logged(setting, "never")(file, _LINES)
        trust, _ = _signer(setting).verifies()
        gate = ExpectedSigner(trust, lambda _: True, datetime.now(UTC))
        started = time.perf_counter()
        assert verify_log(file, gate).is_whole
        return time.perf_counter() - started


def _log(setting: Setting, file: Path, sync: str) -> AuditLog:
    settings = AuditLogSettings.model_validate({"file": file, "sync": sync, "wait_seconds": 600})
    return AuditLog.from_settings(settings, _signer(setting))


def _signer(setting: Setting) -> OwnSigner:
    return OwnSigner(GateSigner(key=str(setting.private_key)))


def _line() -> bytes:
    with TemporaryDirectory() as place:
        file = Path(place, "audit.jsonl")
        settings = AuditLogSettings(file=file)
        AuditLog.from_settings(settings, None).write(_verdict(), _CONTEXT)
        return file.read_bytes().splitlines(keepends=True)[-1]


def _verdict() -> Verdict:
    unsigned = tuple(FileFact(path=f"image-{n}.png", size=n, kind="document") for n in range(10))
    return Verdict(
        outcome="admitted",
        model=Model(url="hf://acme/model@main", name="hf://acme/model", revision="main"),
        coverage=Coverage(signed=20, signed_bytes=10**10, unsigned=unsigned),
        checked_at=datetime.now(UTC),
        gate_version="0",
    )
