"""Writing an object of S3, on the condition that nobody else wrote it since it was looked at."""

from __future__ import annotations

from typing import Any

from oms_gate.errors import StoreError
from oms_gate.reason_codes import ReasonCode

# Met a condition that no longer holds; or another write of the same object at the same time.
_CHANGED = (409, 412)
_CONDITIONS_UNKNOWN = 501


async def put(fs: Any, name: str, content: bytes, etag: str | None) -> None:
    """Put an object in one request, in place of what has this entity tag (None: of nothing).

    fs: an `S3FileSystem`, whose own translation of errors has the server's answer as its cause.
    name: the bucket, a slash and the key.

    Raises:
        StoreError: somebody else wrote it, or the server knows no conditional writes.
        Exception: what `fs` raises.
    """
    bucket, _, key = name.partition("/")
    condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    try:
        await fs._call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
    except OSError as error:
        status, code = _answer(error)
        if status == _CONDITIONS_UNKNOWN:
            raise StoreError(
                ReasonCode.STORE_PROTOCOL,
                f"the store of {name} cannot write on the condition that nobody else did, so "
                "nothing was written; name a local file with --output, and put it there yourself",
                path=name,
            ) from error
        # What is no longer there matches no entity tag; servers differ in how they say so.
        gone = etag is not None and code == "NoSuchKey"
        if status not in _CHANGED and not gone:
            raise
        # Where an answer was lost the client tries again, and meets what it wrote itself.
        if await _is_there(fs, bucket, key, content):
            return
        raise StoreError(
            ReasonCode.STORE_CHANGED,
            f"{name} was written by somebody else in the meantime, so it was left as it is; try "
            "again when nothing else writes to the model",
            path=name,
        ) from error


async def _is_there(fs: Any, bucket: str, key: str, content: bytes) -> bool:
    try:
        answer = await fs._call_s3("get_object", Bucket=bucket, Key=key)
    except FileNotFoundError:
        return False
    async with answer["Body"] as body:
        # One byte more would make it another object.
        found: bytes = await body.read(len(content) + 1)
    return found == content


def _answer(error: OSError) -> tuple[int | None, str | None]:
    """The status and the code with which the server refused."""
    response = getattr(error.__cause__, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status, response.get("Error", {}).get("Code")
