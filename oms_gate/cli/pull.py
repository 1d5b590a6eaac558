"""``oms-gate pull``: one model into one folder, as the options ask for it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import typer

from oms_gate.cli.admission import Admission
from oms_gate.cli.output import after
from oms_gate.delivery.hub_cache import HubCache
from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.reference import Reference
from oms_gate.streaming.hashing import ProgressCallback
from oms_gate.verdict import Verdict


def run(
    reference: str,
    folder: str,
    admission: Admission,
    *,
    include: Collection[str],
    exclude: Collection[str],
    pinned_signature: str | None,
    hub_cache: bool,
    ref: str | None,
    json: bool,
    quiet: bool,
) -> int:
    """Pull and print; the exit status.

    include, exclude: patterns over the paths of the files.
    pinned_signature: digest of the signature on which somebody else has decided.
    hub_cache, ref: whether the folder is a cache of the Hub's client, and by which branch or tag
        the model is to be found there.

    Raises:
        UsageError: the options cannot be meant together, or the folder cannot be used.
        ConfigError: a file that they name cannot be used.
    """
    check_output(json=json, quiet=quiet)
    if ref is not None and not hub_cache:
        raise UsageError("--ref names a model in a cache of the Hub's client; add --hub-cache")
    model = Reference.parse(reference)
    pinned = pinned_signature is not None
    settings = admission.settings_of_a_pin() if pinned else admission.settings(model)
    with Gate.from_config(settings) as gate:
        return into(
            gate,
            model,
            HubCache(folder, ref) if hub_cache else folder,
            include=include,
            exclude=exclude,
            pinned_signature=pinned_signature,
            json=json,
            quiet=quiet,
        )


def check_output(*, json: bool, quiet: bool) -> None:
    """See that the options on output can be meant together, and be quiet if that is asked for.

    Raises:
        UsageError: they cannot.
    """
    if json and quiet:
        raise UsageError("--json prints and --quiet does not; give one of them")
    if quiet:
        logging.getLogger("oms_gate").setLevel(logging.ERROR)


def into(
    gate: Gate,
    model: Reference,
    folder: str | HubCache,
    *,
    include: Collection[str] = (),
    exclude: Collection[str] = (),
    pinned_signature: str | None = None,
    json: bool,
    quiet: bool,
) -> int:
    """Let a gate deliver a model, and print; the exit status.

    Raises:
        UsageError, ConfigError: as `Gate.deliver`.
    """
    with _progress(model, silent=json or quiet) as on_progress:
        verdict = gate.deliver(
            model,
            folder,
            include=include,
            exclude=exclude,
            pinned_signature=pinned_signature,
            on_progress=on_progress,
        )
    arrived = "the model has arrived" if verdict.delivery is not None else "nothing has arrived"
    with after(f"the model is {verdict.outcome}, and {arrived}"):
        if json:
            typer.echo(verdict.to_json())
        elif not quiet:
            from oms_gate.cli.render import print_verdict

            print_verdict(verdict, lets_through=verdict.delivery is not None)
    return exit_status(verdict)


@contextmanager
def _progress(model: Reference, *, silent: bool) -> Iterator[ProgressCallback | None]:
    if silent:
        yield None
        return
    from oms_gate.cli.render import progress_bar

    with progress_bar(model.url) as on_progress:
        yield on_progress


def exit_status(verdict: Verdict) -> int:
    """0 it has arrived, 1 denied, 3 the gate could not decide, or not deliver."""
    if verdict.delivery is not None:
        return 0
    return 3 if verdict.undecided else 1
