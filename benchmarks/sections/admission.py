"""Admission in Kubernetes: how long the API server waits for an answer."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks import report
from benchmarks.report import Figure, Spread, Table
from benchmarks.setting import Setting
from tests.delivery.pulling import signed
from tests.kubernetes.guarding import IMAGE, Service, install_policies
from tests.kubernetes.pods import container
from tests.peers.cluster import Cluster
from tests.peers.hub import HubStandIn

_RATE = 200
_SECONDS = 60
_CONNECTIONS = 8
_AIM_MILLISECONDS = 50

# Reads what it is asked and says yes: what any webhook in Python takes.
_RAW = """
import asyncio, json, ssl, sys
from aiohttp import web
async def yes(request):
    asked = json.loads(await request.read())["request"]
    answer = {"uid": asked["uid"], "allowed": True}
    return web.json_response({"response": answer})
async def main():
    app = web.Application()
    app.router.add_post("/validate", yes)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def measure(setting: Setting) -> Iterator[str]:
    """Pods with a model that was decided on a moment ago, at a fixed rate."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster())
        hub = stack.enter_context(HubStandIn())
        folder = Path(stack.enter_context(TemporaryDirectory(dir=setting.disk)))
        install_policies(cluster)
        hub.create("org/model", files=signed(setting.key))
        pair = cluster.authority.issue("webhook", hosts=["127.0.0.1"])
        files = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
        environment = {"HF_ENDPOINT": hub.endpoint}
        service = stack.enter_context(
            Service(_config(setting), folder, cluster.kubeconfig, *files, environment=environment)
        )
        raw = subprocess.Popen(
            [sys.executable, "-c", _RAW, str(pair.certificate), str(pair.key)],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(raw.wait)
        stack.callback(raw.kill)
        assert raw.stdout is not None
        raw_port = int(raw.stdout.readline())
        ca = cluster.authority.certificate
        before, after = _pods(service, ca)
        candidates = {
            "raw": (raw_port, "/validate", after),
            "mutate": (service.port, "/mutate", before),
            "validate": (service.port, "/validate", after),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in candidates}
        for _ in range(setting.rounds):
            for name, (port, path, review) in candidates.items():
                found[name].append(asyncio.run(_load(port, path, review, ca)))
    labels = {
        "raw": "a webhook that says yes",
        "mutate": "`/mutate`",
        "validate": "`/validate`",
    }
    rows = [
        [labels[name], *(_spread(rounds, share) for share in (0.5, 0.99, 1))]
        for name, rounds in found.items()
    ]
    columns = (f"{_RATE} a second for {_SECONDS} s, milliseconds", "median", "p99", "longest")
    yield Table(columns, rows).markdown()
    yield report.figures(
        [
            *(
                Figure(
                    f"{labels[name]}: p99, milliseconds",
                    [1000 * _at(times, 0.99) for times in found[name]],
                    at_most=_AIM_MILLISECONDS,
                    digits=1,
                )
                for name in ("mutate", "validate")
            ),
            *(
                Figure(
                    f"{labels[name]}: median, times that of a webhook that says yes",
                    [
                        _at(ours, 0.5) / _at(theirs, 0.5)
                        for ours, theirs in zip(found[name], found["raw"], strict=True)
                    ],
                )
                for name in ("mutate", "validate")
            ),
        ]
    ).markdown()


def _config(setting: Setting) -> dict[str, object]:
    signers = [{"method": "key", "key": "bench"}]
    return {
        "trust": {"keys": {"bench": str(setting.public_key)}, "public_good": False},
        "publishers": [{"name": "bench", "models": ["hf://org/*"], "signers": signers}],
        "limits": {"decision_seconds": 3600},
        "kubernetes": {"image": IMAGE},
    }


def _pods(service: Service, ca: Path) -> tuple[bytes, bytes]:
    """Reviews of a pod with a model: as it is sent, and as admission has made it."""
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    server = container(args=["--model", "org/model", "--port", "8000"], volumeMounts=mounts)
    sidecar = container(
        "proxy", "envoy:1", env=[{"name": f"V{i}", "value": "x" * 40} for i in range(40)]
    )
    pod: dict[str, object] = {
        "containers": [server, sidecar],
        "volumes": [{"name": "shm", "emptyDir": {}}],
    }
    review = _review(pod, {})
    answer = service.review("/mutate", json.loads(review), ca)
    assert answer["allowed"], answer
    patch = {op["path"]: op["value"] for op in json.loads(base64.b64decode(answer["patch"]))}
    spec = {**pod, **{k.rsplit("/", 1)[1]: v for k, v in patch.items() if "/spec/" in k}}
    after = _review(spec, patch["/metadata/annotations"])
    answer = service.review("/validate", json.loads(after), ca)
    assert answer["allowed"], answer
    return review, after


def _review(spec: Mapping[str, object], annotations: Mapping[str, str]) -> bytes:
    item = {"metadata": {"name": "server", "annotations": annotations}, "spec": spec}
    request = {
        "uid": "00000000-0000-0000-0000-000000000000",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "default",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": item,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()


async def _load(port: int, path: str, review: bytes, ca: Path) -> list[float]:
    """Ask at a fixed rate, whatever the answers take; seconds from when each was due."""
    context = ssl.create_default_context(cafile=ca)
    times: list[float] = []
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(due: float) -> None:
            async with session.post(f"https://127.0.0.1:{port}{path}", data=review) as answer:
                told = await answer.json()
            assert told["response"]["allowed"] is True, told
            times.append(time.perf_counter() - due)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(_RATE * _SECONDS):
                due = start + number / _RATE
                await asyncio.sleep(max(0, due - time.perf_counter()))
                group.create_task(ask(due))
    return times


def _at(times: list[float], share: float) -> float:
    return sorted(times)[max(0, round(share * len(times)) - 1)]


def _spread(rounds: list[list[float]], share: float) -> str:
    return Spread.of(1000 * _at(times, share) for times in rounds).text(1)
