"""Policies as objects of the cluster, and what a real API server says of many at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from subprocess import CompletedProcess
from typing import Any, Protocol


class Cluster(Protocol):
    """A real API server."""

    @property
    def kubectl(self) -> Callable[..., CompletedProcess[str]]:
        """Run kubectl as an administrator, with arguments and an ``input``."""


Object = dict[str, Any]

KEY_SIGNER: Object = {"method": "key", "key": "acme"}
CERTIFICATE_SIGNER: Object = {"method": "certificate", "root": "ca", "identity": "a@acme.example"}
SIGSTORE_SIGNER: Object = {
    "method": "sigstore",
    "identity": "a@acme.example",
    "issuer": "https://accounts.google.com",
}


def policy(kind: str, spec: object) -> Object:
    """A policy without a name."""
    metadata = {"namespace": "default"} if kind == "GatePolicy" else {}
    return {
        "apiVersion": "oms-gate.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def publisher(**fields: object) -> Object:
    """A spec with one publisher rule, which is good but for the fields."""
    rule: Object = {"name": "Acme", "models": ["acme/*"], "signers": [KEY_SIGNER], **fields}
    return {"publishers": [rule]}


def signer(base: Object, without: str = "", **fields: object) -> Object:
    """A spec with one signer, which is good but for the fields."""
    made = {name: value for name, value in {**base, **fields}.items() if name != without}
    return publisher(signers=[made])


def answers(cluster: Cluster, objects: Mapping[str, Object]) -> dict[str, str]:
    """What the API server says of each object in a dry run: nothing, or why it refuses it.

    The keys are anything; one call of kubectl asks for all of them.
    """
    named = {f"case-{number}": key for number, key in enumerate(objects)}
    items = [
        {**objects[key], "metadata": {**objects[key]["metadata"], "name": name}}
        for name, key in named.items()
    ]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    done = cluster.kubectl(
        "create", "--dry-run=server", "--validate=ignore", "-o", "name", "-f", "-", input=document
    )
    refused = dict(
        re.findall(r'"(case-\d+)" is invalid:((?:.|\n)*?)(?=Error from|The \w+ "|\Z)', done.stderr)
    )
    accepted = set(re.findall(r"/(case-\d+)$", done.stdout, re.MULTILINE))
    assert accepted | set(refused) == set(named), done.stderr
    return {key: refused.get(name, "").strip() for name, key in named.items()}
