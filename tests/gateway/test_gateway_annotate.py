"""Where the gate only annotates, everything passes, and says what it is."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import _http

from oms_gate.config import GateConfig
from oms_gate.gateway.passing import pass_on
from oms_gate.gateway.ranges import Wanted
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings, open_store
from tests import models
from tests.gateway.running import Running, running
from tests.peers.faults import CallDuring, Drop
from tests.peers.hub import HubStandIn
from tests.peers.seaweedfs import SeaweedFS

WEIGHTS = "model.safetensors"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    settings["publishers"][0]["allow_unsigned"] = ["notes.txt"]
    return settings | {"mode": "annotate"}


@pytest.fixture
def gateway(hub: HubStandIn, settings: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        yield gateway


@pytest.fixture
def files(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    signature = models.signature(models.FILES, key)
    return {**models.FILES, "model.sig": signature, "notes.txt": b"unsigned"}


def test_a_denied_model_passes_with_a_warning(
    gateway: Running,
    hub: HubStandIn,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = hub.create("acme/m", files=dict(models.FILES))
    monkeypatch.setattr(_http, "_WARNED_TOPICS", set())
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)
    for path, content in models.FILES.items():
        downloaded = hf_hub_download("acme/m", path, endpoint=gateway.endpoint)
        assert Path(downloaded).read_bytes() == content
    (warning,) = (each.getMessage() for each in caplog.records if "denied" in each.getMessage())
    assert warning.startswith(f"hf://acme/m@{commit} was denied: ")
    assert ReasonCode.SIGNATURE_MISSING in warning
    assert HfApi(endpoint=gateway.endpoint).list_repo_files("acme/m") == sorted(models.FILES)
    answer = gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}", headers={"Range": "bytes=5-99"})
    assert (answer.status, answer.content) == (206, models.FILES[WEIGHTS][5:100])
    assert answer.headers["X-OMS-Gate-Verdict"] == "denied"
    assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.SIGNATURE_MISSING
    assert "X-OMS-Gate-Assurance" not in answer.headers


def test_what_is_not_signed_of_an_admitted_model_says_so(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    signed = gateway.ask("/acme/m/resolve/main/config.json")
    assert signed.headers["X-OMS-Gate-Verdict"] == "admitted"
    assert signed.headers["X-OMS-Gate-Assurance"] == "bytes"
    assert "X-HF-Warning" not in signed.headers
    unsigned = gateway.ask("/acme/m/resolve/main/notes.txt")
    assert unsigned.content == b"unsigned"
    assert unsigned.headers["X-OMS-Gate-Verdict"] == "denied"
    assert unsigned.headers["X-OMS-Gate-Reason"] == ReasonCode.COVERAGE_UNSIGNED
    assert "notes.txt" in unsigned.headers["X-HF-Warning"]
    assert HfApi(endpoint=gateway.endpoint).list_repo_files("acme/m") == sorted(files)


def test_a_file_that_is_not_what_was_signed_passes_with_a_warning(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    wrong = files[WEIGHTS][:-1] + b"x"
    hub.replace_under_commit("acme/m", WEIGHTS, wrong)
    for _ in range(2):
        answer = gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}")
        assert (answer.status, answer.content) == (200, wrong)
        assert answer.headers["X-OMS-Gate-Reason"] == ReasonCode.FILE_CHANGED
        assert answer.headers["X-OMS-Gate-Verdict"] == "denied"


def test_what_breaks_off_does_not_look_whole(gateway: Running, hub: HubStandIn) -> None:
    hub.create("acme/m", files=dict(models.FILES))
    hub.inject(Drop(), f"*/{WEIGHTS}")
    hub.inject(Drop(), "*", origin="cdn")
    answer = gateway.ask(f"/acme/m/resolve/main/{WEIGHTS}")
    assert (answer.status, answer.headers["X-OMS-Gate-Reason"]) == (
        429,
        ReasonCode.STORE_UNAVAILABLE,
    )


def test_a_denied_model_of_a_bucket_passes(
    settings: dict[str, Any], hub: HubStandIn, s3: SeaweedFS, s3_bucket: str, tmp_path: Path
) -> None:
    s3.put(s3_bucket, "acme/m/config.json", b"{}", checksum=False)
    place = {"owner": "acme", "prefix": f"s3://{s3_bucket}/acme", "readers": "everybody"}
    settings |= {
        "stores": {"options": {"s3": s3.storage_options()}},
        "gateway": {"repositories": [place]},
    }
    with running(GateConfig.model_validate(settings), tmp_path / "caches") as gateway:
        downloaded = hf_hub_download("acme/m", "config.json", endpoint=gateway.endpoint)
        assert Path(downloaded).read_bytes() == b"{}"


def test_those_who_wait_for_a_slow_store_keep_nobody_else_waiting(
    gateway: Running, hub: HubStandIn, files: dict[str, bytes]
) -> None:
    hub.create("acme/m", files=files)
    hub.create("other/slow", files=dict(models.FILES))
    for name in ("acme/m", "other/slow"):
        assert gateway.ask(f"/api/models/{name}").status == 200
    path = f"/acme/m/resolve/main/{WEIGHTS}"
    assert gateway.ask(path).status == 200
    go_on, waiting = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        waiting.release()
        go_on.wait(20)

    hub.inject(CallDuring(wait), WEIGHTS, origin="cdn")
    # As many as asyncio has threads for everything.
    with ThreadPoolExecutor(32) as clients:
        asked = [
            clients.submit(gateway.ask, f"/other/slow/resolve/main/{WEIGHTS}") for _ in range(32)
        ]
        assert waiting.acquire(timeout=20)
        answer = gateway.ask(path)
        finished = [each for each in asked if each.done()]
        go_on.set()
    assert answer.content == files[WEIGHTS]
    assert not finished


def test_who_is_sent_away_while_the_store_is_silent_leaves_nothing_open(hub: HubStandIn) -> None:
    hub.create("other/slow", files=dict(models.FILES))
    reference = Reference.parse("hf://other/slow")
    snapshot = open_store(reference, StoreSettings(), Limits()).snapshot(reference)
    asked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        go_on.wait(20)

    async def sent_away(threads: ThreadPoolExecutor) -> None:
        request, response = make_mocked_request("GET", "/"), web.StreamResponse()
        part = Wanted(0, len(models.FILES[WEIGHTS]), partial=False)
        task = asyncio.create_task(pass_on(request, response, snapshot, WEIGHTS, part, threads))
        await asyncio.to_thread(asked.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    hub.inject(CallDuring(wait), WEIGHTS, origin="cdn")
    with ThreadPoolExecutor(1) as threads:
        asyncio.run(sent_away(threads))
