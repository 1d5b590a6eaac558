"""PEM and its kin: keys and certificates as text, in a file of any kind."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from oms_gate.inspection.findings import Sighting
from oms_gate.inspection.windows import LOOK_AHEAD_BYTES, Window
from oms_gate.verdict import ReasonCode

_BEGIN = b"BEGIN "
# SSH2 has four hyphens and a space where all others have five.
_HEADER = re.compile(rb"---- ?BEGIN ([A-Z0-9 ]{1,40}?) ?----")
# A line of a real one has 64 characters or so. A header without is only spoken of.
_LINE = re.compile(rb"[A-Za-z0-9+/]{40,}")
_DISTINCT_CHARACTERS = 10
# In base64 once more, as Kubernetes has it, in one line of 76 characters at least.
_TWICE_BEGIN = b"LS0tLS1CRUdJTi"
_TWICE = re.compile(rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{62}")

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
    for header in window.matches(_BEGIN, _HEADER):
        reach = header.start() + LOOK_AHEAD_BYTES
        body = window.content[header.end() : reach].partition(b"----")[0]
        # JSON may escape a slash.
        line = _LINE.search(body.replace(rb"\/", b"/"))
        if line is not None and len(set(line[0])) >= _DISTINCT_CHARACTERS:
            yield from _sighting(header[1].decode("ascii"), header.start())
    for twice in window.matches(_TWICE_BEGIN, _TWICE):
        inner = _HEADER.search(base64.b64decode(twice[0]))
        if inner is not None and _PRIVATE in (label := inner[1].decode("ascii")):
            yield from _sighting(label, twice.start())


def _sighting(label: str, position: int) -> Iterator[Sighting]:
    if _PRIVATE in label:
        yield Sighting(ReasonCode.PUBLISH_SECRET, f"a private key ({label})", position)
    elif label in _PUBLIC:
        yield Sighting(ReasonCode.PUBLISH_TRUST_ANCHOR, _PUBLIC[label], position)
