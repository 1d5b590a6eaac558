"""One commit on the Hub with all that is published: the bytes that were judged, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oms_gate.errors import MeasureError, StepError, StoreError
from oms_gate.limits import Limits
from oms_gate.publish.hub_errors import answered
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Judgement, Publication
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.hub_api import HubApi
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.streaming.measure import measure
from oms_gate.verdict import Reason

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi

    from oms_gate.oms.manifest import Resource


@dataclass(frozen=True)
class ModelCommit:
    """A publication on its way through huggingface_hub.

    client: takes what is sent to `api`'s repository.
    branch: where the commit goes, or what a pull request is for.
    parent: the commit that the publication was judged on; the branch must still be there.
    """

    client: HfApi
    api: HubApi
    publication: Publication
    judgement: Judgement
    limits: Limits
    branch: str
    parent: str

    def make(
        self, message: str, *, pull_request: bool, on_progress: ProgressCallback | None
    ) -> CommitInfo | None:
        """Commit everything; None if it is all there already.

        Raises:
            MeasureError: a file is not what was judged.
            StoreError: the branch has moved, or the Hub refuses or fails.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        published = self.publication.published
        before = published.files if published is not None else {}
        deletions = [
            CommitOperationDelete(path, is_folder=False)
            for path in sorted(before.keys() - self.publication.result.files.keys())
        ]
        repository: dict[str, Any] = {
            "repo_id": self.api.repository,
            "repo_type": self.api.kind,
            "revision": self.branch,
            "create_pr": pull_request,
        }
        with self._sending():
            additions = [
                CommitOperationAdd(path, self._source(path))
                for path in sorted(self.publication.sent)
            ]
            self.client.preupload_lfs_files(additions=additions, **repository)
        self._hold_to_judgement(additions, on_progress)
        if not deletions and all(each._remote_oid == each._local_oid for each in additions):
            return None
        for addition in additions:
            # Or what the branch has by now would be left out of the commit.
            addition._remote_oid = None
        title, _, description = message.partition("\n")
        with self._sending(committing=True):
            made: CommitInfo = self.client.create_commit(
                operations=[*deletions, *additions],
                commit_message=title,
                commit_description=description.strip(),
                parent_commit=self.parent,
                **repository,
            )
        return made

    def _source(self, path: str) -> bytes | str:
        """What huggingface_hub reads a file from: what is in no folder is in memory."""
        signature = self.judgement.signature
        if signature is not None and path == signature.location:
            return signature.content
        return self.publication.result.local_path(path) or self._content(path)

    def _hold_to_judgement(
        self, additions: Sequence[CommitOperationAdd], on_progress: ProgressCallback | None
    ) -> None:
        """Compare what was sent, or is about to be, with what was signed.

        Raises:
            MeasureError: they differ, or a file was changed since it was listed.
            StoreError: the Hub would leave something out.
        """
        contents: dict[str, bytes] = {}
        unproven: dict[str, tuple[Resource, ...]] = {}
        for addition in additions:
            path = addition.path_in_repo
            if addition._should_ignore:
                raise StoreError(
                    ReasonCode.PUBLISH_LEFT_OUT,
                    f"the Hub would leave {path} out, as the .gitignore file of the repository "
                    "tells it to, so nothing was published; change that file, or publish without "
                    f"{path}",
                    path=path,
                )
            signed = self.judgement.signed.get(path, ())
            if addition._upload_mode == "regular":
                # It goes into the commit itself, so it is read here for the last time.
                content = addition.path_or_fileobj
                if not isinstance(content, bytes):
                    content = addition.path_or_fileobj = self._content(path)
                contents[path] = content
            else:
                # It was read to be hashed, and to be sent.
                self._check_listed(path)
                if digest := self.judgement.sha256_of(path):
                    found = addition.upload_info.sha256.hex()
                    if found != digest:
                        raise _changed(path, f"signed sha256 {digest}, sent {found}")
                    continue
            if signed:
                unproven[path] = signed
        self._measure(contents, unproven, on_progress)

    def _measure(
        self,
        contents: Mapping[str, bytes],
        signed: Mapping[str, tuple[Resource, ...]],
        on_progress: ProgressCallback | None,
    ) -> None:
        if not signed:
            return
        assert self.judgement.hash_type is not None
        publication = self.publication
        measured = measure(
            overlay(publication.target, publication.result, None, contents=contents),
            signed,
            self.judgement.hash_type,
            self.limits,
            deadline=time.monotonic() + self.limits.total_seconds,
            on_progress=on_progress,
        )
        for finding in measured.findings:
            raise _as_measured(finding)

    def _content(self, path: str) -> bytes:
        with _measuring():
            content = bytearray()
            for chunk in self.publication.result.chunks(path):
                content += chunk
            return bytes(content)

    def _check_listed(self, path: str) -> None:
        """Find out whether what huggingface_hub reads by its path is still what was listed."""
        result = self.publication.result
        if result.local_path(path) is not None:
            with _measuring():
                for _ in result.chunks(path, 0, 0):
                    pass

    @contextmanager
    def _sending(self, *, committing: bool = False) -> Iterator[None]:
        with answered(self.api, committing=committing):
            try:
                yield
            except Exception:
                # Of a file that is gone, the error would say something else.
                for path in self.publication.sent:
                    self._check_listed(path)
                raise


@contextmanager
def _measuring() -> Iterator[None]:
    """Say of a file that was changed since it was listed what is said of one that is hashed."""
    try:
        yield
    except StoreError as error:
        if error.reason.code is not ReasonCode.STORE_CHANGED:
            raise
        raise _as_measured(error.reason) from error


def _as_measured(finding: Reason) -> StepError:
    if finding.code is ReasonCode.STORE_CHANGED:
        finding = finding.model_copy(update={"code": ReasonCode.FILE_CHANGED})
    return MeasureError(finding.code, finding.message, path=finding.path)


def _changed(path: str, how: str) -> MeasureError:
    return MeasureError(
        ReasonCode.FILE_CHANGED,
        f"{path} was changed while it was being published ({how}), so nothing was published; try "
        "again when nothing writes to the model",
        path=path,
    )
