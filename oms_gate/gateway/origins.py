"""Where repositories come from, and who may see them: each client by what it has itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from oms_gate.gateway.paths import Repository
from oms_gate.reference import Reference
from oms_gate.stores import Snapshot
from oms_gate.verdict import Model

NO_DATE: Final = "1970-01-01T00:00:00.000Z"
"""What stands in documents for a date that nobody knows: clients have to be given one."""


@dataclass(frozen=True)
class Described:
    """A repository at a revision, as its origin describes it to one client.

    reference: at the immutable revision, where its store has such.
    commit: what clients call that: 40 hexadecimal digits.
    document: what the Hub's interface says of it; without its files, of which it says nothing
        that counts.
    options: with which its store is asked in that client's name.
    origin: what has described it.
    """

    repository: Repository
    reference: Reference
    commit: str
    document: Mapping[str, Any]
    options: Mapping[str, Any] = field(repr=False)
    origin: Origin

    @property
    def model(self) -> Model:
        """What verdicts call it."""
        reference = self.reference
        return Model(url=reference.url, name=reference.name, revision=reference.revision)

    @property
    def access(self) -> str:
        """What tells clients from each other who may see different things. Secret."""
        return repr(sorted(self.options.items()))

    @property
    def date(self) -> str:
        """When it was changed last, as the Hub writes it."""
        date = self.document.get("lastModified")
        return date if isinstance(date, str) else NO_DATE


class Origin(Protocol):
    """Where repositories come from. Used by several threads."""

    def has(self, repository: Repository) -> bool:
        """Whether this is where a repository would be, if there is one. It takes no time."""

    def token(self, repository: Repository, token: str | None) -> str | None:
        """What of a client's own token matters here; equal for who may see the same.

        It takes no time.

        Raises:
            StoreError: this client may read nothing there.
        """

    def describe(
        self, repository: Repository, revision: str | None, token: str | None
    ) -> Described:
        """A repository at a revision, if this client may read it.

        revision: None for the default branch.
        token: see `token`: with nobody else's it is asked for.

        Raises:
            StoreError: there is none, or the client may not read it, or nobody knows.
        """

    def commit(self, snapshot: Snapshot) -> str:
        """What clients call a listing, as `Described.commit`."""

    def passed_on(self, described: Described, what: str, query: Mapping[str, str]) -> Any:
        """What the Hub's interface says besides of a repository: its ``refs`` or ``commits``.

        query: what was asked of that, of what may be.

        Raises:
            StoreError: as `describe`.
        """
