"""Repositories of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from oms_gate import __version__
from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reference import Reference
from oms_gate.stores.http import HttpReader, RemoteFile
from oms_gate.stores.snapshot import Snapshot, StoredFile, listed
from oms_gate.stores.store import StoreSettings, translated, within
from oms_gate.verdict import ReasonCode

_KINDS = {"datasets": "dataset", "spaces": "space"}


class HubStore:
    """The Hub, or a server that speaks its protocol (``HF_ENDPOINT``).

    A branch or tag is resolved to a commit once; everything after names the commit. Large files
    have a SHA-256 in the listing, which is their declared digest.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        from huggingface_hub import HfApi

        options = settings.options.get("hf", {})
        self._api = HfApi(
            endpoint=options.get("endpoint"),
            token=options.get("token"),
            library_name="oms-gate",
            library_version=__version__,
        )
        self._limits = limits
        host = urlsplit(self._api.endpoint).hostname or ""
        self._reader = HttpReader(limits, frozenset({host, *settings.private_hosts}))

    def snapshot(self, reference: Reference) -> Snapshot:
        """See `Store.snapshot`."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        kind, repository = _repository(reference)
        commit, entries = within(
            self._limits.listing_seconds, lambda: self._list(reference, kind, repository)
        )
        headers = build_hf_headers(token=self._api.token)
        single = len(entries) == 1 and entries[0].path == reference.path
        root = reference.path.rpartition("/")[0] if single else reference.path
        prefix = root + "/" if root else ""
        files = [
            StoredFile(
                entry.path.removeprefix(prefix),
                entry.size,
                sha256=entry.lfs.sha256 if entry.lfs else None,
                version=entry.lfs.sha256 if entry.lfs else entry.blob_id,
            )
            for entry in entries
        ]

        def read_range(file: StoredFile, start: int, end: int | None) -> Iterator[bytes]:
            url = hf_hub_url(
                repository,
                prefix + file.path,
                repo_type=kind,
                revision=commit,
                endpoint=self._api.endpoint,
            )
            expected = {"X-Repo-Commit": commit}
            if file.sha256 is not None:
                expected |= {"X-Linked-Etag": file.sha256, "X-Linked-Size": str(file.size)}
            remote = RemoteFile(
                file.path, lambda: url, headers=headers, size=file.size, expected=expected
            )
            return self._reader.chunks(remote, start, end)

        return Snapshot(
            reference.at(commit),
            listed(files, self._limits),
            single,
            read_range,
            self._reader.abort,
        )

    def _list(self, reference: Reference, kind: str, repository: str) -> tuple[str, list[Any]]:
        """The commit, and the entries of the tree at or below the reference's path."""
        from huggingface_hub.hf_api import RepoFile

        api, revision, path = self._api, reference.revision, reference.path
        with translated(lambda error: _store_error(error, reference, api.endpoint)):
            info = api.repo_info(repository, revision=revision, repo_type=kind)
            commit = info.sha
            if not isinstance(commit, str) or not commit:
                raise StoreError(
                    ReasonCode.STORE_PROTOCOL,
                    f"the Hub does not say at which commit {reference} is",
                )
            if info.id != repository:
                raise StoreError(
                    ReasonCode.STORE_RENAMED,
                    f"the Hub answers for {repository} with {info.id}: it was renamed or moved; "
                    "use the new name, if that is the publisher you mean",
                )
            if path:
                found = api.get_paths_info(repository, [path], revision=commit, repo_type=kind)
                if not found:
                    raise StoreError(
                        ReasonCode.STORE_NOT_FOUND,
                        f"{repository} has no {path} at revision {commit}",
                    )
                if isinstance(found[0], RepoFile):
                    return commit, [found[0]]
            tree = api.list_repo_tree(
                repository, path or None, recursive=True, revision=commit, repo_type=kind
            )
            entries = []
            for entry in tree:
                if isinstance(entry, RepoFile):
                    entries.append(entry)
                if len(entries) > self._limits.files:
                    break
            return commit, entries


def _repository(reference: Reference) -> tuple[str, str]:
    first, _, rest = reference.location.partition("/")
    if first in _KINDS:
        return _KINDS[first], rest
    return "model", reference.location


def _store_error(error: Exception, reference: Reference, endpoint: str) -> StoreError:
    from huggingface_hub import errors

    name = reference.url
    table: list[tuple[type[Exception], ReasonCode, str]] = [
        (
            errors.GatedRepoError,
            ReasonCode.STORE_GATED,
            f"access to {name} must be requested from its publisher on the Hub first",
        ),
        (
            errors.RepositoryNotFoundError,
            ReasonCode.STORE_NOT_FOUND,
            f"{endpoint} has no repository {name}, or its token (HF_TOKEN) may not see it",
        ),
        (
            errors.RevisionNotFoundError,
            ReasonCode.STORE_REVISION_NOT_FOUND,
            f"{name} names a revision that the repository does not have",
        ),
        (
            errors.EntryNotFoundError,
            ReasonCode.STORE_NOT_FOUND,
            f"the repository has no {reference.path or 'files'} ({name})",
        ),
        (
            errors.OfflineModeIsEnabled,
            ReasonCode.STORE_UNAVAILABLE,
            "HF_HUB_OFFLINE is set, so the Hub is not asked; verify the local folder instead",
        ),
        (
            errors.HFValidationError,
            ReasonCode.STORE_NOT_FOUND,
            f"{name} is not a name that the Hub can have",
        ),
    ]
    for cause, code, message in table:
        if isinstance(error, cause):
            return StoreError(code, message)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN,
            f"{endpoint} refuses access to {name} (HTTP {status}); check HF_TOKEN",
        )
    if status is not None and status < 500 and status != 429:
        return StoreError(
            ReasonCode.STORE_PROTOCOL, f"{endpoint} answered HTTP {status} for {name}"
        )
    if status is None and isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"{endpoint} gave a listing of {name} that is not as the Hub writes it",
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"{endpoint} could not be asked for {name}"
        + (f" (HTTP {status})" if status else "; is it up, and is the network?"),
    )
