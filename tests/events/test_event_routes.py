"""The receivers of events: who is let in, and what becomes of anything that is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.config import GateConfig
from oms_gate.errors import ConfigError
from oms_gate.reference import Reference
from oms_gate.server.event_documents import MalformedEventsError
from oms_gate.server.hub_events import changed_on_the_hub
from oms_gate.server.s3_events import changed_in_s3
from oms_gate.server.shared_secrets import SharedSecrets
from oms_gate.service_settings.events import EventSettings, HubEvents
from tests.delivery.pulling import gate_of
from tests.events.receiving import SECRET, pushed, receiving, records

SHA = "1" * 40
HUB = HubEvents(secret_files=(Path("x"),), repositories=("hf://acme/*", "hf://datasets/acme/*"))
S3 = EventSettings.model_validate(
    {
        "s3": {"token_files": ["x"], "models": ["s3://models/prod/*/*", "s3://other/team-*"]},
        "quarantine": {"action": "move", "prefix": "s3://models/denied"},
        "event_records": 20,
    }
)


def hub(body: object) -> set[str]:
    found = changed_on_the_hub(json.dumps(body).encode(), HUB, 20)
    return {reference.url for reference in found}


def s3(body: object) -> set[str]:
    return {reference.url for reference in changed_in_s3(json.dumps(body).encode(), S3)}


def test_branches_and_tags_of_watched_repositories() -> None:
    assert hub(
        pushed(
            "acme/model",
            ("refs/heads/main", SHA),
            ("refs/heads/a/b", SHA),
            ("refs/tags/v1@x", SHA),
            ("refs/heads/gone", None),
            ("refs/pr/1", SHA),
            ("refs/convert/parquet", SHA),
        )
    ) == {"hf://acme/model@main", "hf://acme/model@a%2Fb", "hf://acme/model@v1%40x"}
    main = ("refs/heads/main", SHA)
    assert hub(pushed("acme/data", main, kind="dataset")) == {"hf://datasets/acme/data@main"}
    assert hub(pushed("acme/app", main, kind="space")) == set()
    assert hub(pushed("evil/model", main)) == set()
    # What says nothing of where is about the default branch.
    body = pushed("acme/model", main)
    del body["updatedRefs"]
    assert hub(body) == {"hf://acme/model"}


@pytest.mark.parametrize(
    "event",
    [
        {"action": "update", "scope": "repo.config"},
        {"action": "update", "scope": "repo.contents"},
        {"action": "create", "scope": "discussion.comment"},
        {"action": "delete", "scope": "repo.content"},
        {"action": "move", "scope": "repo"},
    ],
)
def test_other_events_of_the_hub(event: dict[str, str]) -> None:
    assert hub(pushed("acme/model", ("refs/heads/main", SHA), event=event)) == set()


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        pushed("acme/model", event={"action": "update"}),
        pushed("acme/model", ("refs/heads/main", "main")),
        pushed("acme/model", ("refs/heads/main", SHA + "0")),
        pushed("acme/model", ("refs/heads/..", SHA)),
        pushed("acme/model", ("refs/heads/a\x00b", SHA)),
        pushed("acme/model", *([("refs/heads/main", SHA)] * 21)),
        pushed("acme/model", kind="bucket"),
        pushed("acme/model/folder", ("refs/heads/main", SHA)),
        pushed("acme/model@main", ("refs/heads/main", SHA)),
        pushed("datasets/acme/model", ("refs/heads/main", SHA)),
        pushed("../model", ("refs/heads/main", SHA)),
        pushed("acme/model?x", ("refs/heads/main", SHA)),
        pushed("acme/model ", ("refs/heads/main", SHA)),
        pushed("", ("refs/heads/main", SHA)),
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_no_webhook(body: object) -> None:
    with pytest.raises(MalformedEventsError):
        hub(body)


def test_which_folder_is_a_model() -> None:
    assert s3(records("prod/acme/llama/a b+c.bin", bucket="models")) == {
        "s3://models/prod/acme/llama"
    }
    assert s3(records("prod/acme/llama/x/y/z", bucket="models")) == {"s3://models/prod/acme/llama"}
    assert s3(records("prod/a+b c/ü/x", bucket="models")) == {"s3://models/prod/a+b c/ü"}
    assert s3(records("team-1/x", bucket="other")) == {"s3://other/team-1"}
    nowhere = (
        ("prod/acme/llama", "models"),
        ("test/acme/llama/x", "models"),
        ("denied/prod/acme/llama/x", "models"),
        ("team/x", "other"),
        ("prod/acme/llama/x", "elsewhere"),
        ("prod/../llama/x", "models"),
        ("prod//llama/x", "models"),
        ("prod/acme/ll\x07ama/x", "models"),
        ("prod/ac\\me/llama/x", "models"),
        ("prod/acme?/llama/x", "models"),
        ("/prod/acme/llama/x", "models"),
    )
    for key, bucket in nowhere:
        assert s3(records(key, bucket=bucket)) == set(), key


def test_names_of_events() -> None:
    key = "prod/acme/llama/x"
    for event, count in (
        ("ObjectCreated:Put", 1),
        ("ObjectCreated:Post", 1),
        ("s3:ObjectCreated:CompleteMultipartUpload", 1),
        ("ObjectRemoved:DeleteMarkerCreated", 1),
        ("ObjectRestore:Completed", 1),
        ("ObjectTagging:Put", 0),
        ("s3:ObjectCreated:PutTagging", 0),
        ("s3:ObjectCreated:DeleteTagging", 0),
        ("LifecycleTransition", 0),
    ):
        assert len(s3(records(key, bucket="models", event=event))) == count, event


def test_minio() -> None:
    body = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "models/prod/acme/llama/config.json",
        **records("prod/acme/llama/config.json", bucket="models", event="s3:ObjectCreated:Put"),
    }
    assert s3(body) == {"s3://models/prod/acme/llama"}


def bridge(key: str, kind: str = "Object Created", source: str = "aws.s3") -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": source,
        "account": "111122223333",
        "detail": {
            "version": "0",
            "bucket": {"name": "models"},
            "object": {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184"},
            "reason": "PutObject",
        },
    }


def test_eventbridge() -> None:
    # Its keys are not encoded.
    assert s3(bridge("prod/a+b/%20/x")) == {"s3://models/prod/a+b/%20"}
    assert s3(bridge("prod/a/b/x", "Object Deleted")) == {"s3://models/prod/a/b"}
    assert s3(bridge("prod/a/b/x", "Object Tags Added")) == set()
    assert s3(bridge("prod/a/b/x", source="evil")) == set()


def test_a_test_event_and_sns() -> None:
    assert s3({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "models"}) == set()
    for kind in ("Notification", "SubscriptionConfirmation"):
        with pytest.raises(MalformedEventsError, match="SNS"):
            s3({"Type": kind, "Message": json.dumps(records("prod/a/b/x", bucket="models"))})


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"Records": 1},
        {"Records": [{}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "models"}}}]},
        records("", bucket="models"),
        records("x" * 5000, bucket="models"),
        records(*["prod/a/b/x"] * 21, bucket="models"),
        {"detail-type": "Object Created", "source": "aws.s3", "detail": {}},
        {"event_type": "create", "key": 1, "message": {}},
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_is_no_notification(body: object) -> None:
    with pytest.raises(MalformedEventsError):
        s3(body)


def test_a_key_that_is_no_text() -> None:
    body = records("KEY", bucket="models")
    text = json.dumps(body).replace("KEY", "prod/%ff/b/x")
    with pytest.raises(MalformedEventsError, match="UTF-8"):
        changed_in_s3(text.encode(), S3)


_MEMBERS = (
    "Records eventName s3 bucket name object key detail-type source detail event_type message "
    "new_entry chunks event scope action repo type updatedRefs ref newSha Type Event "
    "new_parent_path is_directory"
)
_VALUES = (
    "models aws.s3 ObjectCreated:Put create repo.content update model acme/model refs/heads/main "
    f"{SHA} prod/../b/x prod/a/b/x /buckets/models/prod/a/b/x /buckets/models/prod/a prod/%00/b/c"
)
_NAMES = st.sampled_from(_MEMBERS.split())
_TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from([*_VALUES.split(), "Object Created", "\ud800"])
)
_DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(_NAMES, _TEXTS), inner, max_size=6)
    ),
    max_leaves=25,
)
_SHAPES = st.one_of(
    _DOCUMENTS,
    st.builds(lambda key, bucket: records(key, bucket=bucket), _TEXTS, _TEXTS),
    st.builds(bridge, _TEXTS, _TEXTS, _TEXTS),
    st.builds(lambda name, ref, kind: pushed(name, (ref, SHA), kind=kind), _TEXTS, _TEXTS, _TEXTS),
    st.fixed_dictionaries({"event_type": _TEXTS, "key": _TEXTS, "message": _DOCUMENTS}),
)


def _read(body: bytes) -> Iterable[Reference]:
    readers: list[Callable[[], Iterable[Reference]]] = [
        lambda: changed_on_the_hub(body, HUB, 20),
        lambda: changed_in_s3(body, S3),
    ]
    for read in readers:
        try:
            yield from read()
        except MalformedEventsError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 400


@given(_SHAPES)
def test_any_document_names_models_or_nothing(document: object) -> None:
    try:
        body = json.dumps(document).encode()
    except UnicodeEncodeError:
        return
    for reference in _read(body):
        # It is where the operator said, and what it is read as again.
        assert Reference.parse(reference.url) == reference
        assert reference.url.startswith(("hf://acme/", "hf://datasets/acme/", "s3://"))
        if reference.scheme == "s3":
            assert reference.location.startswith(("models/prod/", "other/team-"))


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    assert list(_read(body)) == []


def config_of(settings: dict[str, Any], secret: Path, **events: Any) -> dict[str, Any]:
    return {
        **settings,
        "events": {
            "hub": {"secret_files": [str(secret)], "repositories": ["acme/*"]},
            "s3": {"token_files": [str(secret)], "models": ["s3://models/*"]},
            **events,
        },
    }


def test_who_is_let_in(settings: dict[str, Any], secret: Path) -> None:
    other = f"{SECRET[:-1]}X"

    async def scenario() -> None:
        async with receiving(config_of(settings, secret), gate_of(settings)) as receiver:
            bad = b"{ no JSON"
            for given_ in (other, "", SECRET[:-1], f"{SECRET}, {SECRET}", f"{SECRET}ü"):
                answer = await receiver.hub(bad, **{"x-webhook-secret": given_})
                assert answer.status == 401, given_
                answer = await receiver.s3(bad, Authorization=f"Bearer {given_}")
                assert answer.status == 401, given_
                assert SECRET not in await answer.text()
            for scheme in (SECRET, f"Basic {SECRET}", f"bearer{SECRET}"):
                assert (await receiver.s3(bad, Authorization=scheme)).status == 401
            post = receiver.client.post
            for path, name, value in (
                ("/events/hub", "x-webhook-secret", SECRET),
                ("/events/s3", "Authorization", f"Bearer {SECRET}"),
            ):
                assert (await post(path, data=bad)).status == 401
                twice = [(name, value), (name, value)]
                assert (await post(path, data=bad, headers=twice)).status == 401
                assert (await post(path, data=bad, headers={name: value})).status == 400
                assert (await receiver.client.get(path, headers={name: value})).status == 405

    asyncio.run(scenario())


def test_two_secrets_while_one_is_changed(
    settings: dict[str, Any], secret: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    newer.write_text("f" * 32)
    newer.chmod(0o600)
    config = config_of(settings, secret)
    config["events"]["hub"]["secret_files"] = [str(newer), str(secret)]
    config["limits"] = {**config["limits"], "reload_seconds": 0.05}

    async def scenario() -> None:
        async with receiving(config, gate_of(settings)) as receiver:
            body = pushed("evil/model", ("refs/heads/main", SHA))
            assert (await receiver.hub(body)).status == 200
            assert (await receiver.hub(body, **{"x-webhook-secret": "f" * 32})).status == 200
            newer.write_text("e" * 32)
            await asyncio.sleep(0.06)
            assert (await receiver.hub(body, **{"x-webhook-secret": "e" * 32})).status == 200
            assert (await receiver.hub(body, **{"x-webhook-secret": "f" * 32})).status == 401

    asyncio.run(scenario())


def test_a_secret_that_can_be_guessed(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("secret\n")
    with pytest.raises(ConfigError, match="can be guessed") as caught:
        SharedSecrets([short], "the secret", 1)
    assert "'secret'" not in str(caught.value)


def test_a_request_is_small_and_quick(settings: dict[str, Any], secret: Path) -> None:
    config = config_of(settings, secret, event_bytes=2000, event_seconds=0.2)

    async def scenario() -> None:
        async with receiving(config, gate_of(settings)) as receiver:
            event = pushed("evil/model", ("refs/heads/main", SHA))
            assert (await receiver.hub(event)).status == 200
            assert (await receiver.hub({**event, "more": "x" * 2000})).status == 413
            host, port = receiver.client.host, receiver.client.port
            reader, writer = await asyncio.open_connection(host, port)
            head = f"POST /events/hub HTTP/1.1\r\nHost: x\r\nx-webhook-secret: {SECRET}\r\n"
            writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
            writer.close()

    asyncio.run(scenario())


def test_without_a_section_there_is_no_receiver(settings: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with receiving(settings, gate_of(settings)) as receiver:
            assert (await receiver.hub({})).status == 404
            assert (await receiver.s3({})).status == 404

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ({"s3": {"token_files": ["x"], "models": ["s3://bb/**"]}}, "for each folder"),
        ({"s3": {"token_files": ["x"], "models": ["s3://bb/../x"]}}, "does not say"),
        ({"s3": {"token_files": ["x"], "models": ["s3://bb"]}}, "pattern"),
        ({"s3": {"token_files": ["x"], "models": ["s3://*/x"]}}, "pattern"),
        ({"s3": {"token_files": [], "models": ["s3://bb/*"]}}, "at least 1"),
        ({"hub": {"secret_files": ["a", "b", "c"], "repositories": ["a/*"]}}, "at most 2"),
        ({"hub": {"secret_files": ["a"], "repositories": ["s3://a/*"]}}, "nothing on the Hub"),
        ({"quarantine": {"action": "move"}}, "belongs to"),
        ({"quarantine": {"prefix": "s3://bb/x"}}, "belongs to"),
        (
            {
                "s3": {"token_files": ["x"], "models": ["s3://bb/models/*"]},
                "quarantine": {"action": "move", "prefix": "s3://bb/models/denied"},
            },
            "among the models",
        ),
        (
            {
                "s3": {"token_files": ["x"], "models": ["s3://bb/*/*"]},
                "quarantine": {"action": "move", "prefix": "s3://bb/denied"},
            },
            "among the models",
        ),
        ({"reports": {"webhook": {"url": "ftp://x", "secret_file": "x"}}}, "pattern"),
        ({"reports": {"webhook": {"url": "https://a@x/", "secret_file": "x"}}}, "pattern"),
    ],
)
def test_what_cannot_be_meant(events: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        GateConfig.model_validate({"events": events})


def test_files_are_beside_the_configuration(tmp_path: Path) -> None:
    from oms_gate.config import load_config

    (tmp_path / "gate.yaml").write_text(
        "events:\n"
        "  hub: {secret_files: [a], repositories: [acme/*]}\n"
        "  s3: {token_files: [b, c], models: ['s3://models/*']}\n"
        "  reports: {webhook: {url: 'https://x.example/', secret_file: d}}\n"
    )
    events = load_config(tmp_path / "gate.yaml").events
    assert events.hub is not None
    assert events.s3 is not None
    assert events.reports.webhook is not None
    assert events.hub.secret_files == (tmp_path / "a",)
    assert events.hub.repositories == ("hf://acme/*",)
    assert events.s3.token_files == (tmp_path / "b", tmp_path / "c")
    assert events.reports.webhook.secret_file == tmp_path / "d"
