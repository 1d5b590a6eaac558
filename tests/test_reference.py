"""Model references, as users and HfFileSystem write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import UsageError
from oms_gate.reference import Reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://org/name", Reference("hf", "org/name")),
        ("hf://gpt2", Reference("hf", "gpt2")),
        ("hf://gpt2@v1", Reference("hf", "gpt2", "", "v1")),
        ("hf://org/name@main", Reference("hf", "org/name", "", "main")),
        ("hf://org/name@v1.0/sub/folder", Reference("hf", "org/name", "sub/folder", "v1.0")),
        ("hf://org/name/sub", Reference("hf", "org/name", "sub")),
        ("hf://org/name@a%2Fb/sub", Reference("hf", "org/name", "sub", "a/b")),
        ("hf://org/name@refs/pr/7/sub", Reference("hf", "org/name", "sub", "refs/pr/7")),
        (
            "hf://org/name@refs/convert/parquet",
            Reference("hf", "org/name", "", "refs/convert/parquet"),
        ),
        ("hf://datasets/org/name@main", Reference("hf", "datasets/org/name", "", "main")),
        ("hf://spaces/org/name/app", Reference("hf", "spaces/org/name", "app")),
        ("s3://bucket/prefix/", Reference("s3", "bucket/prefix")),
        ("s3://bucket", Reference("s3", "bucket")),
        ("https://host:8443/m/x.gguf", Reference("https", "host:8443/m/x.gguf")),
        ("memory://m", Reference("memory", "m")),
        ("/models/x/", Reference("file", "/models/x")),
        ("file:///models/x", Reference("file", "/models/x")),
        ("local:///models/x", Reference("file", "/models/x")),
    ],
)
def test_parses(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert Reference.parse(expected.url) == expected


def test_a_relative_path_is_local() -> None:
    assert Reference.parse("model") == Reference("file", os.path.abspath("model"))
    assert Reference.parse("file:///models/../x") == Reference("file", "/x")
    for scheme in ("file", "local"):
        parsed = Reference.parse(f"{scheme}://model")
        assert parsed == Reference("file", os.path.abspath("model"))
        assert parsed.is_local
    assert not Reference.parse("memory://model").is_local


def test_a_path_at_home(home: Path) -> None:
    assert Reference.parse("~/model") == Reference("file", str(home / "model"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf://",
        "hf://org/../other",
        "hf://org/name@",
        "hf://org/name@../x",
        "hf://o rg/name",
        "hf://-org/name",
        "hf://org/na..me",
        "s3://",
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://bucket/x?versionId=1",
        "s3://bucket/x#1",
        "hf://org/name@a%0Ab",
        "hf://org/name@a%5Cb",
        "https://user:secret@host/x",
        "simplecache::s3://bucket/x",
        "s3://bucket/a\nb",
        "s3://bucket\\x",
        "hf://a/b@\udcff",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://b.s3.amazonaws.com/m?X-Amz-Signature=SECRET",
        "https://user:SECRET@host/x?y",
        "hf://user:SECRET@host/x",
        "ftp://user:SECRET@host/x",
        "s3://key:SECRET@bucket/x",
        "s3://key:SECRET@bucket::x/y",
    ],
)
def test_a_secret_is_neither_taken_nor_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert "SECRET" not in str(caught.value)


def test_no_two_models_have_one_name() -> None:
    """A folder of a repository without an owner reads like a repository with one."""
    for text in ("hf://acme@main/m", "hf://datasets@main/x"):
        with pytest.raises(UsageError):
            Reference.parse(text)


def test_a_page_of_the_hub_is_not_its_repository() -> None:
    with pytest.raises(UsageError, match="write hf://org/name"):
        Reference.parse("https://huggingface.co/org/name/tree/main")


def test_the_name_has_no_revision() -> None:
    assert Reference.parse("hf://org/name@main/sub").name == "hf://org/name/sub"


def test_the_file_beside() -> None:
    assert Reference.parse("hf://o/n@r/x.gguf").with_suffix(".sig").url == "hf://o/n@r/x.gguf.sig"
    assert Reference.parse("s3://b/x.gguf").with_suffix(".sig").url == "s3://b/x.gguf.sig"


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    for candidate in (text, "hf://" + text, "s3://" + text):
        try:
            reference = Reference.parse(candidate)
        except UsageError:
            continue
        assert Reference.parse(reference.url) == reference
        assert ".." not in reference.name.split("/")
