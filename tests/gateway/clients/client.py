"""The clients that users point at a gateway by HF_ENDPOINT, each as its users run it.

with Clients(endpoint, folder) as clients:
    said = clients.load("hf_hub_download 0.36.2", "acme/model")
    said.files["model.safetensors"], said.text

Each is a process of its own with a home of its own, in which nothing is set but what users set,
and whose way to other places is closed. Those of Python that are libraries stay, as starting them
takes the longest; what they have learnt of one repository is of no use to another.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import huggingface_hub

PROJECT = Path(__file__).parents[3]
FILES = ("config.json", "model.safetensors")
VERSIONS = ("0.36.2", "1.33.0", "2.4.0")
LIBRARIES = ("transformers", "model2vec", "tokenizers")
_HERE = Path(__file__).parent
_TOOLS = PROJECT / ".tools"
_SECONDS = 120
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Said:
    """What a client gave its user.

    files: the bytes of each, None where it has no model; empty where a library keeps them.
    text: what it printed, in plain characters.
    """

    files: Mapping[str, bytes] | None
    text: str


class MissingError(Exception):
    """A client is not on this machine; says what to do."""


class Clients:
    """All of them, in front of one endpoint; a context manager.

    folder: their homes are below it. token: of the user, where it is not nobody.
    """

    def __init__(self, endpoint: str, folder: Path, token: str | None = None) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._token = token
        self._sessions: dict[str, _Session] = {}

    def load(self, name: str, repository: str, files: Sequence[str] = FILES) -> Said:
        """Load a model with one of `NAMES`, or of `MORE_NAMES`.

        Raises:
            MissingError: it is not on this machine.
        """
        return _WAYS[name](self, repository, files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._sessions.values():
            session.close()

    def _library(self, repository: str, files: Sequence[str], how: str, version: str) -> Said:
        if version not in self._sessions:
            environment = self._environment(f"hub-{version}", _overlay(version))
            self._sessions[version] = _Session(environment, self._folder / f"hub-{version}.err")
        return self._sessions[version].load(how, repository, files)

    def _hf(self, repository: str, files: Sequence[str], version: str) -> Said:
        environment = self._environment(f"hub-{version}", _overlay(version))
        start = "from huggingface_hub.cli.hf import main; main()"
        command = [sys.executable, "-c", start, "download", repository]
        said = _run(command, environment)
        folder = re.search(r"/\S+/snapshots/[0-9a-f]{40}", said.text)
        if said.files is None or folder is None:
            return said
        return _with_files(said, [Path(folder[0]) / file for file in files])

    def _node(self, repository: str, files: Sequence[str], script: str, packages: str) -> Said:
        folder = _TOOLS / packages
        if shutil.which("node") is None or not folder.exists():
            raise MissingError(
                f"there is no node, or no {folder}: install Node.js, then `make peers`"
            )
        environment = self._environment(script)
        command = ["node", str(_HERE / packages / script), repository, *files]
        return _printed_paths(_run(command, environment, folder))

    def _rust(self, repository: str, files: Sequence[str], name: str) -> Said:
        program = _TOOLS / "bin" / name
        if not program.exists():
            raise MissingError(f"there is no {program}: install Rust, then `make peers`")
        command = [str(program), repository, *files]
        return _printed_paths(_run(command, self._environment(name)))

    def _curl(self, repository: str, files: Sequence[str]) -> Said:
        if shutil.which("curl") is None:
            raise MissingError("there is no curl")
        environment = self._environment("curl")
        found = []
        for file in files:
            copy = Path(environment["HF_HOME"]) / file
            url = f"{self._endpoint}/{repository}/resolve/main/{file}"
            told = ["-H", f"Authorization: Bearer {self._token}"] if self._token else []
            command = ["curl", "-sSL", "--fail-with-body", *told, "-o", str(copy), url]
            said = _run(command, environment)
            if said.files is None:
                # Who asks for a file to be written looks into it.
                return Said(None, said.text + (copy.read_text() if copy.exists() else ""))
            found.append(copy)
        return _with_files(Said({}, ""), found)

    def _environment(self, name: str, packages: Path | None = None) -> dict[str, str]:
        """What a client finds in its environment."""
        home = self._folder / name
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HF_HOME": str(home),
            "HF_ENDPOINT": self._endpoint,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HTTPS_PROXY": _NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        if packages is not None:
            environment["PYTHONPATH"] = str(packages)
        if self._token is not None:
            environment["HF_TOKEN"] = self._token
            (home / "token").write_text(self._token)  # where hf-hub of Rust looks for it
        return environment


class _Session:
    """A process that has Python's libraries in it, and is told which model to load with which."""

    def __init__(self, environment: Mapping[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, str(_HERE / "library_session.py")],
                env=environment,
                cwd=environment["HF_HOME"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def load(self, how: str, repository: str, files: Sequence[str]) -> Said:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = self._errors.stat().st_size
        print(json.dumps([how, repository, files]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        text = self._errors.read_text()[before:]
        found = json.loads(answer or "null")
        said = Said(None if found is None else {}, _plain(text))
        return said if found is None else _with_files(said, [Path(path) for path in found])

    def close(self) -> None:
        self._process.communicate()


def _overlay(version: str) -> Path | None:
    """Where a version of huggingface_hub is, if it is none of the environment's own."""
    if version == huggingface_hub.__version__:
        return None
    overlay = _TOOLS / f"huggingface_hub-{version}"
    if not overlay.exists():
        raise MissingError(f"there is no {overlay}: run `make peers`")
    return overlay


def _run(command: list[str], environment: Mapping[str, str], folder: Path | None = None) -> Said:
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder or environment["HF_HOME"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return Said({} if done.returncode == 0 else None, _plain(done.stdout + done.stderr))


def _printed_paths(said: Said) -> Said:
    if said.files is None:
        return said
    return _with_files(said, [Path(line) for line in said.text.splitlines() if line[:1] == "/"])


def _with_files(said: Said, paths: Sequence[Path]) -> Said:
    found = [path for path in paths if path.exists()]
    return Said({path.name.removeprefix("read-"): path.read_bytes() for path in found}, said.text)


def _plain(text: str) -> str:
    return _COLOURS.sub("", text)


# By what its users call it, and by its version where several are tried.
_WAYS: Mapping[str, Callable[[Clients, str, Sequence[str]], Said]] = {
    **{
        f"{how} {version}": partial(Clients._library, how=how, version=version)
        for version in VERSIONS
        for how in ("hf_hub_download", "snapshot_download", "hf_file_system")
    },
    **{f"hf download {version}": partial(Clients._hf, version=version) for version in VERSIONS},
    **{
        library: partial(Clients._library, how=library, version=huggingface_hub.__version__)
        for library in LIBRARIES
    },
    "@huggingface/hub downloadFile": partial(Clients._node, script="download.mjs", packages="node"),
    "@huggingface/hub snapshotDownload": partial(
        Clients._node, script="snapshot.mjs", packages="node"
    ),
    "hf-hub 0.5.0": partial(Clients._rust, name="hf-hub-client"),
    "curl": Clients._curl,
    "@huggingface/transformers": partial(
        Clients._node, script="load.mjs", packages="node-transformers"
    ),
    "hf-hub 1.0.0": partial(Clients._rust, name="hf-hub-1-client"),
}
# Those that `make clients` builds, as they are large.
MORE_NAMES = ("@huggingface/transformers", "hf-hub 1.0.0")
NAMES = tuple(name for name in _WAYS if name not in MORE_NAMES)
