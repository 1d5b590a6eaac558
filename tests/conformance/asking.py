"""Questions to the adapter, as conformance suites put them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.conformance.__main__ import main
from tests.interop.clients import Signer
from tests.oms.forge import Json

REFUSED, MISUSED = 1, 2
"""Exit statuses, besides 0."""


def ask(*arguments: object) -> int:
    """The exit status for these arguments."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)


def verify(model: Path, bundle: Path, *options: object) -> int:
    """Ask for a verification."""
    return ask("verify-model", *options, "--model-path", model, "--bundle", bundle)


def sign(model: Path, bundle: Path, signer: Signer, *options: object) -> int:
    """Ask for a signature in a signer's own way."""
    key = ("--private-key", signer.file("key"))
    certificates = (
        "--signing-cert",
        signer.file("signer"),
        "--cert-chain",
        signer.file("intermediate"),
    )
    return ask(
        "sign-model", "--method", signer.method, "--model-path", model, "--output-bundle", bundle,
        *key, *(certificates if signer.method == "certificate" else ()), *options,
    )  # fmt: skip


def trusting(signer: Signer) -> tuple[object, ...]:
    """The options that name this signer to a verification."""
    if signer.method == "key":
        return ("--method", "key", "--public-key", signer.file("public"))
    return ("--method", "certificate", "--cert-chain", signer.file("root"))


def statement_in(bundle: Path) -> Json:
    """What a bundle states."""
    envelope = json.loads(bundle.read_bytes())["dsseEnvelope"]
    found: Json = json.loads(base64.b64decode(envelope["payload"]))
    return found
