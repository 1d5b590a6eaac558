"""What a push would publish by each branch and tag, and the commits that come along with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oms_gate import Gate, ReasonCode, UsageError, Verdict
from oms_gate.publish.git.destination import configured, of_remote, of_url
from oms_gate.publish.git.program import Git
from oms_gate.publish.git.push import Push, RefUpdate
from tests import models
from tests.delivery.pulling import codes, gate_of
from tests.publish.repositories import NOTHING, Repository, pointer

MAIN = "refs/heads/main"
BIG = hashlib.sha256(b"ten gigabytes").hexdigest()


def signed(key: ec.EllipticCurvePrivateKey, files: Mapping[str, Any]) -> dict[str, Any]:
    return {**files, "model.sig": models.signature(files, key)}


def judged(
    gate: Gate,
    repository: Repository,
    new: str,
    old: str = NOTHING,
) -> Verdict:
    """The verdict on one branch."""
    return judged_all(gate, repository, [(MAIN, old, new)])[MAIN]


def judged_all(
    gate: Gate,
    repository: Repository,
    updates: Sequence[tuple[str, str, str]],
    known: Sequence[str] = (),
) -> Mapping[str, Verdict]:
    push = Push(
        gate,
        Git(gate.limits, repository.folder),
        configured("hf://acme/{repository}", "model"),
        known=known,
    )
    return push.judge(RefUpdate.of(*update) for update in updates)


def message(verdict: Verdict, code: ReasonCode) -> str:
    (found,) = [reason.message for reason in verdict.reasons if reason.code is code]
    return found


def root_certificate() -> bytes:
    """Of somebody who certifies others."""
    key, name = models.new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_a_signed_model_goes_out(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    commit = repository.commit(signed(key, models.FILES))
    verdict = judged(gate, repository, commit)
    assert verdict.admitted, verdict
    assert verdict.model.url == f"hf://acme/model@{commit}"
    assert verdict.coverage is not None
    assert verdict.coverage.measured == len(models.FILES)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"README.md": b"# A modal\n"}, ReasonCode.FILE_CHANGED),
        ({"config.json": None}, ReasonCode.COVERAGE_MISSING),
        ({"modeling_acme.py": b"import os\n"}, ReasonCode.COVERAGE_UNSIGNED),
        ({"model.sig": None}, ReasonCode.SIGNATURE_MISSING),
        (
            {"model.sig": models.signature(models.FILES, models.new_key())},
            ReasonCode.KEY_UNTRUSTED,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, ReasonCode) else "",
)
def test_what_is_not_as_it_was_signed(
    gate: Gate,
    repository: Repository,
    key: ec.EllipticCurvePrivateKey,
    change: dict[str, bytes | None],
    code: ReasonCode,
) -> None:
    old = repository.commit(signed(key, models.FILES))
    new = repository.commit(change)
    assert codes(judged(gate, repository, new, old)) == [code]
    assert codes(judged(gate, repository, new)) == [code]


def test_the_tip_alone_has_to_be_signed(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    old = repository.commit(signed(key, models.FILES))
    files = {**models.FILES, "README.md": b"# Better\n"}
    repository.commit(files, "Not signed yet")
    new = repository.commit(signed(key, files))
    verdict = judged(gate, repository, new, old)
    assert verdict.admitted, verdict


def test_an_unsigned_file_that_was_there_already(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    old = repository.commit({"modeling_acme.py": b"import os\n"})
    new = repository.commit(signed(key, models.FILES))
    verdict = judged(gate, repository, new, old)
    assert codes(verdict) == [ReasonCode.PUBLISH_LEFT_BEHIND]
    assert "git rm" in message(verdict, ReasonCode.PUBLISH_LEFT_BEHIND)
    assert codes(judged(gate, repository, new)) == [ReasonCode.COVERAGE_UNSIGNED]


class TestSecretsAndTrust:
    """Validly signed, each of them."""

    def test_a_root_certificate(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        files = {**models.FILES, "ca.pem": root_certificate()}
        verdict = judged(gate, repository, repository.commit(signed(key, files)))
        assert codes(verdict) == [ReasonCode.PUBLISH_TRUST_ANCHOR]

    def test_a_private_key(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        files = {**models.FILES, "notes.txt": private_pem(models.new_key())}
        verdict = judged(gate, repository, repository.commit(signed(key, files)))
        assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
        assert "rewrite the history" not in message(verdict, ReasonCode.PUBLISH_SECRET)

    @pytest.mark.parametrize("path", ["notes.txt", "-x\u202e.md", "sub/two words"])
    def test_a_private_key_that_a_later_commit_takes_away(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey, path: str
    ) -> None:
        old = repository.commit(signed(key, models.FILES))
        secret = repository.commit({path: private_pem(models.new_key())})
        new = repository.commit({path: None})
        for there in (old, NOTHING):
            verdict = judged(gate, repository, new, there)
            assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
            said = message(verdict, ReasonCode.PUBLISH_SECRET)
            assert said.startswith(f"commit {secret[:12]}, which would be published too: ")
            assert "rewrite the history" in said
            assert verdict.reasons[0].line == 1
        assert judged(gate, repository, new, secret).admitted  # It is out already.

    def test_where_it_is_out_already(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """As the remote says in this very push, or a server knows of itself."""
        repository.commit(signed(key, models.FILES))
        secret = repository.commit({"notes.txt": private_pem(models.new_key())})
        new = repository.commit({"notes.txt": None})
        other = ("refs/heads/old", secret, new)
        verdicts = judged_all(gate, repository, [(MAIN, NOTHING, new), other])
        assert all(verdict.admitted for verdict in verdicts.values()), verdicts
        gone = ("refs/heads/old", secret, NOTHING)
        assert judged_all(gate, repository, [(MAIN, NOTHING, new), gone])[MAIN].admitted
        updates = [(MAIN, NOTHING, new)]
        assert judged_all(gate, repository, updates, known=[secret])[MAIN].admitted

    def test_what_this_machine_saw_there_is_not_what_is_there(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """The branch may be gone since, or be that of a place to fetch from alone."""
        secret = repository.commit({"notes.txt": private_pem(models.new_key())})
        new = repository.commit({**signed(key, models.FILES), "notes.txt": None})
        repository.git("update-ref", "refs/remotes/origin/old", secret)
        assert codes(judged(gate, repository, new)) == [ReasonCode.PUBLISH_SECRET]

    def test_one_in_the_very_first_commit(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        secret = repository.commit({"notes.txt": private_pem(models.new_key())})
        new = repository.commit({**signed(key, models.FILES), "notes.txt": None})
        verdict = judged(gate, repository, new)
        assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
        assert secret[:12] in message(verdict, ReasonCode.PUBLISH_SECRET)

    def test_one_that_comes_with_a_merge(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        old = repository.commit(signed(key, models.FILES))
        repository.git("checkout", "-q", "-b", "side")
        repository.commit({"notes.txt": private_pem(models.new_key())})
        repository.commit({"notes.txt": None})
        repository.git("checkout", "-q", "main")
        repository.git("merge", "-q", "--no-ff", "-m", "Merge", "side")
        new = repository.git("rev-parse", "HEAD")
        assert codes(judged(gate, repository, new, old)) == [ReasonCode.PUBLISH_SECRET]

    def test_one_that_a_merge_itself_brings(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        old = repository.commit(signed(key, models.FILES))
        repository.git("checkout", "-q", "-b", "side")
        repository.commit({}, "Nothing")
        repository.git("checkout", "-q", "main")
        repository.git("merge", "-q", "--no-ff", "--no-commit", "side")
        repository.commit({"notes.txt": private_pem(models.new_key())}, "Merge")
        new = repository.commit({"notes.txt": None})
        assert codes(judged(gate, repository, new, old)) == [ReasonCode.PUBLISH_SECRET]

    def test_one_that_a_link_leads_to(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """The text of a link can be of any length."""
        old = repository.commit(signed(key, models.FILES))
        repository.commit_with(b"link", private_pem(models.new_key()), "120000")
        repository.git("rm", "-q", "--cached", "link")
        new = repository.commit({})
        assert codes(judged(gate, repository, new, old)) == [ReasonCode.PUBLISH_SECRET]

    def test_what_is_allowed_is_so_by_its_path(
        self,
        settings: dict[str, Any],
        repository: Repository,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        gate = gate_of(settings | {"publish": {"allow_secrets": ["examples/*"]}})
        old = repository.commit(signed(key, models.FILES))
        secret = private_pem(models.new_key())
        repository.commit({"examples/key.pem": secret})
        new = repository.commit({"examples/key.pem": None})
        assert judged(gate, repository, new, old).admitted
        repository.commit({"key.pem": secret})
        new = repository.commit({"key.pem": None})
        assert codes(judged(gate, repository, new, old)) == [ReasonCode.PUBLISH_SECRET]

    def test_no_more_commits_than_can_be_looked_into(
        self,
        settings: dict[str, Any],
        repository: Repository,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        gate = gate_of(settings | {"limits": {"files": 5}})
        old = repository.commit(signed(key, models.FILES))
        for number in range(6):
            new = repository.commit({"notes.bib": b"%d" % number})
        verdict = judged(gate, repository, new, old)
        assert codes(verdict) == [ReasonCode.STORE_TOO_MANY_FILES]
        assert "raise the limit 'files'" in message(verdict, ReasonCode.STORE_TOO_MANY_FILES)


class TestRollback:
    """Each of the signatures is valid."""

    def test_to_an_older_release(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        first = repository.commit(signed(key, models.FILES))
        files = {**models.FILES, "README.md": b"# Mended\n"}
        second = repository.commit(signed(key, files))
        assert judged(gate, repository, second, first).admitted
        # As a new commit, and by force.
        again = repository.commit(signed(key, models.FILES))
        for new in (again, first):
            verdict = judged(gate, repository, new, second)
            assert codes(verdict) == [ReasonCode.PUBLISH_ROLLBACK]
        assert judged(gate, repository, again, first).admitted  # Nothing is taken back there.

    def test_beside_a_tag_of_the_same_commit(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """Where nothing is yet, nothing goes back."""
        first = repository.commit(signed(key, models.FILES))
        files = {**models.FILES, "README.md": b"# Mended\n"}
        second = repository.commit(signed(key, files))
        updates = [("refs/tags/v1", NOTHING, first), (MAIN, second, first)]
        tag, main = judged_all(gate, repository, updates).values()
        assert tag.admitted
        assert codes(main) == [ReasonCode.PUBLISH_ROLLBACK]

    def test_by_force_and_signed_anew(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        first = repository.commit({"README.md": b"# Nothing yet\n"})
        second = repository.commit(signed(key, models.FILES))
        repository.git("reset", "-q", "--hard", first)
        third = repository.commit(signed(key, {"README.md": b"# Another\n"}))
        assert judged(gate, repository, third, second).admitted

    def test_where_the_signature_is_a_large_file(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        files = dict(models.FILES)
        first = repository.commit(
            {**files, "model.sig": repository.large_file(models.signature(files, key))}
        )
        files["README.md"] = b"# Mended\n"
        second = repository.commit(
            {**files, "model.sig": repository.large_file(models.signature(files, key))}
        )
        assert judged(gate, repository, second, first).admitted
        verdict = judged(gate, repository, first, second)
        assert codes(verdict) == [ReasonCode.PUBLISH_ROLLBACK]

    def test_what_is_there_and_not_here(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        new = repository.commit(signed(key, models.FILES))
        verdict = judged(gate, repository, new, "1" * 40)
        assert codes(verdict) == [ReasonCode.STORE_CHANGED]
        assert "git fetch, and push again" in message(verdict, ReasonCode.STORE_CHANGED)


def test_settings_of_the_users_own_change_nothing(
    gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
) -> None:
    """Nor does the folder that they are in."""
    for name, value in {
        "color.ui": "always",
        "core.abbrev": "5",
        "core.quotePath": "true",
        "diff.relative": "true",
        "diff.renames": "copies",
        "diff.external": "false",
        "diff.noprefix": "true",
        "log.abbrevCommit": "true",
        "log.showSignature": "true",
    }.items():
        repository.git("config", name, value)
    first = repository.commit(signed(key, {**models.FILES, "ünder/x.md": b"x"}))
    secret = repository.commit({"größe.md": private_pem(models.new_key())})
    files = {**models.FILES, "ünder/x.md": b"x", "README.md": b"# Mended\n"}
    second = repository.commit({**signed(key, files), "größe.md": None})
    below = Repository(repository.folder / "ünder")
    verdict = judged(gate, below, second, first)
    assert codes(verdict) == [ReasonCode.PUBLISH_SECRET]
    assert verdict.reasons[0].path == "größe.md"
    assert secret[:12] in message(verdict, ReasonCode.PUBLISH_SECRET)
    assert codes(judged(gate, below, first, second)) == [ReasonCode.PUBLISH_ROLLBACK]


class TestLargeFiles:
    def test_only_what_changed_is_hashed(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """The weights are not even here, and ten gigabytes long."""
        weights = {"model.safetensors": pointer(BIG, 10 * 1024**3)}
        files = {**models.FILES, "README.md": b"# Old\n"}
        old = repository.commit({**files, **weights, "model.sig": b"whatever"})
        manifest = {path: content for path, content in models.FILES.items() if path[0] != "m"}
        new = repository.commit(
            {**models.FILES, **weights, "model.sig": with_digest(manifest, key, BIG)}
        )
        verdict = judged(gate, repository, new, old)
        assert verdict.admitted, verdict
        assert verdict.coverage is not None
        assert verdict.coverage.declared == 1
        assert verdict.coverage.measured == 2

    def test_also_on_another_branch(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        weights = {"model.safetensors": pointer(BIG, 10 * 1024**3)}
        manifest = {path: content for path, content in models.FILES.items() if path[0] != "m"}
        old = repository.commit({**manifest, **weights})
        new = repository.commit({"model.sig": with_digest(manifest, key, BIG)})
        updates = [(MAIN, NOTHING, new), ("refs/heads/old", old, new)]
        assert judged_all(gate, repository, updates)[MAIN].admitted

    def test_under_another_name(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        manifest = {path: content for path, content in models.FILES.items() if path[0] != "m"}
        weights = pointer(BIG, 10 * 1024**3)
        old = repository.commit({**manifest, "old.safetensors": weights})
        sig = with_digest(manifest, key, BIG)
        new = repository.commit(
            {"old.safetensors": None, "model.safetensors": weights, "model.sig": sig}
        )
        assert judged(gate, repository, new, old).admitted

    def test_one_that_is_new_is_hashed_and_once(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        files = signed(key, models.FILES)
        weights = repository.large_file(models.FILES["model.safetensors"])
        old = repository.commit({"README.md": b"# Old\n"})
        new = repository.commit({**files, "model.safetensors": weights})
        verdicts = judged_all(
            gate,
            repository,
            [("refs/tags/v1", NOTHING, new), (MAIN, old, new), ("refs/heads/x", NOTHING, new)],
        )
        assert all(verdict.admitted for verdict in verdicts.values()), verdicts
        tag, main, other = verdicts.values()
        assert tag.coverage is not None
        assert (tag.coverage.declared, tag.coverage.measured) == (0, 3)
        assert main.coverage is not None
        assert (main.coverage.declared, main.coverage.measured) == (1, 2)
        assert other is tag

    def test_what_is_here_is_not_what_was_signed(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        files = signed(key, models.FILES)
        weights = repository.large_file(models.FILES["model.safetensors"][:-1] + b"x")
        new = repository.commit({**files, "model.safetensors": weights})
        assert codes(judged(gate, repository, new)) == [ReasonCode.FILE_CHANGED]

    @pytest.mark.parametrize("shards", [None, 100_000])
    def test_what_was_signed_by_the_name_of_something_else(
        self,
        gate: Gate,
        repository: Repository,
        key: ec.EllipticCurvePrivateKey,
        shards: int | None,
    ) -> None:
        """What is here is as it was signed, but another file would be served."""
        sig = models.signature(models.FILES, key, shard_size=shards)
        weights = repository.large_file(models.FILES["model.safetensors"], BIG)
        new = repository.commit({**models.FILES, "model.sig": sig, "model.safetensors": weights})
        verdict = judged(gate, repository, new)
        assert codes(verdict) == [ReasonCode.FILE_CHANGED]
        assert f"to the file with the sha256 {BIG}" in message(verdict, ReasonCode.FILE_CHANGED)

    def test_one_that_is_new_and_not_here(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """It does not go from here, and is what Git LFS says; a server has no more than that."""
        manifest = {path: content for path, content in models.FILES.items() if path[0] != "m"}
        weights = {"model.safetensors": pointer(BIG, 10 * 1024**3)}
        sig = with_digest(manifest, key, BIG)
        new = repository.commit({**manifest, **weights, "model.sig": sig})
        assert judged(gate, repository, new).admitted
        # Of that, names alone.
        pickled = {path: pointer(BIG, 5) for path in ("model.pkl", "id_rsa")}
        verdict = judged(gate, repository, repository.commit(pickled))
        found = {reason.path: reason.code for reason in verdict.reasons if "publish" in reason.code}
        assert found == {
            "model.pkl": ReasonCode.PUBLISH_FORMAT,
            "id_rsa": ReasonCode.PUBLISH_SECRET,
        }
        repository.commit(dict.fromkeys(pickled))
        # Also if only an earlier commit has it.
        old = repository.commit({**signed(key, models.FILES)})
        repository.commit(weights)
        new = repository.commit(dict(models.FILES))
        assert judged(gate, repository, new, old).admitted

    def test_a_secret_in_one(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        secret = private_pem(models.new_key())
        files = signed(key, {**models.FILES, "notes.txt": secret})
        new = repository.commit({**files, "notes.txt": repository.large_file(secret)})
        assert codes(judged(gate, repository, new)) == [ReasonCode.PUBLISH_SECRET]
        later = repository.commit({**signed(key, models.FILES), "notes.txt": None})
        assert codes(judged(gate, repository, later)) == [ReasonCode.PUBLISH_SECRET]


def with_digest(files: Mapping[str, bytes], key: ec.EllipticCurvePrivateKey, weights: str) -> bytes:
    """A signature over files, and over weights of which only the digest is known."""
    from oms_gate.oms.manifest import Manifest, Resource
    from oms_gate.oms.sign import payload_of, sign_with_key

    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    digests["model.safetensors"] = weights
    manifest = Manifest(
        serialization="files",
        hash_type="sha256",
        shard_size=None,
        allow_symlinks=False,
        ignore_paths=(),
        resources=tuple(Resource(path, digest) for path, digest in sorted(digests.items())),
    )
    return sign_with_key(payload_of(manifest, "model"), key)


class TestReferences:
    def test_each_is_judged(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        good = repository.commit(signed(key, models.FILES))
        bad = repository.commit({"README.md": b"# Stale\n"})
        repository.git("tag", "-a", "v1", "-m", "v1", good)
        tag = repository.git("rev-parse", "v1")
        verdicts = judged_all(
            gate,
            repository,
            [
                ("refs/heads/bad", NOTHING, bad),
                (MAIN, NOTHING, good),
                ("refs/tags/v1", NOTHING, tag),
                ("refs/heads/gone", good, NOTHING),
                ("refs/pr/1", good, bad),
            ],
        )
        assert {ref: verdict.admitted for ref, verdict in verdicts.items()} == {
            "refs/heads/bad": False,
            MAIN: True,
            "refs/tags/v1": True,
            "refs/pr/1": False,
        }

    @pytest.mark.parametrize(
        "ref", [f"refs/replace/{'1' * 40}", "refs/notes/commits", "refs/pr/1/x", "refs/stash"]
    )
    def test_neither_branch_nor_tag(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey, ref: str
    ) -> None:
        """Whatever lies there may be shown in the place of something else."""
        new = repository.commit(signed(key, models.FILES))
        verdict = judged_all(gate, repository, [(ref, NOTHING, new)])[ref]
        assert codes(verdict) == [ReasonCode.STORE_UNSAFE_FILE]
        assert f"{ref} is neither a branch" in message(verdict, ReasonCode.STORE_UNSAFE_FILE)

    @pytest.mark.parametrize("what", ["HEAD:README.md", "HEAD^{tree}"])
    def test_no_commit(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey, what: str
    ) -> None:
        repository.commit(signed(key, models.FILES))
        verdict = judged(gate, repository, repository.git("rev-parse", what))
        assert codes(verdict) == [ReasonCode.STORE_UNSAFE_FILE]
        assert "something that is no commit" in message(verdict, ReasonCode.STORE_UNSAFE_FILE)

    def test_what_is_no_model(
        self, gate: Gate, repository: Repository, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """A link that is there already can be taken away, and not brought."""
        repository.commit(signed(key, models.FILES))
        old = repository.commit_with(b"link", b"/etc/passwd", "120000")
        verdict = judged(gate, repository, old)
        assert codes(verdict) == [ReasonCode.STORE_UNSAFE_FILE]
        repository.git("rm", "-q", "--cached", "link")
        new = repository.commit({})
        assert judged(gate, repository, new, old).admitted

    @pytest.mark.parametrize("name", ["HEAD", "--output=x", "1" * 39, "", "0x" + "1" * 38])
    def test_what_git_does_not_call_an_object(self, name: str) -> None:
        with pytest.raises(UsageError, match="is no object of Git"):
            RefUpdate.of(MAIN, NOTHING, name)

    def test_a_gate_that_only_marks(self, settings: dict[str, Any], repository: Repository) -> None:
        gate = gate_of(settings | {"mode": "annotate"})
        verdict = judged(gate, repository, repository.commit(models.FILES))
        assert not verdict.lets_through


@pytest.mark.parametrize(
    ("url", "ref", "model"),
    [
        ("https://huggingface.co/acme/model", MAIN, "hf://acme/model"),
        ("https://user:hf_secret@huggingface.co/acme/model.git", MAIN, "hf://acme/model"),
        ("https://HuggingFace.co/acme/model/", "refs/heads/dev", "hf://acme/model@dev"),
        ("https://huggingface.co/datasets/acme/data", MAIN, "hf://datasets/acme/data"),
        ("https://hf.co/spaces/acme/demo", MAIN, "hf://spaces/acme/demo"),
        ("git@hf.co:acme/model", "refs/heads/a/b", "hf://acme/model@a%2Fb"),
        ("ssh://git@hf.co/acme/model", "refs/tags/v1.0", "hf://acme/model@v1.0"),
        ("ssh://git@hf.co:22/datasets/acme/data", MAIN, "hf://datasets/acme/data"),
        ("https://huggingface.co/gpt2", MAIN, "hf://gpt2"),
        ("https://huggingface.co/acme/model", "refs/pr/7", "hf://acme/model@refs/pr/7"),
        ("http://127.0.0.1:9/acme/model", MAIN, "hf://acme/model"),
    ],
)
def test_the_model_that_a_remote_is(url: str, ref: str, model: str) -> None:
    assert of_url(url)(ref).url == model


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hf_secret@github.com/acme/model",
        "https://huggingface.co.evil.example/acme/model?hf_secret",
        "https://hf_secret@evil.example/huggingface.co/acme/model",
        "git@evil.example:huggingface.co/hf_secret",
        "http://127.0.0.1:10/hf_secret/model",
        "file://huggingface.co/hf_secret/model",
        "/srv/hf_secret.git",
        "https://huggingface.co:no/hf_secret",
        "https://huggingface.co/",
        "hf_secret",
    ],
)
def test_a_remote_that_is_not_on_the_hub(url: str) -> None:
    with pytest.raises(UsageError, match=r"git config oms-gate\.model") as caught:
        of_url(url)
    assert "hf_secret" not in str(caught.value)


def test_the_url_of_the_hub_decides() -> None:
    """What is configured counts elsewhere, and must not name another model."""
    url = "https://huggingface.co/acme/model"
    for model in (None, "hf://acme/{repository}", "hf://acme/model@v1"):
        assert of_remote(url, model, "model")("refs/heads/dev").url == "hf://acme/model@dev"
    for model in ("hf://acme/staging", "hf://datasets/acme/model", "s3://bucket/acme/model"):
        with pytest.raises(UsageError, match=r"the remote is hf://acme/model, which is another"):
            of_remote(url, model, "model")
    assert of_remote("/srv/x.git", "hf://acme/staging", "x")(MAIN).url == "hf://acme/staging"


def test_a_configured_model() -> None:
    assert configured("hf://acme/model", "x")("refs/heads/dev").url == "hf://acme/model@dev"
    assert configured("hf://acme/model@v1", "x")("refs/heads/dev").url == "hf://acme/model@v1"
    assert configured("s3://bucket/acme", "x")("refs/heads/dev").url == "s3://bucket/acme"
    with pytest.raises(UsageError, match=r"refs/heads/\\udcff is not UTF-8"):
        configured("hf://acme/model", "x")("refs/heads/\udcff")
