"""Uploads as huggingface_hub has them, each of which is signed and judged, and is one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.publish.hub_registry import HubRegistry
from oms_gate.publish.overlay import overlay
from oms_gate.publish.publication import Publication
from oms_gate.publish.release import MESSAGE, Release, Upload, release, release_folder
from oms_gate.reference import Reference
from oms_gate.signing.model import ModelSigner
from oms_gate.stores.local import LocalStore
from oms_gate.stores.snapshot import check_name

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

Patterns = list[str] | str | None

_KINDS = {None: "", "model": "", "dataset": "datasets/", "space": "spaces/"}


class Savable(Protocol):
    """A model, a tokenizer, a processor, a configuration."""

    def save_pretrained(self, save_directory: str | Path, /) -> Any:
        """Write its files into a folder."""


def upload_folder(
    *,
    repo_id: str,
    folder_path: str | Path,
    path_in_repo: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    token: str | bool | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    create_pr: bool | None = None,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    delete_patterns: Patterns = None,
    gate: Gate | None = None,
    signer: ModelSigner | None = None,
) -> CommitInfo:
    """Publish a folder as `huggingface_hub.upload_folder` does, if the gate lets it out.

    gate: None for the one that ``OMS_GATE_CONFIG`` configures.
    signer: signs what will be there, and the signature is kept in the folder; None where the
        folder holds a valid signature already.

    Raises:
        AdmissionDenied: it may not be published; it has the verdict.
        UsageError: nothing would be sent, or nothing can be published there.
        ConfigError: the Hub, the gate or the signer cannot be used as it is configured.
        SigningError: a token or a service failed.
        StepError: somebody else has published meanwhile, a file has changed, or the Hub fails.
    """
    below = "" if path_in_repo in (None, "", ".", "./") else path_in_repo.strip("/")
    if below:
        check_name(below)
    upload = Upload(
        Path(folder_path).expanduser(),
        below=below,
        include=_listed(allow_patterns),
        exclude=_listed(ignore_patterns),
        delete=_listed(delete_patterns),
    )
    return _published(
        lambda gate, registry, **options: release_folder(gate, registry, upload, **options),
        repo_id=repo_id,
        repo_type=repo_type,
        revision=revision,
        token=token,
        commit_message=commit_message,
        commit_description=commit_description,
        create_pr=create_pr,
        gate=gate,
        signer=signer,
    )


def upload_file(
    *,
    path_or_fileobj: str | Path | bytes | BinaryIO,
    path_in_repo: str,
    repo_id: str,
    token: str | bool | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    create_pr: bool | None = None,
    gate: Gate | None = None,
    signer: ModelSigner | None = None,
) -> CommitInfo:
    """Publish one file as `huggingface_hub.upload_file` does, with a signature over all files.

    What is there already is not downloaded for that: the present signature, if the gate admits it,
    has its digests.

    gate, signer, Raises: as `upload_folder`.
    """

    check_name(path_in_repo)

    def released(gate: Gate, registry: HubRegistry, **options: Any) -> Release:
        if isinstance(path_or_fileobj, (str, Path)):
            path = Path(path_or_fileobj).expanduser()
            if not path.is_file():
                raise UsageError(f"{path} is no file; name the file that is to be published")
            listing = LocalStore(gate.limits).snapshot(Reference.parse(str(path.absolute())))
            result = overlay(registry.target, registry.published, listing, below=path_in_repo)
        else:
            data = path_or_fileobj
            content = data if isinstance(data, bytes) else data.read()
            contents = {path_in_repo: content}
            result = overlay(registry.target, registry.published, None, contents=contents)
        publication = Publication(
            registry.target,
            result,
            {path_in_repo},
            published=registry.published,
            earlier=registry.earlier_statements,
        )
        return release(gate, registry, publication, **options)

    return _published(
        released,
        repo_id=repo_id,
        repo_type=repo_type,
        revision=revision,
        token=token,
        commit_message=commit_message,
        commit_description=commit_description,
        create_pr=create_pr,
        gate=gate,
        signer=signer,
    )


def push_to_hub(
    *objects: Savable,
    repo_id: str,
    token: str | bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    create_pr: bool | None = None,
    delete_patterns: Patterns = None,
    gate: Gate | None = None,
    signer: ModelSigner | None = None,
) -> CommitInfo:
    """Publish a model, its tokenizer and whatever else has `save_pretrained`, all in one commit.

    gate, signer, Raises: as `upload_folder`.
    """
    if not objects:
        raise UsageError("there is nothing to push; give a model, a tokenizer or a processor")
    with tempfile.TemporaryDirectory(prefix="oms-gate-push-") as folder:
        for each in objects:
            each.save_pretrained(folder)
        return upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message,
            commit_description=commit_description,
            token=token,
            revision=revision,
            create_pr=create_pr,
            delete_patterns=delete_patterns,
            gate=gate,
            signer=signer,
        )


def _published(
    released: Callable[..., Release],
    *,
    repo_id: str,
    repo_type: str | None,
    revision: str | None,
    token: str | bool | None,
    commit_message: str | None,
    commit_description: str | None,
    create_pr: bool | None,
    gate: Gate | None,
    signer: ModelSigner | None,
) -> CommitInfo:
    """Publish what `released` makes of a gate and a registry."""
    if repo_type not in _KINDS:
        raise UsageError(f"{repo_type!r} is no type of repository; take model, dataset or space")
    target = Reference.parse(f"hf://{_KINDS[repo_type]}{repo_id}")
    if revision is not None:
        target = target.at(revision)
    gate = gate or Gate.from_environment()
    if token is not None:
        gate = gate.with_store_options("hf", {"token": token})
    title, description = commit_message or MESSAGE, commit_description or ""
    with closing(HubRegistry(target, gate)) as registry:
        came = released(
            gate,
            registry,
            signer=signer,
            message=f"{title}\n\n{description}".strip(),
            pull_request=bool(create_pr),
        )
    if came.published is None:
        raise AdmissionDenied(came.verdict)
    return _commit_info(registry, came, title, description)


def _commit_info(registry: HubRegistry, came: Release, title: str, description: str) -> CommitInfo:
    from huggingface_hub import CommitInfo

    assert came.published is not None
    commit = Reference.parse(came.published.url).revision
    assert commit is not None
    # Before 1.0 it takes the endpoint from the environment.
    known = "_endpoint" in CommitInfo.__dataclass_fields__
    endpoint: dict[str, Any] = {"_endpoint": registry.endpoint} if known else {}
    return CommitInfo(
        commit_url=f"{registry.page}/commit/{commit}",
        commit_message=title,
        commit_description=description,
        oid=commit,
        pr_url=came.published.pull_request,
        **endpoint,
    )


def _listed(patterns: Patterns) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns or ())
