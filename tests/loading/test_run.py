"""``oms-gate run``: a program as it is, in its own process, under a guard that is inherited."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.loading.run import BOOTSTRAP
from tests import models
from tests.peers.hub import HubStandIn

ROOT = Path(__file__).parents[2]
LOAD = """
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[1:]:
    print(hf_hub_download(name, "config.json"))
"""
DENIED = re.compile(
    r"oms_gate\.errors\.AdmissionDenied: hf://acme/unsigned@[0-9a-f]{40} was denied: the model has "
    r"no signature: .*\[signature\.missing\]"
)
Finished = subprocess.CompletedProcess[str]
Run = Callable[..., Finished]


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMS_GATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def run(config: Path, cache: Path, tmp_path: Path) -> Run:
    """Runs a program, in the test's own folder, by the configuration there."""

    def run(*words: object, stdin: str = "", **environment: str) -> Finished:
        return subprocess.run(
            [sys.executable, "-m", "oms_gate", "run", "-c", "gate.yaml", "--", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
        )

    return run


@pytest.fixture
def hub_models(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> HubStandIn:
    """A signed model, and one that is not."""
    bundle = models.signature(models.FILES, key)
    hub.create("acme/signed", files={**models.FILES, "model.sig": bundle})
    hub.create("acme/unsigned", files=dict(models.FILES))
    return hub


@pytest.fixture
def load(tmp_path: Path, hub_models: HubStandIn) -> Path:
    """A program that loads models, which its arguments name."""
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    return script


def last_line(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2]


def test_an_admitted_model_is_loaded_from_the_verified_cache(
    run: Run, load: Path, cache: Path
) -> None:
    done = run(load, "acme/signed")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.is_relative_to(cache)
    assert path.read_bytes() == models.FILES["config.json"]


def test_of_a_denied_model_the_reason_is_the_last_line(run: Run, load: Path) -> None:
    done = run(load, "acme/unsigned")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert DENIED.fullmatch(last_line(done.stderr))
    assert done.stdout == ""


ABOUT = """
import json, sys
where = [place for place in sys.path if not place.endswith("bootstrap")]
print(json.dumps([sys.argv, where, __name__, globals().get("__file__"), sys.stdin.read()]))
sys.stdout.flush()
exec(sys.argv[1])
"""


@pytest.mark.parametrize("form", ["script", "module", "package", "code", "stdin"])
@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.exit(7)",
        "sys.exit('a text')",
        "1 / 0",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_a_program_runs_as_python_runs_it(run: Run, tmp_path: Path, form: str, ending: str) -> None:
    (tmp_path / "package").mkdir()
    for name in ("about.py", "package/__init__.py", "package/__main__.py"):
        (tmp_path / name).write_text(ABOUT if name != "package/__init__.py" else "")
    words = {
        "script": ["about.py"],
        "module": ["-m", "about"],
        "package": ["-m", "package"],
        "code": ["-c", ABOUT],
        "stdin": ["-"],
    }[form]
    words += [ending, "-c", "--help", "--", "x y"]
    stdin = ABOUT if form == "stdin" else "input"
    plain = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, input=stdin, capture_output=True, text=True
    )
    guarded = run(*words, stdin=stdin)
    assert guarded.stdout == plain.stdout
    assert guarded.stderr == plain.stderr
    assert guarded.returncode == plain.returncode


def test_what_does_not_load_models_pays_nothing(run: Run) -> None:
    done = run("-c", "import sys; print([m for m in sys.modules if 'oms' in m or 'hugg' in m])")
    assert done.stdout == "[]\n", done.stderr


SPAWN = """
import multiprocessing, sys

def work(name):
    from huggingface_hub import hf_hub_download
    try:
        return hf_hub_download(name, "config.json")
    except Exception as error:
        return type(error).__name__

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(*pool.map(work, sys.argv[2:]))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("imported", [False, True])
def test_worker_processes_are_guarded(
    run: Run, load: Path, cache: Path, method: str, imported: bool
) -> None:
    program = load.with_name("spawn.py")
    program.write_text("import huggingface_hub\n" * imported + SPAWN)
    done = run(program, method, "acme/signed", "acme/unsigned")
    assert done.returncode == 0, done.stderr
    path, denied = done.stdout.split()
    assert Path(path).is_relative_to(cache)
    assert denied == "AdmissionDenied"


@pytest.mark.parametrize(
    "words",
    [
        ["{python}", "{load}"],
        ["sh", "-c", 'cd / && "{python}" -u "{load}" "$0" "$@"'],
        ["-c", "import os, sys; os.execl('{python}', '{python}', '{load}', *sys.argv[1:])"],
        ["-c", "from subprocess import *; import sys; sys.exit(call(['{python}', *sys.argv[1:]]))"],
        ["{folder}/console-script"],
        ["console-script"],
    ],
)  # fmt: skip
def test_programs_and_what_they_start_are_guarded(
    run: Run, load: Path, cache: Path, words: list[str]
) -> None:
    script = load.with_name("console-script")
    script.write_text(f"#!{sys.executable}\n{LOAD}")
    script.chmod(0o755)
    names = {"python": sys.executable, "load": load, "folder": load.parent}
    words = [word.format(**names) for word in words]
    if "call(" in words[-1]:
        words.append(str(load))
    path = f"{load.parent}{os.pathsep}{os.environ['PATH']}"
    done = run(*words, "acme/signed", "acme/unsigned", PATH=path)
    assert done.returncode == 1
    assert Path(done.stdout.strip()).is_relative_to(cache), done.stderr
    assert DENIED.fullmatch(last_line(done.stderr))


def test_a_program_may_have_a_guard_of_its_own(run: Run, load: Path, cache: Path) -> None:
    load.write_text(
        "from oms_gate import guard\nwith guard():\n    "
        + LOAD.strip().replace("[1:]", "[1:2]").replace("\n", "\n    ")
        + "\nprint(hf_hub_download(sys.argv[2], 'config.json'))\n"
    )
    done = run(load, "acme/signed", "acme/unsigned")
    assert Path(done.stdout.strip()).is_relative_to(cache)
    assert done.returncode == 1
    assert DENIED.fullmatch(last_line(done.stderr))


THREADS = """
import sys, threading
from oms_gate import AdmissionDenied, guard

def load(own):
    start.wait()
    if own:
        guard().install()
    from huggingface_hub import hf_hub_download
    try:
        hf_hub_download("acme/unsigned", "config.json")
    except AdmissionDenied:
        denied.append(own)

start, denied = threading.Barrier(8), []
threads = [threading.Thread(target=load, args=[n % 2]) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(denied))
"""


def test_threads_that_import_it_at_once_are_guarded(run: Run, load: Path) -> None:
    load.write_text(THREADS)
    done = run(load)
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr


def test_the_gates_own_command_works_under_it(run: Run, load: Path, config: Path) -> None:
    command = ["-m", "oms_gate", "verify", "-c", config, "hf://acme/signed"]
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    again = run(sys.executable, "-m", "oms_gate", "run", "--", load, "acme/unsigned")
    assert again.returncode == 1
    assert DENIED.fullmatch(last_line(again.stderr))


HIDDEN = """
import sys
print("hidden", [type(finder).__name__ for finder in sys.meta_path][0], __file__)
"""


def test_the_file_that_it_hides_is_run_as_ever(run: Run, tmp_path: Path, load: Path) -> None:
    hidden = tmp_path / "hidden"
    models.write(hidden, {"sitecustomize.py": HIDDEN.encode(), "own.py": b"name = 'own'"})
    path = os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    code = "import sys, own, sitecustomize; print(own.name, sitecustomize.__file__)"
    done = run("-c", code, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[-2:]
    assert first == f"hidden _GuardedImport {hidden}/sitecustomize.py"
    assert second == f"own {hidden}/sitecustomize.py"
    (hidden / "sitecustomize.py").write_text("1 / 0")
    broken = run(load, "acme/unsigned", PYTHONPATH=path)
    assert "Error in sitecustomize" in broken.stderr
    assert DENIED.fullmatch(last_line(broken.stderr))


def test_the_environment_is_set_once(run: Run) -> None:
    code = "import os; print(os.environ['PYTHONPATH'], os.environ['OMS_GATE_CONFIG'], sep='\\n')"
    for path in ("", "/own", f"{BOOTSTRAP}{os.pathsep}/own"):
        own = ["/own"] if path else []
        environment = os.pathsep.join([*own, str(ROOT)])
        done = run("-c", code, PYTHONPATH=f"{BOOTSTRAP}{os.pathsep}{environment}")
        where, config = done.stdout.splitlines()
        assert where == os.pathsep.join([str(BOOTSTRAP), *own, str(ROOT)])
        assert Path(config).is_absolute()


BREAKS: dict[str, tuple[str, str]] = {
    "no configuration is named": ("os.environ.pop('OMS_GATE_CONFIG')", "OMS_GATE_CONFIG is not"),
    "it cannot be read": ("os.environ['OMS_GATE_CONFIG'] = '/nowhere'", "/nowhere"),
    "others may write to the cache": ("os.chmod(os.environ['OMS_GATE_CACHE'], 0o777)", "chmod 700"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_without_a_guard_nothing_is_loaded(run: Run, load: Path, cache: Path, name: str) -> None:
    """Not by a program either that would do without huggingface_hub."""
    load.write_text(
        "try:\n    import huggingface_hub\nexcept Exception:\n    pass\nprint('goes on')\n"
    )
    cache.mkdir(0o700)
    code, word = BREAKS[name]
    starts = f"import os, subprocess, sys; {code}; sys.exit(subprocess.call(['{{}}', '{load}']))"
    done = run("-c", starts.format(sys.executable))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("oms-gate: this program is to load admitted models only, and")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A Python that has no package at all; its folder for packages is beside ``bin``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return tmp_path / "bare" / "bin" / "python"


def packages_of(python: Path) -> Path:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return packages


def test_a_python_without_huggingface_hub_starts_as_ever(run: Run, bare: Path) -> None:
    code = "try:\n    import huggingface_hub\nexcept ImportError as error:\n    print(error)"
    done = run(bare, "-c", code)
    assert (done.stdout, done.stderr) == ("No module named 'huggingface_hub'\n", "")


def test_a_python_without_the_gate_ends_when_it_imports_huggingface_hub(
    run: Run, bare: Path, tmp_path: Path
) -> None:
    models.write(packages_of(bare) / "huggingface_hub", {"__init__.py": b""})
    done = run(bare, "-c", "import huggingface_hub; print('loads')")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"install oms-gate for {bare}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert run(bare, "-c", "print('loads nothing')").stdout == "loads nothing\n"


def test_what_is_imported_before_all_else_is_guarded(
    run: Run, bare: Path, load: Path, cache: Path
) -> None:
    """A .pth file may import it before any file of ours is run."""
    (ours,) = {Path(path) for path in sys.path if path.endswith("site-packages")}
    early = f"import site; site.addsitedir({str(ours)!r}); import huggingface_hub\n"
    (packages_of(bare) / "early.pth").write_text(early)
    done = run(bare, load, "acme/signed", "acme/unsigned")
    assert done.returncode == 1
    assert Path(done.stdout.strip()).is_relative_to(cache), done.stderr
    assert DENIED.fullmatch(last_line(done.stderr))
    cache.chmod(0o777)
    broken = run(bare, load, "acme/signed")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert len(broken.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ([], "Missing argument"),
        (["nonesuch"], "no program nonesuch"),
        (["./nonesuch"], "no program ./nonesuch"),
        (["-u", "x.py"], "python -u"),
        (["-x"], "python -x"),
        (["./not-a-program"], "cannot be run"),
        (["x.py"], "can't open file"),
    ],
)
def test_mistakes_are_2(run: Run, tmp_path: Path, words: list[str], word: str) -> None:
    (tmp_path / "not-a-program").write_bytes(b"\x00")
    (tmp_path / "not-a-program").chmod(0o755)
    done = run(*words)
    assert done.returncode == 2
    assert word in done.stderr


def test_a_configuration_that_cannot_be_used_is_2(run: Run, config: Path) -> None:
    config.write_text("publishers: 1")
    done = run("-c", "print('runs')")
    assert (done.returncode, done.stdout) == (2, "")
    assert "publishers" in done.stderr
    config.unlink()
    assert run("-c", "print('runs')").returncode == 2


def test_a_program_ignores_no_signal_that_it_would_not(run: Run) -> None:
    words = ["grep", "SigIgn", "/proc/self/status"]
    assert run(*words).stdout == subprocess.check_output(words, text=True)


def test_it_is_killed_as_the_program_itself(config: Path, cache: Path, tmp_path: Path) -> None:
    """There is one process, so whoever started it has to do with nobody else."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-m", "oms_gate", "run", "-c", config, "--", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM


def test_what_an_installed_guard_starts_is_guarded(
    config: Path, load: Path, tmp_path: Path
) -> None:
    program = tmp_path / "installs.py"
    program.write_text(
        "import subprocess, sys\n"
        "from oms_gate import Gate, guard\n"
        "guard(Gate.from_config('gate.yaml'), cache_folder='mine').install()\n"
        "sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], cwd='/').returncode)\n"
    )
    command = [sys.executable, str(program), str(load), "acme/signed", "acme/unsigned"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "mine"), done.stderr
    assert DENIED.fullmatch(last_line(done.stderr))
