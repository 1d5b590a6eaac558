"""Two gates for tests: one that summarises what it verifies, and one that relies on that."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from tests import attesting, models
from tests.oms.forge import Json
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

PUBLISHER, GATE, STRANGER = models.new_key(), models.new_key(), models.new_key()
VERIFIER = "https://gate.example.com/"
SIGNATURE = models.signature(models.FILES, PUBLISHER)
MODEL = {**models.FILES, "model.sig": SIGNATURE}
GATE_SIGNER = {"method": "key", "key": "gate"}
# All weights are large, as those of real models are.
LIMITS = {"read_seconds": 2, "connect_seconds": 2, "retries": 1, "small_file_bytes": 1000}


@dataclass(frozen=True)
class Gates:
    """The configuration of both, without what is about summaries.

    summaries: where the first one writes them.
    """

    base: Mapping[str, Any]
    signer: Mapping[str, Any]
    summaries: Path

    @classmethod
    def at(cls, folder: Path) -> Gates:
        """Gates that trust the same key of a publisher, and that of the first gate."""
        keys = {"acme": PUBLISHER, "gate": GATE}
        files = {name: folder / f"{name}.pub" for name in keys}
        for name, key in keys.items():
            files[name].write_bytes(models.public_pem(key))
        (folder / "gate.key").touch(0o600)
        (folder / "gate.key").write_bytes(
            GATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        base = {
            "trust": {"keys": files, "public_good": False},
            "publishers": [
                {
                    "name": "Acme",
                    "models": ["hf://acme/*", "s3://*/acme/*", f"{folder}/*"],
                    "signers": [{"method": "key", "key": "acme"}],
                }
            ],
            "limits": LIMITS,
        }
        return cls(base, {"key": str(folder / "gate.key")}, folder / "summaries")

    def summarise(self, reference: str, changes: Json | None = None, **summaries: Any) -> Verdict:
        """What the first gate finds of a model; an admission leaves a summary.

        changes: of its configuration.
        """
        made = {"verifier": VERIFIER, "folder": self.summaries, **summaries}
        evidence = {"signer": self.signer, "summaries": made}
        return self._check(reference, {"evidence": evidence, **(changes or {})})

    def rely(self, reference: str, changes: Json | None = None, **accepted: Any) -> Verdict:
        """What the second gate finds of a model, which accepts the summaries of the first."""
        entry = {
            "verifier": VERIFIER,
            "signers": [GATE_SIGNER],
            "folder": str(self.summaries),
            **accepted,
        }
        return self._check(
            reference, {"evidence": {"accept_summaries": [entry]}, **(changes or {})}
        )

    def _check(self, reference: str, changes: Json) -> Verdict:
        with Gate.from_config(GateConfig.model_validate({**self.base, **changes})) as gate:
            return gate.check(reference)

    def files(self, level: str = "*") -> list[Path]:
        """The summaries that are there."""
        return sorted(self.summaries.glob(f"*.{level}.vsa.json"))

    def the_file(self, level: str = "bytes") -> Path:
        """The one that is there."""
        (file,) = self.files(level)
        return file

    def replace(self, change: Callable[[Json], object], key: Any = GATE) -> None:
        """Have somebody sign something else in place of the summary."""
        file = self.the_file()
        statement = statement_of(file.read_bytes())
        change(statement)
        file.write_bytes(attesting.signed(statement, key))


def statement_of(bundle: bytes) -> Json:
    """What a bundle states."""
    payload = json.loads(bundle)["dsseEnvelope"]["payload"]
    statement: Json = json.loads(base64.b64decode(payload))
    return statement


def weight_bytes(server: HubStandIn | SeaweedFS) -> int:
    """Bytes of the weights that were sent since the log of requests was emptied."""
    return sum(
        record.sent
        for record in server.requests
        if record.method == "GET" and (record.file or "").endswith("model.safetensors")
    )
