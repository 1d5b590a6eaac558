"""huggingface_hub's functions that hand out files, served from what was verified."""

from __future__ import annotations

import inspect
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from functools import partial, wraps
from pathlib import Path
from typing import Any

from oms_gate.cache import CachedModel
from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.loading.admitted import Admitted, Current, letting_through
from oms_gate.loading.hub_errors import as_library_error, is_not_there, missing_file, missing_here
from oms_gate.loading.progress import fetch, fetched
from oms_gate.loading.swaps import Swaps, unknown

_COPY_BYTES = 1024 * 1024
# What says how to transfer, or for whom, and not what: verified files need none of it.
_HOW = frozenset(
    {
        "dry_run",
        "etag_timeout",
        "force_download",
        "force_filename",
        "headers",
        "library_name",
        "library_version",
        "local_dir_use_symlinks",
        "max_workers",
        "proxies",
        "resume_download",
        "tqdm_class",
        "user_agent",
    }
)


def swap_calls(swaps: Swaps, current: Current) -> None:
    """Let the functions serve verified files, for whoever has imported them.

    Raises:
        ConfigError: the library is not made as it was expected.
    """
    from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache

    served: tuple[tuple[Any, Callable[..., Any]], ...] = (
        (hf_hub_download, _file),
        (snapshot_download, _snapshot),
        (try_to_load_from_cache, _from_cache),
    )
    for function, serve in served:
        taken = inspect.signature(function).parameters
        wanted = list(inspect.signature(serve).parameters)[1:]
        if lacking := [name for name in wanted if name not in taken]:
            raise unknown(f"{function.__name__} has no parameter {lacking[0]}")
        known = _HOW.union(wanted)
        swaps.wrapped(function, partial(_guarded, serve, known, current))


def _guarded(
    serve: Callable[..., Any],
    known: Collection[str],
    current: Current,
    original: Callable[..., Any],
) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @wraps(original)  # Its decorators speak of it by its name.
    def guarded(*args: Any, **kwargs: Any) -> Any:
        models = current()
        if models is None:
            return original(*args, **kwargs)
        asked = signature.bind(*args, **kwargs).arguments
        if asked.get("dry_run"):  # Nothing but the listing is looked at.
            return original(*args, **kwargs)
        try:
            if strange := sorted(asked.keys() - known):
                raise models.refusal(
                    f"hf://{asked['repo_id']}",
                    f"{original.__name__} was given {strange[0]}, and what that does is not known "
                    "to the guard; leave it out",
                )
            return serve(models, **{name: asked[name] for name in asked.keys() - _HOW})
        except AdmissionDenied as denied:
            if not denied.verdict.lets_through:
                error = as_library_error(denied)
                if error is denied:
                    raise
                raise error from denied.__cause__
            if not is_not_there(denied):
                models.warn(denied)
        with letting_through():
            return original(*args, **kwargs)

    return guarded


def _file(
    models: Admitted,
    repo_id: str,
    filename: str,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    token: bool | str | None = None,
    endpoint: str | None = None,
    local_files_only: bool = False,
) -> str:
    """``hf_hub_download``."""
    offline = local_files_only or is_offline()
    model = models.model(
        models.reference(repo_type, repo_id, revision),
        cache_dir=cache_dir,
        options=store_options(token, endpoint),
        offline=offline,
    )
    name = f"{subfolder}/{filename}" if subfolder else filename
    path = verified_file(models, model, name, offline)
    return str(path if local_dir is None else _copy(models, model, name, _folder(local_dir)))


def verified_file(models: Admitted, model: CachedModel, name: str, offline: bool = False) -> Path:
    """A signed file of a model, verified.

    Raises:
        AdmissionDenied: it is not what was signed; or it is not signed, and the gate annotates.
        Exception: huggingface_hub's own, where there is no such signed file.
    """
    url = model.reference.url
    if name in model.files:
        path = model.present(name) if offline else fetched(model, name)
        if path is not None:
            return path
        raise missing_here(f"{name} of {url} was not verified before, and no request may be made")
    if name in model.listed:
        message = f"{name} of {url} is not covered by the model's signature, so it is not used"
        if models.annotates:
            raise models.refusal(model.reference.name, message)
        raise missing_file(f"{url}/{name}", message)
    raise missing_file(f"{url}/{name}", f"404 Client Error: Entry Not Found: {url} has no {name}")


def _snapshot(
    models: Admitted,
    repo_id: str,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    token: bool | str | None = None,
    endpoint: str | None = None,
    local_files_only: bool = False,
    allow_patterns: list[str] | str | None = None,
    ignore_patterns: list[str] | str | None = None,
) -> str:
    """``snapshot_download``."""
    from huggingface_hub.utils._paths import filter_repo_objects

    offline = local_files_only or is_offline()
    model = models.model(
        models.reference(repo_type, repo_id, revision),
        cache_dir=cache_dir,
        options=store_options(token, endpoint),
        offline=offline,
    )
    names = list(
        filter_repo_objects(
            sorted(model.files), allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
    )
    _bring(model, names, offline)
    if local_dir is None:
        model.check_folder()
        return str(model.folder)
    folder = _folder(local_dir)
    for name in names:
        _copy(models, model, name, folder)
    return str(folder)


def _bring(model: CachedModel, names: Iterable[str], offline: bool) -> None:
    if not offline:
        fetch(model, names)
    elif absent := [name for name in names if model.present(name) is None]:
        raise missing_here(
            f"{len(absent)} files of {model.reference.url} were not verified before ({absent[0]}), "
            "and no request may be made"
        )


def _from_cache(
    models: Admitted,
    repo_id: str,
    filename: str,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    repo_type: str | None = None,
) -> object:
    """``try_to_load_from_cache``: it raises nothing, so what is denied is not in it."""
    from huggingface_hub import _CACHED_NO_EXIST

    try:
        reference = models.reference(repo_type, repo_id, revision)
        if not models.annotates and models.was_refused(reference):
            return None  # Libraries look here after a denial, too, for what was there before.
        # To say why a model is denied, an annotating gate has to decide now: nobody asks again.
        offline = not models.annotates or is_offline()
        model = models.model(reference, cache_dir=cache_dir, offline=offline)
        if filename not in model.files:
            return _CACHED_NO_EXIST
        path = model.present(filename)
    except UsageError:
        return None
    except AdmissionDenied:
        if models.annotates:
            raise
        return None
    return None if path is None else str(path)


def store_options(token: bool | str | None, endpoint: str | None) -> dict[str, Any]:
    """What a call says about how the Hub is reached."""
    options = {"token": token, "endpoint": endpoint}
    return {name: value for name, value in options.items() if value is not None}


def is_offline() -> bool:
    """Whether this process is told to ask nothing of the Hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _folder(named: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(os.path.expanduser(named)))


def _copy(models: Admitted, model: CachedModel, name: str, folder: Path) -> Path:
    """Put a copy of a verified file where the caller wants one, complete or not at all."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(8)}.incomplete")
    try:
        with model.open(name) as source, part.open("xb") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    models.copies.add(target)
    return target
