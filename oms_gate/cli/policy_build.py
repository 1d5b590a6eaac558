"""``oms-gate policy build``: a policy as one file."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import typer

from oms_gate.authoring.building import SigningKey, build_policy
from oms_gate.cli.output import after
from oms_gate.sizes import human_bytes


def run(
    folder: Path,
    output: Path,
    revision: str | None,
    signing_key: Path | None,
    signing_alg: str,
    *,
    json: bool,
) -> int:
    """Build, and say what was.

    Raises:
        ConfigError: the policy or the key cannot be used.
        OmsGateError: the bundle cannot be written.
    """
    key = None if signing_key is None else SigningKey(signing_key, signing_alg)
    built = build_policy(folder, output, revision=revision, key=key)
    facts = {
        "bundle": str(built.path),
        "size": built.size,
        "sha256": built.sha256,
        "revision": built.revision,
        "signed": built.signed,
    }
    with after(f"the bundle is {output}"):
        if json:
            typer.echo(json_module.dumps(facts, indent=2))
            return 0
        facts["size"] = human_bytes(built.size)
        facts["revision"] = built.revision or "none; name one with --revision"
        facts["signed"] = f"yes, {signing_alg}" if built.signed else "no"
        typer.echo(f"built {output}")
        for name, value in list(facts.items())[1:]:
            typer.echo(f"  {name:<9} {value}")
    return 0
