"""nginx, serving a folder: what a CDN does, at the speed of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.servers import cpu_seconds

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

_START_SECONDS = 10.0
_SO_MAX_PACING_RATE = 47  # of Linux; Python has no name for it

_CONFIGURATION = """
daemon off;
{user}
worker_processes auto;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} {tls};
        root {root};
        {more}
    }}
}}
"""
_HUB = """
        location ~ "^/(?<id>[^/]+/[^/]+)/resolve/(?<commit>[0-9a-f]{{40}})/(?<file>.+)$" {{
            add_header X-Repo-Commit $commit;
            alias {root}/$id/$file;
        }}
        location / {{
            proxy_pass {hub};
        }}
"""


class Nginx:
    """The server; a context manager that starts and ends it.

    root: the folder that it serves. hub: a Hub that it stands in front of; the files of a commit,
    none of them in LFS, it then serves itself from ``root/{id}``. certificate: PEM with the key,
    for TLS. bytes_per_second: what each connection is capped to.
    """

    def __init__(
        self,
        root: Path,
        *,
        hub: str | None = None,
        certificate: Path | None = None,
        bytes_per_second: int | None = None,
    ) -> None:
        self._root = root
        self._hub = hub
        self._certificate = certificate
        self._bytes_per_second = bytes_per_second
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``, or https."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def _start(self) -> None:
        if PROGRAM is None:
            raise RuntimeError("nginx is missing: install it (Debian: nginx-light)")
        # nginx takes over a socket that is named to it, as it does when it replaces itself. So its
        # port is surely free, and connections are paced by the kernel: `limit_rate` counts for
        # each request, not connection, and lets the first second's worth through at once.
        self._listener = socket.socket()
        if self._bytes_per_second is not None:
            self._listener.setsockopt(
                socket.SOL_SOCKET, _SO_MAX_PACING_RATE, self._bytes_per_second
            )
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(511)
        # Or a worker waits here for ever, when another one took the connection.
        self._listener.setblocking(False)
        self._folder = tempfile.TemporaryDirectory(prefix="oms-gate-nginx-")
        folder = Path(self._folder.name)
        tls = f"ssl; ssl_certificate {self._certificate}; ssl_certificate_key {self._certificate}"
        (folder / "nginx.conf").write_text(
            _CONFIGURATION.format(
                folder=folder,
                # Its workers would be nobody's, and could not read temporary folders.
                user="user root;" if os.geteuid() == 0 else "",
                port=self.port,
                tls=tls if self._certificate else "",
                root=self._root,
                more="" if self._hub is None else _HUB.format(root=self._root, hub=self._hub),
            )
        )
        inherited = self._listener.fileno()
        self._process = subprocess.Popen(
            [PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf")],
            env={"NGINX": f"{inherited};"},
            pass_fds=[inherited],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("wb"),
        )
        deadline = time.monotonic() + _START_SECONDS
        while not (folder / "pid").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.01)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
