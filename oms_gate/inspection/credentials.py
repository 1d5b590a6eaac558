"""Credentials that have an unmistakable form: tokens of services, and passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import pairwise

from oms_gate.inspection.findings import Sighting
from oms_gate.inspection.windows import Window
from oms_gate.reason_codes import ReasonCode

# What documentation has in the place of a secret.
_PLACEHOLDER = re.compile(
    rb"(?i)example|sample|placeholder|dummy|fake|redacted|secret|token|passw|change.?me|insert|your"
    rb"|x{4}|0{6}|12345"
)
_MOST_DISTINCT_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class _Rule:
    """
    literal: what the pattern begins with.
    pattern: with one group: what nobody could guess.
    """

    what: str
    literal: bytes
    pattern: re.Pattern[bytes]


def _rule(what: str, literal: bytes, rest: bytes, *, before: bytes = b"") -> _Rule:
    return _Rule(what, literal, re.compile(before + re.escape(literal) + rest))


# Where base64 could have it by chance, it is one only if it is a word of its own. What is before
# a word may be an escaped line break.
_WORD = rb"(?:(?<![0-9A-Za-z+/_-])|(?<=\\[nrt]))"
_SECRET = rb"(?:(?<=[Ss]ecret)|(?<=secret_)|(?<=SECRET_))"
_AWS_SECRET = rb"[\s\"'\\=:]{1,12}([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])"
# Proteins are written in capitals, too: but in twenty of them.
_AWS_ID = rb"((?=[A-Z]{0,15}[0-9BJOUXZ])[A-Z0-9]{16})(?![0-9A-Z])"

_RULES = (
    _rule("an AWS access key id", b"AKIA", _AWS_ID, before=rb"(?<![0-9A-Z])"),
    _rule("an AWS access key id", b"ASIA", _AWS_ID, before=rb"(?<![0-9A-Z])"),
    _rule("an AWS secret access key", b"AccessKey", _AWS_SECRET, before=_SECRET),
    _rule("an AWS secret access key", b"access_key", _AWS_SECRET, before=_SECRET),
    _rule("an AWS secret access key", b"ACCESS_KEY", _AWS_SECRET, before=_SECRET),
    _rule("a Google API key", b"AIza", rb"([0-9A-Za-z_-]{35})(?![0-9A-Za-z_-])", before=_WORD),
    # But for the key of the storage emulator, which is the same for everybody.
    _rule("an Azure storage key", b"AccountKey=", rb"((?!Eby8vdM0)[0-9A-Za-z+/]{86}==)"),
    _rule("an Azure access key", b"SharedAccessKey=", rb"([0-9A-Za-z+/]{43}=)"),
    _rule(
        "a Slack webhook",
        b"hooks.slack.com/services/",
        rb"T[0-9A-Z]{8,12}/B[0-9A-Z]{8,12}/([0-9A-Za-z]{24})",
    ),
    _rule("an age private key", b"AGE-SECRET-KEY-1", rb"([0-9A-Z]{58})"),
    _rule("a PuTTY private key", b"Private-Lines: ", rb"\d{1,3}\s{1,2}([0-9A-Za-z+/]{40})"),
    _rule(
        "a minisign private key",
        b"untrusted comment: ",
        rb"[^\n]{0,200}\n(RW(?:RTY0|QAAE)Iy[0-9A-Za-z+/]{100})",
    ),
)

# Tokens that begin with a word and a sign, by that beginning. The sign is what is looked for.
_AFTER_UNDERSCORE = {
    rb"hf_": ("a Hugging Face token", rb"[0-9A-Za-z]{34}(?![0-9A-Za-z_])"),
    rb"api_org_": ("a Hugging Face organization's token", rb"[0-9A-Za-z]{34}(?![0-9A-Za-z_])"),
    rb"gh[opusr]_": ("a GitHub token", rb"[0-9A-Za-z]{36,255}(?![0-9A-Za-z_])"),
    rb"github_pat_": ("a GitHub token", rb"[0-9A-Za-z]{22}_[0-9A-Za-z]{59}(?![0-9A-Za-z_])"),
    rb"npm_": ("an npm token", rb"[0-9A-Za-z]{36}(?![0-9A-Za-z_])"),
    rb"[rs]k_live_": ("a Stripe key", rb"[0-9A-Za-z]{24,128}(?![0-9A-Za-z_])"),
    rb"gsk_": ("a Groq key", rb"[0-9A-Za-z]{52}(?![0-9A-Za-z_])"),
}
_AFTER_HYPHEN = {
    rb"sk-": (
        "a key of OpenAI, Anthropic or OpenRouter",
        (
            rb"(?:ant-[0-9a-z]{3,10}-[0-9A-Za-z_-]{60,200}|or-v1-[0-9a-f]{64}"
            rb"|[0-9A-Za-z_-]{20,120}?T3BlbkFJ[0-9A-Za-z_-]{20,120})"
        ),
    ),
    rb"glpat-": ("a GitLab token", rb"[0-9A-Za-z_-]{20,64}"),
    rb"xox[abeoprs]-": ("a Slack token", rb"(?:\d{1,16}-){1,4}[0-9A-Za-z]{20,200}"),
    rb"pypi-": ("a PyPI token", rb"AgE[0-9A-Za-z_-]{60,400}"),
    rb"nvapi-": ("an NVIDIA key", rb"[0-9A-Za-z_-]{60,80}"),
}

_URL_BEGIN = b"://"
_URL = re.compile(
    rb"://[0-9A-Za-z._~%+-]{1,64}:([0-9A-Za-z._~!%&+,;=-]{8,128})@"
    rb"(?!localhost|127\.|example\.|sha256:)[0-9A-Za-z]"
)
_LETTER, _DIGIT = re.compile(rb"[A-Za-z]"), re.compile(rb"\d")
# Words, such as those of examples: in one case, or each with a capital.
_WORDS = re.compile(rb"(?:[A-Z]?+[a-z]{2,}+[^A-Za-z]*+)++|(?:[A-Z]++[^A-Za-z]*+)++")
_UNSPEAKABLE = re.compile(rb"(?i)[b-df-hj-np-tv-xz]{5}")


def credentials(window: Window) -> Iterator[Sighting]:
    """The credentials that begin in a window, in their order; of each kind, the first of a line."""
    streams = [
        *(_of_rule(window, rule) for rule in _RULES),
        *(_of_family(window, family) for family in _FAMILIES),
        _in_urls(window),
    ]
    return merge(*streams, key=lambda sighting: sighting.position)


def _of_rule(window: Window, rule: _Rule) -> Iterator[Sighting]:
    for match in window.first_matches(
        rule.literal, rule.pattern, lambda match: _is_random(match[1])
    ):
        yield _secret(rule.what, match)


def _of_family(window: Window, family: _Family) -> Iterator[Sighting]:
    for match in window.first_matches(
        family.sign, family.pattern, lambda match: _is_random(match[str(match.lastgroup)])
    ):
        yield _secret(family.what[str(match.lastgroup)], match)


def _in_urls(window: Window) -> Iterator[Sighting]:
    for match in window.first_matches(_URL_BEGIN, _URL, lambda match: _is_no_word(match[1])):
        yield _secret("a password in a URL", match)


@dataclass(frozen=True, slots=True)
class _Family:
    """Tokens with the same sign after their beginning, found by one pattern.

    what: of each, by the name of its group.
    """

    sign: bytes
    pattern: re.Pattern[bytes]
    what: Mapping[str, str]


def _family(sign: bytes, tokens: Mapping[bytes, tuple[str, bytes]]) -> _Family:
    patterns, what = [], {}
    for number, (beginning, (meaning, rest)) in enumerate(tokens.items()):
        patterns.append(b"(?<=%s)(?P<t%d>%s)" % (beginning, number, rest))
        what[f"t{number}"] = meaning
    # Most words end here: before the sign is no letter, or little is after it.
    long_word = sign + b"(?<=[a-z]" + sign + rb")(?=[0-9A-Za-z_-]{20})"
    return _Family(sign, re.compile(long_word + b"(?:" + b"|".join(patterns) + b")"), what)


_FAMILIES = (_family(b"_", _AFTER_UNDERSCORE), _family(b"-", _AFTER_HYPHEN))


def _secret(what: str, match: re.Match[bytes]) -> Sighting:
    return Sighting(ReasonCode.PUBLISH_SECRET, what, match.start())


def _is_random(text: bytes) -> bool:
    """Whether a machine may have drawn it, as opposed to somebody who needed an example.

    Of what a machine draws, fewer than one in a thousand are missed.
    """
    steps = sum(abs(one - other) <= 1 for one, other in pairwise(text))
    return (
        len(set(text)) >= min(len(text) // 3, _MOST_DISTINCT_CHARACTERS)
        and steps < len(text) / 2
        and not _PLACEHOLDER.search(text)
    )


def _is_no_word(password: bytes) -> bool:
    """Whether a password is more than words, which those of examples and of tests are."""
    if _PLACEHOLDER.search(password) or not _LETTER.search(password):
        return False
    if _DIGIT.search(password):
        return True
    return _WORDS.fullmatch(password) is None or _UNSPEAKABLE.search(password) is not None
