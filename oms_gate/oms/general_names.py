"""The alternative names of certificates as text, so that no kind can pass for another.

Policies compare texts. An address, a URI and a DNS name therefore must look like what they are:
the first has an ``@`` and no colon, the second begins with a scheme, the third has neither. All
others come after a prefix that is no scheme of a URI here.
"""

from __future__ import annotations

import re

from cryptography import x509

from oms_gate.oms.quoting import quoted

_ADDRESS = re.compile(r"[^@:/\s]+@[^@:/\s]+")
_URI = re.compile(r"(?!(?i:directory|ip|oid|other):)[A-Za-z][A-Za-z0-9+.-]*:\S+")
_DNS_NAME = re.compile(r"[^@:/\s]+")


def text_of(name: x509.GeneralName) -> str:
    """An e-mail address, URI or DNS name as it is; any other kind after a prefix that names it.

    Raises:
        ValueError: the name does not look like the kind that it is said to be.
    """
    if isinstance(name, x509.RFC822Name):
        return _like(_ADDRESS, name.value, "an e-mail address")
    if isinstance(name, x509.UniformResourceIdentifier):
        return _like(_URI, name.value, "a URI")
    if isinstance(name, x509.DNSName):
        return _like(_DNS_NAME, name.value, "a DNS name")
    if isinstance(name, x509.DirectoryName):
        return f"directory:{name.value.rfc4514_string()}"
    if isinstance(name, x509.IPAddress):
        return f"ip:{name.value}"
    if isinstance(name, x509.RegisteredID):
        return f"oid:{name.value.dotted_string}"
    if isinstance(name, x509.OtherName):
        return f"other:{name.type_id.dotted_string}:{name.value.hex()}"
    raise ValueError("a certificate has an alternative name of an unknown kind")


def _like(shape: re.Pattern[str], text: str, kind: str) -> str:
    if not shape.fullmatch(text):
        raise ValueError(f"a certificate's alternative name {quoted(text)} is not {kind}")
    return text
