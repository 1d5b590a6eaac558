"""Tokens as configurations have them: by a digest, which is no secret."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        # It may be a token, so it is not shown.
        raise ValueError(
            'must be the SHA-256 of a token, 64 hex digits: printf %s "$TOKEN" | sha256sum'
        )
    return text


TokenDigest = Annotated[str, AfterValidator(_digest)]
"""SHA-256 of a token, in lower-case hex."""
