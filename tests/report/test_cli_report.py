"""``oms-gate report`` as its users see it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate.cli.admission import SignerOptions
from oms_gate.cli.report import Asked, Outputs, run
from oms_gate.errors import ConfigError
from oms_gate.evidence.files import log_files
from tests import models
from tests.commands import oms_gate
from tests.evidence.logs import GateKey, written
from tests.report.corpus_report import write_log
from tests.report.verdicts import NOW, full, reason, verdict

DAY = timedelta(days=1)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    found = [
        (NOW - 2 * DAY, verdict("hf://acme/a", reason())),
        (NOW - DAY, verdict("hf://acme/a")),
        (NOW, full("hf://acme/b")),
    ]
    return write_log(tmp_path / "audit.jsonl", found)


def asked(log: Path, since: str | None = None, until: str | None = None) -> Asked:
    """What the options say."""
    return Asked(
        sources=[log],
        gate=SignerOptions(),
        archived=False,
        models=None,
        config=None,
        assurance=None,
        title="t",
        since=since,
        until=until,
        stale_days=30,
        most_models=500,
        most_verdicts=20,
    )


def test_every_format(log: Path, tmp_path: Path) -> None:
    html, markdown, table = (tmp_path / f"r.{end}" for end in ("html", "md", "csv"))
    html.write_text("an older one")
    done = oms_gate(
        "report", log, "--html", html, "--markdown", markdown, "--csv", table, "--title", "Q3 <1>"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 models: 1 admitted, 1 denied, 0 undecided" in done.stdout
    assert f"written to {html}" in done.stdout
    assert "<h1><bdi>Q3 &lt;1&gt;</bdi></h1>" in html.read_text()
    assert markdown.read_text().startswith("# Q3 \\<1\\>\n")
    with table.open(newline="") as stream:
        assert [row["model"] for row in csv.DictReader(stream)] == ["hf://acme/b", "hf://acme/a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit.jsonl",
        *("r.csv", "r.html", "r.md"),
    ]


def test_json(log: Path) -> None:
    copy = Path(shutil.copy(log, log.with_name("copy.jsonl")))
    done = oms_gate("report", log, copy, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["schema"] == "oms-gate/report/v1"
    assert found["verdicts"] == {"admitted": 2, "denied": 4, "undecided": 0}
    assert found["latest"][1]["recorded_in"] == {
        "file": str(copy),
        "line": 3,
        "seq": 3,
        "hash": json.loads(log.read_text().splitlines()[2])["hash"],
    }
    assert [source["verdicts"] for source in found["sources"]] == [3, 3]


@pytest.mark.parametrize(
    ("since", "until", "verdicts"),
    [
        ("2026-09-14", None, 2),
        (None, "2026-09-14", 2),
        ("2026-09-14", "2026-09-14", 1),
        ("2026-09-15T12:00:00Z", None, 1),
        (None, "2026-09-15T12:00:00Z", 2),
        (None, "2026-09-15T14:00:01+02:00", 3),
        ("2027-01-01", None, 0),
    ],
)
def test_a_period(
    log: Path, tmp_path: Path, since: str | None, until: str | None, verdicts: int
) -> None:
    html, table = tmp_path / "r.html", tmp_path / "r.csv"
    assert run(asked(log, since=since, until=until), Outputs(html, None, table, json=True)) == 0
    with table.open(newline="") as stream:
        assert sum(int(row["verdicts"]) for row in csv.DictReader(stream)) == verdicts
    assert ("There is no verdict in this period" in html.read_text()) is (verdicts == 0)


def test_nothing_was_recorded(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    html = tmp_path / "r.html"
    done = oms_gate("report", empty, "--html", html, "--markdown", tmp_path / "r.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert "There is no verdict." in html.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "there is nothing to report on"),
        (["none.jsonl"], "none.jsonl cannot be read: No such file"),
        (["{log}", "--since", "yesterday"], "--since is 'yesterday', which is no time"),
        (["{log}", "--until", "9999-12-31"], "--until is '9999-12-31', which is no time"),
        (["{log}", "--since", "2026-09-02", "--until", "2026-09-01"], "--since is not before"),
        (["{log}", "--since", "20260901"], "is '20260901', which is no time"),
        (["{log}", "--since", "2026-W36-2"], "is '2026-W36-2', which is no time"),
        (["{log}", "--until", "2026-09-30T12"], "is '2026-09-30T12', which is no time"),
        (["{log}", "--until", "2026-09-30x12:00"], "is '2026-09-30x12:00', which is no time"),
        (["{log}", "--until", "2026-09-30T12:00:00"], "12:00:00', which is no time"),
        (["{log}", "--until", "2026-02-30T12:00:00Z"], "which is no time"),
        (["{folder}/none/audit.jsonl"], "none/audit.jsonl cannot be read: No such file"),
        (["{log}", "--html", "{folder}"], "is a link, or a file in place of a folder"),
        (["{log}", "--stale-days", "99999999999"], "--stale-days is more than 36500"),
        (["--models", "{log}"], "--models needs the --config"),
    ],
)
def test_what_cannot_be_meant(log: Path, options: list[str], told: str) -> None:
    values = {"log": str(log), "folder": str(log.parent)}
    done = oms_gate("report", *(option.format(**values) for option in options))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_nothing_is_written_of_a_log_with_a_broken_line(log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text() + '{"schema": "oms-gate/audit-log/v1", \n')
    html = tmp_path / "r.html"
    html.write_text("the last one")
    done = oms_gate("report", log, "--html", html)
    assert done.returncode == 2
    assert f"{log}:5 is no line of an audit log" in done.stderr
    assert html.read_text() == "the last one"


def test_a_log_that_was_changed_is_reported_and_told(log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text().replace('"signature.missing"', '"file.changed"'))
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    done = oms_gate("report", log, "--html", html, "--markdown", markdown)
    assert done.returncode == 1
    assert f"{log}: broken; " in done.stdout
    assert "line 2 of the log was changed" in html.read_text()
    assert "**broken**" in markdown.read_text()


def test_who_signed_a_log_is_looked_at_where_it_is_known(log: Path, tmp_path: Path) -> None:
    key, stranger = GateKey(tmp_path), GateKey(tmp_path, "stranger")
    config = tmp_path / "gate.yaml"
    config.write_text(f"evidence: {{signer: {{key: {key.private}}}, audit_log: {{file: {log}}}}}\n")
    unsigned = oms_gate("report", "--config", config)
    assert unsigned.returncode == 1
    assert f"{log}: broken; 4 lines" in unsigned.stdout
    assert "no checkpoint vouches for any line" in unsigned.stdout
    chained = oms_gate("report", log)
    assert chained.returncode == 0
    assert f"{log}: whole, by its chain alone; 4 lines" in chained.stdout
    write_log(log, [(NOW, verdict())], key=key)
    signed = oms_gate("report", "--config", config, "--json")
    (state,) = json.loads(signed.stdout)["logs"]
    assert (signed.returncode, state["whole"], state["signed"]) == (0, True, True)
    assert state["sentences"][1].startswith(
        "signed up to number 2, on 2026-09-15 at 12:00 UTC, by sha256:"
    )
    assert "whole and signed" in oms_gate("report", log, "--public-key", key.public).stdout
    (tmp_path / "later").mkdir()
    later = written(tmp_path / "later", 2, key, checkpoint_lines=2)
    partly = oms_gate("report", later, "--public-key", key.public)
    assert "whole, and signed up to 2 of 4" in partly.stdout
    assert oms_gate("report", log, "--public-key", stranger.public).returncode == 1


def test_the_log_of_the_gate_is_one_whatever_is_in_it(log: Path, tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(f"evidence: {{audit_log: {{file: {log}}}}}\n")
    log.write_text(verdict().model_dump_json(by_alias=True) + "\n")
    for options in ([], [log]):
        done = oms_gate("report", *options, "--config", config)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{log}:1 is no line of an audit log" in done.stderr
    log.write_text("")
    emptied = json.loads(oms_gate("report", "--config", config, "--json").stdout)
    assert [source["kind"] for source in emptied["sources"]] == ["audit log"]
    config.write_text(f"evidence: {{audit_log: {{file: {tmp_path}/none/audit.jsonl}}}}\n")
    done = oms_gate("report", "--config", config)
    assert done.returncode == 2
    assert f"{tmp_path}/none cannot be read: No such file" in done.stderr


def test_a_log_that_is_to_be_signed_is_not_taken_for_verdicts(log: Path, tmp_path: Path) -> None:
    key = GateKey(tmp_path)
    for content in ("", f"{verdict().to_json()}\n"):
        log.write_text(content)
        done = oms_gate("report", log, "--public-key", key.public)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no source is an audit log; " in done.stderr


def test_a_log_counts_once(tmp_path: Path) -> None:
    """By whichever of its names, and with its older files."""
    log = written(tmp_path, 20, rotate_bytes=4096)
    names = [log, tmp_path / ".." / tmp_path.name / log.name, *log_files(log)]
    told = json.loads(oms_gate("report", *names, "--json").stdout)
    assert [source["verdicts"] for source in told["sources"]] == [20]


def test_no_file_is_left_where_it_cannot_be_written(log: Path, tmp_path: Path) -> None:
    done = oms_gate("report", log, "--csv", tmp_path / "none" / "r.csv")
    assert done.returncode == 3
    assert "cannot be written: No such file or directory; name another place" in done.stderr


def test_a_page_needs_a_package_that_may_be_missing(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("oms_gate.report.page", "oms_gate.templating"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"jinja2 is missing: install oms-gate\[report\]"):
        run(asked(log), Outputs(tmp_path / "r.html", None, None, json=False))
    assert run(asked(log), Outputs(None, tmp_path / "r.md", tmp_path / "r.csv", json=True)) == 0


def test_a_list_of_models_of_which_some_are_broken(
    key: ec.EllipticCurvePrivateKey, public_key: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    for name, content in models.FILES.items():
        (good / name).write_bytes(content)
    (good / "model.sig").write_bytes(models.signature(models.FILES, key))
    (bad / "model.sig").write_text("{")
    config = tmp_path / "gate.yaml"
    config.write_text(
        f"trust: {{keys: {{acme: {public_key}}}, public_good: false}}\n"
        "publishers:\n"
        f"  - {{name: acme, models: ['{tmp_path}/*'], signers: [{{method: key, key: acme}}]}}\n"
    )
    listed = tmp_path / "models.txt"
    listed.write_text(
        f"# ours\n{bad}\n\nnowhere://x\nhf://\n{tmp_path / 'none'}  # gone\n{good}  # good\n"
    )
    done = oms_gate("report", "--models", listed, "--config", config, "--json")
    found = json.loads(done.stdout)
    assert found["models"] == {"admitted": 1, "denied": 1, "undecided": 1}, found["latest"]
    assert [each["line"] for each in found["not_checked"]] == [4, 5]
    assert [each["recorded_in"]["line"] for each in found["latest"]] == [2, 6, 7]
    assert done.returncode == 2
    assert f"{listed}:4 was not checked: nowhere:// cannot be used" in done.stderr
    assert f"{listed}:5 was not checked: " in done.stderr
