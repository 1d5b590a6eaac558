"""Names of keys in tokens: PKCS #11 URIs (RFC 7512), and where the PIN of one is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from oms_gate.errors import ConfigError, UsageError
from oms_gate.operator_files import read_secret

PIN_VARIABLE: Final = "OMS_GATE_PKCS11_PIN"

_PATH_NAMES = ("token", "manufacturer", "serial", "model", "slot-id", "object", "id", "type")
_QUERY_NAMES = ("module-path", "pin-source", "pin-value")
_PATH_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*")
_QUERY_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True)
class TokenUri:
    """The parts of an RFC 7512 URI, decoded.

    attributes: what token and key must be, by the names of the path; all must agree.
    module: the shared library that speaks to the token.
    """

    attributes: Mapping[str, bytes]
    module: Path
    pin_source: Path | None = None
    pin_value: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a URI strictly: what is not understood is not ignored, as it may narrow the choice.

        Raises:
            UsageError: it is malformed, says anything twice, has an attribute that is not
                understood, names another kind of object, or no module. No message repeats a PIN.
        """
        if uri[:7].lower() != "pkcs11:":
            raise UsageError("a key in a token is named by a URI that starts with pkcs11:")
        path, mark, query = uri[7:].partition("?")
        attributes = _pairs(path, ";", _PATH_NAMES, _PATH_VALUE) if path else {}
        options = _pairs(query, "&", _QUERY_NAMES, _QUERY_VALUE) if mark else {}
        if attributes.pop("type", b"private") != b"private":
            raise UsageError("the PKCS #11 URI names no private key; write type=private")
        if not re.fullmatch(rb"[0-9]{1,20}", attributes.get("slot-id", b"0")):
            raise UsageError("slot-id in the PKCS #11 URI must be a decimal number")
        if {"pin-source", "pin-value"} <= options.keys():
            raise UsageError("the PKCS #11 URI has both pin-source and pin-value; give one")
        if "module-path" not in options:
            raise UsageError(
                "the PKCS #11 URI does not say which library speaks to the token; add "
                "?module-path= with its absolute path"
            )
        source = _text("pin-source", options).removeprefix("file:")
        # An empty host, as in file:///etc/pin, is this machine.
        source = source.removeprefix("//") if source.startswith("///") else source
        return cls(
            attributes,
            _absolute("module-path", _text("module-path", options)),
            _absolute("pin-source", source) if "pin-source" in options else None,
            _text("pin-value", options) if "pin-value" in options else None,
        )

    def pin(self) -> str | None:
        """The PIN: from the file `pin-source`, from the URI, or from OMS_GATE_PKCS11_PIN.

        One in the URI shows in the list of processes, to every user of the machine. An empty one
        is none: to try it could lock the token.

        Raises:
            ConfigError: the file cannot be read, is open to every user, or holds no text.
        """
        if self.pin_value is not None:
            return self.pin_value or None
        place, content = PIN_VARIABLE, os.environb.get(PIN_VARIABLE.encode(), b"")
        if self.pin_source is not None:
            place = f"the PIN file {self.pin_source}"
            content = read_secret(self.pin_source, "the PIN file")
        try:
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r") or None
        except UnicodeDecodeError:
            raise ConfigError(f"{place} does not hold text in UTF-8") from None


def _pairs(
    text: str, separator: str, names: tuple[str, ...], values: re.Pattern[str]
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    where = "before" if separator == ";" else "after"
    for number, pair in enumerate(text.split(separator), start=1):
        name, mark, value = pair.partition("=")
        # The part itself is not shown: it may be a PIN, or the rest of one.
        part = f"part {number} {where} the question mark of the PKCS #11 URI"
        if name not in names or not mark:
            raise UsageError(f"{part} is none of {', '.join(f'{known}=' for known in names)}")
        if not values.fullmatch(value):
            raise UsageError(
                f"{part}, {name}, must have characters other than letters, digits and -._~ "
                "percent-encoded (a space is %20)"
            )
        if name in found:
            raise UsageError(f"{part} says {name} for the second time")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, options: Mapping[str, bytes]) -> str:
    try:
        return options.get(name, b"").decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{name} in the PKCS #11 URI is not text in UTF-8") from None


def _absolute(name: str, path: str) -> Path:
    if not path.startswith("/") or path.startswith("//") or "\0" in path:
        raise UsageError(
            f"{name} in the PKCS #11 URI must be a file with its absolute path, such as /a/b"
        )
    return Path(path)
