"""Keys in a token sign models; SoftHSM2 is the token."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, ObjectClass

from oms_gate.errors import ConfigError, OmsGateError, SigningError
from oms_gate.oms.manifest import Manifest, Resource
from oms_gate.oms.sign import payload_of, sign_with_certificate, sign_with_key
from oms_gate.signing.pkcs11 import TokenKey, open_token_key
from oms_gate.signing.token_uri import PIN_VARIABLE
from tests.oms import forge
from tests.peers.softhsm import PIN, SoftHSM

CURVES = ["secp256r1", "secp384r1", "secp521r1"]
MANIFEST = Manifest("files", "sha256", None, False, (), (Resource("a", "5a" * 32),))
ECDSA = ec.ECDSA(hashes.SHA256())


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHSM:
    """SoftHSM with an empty token "release"."""
    made = SoftHSM(tmp_path / "softhsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.configuration))
    made.create("release")
    return made


def signs(key: TokenKey) -> bool:
    """Whether `cryptography` accepts a signature by this key."""
    key.public_key().verify(key.sign(b"data", ECDSA), b"data", ECDSA)
    return True


def refused(uri: str, kind: type[OmsGateError], says: str) -> None:
    """Assert that the key cannot be opened; the message is one sentence without the PIN."""
    with pytest.raises(kind, match=says) as caught, open_token_key(uri):
        pass
    assert "\n" not in str(caught.value)
    assert PIN not in str(caught.value)


ROOT = forge.issue("Root CA")


def leaf_for(key: Any, **differences: Any) -> forge.Party:
    """A certificate for a key that nobody can take out of its token."""
    return forge.issue_leaf("Publisher", ROOT, private_key=key, **differences)


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_in_a_token_signs(hsm: SoftHSM, curve: str) -> None:
    hsm.generate("release", "models", b"\x01", curve)
    with open_token_key(hsm.uri(token="release", object="models")) as key:
        assert key.certificate is None
        assert key.public_key().curve.name == curve
        signed = [sign_with_key(payload_of(MANIFEST, "m"), key) for _ in range(2)]
        own: Any = key
        trust = forge.trusting(own)
    assert signed[0] != signed[1]
    for data in signed:
        assert forge.checked(data, trust).method == "key"


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_in_a_token_signs_with_its_certificate(hsm: SoftHSM, curve: str) -> None:
    hsm.generate("release", "models", b"\x01", curve)
    uri = hsm.uri(token="release", id=b"\x01")
    with open_token_key(uri) as key:
        leaf = leaf_for(key)
    hsm.store_certificate("release", leaf.certificate, b"\x01")
    with open_token_key(uri) as key:
        assert key.certificate == leaf.certificate
        data = sign_with_certificate(payload_of(MANIFEST, "m"), key, [leaf.certificate])
    assert forge.checked(data, forge.anchored(ROOT)).signer.identity == "CN=Publisher"


def test_a_certificate_shows_the_key_where_no_public_key_does(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        public_key = key.public_key()
        old, new = leaf_for(key), leaf_for(key, end=forge.NOW + timedelta(days=60))
    hsm.remove("release", ObjectClass.PUBLIC_KEY, b"\x01")
    refused(hsm.uri(object="models"), ConfigError, "shows no public half")
    for renewed in (new, old):
        hsm.store_certificate("release", renewed.certificate, b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        assert key.public_key() == public_key
        assert key.certificate == new.certificate
        assert signs(key)


def test_what_lies_beside_the_key_must_belong_to_it(hsm: SoftHSM) -> None:
    uri = hsm.uri(object="models")
    hsm.generate("release", "models", b"\x01")
    hsm.store_certificate("release", forge.issue_leaf("Somebody").certificate, b"\x02")
    with open_token_key(uri) as key:
        assert key.certificate is None
    hsm.store_certificate("release", forge.issue_leaf("Somebody").certificate, b"\x01")
    refused(uri, ConfigError, "different keys under one id")
    hsm.remove("release", ObjectClass.PUBLIC_KEY, b"\x01")
    # The token alone knows that this certificate is for another key.
    with open_token_key(uri) as key, pytest.raises(SigningError, match="with another key"):
        sign_with_key(payload_of(MANIFEST, "m"), key)


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        (b"junk", "certificate beside the key that cannot be read"),
        (
            forge.issue_leaf("RSA", private_key=forge.rsa_key(2048)).certificate,
            "not on P-256, P-384 or P-521",
        ),
    ],
    ids=["junk", "RSA"],
)
def test_other_certificates_are_refused(hsm: SoftHSM, certificate: Any, says: str) -> None:
    hsm.generate("release", "models", b"\x01")
    hsm.store_certificate("release", certificate, b"\x01")
    refused(hsm.uri(object="models"), ConfigError, says)


def test_a_public_key_is_read_as_modules_write_it(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        public_key = key.public_key()
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for written in (point, b"\x04\x41" + point):
        hsm.remove("release", ObjectClass.PUBLIC_KEY, b"\x01")
        hsm.store_public_key("release", written, b"\x01")
        with open_token_key(hsm.uri(object="models")) as key:
            assert key.public_key() == public_key
            assert signs(key)
    for wrong in (point[:-1], b"\x04\x40" + point, point[:-1] + bytes([point[-1] ^ 1])):
        hsm.remove("release", ObjectClass.PUBLIC_KEY, b"\x01")
        hsm.store_public_key("release", wrong, b"\x01")
        refused(hsm.uri(object="models"), ConfigError, "a public key that is none")


def test_exactly_one_key_is_meant(hsm: SoftHSM) -> None:
    refused(hsm.uri(), ConfigError, r"^no elliptic curve .*: none$")
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri()) as only:
        first = only.public_key()
    hsm.generate("release", "models", b"\x02")
    held = r"'models' \(id=%0[12]\), 'models' \(id=%0[12]\)$"
    refused(hsm.uri(object="models"), ConfigError, f"^more than one .*{held}")
    refused(hsm.uri(object="model"), ConfigError, f"^no elliptic curve .*{held}")
    refused(hsm.uri(object="models", id=b"\x03"), ConfigError, f"^no elliptic curve .*{held}")
    with open_token_key(hsm.uri(object="models", id=b"\x01")) as one:
        assert one.public_key() == first
    with open_token_key(hsm.uri(id=b"\x02")) as other:
        assert other.public_key() != first
        assert signs(other)


def test_keys_without_an_id_are_known_by_their_label(hsm: SoftHSM) -> None:
    for label in ("a", "b"):
        hsm.generate("release", label, b"")
    for label in ("a", "b"):
        with open_token_key(hsm.uri(object=label)) as key:
            assert signs(key)
    refused(hsm.uri(id=b""), ConfigError, r"\(id=\)")


def test_keys_that_cannot_sign_models_are_refused(hsm: SoftHSM) -> None:
    hsm.generate("release", "koblitz", b"\x01", "secp256k1")
    hsm.generate("release", "agreement", b"\x02", private={Attribute.SIGN: False})
    hsm.generate_rsa("release", "rsa", b"\x03")
    refused(hsm.uri(object="rsa"), ConfigError, "^no elliptic curve .*'koblitz'")
    refused(hsm.uri(object="koblitz"), ConfigError, "not on P-256, P-384 or P-521")
    refused(hsm.uri(object="agreement"), ConfigError, "may not sign")


def test_a_key_that_wants_the_pin_each_time_gets_it(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01", private={Attribute.ALWAYS_AUTHENTICATE: True})
    with open_token_key(hsm.uri(object="models")) as key:
        assert signs(key)
        assert signs(key)


def test_the_token_is_found_by_what_it_is(hsm: SoftHSM) -> None:
    hsm.create("other")
    hsm.generate("other", "models", b"\x01")
    with hsm.session("other") as session:
        serial, slot = session.token.serial, str(session.token.slot.slot_id)
    for attributes in (
        {"token": "other"},
        {"serial": serial},
        {"slot_id": slot},
        {"token": "other", "manufacturer": "SoftHSM project", "model": "SoftHSM v2"},
    ):
        with open_token_key(hsm.uri(**attributes)) as key:
            assert signs(key)
    refused(hsm.uri(object="models"), ConfigError, r"more than one token .*'other' \(serial")
    for attributes in ({"serial": b"0"}, {"slot_id": "0"}, {"manufacturer": ""}, {"model": "x"}):
        refused(hsm.uri(token="other", **attributes), ConfigError, "^no token is what .*'other'")


def test_the_pin_comes_from_a_file_the_uri_or_the_environment(
    hsm: SoftHSM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm.generate("release", "models", b"\x01")
    plain = hsm.uri(pin=None, object="models")
    refused(plain, ConfigError, f"wants a PIN.*pin-source.*{PIN_VARIABLE}")
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    file.chmod(0o600)
    for source in (file, f"file:{file}", f"file://{file}"):
        with open_token_key(f"{plain}&pin-source={source}") as key:
            assert signs(key)
    with open_token_key(hsm.uri(object="models")) as key:
        assert signs(key)
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    with open_token_key(plain) as key:
        assert signs(key)
    # What the URI says comes first.
    refused(hsm.uri(pin="wrong", object="models"), ConfigError, "refuses the PIN")
    file.write_bytes(b"\xff")
    refused(f"{plain}&pin-source={file}", ConfigError, "does not hold text")
    file.chmod(0o602)
    refused(f"{plain}&pin-source={file}", ConfigError, "changed by every user")
    file.unlink()
    refused(f"{plain}&pin-source={file}", ConfigError, "cannot be read")


def test_a_module_that_cannot_be_used_is_refused(
    hsm: SoftHSM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Path(importlib.import_module("pkcs11._pkcs11").__file__ or "")
    text = tmp_path / "module.so"
    text.write_text("no library")
    for path in (tmp_path / "none.so", tmp_path, text, library):
        refused(f"pkcs11:?module-path={path}", ConfigError, "module .* cannot be used")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "none"))
    refused(hsm.uri(), ConfigError, "the module's own configuration")
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    refused(hsm.uri(), ConfigError, r"pip install 'oms-gate\[pkcs11\]'")


def test_the_token_is_logged_out_whatever_happened(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01")
    uri, wrong = hsm.uri(object="models"), hsm.uri(object="models", pin="wrong")
    with pytest.raises(ZeroDivisionError), open_token_key(uri) as key:
        raise ZeroDivisionError
    # A token that is logged in does not look at the PIN.
    refused(wrong, ConfigError, "refuses the PIN")
    with pytest.raises(SigningError, match="did not sign"):
        key.sign(b"data", ECDSA)
    with open_token_key(uri) as key:
        assert signs(key)
    refused(wrong, ConfigError, "refuses the PIN")


def test_one_key_at_a_time_is_open(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        refused(hsm.uri(object="models"), SigningError, "another key in a token is open")
        assert signs(key)
    with open_token_key(hsm.uri(object="models")) as key:
        assert signs(key)


def test_other_tokens_are_seen_when_a_key_is_opened_again(
    hsm: SoftHSM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        first = key.public_key()
    other = SoftHSM(tmp_path / "other")
    monkeypatch.setenv("SOFTHSM2_CONF", str(other.configuration))
    refused(hsm.uri(), ConfigError, "^no token is .*: none$")
    other.create("release")
    other.generate("release", "models", b"\x01")
    with open_token_key(other.uri(object="models")) as key:
        assert key.public_key() != first


def test_a_token_that_fails_is_a_signing_error(hsm: SoftHSM) -> None:
    hsm.generate("release", "models", b"\x01")
    with open_token_key(hsm.uri(object="models")) as key:
        assert signs(key)
        shutil.rmtree(hsm.configuration.parent / "tokens")
        with pytest.raises(SigningError, match="did not sign"):
            key.sign(b"data", ECDSA)


@pytest.mark.parametrize("ending", ["", "sys.exit(0)"], ids=["closed", "open"])
def test_the_process_ends_quietly(hsm: SoftHSM, ending: str) -> None:
    hsm.generate("release", "models", b"\x01")
    program = (
        "import sys\n"
        "from oms_gate.signing.pkcs11 import open_token_key\n"
        "assert 'pkcs11' not in sys.modules\n"
        f"with open_token_key({hsm.uri(object='models')!r}) as key:\n"
        f"    {ending or 'pass'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
