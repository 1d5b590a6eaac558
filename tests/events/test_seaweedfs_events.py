"""Notifications of a real SeaweedFS, from the upload of a model to its tags."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests import models
from tests.delivery.pulling import signed
from tests.events.receiving import SECRET, outcomes, put_all, receiving
from tests.peers.seaweedfs import SeaweedFS
from tests.publish.on_s3 import Place

ADMITTED = dict.fromkeys((*models.FILES, "model.sig"), "admitted")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_model_is_tagged_after_its_upload(
    settings: dict[str, Any], key: ec.EllipticCurvePrivateKey, secret: Path
) -> None:
    port = free_port()
    with SeaweedFS(webhook=(f"http://127.0.0.1:{port}/events/s3", SECRET)) as server:
        places = [
            Place(server, server.create_bucket(versioned=versioned), settings)
            for versioned in (False, True)
        ]
        s3 = {
            "token_files": [str(secret)],
            "models": [f"s3://{place.bucket}/acme/*" for place in places],
            "settle_seconds": 0.5,
        }
        config = {**settings, "events": {"s3": s3, "annotate": True}}

        async def scenario() -> None:
            async with receiving(config, places[0].gate, port) as receiver:
                for place in places:
                    await asyncio.to_thread(put_all, place, signed(key))
                await receiver.until(lambda: len(receiver.verdicts) == 2)
                await receiver.idle()
                assert [verdict.admitted for verdict in receiver.verdicts] == [True, True]
                # The events of its own tags have come by then, and led to nothing.
                await asyncio.sleep(1)
                await receiver.idle()
                assert len(receiver.verdicts) == 2
                assert [outcomes(place) for place in places] == [ADMITTED, ADMITTED]
                for place in places:
                    await asyncio.to_thread(place.put, "config.json", b'{"evil": 1}')
                await receiver.until(lambda: len(receiver.verdicts) == 4)
                await receiver.idle()
                assert not any(verdict.admitted for verdict in receiver.verdicts[2:])
                for place in places:
                    assert set(outcomes(place).values()) == {"denied"}

        asyncio.run(scenario())
