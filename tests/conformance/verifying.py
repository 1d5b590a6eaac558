"""``verify-model``: is this model what was signed, no file more and no file less?"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from oms_gate.config import load_trust
from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.policy.decision import Decision
from oms_gate.policy.input import InputDocument
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.settings import TrustSettings
from oms_gate.verdict import Reason, printable
from tests.conformance.places import inside

_STAGING = "https://tuf-repo-cdn.sigstage.dev"


@contextmanager
def verifying(options: Namespace) -> Iterator[Callable[[], None]]:
    """A verification as the options describe it, ready to be run.

    It raises `AdmissionDenied`.

    Raises:
        UsageError: options are missing.
        ConfigError: a key, certificate or trust root cannot be used.
    """
    if options.bundle is None:
        raise UsageError("--bundle is missing")
    model = Reference("file", os.path.abspath(options.model_path))
    gate = Gate(
        trust=load_trust(_trust(options)),
        policy=Exactly(
            # Neither is a part of the model that somebody could have signed.
            outside=tuple(inside(options.model_path, [options.bundle, *options.ignore_paths])),
            unsigned=options.ignore_unsigned_files,
            identity=options.identity,
            issuer=options.identity_provider,
        ),
        signature=f"file://{os.path.abspath(options.bundle)}",
    )

    def verify() -> None:
        verdict = gate.check(model)
        if not verdict.admitted:
            raise AdmissionDenied(verdict)

    with gate:
        yield verify


@dataclass(frozen=True)
class Exactly:
    """The policy that asks nothing but the specification's questions (see `Engine`).

    Every signed file is there. Every other one is left out by the signer, by the format, or by
    the verifier, however harmless it is. What the verifier ignores may go unsigned; a file that
    is signed is verified all the same.

    outside: what the verifier ignores: paths in the model, a folder with all below it.
    unsigned: whether it ignores all that is not signed.
    identity, issuer: of whom a Sigstore certificate must be.
    """

    outside: Collection[str]
    unsigned: bool
    identity: str | None
    issuer: str | None

    kind: Literal["wasm", "server"] = "wasm"  # that is, in this process
    revision: str = "conformance"

    def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on one model."""
        asked = InputDocument.model_validate(document)
        deny = [
            Reason(code=ReasonCode.COVERAGE_MISSING, message=f"{path} is missing", path=path)
            for path in asked.coverage.missing
        ]
        unsigned = [
            *asked.coverage.unsigned,
            *(file for file in asked.coverage.ignored if file.scope == "cache"),
        ]
        deny += [
            Reason(
                code=ReasonCode.COVERAGE_UNSIGNED,
                message=f"{file.path} is neither signed nor ignored",
                path=file.path,
            )
            for file in unsigned
            if not self.unsigned and not self._ignores(file.path)
        ]
        wanted = (self.identity, self.issuer)
        found = (asked.signer.identity, asked.signer.issuer)
        if asked.signer.method == "sigstore" and found != wanted:
            deny.append(
                Reason(
                    code=ReasonCode.PUBLISHER_WRONG_SIGNER,
                    message=f"{found[0]} of {found[1]} has signed, not {wanted[0]} of {wanted[1]}",
                )
            )
        return Decision(allow=not deny, deny=tuple(deny))

    def close(self) -> None:
        """There is nothing to release."""

    def _ignores(self, path: str) -> bool:
        # What a policy sees is escaped.
        places = [printable(place) for place in self.outside]
        return any(place in (path, ".") or path.startswith(f"{place}/") for place in places)


def _trust(options: Namespace) -> TrustSettings:
    """What to trust, by one method alone."""
    if options.method == "sigstore":
        if options.identity is None or options.identity_provider is None:
            raise UsageError("--identity and --identity-provider are missing")
        if options.trusted_root is None and not options.use_staging:
            return TrustSettings()
        root = options.trusted_root or _staging_root()
        return TrustSettings(public_good=False, sigstore={"given": root})
    if options.identity is not None or options.identity_provider is not None:
        raise UsageError("--identity and --identity-provider belong to the method sigstore")
    if options.method == "key":
        if options.public_key is None:
            raise UsageError("--public-key is missing")
        return TrustSettings(public_good=False, keys={"given": options.public_key})
    if not options.cert_chain:
        raise UsageError("--cert-chain is missing: no certificate is trusted by itself")
    return TrustSettings(
        public_good=False,
        certificates={f"anchor {number}": path for number, path in enumerate(options.cert_chain)},
        old_format=os.environ.get("OMS_GATE_ADAPTER_ALLOW_V02") == "1",
    )


def _staging_root() -> Path:
    folder = files("sigstore._store") / quote(_STAGING, safe="")
    return Path(str(folder / "trusted_root.json"))
