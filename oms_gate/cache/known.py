"""What is known of models that were admitted: what a commit holds, and what a branch named last.

It spares requests, and is no verdict: the signature is verified and the policy asked each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, TypeAdapter, ValidationError

from oms_gate.admission import Admission
from oms_gate.cache.layout import KNOWN, Layout
from oms_gate.cache.view import write_whole
from oms_gate.delivery.folders import content_of, opened
from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot, StoredFile
from oms_gate.stores.hub import HubStore
from oms_gate.verdict import Verdict


class KnownModel(BaseModel):
    """A model at a revision that was admitted.

    url: with the revision, on the Hub.
    view: the folder of its files, below the cache's.
    files: path, size in bytes, declared SHA-256 and version of each file of the listing.
    location, signature: the bundle's path in the listing, or URL; and its content.
    verdict: the last one.
    single: whether it is a single file: its listing is not used again, as its signature, which is
        no part of that, has to be asked for anyway.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    view: str
    files: tuple[tuple[str, int | None, str | None, str | None], ...]
    location: str
    signature: Base64Bytes
    verdict: Verdict
    single: bool = False


class Known:
    """The records of a cache. A damaged one counts as none."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.folder / KNOWN
        self._cache = layout.folder

    def commit(self, store: HubStore, reference: Reference) -> str | None:
        """What a branch named when a model was last admitted by that name."""
        with suppress(OSError, ValidationError):
            content = self._file(reference, store.endpoint, "txt").read_bytes()
            return TypeAdapter(str).validate_json(content)
        return None

    def snapshot(
        self, store: HubStore, reference: Reference, *, offline: bool = False
    ) -> Snapshot | None:
        """The listing of a repository at a commit, as its store gave it; None if it is not known.

        Its bytes come from the store, but for the signature.

        offline: let no byte come from the store.
        """
        with suppress(OSError, ValidationError):
            known = KnownModel.model_validate_json(
                self._file(reference, store.endpoint, "json").read_bytes()
            )
            if known.url == reference.url and not known.single:
                files = [StoredFile(*file) for file in known.files]
                listed = store.known(reference, files)
                if offline:
                    listed = replace(listed, read_range=_offline)
                return _with_content(listed, known)
        return None

    def remember(
        self, named: Reference, admission: Admission, view: Path, endpoint: str = ""
    ) -> None:
        """Write down that a model was admitted.

        named: as it was asked for.
        endpoint: whose answers these are.
        """
        snapshot = admission.snapshot
        pinned = snapshot.reference
        known = KnownModel(
            url=pinned.url,
            view=view.relative_to(self._cache).as_posix(),
            files=tuple((f.path, f.size, f.sha256, f.version) for f in snapshot.files.values()),
            location=admission.bundle.location,
            signature=b"",
            verdict=admission.verdict,
            single=snapshot.single,
        ).model_copy(update={"signature": admission.bundle.content})
        write_whole(self._file(pinned, endpoint, "json"), known.model_dump_json().encode())
        if named != pinned and pinned.revision is not None:
            commit = json.dumps(pinned.revision).encode()
            write_whole(self._file(named, endpoint, "txt"), commit)

    def all(self) -> Iterator[tuple[str, KnownModel | None]]:
        """The name of each record's file, and the record: None for one that is damaged.

        The file's time of modification is that of the last use.
        """
        for name, content in self._contents(".json"):
            known = None
            with suppress(ValidationError):
                known = KnownModel.model_validate_json(content)
            yield name, known

    def commits(self) -> Iterator[tuple[str, str | None]]:
        """The name of each file that says what a branch named, and the commit, as `all`."""
        for name, content in self._contents(".txt"):
            commit = None
            with suppress(ValidationError):
                commit = TypeAdapter(str).validate_json(content)
            yield name, commit

    def _contents(self, ending: str) -> Iterator[tuple[str, bytes]]:
        with opened(str(self._folder)) as folder, os.scandir(folder) as scan:
            for name in sorted(entry.name for entry in scan):
                if name.endswith(ending):
                    content = None
                    with suppress(OSError):
                        content = content_of(folder, name)
                    yield name, content or b""

    def _file(self, reference: Reference, endpoint: str, ending: Literal["json", "txt"]) -> Path:
        if reference.scheme == "hf" and reference.revision is None:
            # Clients of the Hub name its default branch or leave it out.
            reference = reference.at("main")
        name = hashlib.sha256(f"{endpoint}\0{reference.url}".encode()).hexdigest()
        return self._folder / f"{name}.{ending}"


def _offline(file: StoredFile, *_: object) -> Iterator[bytes]:
    raise StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"{file.path} is not in the cache yet, and no request may be made for it; load the model "
        "once without local_files_only",
        path=file.path,
    )


def _with_content(snapshot: Snapshot, known: KnownModel) -> Snapshot:
    """The same snapshot, whose signature needs not be asked for."""
    if known.location not in snapshot.files:
        return snapshot
    read = snapshot.read_range

    def read_range(
        file: StoredFile, start: int, end: int | None, buffer: memoryview
    ) -> Iterator[bytes | memoryview]:
        if file.path == known.location:
            return iter([known.signature[start:end]])
        return read(file, start, end, buffer)

    return replace(snapshot, read_range=read_range)
