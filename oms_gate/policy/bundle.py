"""Bundles of OPA: a ``bundle.tar.gz`` with a compiled policy, its data and its manifest.

See openpolicyagent.org/docs/management-bundles, "Bundle File Format".
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from oms_gate.errors import ConfigError
from oms_gate.limits import MIB
from oms_gate.policy.engine import DECISION_PATH

_UNPACKED_BYTES: Final = 64 * MIB
_DATA: Final = "data.json"
# In whatever folder, for OPA.
_DATA_NAMES: Final = ("data.json", "data.yaml", "data.yml")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read, and of which nothing is verified.

    origin: what messages call it.
    files: content by path, which has no slash in front.
    """

    origin: str
    files: Mapping[str, bytes]

    @classmethod
    def from_bytes(cls, content: bytes, origin: str) -> Bundle:
        """Unpack a bundle.

        Raises:
            ConfigError: it is none, is too large, or has a name that is unsafe or there twice.
        """
        files: dict[str, bytes] = {}
        try:
            with gzip.open(io.BytesIO(content)) as stream:
                unpacked = stream.read(_UNPACKED_BYTES + 1)
            if len(unpacked) > _UNPACKED_BYTES:
                raise ConfigError(f"{origin} unpacks to more than {_UNPACKED_BYTES // MIB} MiB")
            with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
                for member in archive:
                    if member.isdir():
                        continue
                    name = _safe(member, origin)
                    if name in files:
                        raise ConfigError(f"{origin} has {name!r} twice; build it anew")
                    stored = archive.extractfile(member)
                    files[name] = b"" if stored is None else stored.read()
        except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
            raise ConfigError(f"{origin} is not a bundle; {_HOW}") from error
        return cls(origin, files)

    @property
    def module(self) -> bytes:
        """The compiled policy.

        Raises:
            ConfigError: there is none.
        """
        try:
            return self.files["policy.wasm"]
        except KeyError:
            raise ConfigError(f"{self.origin} is not a bundle with a policy.wasm; {_HOW}") from None

    @property
    def data(self) -> dict[str, object]:
        """Its own data document.

        Raises:
            ConfigError: it is not an object, or some of it is elsewhere than OPA's builder puts it.
        """
        for name in self.files:
            if name != _DATA and name.rpartition("/")[2] in _DATA_NAMES:
                raise ConfigError(
                    f"{self.origin} has data in {name!r}, which would not be heeded: all of it has "
                    f"to be in {_DATA}; {_HOW}"
                )
        return self._object(_DATA)

    @property
    def revision(self) -> str | None:
        """Which one it is, as its manifest says; None where it does not.

        Raises:
            ConfigError: the manifest cannot be read.
        """
        revision = self._object(".manifest").get("revision", "")
        if not isinstance(revision, str):
            raise ConfigError(f"{self.origin} has a revision that is not a string")
        return revision or None

    def _object(self, name: str) -> dict[str, object]:
        try:
            value = json.loads(self.files.get(name, b"{}"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.origin} has a {name} that is not JSON; {_HOW}") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{self.origin} has data that is not an object ({name})")
        return value


_HOW: Final = f"build it with opa build -t wasm -e {DECISION_PATH}"


def _safe(member: tarfile.TarInfo, origin: str) -> str:
    name = member.name.lstrip("/")
    parts = name.split("/")
    if not member.isreg() or "\\" in name or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise ConfigError(
            f"{origin} has {member.name!r}, which is not a file with a plain name below its root; "
            "build it anew"
        )
    return name
