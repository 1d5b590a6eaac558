"""Models as KServe writes them in a ``storageUri``: of the Hub ``hf://owner/name[:revision]``."""

from __future__ import annotations

import re

from oms_gate.errors import UsageError
from oms_gate.reference import Reference

_HUB = "hf://"
_NAME = re.compile(r"(?!datasets/|spaces/)[^/:@%]+/[^/:@%]+")
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\.(?!\.))*")


def kserve_reference(uri: str) -> Reference:
    """The model that KServe means by a URI; anywhere but on the Hub that is the URI itself.

    Raises:
        UsageError: KServe would mean nothing by it, or something else than the gate.
    """
    if not uri.startswith(_HUB):
        return Reference.parse(uri)
    name, colon, revision = uri.removeprefix(_HUB).partition(":")
    if not _NAME.fullmatch(name) or (colon and not _REVISION.fullmatch(revision)):
        raise UsageError(
            f"{uri!r} is not what KServe calls a model of the Hub; write hf://owner/name or "
            "hf://owner/name:revision"
        )
    return Reference("hf", Reference.parse(_HUB + name).location, revision=revision or None)


def kserve_uri(reference: Reference) -> str:
    """The URI by which KServe means a model, as `kserve_reference` reads it back.

    Raises:
        UsageError: it has no word for that: a dataset, a folder of a repository, or a revision
            with a slash in it.
    """
    if reference.scheme != "hf":
        return reference.url
    revision = reference.revision
    uri = _HUB + reference.location + ("" if revision is None else f":{revision}")
    known = _NAME.fullmatch(reference.location) and not reference.path
    if not known or (revision is not None and not _REVISION.fullmatch(revision)):
        raise UsageError(
            f"{reference} cannot be named in KServe, which knows models by owner, name, and a "
            "revision without a slash; give the commit as revision, or another repository"
        )
    return uri
