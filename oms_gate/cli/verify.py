"""``oms-gate verify``: one check, as the options ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from oms_gate.config import GateConfig, load_config, revised
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.verdict import Verdict

_NAME = "command-line"


@dataclass(frozen=True)
class SignerOptions:
    """Who must have signed, as the options say it."""

    identity: str | None
    issuer: str | None
    public_key: Path | None
    certificate_root: Path | None
    trusted_root: Path | None

    def __bool__(self) -> bool:
        return any(vars(self).values())


def run(
    reference: str,
    *,
    config: Path | None,
    signer: SignerOptions,
    policy: str | None,
    signature: str | None,
    assurance: str | None,
    report_all: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Check and print; the exit status.

    Raises:
        UsageError: the options cannot be meant together.
        ConfigError: a file that they name cannot be used.
    """
    model = Reference.parse(reference)
    settings = load_config(config) if config is not None else GateConfig()
    settings = _with_signer(settings, signer, model)
    settings = _with_policy(settings, policy)
    if not settings.publishers and settings.policy.server is None and settings.policy.rego is None:
        raise UsageError(
            "nobody is named who may sign this model: give --config gate.yaml, or --identity with "
            "--issuer, --public-key, or --certificate-root"
        )
    if signature is not None:
        settings = revised(settings, signature=signature)
    if assurance is not None:
        settings = revised(settings, assurance=assurance)
    with Gate.from_config(settings) as gate:
        verdict = _check(gate, model, report_all=report_all, silent=json or quiet)
    if json:
        typer.echo(verdict.to_json())
    elif not quiet:
        from oms_gate.cli.render import print_verdict

        print_verdict(verdict)
    return exit_status(verdict)


def exit_status(verdict: Verdict) -> int:
    """0 may be used, 1 denied, 3 the gate could not decide."""
    if verdict.lets_through:
        return 0
    return 3 if verdict.undecided else 1


def _check(gate: Gate, model: Reference, *, report_all: bool, silent: bool) -> Verdict:
    if silent:
        return gate.check(model, report_all=report_all)
    from oms_gate.cli.render import progress_bar

    with progress_bar(model.url) as on_progress:
        return gate.check(model, report_all=report_all, on_progress=on_progress)


def _with_signer(config: GateConfig, options: SignerOptions, model: Reference) -> GateConfig:
    """The configuration with the signers of the options instead of its own publishers."""
    if not options:
        return config
    trust: dict[str, Any] = {"public_good": False}
    signers: list[dict[str, Any]] = []
    if options.public_key is not None:
        trust["keys"] = {_NAME: options.public_key}
        signers.append({"method": "key", "key": _NAME})
    if options.certificate_root is not None:
        if options.issuer is not None:
            raise UsageError("--issuer belongs to Sigstore, --certificate-root to certificates")
        trust["certificates"] = {_NAME: options.certificate_root}
        who = {"identity": options.identity} if options.identity else {"any_identity": True}
        signers.append({"method": "certificate", "root": _NAME, **who})
    elif options.identity is not None or options.issuer is not None:
        if options.identity is None or options.issuer is None:
            raise UsageError(
                "--identity and --issuer belong together: an identity is worth what its issuer is"
            )
        who = {"identity": options.identity, "issuer": options.issuer}
        if options.trusted_root is not None:
            trust["sigstore"] = {_NAME: options.trusted_root}
            who["root"] = _NAME
        else:
            trust["public_good"] = True
        signers.append({"method": "sigstore", **who})
    if options.trusted_root is not None and "sigstore" not in trust:
        raise UsageError("--trusted-root needs --identity and --issuer")
    anything = "/**" if model.scheme == "file" else f"{model.scheme}://**"
    publisher = {"name": _NAME, "models": [anything], "signers": signers}
    return revised(config, trust=trust, publishers=[publisher])


def _with_policy(config: GateConfig, policy: str | None) -> GateConfig:
    if policy is None:
        return config
    if policy.startswith(("http://", "https://")):
        return revised(config, policy={"server": {"url": policy}})
    return revised(config, policy={"rego": policy})
