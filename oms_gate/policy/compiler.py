"""Rego to a WebAssembly bundle, by OPA's own compiler.

What was compiled is kept in the user's cache folder by the digest of its sources and the version
of the compiler. A cached file counts only if it is the user's own, is whole, and was stored for
that digest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import MIB
from oms_gate.policy.engine import DECISION_PATH
from oms_gate.policy.program import find_opa, run_program
from oms_gate.reason_codes import ReasonCode

_LOG = logging.getLogger(__name__)

_DATA_FILES: Final = ("data.json", "data.yaml", "data.yml")
_SOURCE_BYTES: Final = 32 * MIB
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
    sources = policy_sources(folder)
    program = opa or find_opa()
    version = _run(program, ["version"], Path.cwd())
    digest = hashlib.sha256(version)
    for name, content in sources.items():
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    key = digest.hexdigest()
    cache = cache or _user_cache()
    bundle = _recall(cache / key, key) if cache else None
    if bundle is None:
        bundle = build_bundle(sources, opa=program)
        if cache:
            _store(cache / key, key, bundle)
    return bundle


def build_bundle(
    sources: Mapping[str, bytes], options: Sequence[str] = (), *, opa: Path | str
) -> bytes:
    """A bundle of the files of a policy, compiled anew.

    options: more of ``opa build``, such as ``--revision``.

    Raises:
        ConfigError: OPA refuses the policy.
        PolicyError: SYSTEM_IO, there is no room for the compiler's work.
    """
    command = ["build", "-t", "wasm", "-e", DECISION_PATH, *options]
    with unpacked(sources) as work:
        return _run(opa, [*command, "-o", "/dev/stdout", "-b", "."], work)


def policy_sources(folder: Path) -> dict[str, bytes]:
    """The files of a policy by their paths below its folder: Rego without tests, and data.

    Raises:
        ConfigError: it cannot be read, is too large, or holds no Rego.
    """
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
    return name in _DATA_FILES or (name.endswith(".rego") and not is_test(name))


def is_test(name: str) -> bool:
    """Whether a file has tests of a policy, and nothing of the policy itself."""
    return name.endswith("_test.rego")


@contextmanager
def unpacked(sources: Mapping[str, bytes]) -> Iterator[Path]:
    """A copy of a policy, so that what was read is what the program works on.

    Raises:
        PolicyError: SYSTEM_IO, there is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="oms-gate-policy-") as work:
            for name, content in sources.items():
                path = Path(work, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield Path(work)
    except OSError as error:
        raise PolicyError(
            ReasonCode.SYSTEM_IO,
            f"the policy could not be compiled because the temporary folder failed: "
            f"{error.strerror}; free some space or set TMPDIR",
        ) from error


def _run(program: Path | str, arguments: Sequence[str], folder: Path) -> bytes:
    done = run_program(program, arguments, folder)
    if done.returncode != 0:
        if complaint := _complaint(done.stderr or done.stdout):
            raise ConfigError(f"OPA refuses the policy: {complaint}")
        raise ConfigError(
            f"the policy compiler {program} failed with exit status {done.returncode} and said "
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
