"""``gate.yaml``: requirements, exceptions, attestations and the memory; what cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from oms_gate.config import GateConfig, load_config
from oms_gate.errors import ConfigError
from tests.commands import oms_gate

GOOD = """\
publishers:
  - name: Acme
    models: [acme/*]
    signers: [{method: sigstore, identity: a@acme.example, issuer: "https://acme.example"}]
    allow_formats: [pickle]
requirements:
  - name: production
    where:
      models: [acme/*]
      operations: [admit, pull]
      namespaces: [prod-*]
      namespace_labels: {stage: production}
      service_accounts: [server]
    assurance: bytes
    hash_types: [sha256]
    proven_time: true
    transparency_log: true
    max_age_days: 90
    unexpired: true
    restricted_formats: [pickle]
    signed_kinds: [weights]
    ignored_kinds: []
    claims: {build_trigger: [push]}
    same_signer: true
    attestations:
      - predicate_type: https://slsa.dev/provenance/v1
        signers:
          - method: sigstore
            identity: b@acme.example
            issuer: https://acme.example
exceptions:
  - reason: until the rewrite
    owner: ann@acme.example
    expires: 2027-03-31
    models: [acme/old]
    codes: [requirement.format]
    paths: [model.pkl]
attestations:
  provenance: "*.intoto.jsonl"
history:
  file: memory.db
"""


def load(folder: Path, text: str) -> GateConfig:
    path = folder / "gate.yaml"
    path.write_text(text)
    return load_config(path)


def test_a_good_one(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.history is not None
    assert config.history.file == tmp_path / "memory.db"
    assert config.attestations == {"provenance": "*.intoto.jsonl"}
    rules = config.data["oms_gate"]
    assert isinstance(rules, dict)
    (requirement,) = rules["requirements"]
    assert requirement["effect"] == "deny"
    # To let nothing be left out is something else than to say nothing about it.
    assert requirement["ignored_kinds"] == []
    assert requirement["where"]["models"] == ["hf://acme/*"]
    (exception,) = rules["exceptions"]
    assert exception["expires"] == "2027-03-31"
    assert exception["expires_at"] == datetime(2027, 4, 1, tzinfo=UTC).timestamp()


# What stands in the good one, what in its place, where the mistake is, and a word of its message.
MISTAKES = [
    ("    proven_time: true", "    proven_tyme: true", "16:5", "did you mean 'proven_time'?"),
    ("    proven_time: true", "    proven_time: false", "16:5", "True"),
    ("      namespaces: [", "      namespace: [", "11:7", "did you mean 'namespaces'?"),
    ("namespaces: [prod-*]", "namespaces: []", "11:7", "at least 1"),
    ("namespaces: [prod-*]", "namespaces: ['prod-[ab]']", "11:20", "no name in Kubernetes"),
    ("namespaces: [prod-*]", "namespaces: [Prod]", "11:20", "no name in Kubernetes"),
    ("service_accounts: [server]", "service_accounts: [a/b]", "13:26", "no name in Kubernetes"),
    ("operations: [admit, pull]", "operations: [admit, pul]", "10:27", "'pull'"),
    ("models: [acme/*]\n      op", "models: ['acme/[a]']\n      op", "9:16", "wildcards"),
    ("hash_types: [sha256]", "hash_types: [md5]", "15:18", "'blake3'"),
    ("hash_types: [sha256]", "hash_types: []", "15:5", "at least 1"),
    ("max_age_days: 90", "max_age_days: 0", "18:5", "greater than 0"),
    ("max_age_days: 90", "max_age_days: soon", "18:5", "number"),
    ("restricted_formats: [pickle]", "restricted_formats: [pikle]", "20:26", "'pickle'"),
    ("signed_kinds: [weights]", "signed_kinds: [weight]", "21:20", "'weights'"),
    ("claims: {build_trigger: [push]}", "claims: {}", "23:5", "at least 1"),
    ("claims: {build_trigger: [push]}", "claims: {build_trigger: []}", "23:14", "at least 1"),
    ("    assurance: bytes", "    assurance: signature", "14:5", "'declared'"),
    ("    assurance: bytes", "    effect: ignore", "14:5", "'warn'"),
    ("identity: b@acme", "identiti: b@acme", "29:13", "did you mean 'identity'?"),
    ("  - method: sigstore\n", "  - method: first-use\n", "28:13", "sigstore, certificate or key"),
    ("acme.example\nex", "acme.example\n            root: x\nex", "28:13", "not under 'trust'"),
    ("allow_formats: [pickle]", "allow_formats: [pickles]", "5:21", "'pickle'"),
    ("  - reason: until the rewrite\n    owner", "  - owner", "32:5", "reason: is missing"),
    ("    owner: ann@acme.example\n", "", "32:5", "owner: is missing"),
    ("    owner: ann@acme.example", "    owner: ''", "33:5", "at least 1"),
    ("    expires: 2027-03-31\n", "", "32:5", "expires: is missing"),
    ("expires: 2027-03-31", "expires: 2027-02-30", "34:14", "day is out of range"),
    ("expires: 2027-03-31", "expires: never", "34:5", "date"),
    ("expires: 2027-03-31", "expires: 9999-12-31", "34:5", "less than"),
    ("    models: [acme/old]\n", "", "32:5", "models: is missing"),
    ("models: [acme/old]", "models: []", "35:5", "at least 1"),
    ("codes: [requirement.format]", "codes: [publisher.unknown]", "36:13", "coverage.unsigned"),
    ("codes: [requirement.format]", "codes: []", "36:5", "at least 1"),
    ("paths: [model.pkl]", "paths: [../model.pkl]", "37:13", "can match no file"),
    ('"*.intoto.jsonl"', '"/etc/*"', "39:3", "can match no file"),
    ("  file: memory.db", "  file: ''", "41:3", "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "words"), MISTAKES)
def test_a_mistake_is_shown_where_it_is(
    tmp_path: Path, old: str, new: str, place: str, words: str
) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path}/gate.yaml:{place}: "), line
    assert words in line


def test_a_requirement_requires_something(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"3:5: .*it requires nothing; give at least one"):
        load(tmp_path, "requirements:\n  # All of it is about where.\n  - {name: x, where: {}}\n")


def test_whoever_comes_first_is_remembered(tmp_path: Path) -> None:
    text = "publishers: [{name: x, models: [hf://**], signers: [{method: first-use}]}]\n"
    with pytest.raises(ConfigError, match=r"1:53: .*'first-use' needs a memory"):
        load(tmp_path, text)
    assert load(tmp_path, text + "history: {file: memory.db}\n").publishers
    with pytest.raises(ConfigError, match=r"1:73: .*unknown key"):
        load(tmp_path, text.replace("first-use}", "first-use, key: a}"))


@pytest.mark.parametrize(
    ("section", "place", "words"),
    [
        ('attestations:\n  provenance: "*.intoto.jsonl"\n', "25:5", "under 'attestations'"),
        ("history:\n  file: memory.db\n", "24:5", "needs a memory"),
    ],
)
def test_what_could_never_be_met(tmp_path: Path, section: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(section, ""))
    assert f"gate.yaml:{place}: " in str(caught.value)
    assert words in str(caught.value)


SERVER = "policy: {server: {url: 'http://localhost:8181'}}\n"


@pytest.mark.parametrize("section", ["publishers", "requirements", "exceptions"])
def test_rules_do_not_go_with_a_server(tmp_path: Path, section: str) -> None:
    """The server has its own: those here would be believed to count."""
    start = GOOD.index(f"{section}:\n")
    text = GOOD[start:].split("\n")
    end = next(n for n, line in enumerate(text[1:], 1) if line[:1] not in (" ", "-"))
    with pytest.raises(ConfigError, match=f"'{section}' have no effect with 'policy: server'"):
        load(tmp_path, SERVER + "\n".join(text[:end]))
    assert load(tmp_path, SERVER + "history: {file: memory.db}").history


def test_exceptions_that_have_ended_are_told(tmp_path: Path) -> None:
    """They are no mistake, so that nothing stops working on the day after."""
    for year, told in (("2001", True), ("9998", False)):
        (tmp_path / "gate.yaml").write_text(GOOD.replace("2027-03-31", f"{year}-03-31"))
        result = oms_gate("config", "check", tmp_path / "gate.yaml")
        assert result.returncode == 0, result.stderr
        assert "exceptions   1" in result.stdout
        ended = "the exception of ann@acme.example ended at 2001-03-31 (until the rewrite)"
        assert (ended in result.stderr) == told
