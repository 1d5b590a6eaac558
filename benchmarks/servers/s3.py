"""SeaweedFS with its data in main memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.model import SIGNATURE, Model
from benchmarks.servers import cpu_seconds
from benchmarks.trial import Source
from tests.peers.seaweedfs import SeaweedFS

_PART_BYTES = 32 << 20


class ServedS3:
    """A context manager that starts the server with one bucket.

    place: the folder that its data is put in.
    """

    def __init__(self, place: Path) -> None:
        self._server = SeaweedFS(place)

    def __enter__(self) -> Self:
        self._server.__enter__()
        self.bucket = self._server.create_bucket()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads a client to the server itself; the stand-in's logging proxy is left out."""
        return {**self._server.environment(), "AWS_ENDPOINT_URL": self._server.backend_url}

    def publish(self, model: Model) -> Source:
        """Store a model, large files in parts."""
        prefix = model.folder.name
        for name in [*model.files, SIGNATURE]:
            path, key = model.folder / name, f"{prefix}/{name}"
            if path.stat().st_size > _PART_BYTES:
                self._server.put_multipart(self.bucket, key, _parts(path), checksum=False)
            else:
                self._server.put(self.bucket, key, path)
        urls = {name: self._presigned(f"{prefix}/{name}") for name in model.files}
        return Source(f"s3://{self.bucket}/{prefix}", model.sizes, urls)

    def cpu_seconds(self) -> float:
        """CPU time of the server so far."""
        return cpu_seconds(self._server.pid)

    def _presigned(self, key: str) -> str:
        url: str = self._server.client().generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}
        )
        return url


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            yield part
