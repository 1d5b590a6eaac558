"""Pulling into a folder that is laid out as huggingface_hub's cache, for who looks there by name.

::

    models--org--name/snapshots/<commit>/...    what a pull delivers
    models--org--name/refs/<name>               the commit, for who asks for a branch or tag

With HF_HUB_CACHE naming the folder and HF_HUB_OFFLINE=1, all that is built on huggingface_hub
finds the model by its name and writes nothing, so the folder may be read-only for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oms_gate.delivery.access import Access
from oms_gate.delivery.folders import around, content_of, opened
from oms_gate.delivery.place import STAGE, Place
from oms_gate.delivery.publishing import write_file
from oms_gate.delivery.pull import Pull, Source, Transfer
from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.hub_api import COMMIT

_DEFAULT_REF = "main"
_REF = "ref"
# What git allows in the name of a branch or tag, but for what could lead out of the folder refs.
_REF_PART = re.compile(r"(?!\.)[^\x00-\x20\x7f~^:?*\[\\/\ud800-\udfff]{1,200}(?<!\.lock)(?<!\.)")
_SEPARATOR = "--"


@dataclass(frozen=True)
class HubCache:
    """A folder that is, or will be, laid out as huggingface_hub's cache.

    ref: the branch or tag by which a model is found there, besides its commit; None for the one
        that its reference names, and where that is a commit or none, ``main``.
    """

    folder: str | os.PathLike[str]
    ref: str | None = None

    def pull(
        self, model: Reference, include: Collection[str] = (), exclude: Collection[str] = ()
    ) -> HubCachePull:
        """The pull of a model into it.

        include, exclude: patterns, see `Selection`.

        Raises:
            UsageError: the model is no whole repository of the Hub, the name of the branch is
                none, or the folder cannot be one.
        """
        if model.scheme != "hf" or model.path:
            raise UsageError(
                f"{model} is not a repository of the Hub, of which a cache for it is made; name "
                "hf://organization/name[@revision], or pull into a folder of its own"
            )
        ref = self.ref
        if ref is None:
            named = model.revision
            ref = _DEFAULT_REF if named is None or COMMIT.fullmatch(named.lower()) else named
        _check_ref(ref)
        cache = Place.of(self.folder).folder
        return HubCachePull(cache, _folder_name(model), ref, tuple(include), tuple(exclude))


@dataclass(frozen=True)
class HubCachePull:
    """The pull of one model into a cache; where it will be is known with its commit.

    cache: absolute, links resolved.
    repository: the folder of the repository in it.
    """

    cache: Path
    repository: str
    ref: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def snapshot(self, commit: str) -> Path:
        """The folder with the files of the model at a commit."""
        return self.cache / self.repository / "snapshots" / commit

    @contextmanager
    def begin(self, source: Source, limits: Limits, deadline: float) -> Iterator[Transfer]:
        """As of `Pull`."""
        commit = source.snapshot.revision
        # Beside the repositories, so that there is none of a model that is denied.
        stage = self.cache / f".{self.repository}.{commit}{STAGE}"
        pull = Pull(
            Place(self.snapshot(commit), stage, in_place=False),
            self.include,
            self.exclude,
            last=partial(self._name, commit),
        )
        with pull.begin(source, limits, deadline) as transfer:
            yield transfer

    def _name(self, commit: str, stage: int, access: Access) -> None:
        """Let the branch or tag lead to a commit that is there."""
        path, content = f"refs/{self.ref}", commit.encode()
        with opened(str(self.cache / self.repository)) as repository:
            if content_of(repository, path) == content:
                return
            write_file(stage, _REF, content, access)
            with around(repository, path, access) as (here, name):
                os.rename(_REF, name, src_dir_fd=stage, dst_dir_fd=here)
                os.fsync(here)


def _check_ref(name: str) -> None:
    parts = name.split("/")
    if not all(map(_REF_PART.fullmatch, parts)) or ".." in name or "@{" in name:
        raise UsageError(
            f"{name!r} cannot be the name of a branch or tag; give one such as main or v1.0"
        )
    if COMMIT.fullmatch(name.lower()):
        raise UsageError(
            f"{name} is a commit, by which a model is always found; name a branch or tag"
        )


def _folder_name(model: Reference) -> str:
    kind, _, name = model.location.partition("/")
    if kind not in ("datasets", "spaces") or not name:
        kind, name = "models", model.location
    if _SEPARATOR in name:
        # The Hub has none, and in the cache it would be the name of another repository.
        raise UsageError(f"{model} is no repository that the Hub can have: its name has '--' in it")
    return _SEPARATOR.join((kind, *name.split("/")))
