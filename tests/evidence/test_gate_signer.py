"""Who the gate is: by key, certificate, token or Sigstore, and whom checkpoints count of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from oms_gate.errors import ConfigError, SigningError
from oms_gate.evidence.audit_log import AuditLog
from oms_gate.evidence.gates import is_by
from oms_gate.evidence.signer import OwnSigner
from oms_gate.evidence_settings import AuditLogSettings, GateSigner
from oms_gate.policy.publishers import CertificateSigner, KeySigner, KnownSigner, SigstoreSigner
from oms_gate.signing.keys import generate_key, write_key_pair
from oms_gate.verdict import Signer, TrustRoot
from tests.commands import oms_gate
from tests.evidence.logs import CONTEXT, verdict_on
from tests.oms import forge
from tests.oms.forge import Party, encode
from tests.sigstore.server import SigstoreServer

NOW = datetime.now(UTC)
WINDOW: forge.Json = {"start": NOW - timedelta(1), "end": NOW + timedelta(1)}


def in_files(folder: Path, name: str, leaf: Party, ca: Party) -> GateSigner:
    """A key, its certificate and the authority's, in files."""
    key, certificate, chain = (folder / f"{name}.{end}" for end in ("key", "pem", "ca"))
    key.write_bytes(
        leaf.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    key.chmod(0o600)
    certificate.write_bytes(leaf.pem)
    chain.write_bytes(ca.pem)
    return GateSigner(key=str(key), certificate=certificate, certificate_chain=(chain,))


def log_by(signer: GateSigner, file: Path) -> None:
    settings = AuditLogSettings(file=file, sync="never", checkpoint_lines=1)
    AuditLog.from_settings(settings, OwnSigner(signer)).write(verdict_on(), CONTEXT)


def test_of_one_authority_the_gate_alone_is_the_gate(tmp_path: Path) -> None:
    """Others have certificates by it as well, and may not speak for the gate."""
    ca = forge.issue("corporate", **WINDOW)
    gate, other = (
        in_files(tmp_path, name, forge.issue_leaf(name, ca, **WINDOW), ca)
        for name in ("gate", "other")
    )
    root = tmp_path / "gate.ca"
    config = tmp_path / "gate.yaml"
    config.write_text(
        "evidence:\n"
        "  signer: {key: gate.key, certificate: gate.pem, certificate_chain: [gate.ca]}\n"
        "  audit_log: {file: audit.jsonl}\n"
    )
    identity = ["--certificate-root", root, "--identity", "CN=gate"]
    for signer, status in ((gate, 0), (other, 1)):
        file = tmp_path / "audit.jsonl"
        file.unlink(missing_ok=True)
        (tmp_path / "audit.jsonl.head").unlink(missing_ok=True)
        log_by(signer, file)
        for options in ([file, *identity], ["--config", config]):
            done = oms_gate("audit-log", "verify", *options)
            assert done.returncode == status, (signer.key, options, done.stdout, done.stderr)
            assert ("who is not the gate" in done.stdout) == bool(status)


def test_a_checkpoint_by_sigstore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SigstoreServer() as server:
        root, config = tmp_path / "trusted_root.json", tmp_path / "signing_config.json"
        root.write_bytes(encode(server.sigstore.trusted_root()))
        config.write_bytes(encode(server.signing_config([1])))
        signer = GateSigner(sigstore="private", trusted_root=root, signing_config=config)
        with pytest.raises(SigningError, match="no identity for the gate to sign by"):
            OwnSigner(signer).sign({})
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", server.identity_token("gate@example.com"))
        log_by(signer, tmp_path / "audit.jsonl")
        issuer = server.url
    for identity, status in (("gate@example.com", 0), ("other@example.com", 1)):
        expected = ["--identity", identity, "--issuer", issuer, "--trusted-root", root]
        done = oms_gate("audit-log", "verify", tmp_path / "audit.jsonl", *expected)
        assert done.returncode == status, done.stdout + done.stderr


def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    key, public, secret = (tmp_path / f"gate.{end}" for end in ("key", "pub", "secret"))
    write_key_pair(key, public, generate_key("P-384"), b"open sesame")
    secret.write_bytes(b"open sesame\n")
    secret.chmod(0o600)
    log_by(GateSigner(key=str(key), passphrase_file=secret), tmp_path / "audit.jsonl")
    done = oms_gate("audit-log", "verify", tmp_path / "audit.jsonl", "--public-key", public)
    assert done.returncode == 0, done.stdout
    with pytest.raises(ConfigError, match="is encrypted"):
        OwnSigner(GateSigner(key=str(key))).sign({})


def signed_by(method: str, identity: str, **more: object) -> Signer:
    return Signer.model_validate(
        {
            "method": method,
            "identity": identity,
            "key_sha256": "0" * 64,
            "root": TrustRoot(name="root", sha256="0" * 64),
            **more,
        }
    )


ISSUER = "https://issuer.example"
BY_SIGSTORE = SigstoreSigner(method="sigstore", identity="a", issuer=ISSUER, root="root")
BY_NAME = CertificateSigner(method="certificate", root="root", identity="gate.example")
BY_SUBJECT = CertificateSigner(method="certificate", root="root", identity="CN=gate")
CASES: list[tuple[KnownSigner, Signer, bool]] = [
    (KeySigner(method="key", key="root"), signed_by("key", "x"), True),
    (KeySigner(method="key", key="other"), signed_by("key", "x"), False),
    (KeySigner(method="key", key="root"), signed_by("certificate", "x"), False),
    (BY_SIGSTORE, signed_by("sigstore", "a", issuer=ISSUER), True),
    (BY_SIGSTORE, signed_by("sigstore", "b", issuer=ISSUER), False),
    (BY_SIGSTORE, signed_by("sigstore", "a", issuer="https://other.example"), False),
    (
        BY_SIGSTORE.model_copy(update={"root": "x"}),
        signed_by("sigstore", "a", issuer=ISSUER),
        False,
    ),
    (BY_NAME, signed_by("certificate", "gate.example", subject="CN=x"), True),
    (BY_NAME, signed_by("certificate", "x", subject="CN=gate.example"), False),
    (BY_NAME, signed_by("certificate", "gate.example", subject="gate.example"), False),
    (BY_NAME, signed_by("certificate", "gate.example", expired_at=NOW, subject="CN=x"), False),
    (
        BY_NAME.model_copy(update={"allow_expired": True}),
        signed_by("certificate", "gate.example", expired_at=NOW, subject="CN=x"),
        True,
    ),
    (BY_SUBJECT, signed_by("certificate", "CN=gate", subject="CN=gate"), True),
    # An alternative name that reads like a subject.
    (BY_SUBJECT, signed_by("certificate", "CN=gate", subject="CN=x"), False),
    (
        CertificateSigner(method="certificate", root="root", any_identity=True),
        signed_by("certificate", "x"),
        True,
    ),
    (
        CertificateSigner(method="certificate", root="other", any_identity=True),
        signed_by("certificate", "x"),
        False,
    ),
    # A pattern is for engines to match.
    (
        CertificateSigner(method="certificate", root="root", identity_pattern=".*"),
        signed_by("certificate", "x"),
        False,
    ),
]


@pytest.mark.parametrize(("known", "signer", "named"), CASES)
def test_who_is_meant(known: KnownSigner, signer: Signer, named: bool) -> None:
    assert is_by(known, signer) is named
