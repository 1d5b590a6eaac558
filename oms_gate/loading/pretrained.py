"""Loading one model: it is admitted first, and its library gets signed files only."""

from __future__ import annotations

import copy
import hashlib
import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from oms_gate.cache import CachedModel
from oms_gate.cache.layout import Layout
from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.loading.guard import Guard, guard
from oms_gate.loading.hub_calls import store_options
from oms_gate.loading.opened import verified_only
from oms_gate.loading.progress import fetch, fetched
from oms_gate.reference import Reference

_Class = TypeVar("_Class", bound=type)

# What libraries call the model where it is not what they take first.
_NAMES = ("pretrained_model_name_or_path", "model_id", "model_name_or_path")
# What is honoured here, whether the library knows it or not.
_OURS = ("revision", "token", "cache_dir", "local_files_only")
# What runs when nothing is looked at any more.
_LATER = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def from_pretrained(
    cls: Any,
    name_or_url: str | os.PathLike[str],
    *args: Any,
    gate: Gate | None = None,
    filename: str | None = None,
    **kwargs: Any,
) -> Any:
    """Load a model with its own library, if it is admitted; see ``docs/loading.md``.

    Whatever the library loads on the way (code, a tokenizer, a base model) must be admitted, too:
    a guard is on meanwhile. In ``mode: annotate`` a denied model is loaded with a warning.

    cls: what has a ``from_pretrained``, such as a class of transformers, diffusers, peft or
        model2vec; or what is called with a model, such as ``transformers.pipeline`` and
        ``SentenceTransformer``; or with a file of one, such as ``safetensors.numpy.load_file``.
    name_or_url: a repository of the Hub (``org/name``), any model reference (``s3://...``,
        ``hf://org/name@revision``), or a folder. Of what is not a repository as a whole, all
        signed files are fetched first.
    args, kwargs: for the library. `revision`, `token`, `cache_dir` and `local_files_only` mean
        what they mean to transformers, also where the library does not know them.
    gate: what decides; None for that of the guard that is on, or else the one that
        ``OMS_GATE_CONFIG`` configures.
    filename: the file that `cls` is called with; without it, the only one in safetensors format.

    Raises:
        AdmissionDenied: the model, or one that it needs, is denied; it has the verdict.
        UsageError: there is no such file, `name_or_url` cannot be a model, or `cls` is a
            coroutine or a generator.
        ConfigError: there is no usable configuration.
    """
    loader = getattr(cls, "from_pretrained", cls)
    if any(is_later(loader) for is_later in _LATER):
        raise UsageError(
            f"{loader.__qualname__} is a coroutine or a generator, which loads after it was "
            "called; use from_pretrained in it"
        )
    parameters = _parameters(loader)
    reference = _reference(name_or_url, kwargs.get("revision"))
    if filename is not None and "filename" in list(parameters)[1:]:
        # Of the library's own words, such as llama.cpp's.
        kwargs["filename"], filename = filename, None
    one = filename is not None or next(iter(parameters), None) == "filename"
    with _lasting(guard(gate)) as on:
        load = _Load(on, reference, kwargs)
        if load.is_repository and reference.revision is not None:
            kwargs["revision"] = reference.revision
        place: str | Path
        if one:
            place = load.file(filename)
        elif load.is_repository and all(map(_takes(parameters), kwargs.keys() & set(_OURS))):
            load.decide()
            place = reference.location
        else:
            place = load.folder()
            kwargs.pop("revision", None)
        for name in _OURS:
            if one or not _takes(parameters)(name):
                kwargs.pop(name, None)
        with verified_only(on.models, place):
            loaded = _called(loader, parameters, str(place), args, kwargs)
        on.models.check_failures()
        return loaded


class VerifiedMixin:
    """For a class that has a ``from_pretrained``: of this one it refuses what is not admitted.

    class MyModel(VerifiedMixin, BertModel): ...
    """

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """See `oms_gate.from_pretrained`. The model may be named by keyword, as libraries allow."""
        if not args:
            args = tuple(kwargs.pop(name) for name in ("name_or_url", *_NAMES) if name in kwargs)
        return from_pretrained(super(), *args, **kwargs)


def verified(cls: _Class) -> _Class:
    """A class decorator: the same class with `VerifiedMixin`."""
    described = {"__doc__": cls.__doc__, "__module__": cls.__module__}
    gated: _Class = type(cls)(cls.__name__, (VerifiedMixin, cls), described)
    return gated


class _Load:
    """One model for one call of its library."""

    def __init__(self, on: Guard, reference: Reference, kwargs: Mapping[str, Any]) -> None:
        self._on = on
        self._reference = reference
        self._cache_dir = kwargs.get("cache_dir")
        token = kwargs.get("token")
        self._options = store_options(token, None) if reference.scheme == "hf" else None
        self._offline = bool(kwargs.get("local_files_only"))

    @property
    def is_repository(self) -> bool:
        """Whether libraries know it by its name."""
        return self._reference.scheme == "hf" and not self._reference.path

    def decide(self) -> CachedModel | None:
        """The model; None where it is denied and used all the same.

        Raises:
            AdmissionDenied: it is denied.
        """
        models = self._on.models
        try:
            return models.model(
                self._reference,
                cache_dir=self._cache_dir,
                options=self._options,
                offline=self._offline,
            )
        except AdmissionDenied as denied:
            if not denied.verdict.lets_through:
                raise
            models.warn(denied)
            return None

    def folder(self) -> Path:
        """The folder with all of its signed files."""
        if (model := self.decide()) is None:
            return self._as_it_is()
        fetch(model, model.files)
        model.check_folder()
        return model.folder

    def file(self, name: str | None) -> Path:
        """One file of it."""
        if (model := self.decide()) is None:
            folder = self._as_it_is()
            paths = [path for path in folder.rglob("*") if path.is_file()]
            return folder / self._one(name, [path.relative_to(folder).as_posix() for path in paths])
        return fetched(model, self._one(name, model.files))

    def _one(self, name: str | None, names: Collection[str]) -> str:
        found = [path for path in names if path.endswith(".safetensors")]
        if name is None and len(found) != 1:
            raise UsageError(
                f"{self._reference.url} has {len(found)} signed files in safetensors format; name "
                "one by filename="
            )
        if (name := name or found[0]) not in names:
            raise UsageError(f"{self._reference.url} has no signed file {name}")
        return name

    def _as_it_is(self) -> Path:
        """The folder of a model that is denied and used all the same."""
        if self._reference.is_local:
            return Path(self._reference.location)
        layout = Layout.of(self._on.cache_folder)
        digest = hashlib.sha256(self._reference.url.encode()).hexdigest()
        folder = layout.folder / "unverified" / digest
        return self._on.gate.pull(self._reference, folder, context={"operation": "load"})


def _reference(name_or_url: str | os.PathLike[str], revision: str | None) -> Reference:
    """What is meant, as the libraries themselves would have it: a folder goes first."""
    name = os.fspath(name_or_url)
    is_url = "://" in name
    # No repository is called like these, whether there is such a folder or not.
    is_path = isinstance(name_or_url, os.PathLike) or name.startswith(("/", ".", "~"))
    if not is_url and (is_path or os.path.isdir(name)):  # noqa: PTH112
        name = os.path.abspath(os.path.expanduser(name))
    elif not is_url:
        name = f"hf://{name}"
    reference = Reference.parse(name)
    if revision is None:
        return reference
    if reference.scheme != "hf" or reference.revision is not None:
        raise UsageError(
            f"revision={revision!r} has no meaning for {reference.url}; leave it out, or name a "
            "repository of the Hub without a revision in its URL"
        )
    return Reference.parse(f"{reference.name}@{quote(revision, safe='')}")


@contextmanager
def _lasting(on: Guard) -> Iterator[Guard]:
    """The same guard, whose decisions last: a model is of one commit and was judged by one policy,
    however long it loads."""
    with on.gate.held() as now:
        gate = copy.copy(now)
        lasting = {"decision_seconds": gate.limits.total_seconds}
        gate.limits = gate.limits.model_copy(update=lasting)
        with Guard(gate, on.cache_folder) as same:
            yield same


def _parameters(loader: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What a library's function takes, as far as that can be seen."""
    with suppress(TypeError, ValueError):
        return inspect.signature(loader).parameters
    return {}


def _takes(parameters: Mapping[str, inspect.Parameter]) -> Callable[[str], bool]:
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return lambda name: anything or name in parameters


def _called(
    loader: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    place: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    names = [*_NAMES, *(["model"] if getattr(loader, "__name__", "") == "pipeline" else [])]
    first = next(iter(parameters), None)
    for name in names:
        if name in parameters and name != first:
            return loader(*args, **{name: place}, **kwargs)
    return loader(place, *args, **kwargs)
