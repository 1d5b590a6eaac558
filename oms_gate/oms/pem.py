"""PEM files: their certificates, and what they say that they hold, for who named another one."""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509

CERTIFICATES: Final = ("CERTIFICATE", "X509 CERTIFICATE")
"""What the parts are called that hold a certificate."""

_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")


def labels(pem: bytes) -> list[str]:
    """Of each part, such as PUBLIC KEY."""
    return [label.decode("ascii") for label in _LABEL.findall(pem)]


def content(pem: bytes) -> str:
    """The same, to complete "its file holds ..."."""
    found = labels(pem)
    if not found:
        return "no PEM at all (no line that starts with -----BEGIN)"
    if len(found) == 1:
        return f"a {found[0]}"
    return f"{len(found)} parts ({', '.join(sorted(set(found)))})"


def certificates(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a file, in its order.

    Raises:
        ValueError: one is damaged or cut off.
    """
    found = x509.load_pem_x509_certificates(pem)
    # One that is cut off is otherwise not even missed.
    if len(found) != sum(label in CERTIFICATES for label in labels(pem)):
        raise ValueError("a certificate has no end")
    return found
