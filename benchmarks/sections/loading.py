"""Loading a model that was admitted before, against loading it without a gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.report import Figure, Spread, Table
from benchmarks.setting import Setting
from benchmarks.trial import Candidate, Source
from tests.loading.real_model import real_files, signed_files
from tests.peers.hub import HubStandIn

_AIM_MILLISECONDS = 50


def measure(setting: Setting) -> Iterator[str]:
    """The tokenizer of a real model; in each process it was loaded before."""
    files = real_files()
    options = {"key": str(setting.public_key)}
    with HubStandIn() as hub, TemporaryDirectory(dir=setting.disk) as folder:
        hub.create("org/minilm", files=signed_files(files, setting.key))
        source = Source("hf://org/minilm", dict.fromkeys(files, 0))
        environment = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(Path(folder, "hub")),
            "OMS_GATE_CACHE": str(Path(folder, "cache")),
        }

        def candidate(label: str, call: str, **options: str) -> Candidate:
            return Candidate(label, call, source, source, options, environment)

        candidates = {
            "plain": candidate("`AutoTokenizer.from_pretrained`", "loading.plain"),
            "gated": candidate("`oms_gate.from_pretrained`", "loading.gated", **options),
            "guarded": candidate("the first under a `guard`", "loading.guarded", **options),
        }
        trials = setting.in_turns(candidates)
    milliseconds = {
        name: [1000 * trial.laps["second load"] for trial in found]
        for name, found in trials.items()
    }
    rows = [
        [candidates[name].label, Spread.of(values).text(0)] for name, values in milliseconds.items()
    ]
    yield Table(("a second load", "milliseconds"), rows).markdown()
    yield report.figures(
        Figure(
            f"{candidates[name].label}: milliseconds more than plain",
            [
                ours - plain
                for ours, plain in zip(milliseconds[name], milliseconds["plain"], strict=True)
            ],
            at_most=_AIM_MILLISECONDS,
            digits=0,
        )
        for name in ("gated", "guarded")
    ).markdown()
