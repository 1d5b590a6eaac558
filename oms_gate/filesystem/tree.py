"""The signed files of a model as folders and their entries."""

from __future__ import annotations

from typing import Any

from oms_gate.cache import CachedModel
from oms_gate.cache.contents import content_name


class Tree:
    """What is to be seen of one admitted model: its signed files, and the folders that hold them.

    A folder that has a signature of its own is shown too: it is a model in the model.
    """

    def __init__(self, model: CachedModel, signature: str) -> None:
        """
        signature: what a bundle is called in its model's folder.
        """
        assert model.verdict.signature is not None
        self._model = model
        self._hash_type = model.verdict.signature.hash_type
        self._folders: dict[str, dict[str, None]] = {"": {}}
        ending = f"/{signature}"
        for path in model.files:
            self._put(path)
        for path in model.listed:
            if path.endswith(ending):
                folder = path.removesuffix(ending)
                self._folders.setdefault(folder, {})
                self._put(folder)

    def entry(self, path: str) -> dict[str, Any] | None:
        """What fsspec says of a file or a folder, but for its name; None where there is neither."""
        if path in self._model.files:
            parts = self._model.parts(path)
            size = self._model.files[path] if parts[-1].end is None else parts[-1].end
            digest = content_name(parts, self._hash_type)
            return {"size": size, "type": "file", "digest": digest}
        return {"size": 0, "type": "directory"} if path in self._folders else None

    def children(self, folder: str) -> list[str]:
        """The paths of what is directly in a folder, in order."""
        return sorted(self._folders[folder])

    def _put(self, path: str) -> None:
        """Let a path be in its folder, and that in its own."""
        while path:
            folder = path.rpartition("/")[0]
            known = folder in self._folders
            self._folders.setdefault(folder, {})[path] = None
            if known:
                return
            path = folder
