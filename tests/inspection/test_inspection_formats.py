"""What runs code when it is loaded is not published, nor what is not what its name says."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate.inspection.search import HEAD_BYTES
from oms_gate.inspection.settings import PublishSettings
from oms_gate.reason_codes import ReasonCode
from tests import models
from tests.inspection.looking import look

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return content.getvalue()


def late(*names: str, comment: bytes = b"") -> bytes:
    """An archive whose files come after more than is read of most."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("first", bytes(HEAD_BYTES))
        for name in names:
            archive.writestr(name, b"content")
        archive.comment = comment
    return content.getvalue()


def large(archive: bytes) -> bytes:
    """With a directory as archives of more than 4 GiB have it."""
    place = archive.rindex(b"PK\5\6")
    length, start = struct.unpack_from("<II", archive, place + 12)
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2, 2, length, start)
    end += b"PK\6\7" + struct.pack("<IQI", 0, place, 1)
    old = archive[place:]
    return archive[:place] + end + old[:12] + b"\xff" * 8 + old[20:]


def saved(value: object, *, archive: bool = False, compressed: bool = False) -> bytes:
    content = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez if archive else np.save
    save(content, np.asarray(value))
    return content.getvalue()


class Calling:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("code of the pickle has run",)


CALLING = {protocol: pickle.dumps(Calling(), protocol) for protocol in (0, 1, 2)}
ARCHIVE = zipped("archive/data.pkl", "archive/version")
OBJECTS = np.array([{}, None], dtype=object)
RECORDS = np.zeros(2, dtype=[("a", "<f4"), ("b", "O")])
HEADER = b'{"w":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}'

MISTAKES = {
    **{
        f"protocol-{number}.bin": (pickle.dumps({"a": [1]}, number), "is a pickle,")
        for number in (2, 3, 4, 5)
    },
    "text.bin": (CALLING[0], "is a pickle,"),
    "binary.bin": (CALLING[1], "is a pickle,"),
    "mark.bin": (b"(" + CALLING[2], "is a pickle,"),
    "padded.bin": (b"N0" * 10_000 + CALLING[1], "is a pickle,"),
    "long.bin": (b"\x80\2X" + (5000).to_bytes(4, "little") + b"a" * 5000 + b"0N.", "is a pickle,"),
    "longer.bin": (
        b"\x80\2B" + (2 * HEAD_BYTES).to_bytes(4, "little") + bytes(2 * HEAD_BYTES) + b"0N.",
        "is a pickle,",
    ),
    "renamed.bin": (ARCHIVE.replace(b".pkl", b".txt", 1), "an archive with a pickle"),
    "late.bin": (late("a/data.pkl"), "an archive with a pickle"),
    "comment.bin": (late("a/data.pkl", comment=b"c" * 65_535), "an archive with a pickle"),
    "large.bin": (large(late("a/data.pkl")), "an archive with a pickle"),
    "cut.bin": (ARCHIVE[:-30], "an archive with a pickle"),
    "cut.npz": (late("a.npy")[:-30], "is a zip archive whose directory is missing"),
    "compressed.npz": (saved(OBJECTS, compressed=True), "a NumPy array of objects"),
    "model.json": (pickle.dumps([1, 2, 3]), "is a pickle,"),
    "model.safetensors": (pickle.dumps([1, 2, 3]), "is a pickle,"),
    "model.pt": (b"anything", "is a pickle to go by its name (.pt)"),
    "MODEL.CKPT": (models.safetensors(), "is a pickle to go by its name (.ckpt)"),
    "pytorch_model.bin": (zipped("archive/data.pkl", "archive/data/0"), "an archive with a pickle"),
    "torch.zip": (zipped("archive/version", "archive/data.pkl"), "an archive with a pickle"),
    "objects.npy": (saved(OBJECTS), "a NumPy array of objects"),
    "records.npy": (saved(RECORDS), "a NumPy array of objects"),
    "objects.npz": (saved(OBJECTS, archive=True), "a NumPy array of objects"),
    "a.safetensors": (b"no safetensors here", "is not a safetensors file"),
    "short.safetensors": (b"\1", "is not a safetensors file"),
    "cut.safetensors": (
        models.safetensors()[:-1],
        "is not complete: it says that it has 1000 bytes",
    ),
    "header.safetensors": ((10**9).to_bytes(8, "little") + b"{}", "is not complete"),
    "a.gguf": (b"ggml", "is not a GGUF file"),
    "a.npy": (b"PK\3\4", "is not a NumPy array"),
    "a.npz": (saved([1.0]), "is not a zip archive"),
    "a.h5": (b"\x89HDE\r\n\x1a\n", "is not an HDF5 file"),
    "empty.safetensors": (b"", "is empty"),
    "empty.bin": (b"", "is empty"),
    "pointer.safetensors": (POINTER, "is a Git LFS pointer, not the file: run git lfs pull"),
    "pointer.bin": (POINTER, "is a Git LFS pointer, not the file: run git lfs pull"),
    "pointer.png": (POINTER, "is a Git LFS pointer, not the file: run git lfs pull"),
}


@pytest.mark.parametrize("path", MISTAKES)
def test_a_format_that_is_not_published(path: str) -> None:
    content, what = MISTAKES[path]
    found = look({path: content})
    (reason,) = found.reasons
    assert reason.code is ReasonCode.PUBLISH_FORMAT
    assert reason.path == path
    assert reason.message.startswith(f"{path} is ")
    assert what in reason.message
    assert "allow_formats" in reason.message
    assert look({path: content}, PublishSettings(allow_formats=(path,))) == look({})


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.safetensors", models.safetensors()),
        ("none.safetensors", b"\2\0\0\0\0\0\0\0{}"),
        ("model.sft", len(HEADER).to_bytes(8, "little") + HEADER + bytes(9)),
        ("model.gguf", b"GGUF" + bytes(20)),
        ("ggml.bin", b"lmgg" + bytes(20)),
        ("openvino_model.bin", bytes(200)),
        ("near.bin", b"\x80\x04" + b"\xff" * 50),
        ("random.bin", np.random.default_rng(1).random(9999, np.float32).tobytes()),
        ("words.bin", b"cat\ndog\nRat\nNot\nIbis\n"),
        ("marks.bin", b"(" * 500 + b"\xff"),
        ("data.bin", pickle.dumps([1, 2, "three"], 0)),
        ("late.zip", late("a.txt", comment=b"c" * 65_535)),
        ("large.zip", large(late("a.txt"))),
        ("empty.zip", b"PK\5\6" + bytes(18)),
        ("compressed.npz", saved([1.0], compressed=True)),
        ("a.npy", saved([1.0])),
        ("a.npz", saved([1.0], archive=True)),
        ("a.zip", zipped("config.json")),
        ("empty.zip", zipped()),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(9)),
        ("user.h5", bytes(512) + b"\x89HDF\r\n\x1a\n"),
        ("a.onnx", b"\x08\x07"),
        ("a.json", b"no JSON"),
        ("empty.txt", b""),
        (".gitattributes", b"*.bin filter=lfs\n"),
        ("lfs.md", b"```\n" + POINTER + b"```\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_format_that_is_fine(path: str, content: bytes) -> None:
    assert look({path: content}) == look({})


def test_a_long_header_is_not_taken_for_a_cut_off_one() -> None:
    entries = {
        f"layer.{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]}
        for n in range(20_000)
    }
    header = json.dumps(entries).encode()
    assert len(header) > 1024 * 1024
    content = len(header).to_bytes(8, "little") + header + bytes(20_000)
    assert look({"a.safetensors": content}) == look({})
    assert len(look({"a.safetensors": content[:-20_001]}).reasons) == 1


def test_numbers_are_no_pickle() -> None:
    """Of whatever type: most first bytes of numbers are operations of one, or near it."""
    drawn = np.random.default_rng(2)
    files: dict[str, bytes] = {}
    for number in range(300):
        arrays = {
            "float32": drawn.normal(0, 0.02, 500).astype(np.float32).tobytes(),
            "float16": drawn.normal(0, 0.02, 500).astype(np.float16).tobytes(),
            "uint8": drawn.integers(0, 256, 500, np.uint8).tobytes(),
            "text": drawn.integers(40, 126, 500, np.uint8).tobytes(),
            "int32": drawn.integers(0, 50_000, 500, np.int32).tobytes(),
        }
        files |= {f"{number}-{kind}.bin": content for kind, content in arrays.items()}
    assert [reason.path for reason in look(files).reasons] == []


_heads = st.sampled_from(
    [
        b"",
        b"\x80\x02",
        b"\x80\x04\x95",
        b"PK\3\4",
        b"\x93NUMPY\1\0",
        b"0\x82",
        b"0",
        b"GGUF",
        b"\x30\x82\0\x10\2\1\3\x30",
        b"\xfe\xed\xfe\xed",
        b"\x99",
        b"ssh-rsa ",
        b"-----BEGIN ",
        b"\xff\xfe",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"{",
        b"untrusted comment: ",
    ]
)


@given(
    head=_heads,
    body=st.binary(max_size=300),
    path=st.sampled_from(
        ["a.bin", "a.safetensors", "a.npy", "a.npz", "a.h5", ".env", "x", "a.p7b"]
    ),
)
def test_no_content_is_too_odd(head: bytes, body: bytes, path: str) -> None:
    found = look({path: head + body})
    for reason in (*found.reasons, *found.warnings):
        assert reason.path == path
        assert reason.line is None or reason.line <= (head + body).count(b"\n") + 1
