"""Publisher rules as configuration: strict, and nothing that would silently never match."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oms_gate.policy.engine import Engine
from oms_gate.policy.publishers import Publisher
from oms_gate.policy.rules import data_document
from tests.policy.samples import ISSUER, document, sigstore

SIGSTORE = {"method": "sigstore", "identity": "a@b", "issuer": ISSUER}
CERTIFICATE = {"method": "certificate", "root": "ca", "identity": "CN=x"}
KEY = {"method": "key", "key": "release"}
RULE: dict[str, Any] = {"name": "Example", "models": ["example/*"], "signers": [KEY]}


def publisher(**changes: Any) -> Publisher:
    return Publisher.model_validate({**RULE, **changes})


def test_the_data_document_holds_every_default() -> None:
    rule = publisher(
        models=["example/*", "/srv/models", "s3://bucket/x"],
        signers=[SIGSTORE, CERTIFICATE, KEY],
        allow_unsigned=["docs/**"],
        assurance="bytes",
    )
    assert data_document([rule, publisher()]) == {
        "oms_gate": {
            "publishers": [
                {
                    "name": "Example",
                    "models": ["hf://example/*", "file:///srv/models", "s3://bucket/x"],
                    "signers": [
                        {**SIGSTORE, "root": "public-good"},
                        {**CERTIFICATE, "allow_expired": False},
                        KEY,
                    ],
                    "allow_unsigned": ["docs/**"],
                    "allow_ignored": [],
                    "allow_formats": [],
                    "assurance": "bytes",
                },
                {
                    "name": "Example",
                    "models": ["hf://example/*"],
                    "signers": [KEY],
                    "allow_unsigned": [],
                    "allow_ignored": [],
                    "allow_formats": [],
                },
            ],
            "requirements": [],
            "exceptions": [],
        }
    }


def test_rules_are_frozen() -> None:
    with pytest.raises(ValidationError):
        publisher().name = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    "glob",
    [
        "org/*",
        "org/model",
        "hf://**",
        "hf://datasets/org/*",
        "s3://b",
        "s3://b/a@1/*",
        "/x",
        "/x/**",
    ],
)
def test_models_that_can_be_matched(glob: str) -> None:
    assert publisher(models=[glob]).models


@pytest.mark.parametrize(
    "glob",
    ["", "*", "**", "org", "*/*", "./x", "../x", "org/", "org//x", "org/../x", "hf://", "hf:///x",
     "file://x", "file:///", "hf://org/m@main", "h*://x", "HF://org/x", "org/?", "org/[a]",
     "org/{a,b}", "org\\x/*", " org/*", "org/*\n", "org/\u202e", "://x"],
)  # fmt: skip
def test_models_that_cannot(glob: str) -> None:
    with pytest.raises(ValidationError):
        publisher(models=[glob])


@pytest.mark.parametrize("glob", ["a.log", "**", "docs/**", "*.md", "a b/c"])
def test_paths_that_can_be_matched(glob: str) -> None:
    assert publisher(allow_unsigned=[glob], allow_ignored=[glob])


@pytest.mark.parametrize(
    "glob", ["", "/a", "a/", "./a", "a//b", "../a", "a?", "[a]", "{a}", "a\\b"]
)
@pytest.mark.parametrize("member", ["allow_unsigned", "allow_ignored"])
def test_paths_that_cannot(member: str, glob: str) -> None:
    with pytest.raises(ValidationError):
        publisher(**{member: [glob]})


@pytest.mark.parametrize(
    "signer",
    [
        {**SIGSTORE, "root": "staging"},
        {"method": "sigstore", "identity_pattern": "a", "issuer": ISSUER},
        {"method": "certificate", "root": "ca", "identity_pattern": "a"},
        {"method": "certificate", "root": "ca", "any_identity": True},
    ],
)
def test_signers(signer: dict[str, Any]) -> None:
    assert publisher(signers=[signer]).signers[0].method == signer["method"]


@pytest.mark.parametrize(
    "signer",
    [
        {},
        {"method": "pgp", "key": "x"},
        {"identity": "a@b", "issuer": ISSUER},
        {**KEY, "identity": "a@b"},
        {**KEY, "key": ""},
        {**KEY, "key": 5},
        {"method": "key"},
        {**SIGSTORE, "identity_pattern": "a"},
        {**SIGSTORE, "any_identity": True},
        {**SIGSTORE, "identity": "a@b\n"},
        {**SIGSTORE, "identity": ""},
        {**SIGSTORE, "identity": None},
        {**SIGSTORE, "issuer": None},
        {"method": "sigstore", "identity": "a@b"},
        {"method": "sigstore", "issuer": ISSUER},
        {**CERTIFICATE, "identity_pattern": "a"},
        {**CERTIFICATE, "any_identity": True},
        {"method": "certificate", "root": "ca", "any_identity": False},
        {"method": "certificate", "root": "ca"},
        {"method": "certificate", "identity": "CN=x"},
    ],
)
def test_signers_that_are_refused(signer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        publisher(signers=[signer])


@pytest.mark.parametrize(
    "signer", [{}, {"method": "pgp"}, {"method": 5}, {"method": None}, {"methods": "key"}, "key", 5]
)
def test_methods_that_are_refused(signer: object) -> None:
    with pytest.raises(ValidationError) as caught:
        publisher(signers=[KEY, signer])
    (mistake,) = caught.value.errors()
    assert mistake["msg"] == "'method' must be sigstore, certificate, key or first-use"
    assert mistake["loc"] == ("signers", 1)


def test_signers_that_are_made_already() -> None:
    signers = publisher(signers=[SIGSTORE, CERTIFICATE, KEY]).signers
    assert publisher(signers=signers).signers == signers


@pytest.mark.parametrize(
    "issuer",
    [ISSUER, f"{ISSUER}/oauth2", "https://localhost:5556/auth", "http://dex.internal:5556"],
)
def test_issuers(issuer: str) -> None:
    assert publisher(signers=[{**SIGSTORE, "issuer": issuer}])


@pytest.mark.parametrize(
    "issuer",
    ["accounts.google.com", "google", "https://", "https:///x", "ftp://issuer.example", "HTTPS://x",
     "https://a b", "https://*", "https://x?y", "https://x#y", "//issuer.example"],
)  # fmt: skip
def test_issuers_that_can_never_match(issuer: str) -> None:
    with pytest.raises(ValidationError, match="can be no issuer: write the URL"):
        publisher(signers=[{**SIGSTORE, "issuer": issuer}])


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"models": []}, {"signers": []}, {"assurance": "most"}, {"model": ["x/*"]}],
)
def test_rules_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        publisher(**changes)


GOOD_PATTERNS = [
    "", r".*@example\.com", "a|b", "(a|b)c", "(?:a|b)", "(?i:a)", "[a-z]+", "[^@]+@x", r"\d{2}",
    r"a{1,3}", "a*?", r"[\w.-]+", r"https://github\.com/org/[^/]+/\.github/workflows/x\.yml@refs/tags/v\d+",
    "^a$", "CN=.*,O=Example", r"\bx\b", "[]a]", r"\[\]", "é+", r"a\-b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", GOOD_PATTERNS[1:])
def test_patterns_that_can_be_used(pattern: str) -> None:
    assert publisher(signers=[{**SIGSTORE, "identity": None, "identity_pattern": pattern}])


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)|(b", "[", "a{", "*", "(?=a)", "(?!a)b", "(?<=a)b", "(?P<n>a)", "(?i)a", r"(a)\1",
     r"a\Z", r"\Aa", r"\Qa", r"a\z", "a*+", "a++", "a**", r"\x41", r"\pL", "[[:alpha:]]", "[a--b]",
     "[a&&b]", "a\\", "a{1000}", "(?>a)", "(?#x)", "a{2}{3}", r"\é", "[z-a]", ""],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        publisher(signers=[{**SIGSTORE, "identity": None, "identity_pattern": pattern}])


# Each pattern that the configuration accepts must be one for the engines as well.
PUBLISHERS = [
    {
        "name": "All of them",
        "models": ["example/*"],
        "signers": [
            {"method": "sigstore", "identity_pattern": f"{number}:|{pattern}", "issuer": ISSUER}
        ],
    }
    for number, pattern in enumerate(GOOD_PATTERNS)
]


def test_engines_understand_them(engine: Engine) -> None:
    for number in range(len(PUBLISHERS)):
        assert engine.decide(document(signer=sigstore(f"{number}:"))).allow


@given(st.from_regex(r"[a-c()|*+?.\[\]^$\\{}:idwQEz0-9&~-]{1,12}", fullmatch=True))
def test_no_pattern_crashes_the_configuration(pattern: str) -> None:
    try:
        publisher(signers=[{"method": "sigstore", "identity_pattern": pattern, "issuer": ISSUER}])
    except ValidationError as error:
        assert "identity_pattern" in str(error)
