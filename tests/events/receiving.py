"""Receivers of events in a test, what is sent to them, and what became of a model in S3."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.server.event_routes import event_routes
from oms_gate.server.event_worker import EventWorker
from tests.gateway.running import Told
from tests.publish.on_s3 import PREFIX, Place

SECRET = "0123456789abcdef0123456789abcdef"
_PATIENCE_SECONDS = 20


@dataclass
class Receiver:
    """The receivers, and the verdicts that were given."""

    client: TestClient[Any, Any]
    worker: EventWorker
    verdicts: list[Verdict] = field(default_factory=list)

    async def hub(self, body: object, **headers: str) -> ClientResponse:
        """Send what the Hub sends."""
        return await self._post("/events/hub", body, {"x-webhook-secret": SECRET, **headers})

    async def s3(self, body: object, **headers: str) -> ClientResponse:
        """Send what S3 and its kin send."""
        return await self._post(
            "/events/s3", body, {"Authorization": f"Bearer {SECRET}", **headers}
        )

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait for something that follows from an event."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, "it did not come about"
            await asyncio.sleep(0.02)

    async def idle(self) -> None:
        """Wait until nothing waits and nothing is being decided."""
        await self.until(lambda: not len(self.worker) and not self.worker.at_work)

    async def _post(self, path: str, body: object, headers: Mapping[str, str]) -> ClientResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, data=data, headers=headers)


@asynccontextmanager
async def receiving(
    config: Mapping[str, Any], gate: Gate, port: int | None = None
) -> AsyncIterator[Receiver]:
    """Receive events as `config` says, and decide by `gate`; at any port, by default."""
    validated = GateConfig.model_validate(config)
    told = Told()
    worker = EventWorker(validated, gate.held, told)
    app = web.Application()
    app.add_routes(event_routes(validated, worker))
    async with TestClient(TestServer(app, port=port)) as client:
        worker.start()
        try:
            yield Receiver(client, worker, told.verdicts)
        finally:
            await worker.stop()


def records(*keys: str, bucket: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    """Events as AWS sends them; keys are encoded as it does."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "us-east-1",
                "eventTime": "2026-11-28T05:43:38.000Z",
                "eventName": event,
                "userIdentity": {"principalId": "A1"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "models",
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {
                        "key": quote_plus(key, safe="/", errors="surrogatepass"),
                        "size": 1,
                        "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                        "sequencer": "0055AED6DCD90281E5",
                    },
                },
            }
            for key in keys
        ]
    }


def pushed(
    name: str, *refs: tuple[str, str | None], kind: str = "model", **others: Any
) -> dict[str, Any]:
    """A webhook of the Hub's about a push; each reference with its new commit."""
    return {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": kind,
            "name": name,
            "id": "621ffdc036468d709f17434d",
            "private": False,
            "headSha": "0" * 40,
            "url": {"web": "http://169.254.169.254/", "api": "http://169.254.169.254/api"},
            "owner": {"id": "628b753283ef59b5be89e937"},
        },
        "updatedRefs": [{"ref": ref, "oldSha": None, "newSha": sha} for ref, sha in refs],
        "webhook": {"id": "6390e855e30d9209411de93b", "version": 3},
        **others,
    }


def tags(place: Place, path: str, version: str | None = None) -> dict[str, str]:
    """The tags of an object of a model, by a plain client."""
    pin = {} if version is None else {"VersionId": version}
    answer = place.s3.client().get_object_tagging(
        Bucket=place.bucket, Key=f"{PREFIX}/{path}", **pin
    )
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def outcomes(place: Place) -> dict[str, str | None]:
    """What each object below a model's place is tagged as."""
    return {path: tags(place, path).get("oms-gate") for path in place.objects()}


def put_all(place: Place, files: Mapping[str, Any]) -> None:
    """Put a model there."""
    for path, content in files.items():
        place.put(path, content)
