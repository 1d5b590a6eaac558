"""A real browser: headless Chromium, told what to do by its DevTools protocol.

async with Chromium() as browser:
    await browser.open("https://...")
    await browser.run("document.title")
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_LONGEST_SECONDS = 20.0


def chromium() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """One page of a browser that nobody has used before.

    faults: what its console says of errors, refused content included.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self.faults: list[str] = []

    async def __aenter__(self) -> Self:
        program = chromium()
        assert program is not None
        self._process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            f"--user-data-dir={self._folder.name}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        port = Path(self._folder.name, "DevToolsActivePort")
        async with asyncio.timeout(_LONGEST_SECONDS):
            while not port.exists() or not port.read_text().count("\n"):
                await asyncio.sleep(0.02)
        base = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"{base}/json/list") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        self._socket = await self._session.ws_connect(
            pages[0]["webSocketDebuggerUrl"], max_msg_size=0
        )
        self._reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._send(f"{domain}.enable")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._socket.close()
        await self._session.close()
        await self._reader
        self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()

    async def open(self, url: str) -> None:
        """Go to a page, and wait until all of it is there."""
        self._loaded.clear()
        await self._send("Page.navigate", url=url)
        await self._wait()

    async def follow(self, script: str) -> None:
        """Run what leads to another page, and wait for that."""
        self._loaded.clear()
        await self.run(script)
        await self._wait()

    async def run(self, script: str) -> Any:
        """The value of an expression in the page, or that of its promise."""
        found = await self._send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key, such as Tab."""
        for kind in ("keyDown", "keyUp"):
            await self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode={"Tab": 9, "Enter": 13}[key],
                text="\r" if key == "Enter" else "",
            )

    async def prefer(self, scheme: str, *, media: str = "screen") -> None:
        """Have the user prefer ``light`` or ``dark``, on the ``screen`` or in ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self._send("Emulation.setEmulatedMedia", features=features, media=media)

    async def resize(self, width: int, height: int = 900) -> None:
        """Make the page so wide and high, in CSS pixels."""
        await self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def screenshot(self, *, all_of_it: bool = True) -> bytes:
        """The page, PNG: all of it, or what the window shows."""
        shot = await self._send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=all_of_it
        )
        return base64.b64decode(shot["data"])

    async def printed(self) -> bytes:
        """The page on paper, PDF."""
        paper = await self._send("Page.printToPDF", preferCSSPageSize=True)
        return base64.b64decode(paper["data"])

    async def _wait(self) -> None:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await self._loaded.wait()

    async def _send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await answer

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            parameters = told.get("params", {})
            if "id" in told:
                answer = self._answers.pop(told["id"])
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]))
                else:
                    answer.set_result(told["result"])
            elif told["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif told["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                self.faults.append(parameters["entry"]["text"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.faults.append(str(parameters["exceptionDetails"]))
