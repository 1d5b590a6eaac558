"""Objects of S3 that are new: streamed to it, or copied by S3 itself. Nothing is replaced."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from oms_gate.errors import StoreError
from oms_gate.limits import MIB, Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.connections import Body
from oms_gate.stores.http import Answer, HttpReader
from oms_gate.stores.redirects import RemoteFile
from oms_gate.stores.s3_client import S3Client, declared_sha256, store_error
from oms_gate.stores.snapshot import Snapshot, StoredFile
from oms_gate.stores.store import translated

# What S3 takes in one request, and copies in one; and of parts, how many and how large they are.
SINGLE_REQUEST_BYTES: Final = 5 * 1024 * MIB
_PART_BYTES = 64 * MIB
_MOST_PARTS = 10_000
_DELETED_AT_ONCE = 1000

# The bytes of a file from an offset to another one, as often as they are asked for.
Content = Callable[[int, int], Iterable[bytes | memoryview]]


class S3Uploader:
    """Puts objects where there are none. Safe for use by several threads.

    Names are of objects: the bucket, a slash and the key.
    """

    def __init__(
        self, client: S3Client, place: str, limits: Limits, private_hosts: Collection[str]
    ) -> None:
        """
        place: the name of any object in the bucket.
        private_hosts: what else than the store itself may be at a private address.
        """
        self._client = client
        self._limits = limits
        # A file is sent to the store that is configured, and nowhere else.
        self._reader = HttpReader(
            limits.model_copy(update={"redirects": 0}),
            frozenset({urlsplit(client.url(place)).hostname or "", *private_hosts}),
        )

    def upload(self, name: str, size: int, content: Content, sha256: str | None = None) -> None:
        """Stream a file to a new object. What `content` raises ends that, and no object is there.

        size: in bytes.
        sha256: of the whole, in hex, where it is known: S3 refuses other bytes then, and declares
            it of the object, unless that is too large for a single request.

        Raises:
            StoreError: there is an object, or the store refuses or fails.
            Exception: whatever `content` raises.
        """
        if size > SINGLE_REQUEST_BYTES:
            self._upload_parts(name, size, content)
            return
        params, headers = {"IfNoneMatch": "*"}, {"If-None-Match": "*"}
        if sha256 is not None:
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            params["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = checksum
        answer = self._send(name, "put_object", params, headers, size, partial(content, 0, size))
        if answer.status != 200 and not self._is_there(name, size, sha256, answer.status):
            raise _refused(name, answer.status)

    def copy(self, snapshot: Snapshot, file: StoredFile, name: str, seconds: float) -> bool:
        """Have S3 copy a listed file, of which it declares a SHA-256, to a new object.

        seconds: how long that may take.

        Returns:
            Whether there is a copy, of which it declares the same. If not, there is none.
        """
        root = snapshot.reference.location
        root = root.rpartition("/")[0] if snapshot.single else root
        bucket, _, key = f"{root}/{file.path}".partition("/")
        source, condition = {"Bucket": bucket, "Key": key}, {}
        version = file.version or ""
        if version.startswith(('"', "W/")):  # An entity tag.
            condition["CopySourceIfMatch"] = version
        elif version:
            source["VersionId"] = version
        else:  # It could be anything by now.
            return False
        arguments = {"CopySource": source, "ChecksumAlgorithm": "SHA256", **condition}

        async def copy() -> bool:
            await self._client.call("copy_object", name, **arguments)
            return await self._is(name, file.size, file.sha256)

        try:
            with translated(lambda error: store_error(error, name, "copied")):
                copied = file.sha256 is not None and self._client.run(copy(), seconds)
        except StoreError:
            copied = False
        if not copied:
            self.delete([name])
        return copied

    def delete(self, names: Collection[str]) -> None:
        """Delete objects, as far as that works.

        Raises:
            StoreError: it did not work.
        """
        bucket = next(iter(names), "").partition("/")[0]
        keys = [name.partition("/")[2] for name in names]

        async def delete(some: list[str]) -> None:
            objects = {"Objects": [{"Key": key} for key in some], "Quiet": True}
            await self._client.fs._call_s3("delete_objects", Bucket=bucket, Delete=objects)

        for start in range(0, len(keys), _DELETED_AT_ONCE):
            with translated(lambda error: store_error(error, bucket, "deleted")):
                self._client.run(delete(keys[start : start + _DELETED_AT_ONCE]))

    def abort(self) -> None:
        """End every upload under way, and begin no other."""
        self._reader.abort()

    def close(self) -> None:
        """Release the connections."""
        self._reader.close()

    def _upload_parts(self, name: str, size: int, content: Content) -> None:
        def call(operation: str, **arguments: Any) -> Any:
            with translated(lambda error: store_error(error, name, "written")):
                return self._client.run(self._client.call(operation, name, **arguments))

        step = max(_PART_BYTES, -(-size // _MOST_PARTS))
        upload = call("create_multipart_upload")["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            for start in range(0, size, step):
                end = min(start + step, size)
                part: dict[str, Any] = {"PartNumber": len(parts) + 1}
                answer = self._send(
                    name,
                    "upload_part",
                    {"UploadId": upload, **part},
                    {},
                    end - start,
                    partial(content, start, end),
                )
                if answer.status != 200 or "ETag" not in answer.headers:
                    raise _refused(name, answer.status)
                parts.append({**part, "ETag": answer.headers["ETag"]})
            call(
                "complete_multipart_upload",
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
            )
        except BaseException:
            with suppress(StoreError):
                call("abort_multipart_upload", UploadId=upload)
            raise

    def _send(
        self,
        name: str,
        operation: str,
        params: dict[str, Any],
        headers: dict[str, str],
        size: int,
        content: Callable[[], Iterable[bytes | memoryview]],
    ) -> Answer:
        file = RemoteFile(name, lambda: self._client.url(name, operation, **params), headers)
        return self._reader.answer(file, Body(content, method="PUT", size=size))

    def _is_there(self, name: str, size: int, sha256: str | None, status: int) -> bool:
        """Whether an object is there that is this one: an answer may have been lost."""
        if status not in (409, 412) or sha256 is None:
            return False
        with translated(lambda error: store_error(error, name)):
            return self._client.run(self._is(name, size, sha256))

    async def _is(self, name: str, size: int | None, sha256: str | None) -> bool:
        """Whether an object is what it should be, as the store declares it."""
        try:
            head = await self._client.head(name)
        except FileNotFoundError:
            return False
        return (declared_sha256(head), head.get("ContentLength")) == (sha256, size)


def _refused(name: str, status: int) -> StoreError:
    if status in (401, 403):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN,
            f"{name} may not be written with these credentials (HTTP {status}); check the AWS "
            "environment or profile",
            path=name,
        )
    if status in (409, 412):
        return StoreError(
            ReasonCode.STORE_CHANGED,
            f"{name} was written by somebody else in the meantime, so it was left as it is; try "
            "again",
            path=name,
        )
    return StoreError(
        ReasonCode.STORE_PROTOCOL,
        f"the store refused {name} (HTTP {status}), so nothing is published; see what its "
        "operator says of conditional writes and SHA-256 checksums, and try again",
        path=name,
    )
