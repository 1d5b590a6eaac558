"""The client of S3 that s3fs has, with the operator's options and the gate's limits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from typing import Any, TypeVar

from oms_gate.errors import StoreError
from oms_gate.limits import Limits
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores.snapshot import too_many
from oms_gate.stores.store import StoreSettings, in_short, too_late, unusable

# As long as the slowest transfer; each attempt signs its URL anew.
_URL_SECONDS = 3600

T = TypeVar("T")


class S3Client:
    """What is asked of S3 itself, in the thread of s3fs; bytes of files go other ways.

    Names are of objects: the bucket, a slash and the key.

    fs: the `S3FileSystem`.
    """

    def __init__(self, settings: StoreSettings, limits: Limits) -> None:
        """
        Raises:
            ConfigError: the options cannot be meant.
        """
        from s3fs import S3FileSystem

        options: dict[str, Any] = {**settings.options.get("s3", {})}
        try:
            self.fs = S3FileSystem(
                skip_instance_cache=True, use_listings_cache=False, **_complete(options, limits)
            )
        except (TypeError, ValueError) as error:
            raise unusable("s3", error) from error
        self._limits = limits

    def run(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Let the client's own thread do something.

        seconds: how long that may take; None for as long as a listing.

        Raises:
            StoreError: it took longer.
            Exception: whatever `work` raised; see `store_error`.
        """
        from fsspec.asyn import sync
        from fsspec.exceptions import FSTimeoutError

        seconds = self._limits.listing_seconds if seconds is None else seconds
        try:
            # Unlike a thread, a coroutine that is not waited for any more can be ended.
            result: T = sync(self.fs.loop, lambda: work, timeout=seconds)
        except FSTimeoutError:
            raise too_late(seconds) from None
        return result

    async def connect(self) -> None:
        """Make a session with the credentials that there are now.

        Raises:
            ConfigError: the profile or an option cannot be used.
        """
        from botocore import exceptions

        try:
            self.fs.session = _session(self.fs.kwargs)
            await self.fs.set_session()
        except (
            TypeError,
            ValueError,
            exceptions.ProfileNotFound,
            exceptions.ConfigParseError,
            exceptions.ConfigNotFound,
            exceptions.PartialCredentialsError,
        ) as error:
            raise unusable("s3", error) from error

    async def call(self, operation: str, name: str, **arguments: Any) -> Any:
        """The answer to an operation of S3's interface on an object."""
        bucket, _, key = name.partition("/")
        return await self.fs._call_s3(operation, Bucket=bucket, Key=key, **arguments)

    async def head(self, name: str) -> Mapping[str, Any]:
        """What the store says of an object, with its checksums."""
        answer: Mapping[str, Any] = await self.call("head_object", name, ChecksumMode="ENABLED")
        return answer

    async def keys(
        self, bucket: str, prefix: str, keep: Callable[[str], bool] = lambda _: True
    ) -> list[str]:
        """The keys that begin so; of those, the ones to keep.

        Raises:
            StoreError: they are more than `limits.files`.
        """
        keys: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = await self.fs._call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
            keys += filter(keep, (entry["Key"] for entry in page.get("Contents", ())))
            if len(keys) > self._limits.files:
                raise too_many(self._limits)
            if not page.get("IsTruncated"):
                return keys
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def url(self, name: str, operation: str = "get_object", **arguments: Any) -> str:
        """A URL by which anyone may do this one thing, for a while."""
        return str(self.fs.url(name, expires=_URL_SECONDS, client_method=operation, **arguments))

    def close(self) -> None:
        """Close the client's own connections; s3fs does so as well when it is collected."""
        client = getattr(self.fs, "_s3creator", None)
        if client is not None:
            self.fs.close_session(self.fs.loop, client)


def version_id(head: Mapping[str, Any]) -> str | None:
    """Which version of an object it is, where the bucket keeps them."""
    version = head.get("VersionId")
    return None if version in ("", "null") else version


def declared_sha256(head: Mapping[str, Any]) -> str | None:
    """The SHA-256 of an object's whole content in hex, as the store declares it."""
    import base64
    import binascii

    checksum = head.get("ChecksumSHA256")
    # A composite checksum, of a multipart upload, is over its parts' checksums: '...-<parts>'.
    if not checksum or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    try:
        digest = base64.b64decode(checksum, validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 32 else None


def store_error(error: Exception, name: str, done: str = "read") -> StoreError:
    """What the client raised, as a sentence.

    done: what may not be done where credentials are too few.
    """
    from botocore import exceptions

    if isinstance(error, FileNotFoundError):
        return StoreError(
            ReasonCode.STORE_NOT_FOUND,
            f"{name} does not exist: no such bucket, or no object there",
        )
    if isinstance(error, (PermissionError, exceptions.NoCredentialsError)):
        return StoreError(
            ReasonCode.STORE_FORBIDDEN,
            f"{name} may not be {done} with these credentials; check the AWS environment or "
            "profile",
        )
    if isinstance(error, (exceptions.ClientError, LookupError, ValueError)):
        return StoreError(
            ReasonCode.STORE_PROTOCOL,
            f"the store gave no usable listing of {name}: {in_short(error)}",
        )
    return StoreError(
        ReasonCode.STORE_UNAVAILABLE,
        f"the store could not be asked for {name}: {in_short(error)}",
    )


def _session(options: Mapping[str, Any]) -> Any:
    """A session of its own, as s3fs would make it, but for the descriptions of services.

    To read those takes a tenth of a second and fifteen megabytes each time.
    """
    from aiobotocore.session import AioSession

    session = AioSession(**options)
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@cache
def _loader(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _complete(options: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """The operator's options, and those that follow from the limits."""
    if not options.get("anon"):
        # The older signature cannot be used for a URL with a session token or in all regions.
        config = {"signature_version": "s3v4", **options.get("config_kwargs", {})}
        options["config_kwargs"] = config
    options["config_kwargs"] = {
        "connect_timeout": limits.connect_seconds,
        "read_timeout": limits.read_seconds,
        "retries": {"max_attempts": limits.retries},
        **options.get("config_kwargs", {}),
    }
    return options
