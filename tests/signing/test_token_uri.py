"""PKCS #11 URIs are read to the letter, and never repeated with a PIN."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import ConfigError, UsageError
from oms_gate.signing.token_uri import PIN_VARIABLE, TokenUri

MODULE = "module-path=/m.so"
NAMES = ["token", "manufacturer", "serial", "model", "object", "id"]


def test_a_uri_says_which_key_and_how_to_reach_it() -> None:
    parsed = TokenUri.parse(
        "pkcs11:token=The%20Software;id=%01%FF;object=a&b;slot-id=327;type=private"
        "?module-path=/usr/lib/p%25q.so&pin-source=file:/etc/pin"
    )
    assert parsed == TokenUri(
        {"token": b"The Software", "id": b"\x01\xff", "object": b"a&b", "slot-id": b"327"},
        Path("/usr/lib/p%q.so"),
        pin_source=Path("/etc/pin"),
    )
    assert TokenUri.parse(f"PKCS11:?{MODULE}") == TokenUri({}, Path("/m.so"))


@given(
    st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=8)),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_every_value_can_be_written(
    attributes: dict[str, bytes], module: str, pin: str | None
) -> None:
    path = ";".join(f"{name}={quote(value, safe='')}" for name, value in attributes.items())
    secret = "" if pin is None else f"&pin-value={quote(pin, safe='')}"
    parsed = TokenUri.parse(f"pkcs11:{path}?module-path=/m/{quote(module)}{secret}")
    assert parsed == TokenUri(attributes, Path(f"/m/{module}"), pin_value=pin)
    assert parsed.pin() == (pin or None)


@given(st.text() | st.text("pkcs1:;?&=%/-ntoeidmulha20").map("pkcs11:{}".format))
def test_anything_else_is_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        TokenUri.parse(text)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "starts with pkcs11:"),
        ("token=a", "starts with pkcs11:"),
        ("pkcs11", "starts with pkcs11:"),
        ("pkcs11:token=a", "does not say which library"),
        ("pkcs11:token=a?", "^part 1 after"),
        ("pkcs11:token=a;?" + MODULE, "^part 2 before"),
        (f"pkcs11:?{MODULE}&", "^part 2 after"),
        (f"pkcs11:token?{MODULE}", "^part 1 before"),
        (f"pkcs11:=a?{MODULE}", "^part 1 before"),
        (f"pkcs11:object=a b?{MODULE}", "a space is %20"),
        (f"pkcs11:object=ä?{MODULE}", "percent-encoded"),
        (f"pkcs11:object=a/b?{MODULE}", "percent-encoded"),
        (f"pkcs11:object=%4?{MODULE}", "percent-encoded"),
        (f"pkcs11:?{MODULE}#id", "percent-encoded"),
        (f"pkcs11:?{MODULE}\n", "percent-encoded"),
        (f"pkcs11:object=a;object=a?{MODULE}", "object for the second time"),
        (f"pkcs11:?{MODULE}&{MODULE}", "module-path for the second time"),
        (f"pkcs11:label=a?{MODULE}", "^part 1 before .* is none of token=,"),
        (f"pkcs11:x-vendor=a?{MODULE}", "^part 1 before .* is none of"),
        ("pkcs11:?module-name=softhsm2", "^part 1 after .* is none of module-path="),
        (f"pkcs11:module-path=/m.so?{MODULE}", "^part 1 before .* is none of"),
        (f"pkcs11:type=cert?{MODULE}", "no private key"),
        (f"pkcs11:slot-id=0x1?{MODULE}", "decimal"),
        (f"pkcs11:slot-id=?{MODULE}", "decimal"),
        ("pkcs11:?module-path=lib/m.so", "absolute path, such as"),
        ("pkcs11:?module-path=", "absolute path"),
        ("pkcs11:?module-path=/m.so%00", "absolute path"),
        ("pkcs11:?module-path=/%FF", "module-path .* UTF-8"),
        (f"pkcs11:?{MODULE}&pin-source=file:pin", "pin-source .* absolute path"),
        (f"pkcs11:?{MODULE}&pin-source=file://host/pin", "pin-source .* absolute path"),
        (f"pkcs11:?{MODULE}&pin-source=|/usr/bin/pin", "pin-source .* absolute path"),
        (f"pkcs11:?{MODULE}&pin-source=", "pin-source .* absolute path"),
    ],
)
def test_other_uris_are_refused(uri: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        TokenUri.parse(uri)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "pin-value=s3cret&pin-value=s3cret",
        "pin-value=s3cret&pin-source=/pin",
        "pin-value=s3cret%FF",
        "pin-value=s3cret%",
        "pin-value:s3cret",
        "s3cret",
        "pin=s3cret",
        "pin-source=s3cret",
        "pin-value=1&s3cret=2",
    ],
)
def test_no_message_repeats_a_pin(query: str) -> None:
    with pytest.raises(UsageError) as caught:
        TokenUri.parse(f"pkcs11:?{MODULE}&{query}")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(TokenUri.parse(f"pkcs11:?{MODULE}&pin-value=s3cret"))


def test_the_environment_is_asked_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pin"
    file.touch(0o600)
    monkeypatch.setenv(PIN_VARIABLE, "from the environment")
    for content, pin in [(b" a b ", " a b "), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n")]:
        file.write_bytes(content)
        assert TokenUri.parse(f"pkcs11:?{MODULE}&pin-source={file}").pin() == pin
    file.write_bytes(b"\n")
    assert TokenUri.parse(f"pkcs11:?{MODULE}&pin-source={file}").pin() is None
    assert TokenUri.parse(f"pkcs11:?{MODULE}&pin-value=").pin() is None
    assert TokenUri.parse(f"pkcs11:?{MODULE}").pin() == "from the environment"
    monkeypatch.setenv(PIN_VARIABLE, "\udcff")
    with pytest.raises(ConfigError, match=f"{PIN_VARIABLE} does not hold text"):
        TokenUri.parse(f"pkcs11:?{MODULE}").pin()
    monkeypatch.delenv(PIN_VARIABLE)
    assert TokenUri.parse(f"pkcs11:?{MODULE}").pin() is None
