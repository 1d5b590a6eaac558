"""What a load has made itself may be read again, and nothing that is brought there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from oms_gate import Gate, from_pretrained
from tests.loading.folders import put, refused

pytestmark = pytest.mark.usefixtures("working_folder")
EVIL = {"model.safetensors": b"evil", "config.json": b"{}"}
NAME = "model.safetensors"


def written(path: Path, content: bytes = b"own") -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read().decode()


@pytest.fixture
def evil(working_folder: Path) -> Path:
    return Path(put(working_folder / "acme/base", EVIL))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Is there, and empty."""
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def by_moving(evil: Path, folder: Path) -> Path:
    return Path(shutil.move(evil, folder)) / NAME


def by_a_relative_name(evil: Path, folder: Path) -> Path:
    return (evil / NAME).relative_to(Path.cwd()).rename(folder / NAME)


def by_linking_the_folder(evil: Path, folder: Path) -> Path:
    (folder / "base").symlink_to(evil)
    return folder / "base" / NAME


def by_a_relative_link(evil: Path, folder: Path) -> Path:
    (folder / NAME).symlink_to(os.path.relpath(evil / NAME, folder))
    return folder / NAME


def by_linking_the_file(evil: Path, folder: Path) -> Path:
    (folder / NAME).hardlink_to(evil / NAME)
    return folder / NAME


def by_copying(evil: Path, folder: Path) -> Path:
    return Path(shutil.copy(evil / NAME, folder))


def by_descriptors(evil: Path, folder: Path) -> Path:
    source, to = (os.open(each, os.O_RDONLY) for each in (evil, folder))
    os.link(NAME, NAME, src_dir_fd=source, dst_dir_fd=to)
    os.close(source)
    os.close(to)
    return folder / NAME


def over_its_own(evil: Path, folder: Path) -> Path:
    return (evil / NAME).replace(written(folder / NAME))


@pytest.mark.parametrize(
    "bring",
    [
        by_moving,
        by_a_relative_name,
        by_linking_the_folder,
        by_a_relative_link,
        by_linking_the_file,
        by_copying,
        by_descriptors,
        over_its_own,
    ],
)
def test_what_is_brought_there_is_not_made(
    bring: Callable[[Path, Path], Path], evil: Path, own: Path, adapter: str, gate: Gate
) -> None:
    def load(name: str) -> str:
        (own / "made").mkdir()
        return read(bring(evil, own / "made"))

    refused(load, adapter, gate)


def as_a_new_file(evil: Path) -> None:
    (evil / NAME).open("xb")


def as_a_file(evil: Path) -> None:
    evil.open("wb")


def as_a_folder(evil: Path) -> None:
    evil.mkdir()


def below_nothing(evil: Path) -> None:
    Path("nope/base").mkdir()


@pytest.mark.parametrize("make", [as_a_new_file, as_a_file, as_a_folder, below_nothing])
def test_what_could_not_be_made_is_not_made(
    make: Callable[[Path], None], evil: Path, adapter: str, gate: Gate
) -> None:
    def load(name: str) -> str:
        with suppress(OSError):
            make(evil)
            pytest.fail("it could")
        if make is below_nothing:
            return read(evil.parent.rename("nope") / "base" / NAME)
        return read(evil / NAME)

    refused(load, adapter, gate)


def test_what_could_not_be_emptied_is_not_made(evil: Path, adapter: str, gate: Gate) -> None:
    """Root may do anything, so the event is all there is."""

    def load(name: str) -> str:
        sys.audit("open", str(evil / NAME), "wb", os.O_WRONLY | os.O_TRUNC)
        return read(evil / NAME)

    refused(load, adapter, gate)


def test_what_is_opened_to_be_read_and_written_is_not_made(
    evil: Path, adapter: str, gate: Gate
) -> None:
    def load(name: str) -> bytes:
        with (evil / NAME).open("a+b") as file:
            file.seek(0)
            return file.read()

    refused(load, adapter, gate)


def replaced(own: Path) -> Path:
    return written(own / "temporary").replace(own / NAME)


def replaced_what_was_there(own: Path) -> Path:
    return written(own / "temporary").replace(own.parent / "there.bin")


def appended(own: Path) -> Path:
    with (own / NAME).open("ab") as file:
        file.write(b"own")
    return own / NAME


def emptied(own: Path) -> Path:
    return written(own.parent / "there.bin")


def moved(own: Path) -> Path:
    (own / "a/b").mkdir(parents=True)
    written(own / "a/b" / NAME)
    return Path(shutil.move(own / "a", own / "c")) / "b" / NAME


def linked(own: Path) -> Path:
    written(own / "temporary.bin")
    (own / NAME).symlink_to("temporary.bin")
    return own / NAME


def linked_to_the_folder(own: Path) -> Path:
    (own / "a").mkdir()
    (own / "b").symlink_to("a")
    written(own / "a" / NAME)
    return own / "b" / NAME


def again(own: Path) -> Path:
    """What was brought, and is written anew."""
    (own.parent / "there.bin").replace(own / NAME)
    return written(own / NAME)


def replaced_what_was_brought(own: Path) -> Path:
    (own.parent / "there.bin").replace(own / NAME)
    return replaced(own)


@pytest.mark.parametrize(
    "make",
    [
        replaced,
        replaced_what_was_there,
        appended,
        emptied,
        moved,
        linked,
        linked_to_the_folder,
        again,
        replaced_what_was_brought,
    ],
)
def test_what_is_made_may_be_read(
    make: Callable[[Path], Path], own: Path, adapter: str, gate: Gate
) -> None:
    """In a folder that was there before."""
    written(own.parent / "there.bin", b"before")

    def load(name: str) -> str:
        return read(make(own))

    assert from_pretrained(load, adapter, gate=gate) == "own"


def test_names_that_are_relative_to_another_folder(
    evil: Path, own: Path, adapter: str, gate: Gate
) -> None:
    """Which folder that is is not known."""

    def load(name: str) -> str:
        descriptor = os.open(own, os.O_RDONLY)
        os.mkdir("made", dir_fd=descriptor)
        os.close(descriptor)
        subprocess.run(["mv", evil, "made"], check=True)  # By others.
        return read(Path("made", NAME))

    refused(load, adapter, gate)
