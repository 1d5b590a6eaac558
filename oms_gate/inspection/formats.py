"""Files that run code when they are loaded, or that are not what their name says."""

from __future__ import annotations

import io
import re
from itertools import islice

from oms_gate.policy.kinds import kind_of

_LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v\d\n")
_LFS_POINTER_BYTES = 1024

_RUNS_CODE = "and runs code when it is loaded; convert it to safetensors, or remove it"
_NOT_SO = "is not {}, as its name says; save it again, or rename it"
_CUT_OFF = "is not complete: it says that it has {} bytes, and has {}; fetch or save it again"

# By the end of a name, what is before its point left out.
_BEGINNINGS = {
    "gguf": (re.compile(rb"GGUF"), "a GGUF file"),
    "npy": (re.compile(rb"\x93NUMPY"), "a NumPy array"),
    **dict.fromkeys(("npz", "zip"), (re.compile(rb"PK(?:\x03\x04|\x05\x06)"), "a zip archive")),
    # A block of the user's own may come first.
    **dict.fromkeys(
        ("h5", "hdf5"),
        (re.compile(rb"(?:|.{512}|.{1024}|.{2048})\x89HDF\r\n\x1a\n", re.DOTALL), "an HDF5 file"),
    ),
}

_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_PICKLE_BYTES = 4096
# So many that are well-formed, one after the other, are no accident.
_PICKLE_OPERATIONS = 3
_ZIP_ENTRY = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_PICKLED_ARRAY = re.compile(rb"\x93NUMPY[\x01-\x03].{3,5}\{[^}]{0,4096}?'\|O\d{0,2}'", re.DOTALL)
_OFFSETS = re.compile(rb"\"data_offsets\"\s*:\s*\[\s*\d{1,20}\s*,\s*(\d{1,20})\s*\]")


def format_mistake(path: str, head: bytes, size: int | None) -> str | None:
    """What is wrong with a file's format, and what to do: the end of a sentence about it.

    head: the file's first bytes, or all of them.
    size: bytes, where that is known.
    """
    if _LFS_POINTER.match(head) and len(head) <= _LFS_POINTER_BYTES:
        return "is a Git LFS pointer, not the file: run git lfs pull"
    kind, extension = kind_of(path), path.lower().rpartition(".")[2]
    if not head and kind in ("weights", "pickle", "archive"):
        return "is empty; fetch or save it again"
    if (pickled := _pickled(head)) is not None:
        return f"is {pickled}, {_RUNS_CODE}"
    # What is called .bin may be anything.
    if kind == "pickle" and extension != "bin":
        return f"is a pickle to go by its name (.{extension}), {_RUNS_CODE}"
    if extension in ("safetensors", "sft"):
        return _safetensors_mistake(head, size)
    if extension in _BEGINNINGS:
        beginning, what = _BEGINNINGS[extension]
        return None if beginning.match(head) else _NOT_SO.format(what)
    return None


def _pickled(head: bytes) -> str | None:
    if _PICKLE.match(head):
        return "a pickle" if _is_pickle(head[:_PICKLE_BYTES]) else None
    if head.startswith(b"PK"):
        for entry in _ZIP_ENTRY.finditer(head):
            length = int.from_bytes(entry[1], "little")
            if head[entry.end() : entry.end() + length].endswith((b".pkl", b".pickle")):
                return "an archive with a pickle in it, as of PyTorch"
    if head.startswith((b"PK", b"\x93NUMPY")) and _PICKLED_ARRAY.search(head):
        return "a NumPy array of objects, which are pickled"
    return None


def _is_pickle(head: bytes) -> bool:
    import pickletools

    try:
        operations = list(islice(pickletools.genops(io.BytesIO(head)), _PICKLE_OPERATIONS))
    except ValueError:
        return False
    return len(operations) == _PICKLE_OPERATIONS


def _safetensors_mistake(head: bytes, size: int | None) -> str | None:
    header_end = 8 + int.from_bytes(head[:8], "little")
    if head[8:9] != b"{":
        return _NOT_SO.format("a safetensors file")
    if size is None:
        return None
    # A header that goes on after `head` does not tell where the data ends.
    offsets = _OFFSETS.findall(head, 8, header_end) if header_end <= len(head) else []
    end = header_end + max(map(int, offsets), default=0)
    return _CUT_OFF.format(end, size) if end > size else None
