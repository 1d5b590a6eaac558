"""Takes the steps of the Containerfile without an engine: ``make image-steps``.

It runs in a mount namespace of its own, where the image's folders are empty ones of this run and
this Python is where the image has its own, and tries what came of it as the image's user with
everything but /tmp read-only. It needs root and
Linux, the package index, and a minute; so it is done by hand, and not among the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kubernetes.containerfile import ROOT, arguments, environment, stages

_FOLDERS = ("source", "build", "wheels", "opt/oms-gate", "tmp")
_USER = 65532
_INSIDE = "--inside"


def main() -> int:
    """Prepare the folders, and go on in a mount namespace; its exit status."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print("image-steps needs root and unshare: run it as root on Linux", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="oms-gate-image-") as folder:
        for name in _FOLDERS:
            Path(folder, name).mkdir(parents=True)
        Path(folder, "tmp").chmod(0o1777)
        first, *_ = stages()
        for line in arguments(first, "COPY"):
            *sources, _ = line.split()
            for source in sources:
                _copy(ROOT / source, Path(folder, "source", source))
        command = ["unshare", "--mount", "--propagation=private", sys.executable, "-m"]
        return subprocess.run([*command, __spec__.name, _INSIDE, folder], check=False).returncode


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def inside(folder: Path) -> int:
    """Mount the folders where the image has them, and take the steps."""
    made = [Path("/", name) for name in _FOLDERS if not Path("/", name).exists()]
    for place in made:
        place.mkdir(parents=True)
    try:
        for name in _FOLDERS[:-1]:
            _run("mount", "--bind", str(folder / name), f"/{name}")
        first, *_, final = stages()
        _run("mount", "--bind", sys.base_prefix, "/usr/local")
        build = {**os.environ, **environment(first), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        for step in arguments(first, "RUN"):
            print(f"RUN {step}")
            _run("sh", "-c", f"set -e; {step}", env=build, cwd="/source")
        _run("mount", "--bind", str(folder / "tmp"), "/tmp")
        for shut in ("/opt/oms-gate", "/usr/local", "/"):
            _run("mount", "-o", "remount,bind,ro", shut)
        # The image's linker looks there by itself.
        return _try({**environment(final), "LD_LIBRARY_PATH": "/usr/local/lib"})
    finally:
        _run("umount", "--lazy", *(f"/{name}" for name in _FOLDERS[:-1]))
        if made:
            _run("mount", "-o", "remount,bind,rw", "/")
        for place in made:
            place.rmdir()


def _try(variables: dict[str, str]) -> int:
    """What a pod would do with the image: its entry point, as its user, and nothing of ours."""
    nobody = ("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--no-new-privs")
    for command in (
        ["oms-gate", "--version"],
        ["oms-gate", "demo"],
        ["python", "-c", "import aiohttp, kubernetes, prometheus_client"],
        ["python", "-c", "import os, sys; sys.exit(os.access('/opt/oms-gate', os.W_OK))"],
    ):
        print(f"$ {' '.join(command)}")
        _run(*nobody, *command, env=variables, cwd="/tmp")
    left = sorted(path.name for path in Path("/tmp").iterdir())
    print(f"left in /tmp: {' '.join(left) or 'nothing'}")
    return 0


def _run(*command: str, env: dict[str, str] | None = None, cwd: str | None = None) -> None:
    subprocess.run(command, env=env, cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(inside(Path(sys.argv[2])) if sys.argv[1:2] == [_INSIDE] else main())
