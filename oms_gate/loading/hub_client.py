"""The transport of huggingface_hub: what no function asked for on the guard's behalf is refused.

The functions that hand out files are served from the verified cache, and make no such requests.
What is left are requests by other ways, which nobody would verify.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from oms_gate.loading.admitted import Current, is_let_through
from oms_gate.loading.swaps import Swaps, unknown

# Where the Hub has a repository's files, or leads to them; what follows is revision and path.
_FILES = re.compile(
    r"/+(?:api/)?(?:models/)?(?P<name>[^/].*?)/(?:resolve|raw|xet-read-token)(?:/|$)"
    r"|/+api/resolve-cache/(?:models/)?(?P<cached>(?:datasets/|spaces/)?[^/]+/[^/]+)/"
)


def swap_clients(swaps: Swaps, current: Current) -> None:
    """Watch every client of the library, those that are there already included.

    Raises:
        ConfigError: the library is not made as it was expected.
    """
    from huggingface_hub.utils import _http

    backstop = _Backstop(current)
    library: Any = _http
    if "_GLOBAL_CLIENT_FACTORY" in vars(library):
        with library._CLIENT_LOCK:
            swaps.attribute(library, "_GLOBAL_CLIENT_FACTORY", backstop.factory)
            swaps.attribute(library, "_GLOBAL_ASYNC_CLIENT_FACTORY", backstop.async_factory)
            # In use by other threads, perhaps; so it is not replaced.
            if (client := library._GLOBAL_CLIENT) is not None:
                backstop.watch(client)
    elif "_GLOBAL_BACKEND_FACTORY" in vars(library):
        swaps.attribute(library, "_GLOBAL_BACKEND_FACTORY", backstop.session_factory)
        library.reset_sessions()
        swaps.afterwards(library.reset_sessions)
    else:
        raise unknown("its transport is none that is known")
    swaps.afterwards(backstop.leave)
    _swap_xet(swaps, backstop)


class _Backstop:
    """Looks at requests and at where their answers lead."""

    def __init__(self, current: Current) -> None:
        self._current = current
        # Where files are kept: the origin, and the name of a repository whose files were there.
        self._hosts: dict[str, str] = {}
        self._leave: weakref.WeakKeyDictionary[Any, Callable[[], None]] = (
            weakref.WeakKeyDictionary()
        )

    def check(self, method: str, url: str) -> None:
        """Refuse a request that would bring a file.

        Raises:
            AdmissionDenied: it would.
        """
        if method.upper() == "GET" and (name := _repository(url) or self._hosts.get(_origin(url))):
            self.refuse(name, urlsplit(url).path)

    def refuse(self, name: str, what: str) -> None:
        """Refuse a transfer, unless it is one that the guard lets through.

        name: of the repository, as far as it is known.

        Raises:
            AdmissionDenied: it is refused.
        """
        models = self._current()
        if models is None or is_let_through():
            return
        denied = models.refusal(
            f"hf://{name}",
            f"its files were asked for in a way that nothing verifies ({what}); use "
            "hf_hub_download, snapshot_download or HfFileSystem",
        )
        if not models.annotates:
            raise denied
        models.warn(denied)

    def note(self, url: str, location: str | None) -> None:
        """Remember where an answer leads to a file."""
        if location and (name := _repository(url)):
            target = urljoin(url, location)
            # Another server of the same kind has more than files.
            if _origin(target) != _origin(url) and not _repository(target):
                self._hosts[_origin(target)] = name

    def leave(self) -> None:
        """Watch no more."""
        for leave in list(self._leave.values()):
            leave()
        self._leave.clear()

    def factory(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """A factory whose clients of httpx are watched."""
        return lambda: self.watch(make())

    def async_factory(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """The same for asynchronous ones."""
        return lambda: self.watch(make(), asynchronous=True)

    def session_factory(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """A factory whose sessions of requests are watched."""
        return lambda: self._watch_session(make())

    def watch(self, client: Any, *, asynchronous: bool = False) -> Any:
        """Look at each request of a client of httpx, also at those that redirects lead to."""

        def asked(request: Any) -> None:
            self.check(request.method, str(request.url))

        def answered(response: Any) -> None:
            self.note(str(response.url), response.headers.get("location"))

        async def asked_later(request: Any) -> None:
            asked(request)

        async def answered_later(response: Any) -> None:
            answered(response)

        if client not in self._leave:
            before: list[Any] = client.event_hooks["request"]
            after: list[Any] = client.event_hooks["response"]
            hook, look = (asked_later, answered_later) if asynchronous else (asked, answered)
            before.append(hook)
            after.append(look)

            def leave() -> None:
                with suppress(ValueError):  # Somebody else has removed it.
                    before.remove(hook)
                    after.remove(look)

            self._leave[client] = leave
        return client

    def _watch_session(self, session: Any) -> Any:
        send = session.send

        def watched(request: Any, **kwargs: Any) -> Any:
            self.check(request.method, request.url)
            response = send(request, **kwargs)
            self.note(request.url, response.headers.get("location"))
            return response

        if session not in self._leave:
            session.send = watched
            watching = weakref.ref(session)
            self._leave[session] = lambda: vars(watching()).pop("send", None)
        return session


class _XetSession:
    """A session of Xet, of which only uploads are let through."""

    def __init__(self, session: Any, backstop: _Backstop) -> None:
        self._session = session
        self._backstop = backstop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._session, name)
        if "download" not in name:
            return method

        def checked(*args: Any, **kwargs: Any) -> Any:
            self._backstop.refuse(_repository(kwargs.get("token_refresh_url") or "") or "", name)
            return method(*args, **kwargs)

        return checked


def _swap_xet(swaps: Swaps, backstop: _Backstop) -> None:
    """Refuse transfers that are not made by the library's own transport."""
    try:
        import hf_xet
    except ImportError:  # There are none, then.
        return
    from huggingface_hub import file_download
    from huggingface_hub.utils import _xet

    library: Any = _xet
    if "get_xet_session" in vars(library):
        swaps.attribute(
            library,
            "get_xet_session",
            lambda original: lambda: _XetSession(original(), backstop),
        )
    elif "download_files" not in file_download.xet_get.__code__.co_names:
        raise unknown("its Xet transport is none that is known")
    if "download_files" in vars(hf_xet):

        def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
            def download_files(*args: Any, **kwargs: Any) -> Any:
                backstop.refuse("", "hf_xet.download_files")
                return original(*args, **kwargs)

            return download_files

        swaps.attribute(hf_xet, "download_files", guarded)


def _repository(url: str) -> str | None:
    """The repository whose file a URL names, if it does."""
    match = _FILES.match(unquote(urlsplit(url).path))
    return match and (match["name"] or match["cached"])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
