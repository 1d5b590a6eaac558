"""Where lines of an audit log go besides its file: a standard stream, syslog, OpenTelemetry."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
from datetime import datetime
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from oms_gate.errors import ConfigError
from oms_gate.evidence.entries import unwritten
from oms_gate.evidence_settings import AuditLogSettings, SyslogSettings
from oms_gate.oms.quoting import one_line
from oms_gate.process_lock import ProcessLock

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider

SYSLOG_BYTES: Final = 8192
"""Longest line that goes to syslog as it is, in bytes: receivers must take 2048 (RFC 5424, 6.1),
and commonly take this. Of a longer one only outcome, model, policy and reason codes are sent."""

_NOTICE, _WARNING = 5, 4  # RFC 5424, 6.2.1


class Sink(Protocol):
    """A place for lines."""

    def write(self, line: bytes) -> None:
        """Give it one line, with its end.

        Raises:
            EvidenceError: it did not take it.
        """

    def close(self) -> None:
        """Release it."""


def open_sinks(settings: AuditLogSettings) -> list[Sink]:
    """Those that are configured.

    Raises:
        ConfigError: what one needs is not installed.
    """
    sinks: list[Sink] = []
    if settings.stream is not None:
        sinks.append(Stream(settings.stream))
    if settings.syslog is not None:
        sinks.append(Syslog(settings.syslog))
    if settings.otlp:
        sinks.append(OpenTelemetry())
    return sinks


class Stream:
    """A standard stream of the process."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    def write(self, line: bytes) -> None:
        """See `Sink`."""
        try:
            stream = getattr(sys, self._name)
            stream.write(line.decode("ascii"))
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:
            raise unwritten(
                f"the audit log could not be written to {self._name} ({one_line(error)}); see who "
                "was to read it"
            ) from error

    def close(self) -> None:
        """It is the process's."""


class Syslog:
    """Syslog (RFC 5424): a datagram for each line; over TCP each ends with a line's end (RFC 6587,
    3.4.2)."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._facility = SysLogHandler.facility_names[settings.facility]
        self._lock = ProcessLock()
        self._socket: socket.socket | None = None
        self._pid = 0

    def write(self, line: bytes) -> None:
        """See `Sink`."""
        entry = json.loads(line)
        priority = self._facility * 8 + (_WARNING if _is_denied(entry) else _NOTICE)
        writer = entry["writer"]
        host = re.sub(r"[^!-~]", "", writer["host"])[:255] or "-"
        head = f"<{priority}>1 {entry['time']} {host} oms-gate {writer['pid']} {entry['kind']} - "
        message = head.encode() + _shortened(line.rstrip(b"\n"), entry)
        with self._lock:
            try:
                self._connected().sendall(message + b"\n" * self._settings.is_stream)
            except OSError as error:
                self._drop()
                raise unwritten(
                    f"syslog at {self._settings.address} did not take a line of the audit log "
                    f"({error.strerror or error}); see that it is running, and can be reached"
                ) from error

    def close(self) -> None:
        """See `Sink`."""
        with self._lock:
            self._drop()

    def _connected(self) -> socket.socket:
        """The connection; another one in a forked process, and where the receiver has ended it."""
        if self._socket is not None and (self._pid != os.getpid() or _has_ended(self._socket)):
            self._drop()
        if self._socket is None:
            self._socket, self._pid = _connection(self._settings), os.getpid()
        return self._socket

    def _drop(self) -> None:
        held, self._socket = self._socket, None
        if held is not None:
            held.close()


def _connection(settings: SyslogSettings) -> socket.socket:
    parts = urlsplit(settings.address)
    kind = socket.SOCK_STREAM if settings.is_stream else socket.SOCK_DGRAM
    if parts.scheme == "tcp":
        address = (parts.hostname or "", parts.port or 0)
        return socket.create_connection(address, settings.seconds)
    to: Any = parts.path
    family = socket.AF_UNIX
    if parts.scheme == "udp":
        family, _, _, _, to = socket.getaddrinfo(parts.hostname, parts.port, type=kind)[0]
    made = socket.socket(family, kind)
    try:
        made.settimeout(settings.seconds)
        made.connect(to)
    except BaseException:
        made.close()
        raise
    return made


def _has_ended(held: socket.socket) -> bool:
    """Whether the other side has ended a connection: what is sent to it would be lost."""
    if held.type != socket.SOCK_STREAM:
        return False
    events = select.poll()
    events.register(held, select.POLLIN)
    try:
        return bool(events.poll(0)) and not held.recv(1)
    except OSError:
        return True


def _is_denied(entry: dict[str, Any]) -> bool:
    return (entry.get("verdict") or {}).get("outcome") == "denied"


def _shortened(line: bytes, entry: dict[str, Any]) -> bytes:
    """A line that syslog takes: by its digest it is still found in the log."""
    if len(line) <= SYSLOG_BYTES or "verdict" not in entry:
        return line
    verdict = entry["verdict"]
    said = {name: verdict[name] for name in ("outcome", "mode", "model", "policy")}
    codes = sorted({reason["code"] for reason in verdict["reasons"]})
    kept = {**entry, "verdict": {**said, "reasons": codes}, "context": {}, "shortened": True}
    return json.dumps(kept, separators=(",", ":")).encode()


class OpenTelemetry:
    """Log records, as the standard variables ``OTEL_*`` say where to (OTLP over HTTP).

    They go out in the background.
    """

    def __init__(self) -> None:
        """
        Raises:
            ConfigError: the extra is not installed.
        """
        try:
            import opentelemetry.exporter.otlp.proto.http._log_exporter
            import opentelemetry.sdk._logs  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "evidence.audit_log.otlp needs OpenTelemetry: install oms-gate[otel]"
            ) from error
        self._lock = ProcessLock()
        self._provider: LoggerProvider | None = None
        self._pid = 0

    def write(self, line: bytes) -> None:
        """See `Sink`; it takes any."""
        from opentelemetry._logs import LogRecord, SeverityNumber

        entry = json.loads(line)
        verdict = entry.get("verdict") or {}
        denied = _is_denied(entry)
        said = {
            "oms_gate.log": entry["log"],
            "oms_gate.seq": entry["seq"],
            "oms_gate.hash": entry["hash"],
            "oms_gate.operation": entry.get("operation"),
            "oms_gate.outcome": verdict.get("outcome"),
            "oms_gate.model": verdict.get("model", {}).get("url"),
        }
        self._now().get_logger("oms_gate.audit_log").emit(
            LogRecord(
                timestamp=int(datetime.fromisoformat(entry["time"]).timestamp() * 1e9),
                severity_number=SeverityNumber.WARN if denied else SeverityNumber.INFO,
                severity_text="WARN" if denied else "INFO",
                body=line.decode("ascii").rstrip("\n"),
                attributes={name: value for name, value in said.items() if value is not None},
                event_name=f"oms_gate.{entry['kind']}",
            )
        )

    def close(self) -> None:
        """Send what has not been sent yet."""
        with self._lock:
            provider, self._provider = self._provider, None
        # It may take long, and others may begin anew meanwhile.
        if provider is not None and self._pid == os.getpid():
            provider.shutdown()

    def _now(self) -> LoggerProvider:
        """What sends; of threads, a forked process has none."""
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        with self._lock:
            if self._provider is None or self._pid != os.getpid():
                name = os.environ.get("OTEL_SERVICE_NAME", "oms-gate")
                provider = LoggerProvider(Resource.create({SERVICE_NAME: name}))
                provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
                self._provider, self._pid = provider, os.getpid()
            return self._provider
