"""The server of the benchmark, in a process of its own."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from tests import models
from tests.peers.content import Content, Repeated
from tests.peers.hub import HubStandIn


def serve(pipe: Connection, count: int, size: int) -> None:
    """Serve a signed model of `count` files of `size` bytes until the pipe says something.

    Sends the endpoint, the public key in PEM, and the URLs of the files.
    """
    key = models.new_key()
    files: dict[str, Content] = {
        f"model-{number}.safetensors": Repeated(os.urandom(1 << 20), size)
        for number in range(count)
    }
    bundle = models.signature(files, key)
    with HubStandIn() as hub:
        hub.create("org/model", files={**files, "model.sig": bundle})
        hub.state.url_seconds = 3600
        urls = [f"{hub.endpoint}/org/model/resolve/main/{path}" for path in files]
        pipe.send((hub.endpoint, models.public_pem(key), urls))
        pipe.recv()
