"""The two clients side by side: the reference implementation and this project.

Each signs a model that lies in a folder, and verifies what the other has signed. The bundle is
``model.sig`` in the folder, or ``<file>.sig`` beside a model that is a single file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oms_gate import Gate
from oms_gate.config import load_trust
from oms_gate.limits import Limits
from oms_gate.oms.digests import HashType
from oms_gate.oms.manifest import Manifest
from oms_gate.oms.sign import payload_of, sign_with_certificate, sign_with_key
from oms_gate.policy.engine import Engine
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from oms_gate.policy.wasm import WasmEngine
from oms_gate.reference import Reference
from oms_gate.settings import TrustSettings
from oms_gate.stores import StoreSettings, open_store
from oms_gate.streaming.manifest import manifest_of
from tests.oms.forge import Party, issue, issue_leaf, public_pem

Method = Literal["key", "certificate"]

# Both clients read the clock of this machine.
NOW: Final = datetime.now(UTC).replace(microsecond=0)
MONTH: Final = timedelta(days=30)
VALID: Final[Mapping[str, Any]] = {"start": NOW - MONTH, "end": NOW + MONTH}

REFERENCE_NAMES: Final[Mapping[HashType, str]] = {
    "sha256": "sha256",
    "blake2b": "blake2",
    "blake3": "blake3",
}
"""What the reference calls a hash function when it is told to use it."""


@dataclass(frozen=True)
class Settings:
    """How a model is to be signed.

    shard_size: bytes; None for whole files. ignore_paths: relative to the model.
    git: whether to sign what the format leaves out by default.
    """

    hash_type: HashType = "sha256"
    shard_size: int | None = None
    ignore_paths: tuple[str, ...] = ()
    allow_symlinks: bool = False
    git: bool = False


@dataclass(frozen=True)
class Signer:
    """A key in files, with its certificates where these are the method.

    chain: the signer's certificate, the intermediate one and the root.
    sent: how many of them go into bundles.
    """

    method: Method
    folder: Path
    chain: tuple[Party, ...]
    sent: int = 2

    @classmethod
    def make(
        cls,
        folder: Path,
        method: Method = "key",
        curve: type[ec.EllipticCurve] = ec.SECP256R1,
        *,
        root: Party | None = None,
        intermediate: Mapping[str, Any] | None = None,
        sent: int = 2,
        **leaf: Any,
    ) -> Signer:
        """A signer with files in a new folder.

        root: to be certified under. intermediate, leaf: differences (see `forge.issue`).
        """
        authority = root or issue("Root", **VALID)
        between = issue("Intermediate", authority, **{**VALID, **(intermediate or {})})
        own = {"private_key": ec.generate_private_key(curve())}
        signer = issue_leaf("Signer", between, **{**VALID, **own, **leaf})
        folder.mkdir()
        key = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(key)
        (folder / "key.pem").chmod(0o600)
        (folder / "public.pem").write_bytes(public_pem(signer.private_key))
        chain = (signer, between, authority)
        for name, party in zip(("signer", "intermediate", "root"), chain, strict=True):
            (folder / f"{name}.pem").write_bytes(party.pem)
        return cls(method, folder, chain, sent)

    def file(self, name: str) -> Path:
        """One of ``key``, ``public``, ``signer``, ``intermediate``, ``root``."""
        return self.folder / f"{name}.pem"

    @property
    def others(self) -> list[Path]:
        """Files of the certificates that go into bundles after the signer's."""
        return [self.file(name) for name in ("intermediate", "root")][: self.sent - 1]


def bundle_of(model: Path) -> Path:
    """Where the signature of a model is."""
    return model / "model.sig" if model.is_dir() else Path(f"{model}.sig")


def sign_here(model: Path, signer: Signer, settings: Settings) -> None:
    """Sign with this project.

    Raises:
        OmsGateError, NotImplementedError: see `manifest_here`.
    """
    manifest = manifest_here(model, settings)
    key = signer.chain[0].private_key
    if signer.method == "key":
        made = sign_with_key(payload_of(manifest, model.name), key)
    else:
        chain = [party.certificate for party in signer.chain[: signer.sent]]
        made = sign_with_certificate(payload_of(manifest, model.name), key, chain)
    bundle_of(model).write_bytes(made)


def manifest_here(model: Path, settings: Settings) -> Manifest:
    """What this project signs of a model.

    Raises:
        OmsGateError: it refuses to.
        NotImplementedError: it has no such setting.
    """
    if settings.allow_symlinks or settings.git:
        raise NotImplementedError("this project never signs links, nor what the format leaves out")
    reference = Reference.parse(str(model))
    snapshot = open_store(reference, StoreSettings(), Limits()).snapshot(reference)
    with closing(snapshot):
        return manifest_of(
            snapshot,
            ignore_paths={"model.sig", *settings.ignore_paths},
            hash_type=settings.hash_type,
            shard_size=settings.shard_size,
        )


@contextmanager
def rules(*more: Mapping[str, object]) -> Iterator[Engine]:
    """The gate's own policy, by which the signer of a gate (see `gate_for`) may sign everything.

    Nothing may go unsigned. One is enough for all gates, and far dearer than they are.

    more: signers of further methods, as a publisher rule names them.
    """
    signers: list[Mapping[str, object]] = [
        {"method": "key", "key": "signer"},
        {"method": "certificate", "root": "signer", "any_identity": True},
        *more,
    ]
    rule = {"name": "the signer of this test", "models": ["/**"], "signers": signers}
    publisher = Publisher.model_validate(rule)
    engine = WasmEngine.bundled(data_document([publisher]), Limits())
    try:
        yield engine
    finally:
        engine.close()


def gate_for(signer: Signer, engine: Engine) -> Gate:
    """A gate that trusts one signer."""
    if signer.method == "key":
        settings = TrustSettings(public_good=False, keys={"signer": signer.file("public")})
    else:
        settings = TrustSettings(public_good=False, certificates={"signer": signer.file("root")})
    return Gate(trust=load_trust(settings), policy=engine)


def refusal_here(gate: Gate, model: Path) -> str | None:
    """The first reason code for which the gate denies a model; None where it admits."""
    verdict = gate.check(model)
    return None if verdict.admitted else verdict.reasons[0].code.value


def reference(module: str) -> Any:
    """A module of the reference implementation, which has types in part only."""
    return import_module(f"model_signing.{module}")


def sign_there(model: Path, signer: Signer, settings: Settings) -> None:
    """Sign with the reference implementation.

    Raises:
        Exception: it refuses to.
    """
    config = reference("signing").Config()
    if signer.method == "key":
        config.use_elliptic_key_signer(private_key=signer.file("key"))
    else:
        config.use_certificate_signer(
            private_key=signer.file("key"),
            signing_certificate=signer.file("signer"),
            certificate_chain=signer.others,
        )
    config.set_hashing_config(hashing_of(settings)).sign(model, bundle_of(model))


def hashing_of(settings: Settings) -> Any:
    """The same settings in the words of the reference implementation."""
    config = reference("hashing").Config()
    name = REFERENCE_NAMES[settings.hash_type]
    if settings.shard_size is None:
        config.use_file_serialization(hashing_algorithm=name)
    else:
        config.use_shard_serialization(hashing_algorithm=name, shard_size=settings.shard_size)
    config.set_allow_symlinks(settings.allow_symlinks)
    paths = ["model.sig", *settings.ignore_paths]
    return config.set_ignored_paths(paths=paths, ignore_git_paths=not settings.git)


def refusal_there(
    model: Path,
    signer: Signer,
    settings: Settings | None = None,
    *,
    ignore_unsigned_files: bool = False,
) -> str | None:
    """Why the reference implementation refuses a model; None where it verifies.

    settings: how the model was signed; by default it is left to find out from the bundle.
    """
    config = reference("verifying").Config().set_ignore_unsigned_files(ignore_unsigned_files)
    if signer.method == "key":
        config.use_elliptic_key_verifier(public_key=signer.file("public"))
    else:
        config.use_certificate_verifier(certificate_chain=[signer.file("root")])
    if settings is not None:
        config.set_hashing_config(hashing_of(settings))
    return refusal(lambda: config.verify(model, bundle_of(model)))


def refusal(verify: Callable[[], object]) -> str | None:
    """The error of a call, as its type and text; None where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's own business
        try:
            verify()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None
