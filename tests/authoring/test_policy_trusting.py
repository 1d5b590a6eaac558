"""The smallest change, of what cannot be made a whole model of here: asked of the engine itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from oms_gate.authoring.trusting import Advice, advise
from oms_gate.config import GateConfig, open_engine
from oms_gate.reason_codes import ReasonCode
from tests.policy.samples import certificate, document, key, sigstore

CA: dict[str, Any] = {"certificates": {"ca": "ca.pem"}, "keys": {"release": "release.pub"}}
NAME = "hf://example/model"
BY_KEY = {"method": "key", "key": "release"}


def advised(made: Mapping[str, Any], **sections: Any) -> tuple[Advice, dict[str, Any]]:
    """The advice on a document, and what it says as YAML."""
    config = GateConfig.model_validate({"trust": CA, **sections})

    def decide(other: GateConfig) -> Any:
        with closing(open_engine(other)) as engine:
            return engine.decide(made)

    decision = decide(config)
    assert decision.deny
    advice = advise(config, made, decision, decide)
    return advice, yaml.safe_load(advice.change.to_yaml(config)) or {}


def test_a_certificate_that_has_expired_since() -> None:
    subject = "CN=Release,O=Example"
    signer = certificate(subject, subject, expired_at=datetime(2026, 1, 2, tzinfo=UTC))
    named = {"method": "certificate", "root": "ca", "identity": subject}
    rule = {"name": "E", "models": ["example/*"], "signers": [named]}
    advice, said = advised(document(signer=signer), publishers=[rule])
    assert advice.remaining == ()
    alone = {"name": NAME, "models": [NAME], "signers": [{**named, "allow_expired": True}]}
    assert said == {"publishers": [alone]}
    # One that has not is given no more than it needs.
    valid = certificate("ann@example.com")
    advice, said = advised(document(signer=valid), publishers=[rule])
    assert said["publishers"][0]["signers"] == [{**named, "identity": "ann@example.com"}]


def test_an_identity_that_no_rule_can_name_exactly() -> None:
    """What holds an "=" is compared with subjects; this name is none."""
    advice, said = advised(document(signer=certificate("a=b@example.com")))
    assert said == {}
    assert [reason.code for reason in advice.remaining] == [ReasonCode.PUBLISHER_UNKNOWN]


def test_paths_that_no_glob_can_name_are_left() -> None:
    rule = {"name": "E", "models": ["example/*"], "signers": [BY_KEY]}
    made = document(signer=key(), unsigned=(("a.py", 1), ("b[0].py", 1)))
    advice, said = advised(made, publishers=[rule])
    assert said == {}
    assert {reason.path for reason in advice.remaining} == {"a.py", "b[0].py"}


def test_the_rule_that_trusts_is_the_one_that_allows() -> None:
    """A rule that is more about the model, and does not name its signer, allows it nothing."""
    rules = [
        {"name": "Wide", "models": ["example/**"], "signers": [BY_KEY]},
        {
            "name": "Narrow",
            "models": ["example/model"],
            "signers": [{"method": "certificate", "root": "ca", "identity": "x"}],
        },
    ]
    advice, said = advised(document(signer=key(), unsigned=(("a.py", 1),)), publishers=rules)
    assert advice.remaining == ()
    assert said == {"publishers": [{"name": "Wide", "allow_unsigned": ["a.py"]}]}
    shown = advice.change.to_yaml(GateConfig.model_validate({"trust": CA, "publishers": rules}))
    assert "# it counts for all that the rule is about: ['hf://example/**']" in shown


def test_a_rule_about_the_model_alone_is_added_to() -> None:
    rules = [
        {"name": "Wide", "models": ["example/**"], "signers": [{"method": "first-use"}]},
        {"name": "Alone", "models": ["example/model"], "signers": [BY_KEY]},
    ]
    advice, said = advised(
        document(signer=key(), unsigned=(("a.py", 1),)),
        publishers=rules,
        history={"file": "unused.db"},
    )
    assert advice.remaining == ()
    assert said == {"publishers": [{"name": "Alone", "allow_unsigned": ["a.py"]}]}


def test_an_older_release_is_approved_by_itself() -> None:
    """An exception would let every older release pass while it lasts."""
    newer = {"revision": "2", "root_digest": "ab", "signed_at": None, "seen_at": 2.0}
    signer = key()
    history = {
        "first_seen": 1.0,
        "pinned": [signer.model_dump(mode="json")],
        "signer_pinned": True,
        "newer": newer,
    }
    rule = {"name": "E", "models": ["example/*"], "signers": [BY_KEY]}
    made = {**document(signer=signer), "history": history}
    advice, said = advised(made, publishers=[rule], history={"file": "unused.db"})
    assert said == {}
    assert [reason.code for reason in advice.remaining] == [ReasonCode.HISTORY_ROLLBACK]


def test_a_new_rule_has_all_that_is_needed() -> None:
    made = document(unsigned=(("a.py", 1),), ignored=(("c.py", 1, "signer"),))
    advice, said = advised(made)
    assert advice.remaining == ()
    (rule,) = said["publishers"]
    assert (rule["name"], rule["models"]) == (NAME, [NAME])
    assert (rule["allow_unsigned"], rule["allow_ignored"]) == (["a.py"], ["c.py"])
    assert len(rule["signers"]) == 1


def test_an_exception_that_has_ended_is_followed_by_another() -> None:
    ended = {
        "owner": "ann",
        "reason": "soon",
        "expires": date(2026, 8, 1),
        "models": ["example/*"],
        "codes": ["coverage.missing"],
    }
    signer = {
        "method": "sigstore",
        "identity": "release@example.com",
        "issuer": "https://issuer.example",
    }
    rule = {"name": "E", "models": ["example/*"], "signers": [signer]}
    made = document(missing=("gone.bin",))
    advice, said = advised(made, publishers=[rule], exceptions=[ended])
    assert advice.remaining == ()
    (exception,) = said["exceptions"]
    assert exception == {
        "owner": None,
        "reason": None,
        "expires": None,
        "models": [NAME],
        "codes": ["coverage.missing"],
        "paths": ["gone.bin"],
    }


def test_one_exception_is_about_all_files_of_a_code() -> None:
    """Whoever fills it in answers once; what is about no file is not mixed with what is."""
    rule = {"name": "E", "models": ["example/*"], "signers": [BY_KEY]}
    made = document(signer=key(), missing=("a.bin", "b.bin"))
    requirement = {"name": "fast", "hash_types": ["blake3"]}
    advice, said = advised(made, publishers=[rule], requirements=[requirement])
    assert advice.remaining == ()
    found = {one["codes"][0]: one.get("paths") for one in said["exceptions"]}
    assert found == {"coverage.missing": ["a.bin", "b.bin"], "requirement.hash-type": None}


def test_what_no_exception_may_be_about_remains() -> None:
    """The signer that is pinned to a model is for people to approve."""
    history = {
        "first_seen": 1.0,
        "pinned": [key().model_dump(mode="json")],
        "signer_pinned": False,
        "newer": None,
    }
    made = {**document(), "history": history}
    signer = {
        "method": "sigstore",
        "identity": "release@example.com",
        "issuer": "https://issuer.example",
    }
    rule = {"name": "E", "models": ["example/*"], "signers": [signer]}
    advice, said = advised(
        made,
        publishers=[rule],
        requirements=[{"name": "same", "same_signer": True}],
        history={"file": "unused.db"},
    )
    assert said == {}
    assert [reason.code for reason in advice.remaining] == [ReasonCode.HISTORY_SIGNER_CHANGED]


def test_rules_that_a_policy_has_of_its_own_are_not_changed(tmp_path: Path, folder: Path) -> None:
    (folder / "data.json").write_text(
        '{"own": {"largest_bytes": 9e99}, "oms_gate": {"publishers": [{"name": "E", "models": '
        '["hf://other/*"], "signers": [{"method": "key", "key": "release"}]}], '
        '"requirements": [], "exceptions": []}}'
    )
    advice, said = advised(document(signer=sigstore()), policy={"rego": folder})
    assert said == {}
    assert ReasonCode.PUBLISHER_UNKNOWN in {reason.code for reason in advice.remaining}
