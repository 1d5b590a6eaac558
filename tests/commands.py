"""``oms-gate`` as its users see it: in a process of its own, by exit status and output.

Most of what a command takes is to start: to import, and to compile the policy. One process does
that, and forks for each command. What Python itself reads as it starts, it reads from nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]

_TIMEOUT_SECONDS = 120.0
_MESSAGE_BYTES = 1 << 20
# What commands import. huggingface_hub is none: as it is imported it reads the environment.
_IMPORTED = (
    "oms_gate.bom.document",
    "oms_gate.cli.app",
    "oms_gate.delivery.pull",
    "oms_gate.gate",
    "oms_gate.oms.sigstore",
    "oms_gate.policy.wasm",
    "oms_gate.signing.model",
    "rich.progress",
)
_READ_AS_PYTHON_STARTS = ("LANG", "LC_", "LOCPATH", "PYTHON")
_asking = threading.Lock()


def oms_gate(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these arguments, and with these variables besides.

    Raises:
        TimeoutError: it takes two minutes, and was killed.
    """
    if any(name.startswith(_READ_AS_PYTHON_STARTS) for name in environment):
        return subprocess.run(
            [Path(sys.executable).with_name("oms-gate"), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=_TIMEOUT_SECONDS,
        )
    with tempfile.TemporaryFile("w+") as output:
        done = printing_to(output, *arguments, **environment)
        output.seek(0)
        done.stdout = output.read()
    return done


def printing_to(
    output: IO[Any], *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it so that it prints to an open file.

    Raises:
        TimeoutError: as `oms_gate`.
    """
    words = ["oms-gate", *map(str, arguments)]
    with Path(os.devnull).open() as nothing, tempfile.TemporaryFile("w+") as errors:
        files = [stream.fileno() for stream in (nothing, output, errors)]
        status = _run(words, {**os.environ, **environment}, files)
        errors.seek(0)
        return subprocess.CompletedProcess(words, status, stderr=errors.read())


def _run(words: Sequence[str], variables: Mapping[str, str], files: Sequence[int]) -> int:
    message = json.dumps({"words": words, "variables": variables, "folder": str(Path.cwd())})
    with _asking:
        starter = _starter()
        socket.send_fds(starter, [message.encode()], files)
        child = int(starter.recv(_MESSAGE_BYTES))
        ready, _, _ = select.select([starter], [], [], _TIMEOUT_SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
        status = int(starter.recv(_MESSAGE_BYTES))
    if not ready:
        raise TimeoutError(f"oms-gate took more than {_TIMEOUT_SECONDS:g} seconds")
    return status


@cache
def _starter() -> socket.socket:
    """Where to ask the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.commands"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=theirs.fileno(), stdout=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def main() -> None:
    """Fork for each command that is asked for, and say its process and then its exit status."""
    for name in _IMPORTED:
        importlib.import_module(name)
    assert "huggingface_hub" not in sys.modules
    _compile()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            message, files, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, 3)
            if not message:
                return
            child = os.fork()
            if child == 0:
                requests.close()
                break
            for file in files:
                os.close(file)
            requests.send(b"%d" % child)
            _, status = os.waitpid(child, 0)
            requests.send(b"%d" % os.waitstatus_to_exitcode(status))
    _become(json.loads(message), files)

    from oms_gate.cli import main as command

    command()


def _become(asked: Mapping[str, Any], files: Sequence[int]) -> None:
    """Be as a process that was started with this."""
    for file, where in zip(files, (0, 1, 2), strict=True):
        os.dup2(file, where)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["variables"])
    os.chdir(asked["folder"])
    sys.argv = asked["words"]
    sys.modules["__main__"].__package__ = None  # It is called by its name, as a script is.


def _compile() -> None:
    """Compile the gate's policy in another process: Wasmtime starts threads, which no fork has."""
    import wasmtime

    from oms_gate.limits import Limits
    from oms_gate.policy.wasm import WasmEngine
    from tests import compiled

    wasmtime.Module = compiled.CompiledOnce  # type: ignore[assignment,misc]
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        WasmEngine.bundled({}, Limits()).close()
        with os.fdopen(sending, "wb") as stream:
            pickle.dump(compiled.compiled, stream)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as stream:
        compiled.compiled.update(pickle.load(stream))
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
