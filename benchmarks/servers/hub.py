"""The Hub stand-in, whose files come from nginx: as from the Hub, from another origin."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from urllib.request import urlopen

from benchmarks.model import SIGNATURE, Model
from benchmarks.servers.nginx import Nginx
from benchmarks.trial import Source
from tests.peers.content import Content
from tests.peers.hub import HubStandIn
from tests.peers.hub_repository import File


class ServedHub:
    """A context manager that starts both.

    root: the folder with the models, each at ``org/name``. small: nginx stands in front of the Hub
    and serves what is not in LFS, too. certificate, bytes_per_second: see `Nginx`.
    """

    def __init__(
        self,
        root: Path,
        *,
        small: bool = False,
        certificate: Path | None = None,
        bytes_per_second: int | None = None,
    ) -> None:
        self._root = root
        self._small = small
        self._certificate = certificate
        self._bytes_per_second = bytes_per_second
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self.hub = self._stack.enter_context(HubStandIn())
            self.nginx = self._stack.enter_context(
                Nginx(
                    self._root,
                    hub=self.hub.endpoint if self._small else None,
                    certificate=self._certificate,
                    bytes_per_second=self._bytes_per_second,
                )
            )
            self.hub.state.cdn_url = self.nginx.url
            # A listing in one page names no other origin than the one that was asked.
            self.hub.state.page_size = 1_000_000
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return self.nginx.url if self._small else self.hub.endpoint

    def publish(self, model: Model) -> Source:
        """Serve a model that lies below the root."""
        repository = str(model.folder.relative_to(self._root))
        contents: dict[str, Content | File | None] = {
            name: File(model.folder / name, lfs=not self._small and name != SIGNATURE)
            for name in [*model.files, SIGNATURE]
        }
        commit = self.hub.create(repository, files=contents)
        # The stand-in computes what it declares when it is first asked.
        with urlopen(f"{self.hub.endpoint}/api/models/{repository}/tree/{commit}") as listing:
            listing.read()
        at = f"{repository}/resolve/{commit}" if self._small else repository
        urls = {name: f"{self.nginx.url}/{at}/{quote(name)}" for name in model.files}
        return Source(f"hf://{repository}", model.sizes, urls)

    def cpu_seconds(self) -> float:
        """CPU time of both so far; the stand-in is in this process, which else just waits."""
        return self.nginx.cpu_seconds() + time.process_time()
