"""``gate.yaml``: strict, with the place of each mistake."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.config import GateConfig, load_config, load_trust, open_engine
from oms_gate.errors import ConfigError, PolicyError
from oms_gate.policy.exceptions import PolicyException
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.requirements import Requirement, WantedAttestation, Where
from oms_gate.reason_codes import ReasonCode
from oms_gate.service_settings import (
    ApiClient,
    ApiSettings,
    GatewaySettings,
    S3Repositories,
    ServiceSettings,
)
from oms_gate.service_settings.events import EVENT_SECTIONS, EventSettings
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import Assurance
from tests import models
from tests.policy.hostile_server import GOOD as ALLOWED
from tests.policy.hostile_server import answer, serve
from tests.policy.samples import document

GOOD = """\
mode: annotate
assurance: declared
trust:
  keys:
    acme: acme.pub
publishers:
  - name: Acme
    models: [acme/*]
    signers:
      - method: key
        key: acme
limits:
  connections: 4
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.pub").write_bytes(models.public_pem(models.new_key()))
    return tmp_path


def load(folder: Path, text: str | bytes) -> GateConfig:
    path = folder / "gate.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path)


def test_a_good_one(folder: Path) -> None:
    config = load(folder, GOOD)
    assert config.mode == "annotate"
    assert config.assurance is Assurance.DECLARED
    assert config.limits.connections == 4
    assert config.trust.keys == {"acme": folder / "acme.pub"}
    assert list(load_trust(config.trust).keys) == ["acme"]


def test_an_empty_one_admits_nobody(folder: Path) -> None:
    config = load(folder, "")
    assert config == GateConfig()
    assert config.mode == "enforce"
    assert config.publishers == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "word"),
    [
        ("mode: annotate", "mood: annotate", "1:1", "mood"),
        ("mode: annotate", "mode: maybe", "1:1", "mode"),
        ("connections: 4", "connections: many", "13:3", "connections"),
        ("connections: 4", "conections: 4", "13:3", "conections"),
        ("connections: 4", "connections: 0", "13:3", "connections"),
        ("        key: acme", "        keys: acme", "11:9", "keys"),
        ("        key: acme", "        key: acne", "10:9", "acne"),
        ("models: [acme/*]", "models: []", "8:5", "models"),
        ("models: [acme/*]", "models: ['acme/[a-z]']", "8:14", "wildcards"),
        ("method: key", "method: kei", "10:9", "method"),
        ("mode: annotate", "mode: annotate\nmode: enforce", "2:1", "twice"),
        ("        key: acme", "        key: acme\n        key: acne", "12:9", "twice"),
        ("mode: annotate", "mode: &a annotate\nsignature: *a", "1:7", "alias"),
        ("mode: annotate", "mode: [annotate", "2:10", "expected"),
        ("mode: annotate", "mode: !!python/name:os.system x", "1:7", "constructor"),
        ("mode: annotate", "- 1", "2:1", "expected"),
    ],
)
def test_a_mistake_is_shown_where_it_is(
    folder: Path, old: str, new: str, place: str, word: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert f"gate.yaml:{place}: " in message
    assert word in message


def test_a_mistake_is_told_in_plain_words(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, GOOD.replace("models: [acme/*]", "model: acme/*").replace("limits", "limit"))
    assert str(caught.value).splitlines() == [
        f"{folder}/gate.yaml:7:5: publishers.0.models: is missing",
        f"{folder}/gate.yaml:8:5: publishers.0.model: unknown key; did you mean 'models'?",
        f"{folder}/gate.yaml:12:1: limit: unknown key; did you mean 'limits'?",
    ]


def test_one_mistake_is_told_once(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, GOOD.replace("        key: acme", "        kei: acme"))
    lines = str(caught.value).splitlines()
    assert [line.rpartition("gate.yaml:")[2] for line in lines] == [
        "10:9: publishers.0.signers.0.key: is missing",
        "11:9: publishers.0.signers.0.kei: unknown key; did you mean 'key'?",
    ]


@pytest.mark.parametrize("section", ["policy: {rego: ''}", "trust: {keys: {a: ''}}"])
def test_an_empty_path_is_not_the_working_directory(folder: Path, section: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        load(folder, section)


def test_a_signature_beside_the_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where the gate runs, which may be in the model's folder, does not matter."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert load(folder, "signature: ./m.sig").signature == str(folder / "m.sig")
    assert load(folder, "signature: ../m.sig").signature == str(folder.parent / "m.sig")
    assert load(folder, "signature: m.sig").signature == "m.sig"


def test_a_home_folder_is_meant_by_its_sign(folder: Path, home: Path) -> None:
    config = load(folder, "trust: {keys: {a: ~/a.pub}}")
    assert config.trust.keys == {"a": home / "a.pub"}


def test_every_mistake_is_shown(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, GOOD.replace("mode: annotate", "mood: 1").replace("connections", "x"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"a: \x00",
        b"- 1",
        b"just text",
        b"{}\n---\n{}",
        b"? [a, b]\n: c",
        b"mode: !!int ''",
        b"mode: !!timestamp 'x'",
        b"limits: {listing_seconds: .inf}",
    ],
)
def test_what_is_no_configuration(folder: Path, text: bytes) -> None:
    with pytest.raises(ConfigError):
        load(folder, text)


def test_files_that_cannot_be_used(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(folder / "none.yaml")
    config = load(folder, GOOD)
    (folder / "acme.pub").write_bytes(b"no key")
    with pytest.raises(ConfigError, match="acme"):
        load_trust(config.trust)
    (folder / "acme.pub").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_trust(config.trust)
    (folder / "acme.pub").write_bytes(bytes(5 * 1024 * 1024))
    with pytest.raises(ConfigError, match="larger than"):
        load_trust(config.trust)


def test_publishers_do_not_go_with_a_server(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no effect"):
        load(folder, GOOD + "policy:\n  server:\n    url: http://localhost:8181\n")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("trust: {sigstore: {public-good: a.json}}", "that of the public Sigstore"),
        ("policy: {rego: a, server: {url: 'http://localhost'}}", "not more"),
        ("policy: {server: {url: 'http://localhost', ca_file: a}}", "without https"),
        ("policy: {server: {url: 'https://localhost', key_file: a}}", "needs 'cert_file'"),
        ("policy: {bundle: {url: 'https://localhost/b'}}", "key"),
        ("policy: {bundle: {url: 'http://localhost/b', key: k, token_file: t}}", "are for https"),
        ("policy: {bundle: {url: 'https://a/b?sig=x', key: k}}", "url"),
        ("policy: {server: {url: 'file:///etc/passwd'}}", "url"),
        ("policy: {server: {url: localhost}}", "url"),
        (
            """\
trust: {public_good: false}
publishers:
  - name: A
    models: [a/*]
    signers: [{method: sigstore, identity: a, issuer: 'https://b.example', root: public-good}]
""",
            "'public-good'.* is not under 'trust'",
        ),
        (
            "api: {clients: [{name: a, token_sha256: [hf_1]}]}",
            "token_sha256.0: must be the SHA-256",
        ),
        (
            "gateway: {repositories: [{owner: a, prefix: 's3://bucket', readers: [hf_1]}]}",
            "0.readers: must be 'everybody', or the SHA-256",
        ),
        ("limits: " + "[" * 5000, "YAML"),
    ],
)
def test_what_cannot_be_meant(folder: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load(folder, text)


def test_the_public_sigstore_is_trusted_unless_it_is_not() -> None:
    assert set(load_trust(GateConfig().trust).sigstore) == {"public-good"}
    config = GateConfig.model_validate({"trust": {"public_good": False}})
    assert not load_trust(config.trust).sigstore


def test_paths_start_at_the_folder_of_the_file_itself(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the gate is started, and whatever link leads to the file."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    (folder / "gate.yaml").write_text(
        "trust: {keys: {a: a.pub}, certificates: {a: a.pem}, sigstore: {a: a.json}}\n"
        "policy: {server: {url: 'https://localhost', token_file: a.token, ca_file: /a/ca.pem,\n"
        "  cert_file: a.crt, key_file: a.key}, decision_log: a.log}\n"
    )
    (elsewhere / "gate.yaml").symlink_to(folder / "gate.yaml")
    config = load_config(Path("gate.yaml"))
    assert config.trust.keys == {"a": folder / "a.pub"}
    assert config.trust.certificates == {"a": folder / "a.pem"}
    assert config.trust.sigstore == {"a": folder / "a.json"}
    assert config.policy.server is not None
    assert config.policy.server.token_file == folder / "a.token"
    assert config.policy.server.ca_file == Path("/a/ca.pem")
    assert config.policy.server.cert_file == folder / "a.crt"
    assert config.policy.server.key_file == folder / "a.key"
    assert config.policy.decision_log == folder / "a.log"
    bundle = load(folder, "policy: {bundle: {url: 's3://b/c', key: a.pub}}").policy.bundle
    assert bundle is not None
    assert bundle.key == folder / "a.pub"
    assert load(folder, "policy: {rego: policies}").policy.rego == folder / "policies"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@host/b",
        "https://host:port/b",
        "https://[::1/b",
        "https://host",
        "https://a host/b",
        "https://host/b?secret",
        "https://host/b#secret",
        "ftp://host/b",
    ],
)
def test_where_no_policy_bundle_can_be(folder: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.bundle\.url") as caught:
        load(folder, f"policy: {{bundle: {{url: '{url}', key: a.pub}}}}")
    assert "secret" not in str(caught.value)
    for right in ("https://host:8443/a/b.tar.gz", "http://[::1]/b", "s3://bucket/b"):
        load(folder, f"policy: {{bundle: {{url: '{right}', key: a.pub}}}}")


@pytest.mark.parametrize("place", ["file", "environment", "both", "neither"])
def test_the_server_is_asked_as_the_configuration_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """At its path and with its token; that of the file, where there are two."""
    token = {"file": "from-file", "both": "from-file", "environment": "from-environment"}
    if place in ("environment", "both"):
        monkeypatch.setenv("OMS_GATE_OPA_TOKEN", "from-environment")
    with serve(answer(ALLOWED)) as server:
        options = f"url: '{server.url}', path: acme/decision"
        if place in ("file", "both"):
            (folder / "token").write_text("from-file\n")
            options += ", token_file: token"
        engine = open_engine(load(folder, f"policy: {{server: {{{options}}}}}"))
        assert engine.decide(document()).allow
        engine.close()
    (request,) = server.requests
    head = request.decode().splitlines()
    assert head[0].startswith("POST /v1/data/acme/decision?")
    told = [line for line in head if line.lower().startswith("authorization:")]
    assert told == ([f"Authorization: Bearer {token[place]}"] if place in token else [])


def test_the_server_is_waited_for_as_long_as_the_configuration_says(folder: Path) -> None:
    def say_nothing(connection: socket.socket) -> None:
        connection.recv(1)

    with serve(say_nothing) as server:
        text = f"limits: {{policy_seconds: 0.3}}\npolicy: {{server: {{url: '{server.url}'}}}}"
        engine = open_engine(load(folder, text))
        start = time.monotonic()
        with pytest.raises(PolicyError) as caught:
            engine.decide(document())
        engine.close()
        assert time.monotonic() - start < 2
    assert caught.value.reason.code is ReasonCode.POLICY_TIMEOUT


def test_the_policy_has_the_limits_of_the_configuration(folder: Path) -> None:
    much = {**document(), "context": {"much": ["x"] * 100_000}}
    engine = open_engine(load(folder, ""))
    engine.decide(much)
    engine.close()
    engine = open_engine(load(folder, "limits: {policy_memory_bytes: 4194304}"))
    with pytest.raises(PolicyError) as caught:
        engine.decide(much)
    engine.close()
    assert caught.value.reason.code is ReasonCode.POLICY_ERROR


def test_the_servers_certificate_is_checked_as_the_configuration_says(folder: Path) -> None:
    text = "policy: {server: {url: 'https://127.0.0.1:9', ca_file: no-ca.pem}}"
    with pytest.raises(ConfigError, match=r"no-ca\.pem"):
        open_engine(load(folder, text))


def test_the_example_is_valid() -> None:
    example = Path(__file__).parents[1] / "examples" / "gate.yaml"
    config = load_config(example)
    assert len(config.publishers) >= 3
    text = example.read_text()
    rules = (Publisher, Requirement, Where, WantedAttestation, PolicyException)
    gateway = (GatewaySettings, S3Repositories)
    services = (ServiceSettings, ApiSettings, ApiClient, EventSettings, *EVENT_SECTIONS, *gateway)
    for section in (GateConfig, *rules, *services):
        for field in section.model_fields:
            assert f"{field}:" in text, f"the annotated example does not show '{field}'"
    # It says that these are the defaults.
    nothing = GateConfig()
    for name in ("limits", "publish", "kubernetes", "gateway", "events", "api", "service"):
        assert getattr(config, name) == getattr(nothing, name), name


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_config_error(content: bytes) -> None:
    with suppress(ConfigError):
        parse_yaml("gate.yaml", content)


@given(st.text(alphabet="{}[]-:, \n&*!ab1|>'\"#", max_size=80))
def test_yaml_like_text_is_a_document_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml("gate.yaml", text.encode())
