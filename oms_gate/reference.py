"""Model references: the URL of a folder, a repository or a single file.

``hf://[datasets/|spaces/]org/name[@revision][/folder]`` is written as ``HfFileSystem`` writes it;
a path without a scheme is local; any other URL is one of an fsspec file system.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from oms_gate.errors import UsageError

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_HUB_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")
_HUB_KINDS = ("datasets", "spaces")
# References that HfFileSystem reads without their slashes being quoted.
_HUB_REFS = re.compile(r"(refs/convert/\w+|refs/pr/\d+)(?:/|$)")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_UNDECODED = re.compile(r"[\ud800-\udfff]")
HUB_HOSTS = ("huggingface.co", "hf.co")

S3_SCHEMES = ("s3", "s3a")
RELEASES = "oms-gate.releases"
"""The folder of a model in S3 that has its releases, which are immutable, each in a folder."""
# When it was made; of its signature file's SHA-256 the first 64 bits; and what makes it unique.
RELEASE_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{16}-[0-9a-f]{8}", re.ASCII)
_RELEASE = re.compile(
    rf"(?P<model>.*[^/])/{re.escape(RELEASES)}/(?P<id>{RELEASE_ID.pattern})", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a model is.

    scheme: ``hf``, ``s3``, ``file`` or another fsspec protocol.
    location: ``[datasets/]org/name`` on the Hub; elsewhere all that follows ``://``.
    path: on the Hub, the folder or file inside the repository; elsewhere empty.
    revision: on the Hub, a branch, tag or commit; None means the default branch.
    """

    scheme: str
    location: str
    path: str = ""
    revision: str | None = None

    @classmethod
    def of(cls, reference: Reference | str | os.PathLike[str]) -> Reference:
        """The same reference, or the one that a text or a path is.

        Raises:
            UsageError: see `parse`.
        """
        if isinstance(reference, Reference):
            return reference
        return cls.parse(os.fspath(reference))

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as a user writes it.

        Raises:
            UsageError: the text cannot be the name of a model.
        """
        if _UNDECODED.search(text):
            raise UsageError(
                f"{text!r} is not a model reference: it is not written in the encoding of the "
                "locale; if it is UTF-8, set LC_ALL=C.UTF-8"
            )
        if not text or _FORBIDDEN.search(text):
            raise UsageError(
                f"{text!r} is not a model reference: it is empty, or holds backslashes or "
                "characters that cannot be shown"
            )
        match = _URL.fullmatch(text)
        if match is None:
            if "::" in text:
                raise UsageError(f"{text!r} chains file systems; name the store itself")
            return cls("file", os.path.abspath(os.path.expanduser(text)))
        scheme, rest = match["scheme"], match["rest"]
        if scheme in ("file", "local"):  # To fsspec they are the same.
            return cls("file", os.path.abspath(rest))
        # First of all, and without showing it: what follows may be a secret.
        if "?" in rest or "#" in rest:
            raise UsageError(
                f"the {scheme}:// reference has a query or a fragment; name a folder or a file, "
                "and give credentials by the store's own settings"
            )
        if ":" in rest.split("/")[0].rpartition("@")[0]:
            raise UsageError(
                f"the {scheme}:// reference has a password in it, which would be shown; give "
                "credentials by the store's own settings"
            )
        if "::" in text:
            raise UsageError(f"{text!r} chains file systems; name the store itself")
        if scheme == "hf":
            return _parse_hub(text, rest)
        parts = _segments(text, rest)
        if scheme in ("http", "https"):
            if "@" in parts[0]:
                raise UsageError(f"the {scheme}:// reference has a user in it; leave it out")
            if parts[0] in HUB_HOSTS:
                raise UsageError(f"write hf://{'/'.join(parts[1:3])} for this page of the Hub")
        return cls(scheme, "/".join(parts))

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or a file of this machine, at the path that is its location."""
        return self.scheme == "file"

    @property
    def name(self) -> str:
        """The URL without a revision: what the publisher rules of a policy match.

        Of a release in S3, it is that of the model.
        """
        release = self._release
        return self._named(self.location if release is None else release["model"])

    @property
    def url(self) -> str:
        """The whole reference, as `parse` reads it back."""
        if self.revision is None:
            return self._named(self.location)
        revision = self.revision
        if not _HUB_REFS.fullmatch(revision):
            revision = quote(revision, safe="")
        return self._named(f"{self.location}@{revision}")

    @property
    def release(self) -> str | None:
        """Which release of a model in S3 it is, if it is one."""
        return None if (release := self._release) is None else release["id"]

    def at_release(self, release: str) -> Reference:
        """A release of a model in S3."""
        return replace(self, location=f"{self.location}/{RELEASES}/{release}")

    def at(self, revision: str) -> Reference:
        """The same model at an immutable revision."""
        return replace(self, revision=revision)

    def with_suffix(self, suffix: str) -> Reference:
        """The file beside a single-file model whose name has `suffix` added."""
        if self.path:
            return replace(self, path=self.path + suffix)
        return replace(self, location=self.location + suffix)

    @property
    def _release(self) -> re.Match[str] | None:
        return _RELEASE.fullmatch(self.location) if self.scheme in S3_SCHEMES else None

    def _named(self, location: str) -> str:
        return f"{self.scheme}://{'/'.join(filter(None, (location, self.path)))}"

    def __str__(self) -> str:
        return self.url


def _segments(text: str, path: str) -> list[str]:
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{text!r} has an empty, '.' or '..' part; write the plain path")
    return parts


def _parse_hub(text: str, rest: str) -> Reference:
    parts = _segments(text, rest)
    kind = [parts.pop(0)] if parts[0] in _HUB_KINDS and len(parts) > 1 else []
    # A repository has an owner, except for the few canonical ones; the revision ends its name.
    width = 1 if len(parts) == 1 or "@" in parts[0] else 2
    name, *at = "/".join(parts[:width]).split("@", 1)
    tail = parts[width:]
    revision = None
    if at:
        special = _HUB_REFS.match("/".join([at[0], *tail]))
        if special:
            revision = special[1]
            tail = tail[revision.count("/") :]
        else:
            revision = unquote(at[0])
        if not revision or _FORBIDDEN.search(revision) or ".." in revision:
            raise UsageError(f"{text!r} has an unusable revision after '@'")
    if not all(_HUB_PART.fullmatch(part) and ".." not in part for part in name.split("/")):
        raise UsageError(
            f"{text!r} is not a repository of the Hub; write hf://organization/name[@revision]"
        )
    if width == 1 and tail:
        # "name/folder" would be the name of another repository, with an owner.
        raise UsageError(
            f"{text!r} names a folder of a repository without an owner; write the owner too: "
            "hf://organization/name/folder"
        )
    return Reference("hf", "/".join([*kind, name]), "/".join(tail), revision)
