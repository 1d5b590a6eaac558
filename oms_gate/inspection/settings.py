"""What may be published although it looks as if it should not: ``publish:`` in ``gate.yaml``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from oms_gate.policy.publishers import PathGlob


class PublishSettings(BaseModel):
    """Files that are exceptions, as globs over their paths in the model.

    ``*`` stays within one part of a path, ``**`` crosses parts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow_secrets: tuple[PathGlob, ...] = Field(
        default=(), description="Files in which nothing is a secret, such as examples of keys."
    )
    allow_trust_anchors: tuple[PathGlob, ...] = Field(
        default=(), description="Certificates and public keys that nobody is meant to trust."
    )
    allow_formats: tuple[PathGlob, ...] = Field(
        default=(),
        description="Files in a format that runs code when it is loaded, such as pickles, or that "
        "are not in the format that their name says.",
    )
