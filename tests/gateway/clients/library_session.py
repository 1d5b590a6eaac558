"""Loads models as users of Python's libraries do, for a test that says which, one a line.

It runs in a process of its own, where HF_ENDPOINT and HF_HOME were set before any library read
them, and imports nothing of this project. A line in is a JSON list: how to load, the repository
and the files. A line out is the list of the files that were loaded (empty
where a library keeps them to itself), or null; what went wrong is on stderr, as users see it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

Load = Callable[[str, Sequence[str]], list[str]]


def hf_hub_download(repository: str, files: Sequence[str]) -> list[str]:
    """Each file by itself."""
    from huggingface_hub import hf_hub_download

    return [hf_hub_download(repository, file) for file in files]


def snapshot_download(repository: str, files: Sequence[str]) -> list[str]:
    """All files of the repository."""
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(repository))
    return [str(folder / file) for file in files]


def hf_file_system(repository: str, files: Sequence[str]) -> list[str]:
    """The bytes of each, through fsspec, which keeps no cache."""
    from huggingface_hub import HfFileSystem

    system = HfFileSystem(skip_instance_cache=True)
    found = []
    for file in files:
        copy = Path(os.environ["HF_HOME"]) / f"read-{file}"
        copy.write_bytes(system.cat_file(f"{repository}/{file}"))
        found.append(str(copy))
    return found


def transformers(repository: str, files: Sequence[str]) -> list[str]:
    """Its configuration and its tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    AutoConfig.from_pretrained(repository)
    AutoTokenizer.from_pretrained(repository)
    return []


def model2vec(repository: str, files: Sequence[str]) -> list[str]:
    """The model, which gives a vector."""
    from model2vec import StaticModel

    assert StaticModel.from_pretrained(repository).encode(["a"]).size
    return []


def tokenizers(repository: str, files: Sequence[str]) -> list[str]:
    """The tokenizer alone, from the package that is written in Rust."""
    from tokenizers import Tokenizer

    assert Tokenizer.from_pretrained(repository).encode("a").ids
    return []


LOADS: dict[str, Load] = {
    load.__name__: load
    for load in (
        hf_hub_download,
        snapshot_download,
        hf_file_system,
        transformers,
        model2vec,
        tokenizers,
    )
}


def main() -> None:
    """Answer line by line, until there is none."""
    for line in sys.stdin:
        how, repository, files = json.loads(line)
        found = None
        try:
            found = LOADS[how](repository, files)
        except Exception:
            traceback.print_exc()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
