"""A policy as one file: compiled, with its data, for machines that have no ``opa``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from oms_gate.authoring.packs import refuse_whole_pack
from oms_gate.errors import ConfigError, OmsGateError
from oms_gate.limits import Limits
from oms_gate.operator_files import read_secret
from oms_gate.policy.compiler import build_bundle, policy_sources
from oms_gate.policy.program import find_opa
from oms_gate.policy.wasm import WasmEngine


@dataclass(frozen=True)
class SigningKey:
    """The private key that signs a bundle, PEM, and OPA's name for its algorithm."""

    file: Path
    algorithm: str


@dataclass(frozen=True)
class Built:
    """A bundle that was written: its size in bytes, and its SHA-256 in hex."""

    path: Path
    size: int
    sha256: str
    revision: str | None
    signed: bool


def build_policy(
    folder: Path, output: Path, *, revision: str | None = None, key: SigningKey | None = None
) -> Built:
    """Build a folder of Rego into a ``bundle.tar.gz``, without tests; the same of the same sources.

    What is there already at `output` is replaced when the bundle is whole and can be used.

    Raises:
        ConfigError: there is no ``opa``, it refuses the policy or the key, or the gate cannot
            evaluate the policy in process.
        UsageError: the folder is that of a pack.
        OmsGateError: the bundle cannot be written.
    """
    refuse_whole_pack(folder)
    options = [] if revision is None else [f"--revision={revision}"]
    if key is not None:
        # OPA would take the name of a file that is not there for the secret itself.
        read_secret(key.file, "the signing key")
        options += [f"--signing-key={key.file.absolute()}", f"--signing-alg={key.algorithm}"]
    bundle = build_bundle(policy_sources(folder), options, opa=find_opa())
    _write(output, bundle, folder)
    digest = hashlib.sha256(bundle).hexdigest()
    return Built(output, len(bundle), digest, revision, signed=key is not None)


def _write(output: Path, bundle: bytes, folder: Path) -> None:
    """Put it in its place once the gate has opened it."""
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        written = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(bundle)
            _try(written, folder)
            written.chmod(0o644)
            written.replace(output)
        except BaseException:
            written.unlink()
            raise
    except OSError as error:
        raise OmsGateError(
            f"the bundle {output} cannot be written: {error.strerror}; name another place with -o"
        ) from error


def _try(bundle: Path, folder: Path) -> None:
    try:
        WasmEngine.from_bundle(bundle, {}, Limits()).close()
    except ConfigError as error:
        # Nobody else knows the file by this name.
        said = str(error).replace(f"the bundle {bundle}", f"the policy in {folder}")
        raise ConfigError(said) from error
