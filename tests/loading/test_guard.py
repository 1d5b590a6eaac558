"""The guard itself: where it is on, what decides, and what is left of it."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import (
    HfFileSystem,
    get_session,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.utils import _http

from oms_gate import AdmissionDenied, ConfigError, Gate, ReasonCode, UsageError, guard
from oms_gate.config import CONFIG_VARIABLE
from tests import models
from tests.delivery.pulling import codes, gate_of, signed
from tests.peers.hub import HubStandIn


@pytest.fixture
def denied(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """A model that the gate denies."""
    hub.create("mallory/m", files=signed(key))
    return "mallory/m"


@pytest.fixture
def admitted(hub: HubStandIn, key: ec.EllipticCurvePrivateKey) -> str:
    """A model that the gate admits."""
    hub.create("acme/m", files=signed(key))
    return "acme/m"


def is_guarded(name: str) -> bool:
    """Whether a model that is denied cannot be had."""
    try:
        hf_hub_download(name, "config.json")
    except AdmissionDenied:
        return True
    return False


def test_it_is_on_in_the_block_only(gate: Gate, denied: str) -> None:
    assert not is_guarded(denied)
    with guard(gate) as on:
        assert is_guarded(denied)
        with on:
            assert is_guarded(denied)
        assert is_guarded(denied)
    assert not is_guarded(denied)


def test_it_is_over_when_the_block_fails(gate: Gate, denied: str) -> None:
    with pytest.raises(KeyError), guard(gate):
        raise KeyError
    assert not is_guarded(denied)


def test_everything_is_as_it_was(gate: Gate, admitted: str) -> None:
    def state() -> list[Any]:
        cells = [
            [cell.cell_contents for cell in function.__closure__ or ()]
            for function in (hf_hub_download, snapshot_download, try_to_load_from_cache)
        ]
        client: Any = get_session()
        return [
            cells,
            dict(vars(HfFileSystem)),
            {name: value for name, value in vars(_http).items() if name.endswith("_FACTORY")},
            "send" in vars(client),
            {name: list(hooks) for name, hooks in getattr(client, "event_hooks", {}).items()},
            list(sys.path),
        ]

    before = state()
    with guard(gate):
        hf_hub_download(admitted, "config.json")
        assert state() != before
        assert inspect.signature(hf_hub_download).parameters["repo_id"]
    assert state() == before


def test_it_decorates_functions(gate: Gate, denied: str, admitted: str) -> None:
    on = guard(gate)

    @on
    def load(depth: int) -> bool:
        """Load it."""
        return is_guarded(denied) if depth == 0 else load(depth - 1)

    @on
    async def load_later() -> bool:
        await asyncio.sleep(0)
        return is_guarded(denied)

    assert load(3)
    assert load(0)
    assert load.__doc__ == "Load it."
    assert asyncio.run(load_later())
    assert not is_guarded(denied)


def test_generators_are_not_decorated(gate: Gate) -> None:
    """They run when they are asked for a value, and the guard would be over by then."""

    def generator() -> Iterator[int]:
        yield 1

    async def later() -> Any:
        yield 1

    for function in (generator, later):
        with pytest.raises(UsageError, match="is a generator"):
            guard(gate)(function)


def test_the_innermost_decides(
    gate: Gate, settings: dict[str, Any], denied: str, admitted: str
) -> None:
    publishers = [settings["publishers"][0] | {"models": ["hf://mallory/*"]}]
    other = gate_of(settings | {"publishers": publishers})
    with guard(gate):
        with guard(other):
            assert is_guarded(admitted)
            assert not is_guarded(denied)
        assert not is_guarded(admitted)
        assert is_guarded(denied)


def test_it_is_on_in_every_thread(gate: Gate, denied: str) -> None:
    started, go_on = threading.Event(), threading.Event()
    found = []

    def worker() -> None:
        started.set()
        go_on.wait(10)
        found.append(is_guarded(denied))

    thread = threading.Thread(target=worker)
    thread.start()
    started.wait(10)
    with guard(gate):
        go_on.set()
        thread.join()
    assert found == [True]


@pytest.mark.parametrize("annotates", [True, False])
def test_another_thread_does_not_decide_for_this_one(
    gate: Gate, settings: dict[str, Any], denied: str, admitted: str, annotates: bool
) -> None:
    otherwise: dict[str, Any] = {"mode": "annotate"} if annotates else {"publishers": []}
    other = gate_of(settings | otherwise)
    inside, leave = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with guard(other):
            inside.set()
            leave.wait(30)

    with guard(gate):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        inside.wait(30)
        try:
            assert is_guarded(denied)
            assert not is_guarded(admitted)
            assert guard().gate is gate
        finally:
            leave.set()
            thread.join()


def test_threads_leave_in_any_order(gate: Gate, denied: str) -> None:
    first, second = guard(gate), guard(gate)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert is_guarded(denied)
    second.__exit__(None, None, None)
    assert not is_guarded(denied)


def test_a_file_that_was_changed_while_it_was_loaded(gate: Gate, admitted: str) -> None:
    with pytest.raises(AdmissionDenied) as changed, guard(gate):
        path = Path(hf_hub_download(admitted, "config.json"))
        path.chmod(0o644)
        path.write_bytes(b"{}")
    assert codes(changed.value.verdict) == [ReasonCode.CACHE_CHANGED]
    with pytest.raises(KeyError), guard(gate):
        path = Path(hf_hub_download(admitted, "README.md"))
        path.chmod(0o644)
        path.write_bytes(b"{}")
        raise KeyError  # The user's own error is what they are to see.


def test_a_file_that_was_changed_after_an_inner_block(gate: Gate, admitted: str) -> None:
    on = guard(gate)

    def load() -> None:
        with on:
            path = Path(hf_hub_download(admitted, "config.json"))
            with on:
                pass
            path.chmod(0o600)
            path.write_bytes(b"{}")

    with pytest.raises(AdmissionDenied) as raised:
        load()
    assert codes(raised.value.verdict) == [ReasonCode.CACHE_CHANGED]


def test_a_file_that_was_changed_before_the_model_was_decided_about_again(
    settings: dict[str, Any], admitted: str
) -> None:
    gate = gate_of(settings | {"limits": settings["limits"] | {"decision_seconds": 0.001}})
    with pytest.raises(AdmissionDenied) as changed, guard(gate):
        path = Path(hf_hub_download(admitted, "config.json"))
        path.chmod(0o644)
        path.write_bytes(b"{}")
        hf_hub_download(admitted, "README.md")
        raise AssertionError("a model was decided about again, and the first one forgotten")
    assert codes(changed.value.verdict) == [ReasonCode.CACHE_CHANGED]


def test_the_configuration_of_the_environment(
    settings: dict[str, Any], denied: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=CONFIG_VARIABLE):
        guard()
    config = tmp_path / "gate.yaml"
    config.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv(CONFIG_VARIABLE, str(config))
    with guard():
        assert is_guarded(denied)


def test_it_is_installed_for_good(settings: dict[str, Any], denied: str, tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(yaml.safe_dump(settings))
    program = f"""
import oms_gate
from huggingface_hub import hf_hub_download
oms_gate.guard(oms_gate.Gate.from_config({str(config)!r})).install()
hf_hub_download({denied!r}, "config.json")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "oms_gate.errors.AdmissionDenied: hf://mallory/m@"
    )


def test_what_a_library_hides_is_said(gate: Gate, denied: str) -> None:
    """As diffusers does, which says of any failure that it looked in vain."""
    with pytest.raises(OSError, match="Can't load it") as failure, guard(gate):
        try:
            hf_hub_download(denied, "config.json")
        except OSError:
            raise OSError("Can't load it; does it exist?") from None
    last = traceback.format_exception(failure.value)[-1]
    assert last.startswith("hf://mallory/m@")
    assert "[publisher.unknown]" in last
    with pytest.raises(AdmissionDenied) as said, guard(gate):
        hf_hub_download(denied, "config.json")
    assert not hasattr(said.value, "__notes__")


def test_a_cache_that_others_may_change(gate: Gate, denied: str, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    on = guard(gate, cache_folder=tmp_path / "cache")
    with pytest.raises(ConfigError, match="may be changed by other users"):
        on.install()
    assert not is_guarded(denied)


def test_only_what_it_needs_is_imported() -> None:
    program = "import sys, oms_gate; oms_gate.guard; assert 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_denied_files_have_no_bytes(hub: HubStandIn, gate: Gate, denied: str) -> None:
    with guard(gate):
        assert is_guarded(denied)
    assert not [r for r in hub.requests if r.file in models.FILES]


def test_of_two_elsewhere_the_one_that_enforces_decides(
    gate: Gate, settings: dict[str, Any], denied: str
) -> None:
    """For threads that have turned on none, such as those of a pool."""
    lenient = gate_of(settings | {"mode": "annotate"})
    found: list[bool] = []
    with guard(gate), guard(lenient):
        thread = threading.Thread(target=lambda: found.append(is_guarded(denied)))
        thread.start()
        thread.join()
    assert found == [True]
