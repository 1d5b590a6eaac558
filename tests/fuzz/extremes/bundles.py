"""Expensive bundles: their own JSON, and the envelope."""

from __future__ import annotations

from tests.fuzz.extremes.made import LARGEST, PAYLOAD, extreme, filled
from tests.oms import forge
from tests.oms.forge import encode

# -- The bundle's own JSON


@extreme
def bundle_of_open_brackets() -> bytes:
    return b"[" * LARGEST


@extreme
def bundle_of_quotes() -> bytes:
    return b'"' * LARGEST


@extreme
def bundle_of_blanks() -> bytes:
    return b" " * LARGEST


@extreme
def bundle_of_one_long_media_type() -> bytes:
    return filled('{"mediaType": "$"}', "x")


@extreme
def bundle_of_one_long_key() -> bytes:
    return filled('{"$": 1}', "x")


@extreme
def bundle_of_one_number() -> bytes:
    return filled('{"mediaType": $}', "9")


@extreme
def bundle_of_one_fraction() -> bytes:
    return filled('{"mediaType": 0.$}', "9")


@extreme
def bundle_of_empty_lists() -> bytes:
    return filled('{"mediaType": [$0]}', "[],")


@extreme
def bundle_of_short_keys() -> bytes:
    return filled('{$"a": 1}', '"a": 1,')


@extreme
def bundle_of_duplicate_long_keys() -> bytes:
    key = "k" * 1600
    return filled('{$"a": 1}', f'"{key}": 1,')


@extreme
def bundle_of_escaped_ascii() -> bytes:
    return filled('{"mediaType": "$"}', "\\u0041")


@extreme
def bundle_of_escaped_surrogates() -> bytes:
    return filled('{"mediaType": "$"}', "\\ud83d\\ude00")


@extreme
def bundle_of_quotes_and_backslashes() -> bytes:
    return filled('[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["$"]', '\\"')


@extreme
def bundle_of_emoji() -> bytes:
    return filled('{"mediaType": "$"}', "\U0001f600")


@extreme
def bundle_of_ascii_and_one_emoji_below_many_brackets() -> bytes:
    brackets = "[" * 30 + "]" * 30
    return filled(f'{{"a": [{brackets}, {brackets}, "\U0001f600\\u0041"], "mediaType": "$"}}', "x")


# -- The envelope


def _around(change: forge.Change) -> bytes:
    return encode(forge.changed(forge.key_bundle(encode(forge.statement())), change))


@extreme
def payload_by_another_key() -> bytes:
    return encode(forge.key_bundle(b"x" * PAYLOAD, forge.key("stranger")))


@extreme
def long_hint() -> bytes:
    hint = {"hint": "\U0001f600" * (LARGEST // 4 - 1000)}
    return _around(lambda made: made["verificationMaterial"].update(publicKey=hint))


@extreme
def long_raw_key() -> bytes:
    raw = {"rawBytes": forge.b64(bytes(PAYLOAD - 3000))}
    return _around(lambda made: made["verificationMaterial"].update(publicKey=raw))


@extreme
def long_signature() -> bytes:
    sig = forge.b64(bytes(PAYLOAD - 3000))
    return _around(lambda made: made["dsseEnvelope"]["signatures"][0].update(sig=sig))


@extreme
def payload_of_lax_base64() -> bytes:
    return _around(lambda made: made["dsseEnvelope"].update(payload="A" * (LARGEST - 3002) + "B=="))
