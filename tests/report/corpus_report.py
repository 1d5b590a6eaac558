"""A report of the whole corpus of real bundles, and a picture of it.

``python -m tests.report.corpus_report`` writes ``docs/report.png``.

The gate decides on each model as it does on any. When it was asked is made up: each model is
checked on the day on which it came, and every night from then on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms_gate import Gate, Verdict
from oms_gate.config import GateConfig
from oms_gate.evidence.checkpoints import checkpoint_statement
from oms_gate.evidence.entries import GENESIS, sealed
from oms_gate.report.page import page
from oms_gate.report.reading import log_state, read_records
from oms_gate.report.report import Report, Source
from oms_gate.report.summary import Bounds, Summary
from tests.corpus import CORPUS
from tests.evidence.logs import GateKey
from tests.peers.chromium import Chromium
from tests.peers.hub import HubStandIn
from tests.test_corpus_verdicts import (
    EVERYTHING,
    GRANITE,
    HUB,
    METHODS,
    RELEASES,
    SKILLS,
    September2026,
)

PICTURE = Path(__file__).parents[2] / "docs" / "report.png"
NOW = datetime(2026, 9, 15, 6, tzinfo=UTC)
_LARGEST_BYTES = 400_000
_LOG = "1" * 32
_FORGOTTEN = 3
"""Of the models, the one that nobody checks any more."""


def write_log(
    path: Path,
    verdicts: Iterable[tuple[datetime, Verdict]],
    context: Mapping[str, object] | None = None,
    key: GateKey | None = None,
) -> Path:
    """An audit log with these verdicts, as if the gate had written them at these times.

    key: signs it at its end.
    """
    previous, seq = GENESIS, 0
    with path.open("wb") as stream:

        def write(members: Mapping[str, object], time: datetime) -> None:
            nonlocal previous, seq
            seq += 1
            line, previous = sealed(members, log=_LOG, seq=seq, previous=previous, now=time)
            stream.write(line)

        for time, verdict in verdicts:
            if seq == 0:
                write({"kind": "start"}, time)
            members = {
                "kind": "verdict",
                "operation": "verify",
                "context": context or {},
                "verdict": json.loads(verdict.to_json()),
            }
            write(members, time)
        if key is not None:
            bundle = key.signer.sign(checkpoint_statement(_LOG, seq, previous))
            write({"kind": "checkpoint", "checkpoint": json.loads(bundle)}, time)
    return path


def corpus_verdicts(hub: HubStandIn) -> Iterator[Verdict]:
    """What the gate says of each model of the corpus, of one without a signature, and of none."""
    hub.create("example/unsigned", files={"config.json": b"{}", "model.safetensors": b"weights"})
    models = [hub.load_corpus(CORPUS / "hub" / folder) for folder in HUB]
    publishers = [GRANITE, EVERYTHING]
    with _gate(assurance="signature", publishers=publishers) as gate:
        for model in (*models, "example/unsigned", "example/gone"):
            yield gate.check(f"hf://{model}")
    skills = CORPUS / "nvidia-skills"
    signer = {"method": "certificate", "root": "nvidia", "any_identity": True}
    with _gate(
        signature="skill.oms.sig",
        trust={"certificates": {"nvidia": skills / "nv-agent-root-cert.pem"}},
        publishers=[{"name": "NVIDIA", "models": [f"{skills}/*"], "signers": [signer]}],
    ) as gate:
        for name in SKILLS:
            yield gate.check(skills / name)
    reference = CORPUS / "oms-reference"
    for method, (trust, signer) in METHODS.items():
        publisher = {"name": "reference", "models": [f"{reference}/*"], "signers": [signer]}
        with _gate(trust=trust, publishers=[publisher]) as gate:
            for release in RELEASES:
                yield gate.check(reference / f"{release}-{method}")


def corpus_log(hub: HubStandIn, path: Path, key: GateKey) -> Path:
    """An audit log of nightly checks of the corpus, signed."""
    root = os.path.abspath(CORPUS)
    verdicts = [
        Verdict.model_validate_json(verdict.to_json().replace(root, "/srv/models"))
        for verdict in corpus_verdicts(hub)
    ]
    asked = []
    for number, verdict in enumerate(verdicts):
        came = NOW - timedelta(days=28 - number, hours=-number)
        last = NOW
        if number == _FORGOTTEN:
            came, last = came - timedelta(days=12), came - timedelta(days=7)
        asked.append((came, verdict))
        night = came.replace(hour=2) + timedelta(days=1, seconds=number)
        while night < last:
            asked.append((night, verdict))
            night += timedelta(days=1)
    return write_log(path, sorted(asked, key=lambda each: each[0]), {"team": "research"}, key)


def corpus_page(log: Path, key: GateKey, verdicts: int = 20) -> str:
    """The report of that log, with so many verdicts on each model."""
    summary = Summary(Bounds(verdicts=verdicts))
    for record in read_records(log, log=True):
        summary.add(record)
    source = Source(log.name, "audit log", summary.outcomes.total())
    state = log_state(log, key.expected, archived=False)
    return page(Report("Models in production", NOW, summary, [source], [state]))


def _gate(**settings: Any) -> Gate:
    return Gate.from_config(GateConfig.model_validate(settings))


async def _picture(file: Path) -> bytes:
    async with Chromium() as browser:
        await browser.resize(1200, 1425)
        await browser.open(file.as_uri())
        await browser.run("document.documentElement.style.overflow = 'hidden'")
        return await browser.screenshot(all_of_it=False)


def main() -> None:
    """Make the picture: the page from its top."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        HubStandIn() as hub,
    ):
        patch.setattr("oms_gate.judging.datetime", September2026)
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.chdir(folder)
        key = GateKey(Path(folder))
        log = corpus_log(hub, Path("audit.jsonl"), key)
        file = Path(folder, "report.html")
        file.write_text(corpus_page(log, key))
        picture = asyncio.run(_picture(file))
    if len(picture) > _LARGEST_BYTES:
        sys.exit(f"the picture has {len(picture)} bytes, more than {_LARGEST_BYTES}")
    PICTURE.write_bytes(picture)
    print(f"{PICTURE}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
