"""``python -m benchmarks.verification``: one bundle of a thousand files, verified again and again.

Reading and verifying alone, without hashing a model: by the gate and, in turns in the same process,
by the reference implementation (``model-signing``). A private Sigstore is made on the spot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import Spread, Table, over
from oms_gate.limits import Limits
from oms_gate.oms.trust import Trust
from oms_gate.oms.verify import verify
from tests.oms import forge
from tests.sigstore.authority import IDENTITY, ISSUER
from tests.sigstore.instance import Sigstore, signing_config

NOW = datetime.now(UTC).replace(microsecond=0)
NOWHERE = "http://127.0.0.1:9"


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="benchmarks.verification", description=__doc__)
    parser.add_argument("--files", type=int, default=1000, help="entries of the manifest")
    parser.add_argument("--rounds", type=int, default=50, help="measurements of each")
    options = parser.parse_args()
    print(f"a bundle with {options.files} files, {options.rounds} times, in milliseconds:\n")
    print(compare(options.files, options.rounds).markdown(), end="")


def compare(files: int, rounds: int) -> Table:
    """Both, by signing method."""
    content = {f"part-{n % 10}/model-{n:05}.safetensors": b"%d" % n for n in range(files)}
    payload = forge.encode(forge.statement(content))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for method, (ours, theirs) in _cases(payload, Path(folder)).items():
            own, other = _measure(ours, theirs, rounds)
            ratio = Spread.of(over(own, other)).text(2)
            rows.append([method, *(Spread.of(each).text(1) for each in (own, other)), ratio])
    return Table(("method", "oms-gate ms", "reference ms", "oms-gate, of that"), rows)


def _measure(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """The times of both in milliseconds, taken in turns; imports do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for took, run in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            run()
            if turn:
                took.append(1000 * (time.perf_counter() - start))
    return times


def _cases(
    payload: bytes, folder: Path
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """For each method the verification of one bundle by both."""
    from model_signing._signing import sign_certificate, sign_ec_key, sign_sigstore
    from model_signing._signing.sign_sigstore_pb import Signature

    window: forge.Json = {"start": NOW - timedelta(days=1), "end": NOW + timedelta(days=1)}
    root = forge.issue("root", **window)
    leaf = forge.issue_leaf("leaf", root, more=[forge.CODE_SIGNING], **window)
    sigstore = Sigstore()
    trust_config = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": sigstore.trusted_root(),
        "signingConfig": signing_config(
            fulcio=NOWHERE, rekor={1: NOWHERE}, tsa=NOWHERE, oidc=NOWHERE
        ),
    }

    def kept(name: str, content: bytes) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    def case(
        name: str, bundle: forge.Json, trust: Trust, reference: Any, read: Callable[[Path], Any]
    ) -> tuple[Callable[[], object], Callable[[], object]]:
        path = kept(name, forge.encode(bundle))
        return (
            lambda: verify(path.read_bytes(), trust, at=NOW, limits=Limits()),
            lambda: reference.verify(read(path)),
        )

    return {
        "key": case(
            "key.sig",
            forge.key_bundle(payload),
            forge.trusting(),
            sign_ec_key.Verifier(kept("key.pub", forge.public_pem(forge.key()))),
            Signature.read,
        ),
        "certificate": case(
            "certificate.sig",
            forge.certificate_bundle(payload, leaf, root),
            forge.anchored(root),
            sign_certificate.Verifier([kept("root.pem", root.pem)]),
            Signature.read,
        ),
        "Sigstore": case(
            "sigstore.sig",
            sigstore.sign(payload, at=NOW, claims={1: ISSUER, 8: ISSUER}),
            Trust(sigstore={"private": sigstore.root()}),
            sign_sigstore.Verifier(
                identity=IDENTITY,
                oidc_issuer=ISSUER,
                trust_config=kept("trust.json", json.dumps(trust_config).encode()),
            ),
            sign_sigstore.Signature.read,
        ),
    }


if __name__ == "__main__":
    main()
