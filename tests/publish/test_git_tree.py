"""A commit as a model's listing: what a registry serves of it, and nothing that Git would run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_gate import ReasonCode
from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.publish.git.lfs import Pointer, parse
from oms_gate.publish.git.program import Git
from oms_gate.publish.git.tree import Tree, Trees
from oms_gate.reference import Reference
from tests import models
from tests.publish.repositories import Repository, pointer

HUB = Reference.parse("hf://acme/model")
WEIGHTS = bytes(range(256)) * 300
NAME = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def trees(repository: Repository) -> Iterator[Trees]:
    trees = Trees(Git(Limits(read_seconds=5), repository.folder))
    yield trees
    trees.close()


def blob(repository: Repository, path: str) -> str:
    return repository.git("rev-parse", f"HEAD:{path}")


def refused(trees: Trees, commit: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        trees.of(commit, HUB)
    return caught.value


def test_the_files_of_a_commit(repository: Repository, trees: Trees) -> None:
    files = {
        **models.FILES,
        "a folder/empty": b"",
        "-rf": b"leading dash\n",
        "größe/\u202egpj.md": b"bidirectional\n",
        ":(top)README.md": b"no pathspec\n",
    }
    commit = repository.commit(files)
    (repository.folder / "README.md").write_bytes(b"only in the work tree\n")
    snapshot = trees.of(commit, HUB).snapshot
    assert snapshot.reference.url == f"hf://acme/model@{commit}"
    assert {path: snapshot.read(path, 1 << 20) for path in snapshot.files} == files
    assert {path: file.size for path, file in snapshot.files.items()} == {
        path: len(content) for path, content in files.items()
    }
    assert all(file.sha256 is None for file in snapshot.files.values())


def test_a_repository_of_the_other_hash_function(tmp_path: Path) -> None:
    repository = Repository.new(tmp_path / "repository", "--object-format=sha256")
    commit = repository.commit(models.FILES)
    trees = Trees(Git(Limits(), repository.folder))
    snapshot = trees.of(commit, HUB).snapshot
    assert {path: snapshot.read(path, 1 << 20) for path in snapshot.files} == models.FILES
    trees.close()


def test_elsewhere_than_on_the_hub_a_model_has_no_commits(
    repository: Repository, trees: Trees
) -> None:
    commit = repository.commit(models.FILES)
    bucket = Reference.parse("s3://bucket/acme/model")
    assert trees.of(commit, bucket).snapshot.reference == bucket


def test_a_large_blob_streams_in_parts_and_by_several_threads(
    repository: Repository, trees: Trees
) -> None:
    content = random.Random(1).randbytes(3_000_000)
    commit = repository.commit({"model.bin": content, "small": b"0123456789"})
    snapshot = trees.of(commit, HUB).snapshot
    chunks = [len(chunk) for chunk in snapshot.chunks("model.bin")]
    assert max(chunks) <= 1 << 20
    assert sum(chunks) == len(content)

    def part(start: int) -> bool:
        end = min(start + 700_000, len(content))
        read = b"".join(map(bytes, snapshot.chunks("model.bin", start, end)))
        return read == content[start:end]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(part, range(0, len(content), 700_000)))
    assert b"".join(map(bytes, snapshot.chunks("small", 3, 7))) == b"3456"
    assert snapshot.read("small", 100) == b"0123456789"


def test_to_abort_ends_readers_and_not_the_repository(repository: Repository, trees: Trees) -> None:
    commit = repository.commit({"model.bin": random.Random(1).randbytes(3_000_000)})
    snapshot = trees.of(commit, HUB).snapshot
    chunks = snapshot.chunks("model.bin")
    next(chunks)
    snapshot.abort()
    with pytest.raises(StoreError):
        list(chunks)
    assert len(snapshot.read("model.bin", 1 << 24) or b"") == 3_000_000


@pytest.mark.parametrize(
    ("mode", "said"),
    [("120000", "note.md is a symbolic link"), ("160000", "note.md is a submodule")],
)
def test_what_is_no_file(repository: Repository, trees: Trees, mode: str, said: str) -> None:
    other = repository.commit(models.FILES)
    name = other if mode == "160000" else repository.git("rev-parse", "HEAD:README.md")
    repository.entry(b"note.md", name, mode)
    repository.git("commit", "-q", "-m", "Link")
    commit = repository.git("rev-parse", "HEAD")
    error = refused(trees, commit)
    assert error.reason.code is ReasonCode.STORE_UNSAFE_FILE
    assert said in error.reason.message
    # What is there already may be so: it is about to be mended.
    assert trees.published(commit, HUB).snapshot.files.keys() == models.FILES.keys()


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"back\\slash", b"not UTF-8 \xff", b"bell\x07"], ids=repr
)
def test_a_name_that_is_not_safe_everywhere(
    repository: Repository, trees: Trees, name: bytes
) -> None:
    error = refused(trees, repository.commit_with(name, b"x"))
    assert error.reason.code is ReasonCode.STORE_UNSAFE_FILE
    assert "not a plain relative path" in error.reason.message
    assert error.reason.message.isprintable()


def test_a_tree_with_a_name_twice(repository: Repository, trees: Trees) -> None:
    repository.commit(models.FILES)
    one, two = blob(repository, "README.md"), blob(repository, "config.json")
    listing = "".join(f"100644 blob {name}\tREADME.md\n" for name in (one, two)).encode()
    tree = repository.git("mktree", given=listing)
    commit = repository.git("commit-tree", tree, "-m", "Twice")
    assert refused(trees, commit).reason.code is ReasonCode.STORE_PROTOCOL


def test_no_more_than_is_allowed(repository: Repository) -> None:
    commit = repository.commit({f"{number}.txt": b"x" for number in range(30)})
    for limits, name in ((Limits(files=29), "files"), (Limits(listing_bytes=1024), "listing_byt")):
        trees = Trees(Git(limits, repository.folder))
        error = refused(trees, commit)
        trees.close()
        assert error.reason.code is ReasonCode.STORE_TOO_MANY_FILES
        assert f"raise the limit '{name}" in error.reason.message


def test_an_object_that_is_gone(repository: Repository, trees: Trees) -> None:
    commit = repository.commit(models.FILES)
    snapshot = trees.of(commit, HUB).snapshot
    name = blob(repository, "model.safetensors")
    (repository.folder / ".git/objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(StoreError, match=f"no readable object {name}.*run git fsck"):
        snapshot.read("model.safetensors", 1 << 20)


def test_git_that_does_not_answer(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit(models.FILES)
    trees = Trees(Git(Limits(listing_seconds=0.2), repository.folder))
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 6\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    error = refused(trees, commit)
    assert error.reason.code is ReasonCode.STORE_UNAVAILABLE
    assert "does not answer in time" in error.reason.message


class TestLargeFiles:
    """Git LFS: the listing is of the files that pointers stand for."""

    def listed(self, repository: Repository, trees: Trees, content: bytes, new: bool) -> Tree:
        commit = repository.commit({"model.safetensors": content})
        name = blob(repository, "model.safetensors")
        return trees.of(commit, HUB, {name} if new else ())

    def test_one_that_is_there_already(self, repository: Repository, trees: Trees) -> None:
        """What its registry declares is its name; it need not be here."""
        tree = self.listed(repository, trees, pointer(NAME, 10_000_000_000), new=False)
        file = tree.snapshot.files["model.safetensors"]
        assert (file.size, file.sha256) == (10_000_000_000, NAME)
        assert (tree.here, tree.absent) == (set(), set())
        with pytest.raises(StoreError, match="git lfs fetch") as caught:
            next(tree.snapshot.chunks("model.safetensors"))
        assert caught.value.reason.code is ReasonCode.STORE_NOT_FOUND

    def test_one_that_is_new_is_not_believed(self, repository: Repository, trees: Trees) -> None:
        tree = self.listed(repository, trees, repository.large_file(WEIGHTS), new=True)
        file = tree.snapshot.files["model.safetensors"]
        assert (file.size, file.sha256) == (len(WEIGHTS), None)
        assert tree.here == {"model.safetensors"}
        assert tree.snapshot.read("model.safetensors", 1 << 20) == WEIGHTS
        assert next(tree.snapshot.chunks("model.safetensors", 5, 9)) == WEIGHTS[5:9]

    @pytest.mark.parametrize("kept", [None, WEIGHTS[:-1]], ids=["gone", "too short"])
    def test_one_that_is_new_and_not_here(
        self, repository: Repository, trees: Trees, kept: bytes | None
    ) -> None:
        if kept is not None:
            repository.large_file(kept, NAME)
        tree = self.listed(repository, trees, pointer(NAME, len(WEIGHTS)), new=True)
        assert tree.absent == {"model.safetensors"}
        assert tree.snapshot.files["model.safetensors"].sha256 == NAME

    def test_where_it_is_configured_to_be(self, repository: Repository, tmp_path: Path) -> None:
        content = repository.large_file(WEIGHTS)
        (repository.folder / ".git" / "lfs").rename(tmp_path / "elsewhere")
        repository.git("config", "lfs.storage", tmp_path / "elsewhere")
        trees = Trees(Git(Limits(), repository.folder))
        tree = self.listed(repository, trees, content, new=True)
        trees.close()
        assert tree.here == {"model.safetensors"}

    def test_in_a_second_work_tree(self, repository: Repository, tmp_path: Path) -> None:
        repository.commit({"model.safetensors": repository.large_file(WEIGHTS)})
        repository.git("worktree", "add", "-q", tmp_path / "second")
        trees = Trees(Git(Limits(), tmp_path / "second"))
        name = blob(repository, "model.safetensors")
        tree = trees.of(repository.git("rev-parse", "HEAD"), HUB, {name})
        trees.close()
        assert tree.here == {"model.safetensors"}

    @pytest.mark.parametrize(
        "content",
        [
            pointer(NAME, 5).replace(b"\n", b"\r\n"),
            pointer(NAME, 5) + b"\n",
            b"\n" + pointer(NAME, 5),
            pointer(NAME, 5).removesuffix(b"\n"),
            pointer(NAME, 5).replace(b"size 5", b"size 05"),
            pointer(NAME, 5).replace(b"size 5", b"size -5"),
            pointer(NAME.upper(), 5),
            pointer(NAME, 5).replace(b"oid", b"ext-0-x sha256:" + b"0" * 64 + b"\noid"),
            pointer(NAME, 5) + b"x-more 1\n",
            pointer(NAME, 5).replace(
                b"https://git-lfs.github.com/spec/v1", b"http://git-media.io/v/2"
            ),
            pointer(NAME, 5).replace(b"git-lfs", b"hawser"),
            b"version https://git-lfs.github.com/spec/v1\nsize 5\noid sha256:"
            + NAME.encode()
            + b"\n",
        ],
        ids=repr,
    )
    def test_what_only_some_readers_take_for_a_pointer(
        self, repository: Repository, trees: Trees, content: bytes
    ) -> None:
        commit = repository.commit_with(b"model.safetensors", content)
        error = refused(trees, commit)
        assert error.reason.code is ReasonCode.STORE_UNSAFE_FILE
        assert "looks like a pointer of Git LFS" in error.reason.message

    def test_what_is_no_pointer(self, repository: Repository, trees: Trees) -> None:
        files = {
            "about.md": b"# " + pointer(NAME, 5),
            "long": pointer(NAME, 5) + b" " * 1024,
            "version.txt": b"version 1.0\n",
        }
        snapshot = trees.of(repository.commit(files), HUB).snapshot
        assert {path: snapshot.read(path, 1 << 20) for path in files} == files

    @given(st.binary(min_size=32, max_size=32), st.integers(0, 10**19 - 1))
    def test_a_pointer_says_what_it_was_made_of(self, digest: bytes, size: int) -> None:
        assert parse(pointer(digest.hex(), size)) == Pointer(digest.hex(), size)

    @given(st.integers(0, 130), st.binary(max_size=3), st.integers(0, 3))
    def test_what_is_not_quite_a_pointer(self, place: int, put: bytes, less: int) -> None:
        """Nothing is passed over: there is one way to write each."""
        sound = pointer("0123456789abcdef" * 4, 1234567890)
        content = sound[:place] + put + sound[place + less :]
        found = parse(content)
        assert found is None or pointer(found.sha256, found.size) == content


class TestNothingRuns:
    """A repository may be anybody's."""

    def test_nothing_that_its_files_or_its_configuration_name(
        self, repository: Repository, trees: Trees, tmp_path: Path
    ) -> None:
        trap = tmp_path / "ran"
        commit = repository.commit(
            {
                "README.md": b"# A model\n",
                ".gitattributes": b"*.md filter=evil diff=evil merge=evil\n",
            }
        )
        for name in (
            "filter.evil.smudge",
            "filter.evil.process",
            "diff.evil.textconv",
            "diff.external",
            "core.fsmonitor",
            "core.pager",
            "core.alternateRefsCommand",
        ):
            repository.git("config", name, f"touch {trap} #")
        assert trees.of(commit, HUB).snapshot.read("README.md", 100) == b"# A model\n"
        assert not trap.exists()

    def test_no_object_takes_the_place_of_another(
        self, repository: Repository, trees: Trees
    ) -> None:
        """Who is pushed to gets the objects themselves."""
        evil = repository.commit({"README.md": b"# Evil\n"})
        evil_blob = blob(repository, "README.md")
        good = repository.commit({"README.md": b"# Good\n"})
        repository.git("replace", evil, good)
        repository.git("replace", evil_blob, blob(repository, "README.md"))
        assert repository.git("show", f"{evil}:README.md") == "# Good"
        assert trees.of(evil, HUB).snapshot.read("README.md", 100) == b"# Evil\n"
