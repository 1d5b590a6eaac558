"""The Sigstore method both ways, against a private instance that either client really asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oms_gate import Gate
from oms_gate.config import load_trust
from oms_gate.oms.sign import payload_of
from oms_gate.policy.engine import Engine
from oms_gate.settings import TrustSettings
from oms_gate.signing.sigstore import SigstoreInstance, sign_with_sigstore
from tests.interop.clients import (
    Settings,
    bundle_of,
    hashing_of,
    manifest_here,
    reference,
    refusal,
    refusal_here,
    rules,
)
from tests.interop.features import FOLDER, Result, outcome
from tests.models import write
from tests.sigstore.instance import Rekor
from tests.sigstore.server import SigstoreServer

IDENTITY: Final = "release@example.com"


@dataclass(frozen=True)
class Services:
    """Which services of an instance take part in signing."""

    title: str
    rekor: Rekor
    timestamps: bool


SERVICES: Final[tuple[Services, ...]] = (
    Services("Sigstore, Rekor v1", 1, timestamps=False),
    Services("Sigstore, Rekor v1 and a timestamp", 1, timestamps=True),
    Services("Sigstore, Rekor v2 and a timestamp", 2, timestamps=True),
)


@dataclass(frozen=True)
class Instance:
    """A private Sigstore, and a policy that trusts one identity of it.

    trusted_root: its ``trusted_root.json``, which is in the folder.
    """

    server: SigstoreServer
    engine: Engine
    folder: Path
    trusted_root: Path

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Instance]:
        """One whose files are in a new folder, while the context lasts."""
        folder.mkdir()
        with SigstoreServer() as server:
            root = folder / "trusted_root.json"
            root.write_text(json.dumps(server.sigstore.trusted_root()))
            who = {"method": "sigstore", "root": "signer", "identity": IDENTITY}
            with rules({**who, "issuer": server.url}) as engine:
                yield cls(server, engine, folder, root)

    def config(self, services: Services) -> Path:
        """The instance as a client trust configuration, in a file."""
        content = self.server.client_trust_config([services.rekor], timestamps=services.timestamps)
        path = self.folder / f"{services.title}.json"
        path.write_text(json.dumps(content))
        return path

    def sign_here(self, model: Path, services: Services, identity: str = IDENTITY) -> None:
        """Sign with this project."""
        config = json.loads(self.config(services).read_bytes())
        instance = SigstoreInstance.from_files(
            json.dumps(config["trustedRoot"]).encode(), json.dumps(config["signingConfig"]).encode()
        )
        token = self.server.identity_token(identity)
        manifest = manifest_here(model, Settings())
        bundle_of(model).write_bytes(
            sign_with_sigstore(payload_of(manifest, model.name), instance, token)
        )

    def sign_there(self, model: Path, services: Services, identity: str = IDENTITY) -> None:
        """Sign with the reference implementation."""
        reference("signing").Config().use_sigstore_signer(
            identity_token=self.server.identity_token(identity), trust_config=self.config(services)
        ).set_hashing_config(hashing_of(Settings())).sign(model, bundle_of(model))

    def refusal_here(self, model: Path) -> str | None:
        """The first reason code for which the gate denies; None where it admits."""
        settings = TrustSettings(public_good=False, sigstore={"signer": self.trusted_root})
        return refusal_here(Gate(trust=load_trust(settings), policy=self.engine), model)

    def refusal_there(self, model: Path, services: Services) -> str | None:
        """Why the reference implementation refuses; None where it verifies."""
        config = (
            reference("verifying")
            .Config()
            .use_sigstore_verifier(
                identity=IDENTITY, oidc_issuer=self.server.url, trust_config=self.config(services)
            )
        )
        return refusal(lambda: config.verify(model, bundle_of(model)))


def result_of(services: Services, folder: Path, instance: Instance) -> Result:
    """Sign and verify both ways, in a new folder."""
    ours, theirs = write(folder / "ours", FOLDER), write(folder / "theirs", FOLDER)
    instance.sign_here(ours, services)
    instance.sign_there(theirs, services)
    return Result(
        there=outcome(instance.refusal_there(ours, services)),
        here=outcome(instance.refusal_here(theirs)),
        own=outcome(instance.refusal_there(theirs, services)),
    )
