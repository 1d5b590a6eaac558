"""What is trusted while inputs are verified, as public files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oms_gate.oms.trust import CertificateRoot, KeyRoot, SigstoreRoot, TimestampRoot, Trust

KEY = "key.pem"
ANCHORS = "anchors.pem"
TIMESTAMP_AUTHORITY = "timestamp_authority.pem"
SIGSTORE = "trusted_root.json"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put such files into a folder, which is made; the names are those above."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def load(folder: Path) -> Trust:
    """The trust roots of those files that are there; the old format is accepted."""

    def read(name: str) -> list[tuple[str, bytes]]:
        path = folder / name
        return [(path.stem, path.read_bytes())] if path.exists() else []

    return Trust(
        keys={name: KeyRoot.from_pem(name, pem) for name, pem in read(KEY)},
        certificates={name: CertificateRoot.from_pem(name, pem) for name, pem in read(ANCHORS)},
        sigstore={name: SigstoreRoot.from_json(name, data) for name, data in read(SIGSTORE)},
        timestamp_authorities={
            name: TimestampRoot.from_pem(name, pem) for name, pem in read(TIMESTAMP_AUTHORITY)
        },
        old_format=True,
    )
