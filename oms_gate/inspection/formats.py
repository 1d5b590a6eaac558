"""Files that run code when they are loaded, or that are not what their name says."""

from __future__ import annotations

import re

from oms_gate.inspection.archives import ReadRange, deflated, is_archive, names
from oms_gate.inspection.pickles import is_pickle, names_protocol
from oms_gate.policy.kinds import Kind, kind_of

_LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v\d\n")
_LFS_POINTER_BYTES = 1024

_RUNS_CODE = "and runs code when it is loaded; convert it to safetensors, or remove it"
_ARRAY_OF_OBJECTS = "a NumPy array of objects, which are pickled"
_UNREADABLE = (
    "is a zip archive whose directory is missing or too long to look into; save it again, or "
    "remove it"
)
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

# A header is the text of a dictionary. NumPy itself reads none that is longer.
_ARRAY_BEGIN = b"\x93NUMPY"
_ARRAY_HEADER = re.compile(_ARRAY_BEGIN + rb"[\x01-\x03].{3,5}?\{([^}]*+)", re.DOTALL)
_ARRAY_HEADER_BYTES = 10_000
_OBJECTS = re.compile(rb"'\|O\d{0,2}'")
_OFFSETS = re.compile(rb"\"data_offsets\"\s*:\s*\[\s*\d{1,20}\s*,\s*(\d{1,20})\s*\]")


def format_mistake(path: str, head: bytes, size: int | None, read: ReadRange) -> str | None:
    """What is wrong with a file's format, and what to do: the end of a sentence about it.

    head: the file's first bytes, or all of them.
    size: bytes, where that is known.
    read: gets more of the file.

    Raises:
        StoreError: the file cannot be read.
    """
    if _LFS_POINTER.match(head) and len(head) <= _LFS_POINTER_BYTES:
        return "is a Git LFS pointer, not the file: run git lfs pull"
    kind, extension = kind_of(path), path.lower().rpartition(".")[2]
    if not head and kind in ("weights", "pickle", "archive"):
        return "is empty; fetch or save it again"
    try:
        pickled, readable = _pickled(kind, head, size, read), True
    except ValueError:
        pickled, readable = None, False
    if pickled is not None:
        return f"is {pickled}, {_RUNS_CODE}"
    # What is called .bin may be anything.
    if kind == "pickle" and extension != "bin":
        return f"is a pickle to go by its name (.{extension}), {_RUNS_CODE}"
    if extension in ("safetensors", "sft"):
        return _safetensors_mistake(head, size)
    if extension in _BEGINNINGS:
        beginning, what = _BEGINNINGS[extension]
        if not beginning.match(head):
            return _NOT_SO.format(what)
    return None if readable else _UNREADABLE


def _pickled(kind: Kind, head: bytes, size: int | None, read: ReadRange) -> str | None:
    """Raises ValueError for an archive that cannot be looked into."""
    if is_archive(head):
        if _has_objects(head) or any(
            map(_has_objects, deflated(head, _ARRAY_BEGIN, _ARRAY_HEADER_BYTES))
        ):
            return _ARRAY_OF_OBJECTS
        if any(name.endswith((b".pkl", b".pickle")) for name in names(head, size, read)):
            return "an archive with a pickle in it, as of PyTorch"
    elif head.startswith(_ARRAY_BEGIN):
        return _ARRAY_OF_OBJECTS if _has_objects(head) else None
    elif kind == "pickle" or names_protocol(head):
        return "a pickle" if is_pickle(head, size is None or size > len(head)) else None
    return None


def _has_objects(head: bytes) -> bool:
    return any(_OBJECTS.search(header[1]) for header in _ARRAY_HEADER.finditer(head))


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
