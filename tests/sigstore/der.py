"""DER, as far as timestamps and the extensions of certificates need it (X.690)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID, UTF8_STRING = 0x01, 0x02, 0x03, 0x04, 0x06, 0x0C
GENERALIZED_TIME, SEQUENCE, SET = 0x18, 0x30, 0x31


def tlv(tag: int, *content: bytes) -> bytes:
    """One value: its tag, its length, and its content one part after the other."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of encoded values."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """A SET OF encoded values, which DER wants in order."""
    return tlv(SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """A constructed value with a tag of its context, such as ``[0]``."""
    return tlv(0xA0 | number, *parts)


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content: bytes) -> bytes:
    """An OCTET STRING."""
    return tlv(OCTET_STRING, content)


def utf8(text: str) -> bytes:
    """A UTF8String."""
    return tlv(UTF8_STRING, text.encode())


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    return tlv(OID, *(_base128(arc) for arc in (40 * first + second, *others)))


def generalized_time(time: datetime) -> bytes:
    """A GeneralizedTime, to the second."""
    return tlv(GENERALIZED_TIME, time.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def read(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values in `data`, each with its tag and its content."""
    while data:
        tag, length, start = data[0], data[1], 2
        if length > 0x7F:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        yield tag, data[start : start + length]
        data = data[start + length :]


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(0x80 | arc & 0x7F)
    return bytes(reversed(digits))
