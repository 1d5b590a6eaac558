"""What writes, refused: fsspec's own defaults do nothing, and say nothing, in some places."""

from __future__ import annotations

import errno
from typing import Any, NoReturn

from fsspec.implementations.chained import ChainedFileSystem


class ReadOnlyFileSystem(ChainedFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A chained file system whose writing methods raise an `OSError` with ``EROFS``."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise OSError(
            errno.EROFS,
            "oms:: is for reading only; write to the store itself, and sign the model again",
        )

    mkdir = makedirs = mkdirs = makedir = rmdir = rm = rm_file = _rm = delete = _refuse
    touch = pipe = pipe_file = write_bytes = write_text = put = put_file = upload = _refuse
    cp_file = copy = cp = mv = move = rename = _refuse
