"""Secrets do not leave: whatever they are, wherever they are, and nothing else is one."""

from __future__ import annotations

import base64
import json
import string
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.errors import StepError, StoreError
from oms_gate.inspection.armour import armoured
from oms_gate.inspection.credentials import credentials
from oms_gate.inspection.inspect import inspect
from oms_gate.inspection.settings import PublishSettings
from oms_gate.inspection.windows import windows
from oms_gate.limits import MIB, Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile, StoreSettings, open_store
from tests import models
from tests.inspection.looking import (
    ALPHANUMERIC,
    BASE64,
    armour,
    drawn,
    elliptic_key,
    hub_token,
    json_web_key,
    look,
    private_der,
    private_pem,
    sec1_der,
    wrapped,
)
from tests.oms import forge

URL_SAFE = ALPHANUMERIC + "-_"
_LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"
AWS_ID = drawn(14, string.ascii_uppercase + "234567") + "Q7"

TOKENS = {
    "Hugging Face": "hf" + "_" + drawn(34, string.ascii_letters),
    "Hugging Face organization": "api_org" + "_" + drawn(34, string.ascii_letters),
    "AWS access key id": "AK" + "IA" + AWS_ID,
    "AWS temporary access key id": "AS" + "IA" + AWS_ID,
    "AWS secret": "aws_secret_access" + "_key = " + drawn(40, BASE64),
    "AWS secret in JSON": '"SecretAccess' + 'Key": "' + drawn(40, BASE64) + '"',
    "AWS secret in a variable": "AWS_SECRET_ACCESS" + "_KEY=" + drawn(40, BASE64),
    "GitHub": "ghp" + "_" + drawn(36),
    "GitHub OAuth": "gho" + "_" + drawn(36),
    "GitHub server": "ghs" + "_" + drawn(36),
    "GitHub fine-grained": "github_pat" + "_" + drawn(22) + "_" + drawn(59),
    "GitLab": "glpat" + "-" + drawn(20, URL_SAFE),
    "Google": "AI" + "za" + drawn(35, URL_SAFE),
    "OpenAI": "sk" + "-proj-" + drawn(74, URL_SAFE) + "T3Blbk" + "FJ" + drawn(74, URL_SAFE),
    "Anthropic": "sk" + "-ant-api03-" + drawn(95, URL_SAFE),
    "OpenRouter": "sk" + "-or-v1-" + drawn(64, HEX),
    "Slack": "xox" + "b-2604813370-2604813371-" + drawn(24),
    "Slack webhook": "hooks.slack.com/" + "services/T02A4C8E7/B91F3D5G7/" + drawn(24),
    "npm": "npm" + "_" + drawn(36),
    "PyPI": "pypi" + "-AgE" + drawn(150, URL_SAFE),
    "Stripe": "sk_live" + "_" + drawn(24),
    "Groq": "gsk" + "_" + drawn(52),
    "NVIDIA": "nvapi" + "-" + drawn(64, URL_SAFE),
    "Azure": "Account" + "Key=" + drawn(86, BASE64) + "==",
    "Azure shared": "SharedAccess" + "Key=" + drawn(43, BASE64) + "=",
    "URL": "postgresql://trainer:" + "b7Kq91xLmz@db.acme.test/runs",
    "age": "AGE-SECRET-" + "KEY-1" + drawn(58, string.ascii_uppercase + string.digits),
    "PuTTY": "Private-" + "Lines: 2\n" + drawn(64, BASE64),
    "minisign": "untrusted comment: mine\n" + "RWRTY" + "0Iy" + drawn(204, BASE64),
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("around", ["{}", "# notes\n\nuse {} here\n", "\\n{}\\n", '{{"k": "{}"}}'])
def test_a_credential_is_found_and_never_shown(kind: str, around: str) -> None:
    found = look({"notes.txt": around.format(TOKENS[kind]).encode()})
    assert not found.warnings
    reason = found.reasons[0]
    assert reason.code is ReasonCode.PUBLISH_SECRET
    assert reason.path == "notes.txt"
    assert reason.line == around.split("{}")[0].count("\n") + 1
    assert f"in line {reason.line}" in reason.message
    assert "allow_secrets" in reason.message
    assert TOKENS[kind].rstrip('="')[-12:] not in reason.message


def test_a_known_form_has_its_name() -> None:
    (reason,) = look({"train.py": b"login(token='" + hub_token() + b"')\n"}).reasons
    assert reason.message.startswith("train.py holds a Hugging Face token in line 1; remove it")


@pytest.mark.parametrize(
    "text",
    [
        "hf" + "_" + "x" * 34,
        "hf" + "_" + "YourTokenGoesHere" * 2,
        "hf" + "_" + "abcdefghijklmnopqrstuvwxyzabcdefgh",
        "hf" + "_" + drawn(20),
        "AK" + "IAIOSFODNN7EXAMPLE",
        "PEPTIDE AK" + "IA" + drawn(16, "ACDEFGHIKLMNPQRSTVWY"),
        "aws_secret_access" + "_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "ghp" + "_" + "0" * 36,
        "sk" + "-" + "learn-contrib-imbalanced-learn-and-more-of-that",
        "the risk" + "-based task-oriented desk-research",
        "sk" + "-ant-api03-" + "x" * 95,
        "<YOUR_TOKEN>",
        "https://user:" + "password1@example.com/x",
        "https://user:" + "$PASSWORD@host/x",
        "https://user:" + "correct-Horse-Battery@host/x",
        "https://user:" + "CORRECTHORSE@host/x",
        "docker://acme/server:" + "20260102a@sha256:0011",
        "redis://user:" + "b7Kq91xLmz@localhost:6379",
        "-----BEGIN " + "PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQIBADAN...\n",
        "a key begins with -----BEGIN " + "RSA PRIVATE KEY----- and its end looks alike.",
        "-----BEGIN " + "PRIVATE KEY-----\n" + "A" * 64,
        "Account" + "Key=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFP"
        "TOtr/KBHBeksoGMGw==",
    ],
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert look({"README.md": text.encode()}).reasons == ()


_BASE32 = string.ascii_uppercase + "234567"
_DRAWN: dict[str, Callable[[int], str]] = {
    "AWS": lambda seed: "AK" + "IA" + drawn(16, _BASE32, seed),
    "Hugging Face": lambda seed: hub_token(seed).decode(),
    "GitHub": lambda seed: "ghp" + "_" + drawn(36, seed=seed),
    "Slack": lambda seed: "xox" + f"b-{drawn(12, string.digits, seed)}-{drawn(24, seed=-seed)}",
    "OpenRouter": lambda seed: "sk" + "-or-v1-" + drawn(64, HEX, seed),
    "URL": lambda seed: "postgres://app:" + drawn(16, seed=seed) + "@db.internal/x",
    "lower case": lambda seed: "postgres://app:" + drawn(16, _LOWER, seed) + "@db.internal/x",
}


@pytest.mark.parametrize("kind", _DRAWN)
def test_of_what_a_machine_draws_next_to_nothing_is_missed(kind: str) -> None:
    count = 4000
    lines = "".join(f"{_DRAWN[kind](seed)}\n" for seed in range(count)).encode()
    found = sum(1 for view in windows([lines]) for _ in credentials(view))
    assert found >= count * 0.998


def test_a_vocabulary_is_no_secret() -> None:
    words = {
        drawn(1 + number % 60, string.printable[:94], number): number for number in range(5000)
    }
    lines = [base64.b64encode(drawn(number % 20, seed=number).encode()) for number in range(5000)]
    files = {
        "tokenizer.json": json.dumps({"model": {"vocab": words}}).encode(),
        "qwen.tiktoken": b"".join(line + b" 1\n" for line in lines),
    }
    assert look(files) == look({})


PRIVATE_KEYS = {
    "PKCS #8": private_pem(),
    "SEC 1": private_pem(PrivateFormat.TraditionalOpenSSL),
    "encrypted": private_pem(encrypted=True),
    "OpenSSH": private_pem(PrivateFormat.OpenSSH),
    "PKCS #1": armour("RSA PRIVATE KEY"),
    "OpenPGP": armour("PGP PRIVATE KEY BLOCK"),
    "cosign": armour("ENCRYPTED SIGSTORE PRIVATE KEY"),
    "SSH2": armour("SSH2 ENCRYPTED PRIVATE KEY", hyphens="----", space=" "),
    "headers": armour("EC PRIVATE KEY").replace(b"\n", b"\nProc-Type: 4,ENCRYPTED\n\n", 1),
}


@pytest.mark.parametrize("kind", PRIVATE_KEYS)
def test_a_private_key_is_found_in_any_text(kind: str) -> None:
    key = PRIVATE_KEYS[kind]
    text = key.decode()
    files = {
        "key": key,
        "a.json": json.dumps({"type": "service_account", "private_key": text}).encode(),
        "b.ipynb": json.dumps({"outputs": [{"text": text.splitlines(keepends=True)}]}).encode(),
        "c.json": json.dumps(json.dumps([text.replace("/", "\\/")])).encode(),
        "d.yaml": f"key: |\n    {text.replace(chr(10), chr(10) + '    ')}".encode(),
        "e.py": "".join(f"    '{line}\\n' +\n" for line in text.splitlines()).encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
    }
    if text.startswith("-----"):
        files["f.yaml"] = b"client-key-data: " + base64.b64encode(key)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        files[encoding] = f"# mine\n{text}".encode(encoding)
    reasons = look(files).reasons
    assert [reason.path for reason in reasons] == sorted(files)
    assert {reason.code for reason in reasons} == {ReasonCode.PUBLISH_SECRET}
    lines = {reason.path: reason.line for reason in reasons}
    assert lines["key"] == 1
    assert {lines[name] for name in files if name.startswith("utf")} == {2}


def test_binary_keys_are_found_under_any_name() -> None:
    store = pkcs12.serialize_key_and_certificates(b"me", elliptic_key(), None, None, NoEncryption())
    files = {
        "a": private_der(),
        "b.dat": private_der(encrypted=True),
        "c.txt": sec1_der(),
        "d.json": store,
        "e.png": b"\xfe\xed\xfe\xed\0\0\0\2" + bytes(50),
        "f.p12": b"anything",
        "g.gpg": b"\x95\x03\x98\x04" + bytes(4) + b"\x01" + bytes(50),
    }
    reasons = look(files).reasons
    assert [reason.path for reason in reasons] == sorted(files)
    assert {reason.code for reason in reasons} == {ReasonCode.PUBLISH_SECRET}
    assert {reason.line for reason in reasons if reason.path in ("a", "d.json", "g.gpg")} == {None}
    assert "f.p12 holds a key store, to go by its name" in reasons[5].message


@pytest.mark.parametrize("width", [32, 38, 76, 200])
def test_a_private_key_in_lines_of_another_length(width: int) -> None:
    text = wrapped(private_pem(), width).decode()
    files = {
        "key": text.encode(),
        "a.json": json.dumps({"key": text}).encode(),
        "b.yaml": f"key: |\n    {text.replace(chr(10), chr(10) + '    ')}".encode(),
        "c.py": "".join(f"    '{line}\\n' +\n" for line in text.splitlines()).encode(),
    }
    reasons = look(files).reasons
    assert [reason.path for reason in reasons] == sorted(files)
    assert {reason.code for reason in reasons} == {ReasonCode.PUBLISH_SECRET}


def test_a_binary_key_with_something_around_it_is_one() -> None:
    certificate = forge.issue_leaf("root").certificate.public_bytes(Encoding.DER)
    files = {
        "a.der": private_der() + b"\n",
        "b.der": certificate + private_der() + b"\r\n",
        "c.txt": base64.b64encode(private_der()),
        "d.txt": base64.encodebytes(sec1_der()),
        "e.txt": base64.urlsafe_b64encode(private_der(encrypted=True)).rstrip(b"="),
    }
    reasons = look(files).reasons
    assert [reason.path for reason in reasons] == sorted(files)
    assert {reason.code for reason in reasons} == {ReasonCode.PUBLISH_SECRET}


def test_a_private_key_in_json_is_one() -> None:
    key, public = json_web_key(private=True), json_web_key(private=False)
    files = {
        "a.json": json.dumps(key).encode(),
        "b.json": json.dumps({"keys": [public, key]}, indent=1).encode(),
        "c.ipynb": json.dumps(json.dumps(key)).encode(),
        "d.py": f"KEY = {key}".encode(),
        "e.json": json.dumps({"kty": "oct", "k": drawn(43)}).encode(),
    }
    reasons = look(files).reasons
    assert [reason.path for reason in reasons] == sorted(files)
    assert {reason.code for reason in reasons} == {ReasonCode.PUBLISH_SECRET}
    assert reasons[1].line is not None
    assert reasons[1].line > 8


CREDENTIAL_FILES = {
    ".env": "# mine\nWANDB_KEY=abc123\n",
    "deploy/.env.production": "export A='b'\n",
    "prod.env": "export A='b'\n",
    ".envrc": "use flake\nexport A='b'\n",
    ".netrc": "machine api.wandb.ai\n  login user\n  password abc123\n",
    ".git-credentials": "https://me:abc@git.example\n",
    ".aws/credentials": "[default]\naws_secret_access_key = abc\n",
    ".pypirc": "[pypi]\npassword = abc\n",
    ".npmrc": "//registry.npmjs.org/:_authToken=abc\n",
    ".pgpass": "db:5432:*:me:abc\n",
    ".ssh/id_ed25519": "abc\n",
    "a/.kube/config": "users:\n- user:\n    client-key-data: abc\n",
    ".docker/config.json": '{"auths": {"x": {"auth": "YWJj"}}}',
    ".cache/huggingface/token": "abc",
    ".cache/huggingface/stored_tokens": "[me]\nhf_token = abc\n",
    "kaggle.json": '{"username": "me", "key": "abc"}',
}


@pytest.mark.parametrize("path", CREDENTIAL_FILES)
def test_a_file_of_credentials_is_one_by_its_name(path: str) -> None:
    text = CREDENTIAL_FILES[path]
    for encoding in ("utf-8", "utf-16"):
        (reason,) = look({path: text.encode(encoding)}).reasons
        assert reason.code is ReasonCode.PUBLISH_SECRET
        assert reason.line is not None
        assert "abc" in text.splitlines()[reason.line - 1] or "'b'" in text or "YWJj" in text
        assert "abc" not in reason.message
    assert look({f"{path}/notes": text.encode()}).reasons == ()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", "# A=b\nTOKEN=\nOTHER=''\nTHIRD=${TOKEN}\nFOURTH=<yours>\n"),
        (".env.example", "TOKEN=abc123\n"),
        ("example.env", "TOKEN=abc123\n"),
        ("prod.env.sample", "TOKEN=abc123\n"),
        (".pgpass", "# db:5432:*:me:abc\n"),
        (".npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n"),
        (".netrc", "machine x login y\n"),
        (".docker/config.json", '{"credsStore": "desktop"}'),
        (".cache/huggingface/token", "\n"),
        ("id_rsa", ""),
    ],
)
def test_without_a_value_it_holds_none(path: str, text: str) -> None:
    assert look({path: text.encode()}).reasons == ()


@pytest.mark.parametrize("kind", ["token", "PKCS #8"])
def test_nothing_hides_where_two_pieces_meet(kind: str) -> None:
    secret = PRIVATE_KEYS.get(kind, hub_token())
    before = b"line\n" * 40
    content = before + secret + b"\n" + b"more\n" * 860
    for place in range(4000, len(content)):
        found = [
            (sighting.what, line)
            for view in windows([content[:place], content[place:]], window_bytes=1)
            for stream in (armoured(view), credentials(view))
            for sighting, line in view.numbered(stream, lambda _: True)
        ]
        assert [line for _, line in found] == [41], place


_texts = st.lists(
    st.sampled_from(
        [
            *(token.encode() for token in TOKENS.values()),
            private_pem(),
            armour("CERTIFICATE"),
            hub_token().decode().encode("utf-16"),
            b"\n" * 50,
            b"\0",
            b" word " * 300,
            b"-----BEGIN " + b"PRIVATE KEY-----",
        ]
    ),
    max_size=12,
).map(b"\n".join)


@given(
    content=_texts, sizes=st.lists(st.integers(1, 3000), max_size=30), window=st.integers(1, 9000)
)
def test_how_a_file_comes_in_pieces_changes_nothing(
    content: bytes, sizes: list[int], window: int
) -> None:
    chunks, rest = [], content
    for size in sizes:
        chunks.append(memoryview(rest[:size]))
        rest = rest[size:]

    def lines(pieces: list[bytes | memoryview], window_bytes: int) -> set[tuple[str, int]]:
        return {
            (sighting.what, line)
            for whole in windows(pieces, window_bytes)
            for view in whole.views()
            for stream in (armoured(view), credentials(view))
            for sighting, line in view.numbered(stream, lambda _: True)
        }

    assert lines([*chunks, rest], window) == lines([content], len(content) + 1)


@given(
    before=st.binary(max_size=200).filter(lambda text: b"\0" not in text),
    after=st.binary(max_size=200),
    seed=st.integers(0, 50),
)
def test_whatever_is_around_it_a_token_is_found(before: bytes, after: bytes, seed: int) -> None:
    found = look({"notes.txt": before + b" " + hub_token(seed) + b" " + after}).reasons
    lines = [reason.line for reason in found if reason.code is ReasonCode.PUBLISH_SECRET]
    assert lines in ([before.count(b"\n") + 1], [None])


def test_one_finding_a_line_and_ten_a_file() -> None:
    (reason,) = look({"a.txt": hub_token() + b" " + hub_token(8)}).reasons
    assert reason.line == 1
    many = look({"a.txt": b"\n".join(hub_token(seed) for seed in range(40))}).reasons
    assert [reason.line for reason in many] == list(range(1, 11))


def test_text_is_read_to_its_end_and_of_a_binary_file_its_beginning() -> None:
    limits = Limits(inspected_bytes=2 * MIB)
    filler = b"some words\n" * (4 * MIB // 11)
    (reason,) = look({"a.jsonl": filler + hub_token()}, limits=limits).reasons
    assert reason.line == filler.count(b"\n") + 1
    binary = b"\0\1\2\3" * 300_000
    (reason,) = look({"a.dat": binary + hub_token() + bytes(5 * MIB)}, limits=limits).reasons
    assert reason.line is None
    assert look({"a.dat": binary + bytes(MIB) + hub_token()}, limits=limits).reasons == ()


def test_of_weights_the_head_is_read() -> None:
    weights = models.safetensors(MIB // 2)
    (reason,) = look({"a.safetensors": weights + hub_token()}).reasons
    assert reason.code is ReasonCode.PUBLISH_SECRET
    weights = models.safetensors(2 * MIB)
    assert look({"a.safetensors": weights + hub_token()}).reasons == ()


def test_allowed_files_may_hold_secrets_and_no_others() -> None:
    files = {"tests/a/key.pem": private_pem(), "key.pem": private_pem()}
    (reason,) = look(files, PublishSettings(allow_secrets=("tests/**",))).reasons
    assert reason.path == "key.pem"
    settings = PublishSettings(allow_formats=("**",), allow_trust_anchors=("**",))
    assert len(look(files, settings).reasons) == 2


def test_a_signature_is_no_secret_and_no_anchor() -> None:
    key = models.new_key()
    bundles = {
        "model.sig": models.signature(models.FILES, key),
        "certified.sig": forge.certified(forge.issue_leaf("publisher")),
        **models.FILES,
    }
    assert look(bundles) == look({})


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    models.write(tmp_path, {"a.txt": b"one"})
    reference = Reference.parse(str(tmp_path))
    snapshot = open_store(reference, StoreSettings(), Limits()).snapshot(reference)
    (tmp_path / "a.txt").write_bytes(b"another")
    with pytest.raises(StoreError, match=r"a\.txt"):
        inspect(snapshot, ["a.txt"], PublishSettings(), Limits())


def test_what_fails_over_a_file_says_which() -> None:
    def read_range(
        _file: StoredFile, _start: int, _end: int | None, _buffer: memoryview
    ) -> Iterator[bytes]:
        yield b"words\n"
        raise LookupError("no such thing")

    snapshot = Snapshot(
        Reference.parse("hf://org/model"), {"b.txt": StoredFile("b.txt", 9)}, False, read_range
    )
    with pytest.raises(StepError, match=r"^b\.txt could not be looked into \(LookupError") as error:
        inspect(snapshot, ["b.txt"], PublishSettings(), Limits())
    assert error.value.reason.code is ReasonCode.INTERNAL_ERROR
    assert error.value.reason.path == "b.txt"


def test_memory_does_not_grow_with_a_file() -> None:
    count = 24

    def read_range(
        _file: StoredFile, _start: int, _end: int | None, _buffer: memoryview
    ) -> Iterator[bytes]:
        yield from (b"words and words\n" * (MIB // 16) for _ in range(count))
        yield hub_token()

    size = count * MIB + len(hub_token())
    snapshot = Snapshot(
        Reference.parse("hf://org/model"), {"a.txt": StoredFile("a.txt", size)}, False, read_range
    )
    tracemalloc.start()
    try:
        (reason,) = inspect(snapshot, ["a.txt"], PublishSettings(), Limits()).reasons
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert reason.line == count * MIB // 16 + 1
