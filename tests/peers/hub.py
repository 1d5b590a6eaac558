"""A stand-in for the Hugging Face Hub: two HTTP origins that speak its wire protocol.

`HubStandIn` serves repositories that a test makes and changes at will, logs every request, and
misbehaves on demand. Small files come from the API origin itself; LFS files are redirected (302)
to the CDN origin, another port, with a signed URL that expires. Xet is not offered.

    with HubStandIn() as hub:
        commit = hub.create("org/model", files={"config.json": b"{}", "model.safetensors": b"..."})
        HfApi(endpoint=hub.endpoint).model_info("org/model").sha == commit

Files are `bytes`, a `Path`, a `Repeated` pattern of any size, or a `File` that says where it is
kept or what is declared of it. Faults are data, see `tests.peers.faults`:

    hub.inject(Truncate(1000), "*.safetensors", origin="cdn", times=1)
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.peers.content import Content
from tests.peers.faults import Fault, Faults
from tests.peers.hub_discussions import DISCUSSIONS
from tests.peers.hub_reading import READING, read_object, resolved_file
from tests.peers.hub_repository import File, Gated, Kind, Repository
from tests.peers.hub_routes import Route, dispatch
from tests.peers.hub_state import HubState
from tests.peers.hub_writing import WRITING, write_object
from tests.peers.wire import Origin, Request, RequestRecord

Files = Mapping[str, Content | File | None]

_API_ROUTES = [*DISCUSSIONS, *READING, *WRITING]
_CDN_ROUTES = [
    Route("GET", r"/repos/.+", read_object),
    Route("PUT", r"/uploads/(?P<oid>[0-9a-f]{64})", write_object),
]


class HubStandIn:
    """The stand-in; a context manager that starts and stops both origins.

    `state` holds what a test may turn: `token`, `outsider_token`, `page_size`, `url_seconds`,
    `cdn_url`.
    `api` and `cdn` are the two origins, each with `url`, `stop()` and `start()`. `cdn_host` may
    be ``localhost``: huggingface_hub 1.x tells origins apart by their host alone.
    """

    def __init__(self, cdn_host: str = "127.0.0.1") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hub-stand-in-")
        self._requests: list[RequestRecord] = []
        self.faults = Faults()
        self.state = HubState(Path(self._folder.name))
        self.api = self._origin("api", "127.0.0.1", _API_ROUTES, resolved_file)
        self.cdn = self._origin("cdn", cdn_host, _CDN_ROUTES, self._object_file)

    def _origin(
        self,
        name: str,
        host: str,
        routes: list[Route],
        file_of: Callable[[Request], str | None],
    ) -> Origin:
        answer = self.faults.around(lambda request: dispatch(self, routes, request), file_of)
        return Origin(name, answer, self._requests.append, host)

    def _object_file(self, request: Request) -> str | None:
        known = self.state.objects.get(request.quoted_path)
        return known[1] if known else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen; after a `stop`, on the same ports."""
        for origin in (self.api, self.cdn):
            if not origin.running:
                origin.start()

    def stop(self) -> None:
        """Go down: close both ports and every connection."""
        self.api.stop()
        self.cdn.stop()

    def close(self) -> None:
        """Go down for good, and forget everything that was uploaded."""
        self.stop()
        self._folder.cleanup()

    def reset(self) -> None:
        """Be as new, on the same ports: no repositories, no faults, an empty log.

        Raises:
            ExceptionGroup: the stand-in itself failed while it answered since the last reset.
        """
        self.start()
        self.faults.clear()
        self.clear()
        self.state = HubState(Path(self._folder.name))
        failures = [failure for origin in (self.api, self.cdn) for failure in origin.failures]
        for origin in (self.api, self.cdn):
            origin.failures.clear()
        if failures:
            raise ExceptionGroup("the Hub stand-in failed", failures)

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to: the API origin."""
        return self.api.url

    @property
    def token(self) -> str:
        """The access token of a member of every organisation."""
        return self.state.token

    @property
    def requests(self) -> list[RequestRecord]:
        """What both origins were asked since the last `clear`, in order of arrival."""
        return list(self._requests)

    def clear(self) -> None:
        """Empty the log."""
        self._requests.clear()

    def inject(
        self,
        fault: Fault,
        path: str = "*",
        *,
        origin: Literal["api", "cdn"] | None = None,
        method: str | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> None:
        """Misbehave; see `tests.peers.faults`."""
        self.faults.inject(fault, path, origin=origin, method=method, skip=skip, times=times)

    def create(
        self,
        repo_id: str,
        *,
        kind: Kind = "model",
        files: Files | None = None,
        private: bool = False,
        gated: Gated = False,
        commit: str | None = None,
    ) -> str:
        """A new repository with one commit on ``main``; `commit` sets its id. Returns the id."""
        repository = self.state.create(kind, repo_id, private=private, gated=gated)
        first = self.state.commit(
            repository, "refs/heads/main", _as_files(files or {}), commit_id=commit
        )
        return first.id

    def commit(
        self,
        repo_id: str,
        files: Files,
        *,
        kind: Kind = "model",
        revision: str = "main",
        title: str = "commit",
    ) -> str:
        """Put files (None deletes) on a branch or on ``refs/pr/N``. Returns the commit's id."""
        repository = self._repository(repo_id, kind)
        ref = _full_ref(repository, revision)
        return self.state.commit(repository, ref, _as_files(files), title=title).id

    def head(self, repo_id: str, revision: str = "main", *, kind: Kind = "model") -> str:
        """The commit that a revision stands for now."""
        commit = self._repository(repo_id, kind).commit(revision)
        if commit is None:
            raise KeyError(f"{repo_id} has no revision {revision}")
        return commit.id

    def branch(self, repo_id: str, name: str, commit: str, *, kind: Kind = "model") -> None:
        """Make a branch, or ``refs/pr/N``, or move it."""
        repository = self._repository(repo_id, kind)
        repository.refs[_full_ref(repository, name)] = commit

    def tag(self, repo_id: str, name: str, commit: str, *, kind: Kind = "model") -> None:
        """Make a tag, or move it."""
        self._repository(repo_id, kind).refs[f"refs/tags/{name}"] = commit

    def discussions(self, repo_id: str, *, kind: Kind = "model") -> list[dict[str, Any]]:
        """What was opened there: ``title``, ``description`` and ``author`` of each."""
        return self._repository(repo_id, kind).discussions

    def rename(self, old_id: str, new_id: str, *, kind: Kind = "model") -> None:
        """Move a repository; its old name redirects (307) from now on."""
        repository = self.state.repositories.pop((kind, old_id))
        repository.id = new_id
        self.state.repositories[kind, new_id] = repository
        self.state.renamed[kind, old_id] = new_id

    def replace_under_commit(
        self,
        repo_id: str,
        path: str,
        content: Content,
        *,
        revision: str = "main",
        kind: Kind = "model",
    ) -> None:
        """Serve other bytes for a file while commit, listing and digests stay as they are."""
        commit = self._repository(repo_id, kind).commits[self.head(repo_id, revision, kind=kind)]
        commit.files[path] = commit.files[path].replaced(content)

    def load_corpus(self, folder: Path) -> str:
        """Serve one recorded repository of ``corpus/hub``; returns its id.

        Id, commit, names and ``model.sig`` are the real ones; the other files are placeholders
        outside LFS, since the recording has no sizes and no digests.
        """
        listing = json.loads((folder / "listing.json").read_text())
        files: dict[str, Content | File | None] = {
            name: File(f"placeholder for {name}\n".encode(), lfs=False)
            for name in (sibling["rfilename"] for sibling in listing["siblings"])
        }
        files["model.sig"] = (folder / "model.sig").read_bytes()
        self.create(listing["id"], files=files, commit=listing["sha"])
        repo_id: str = listing["id"]
        return repo_id

    def _repository(self, repo_id: str, kind: Kind) -> Repository:
        return self.state.repositories[kind, repo_id]


def _as_files(files: Files) -> dict[str, File | None]:
    return {
        path: file if file is None or isinstance(file, File) else File(file)
        for path, file in files.items()
    }


def _full_ref(repository: Repository, revision: str) -> str:
    """The full name of a branch or other reference that may not exist yet."""
    special = re.fullmatch(r"refs/.+", revision)
    return repository.full_ref(revision) or (revision if special else f"refs/heads/{revision}")
