"""Policy bundles from servers: what is taken, what is refused, and what stays in force."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest

from oms_gate import policy_source
from oms_gate.config import GateConfig, open_engine
from oms_gate.errors import ConfigError, OmsGateError, PolicyError
from oms_gate.limits import Limits
from oms_gate.policy.bundle import Bundle
from oms_gate.policy.bundle_signature import _hashed
from oms_gate.policy_source import bundle_digest, latest_bundle
from oms_gate.reason_codes import ReasonCode
from oms_gate.settings import PolicyBundle
from oms_gate.stores import StoreSettings
from tests.peers.seaweedfs import SeaweedFS
from tests.policy.certificates import Certify
from tests.policy.hostile_server import HostileServer, answer, raw, serve
from tests.policy.signed_bundles import Pair, build_bundle, files_of, packed, with_token

LIMITS = Limits()


@dataclass
class Publisher:
    """A server with one bundle, which counts only where PAIR signed it."""

    files: dict[str, bytes]
    pair: Pair
    content: bytes = b""
    status: str = "200 OK"
    answers: list[bytes] = field(default_factory=list)

    def publish(self, revision: str | None, pair: Pair | None = None) -> None:
        """Offer a bundle of this revision."""
        manifest = {"revision": revision, "roots": [""]} if revision else {"roots": [""]}
        files = {**self.files, ".manifest": json.dumps(manifest).encode()}
        del files[".signatures.json"]
        pair = pair or self.pair
        stated = {"files": [_file(name, content) for name, content in files.items()]}
        self.content = packed(with_token(files, jwt.encode(stated, pair.secret, pair.algorithm)))

    def behave(self, connection: socket.socket) -> None:
        answer(self.content, self.status, f'ETag: "{hash(self.content)}"')(connection)


def _file(name: str, content: bytes) -> dict[str, str]:
    found = hashlib.sha256(_hashed(Bundle("the bundle", {name: content}), name)).hexdigest()
    return {"name": name, "hash": found, "algorithm": "SHA-256"}


@pytest.fixture(scope="module")
def built(opa: Path, tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    folder = tmp_path_factory.mktemp("built")
    pair = Pair.make(folder, "own")
    content = build_bundle(opa, folder, pair, "--revision", "1.9")
    return Publisher(files_of(content), pair, content)


@pytest.fixture
def publisher(built: Publisher) -> Publisher:
    return Publisher(built.files, built.pair, built.content)


@pytest.fixture
def server(publisher: Publisher) -> Iterator[HostileServer]:
    with serve(publisher.behave) as running:
        yield running


@pytest.fixture
def ask(
    publisher: Publisher, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str | None]]:
    """Ask for the bundle, as if time had passed; its revision."""

    def asked(stores: StoreSettings | None = None, **options: Any) -> str | None:
        for url, fetched in list(policy_source._fetched.items()):
            policy_source._fetched[url] = policy_source._Fetched(
                fetched.content, fetched.tag, fetched.polled - 1000
            )
        settings = PolicyBundle(
            **{"url": f"{server.url}/b.tar.gz", "key": publisher.pair.public_file, **options}
        )
        return latest_bundle(settings, stores or StoreSettings(), LIMITS).revision

    yield asked
    for memory in (policy_source._fetched, policy_source._active, policy_source._said):
        memory.clear()


Ask = Callable[..., str | None]


def test_what_opa_built_is_taken(
    ask: Ask, publisher: Publisher, server: HostileServer, tmp_path: Path
) -> None:
    assert ask() == "1.9"
    config = GateConfig.model_validate(
        {"policy": {"bundle": {"url": f"{server.url}/b.tar.gz", "key": publisher.pair.public_file}}}
    )
    assert config.says_who_signs
    engine = open_engine(config)
    decision = engine.decide({})
    engine.close()
    assert decision.allow
    assert decision.revision is not None
    assert decision.revision.startswith("1.9@sha256:")
    assert len(server.requests) == 1
    publisher.publish("1.10")
    assert ask() == "1.10"
    assert b"If-None-Match: " in server.requests[1]


def test_what_has_not_changed_is_not_sent(ask: Ask, publisher: Publisher) -> None:
    ask()
    publisher.content, publisher.status = b"", "304 Not Modified"
    assert ask() == "1.9"


def test_nothing_older_is_taken(
    ask: Ask, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher.publish("1.10")
    assert ask() == "1.10"
    for revision in ("1.9", "1.2", None, "2026-01-01T00:00:00Z", "latest"):
        publisher.publish(revision)
        assert ask() == "1.10"
    assert "older than '1.10'" in caplog.text
    assert "cannot be compared" in caplog.text
    publisher.publish("1.10.1")
    assert ask() == "1.10.1"


@pytest.mark.parametrize(
    ("floor", "taken", "refused"),
    [
        ("1.9", ["1.9", "1.9.0", "v1.10", "2"], ["1.8", "1", "1.9-rc", None, "x"]),
        ("2026.9.30", ["2026.10.1", "2026.09.30"], ["2026.9.3", "2025.12.31"]),
        (
            "2026-01-01T00:00:00Z",
            ["2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.5Z"],
            ["2026-01-01T00:30:00+01:00", "2026-13-01T00:00:00Z", "2026", "2026-01-01"],
        ),
        ("build-7", ["build-7"], ["build-8"]),
    ],
)
def test_a_floor(
    ask: Ask, publisher: Publisher, floor: str, taken: list[str], refused: list[str]
) -> None:
    for revision in refused:
        publisher.publish(revision)
        with pytest.raises(ConfigError, match="is refused"):
            ask(minimum_revision=floor)
    for revision in taken:
        publisher.publish(revision)
        policy_source._active.clear()
        assert ask(minimum_revision=floor) == revision


def test_what_is_refused_changes_nothing(
    ask: Ask,
    publisher: Publisher,
    server: HostileServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Pair.make(tmp_path, "other")
    publisher.publish("8", other)
    with pytest.raises(ConfigError, match="not by this key"):
        ask()
    publisher.publish("7")
    assert ask() == "7"
    publisher.publish("8", other)
    assert ask() == "7"
    assert ask() == "7"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "the bundle before stays in force" in caplog.text
    # By another key there is none before.
    publisher.publish("8")
    with pytest.raises(ConfigError, match="not by this key"):
        ask(key=other.public_file)


def test_the_digest_is_that_of_what_is_in_force(
    ask: Ask, publisher: Publisher, server: HostileServer
) -> None:
    settings = PolicyBundle(url=f"{server.url}/b.tar.gz", key=publisher.pair.public_file)

    def digest() -> str:
        ask()
        return bundle_digest(settings, StoreSettings(), LIMITS)

    first = digest()
    publisher.content = b"nothing"
    assert digest() == first
    publisher.publish("2")
    assert digest() != first


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (raw(), ReasonCode.POLICY_UNREACHABLE, "cannot be reached"),
        (answer(b"", "404 Not Found"), ReasonCode.POLICY_ERROR, "status 404"),
        (answer(b"", "401 No"), ReasonCode.POLICY_ERROR, "check its token"),
        (answer(b"", "304 Not Modified"), ReasonCode.POLICY_ERROR, "status 304"),
        (answer(b"", "302 Found", "Location: http://x/"), ReasonCode.POLICY_ERROR, "redirects"),
        (answer(b"x" * 3000), ReasonCode.POLICY_ERROR, "more than 2048 bytes"),
        (lambda c: c.recv(1), ReasonCode.POLICY_TIMEOUT, "policy_bundle_seconds"),
    ],
)
def test_servers_that_give_none(
    publisher: Publisher, behaviour: Callable[[socket.socket], None], code: ReasonCode, words: str
) -> None:
    with serve(behaviour) as server, pytest.raises(PolicyError) as caught:
        settings = PolicyBundle(url=f"{server.url}/b.tar.gz", key=publisher.pair.public_file)
        limits = Limits(policy_bundle_seconds=0.3, policy_bundle_bytes=2048)
        latest_bundle(settings, StoreSettings(), limits)
    assert caught.value.reason.code is code
    assert words in caught.value.reason.message


def test_over_https_with_a_token(
    publisher: Publisher, certify: Certify, ask: Ask, tmp_path: Path
) -> None:
    context, ca = certify("127.0.0.1")
    token = tmp_path / "token"
    token.write_text("secret-of-this-test\n")
    with serve(publisher.behave, context) as server:
        url = f"https://127.0.0.1:{server.port}/b.tar.gz"
        assert ask(url=url, ca_file=ca, token_file=token) == "1.9"
        assert b"Authorization: Bearer secret-of-this-test\r\n" in server.requests[0]
        policy_source._active.clear()
        policy_source._fetched.clear()
        with pytest.raises(OmsGateError, match="cannot be reached"):
            ask(url=url)


def test_from_s3(publisher: Publisher, s3: SeaweedFS, s3_bucket: str, ask: Ask) -> None:
    url = f"s3://{s3_bucket}/policies/b.tar.gz"
    stores = StoreSettings(options={"s3": s3.storage_options()})

    def put(content: bytes) -> str | None:
        s3.put(s3_bucket, "policies/b.tar.gz", content)
        return ask(stores, url=url)

    assert put(publisher.content) == "1.9"
    read = len(s3.requests)
    assert ask(stores, url=url) == "1.9"
    assert {r.method for r in s3.requests[read:] if r.path.endswith("b.tar.gz")} == {"HEAD"}
    publisher.publish("2.0")
    assert put(publisher.content) == "2.0"
    assert put(publisher.content[:-30]) == "2.0"
    with pytest.raises(ConfigError, match="is a folder"):
        ask(stores, url=f"s3://{s3_bucket}/policies")
    with pytest.raises(OmsGateError, match="absent"):
        ask(stores, url=f"s3://{s3_bucket}/absent.tar.gz")
