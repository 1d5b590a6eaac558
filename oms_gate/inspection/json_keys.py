"""Keys as JSON has them: JSON Web Keys, on their own, in sets, and within other text."""

from __future__ import annotations

import re

from oms_gate.inspection.findings import Sighting
from oms_gate.reason_codes import ReasonCode

_TYPE_NAME = b"kty"
# Members are side by side between two braces, in quotes that may be escaped.
_OBJECT = re.compile(rb"[^{}]++")
_QUOTE = rb"[\"'`]"
_IS = rb"\\*+" + _QUOTE + rb"\s*+:\s*+\\*+" + _QUOTE
_TYPE = re.compile(_QUOTE + rb"kty" + _IS + rb"(?:RSA|EC|OKP|oct|AKP)\\*+" + _QUOTE)
_PRIVATE = re.compile(_QUOTE + rb"(?:d|k|priv)" + _IS + rb"[0-9A-Za-z_-]{20}")
_PUBLIC = re.compile(_QUOTE + rb"(?:n|x|pub)" + _IS + rb"[0-9A-Za-z_-]{20}")


def json_web_key(content: bytes) -> Sighting | None:
    """The first private key, or else the first public one.

    content: the file's first bytes.
    """
    public = None
    if _TYPE_NAME not in content:
        return None
    for members in _OBJECT.finditer(content):
        if _TYPE_NAME not in members[0] or not _TYPE.search(members[0]):
            continue
        if private := _PRIVATE.search(members[0]):
            place = members.start() + private.start()
            return Sighting(ReasonCode.PUBLISH_SECRET, "a private key (JWK)", place)
        if public is None and (found := _PUBLIC.search(members[0])):
            place = members.start() + found.start()
            public = Sighting(ReasonCode.PUBLISH_TRUST_ANCHOR, "a public key (JWK)", place)
    return public
