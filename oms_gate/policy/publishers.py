"""Publisher rules: whose signature counts for which models (``publishers:`` in ``gate.yaml``).

A model is trusted if any rule that covers it names its signer. The rules that do also say which
files may lack a signature, and how far the gate has to look.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from oms_gate.verdict import Assurance, printable

_NOT_GLOB = re.compile(r"[?\[\]{}\\]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_ISSUER = re.compile(r"https?://[^\s/?#*]+(?:/[^\s?#*]*)?")
_SHORTHAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/.+")

# What RE2, which evaluates patterns, and Python, which checks them here, both understand.
_PATTERN = re.compile(
    r"""(?:
      \\[dDwWsSbB]                                      # a class or a word boundary
    | \\[!-/:-@\[-^`{-~]                                # escaped punctuation
    | \[\^?\]?(?:\\[dDwWsS!-/:-@\[-^`{-~]|(?!--|&&|~~|\|\|)[^\\\[\]])*\]    # a set
    | \((?:(?!\?)|\?i?:)                                # a group
    | \)
    | (?:[*+?]|\{\d{1,2}(?:,\d{1,2})?\})\??(?![*+?{])   # a repetition
    | [^\\\[\](){}*+?]
    )*""",
    re.VERBOSE,
)


def _plain(text: str) -> str:
    if text != text.strip() or text != printable(text):
        raise ValueError("has white space around it, or holds control characters")
    return text


def _glob(text: str) -> str:
    if _NOT_GLOB.search(text):
        raise ValueError(
            f"'{text}' holds one of ? [ ] {{ }} \\; only '*' (within a segment) and '**' (across "
            "segments) are wildcards"
        )
    return text


def _model_glob(text: str) -> str:
    if text.startswith("/"):
        text = f"file://{text}"
    elif "://" not in text and _SHORTHAND.fullmatch(text):
        text = f"hf://{text}"
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise ValueError(
            f"'{text}' names no models; write a URL such as hf://organization/*, the shorthand "
            "organization/*, or an absolute path"
        )
    rest = text[scheme.end() :]
    if scheme[0] == "file://":
        rest = rest[1:] if rest.startswith("/") else ""
    if not _is_plain_path(rest) or (scheme[0] == "hf://" and "@" in rest):
        raise ValueError(
            f"'{text}' can match no model: names have no empty, '.' or '..' part, no trailing "
            "slash and no revision, and local ones are absolute"
        )
    return text


def _path_glob(text: str) -> str:
    if not _is_plain_path(text):
        raise ValueError(
            f"'{text}' can match no file; write a path below the model, or folder/** for all "
            "that is in a folder"
        )
    return text


def _is_plain_path(text: str) -> bool:
    return not any(part in ("", ".", "..") for part in text.split("/"))


def _regular_expression(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError(
            f"'{text}' is not a pattern that can be used: besides plain text there are sets "
            r"[..], groups (..), (?:..) and (?i:..), repetition, and \d \w \s \b"
        )
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is not a regular expression: {error}") from None
    return text


def _issuer(text: str) -> str:
    if not _ISSUER.fullmatch(text):
        raise ValueError(
            f"'{text}' can be no issuer: write the URL of whoever vouches for the identity, such "
            "as https://accounts.google.com (http:// for a private instance)"
        )
    return text


def _method(signer: object) -> str | None:
    # Rules come as read from a file or, already made, from the command line.
    method = signer.get("method") if isinstance(signer, dict) else getattr(signer, "method", None)
    return method if isinstance(method, str) else None


Name = Annotated[str, Field(min_length=1), AfterValidator(_plain)]
ModelGlob = Annotated[Name, AfterValidator(_glob), AfterValidator(_model_glob)]
PathGlob = Annotated[Name, AfterValidator(_glob), AfterValidator(_path_glob)]
Issuer = Annotated[Name, AfterValidator(_issuer)]
Pattern = Annotated[Name, AfterValidator(_regular_expression)]


class Rule(BaseModel):
    """Part of the rules of a gate: strict, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SigstoreSigner(Rule):
    """Whoever an OIDC issuer says it is, by a certificate of a Sigstore instance."""

    method: Literal["sigstore"]
    identity: Name | None = Field(
        default=None, description="E-mail address or URI of the certificate, exactly."
    )
    identity_pattern: Pattern | None = Field(
        default=None,
        description="Instead: a regular expression (RE2) that the whole identity matches; it is "
        "anchored at both ends.",
    )
    issuer: Issuer = Field(description="URL of the OIDC issuer, exactly.")
    root: Name = Field(default="public-good", description="Name of the trust root.")

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if (self.identity is None) == (self.identity_pattern is None):
            raise ValueError("give exactly one of 'identity' and 'identity_pattern'")
        return self


class CertificateSigner(Rule):
    """Whoever holds a certificate under a trust root.

    A certificate's identity is its only alternative name or, where there is none or more than
    one, its subject (RFC 4514, ``CN=..,O=..``). What holds an ``=`` is compared with subjects
    only, anything else with alternative names only.
    """

    method: Literal["certificate"]
    root: Name = Field(description="Name of the trust root.")
    identity: Name | None = Field(
        default=None, description="Alternative name or subject of the certificate, exactly."
    )
    identity_pattern: Pattern | None = Field(
        default=None,
        description="Instead: a regular expression (RE2) that the whole identity matches; it is "
        "anchored at both ends.",
    )
    any_identity: Literal[True] | None = Field(
        default=None, description="Instead: true, for everyone whom the root vouches for."
    )

    allow_expired: bool = Field(
        default=False,
        description="Whether a certificate may have expired since it signed, as a timestamp by one "
        "of the timestamp_authorities under trust proves.",
    )

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        given = (self.identity, self.identity_pattern, self.any_identity)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "give exactly one of 'identity', 'identity_pattern' and 'any_identity: true'"
            )
        return self


class KeySigner(Rule):
    """Whoever holds the private half of a key."""

    method: Literal["key"]
    key: Name = Field(description="Name of the trust root.")


class FirstUseSigner(Rule):
    """Whoever signs a model first, under any trust root; from then on it is pinned to the model.

    It needs the gate's memory (``history``), and ``oms-gate trust`` shows and changes what is
    pinned. It does not count for models whose signers another rule names.
    """

    method: Literal["first-use"]


KnownSigner = Annotated[
    Annotated[SigstoreSigner, Tag("sigstore")]
    | Annotated[CertificateSigner, Tag("certificate")]
    | Annotated[KeySigner, Tag("key")],
    Discriminator(
        _method,
        custom_error_type="method",
        custom_error_message="'method' must be sigstore, certificate or key",
    ),
]
Signer = Annotated[
    Annotated[SigstoreSigner, Tag("sigstore")]
    | Annotated[CertificateSigner, Tag("certificate")]
    | Annotated[KeySigner, Tag("key")]
    | Annotated[FirstUseSigner, Tag("first-use")],
    Discriminator(
        _method,
        custom_error_type="method",
        custom_error_message="'method' must be sigstore, certificate, key or first-use",
    ),
]

Format = Literal["pickle", "archive", "code", "keras", "tensorflow"]
"""A format that can run code when it is loaded."""


class Publisher(Rule):
    """Who may sign which models, and what their signatures may leave out.

    In globs ``*`` stands for any text within a segment and ``**`` for any text at all; there are
    no other wildcards.
    """

    # A list in YAML is a tuple here.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    name: Name = Field(description="What messages call this rule.")
    models: tuple[ModelGlob, ...] = Field(
        min_length=1,
        description="Globs over model names without a revision. Each covers all that is below "
        "what it matches. 'org/*' is short for 'hf://org/*', a path for 'file://' and the path.",
    )
    signers: tuple[Signer, ...] = Field(min_length=1)
    allow_unsigned: tuple[PathGlob, ...] = Field(
        default=(), description="Globs over the paths of files that need not be signed."
    )
    allow_ignored: tuple[PathGlob, ...] = Field(
        default=(), description="Globs over the paths of files that the signer may leave out."
    )
    allow_formats: tuple[Format, ...] = Field(
        default=(),
        description="Formats that these signers may publish where a requirement restricts them.",
    )
    assurance: Assurance | None = Field(
        default=None, description="How far the gate has to look, at least."
    )
