"""Which model a repository of Git is: what its remote's URL, or its configuration, says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from oms_gate.errors import UsageError
from oms_gate.reference import HUB_HOSTS, Reference
from oms_gate.verdict import printable

MODEL_SETTING = "oms-gate.model"
"""What ``git config`` calls the model that a repository is."""

_HUB_HOSTS = (*HUB_HOSTS, "www.huggingface.co")
_SCP_LIKE = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>.*)", re.DOTALL)
_UNDECODED = re.compile(r"[\ud800-\udfff]")
_DEFAULT_BRANCH = "refs/heads/main"
_BRANCH_OR_TAG = re.compile(r"refs/(?:heads|tags)/(.+)", re.DOTALL)

Target = Callable[[str], Reference]
"""The model that a reference of Git, such as ``refs/heads/main``, is."""


def configured(model: str, repository: str) -> Target:
    """Of the model that is named in the repository's configuration.

    repository: the name of its folder, for which ``{repository}`` stands.

    Raises:
        UsageError: it cannot be the name of one.
    """
    reference = Reference.parse(model.replace("{repository}", repository))
    if reference.scheme != "hf" or reference.revision is not None or reference.path:
        return lambda _: reference
    return lambda ref: _at(reference, ref)


def of_url(url: str) -> Target:
    """Of the repository of the Hub that a remote is.

    Raises:
        UsageError: it is none.
    """
    path = _hub_path(url)
    if path is None:
        # Not with the URL, which may have a token in it.
        raise UsageError(
            "which model is pushed cannot be told from the remote's URL, which is not one of the "
            f"Hub; say it once: git config {MODEL_SETTING} REF, such as s3://bucket/name or "
            "https://models.example.com/name, as the publishers of gate.yaml name it"
        )
    return configured(f"hf://{path}", "")


def of_remote(url: str, model: str | None, repository: str) -> Target:
    """Of a remote: its URL says which if it is one of the Hub, and the configuration if not.

    model: what the configuration names, if anything.
    repository: as of `configured`.

    Raises:
        UsageError: nobody says which; or the configuration names another than the URL.
    """
    if _hub_path(url) is None and model is not None:
        return configured(model, repository)
    target = of_url(url)
    if model is None:
        return target
    named, meant = (of(_DEFAULT_BRANCH).name for of in (configured(model, repository), target))
    if named.partition("@")[0] != meant:
        raise UsageError(
            f"{MODEL_SETTING} says that this repository is {named}, but the remote is {meant}, "
            f"which is another model; push there, or have it say so: git config {MODEL_SETTING} "
            f"{meant}"
        )
    return target


def _hub_path(url: str) -> str | None:
    if "://" in url:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None
        path = parts.path
        endpoint = urlsplit(os.environ.get("HF_ENDPOINT", ""))
        place = (parts.scheme, host, port)
        if place == (endpoint.scheme, endpoint.hostname, endpoint.port):
            path = path.removeprefix(endpoint.path.rstrip("/"))
        elif host not in _HUB_HOSTS or parts.scheme not in ("https", "http", "ssh", "git+ssh"):
            return None
    elif match := _SCP_LIKE.fullmatch(url):
        host, path = match["host"].lower(), match["path"]
        if host not in _HUB_HOSTS:
            return None
    else:
        return None
    return path.strip("/").removesuffix(".git") or None


def _at(reference: Reference, ref: str) -> Reference:
    if ref == _DEFAULT_BRANCH:
        return reference
    match = _BRANCH_OR_TAG.fullmatch(ref)
    if _UNDECODED.search(ref):
        raise UsageError(
            f"the name of {printable(ref)} is not UTF-8, so the Hub has none; rename it"
        )
    return Reference.parse(f"{reference.name}@{quote(match[1] if match else ref, safe='')}")
