"""Models whose certificate has expired since, or that were signed before OMS v1.0, at the gate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from oms_gate.gate import Gate
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Verdict
from tests.models import write
from tests.oms import forge
from tests.oms.test_old_format import signed as signed_in_old_format
from tests.oms.test_old_format import statement as old_statement
from tests.sigstore.instance import stamp
from tests.sigstore.timestamps import TimestampAuthority

NOW = datetime.now(UTC).replace(microsecond=0)
SIGNED_AT = NOW - timedelta(days=30)
ROOT = forge.issue("root", start=NOW - timedelta(days=90), end=NOW + timedelta(days=90))
EXPIRED = forge.issue_leaf(
    "release", ROOT, start=NOW - timedelta(days=60), end=NOW - timedelta(days=10)
)
CURRENT = forge.issue_leaf("release", ROOT, start=SIGNED_AT, end=NOW + timedelta(days=10))
AUTHORITY = TimestampAuthority.make()

GATE = """
trust:
  public_good: false
  certificates: {{acme: root.pem}}
  {trust}
publishers:
  - name: Acme
    models: ["{model}"]
    signers:
      - {{method: certificate, root: acme, any_identity: true{signer}}}
"""


def checked(
    folder: Path, bundle: forge.Json | bytes, *, trust: str = "", signer: str = ""
) -> Verdict:
    model = write(folder / "model", forge.FILES)
    content = bundle if isinstance(bundle, bytes) else forge.encode(bundle)
    (model / "model.sig").write_bytes(content)
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "tsa.pem").write_bytes(AUTHORITY.root_pem)
    config = folder / "gate.yaml"
    config.write_text(GATE.format(trust=trust, model=model, signer=signer))
    with Gate.from_config(config) as gate:
        return gate.check(model)


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


TRUSTING = "timestamp_authorities: {tsa: tsa.pem}"


def test_an_expired_certificate_needs_a_timestamp_an_authority_and_a_rule(tmp_path: Path) -> None:
    bundle = forge.certificate_bundle(forge.encode(forge.statement()), EXPIRED)
    allowed = ", allow_expired: true"
    unstamped = checked(tmp_path, bundle, trust=TRUSTING, signer=allowed)
    assert codes(unstamped) == [ReasonCode.CERTIFICATE_EXPIRED]
    stamp(bundle, AUTHORITY, SIGNED_AT)
    untrusted = checked(tmp_path, bundle, signer=allowed)
    assert codes(untrusted) == [ReasonCode.CERTIFICATE_EXPIRED]
    unruled = checked(tmp_path, bundle, trust=TRUSTING)
    assert codes(unruled) == [ReasonCode.PUBLISHER_EXPIRED_SIGNER]
    verdict = checked(tmp_path, bundle, trust=TRUSTING, signer=allowed)
    assert verdict.admitted
    assert verdict.signer is not None
    assert verdict.signer.expired_at == EXPIRED.certificate.not_valid_after_utc


def test_a_certificate_in_time_needs_neither(tmp_path: Path) -> None:
    bundle = forge.certificate_bundle(forge.encode(forge.statement()), CURRENT)
    assert checked(tmp_path, bundle).admitted
    stamp(bundle, AUTHORITY, SIGNED_AT)
    verdict = checked(tmp_path, bundle, trust=TRUSTING)
    assert verdict.admitted
    assert verdict.signature is not None
    assert [time.time for time in verdict.signature.times] == [SIGNED_AT]


def test_the_format_before_oms_is_admitted_on_request_only(tmp_path: Path) -> None:
    bundle = signed_in_old_format(old_statement(), (CURRENT,))
    assert codes(checked(tmp_path, bundle)) == [ReasonCode.BUNDLE_UNSUPPORTED]
    verdict = checked(tmp_path, bundle, trust="old_format: true")
    assert verdict.admitted
    assert verdict.annotations["format"] == "v0.2"
    assert verdict.signature is not None
    assert verdict.signature.format == "v0.2"
    tampered = {**forge.FILES, "config.json": b"{ }"}
    bundle = signed_in_old_format(old_statement(tampered), (CURRENT,))
    assert ReasonCode.FILE_CHANGED in codes(checked(tmp_path, bundle, trust="old_format: true"))
