"""``oms-gate demo``: a signed model is admitted, and five bad ones are not."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.markup import escape

from oms_gate.cli.render import new_console, outcome_word, print_reasons
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.limits import Limits
from oms_gate.oms.sign import payload_of, sign_with_key
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores.local import LocalStore
from oms_gate.streaming.manifest import manifest_of

_WEIGHT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Case:
    """One model of the demonstration, and the reason for which it must be denied, if one."""

    path: str
    story: str
    expected: ReasonCode | None
    spoil: Callable[[Path], None] | None = None


def run(keep: Path | None) -> int:
    """Make the models, check each, and print what came of it; 0 if all went as it must.

    Raises:
        UsageError: the folder to keep is already there.
    """
    if keep is not None and keep.exists():
        raise UsageError(f"{keep} is already there; name a new folder")
    with ExitStack() as stack:
        if keep is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oms-gate-demo-")))
        else:
            root = keep.absolute()
            try:
                root.mkdir(parents=True)
            except OSError as error:
                raise UsageError(f"{keep} cannot be made: {error.strerror}") from error
        return _show(root.resolve())


def _show(root: Path) -> int:
    console = new_console()
    acme, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (root / "acme.pub").write_bytes(
        acme.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    (root / "gate.yaml").write_text(_GATE_YAML.format(root=root))
    cases = (
        _Case("acme/tiny", "as its publisher signed it", None),
        _Case(
            "acme/unsigned",
            "without a signature",
            ReasonCode.SIGNATURE_MISSING,
            lambda model: (model / "model.sig").unlink(),
        ),
        _Case("acme/tampered", "one byte of the weights changed", ReasonCode.FILE_CHANGED, _tamper),
        _Case(
            "acme/forged",
            "signed with a stranger's key",
            ReasonCode.KEY_UNTRUSTED,
            lambda model: _sign(model, stranger),
        ),
        _Case(
            "mallory/tiny",
            "Acme's model and signature, published by somebody else",
            ReasonCode.PUBLISHER_UNKNOWN,
        ),
        _Case(
            "acme/extended",
            "code added after signing",
            ReasonCode.COVERAGE_UNSIGNED,
            lambda model: _write(
                model / "modeling_tiny.py", b"import os  # what could go wrong?\n"
            ),
        ),
    )
    original = root / "original"
    _make_model(original)
    _sign(original, acme)
    as_expected = 0
    console.print(
        f"[dim]gate.yaml trusts the key acme.pub for models below {escape(str(root))}/acme[/]\n"
    )
    with Gate.from_config(root / "gate.yaml") as gate:
        for case in cases:
            model = root / case.path
            shutil.copytree(original, model)
            if case.spoil is not None:
                case.spoil(model)
            verdict = gate.check(str(model))
            outcome = outcome_word(verdict, width=len("admitted"))
            console.print(f"{outcome}  {case.path}  [dim]({case.story})[/]")
            print_reasons(console, verdict.reasons, "   ")
            codes = {reason.code for reason in verdict.reasons}
            as_expected += codes == ({case.expected} if case.expected else set())
    shutil.rmtree(original)
    admitted = sum(case.expected is None for case in cases)
    console.print(
        f"\n{admitted} admitted, {len(cases) - admitted} denied, as it must be."
        if as_expected == len(cases)
        else "\n[bold red]This is not as it must be; please report it.[/]"
    )
    return 0 if as_expected == len(cases) else 1


def _make_model(folder: Path) -> None:
    """A model as a loader would read it: safetensors with one tensor, a config, a card."""
    header = json.dumps(
        {"weight": {"dtype": "U8", "shape": [_WEIGHT_BYTES], "data_offsets": [0, _WEIGHT_BYTES]}}
    ).encode()
    _write(
        folder / "model.safetensors",
        len(header).to_bytes(8, "little") + header + bytes(range(256)) * (_WEIGHT_BYTES // 256),
    )
    _write(folder / "config.json", b'{"model_type": "tiny"}\n')
    _write(folder / "README.md", b"# A tiny model\n")


def _sign(folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
    snapshot = LocalStore(Limits()).snapshot(Reference.parse(str(folder)))
    manifest = manifest_of(snapshot, ignore_paths=["model.sig"])
    _write(folder / "model.sig", sign_with_key(payload_of(manifest, folder.name), key))


def _tamper(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


_GATE_YAML = """\
trust:
  keys:
    acme: acme.pub
  public_good: false
publishers:
  - name: Acme
    models: ["file://{root}/acme/*"]
    signers:
      - method: key
        key: acme
"""
