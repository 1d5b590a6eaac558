"""What a service logs: one line for each event, in which nothing hides and no secret is."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal

from oms_gate.verdict import printable

Fields = Mapping[str, str | int | float | None]

FIELDS: Final = "fields"
"""What the fields of an event are called in `extra` of a call to a logger."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; every record that is made meanwhile has it."""

# Each takes linear time: none begins with what it may repeat.
_SECRETS: Final = (
    (re.compile(r"hf_[A-Za-z0-9]{4,}"), "hf_***"),
    (re.compile(r"(?i)\b(bearer|basic) {1,4}[^\s'\",;]+"), r"\1 ***"),
    (
        re.compile(r"(?i)((?:authorization|cookie|-secret)['\"]?[:=] ?['\"]?)[^\s'\",;*]+"),
        r"\1***",
    ),
    (re.compile(r"\?[^\s'\"<>?=]*=[^\s'\"<>]*"), "?***"),
)


def set_up(log_format: Literal["text", "json"]) -> None:
    """Let the loggers of this process write such lines to stderr; of libraries, warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(_as_json if log_format == "json" else _as_text))
    logging.getLogger("oms_gate").handlers.clear()  # The command's own would say it twice.
    # Libraries tell of each pair of keys that they find, and much else that nobody asked for.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("oms_gate").setLevel(logging.INFO)


class OneLine(logging.Formatter):
    """Makes a line of a record: masked, and escaped as verdicts are."""

    def __init__(self, written: Callable[[Fields], str]) -> None:
        """
        written: a line with these fields; the first are ``time``, ``level``, ``logger``, ``event``.
        """
        super().__init__()
        self._written = written

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return self._written(dict(self._fields(record)))

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str | int | float]]:
        moment = datetime.fromtimestamp(record.created, UTC)
        yield "time", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield "level", record.levelname.lower()
        yield "logger", record.name
        yield "event", printable(masked(record.getMessage()))
        fields: dict[str, str | int | float | None] = {"request_id": request_id.get()}
        fields.update(getattr(record, FIELDS, {}))
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        for name, value in fields.items():
            if value is not None:
                yield name, printable(masked(value)) if isinstance(value, str) else value


def masked(text: str) -> str:
    """The text without what looks like a token, and without queries of URLs."""
    for secret, mask in _SECRETS:
        text = secret.sub(mask, text)
    return text


def _as_json(fields: Fields) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _as_text(fields: Fields) -> str:
    """``TIME LEVEL LOGGER EVENT name=value ...``; a value with spaces is quoted as in JSON."""
    time, level, logger, event, *others = fields.items()
    words = [str(time[1]), str(level[1]).upper(), f"{logger[1]}:", str(event[1])]
    for name, value in others:
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        plain = text and not set(text) & set(' "=\\')
        words.append(f"{name}={text if plain else json.dumps(text, ensure_ascii=False)}")
    return " ".join(words)
