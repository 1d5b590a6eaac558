"""Proxies, as every store that is read over HTTP uses them."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.http import HttpReader
from oms_gate.stores.redirects import RemoteFile
from tests.stores.serving import LIMITS, Files, QuietHandler, fetched, read, serving, snapshot


class Proxy(QuietHandler):
    """A forward proxy for plain http, which counts."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            answer = direct.open(self.path)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET


def test_the_proxy_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    handler = type("CountingProxy", (Proxy,), {"seen": seen})
    with serving(partial(Files, directory=str(folder))) as port, serving(handler) as proxy:
        url = f"http://127.0.0.1:{port}/x.gguf"
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        assert read(snapshot(url), "x.gguf") == b"weights"
        assert url in seen
        seen.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert read(snapshot(url), "x.gguf") == b"weights"
        assert seen == []


class RedirectingProxy(QuietHandler):
    """Answers for every host; the one called redirecting.test sends clients to `location`."""

    seen: list[str]
    location: str

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.path.startswith("http://redirecting.test/"):
            self.send_response(302)
            self.send_header("Location", self.location)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"" if self.path.startswith("http://redirecting.test/") else b"weights")


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("models.test", False),
        ("8.8.8.8", False),
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("224.0.0.1", True),
        ("[::1]", True),
        ("[::ffff:10.0.0.1]", True),
        ("[fd00::1]", True),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_proxy_is_not_asked_for_a_private_address(
    monkeypatch: pytest.MonkeyPatch, host: str, refused: bool, trusted: bool
) -> None:
    """It stands where such an address may lead somewhere."""
    seen: list[str] = []
    location = f"http://{host}/w"
    handler = type("ThisProxy", (RedirectingProxy,), {"seen": seen, "location": location})
    hosts = frozenset({"redirecting.test", *([host.strip("[]")] * trusted)})
    with serving(handler) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        reader = HttpReader(LIMITS, hosts)
        file = RemoteFile("w", lambda: "http://redirecting.test/w")
        if refused and not trusted:
            with pytest.raises(StoreError) as caught:
                fetched(reader, file)
            assert caught.value.reason.code is ReasonCode.STORE_REDIRECT_REFUSED
            assert seen == ["http://redirecting.test/w"]
        else:
            assert fetched(reader, file) == b"weights"
            assert seen == ["http://redirecting.test/w", location]
