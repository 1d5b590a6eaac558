"""``oms-gate trust`` and ``oms-gate history``, as a user runs them: by exit status and output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from oms_gate import Gate
from oms_gate.history import Release
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.commands import oms_gate
from tests.history.remembering import release, settings
from tests.peers.hub import HubStandIn
from tests.test_cli_sign import at_a_terminal

URL = "hf://acme/m"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with a memory, which the environment names."""
    path = tmp_path / "gate.yaml"
    path.write_text(json.dumps(settings(tmp_path)))
    monkeypatch.setenv("OMS_GATE_CONFIG", str(path))
    return path


@pytest.fixture
def model(tmp_path: Path, config: Path) -> Path:
    """One that was admitted, and is now signed by another."""
    model = models.write(tmp_path / "m", release(1, signed_days=1))
    verify(config, model)
    return models.write(model, release(2, "other", signed_days=2))


def verify(config: Path, *references: object) -> None:
    """Have models admitted."""
    with Gate.from_config(config) as gate:
        for reference in references:
            assert gate.check(str(reference)).admitted


def in_json(*arguments: object, status: int = 0) -> Any:
    result = oms_gate(*arguments, "--json")
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout)


def pinned() -> list[str]:
    return [pin["signer"]["root"]["name"] for pin in in_json("trust", "list")["pins"]]


def test_a_change_of_signers_is_denied_until_it_is_approved(config: Path, model: Path) -> None:
    denied = oms_gate("verify", model)
    assert denied.returncode == 1
    assert ReasonCode.HISTORY_SIGNER_CHANGED in denied.stdout
    assert 'is pinned to the key "acme"' in denied.stdout
    added = oms_gate("trust", "add", model, "--yes")
    assert added.returncode == 0, added.stderr
    assert "signed by key 'other'" in added.stdout
    assert "signed at 2026-01-03 00:00:00 UTC" in added.stdout
    assert f"to file://{model}, beside key 'acme'" in added.stdout
    assert added.stdout.endswith("approved\n")
    verify(config, model)
    again = oms_gate("trust", "add", model, "--yes")
    assert again.returncode == 0
    assert again.stdout.endswith("nothing to approve: it is trusted already\n")
    assert pinned() == ["acme", "other"]


def test_going_back_is_denied_until_it_is_approved(hub: HubStandIn, config: Path) -> None:
    old = hub.create("acme/m", files=release(1, signed_days=1))
    new = hub.commit("acme/m", release(2, signed_days=2))
    verify(config, URL)
    hub.branch("acme/m", "main", old)
    assert ReasonCode.HISTORY_ROLLBACK in oms_gate("verify", URL).stdout
    # By its commit nothing is older than anything.
    assert "nothing to approve" in oms_gate("trust", "add", f"{URL}@{old}", "--yes").stdout
    assert oms_gate("verify", URL).returncode == 1
    document = in_json("trust", "add", URL, "--yes")
    assert document["went_back_from"]["revision"] == new
    assert (document["revision"], document["pinned"]) == (old, False)
    verify(config, URL)


def test_nobody_is_trusted_unasked(model: Path) -> None:
    for arguments in ([], ["--json"]):
        result = oms_gate("trust", "add", model, *arguments)
        assert result.returncode == 2
        assert "there is nobody to ask" in result.stderr
    assert pinned() == ["acme"]


def test_at_a_terminal_it_asks(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status, output = at_a_terminal(["n"], "trust", "add", model)
    assert (status, "nothing was changed" in output) == (1, True)
    assert pinned() == ["acme"]
    status, output = at_a_terminal(["y"], "trust", "add", model)
    assert (status, "approved" in output) == (0, True)
    assert pinned() == ["acme", "other"]


def test_only_what_is_validly_signed_can_be_approved(model: Path) -> None:
    models.write(model, release(3, "stranger"))
    result = oms_gate("trust", "add", model, "--yes")
    assert result.returncode == 1
    assert "key" in result.stderr
    missing = oms_gate("trust", "add", model / "none", "--yes")
    assert missing.returncode == 3
    assert pinned() == ["acme"]


def test_a_list_is_of_what_is_asked_for(model: Path, tmp_path: Path) -> None:
    line = oms_gate("trust", "list").stdout
    name, identity, *rest = line.rstrip("\n").split("\t")
    assert (name, rest[:3]) == (f"file://{model}", ["key", "acme", "first use"])
    assert identity.startswith("sha256:")
    os.chdir(tmp_path)
    for asked in ("m", tmp_path, "*", f"file://{tmp_path}/*"):
        assert oms_gate("trust", "list", asked).stdout == line
    nothing = oms_gate("trust", "list", "hf://acme/*")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert nothing.stderr == "oms-gate: nobody is pinned to hf://acme/*\n"


def test_who_is_removed_is_trusted_no_more(config: Path, model: Path) -> None:
    oms_gate("trust", "add", model, "--yes")
    wrong = oms_gate("trust", "remove", model, "--signer", "nobody@example.com")
    assert wrong.returncode == 2
    assert "no 'nobody@example.com' is pinned to file://" in wrong.stderr
    removed = oms_gate("trust", "remove", model, "--signer", "other")
    assert (removed.returncode, pinned()) == (0, ["acme"])
    assert "key 'other'" in removed.stdout
    assert oms_gate("verify", model).returncode == 1
    gone = in_json("trust", "remove", model)
    assert [pin["signer"]["root"]["name"] for pin in gone["pins"]] == ["acme"]
    assert oms_gate("trust", "remove", model).returncode == 2
    # Now it is the first.
    verify(config, model)
    assert pinned() == ["other"]


def test_history_says_what_was_admitted(hub: HubStandIn, config: Path) -> None:
    commit = hub.create("acme/m", files=release(1, signed_days=1))
    hub.create("acme/n", files=release(2))
    verify(config, URL, f"{URL}@main", f"{URL}@{commit}", URL, "hf://acme/n")
    lines = oms_gate("history", URL).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [(row[0], row[1], row[2], row[7]) for row in rows] == [
        (URL, "", commit[:12], "2"),
        (URL, commit, commit[:12], "1"),
        (URL, "main", commit[:12], "1"),
    ]
    assert {row[4] for row in rows} == {"2026-01-02 00:00:00"}
    (branch,) = oms_gate("history", f"{URL}@main").stdout.splitlines()
    assert branch == lines[2]
    everything = oms_gate("history", "--json").stdout.splitlines()
    assert [Release.model_validate_json(line).model for line in everything] == [
        "hf://acme/n",
        *[URL] * 3,
    ]
    assert oms_gate("history", "--json", "--limit", 2).stdout.splitlines() == everything[:2]
    nothing = oms_gate("history", "hf://acme/none")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert nothing.stderr == "oms-gate: nothing is remembered of hf://acme/none\n"


def test_names_of_strangers_are_shown_as_they_are(tmp_path: Path, config: Path) -> None:
    model = models.write(tmp_path / "[red]a:100:b\u202e", release(1))
    verify(config, model)
    for command in (["history"], ["trust", "list"], ["trust", "remove", model]):
        output = oms_gate(*command).stdout
        assert r"/[red]a:100:b\u202e" in output
        assert "\u202e" not in output


COMMANDS = [
    ["trust", "add", "hf://acme/m", "--yes"],
    ["trust", "list"],
    ["trust", "remove", "hf://acme/m"],
    ["history"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_without_a_memory_it_is_told(command: list[str], tmp_path: Path) -> None:
    nowhere = oms_gate(*command)
    assert nowhere.returncode == 2
    assert "OMS_GATE_CONFIG" in nowhere.stderr
    config = tmp_path / "gate.yaml"
    config.write_text(json.dumps(settings(tmp_path, history=None, publishers=[])))
    without = oms_gate(*command, "--config", config)
    assert without.returncode == 2
    assert "it keeps no memory of models" in without.stderr


def test_a_memory_that_cannot_be_read_is_3(tmp_path: Path, config: Path) -> None:
    models.write(tmp_path / "memory", {"history.db": b""})
    result = oms_gate("trust", "list")
    assert (result.returncode, result.stdout) == (3, "")
    assert "the database of another program" in result.stderr


def test_a_signature_counts_to_who_signs_again_as_it_does_to_the_gate(
    config: Path, model: Path
) -> None:
    """The first signer's changes are told apart; what another has signed counts for nothing."""
    assert "nobody whom you trust signed any of this" in oms_gate("diff", model).stdout
    models.write(model, release(1, signed_days=1))
    (model / "config.json").write_bytes(b'{"release": 9}')
    changed = oms_gate("diff", model).stdout
    assert "config.json" in changed
    assert "nobody whom you trust" not in changed
    # To look is not to admit.
    assert len(oms_gate("history", model).stdout.splitlines()) == 1
