"""Rego to a WebAssembly bundle, by OPA's own compiler.

What was compiled is kept in the user's cache folder by the digest of its sources and the version
of the compiler. A cached file counts only if it is the user's own, is whole, and was stored for
that digest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import MIB
from oms_gate.policy.engine import DECISION_PATH
from oms_gate.verdict import ReasonCode

_LOG = logging.getLogger(__name__)

_DATA_FILES: Final = ("data.json", "data.yaml", "data.yml")
_SOURCE_BYTES: Final = 32 * MIB
_COMPILER_SECONDS: Final = 120
_DIGEST_BYTES: Final = 32


def compile_rego(folder: Path, *, opa: Path | None = None, cache: Path | None = None) -> bytes:
    """A bundle (``bundle.tar.gz``) of all Rego and data files below a folder.

    Tests (``*_test.rego``) and hidden files are left out; data files are ``data.json`` and
    ``data.yaml``, as in any bundle of OPA.

    opa: the compiler; otherwise that of $OMS_GATE_OPA, or ``opa`` on the PATH.
    cache: where compiled bundles are kept; otherwise in the user's cache folder.

    Raises:
        ConfigError: there is no compiler, the folder cannot be read, or OPA refuses the policy.
        PolicyError: SYSTEM_IO, there is no room for the compiler's work.
    """
    sources = _sources(folder)
    program = opa or _find_opa()
    version = _run([str(program), "version"], Path.cwd())
    digest = hashlib.sha256(version)
    for name, content in sources.items():
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    key = digest.hexdigest()
    cache = cache or _user_cache()
    bundle = _recall(cache / key, key) if cache else None
    if bundle is None:
        bundle = _build(program, sources)
        if cache:
            _store(cache / key, key, bundle)
    return bundle


def _sources(folder: Path) -> dict[str, bytes]:
    sources: dict[str, bytes] = {}
    room = _SOURCE_BYTES
    try:
        for base, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(base, name)
                if not _is_source(name) or not path.is_file():
                    continue
                with path.open("rb") as stream:
                    content = stream.read(room + 1)
                room -= len(content)
                if room < 0:
                    raise ConfigError(
                        f"the policy folder {folder} holds more than {_SOURCE_BYTES // MIB} MiB"
                    )
                sources[path.relative_to(folder).as_posix()] = content
    except OSError as error:
        raise ConfigError(f"the policy folder {folder} cannot be read: {error.strerror}") from error
    if not any(name.endswith(".rego") for name in sources):
        raise ConfigError(f"the policy folder {folder} holds no .rego file")
    return sources


def _raise(error: OSError) -> None:
    raise error


def _is_source(name: str) -> bool:
    if name.startswith("."):
        return False
    return name in _DATA_FILES or (name.endswith(".rego") and not name.endswith("_test.rego"))


def _find_opa() -> str:
    named = os.environ.get("OMS_GATE_OPA")
    program = shutil.which(named or "opa")
    if program is None:
        raise ConfigError(
            f"the policy compiler {named or 'opa'!r} was not found; install OPA "
            "(openpolicyagent.org/docs, one program), put it on the PATH or name it in "
            "OMS_GATE_OPA, or use an OPA server instead"
        )
    return program


def _build(program: Path | str, sources: dict[str, bytes]) -> bytes:
    # Compiled from a copy, so that what was digested is what is compiled.
    try:
        with tempfile.TemporaryDirectory(prefix="oms-gate-policy-") as work:
            for name, content in sources.items():
                path = Path(work, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            command = [str(program), "build", "-t", "wasm", "-e", DECISION_PATH]
            return _run([*command, "-o", "/dev/stdout", "-b", "."], Path(work))
    except OSError as error:
        raise PolicyError(
            ReasonCode.SYSTEM_IO,
            f"the policy could not be compiled because the temporary folder failed: "
            f"{error.strerror}; free some space or set TMPDIR",
        ) from error


def _run(command: list[str], folder: Path) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own compiler
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMPILER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"the policy compiler {command[0]} did not finish within {_COMPILER_SECONDS} seconds"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the policy compiler {command[0]} cannot be run: {error.strerror}"
        ) from error
    if done.returncode != 0:
        if complaint := _complaint(done.stderr or done.stdout):
            raise ConfigError(f"OPA refuses the policy: {complaint}")
        raise ConfigError(
            f"the policy compiler {command[0]} failed with exit status {done.returncode} and said "
            "nothing; make sure that it is OPA and that it runs on this machine"
        )
    return done.stdout


def _complaint(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").removeprefix("error: ").strip().splitlines()
    return " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])


def _user_cache() -> Path | None:
    with suppress(RuntimeError):
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        return base / "oms-gate" / "policies"
    return None


def _recall(path: Path, key: str) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            content = stream.read()
    except OSError:
        return None
    bundle = content[_DIGEST_BYTES:]
    return bundle if content[:_DIGEST_BYTES] == _digest(key, bundle) else None


def _store(path: Path, key: str, bundle: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(_digest(key, bundle) + bundle)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink()
            raise
    except OSError as error:
        _LOG.debug("the compiled policy is not kept: %s", error)


def _digest(key: str, bundle: bytes) -> bytes:
    return hashlib.sha256(key.encode() + bundle).digest()
