"""``oms-gate diff``: what changed in a model since it was signed."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import typer
from rich.markup import escape

from oms_gate.cli.admission import Admission
from oms_gate.cli.pull import check_output
from oms_gate.cli.render import new_console, print_beside, progress_bar
from oms_gate.config import GateConfig
from oms_gate.gate import Gate
from oms_gate.history import History
from oms_gate.reference import Reference
from oms_gate.signing.changes import MAY_RUN
from oms_gate.signing.review import Review, diff_model
from oms_gate.signing.standing import Recall, Standing, Vouch, of_the_policy
from oms_gate.sizes import human_bytes
from oms_gate.verdict import FileFact, printable

NOBODY: Final = "nobody whom you trust signed any of this before"

# What a reviewer must know of a kind, besides its name.
_WARNINGS = {
    "code": "code that a loader may run",
    "config": "configuration, which may name code for a loader to run",
    "pickle": "a pickle, which may run code when it is loaded",
}


def run(reference: str, admission: Admission, *, json: bool, quiet: bool) -> int:
    """Compare and print; the exit status: 0 where nothing changed.

    admission: whose signature counts; if it says nothing of that, anybody's.

    Raises:
        UsageError: there is no signature that can be read, or the options cannot be meant.
        ConfigError: the configuration cannot be used.
        StepError: the store failed.
    """
    check_output(json=json, quiet=quiet)
    model = Reference.parse(reference)
    settings = admission.settings_of_anybody(model)
    with (
        vouching(settings) as vouch,
        nullcontext() if json or quiet else progress_bar(model.url) as on_progress,
    ):
        review = diff_model(
            model,
            settings.signature,
            vouch=vouch,
            stores=settings.stores,
            limits=settings.limits,
            on_progress=on_progress,
        )
    if json:
        typer.echo(json_module.dumps(as_json(review), indent=2))
    elif not quiet:
        print_review(review)
    return 1 if review.changes else 0


@contextmanager
def vouching(settings: GateConfig) -> Iterator[Vouch | None]:
    """Whose signature counts, as long as the context lasts; None if a configuration has no say.

    Raises:
        ConfigError: a file that it names cannot be used.
    """
    if not settings.says_who_signs:
        yield None
        return
    with Gate.from_config(settings) as gate:
        recall = None if gate.history is None else _recalling(gate.history)
        yield of_the_policy(gate.trust, gate.policy, gate.assurance, gate.limits, recall)


def _recalling(history: History) -> Recall:
    return lambda snapshot, before: (
        history.recollect(snapshot.reference, snapshot.revision, before).facts
    )


def as_json(review: Review) -> dict[str, object]:
    """A review as JSON."""
    changes, claims, manifest = review.changes, review.claims, review.manifest
    standing = review.standing or Standing(None)
    groups = ("added", "removed", "changed", "dropped", "left_out")
    return {
        "model": review.model.url,
        "signature": review.location,
        "signature_sha256": claims.bundle_sha256,
        "verified": standing.signer is not None,
        "doubt": standing.doubt and printable(standing.doubt),
        "claimed_identity": claims.claimed_identity,
        "claimed_issuer": claims.claimed_issuer,
        "serialization": manifest.serialization,
        "shard_size": manifest.shard_size,
        "hash_type": manifest.hash_type,
        "ignore_paths": list(manifest.ignore_paths),
        **{group: [_fact(file) for file in getattr(changes, group)] for group in groups},
        "moved": [{"from": path, **_fact(file)} for path, file in changes.moved],
        "believed": list(review.believed),
    }


def _fact(file: FileFact) -> dict[str, object]:
    return {**file.model_dump(mode="json"), "may_run": file.kind in MAY_RUN}


def print_review(review: Review) -> None:
    """A review for people. Of the content of files nothing is shown."""
    console = new_console()
    count = len(review.changes)
    mark = "[bold yellow]![/]" if count else "[bold green]✓[/]"
    what = f"{count} change{'s' if count > 1 else ''}" if count else "nothing changed"
    said = f"[bold]{what} since it was signed[/]"
    standing = review.standing
    if standing is None:
        mark, said = "[bold]·[/]", f"{said}, as the signature file says, which nobody verified"
    elif standing.signer is None:
        mark, said = "[bold red]![/]", f"[bold]{NOBODY}[/]"
    elif standing.conditional:
        mark, said = "[bold]·[/]", f"{said}, which counts if you are who signed it"
    console.print(f"{mark} {said}  {escape(printable(review.model.url))}")
    print_beside(console, "  [dim]signature[/]", escape(printable(_worth(review))))
    for label, text, file in _lines(review):
        size = "" if file.size is None else f"{human_bytes(file.size)}, "
        kind = f"({size}{_WARNINGS.get(file.kind, file.kind)})"
        colour = "red" if file.kind in _WARNINGS else "dim"
        print_beside(
            console, f"  [dim]{label:<9}[/]", f"{escape(printable(text))} [{colour}]{kind}[/]"
        )
    if review.believed:
        print_beside(
            console,
            "  [dim]believed [/]",
            f"{len(review.believed)} of {len(review.manifest.files)} files, of which the store "
            "declares the digests; they were not read",
        )


def _worth(review: Review) -> str:
    """Where the signature is, and whose."""
    claims, standing = review.claims, review.standing
    if standing is not None and standing.signer is not None:
        signer = standing.signer
        vouched = f", for whom {signer.issuer} vouched" if signer.issuer else ""
        return f"{review.location}, by {signer.identity}{vouched}"
    who = claims.claimed_identity or "a key without a name"
    if claims.method == "key" and claims.claimed_identity is not None:
        who = f"the key {who}"
    claimed = f"{review.location}, which claims to be by {who}"
    if standing is None:
        return f"{claimed}; say whom you trust with --config or --public-key to have it verified"
    return f"{claimed}, and counts for nothing: {standing.doubt}"


def _lines(review: Review) -> Iterator[tuple[str, str, FileFact]]:
    changes = review.changes
    for label, files in (
        ("changed", changes.changed),
        ("added", changes.added),
        ("removed", changes.removed),
    ):
        for file in files:
            yield label, file.path, file
    for path, file in changes.moved:
        yield "moved", f"{path} -> {file.path}", file
    for file in changes.dropped:
        yield "unsigned", f"{file.path}, which was signed, would be left out", file
    for file in changes.left_out:
        yield "left out", f"{file.path}, which is not signed and was not before", file
