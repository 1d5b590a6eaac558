"""Verdicts to report on: sound ones, hostile ones, and any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from oms_gate.reason_codes import ReasonCode
from oms_gate.report.reading import Place, Record
from oms_gate.verdict import (
    Assurance,
    Attestation,
    Coverage,
    FileFact,
    IgnoredFile,
    Model,
    PolicyUsed,
    Reason,
    Signature,
    SignatureTime,
    Signer,
    TrustRoot,
    Verdict,
)

NOW: Final = datetime(2026, 9, 15, 12, tzinfo=UTC)
EVIL: Final = (
    "<script>document.title='evil'</script>",
    '"><img src=x onerror="alert(1)">',
    "</style></title></svg>{{ 7 * 7 }}",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    " -2+3",
    "'=1",
    "\uff1d1+1",
    "a|b`c``d`",
    "[x](javascript:alert(1)) ![y](http://evil.example)",
    "\u202etsrif\n# heading\r\n| row |",
    "&lt;b&gt; \\| ~~x~~ <!-- ",
)


def reason(
    code: ReasonCode = ReasonCode.SIGNATURE_MISSING, text: str = "no", **more: Any
) -> Reason:
    """A finding."""
    return Reason(code=code, message=text, **more)


def signer(identity: str = "release@example.com", **more: Any) -> Signer:
    """Somebody who signed."""
    given: dict[str, Any] = {
        "method": "sigstore",
        "issuer": "https://issuer.example.com",
        "chain": (f"CN={identity}", "CN=root"),
        "key_sha256": "0" * 64,
        "root": TrustRoot(name="public-good", sha256="1" * 64),
    }
    return Signer(identity=identity, **{**given, **more})


def verdict(name: str = "hf://acme/m", *reasons: Reason, **more: Any) -> Verdict:
    """A verdict on a model, a denial if there are reasons."""
    given: dict[str, Any] = {
        "outcome": "denied" if reasons else "admitted",
        "undecided": bool(reasons) and all(each.code.undecided for each in reasons),
        "model": Model(url=f"{name}@1", name=name, revision="1"),
        "reasons": reasons,
        "checked_at": NOW,
        "gate_version": "0.1.0",
    }
    return Verdict(**{**given, **more})


def record(found: Verdict, time: datetime = NOW, line: int = 1, **more: Any) -> Record:
    """The same, as it was recorded."""
    return Record(time, found, Place("audit.jsonl", line, line - 1, f"{line:064x}"), **more)


def full(text: str, files: int = 1) -> Verdict:
    """A denial with all that a verdict can have, named by one who means harm."""
    facts = [FileFact(path=f"{text}{number}", size=1, kind="code") for number in range(files)]
    return verdict(
        text,
        *(reason(ReasonCode.COVERAGE_UNSIGNED, text, path=each.path, line=3) for each in facts),
        reason(ReasonCode.POLICY_DENIED, text, policy_code=text),
        mode="annotate",
        assurance=Assurance.SIGNATURE,
        model=Model(url=text, name=text, revision=text),
        warnings=(reason(ReasonCode.REQUIREMENT_LOG, text),),
        signer=signer(text, claims={"run": text}, issuer=text, expired_at=NOW),
        signature=Signature(
            location=text,
            sha256="2" * 64,
            root_digest="3" * 64,
            serialization="files",
            hash_type="sha256",
            times=(SignatureTime(source="transparency-log", time=NOW),),
            log_index=0,
        ),
        coverage=Coverage(
            signed=1,
            signed_bytes=5,
            measured_bytes=5,
            missing=tuple(each.path for each in facts),
            unsigned=tuple(facts),
            ignored=tuple(
                IgnoredFile(path=each.path, size=1, kind="code", scope="signer") for each in facts
            ),
        ),
        attestations=(
            Attestation(
                name=text,
                path=text,
                sha256="4" * 64,
                predicate_type=text,
                signer=signer(text),
                model=True,
            ),
        ),
        annotations={text: text},
        policy=PolicyUsed(engine="wasm", revision=text, decision_id=text),
    )


TEXTS = st.sampled_from(EVIL) | st.text(max_size=12)
TIMES = st.datetimes(timezones=st.just(UTC)) | st.integers(0, 90).map(
    lambda days: NOW - timedelta(days=days)
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any verdict, as it was recorded at any time."""
    text = draw(TEXTS.filter(bool))
    found = draw(
        st.sampled_from(
            [
                full(text, draw(st.integers(0, 3))),
                verdict(text, signer=draw(st.none() | st.just(signer(text)))),
                verdict(text, reason(draw(st.sampled_from(ReasonCode)), draw(TEXTS))),
            ]
        )
    )
    context = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
    operation = draw(st.sampled_from([None, "verify", "pull"]))
    return record(found, draw(TIMES), draw(st.integers(1, 9)), operation=operation, context=context)
