"""``gate.yaml``: strict, with the place of each mistake."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.config import GateConfig, load_config, load_trust
from oms_gate.errors import ConfigError
from oms_gate.strict_yaml import parse_yaml
from oms_gate.verdict import Assurance
from tests import models

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
        ("        key: acme", "        key: acne", "1:1", "acne"),
        ("models: [acme/*]", "models: []", "8:5", "models"),
        ("models: [acme/*]", "models: ['acme/[a-z]']", "8:14", "wildcards"),
        ("method: key", "method: kei", "10:9", "method"),
        ("mode: annotate", "mode: annotate\nmode: enforce", "2:1", "twice"),
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


def test_every_mistake_is_shown(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, GOOD.replace("mode: annotate", "mood: 1").replace("connections", "x"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a: \x00", b"- 1", b"just text", b"{}\n---\n{}"])
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


def test_the_example_is_valid() -> None:
    example = Path(__file__).parents[1] / "examples" / "gate.yaml"
    config = load_config(example)
    assert len(config.publishers) >= 3
    text = example.read_text()
    for field in GateConfig.model_fields:
        assert f"{field}:" in text, f"the annotated example does not show '{field}'"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_config_error(content: bytes) -> None:
    with suppress(ConfigError):
        parse_yaml("gate.yaml", content)


@given(st.text(alphabet="{}[]-:, \n&*!ab1|>'\"#", max_size=80))
def test_yaml_like_text_is_a_document_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml("gate.yaml", text.encode())
