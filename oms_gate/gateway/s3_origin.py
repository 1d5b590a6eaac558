"""Models of buckets as repositories: who may read them is for the gateway to say.

S3 has no commits. What clients get for one begins with digits of the release, if it is one, by
which that is found again, and ends with digits of the listing: every file's name, size and version.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

from oms_gate.errors import StoreError
from oms_gate.gateway.origins import Described
from oms_gate.gateway.paths import Repository
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.service_settings import S3Repositories
from oms_gate.stores import Snapshot, StoreSettings
from oms_gate.stores.hub_api import COMMIT
from oms_gate.stores.s3 import S3Store
from oms_gate.stores.s3_releases import release_time

BRANCH: Final = "main"

_RELEASE_DIGITS = 16


class S3Origin:
    """An `Origin`: prefixes of buckets, read with the gate's own credentials."""

    def __init__(
        self,
        settings: StoreSettings,
        limits: Limits,
        repositories: Collection[S3Repositories],
        signature: str,
    ) -> None:
        """
        signature: the file that each release has; it is there last.
        """
        self._settings = settings
        self._limits = limits
        # The Hub does not tell names by their case; so nobody gets another's by that.
        self._owners = {each.owner.lower(): each for each in repositories}
        self._signature = signature

    def has(self, repository: Repository) -> bool:
        """See `Origin.has`."""
        owner, slash, _ = repository.name.partition("/")
        return repository.kind == "models" and bool(slash) and owner.lower() in self._owners

    def is_token(self, token: str | None) -> bool:
        """Whether a token is one that may read here."""
        tokens = (each.readers for each in self._owners.values() if each.readers != "everybody")
        return _is_among(token, [digest for digests in tokens for digest in digests])

    def token(self, repository: Repository, token: str | None) -> None:
        """See `Origin.token`: all see the same who may read."""
        served = self._served(repository)
        if served.readers != "everybody" and not _is_among(token, served.readers):
            raise _unknown(repository)

    def describe(
        self, repository: Repository, revision: str | None, _token: str | None
    ) -> Described:
        """See `Origin.describe`."""
        served = self._served(repository)
        owner, _, name = repository.name.partition("/")
        if owner != served.owner:
            raise _unknown(repository)
        wanted = None if revision in (None, BRANCH) else revision
        if wanted is not None and not COMMIT.fullmatch(wanted):
            raise _no_revision(repository)
        store = S3Store(self._settings, self._limits)
        named = Reference.parse(f"{served.prefix}/{name}")
        found, commit = self._listed(store, repository, named)
        if wanted not in (None, commit):
            assert wanted is not None
            found = self._release_at(store, repository, named, wanted)
            commit = wanted
        document = {
            "id": repository.name,
            "modelId": repository.name,
            "author": owner,
            "private": served.readers != "everybody",
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
        }
        if found.release is not None and (time := release_time(found.release)) is not None:
            document["lastModified"] = _date(time)
        return Described(repository, found, commit, document, {}, self)

    def commit(self, snapshot: Snapshot) -> str:
        """See `Origin.commit`."""
        listing = _digest(f"{snapshot.reference.url}\0{snapshot.revision}")
        return (_of_release(snapshot.reference.release or "") + listing)[:40]

    def passed_on(self, described: Described, what: str, _query: Mapping[str, str]) -> Any:
        """See `Origin.passed_on`."""
        if what == "commits":
            said = {"title": "", "message": "", "authors": [], "date": described.date}
            return [{"id": described.commit} | said]
        branch = {"name": BRANCH, "ref": f"refs/heads/{BRANCH}", "targetCommit": described.commit}
        return {"branches": [branch], "converts": [], "tags": [], "pullRequests": []}

    def _served(self, repository: Repository) -> S3Repositories:
        return self._owners[repository.name.partition("/")[0].lower()]

    def _listed(
        self, store: S3Store, repository: Repository, reference: Reference
    ) -> tuple[Reference, str]:
        """What a model, or release, is now, and the commit.

        Raises:
            StoreError: there is none, or the store fails. It does not say where that would be.
        """
        try:
            with closing(store.snapshot(reference)) as snapshot:
                if not snapshot.single:
                    return snapshot.reference, self.commit(snapshot)
        except StoreError as error:
            if error.reason.code is ReasonCode.STORE_FORBIDDEN:
                raise StoreError(
                    ReasonCode.GATE_MISCONFIGURED,
                    f"the gateway itself may not read {repository.name}; tell its operator to "
                    "check its credentials for S3",
                ) from error
            if error.reason.code is not ReasonCode.STORE_NOT_FOUND:
                raise
        raise _unknown(repository)

    def _release_at(
        self, store: S3Store, repository: Repository, named: Reference, commit: str
    ) -> Reference:
        """The release of a model that a commit stands for.

        Raises:
            StoreError: it is not there, or not any more; or the store fails.
        """
        for release in store.releases(named, self._signature):
            if commit.startswith(_of_release(release)):
                found, now = self._listed(store, repository, named.at_release(release))
                if now == commit:
                    return found
        raise _no_revision(repository)


def _is_among(token: str | None, digests: Collection[str]) -> bool:
    """Whether a token has one of these digests; in the same time whichever it is."""
    if token is None:
        return False
    digest = _digest(token)
    return sum(hmac.compare_digest(digest, each) for each in digests) > 0


def _of_release(release: str) -> str:
    return _digest(release)[:_RELEASE_DIGITS]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _date(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def _unknown(repository: Repository) -> StoreError:
    return StoreError(
        ReasonCode.STORE_NOT_FOUND,
        f"this gateway has no repository {repository.name}, or your token (HF_TOKEN) may not see "
        "it; check both, and ask its operator for a token that may",
    )


def _no_revision(repository: Repository) -> StoreError:
    return StoreError(
        ReasonCode.STORE_REVISION_NOT_FOUND,
        f"{repository.name} has the branch {BRANCH}, its commit of now, and those of releases that "
        "are there still, and nothing else; ask for one of these",
    )
