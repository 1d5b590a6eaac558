"""The commits that come along with a push, and their messages."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import IO, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, ReasonCode
from oms_gate.publish.git.destination import configured
from oms_gate.publish.git.program import Git
from oms_gate.publish.git.push import Push, RefUpdate
from tests import models
from tests.delivery.pulling import codes, gate_of
from tests.publish.repositories import NOTHING, Repository, pointer
from tests.publish.test_git_push import MAIN, judged, judged_all, message, private_pem, signed

ODD = pointer("1" * 64, 5)


class CountingGit(Git):
    """Counts how often it is run."""

    runs = 0

    def start(
        self, *arguments: str, stdin: int | IO[bytes], stderr: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        self.runs += 1
        return super().start(*arguments, stdin=stdin, stderr=stderr)


def long_history(repository: Repository, length: int) -> Sequence[str]:
    """Commits in which one file changes, the newest first."""
    text = "commit refs/heads/long\ncommitter A <a@acme.example> {0} +0000\ndata 1\nx\n"
    text += "M 100644 inline notes.txt\ndata {1}\n{0}\n"
    stream = "".join(text.format(number, len(str(number))) for number in range(length))
    repository.git("fast-import", "--quiet", "--force", given=stream.encode())
    return repository.git("rev-list", "refs/heads/long").splitlines()


def test_git_runs_as_often_however_many_commits_there_are(
    gate: Gate, repository: Repository
) -> None:
    """And the commits that several references bring are looked into once."""

    def runs(length: int) -> int:
        first, *_, last = long_history(repository, length)[:2]
        git = CountingGit(gate.limits, repository.folder)
        target = configured("hf://acme/model", "")
        push = Push(gate, git, target, known=())
        push.judge([RefUpdate(MAIN, None, first), RefUpdate("refs/tags/v1", None, last)])
        return git.runs

    assert runs(200) == runs(10)


def test_there_is_an_end_to_it(settings: dict[str, Any], repository: Repository) -> None:
    gate = gate_of(settings | {"limits": {"total_seconds": 1e-9}})
    repository.commit({"README.md": b"# Old\n"})
    verdict = judged(gate, repository, repository.commit(models.FILES))
    assert codes(verdict) == [ReasonCode.SIGNATURE_MISSING, ReasonCode.DEADLINE_EXCEEDED]
    said = message(verdict, ReasonCode.DEADLINE_EXCEEDED)
    assert "push fewer commits at once, or raise the limit 'total_seconds'" in said


def test_no_more_commits_than_are_looked_into(
    settings: dict[str, Any], repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    """Whether they bring files or not: each has a message."""
    gate = gate_of(settings | {"limits": {"files": 10}})
    repository.commit(signed(key, models.FILES))
    for _ in range(9):
        repository.git("commit", "-q", "--allow-empty", "-m", "Nothing")
    assert judged(gate, repository, repository.git("rev-parse", "HEAD")).admitted
    verdict = judged(gate, repository, repository.commit({}))
    assert codes(verdict) == [ReasonCode.STORE_TOO_MANY_FILES]
    assert "more than 10 commits" in message(verdict, ReasonCode.STORE_TOO_MANY_FILES)


def test_only_who_brings_a_secret_is_to_blame(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    """All of those, where two bring the same."""
    good = repository.commit(signed(key, models.FILES))
    secret = private_pem(models.new_key())
    leaks = {}
    for branch in ("one", "two"):
        repository.git("checkout", "-q", "-b", branch, good)
        brought = repository.commit({"notes.txt": secret}, branch)
        leaks[brought] = repository.commit({"notes.txt": None}, branch)
    tips = {MAIN: good} | {f"refs/heads/{tip}": tip for tip in leaks.values()}
    updates = [(ref, NOTHING, tip) for ref, tip in tips.items()]
    verdicts = judged_all(gate, repository, updates)
    assert verdicts[MAIN].admitted
    for brought, tip in leaks.items():
        verdict = verdicts[f"refs/heads/{tip}"]
        assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
        assert brought[:12] in message(verdict, ReasonCode.PUBLISH_SECRET)


def test_a_tree_with_a_name_twice(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    """Both files would be published."""
    good = repository.commit(signed(key, models.FILES))
    secret, harmless = (
        repository.git("hash-object", "-w", "--stdin", given=content)
        for content in (private_pem(models.new_key()), b"nothing\n")
    )
    tree = repository.git("rev-parse", "HEAD^{tree}")
    for blobs in ((secret, harmless), (harmless, secret)):
        listing = "".join(f"100644 blob {blob}\tnotes.txt\n" for blob in blobs).encode()
        twice = repository.git("mktree", given=listing)
        below = repository.git("commit-tree", twice, "-p", good, "-m", "Twice")
        new = repository.git("commit-tree", tree, "-p", below, "-m", "Once")
        assert codes(judged(gate, repository, new, good)) == [ReasonCode.PUBLISH_SECRET]


@pytest.mark.parametrize(
    "odd",
    [
        ODD.rstrip(),
        ODD + b"\n",
        ODD.replace(b"\n", b"\r\n"),
        "\u3000".encode() + ODD,
        ODD.replace(b"https://git-lfs.github.com/spec/v1", b"http://git-media.io/v/2"),
    ],
)
def test_what_only_git_lfs_takes_for_a_pointer(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey, odd: bytes
) -> None:
    """It would send the file that is named there, which nobody has looked at."""
    old = repository.commit(signed(key, models.FILES))
    brought = repository.commit({"notes.dat": odd})
    new = repository.commit({"notes.dat": None})
    verdict = judged(gate, repository, new, old)
    assert codes(verdict) == [ReasonCode.STORE_UNSAFE_FILE]
    said = message(verdict, ReasonCode.STORE_UNSAFE_FILE)
    assert f"commit {brought[:12]}, which would be published too: notes.dat looks like" in said
    assert judged(gate, repository, new, brought).admitted


def test_a_large_file_that_was_taken_back_goes_by_its_name(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    """On a server, which has no byte of it."""
    old = repository.commit(signed(key, models.FILES))
    repository.commit({"release.p12": ODD, "model.pkl": ODD})
    new = repository.commit({"release.p12": None, "model.pkl": None})
    verdict = judged(gate, repository, new, old)
    assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
    assert "release.p12 holds a key store" in message(verdict, ReasonCode.PUBLISH_SECRET)


class TestMessages:
    def test_of_a_commit(
        self,
        gate: Gate,
        settings: dict[str, Any],
        repository: Repository,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        text = private_pem(models.new_key()).decode()
        leak = repository.commit(signed(key, models.FILES), f"A model\n\n{text}")
        new = repository.commit({}, "Nothing more")
        verdict = judged(gate, repository, new)
        assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
        said = message(verdict, ReasonCode.PUBLISH_SECRET)
        assert said.startswith(f"the message of commit {leak} holds a private key")
        assert text.splitlines()[1] not in said
        assert judged(gate, repository, new, leak).admitted
        gate = gate_of(settings | {"publish": {"allow_secrets": [f"commit {leak}"]}})
        assert judged(gate, repository, new).admitted

    def test_a_long_one(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """It comes in pieces, and others come after it."""
        text = "All is well.\n" * 20_000 + private_pem(models.new_key()).decode()
        old = repository.commit(signed(key, models.FILES))
        tree, made = repository.git("rev-parse", "HEAD^{tree}"), [old]
        for said in ("One", text, text.replace("PRIVATE", "PIRATE"), "Another"):
            given = said.encode()
            made.append(repository.git("commit-tree", tree, "-p", made[-1], given=given))
        verdict = judged(gate, repository, made[-1], old)
        assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
        assert made[2] in message(verdict, ReasonCode.PUBLISH_SECRET)

    @pytest.mark.parametrize("depth", [1, 2])
    def test_of_a_tag(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey, depth: int
    ) -> None:
        name = repository.commit(signed(key, models.FILES))
        texts = [private_pem(models.new_key()).decode(), *["v1"] * (depth - 1)]
        for number, text in enumerate(texts):
            repository.git("tag", "-a", f"v{number}", "-m", text, name)
            name = repository.git("rev-parse", f"v{number}")
        ref, commit = "refs/tags/v1", repository.git("rev-parse", "HEAD")
        verdicts = judged_all(gate, repository, [(MAIN, NOTHING, commit), (ref, NOTHING, name)])
        assert verdicts[MAIN].admitted
        assert codes(verdicts[ref]) == [ReasonCode.PUBLISH_SECRET]
        said = message(verdicts[ref], ReasonCode.PUBLISH_SECRET)
        assert f"the message of tag {repository.git('rev-parse', 'v0')} holds" in said

    def test_of_no_end_of_tags(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        name = repository.commit(signed(key, models.FILES))
        for number in range(9):
            repository.git("tag", "-a", f"v{number}", "-m", "x", name)
            name = repository.git("rev-parse", f"v{number}")
        verdict = judged(gate, repository, name)
        assert codes(verdict) == [ReasonCode.STORE_UNSAFE_FILE]
        assert "tag the commit itself" in message(verdict, ReasonCode.STORE_UNSAFE_FILE)
