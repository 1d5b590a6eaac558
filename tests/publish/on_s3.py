"""A model's place in a bucket, as the tests that publish there look at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oms_gate import Gate, Verdict
from oms_gate.reference import RELEASES, Reference
from oms_gate.stores.s3_releases import POINTER
from tests.delivery.pulling import gate_of
from tests.peers.seaweedfs import SeaweedFS, User

PREFIX = "acme/model"


@dataclass(frozen=True)
class Place:
    """``s3://bucket/acme/model``, and a gate that reaches it and trusts Acme for it."""

    s3: SeaweedFS
    bucket: str
    settings: Mapping[str, Any]

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{PREFIX}"

    @property
    def target(self) -> Reference:
        return Reference.parse(self.url)

    @property
    def gate(self) -> Gate:
        return self.gate_as(None)

    def gate_as(self, user: User | None, **limits: Any) -> Gate:
        # What the weights of these tests are is nothing to go by.
        gate = gate_of({**self.settings, "publish": {"allow_formats": ["**"]}})
        gate = gate.with_store_options("s3", self.s3.storage_options(user))
        gate.limits = gate.limits.model_copy(update=limits)
        return gate

    def verdict(self) -> Verdict:
        """What a consumer's gate says."""
        return self.gate.check(self.url)

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What a plain client sees below the model's place, or a folder of it."""
        client, root = self.s3.client(), f"{PREFIX}/{prefix}"
        listed = client.list_objects_v2(Bucket=self.bucket, Prefix=root).get("Contents", ())
        return {
            entry["Key"].removeprefix(root): client.get_object(
                Bucket=self.bucket, Key=entry["Key"]
            )["Body"].read()
            for entry in listed
        }

    def release(self) -> str | None:
        """The current release, by a plain client."""
        pointer = self.objects(POINTER).get("")
        return None if pointer is None else json.loads(pointer)["release"]

    def current(self) -> dict[str, bytes]:
        """The files of the current release."""
        release = self.release()
        assert release is not None
        return self.objects(f"{RELEASES}/{release}/")

    def releases(self) -> set[str]:
        """The names of all folders of releases."""
        return {path.partition("/")[0] for path in self.objects(f"{RELEASES}/")}

    def put(self, path: str, content: bytes, **options: Any) -> None:
        """Put an object below the model's place."""
        self.s3.put(self.bucket, f"{PREFIX}/{path}", content, **options)
