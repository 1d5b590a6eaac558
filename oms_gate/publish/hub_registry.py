"""Repositories of the Hugging Face Hub, to which a model and its signature go in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from oms_gate.errors import StoreError, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.hub_commit import ModelCommit
from oms_gate.publish.hub_errors import answered, overtaken
from oms_gate.publish.publication import Judgement, Publication
from oms_gate.publish.registry import Published
from oms_gate.publish.rollback import statement_digest
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.stores.hub import HubStore
from oms_gate.stores.hub_api import COMMIT
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import printable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_DEFAULT_BRANCH = "main"
# What the Hub itself puts into a repository that it makes.
_INITIAL = frozenset({".gitattributes"})


class HubRegistry:
    """A branch of a repository, as it was found; see `Registry`.

    What is published is one commit on top of the commit that was found: of those who publish at
    the same time one comes first, and the others are told.
    """

    additive = True

    def __init__(self, target: Reference, gate: Gate) -> None:
        """
        Raises:
            UsageError: the reference names a commit, a tag or a folder.
            ConfigError: the Hub cannot be reached as it is configured.
            StoreError: the Hub refuses or fails, or has no such branch.
        """
        if target.path:
            raise UsageError(
                f"{target.url} names a folder in a repository, and a signature is for a whole "
                "one; leave out what follows the repository's name"
            )
        self.target = target
        self._limits = gate.limits
        self._signature = gate.signature
        self._token = gate.stores.options.get("hf", {}).get("token")
        self._store = HubStore(gate.stores, gate.limits)
        self._api = self._store.api(target)
        self._found: Snapshot | None = None
        try:
            self._found = self._snapshot()
            self._branch = _DEFAULT_BRANCH if self._found is None else self._named()
        except BaseException:
            self.close()
            raise
        # What nobody has put anything into is as good as not there.
        self.published = self._found if self._found and self._found.files else None

    @property
    def endpoint(self) -> str:
        """The URL of the server that is asked."""
        return self._api.endpoint

    @property
    def page(self) -> str:
        """The URL of the repository's page."""
        return self._api.page

    def earlier_statements(self) -> Iterator[str]:
        """See `Registry`. No more than `limits.history_commits` commits are looked at.

        A content is read once.
        """
        if self._found is None or self._signature.elsewhere is not None:
            return
        name = self._signature.location
        seen = set()
        with closing(self._store.history(self._found.reference, name)) as history:
            for at, snapshot in enumerate(islice(history, self._limits.history_commits + 1)):
                file = snapshot.files.get(name)
                if file is None or file.version in seen:
                    continue
                seen.add(file.version)
                if at == 0:  # The present one.
                    continue
                content = snapshot.read(name, self._limits.bundle_bytes) or b""
                if (digest := statement_digest(content, self._limits)) is not None:
                    yield digest

    def publish(
        self,
        publication: Publication,
        judgement: Judgement,
        *,
        message: str,
        pull_request: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> Published:
        """See `Registry`. A repository is made where there is none.

        What is all there already is not committed again.
        """
        from huggingface_hub import HfApi

        self._api.exists = True  # Or it is made: nobody is to be told that it is not there.
        client = HfApi(self._store.endpoint, token=self._token)
        commit = ModelCommit(
            client,
            self._api,
            publication,
            judgement,
            self._limits,
            branch=self._branch,
            parent=self._parent(client),
        )
        made = commit.make(message, pull_request=pull_request, on_progress=on_progress)
        if made is None:
            if self._store.resolve(self.target).revision != commit.parent:
                raise overtaken(self._api)
            return Published(self.target.at(commit.parent).url)
        if not COMMIT.fullmatch(made.oid):
            raise self._api.malformed("does not say which commit it made")
        proposal = printable(made.pr_url) if made.pr_url is not None else None
        return Published(self.target.at(made.oid).url, proposal)

    def close(self) -> None:
        """See `Registry`."""
        self._api.reader.close()
        if self._found is not None:
            self._found.close()

    def _snapshot(self) -> Snapshot | None:
        """What is there now; None if there is no repository."""
        try:
            return self._store.snapshot(self.target)
        except StoreError as error:
            there = error.reason.code is not ReasonCode.STORE_NOT_FOUND
            if there or self.target.revision not in (None, _DEFAULT_BRANCH):
                raise
            if "/" not in self._api.repository:
                raise UsageError(
                    f"there is no {self.target.url}, and nobody can say whose it would be; write "
                    "the owner too: hf://organization/name"
                ) from error
            return None

    def _named(self) -> str:
        branch = self._api.branch()
        if branch is None:
            raise UsageError(
                f"{self.target.url} names a commit or a tag, to which nothing can be added; name "
                "a branch"
            )
        return branch

    def _parent(self, client: HfApi) -> str:
        """The commit to build on: the one that was found, or the first one of a new repository."""
        if self._found is None:
            with answered(self._api):
                client.create_repo(self._api.repository, repo_type=self._api.kind, exist_ok=True)
            self._found = self._store.snapshot(self.target)
            if not self._found.files.keys() <= _INITIAL:
                raise overtaken(self._api)
        return self._found.revision
