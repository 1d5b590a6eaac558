"""PEM and its kin: keys and certificates as text, in a file of any kind."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from heapq import merge

from oms_gate.inspection.findings import Sighting
from oms_gate.inspection.windows import LOOK_AHEAD_BYTES, Window
from oms_gate.reason_codes import ReasonCode

_BEGIN = b"BEGIN "
# SSH2 has four hyphens and a space where all others have five.
_HEADER = re.compile(rb"---- ?BEGIN ([A-Z0-9 ]{1,40}?) ?----")
# What a real one has at least, in one line or in several. A header without is only spoken of.
_CHARACTERS = 40
_RUN = re.compile(rb"[A-Za-z0-9+/]{%d}" % _CHARACTERS)
_LINE_BREAK = re.compile(rb"(?:(?<!\\)\\++[nr]|[\r\n])++")
_AROUND_LINES = b" \t\"'`\\+,;|>#*"
# Longer than most words that stand in a line of their own.
_LINE = re.compile(rb"[A-Za-z0-9+/]{16,}+={0,2}+")
# JSON may escape a slash.
_ESCAPED_SLASH = re.compile(rb"(?<!\\)\\++/")
_DISTINCT_CHARACTERS = 10
# In base64 once more, as Kubernetes has it, in one line of 76 characters at least.
_TWICE_BEGIN = b"LS0tLS1CRUdJTi"
_TWICE = re.compile(rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{62}")

_COMMENTS = rb"(?:\s|#[^\n]*+\n)*+"
_ALONE = re.compile(
    rb"\A"
    + _COMMENTS
    + rb"(?:-----BEGIN [A-Z0-9 ]++-----(?:[^-]|-(?!----))++-----END [A-Z0-9 ]++-----"
    + _COMMENTS
    + rb")++"
)

_PRIVATE = "PRIVATE KEY"
_PUBLIC = {
    "CERTIFICATE": "a certificate",
    "X509 CERTIFICATE": "a certificate",
    "TRUSTED CERTIFICATE": "a certificate",
    "PKCS7": "certificates (PKCS #7)",
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "SSH2 PUBLIC KEY": "a public key of SSH",
    "PGP PUBLIC KEY BLOCK": "a public key of OpenPGP",
}


def armoured(window: Window) -> Iterator[Sighting]:
    """Keys and certificates that begin in a window, whatever is around and between their lines.

    Of those in base64 once more, private keys only.
    """
    return merge(_in_lines(window), _in_base64(window), key=lambda sighting: sighting.position)


def armoured_file(content: bytes) -> Sighting | None:
    """The first trust anchor of a file that is nothing but keys, certificates, and comments."""
    if not _ALONE.fullmatch(content):
        return None
    found = armoured(Window(content, 0, len(content), 1))
    anchors = (one for one in found if one.code is ReasonCode.PUBLISH_TRUST_ANCHOR)
    return next((replace(one, alone=True) for one in anchors), None)


def _in_lines(window: Window) -> Iterator[Sighting]:
    for header in window.matches(_BEGIN, _HEADER):
        reach = header.start() + LOOK_AHEAD_BYTES
        body = window.content[header.end() : reach].partition(b"----")[0]
        if _has_content(_ESCAPED_SLASH.sub(b"/", body)):
            yield from _sighting(header[1].decode("ascii"), header.start())


def _in_base64(window: Window) -> Iterator[Sighting]:
    for twice in window.matches(_TWICE_BEGIN, _TWICE):
        inner = _HEADER.search(base64.b64decode(twice[0]))
        if inner is not None and _PRIVATE in (label := inner[1].decode("ascii")):
            yield from _sighting(label, twice.start())


def _has_content(body: bytes) -> bool:
    run = _RUN.search(body)
    if run is not None:
        content = run[0]
    else:
        lines = (line.strip(_AROUND_LINES) for line in _LINE_BREAK.split(body))
        content = b"".join(line for line in lines if _LINE.fullmatch(line))
    return len(content) >= _CHARACTERS and len(set(content)) >= _DISTINCT_CHARACTERS


def _sighting(label: str, position: int) -> Iterator[Sighting]:
    if _PRIVATE in label:
        yield Sighting(ReasonCode.PUBLISH_SECRET, f"a private key ({label})", position)
    elif label in _PUBLIC:
        yield Sighting(ReasonCode.PUBLISH_TRUST_ANCHOR, _PUBLIC[label], position)
