"""What signatures are checked against: the operator's keys, certificates and Sigstore roots.

A trust root comes from the gate's configuration, never from a bundle or from beside a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from oms_gate.errors import ConfigError
from oms_gate.oms import dsse
from oms_gate.oms import pem as pem_format
from oms_gate.oms.quoting import one_line
from oms_gate.oms.strict_json import JsonObject, parse

if TYPE_CHECKING:
    from sigstore_models.trustroot.v1 import TrustedRoot

PUBLIC_GOOD: Final = "public-good"
STAGING: Final = "staging"
_REPOSITORIES: Final = {
    PUBLIC_GOOD: "https://tuf-repo-cdn.sigstore.dev",
    STAGING: "https://tuf-repo-cdn.sigstage.dev",
}
_SIGSTORE_MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_JSON_DEPTH = 16
_JSON_VALUES = 10_000


@dataclass(frozen=True)
class KeyRoot:
    """A trusted public key: elliptic curve P-256, P-384 or P-521.

    sha256: of the key's DER SubjectPublicKeyInfo, in hex.
    """

    name: str
    sha256: str
    public_key: ec.EllipticCurvePublicKey

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> Self:
        """Read a public key in PEM.

        Raises:
            ConfigError: it is something else.
        """
        if b"PRIVATE KEY-----" in pem:
            raise ConfigError(
                f"the trusted key {name!r} is a private key; configure the public one, and keep "
                "the private one away from the gate"
            )
        if pem_format.labels(pem) != ["PUBLIC KEY"]:
            raise ConfigError(
                f"the trusted key {name!r} must be exactly one public key in PEM, but its file "
                f"holds {pem_format.content(pem)}"
            )
        try:
            key = load_pem_public_key(pem)
        except Exception as error:
            raise ConfigError(
                f"the trusted key {name!r} is not a public key in PEM: what its file holds between "
                "BEGIN and END is damaged"
            ) from error
        if not dsse.is_supported(key):
            raise ConfigError(
                f"the trusted key {name!r} must be an elliptic curve key on P-256, P-384 or "
                "P-521; models are signed with no others"
            )
        return cls.of(name, key)

    @classmethod
    def of(cls, name: str, key: ec.EllipticCurvePublicKey) -> Self:
        """A key at hand, of a supported curve."""
        return cls(name, fingerprint(key), key)


@dataclass(frozen=True)
class CertificateRoot:
    """One or more trusted certificates: roots, or intermediates or leaves to be pinned.

    sha256: of the DER certificates, one after the other as configured, in hex.
    """

    kind: ClassVar = "trusted certificates"

    name: str
    sha256: str
    anchors: tuple[x509.Certificate, ...]

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> Self:
        """Read certificates in PEM, each of which becomes a trust anchor.

        Raises:
            ConfigError: it is something else.
        """
        if not set(pem_format.CERTIFICATES).intersection(pem_format.labels(pem)):
            raise ConfigError(
                f"the {cls.kind} {name!r} are not certificates in PEM: their file holds "
                f"{pem_format.content(pem)} and no CERTIFICATE"
            )
        try:
            anchors = pem_format.certificates(pem)
        except Exception as error:
            raise ConfigError(
                f"the {cls.kind} {name!r} are not certificates in PEM: what their file holds "
                "between BEGIN and END is damaged"
            ) from error
        return cls.of(name, anchors)

    @classmethod
    def of(cls, name: str, anchors: Sequence[x509.Certificate]) -> Self:
        """Certificates at hand, one at least."""
        digest = hashlib.sha256(b"".join(anchor.public_bytes(Encoding.DER) for anchor in anchors))
        return cls(name, digest.hexdigest(), tuple(anchors))


@dataclass(frozen=True)
class TimestampRoot(CertificateRoot):
    """A trusted timestamp authority: its root, or its whole chain.

    With the authority's own certificate in the chain, no other one under the root counts.
    """

    kind: ClassVar = "certificates of the timestamp authority"

    @classmethod
    def of(cls, name: str, anchors: Sequence[x509.Certificate]) -> Self:
        """See `CertificateRoot.of`.

        Raises:
            ConfigError: there is no root among them, so nothing could be verified.
        """
        root = super().of(name, anchors)
        if not any(anchor.subject == anchor.issuer for anchor in root.issuers):
            raise ConfigError(
                f"the {cls.kind} {name!r} do not include its root, which issued itself; add that "
                "to their file"
            )
        return root

    @cached_property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """Those that may certify others."""
        return tuple(anchor for anchor in self.anchors if _is_authority(anchor))

    @cached_property
    def signers(self) -> tuple[x509.Certificate, ...]:
        """The others."""
        return tuple(anchor for anchor in self.anchors if anchor not in self.issuers)


@dataclass(frozen=True)
class SigstoreRoot:
    """A Sigstore instance: its certificate authorities, logs and timestamp authorities.

    sha256: of its ``trusted_root.json``, in hex.
    """

    name: str
    sha256: str
    raw: bytes = field(repr=False)

    @classmethod
    def from_json(cls, name: str, data: bytes) -> Self:
        """Read a ``trusted_root.json`` (Sigstore trusted root, version 0.1).

        Raises:
            ConfigError: it is something else, or an authority or a log is missing.
        """
        root = cls(name, hashlib.sha256(data).hexdigest(), data)
        root.trusted_root  # noqa: B018 - read it now, so that a fault in it shows at start-up
        return root

    @classmethod
    def public_good(cls) -> Self:
        """The public-good instance, see `shipped_file`."""
        data = shipped_file(PUBLIC_GOOD, "trusted_root.json")
        return cls(PUBLIC_GOOD, hashlib.sha256(data).hexdigest(), data)

    @cached_property
    def trusted_root(self) -> TrustedRoot:
        """The parsed file. The first call imports the Sigstore models.

        Raises:
            ConfigError: see `from_json`.
        """
        from sigstore_models.trustroot.v1 import TrustedRoot

        try:
            value = parse(self.raw, depth=_JSON_DEPTH, values=_JSON_VALUES)
            document = JsonObject(value, "the file")
            if (media_type := document.text("mediaType")) != _SIGSTORE_MEDIA_TYPE:
                document.fault("mediaType", f"must be {_SIGSTORE_MEDIA_TYPE}, not {media_type!r}")
            for part in ("certificateAuthorities", "ctlogs", "tlogs"):
                if not document.count(part):
                    document.fault(part, "is empty")
            root = TrustedRoot.from_json(self.raw)
            for authority in (*root.certificate_authorities, *root.timestamp_authorities):
                for certificate in authority.cert_chain.certificates:
                    x509.load_der_x509_certificate(certificate.raw_bytes)
            for log in (*root.ctlogs, *root.tlogs):
                load_der_public_key(log.public_key.raw_bytes or b"")
        except Exception as error:
            raise ConfigError(
                f"the Sigstore root {self.name!r} is not a usable trusted_root.json: "
                f"{one_line(error)}"
            ) from error
        return root


@dataclass(frozen=True)
class Trust:
    """All trust roots of a gate, by the names that the operator gave them.

    timestamp_authorities: for signatures by key and certificate; a Sigstore root has its own.
    old_format: whether certificates may have signed in the format before OMS v1.0.

    Raises:
        ConfigError: on construction, where one of them has two names: it could be found under
            either, and who may sign goes by the name.
    """

    keys: Mapping[str, KeyRoot] = field(default_factory=dict)
    certificates: Mapping[str, CertificateRoot] = field(default_factory=dict)
    sigstore: Mapping[str, SigstoreRoot] = field(default_factory=dict)
    timestamp_authorities: Mapping[str, TimestampRoot] = field(default_factory=dict)
    old_format: bool = False

    def __post_init__(self) -> None:
        certificates = [
            (root.name, anchor) for root in self.certificates.values() for anchor in root.anchors
        ]
        _check_names("keys", [(root.name, root.sha256) for root in self.keys.values()])
        _check_names("certificates", certificates)
        _check_names(
            "Sigstore roots", [(root.name, root.sha256) for root in self.sigstore.values()]
        )

    @cached_property
    def epoch(self) -> str:
        """SHA-256, in hex, of all that this trusts, by which names: another trust has another."""
        kinds = (self.keys, self.certificates, self.sigstore, self.timestamp_authorities)
        roots = [sorted((name, root.sha256) for name, root in kind.items()) for kind in kinds]
        return hashlib.sha256(json.dumps([roots, self.old_format]).encode()).hexdigest()


def shipped_file(instance: str, name: str) -> bytes:
    """A file of a public Sigstore instance, as it ships inside the sigstore package.

    Neither network nor cache nor home directory is touched.
    """
    folder = files("sigstore._store") / quote(_REPOSITORIES[instance], safe="")
    return (folder / name).read_bytes()


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a key's DER SubjectPublicKeyInfo, in hex."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _check_names(kind: str, roots: Iterable[tuple[str, Hashable]]) -> None:
    found: dict[Hashable, str] = {}
    for name, root in roots:
        if (other := found.setdefault(root, name)) != name:
            raise ConfigError(
                f"the trusted {kind} {other!r} and {name!r} hold the same one; give it one name, "
                "since publisher rules go by the name"
            )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca
