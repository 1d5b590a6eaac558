"""The files that clients may have, in the Hub's words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from oms_gate.gateway.entries import Entry, pointer_of
from oms_gate.gateway.origins import Described


def siblings(listed: Mapping[str, Entry], *, blobs: bool) -> list[dict[str, Any]]:
    """The files as ``/api/models/{name}`` has them; with sizes and digests, if that is asked."""
    return [
        {"rfilename": path} | (_blob(entry) | {"blobId": entry.blob_id} if blobs else {})
        for path, entry in listed.items()
    ]


def tree(
    listed: Mapping[str, Entry], folder: str, *, recursive: bool
) -> list[dict[str, Any]] | None:
    """What is in a folder, as ``/api/models/{name}/tree/...`` has it; None where there is none."""
    prefix = folder + "/" if folder else ""
    inside = {path: entry for path, entry in listed.items() if path.startswith(prefix)}
    if folder and not inside:
        return None
    found: dict[str, dict[str, Any]] = {}
    for path, entry in inside.items():
        for above in _folders(path, prefix):
            found.setdefault(above, _folder(above))
            if not recursive:
                break
        else:
            found[path] = _file(path, entry)
    return list(found.values())


def paths_info(listed: Mapping[str, Entry], paths: list[str]) -> list[dict[str, Any]]:
    """What is at each path where there is something, as ``.../paths-info/...`` has it."""
    found = []
    # There may be as many of the one as of the other.
    folders = {folder for path in listed for folder in _folders(path, "")}
    for path in dict.fromkeys(paths):
        if path in listed:
            found.append(_file(path, listed[path]))
        elif path in folders:
            found.append(_folder(path))
    return found


def expanded(found: list[dict[str, Any]], described: Described) -> list[dict[str, Any]]:
    """Entries with the commit that each is of, where clients ask for more of it.

    The Hub has the last one that changed the file there; the file is the same.
    """
    last = {"id": described.commit, "title": "", "date": described.date}
    return [entry | {"lastCommit": last} for entry in found]


def _folders(path: str, prefix: str) -> Iterator[str]:
    """The folders of a path below a prefix, the outermost first."""
    parts = path.removeprefix(prefix).split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield prefix + "/".join(parts[:count])


def _folder(path: str) -> dict[str, Any]:
    return {
        "type": "directory",
        "oid": hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest(),
        "size": 0,
        "path": path,
    }


def _file(path: str, entry: Entry) -> dict[str, Any]:
    return {"type": "file", "oid": entry.blob_id, "path": path} | _blob(entry)


def _blob(entry: Entry) -> dict[str, Any]:
    if entry.file.sha256 is None:
        return {"size": entry.size}
    pointer = len(pointer_of(entry.file))
    sha256 = entry.file.sha256
    lfs = {"oid": sha256, "sha256": sha256, "size": entry.size, "pointerSize": pointer}
    return {"size": entry.size, "lfs": lfs}
