"""Models as KServe writes them: read as KServe reads them, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import UsageError
from oms_gate.kserve import kserve_reference, kserve_uri
from oms_gate.reference import Reference


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hf://org/name", Reference("hf", "org/name")),
        ("hf://org/name:main", Reference("hf", "org/name", revision="main")),
        ("hf://org/name:v1.0+b_2-c", Reference("hf", "org/name", revision="v1.0+b_2-c")),
        (f"hf://org/name:{'0a' * 20}", Reference("hf", "org/name", revision="0a" * 20)),
        ("s3://bucket/models/x", Reference("s3", "bucket/models/x")),
        ("gs://bucket/x", Reference("gs", "bucket/x")),
        ("https://host:8443/x", Reference("https", "host:8443/x")),
        ("file:///mnt/pvc/x", Reference("file", "/mnt/pvc/x")),
    ],
)
def test_there_and_back(uri: str, expected: Reference) -> None:
    assert kserve_reference(uri) == expected
    assert kserve_uri(expected) == uri


def test_a_path_is_local() -> None:
    assert kserve_reference("/mnt/pvc/x") == Reference("file", "/mnt/pvc/x")


@pytest.mark.parametrize(
    "uri",
    [
        *("hf://", "hf://name", "hf:///name", "hf://org/", "hf://org/:main", "hf://org/name/"),
        *("hf://org/name:", "hf://org/name:a:b", "hf://org/name:a/b", "hf://org/name:a..b"),
        *("hf://org/name:..", "hf://org/name:a b", "hf://org/name:a%2Fb", "hf://org/name:a@b"),
        # To KServe it is a part of the name, and to the gate what follows is a revision.
        *("hf://org/name@main", "hf://org/name@main:v1", "hf://org/na%6De"),
        # To KServe these are models, and to the gate datasets and folders.
        *("hf://datasets/name", "hf://spaces/name:main", "hf://datasets/org/name"),
        *("hf://org/name/sub", "hf://org/name:main/sub", "hf://org/na me", "hf://org/name?x=y"),
        *("", "s3://", "s3://bucket/../x"),
    ],
)
def test_what_it_would_read_otherwise_is_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        kserve_reference(uri)


@pytest.mark.parametrize(
    "reference",
    [
        "hf://gpt2",
        "hf://datasets/org/name",
        "hf://spaces/org/name",
        "hf://org/name/sub",
        "hf://org/name@refs/pr/1",
        "hf://org/name@a%3Ab",
    ],
)
def test_what_it_has_no_word_for(reference: str) -> None:
    with pytest.raises(UsageError, match="cannot be named in KServe"):
        kserve_uri(Reference.parse(reference))


@given(st.from_regex(r"hf://[a-z/:@.]{0,12}", fullmatch=True) | st.text())
def test_any_text_is_a_model_that_can_be_written_again_or_a_usage_error(text: str) -> None:
    try:
        reference = kserve_reference(text)
    except UsageError:
        return
    if reference.scheme == "hf":
        assert kserve_uri(reference) == text
        assert Reference.parse(reference.url) == reference
