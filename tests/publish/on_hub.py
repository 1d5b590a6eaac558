"""Publications on the Hub's stand-in, and a look at them from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from oms_gate import Gate, ReasonCode, Verdict
from oms_gate.errors import StepError
from oms_gate.publish.hub_registry import HubRegistry
from oms_gate.publish.release import Release, Upload, release_folder
from oms_gate.reference import Reference
from tests import models
from tests.delivery.pulling import signed
from tests.peers.content import bytes_of
from tests.peers.hub import HubStandIn

REPOSITORY = "acme/model"
TARGET = f"hf://{REPOSITORY}"


def publish(gate: Gate, folder: Path, target: str = TARGET, **options: Any) -> Release:
    """Publish a folder; options that an `Upload` has are for it."""
    registry = HubRegistry(Reference.parse(target), gate)
    patterns = {
        name: options.pop(name) for name in ("include", "exclude", "delete") if name in options
    }
    try:
        return release_folder(gate, registry, Upload(folder, **patterns), **options)
    finally:
        registry.close()


def refused(gate: Gate, folder: Path, code: ReasonCode, **options: Any) -> str:
    """The sentence by which it ends."""
    with pytest.raises(StepError) as caught:
        publish(gate, folder, **options)
    assert caught.value.reason.code is code, caught.value.reason
    return caught.value.reason.message


def release(place: Path, key: ec.EllipticCurvePrivateKey, number: int = 1, **options: Any) -> Path:
    """A folder with a release that is like no other, signed; its weights are in LFS."""
    files = {
        **models.FILES,
        "README.md": b"# Release %d\n" % number,
        "model.safetensors": b"weights %d " % number * 1000,
    }
    return models.write(place / f"release-{number}", signed(key, files, **options))  # type: ignore[arg-type]


def there(
    hub: HubStandIn, revision: str = "main", repository: str = REPOSITORY
) -> dict[str, bytes]:
    """What the Hub has at a revision, less what it has put there itself."""
    commit = hub.state.repositories["model", repository].commit(revision)
    assert commit is not None
    files = {path: bytes_of(file.content) for path, file in commit.files.items()}
    files.pop(".gitattributes", None)
    return files


def contents(folder: Path) -> dict[str, bytes]:
    """What is in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def history(hub: HubStandIn, revision: str = "main", repository: str = REPOSITORY) -> list[str]:
    """Ids of the commits with anything in them that somebody published, newest first."""
    kept = hub.state.repositories["model", repository]
    newest = kept.commit(revision)
    assert newest is not None
    return [
        commit.id for commit in kept.history(newest) if commit.files.keys() - {".gitattributes"}
    ]


def seen(gate: Gate, commit: str) -> Verdict:
    """What a reader's gate says of a revision."""
    return gate.check(f"{TARGET}@{commit}")


def commits(hub: HubStandIn) -> int:
    """How often a commit was asked for."""
    return sum(record.method == "POST" and "/commit/" in record.path for record in hub.requests)
