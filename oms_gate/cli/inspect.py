"""``oms-gate inspect``: what a bundle claims, for people to read."""

from __future__ import annotations

import dataclasses
import json as json_module

import typer
from rich.markup import escape

from oms_gate.cli.render import new_console, print_beside
from oms_gate.errors import UsageError
from oms_gate.limits import Limits
from oms_gate.oms.verify import UnverifiedBundle, inspect
from oms_gate.reference import Reference
from oms_gate.stores import StoreSettings, open_store
from oms_gate.verdict import printable


def run(bundle: str, *, json: bool) -> int:
    """Read a bundle from any store and print what it claims.

    Raises:
        UsageError: `bundle` does not name one file of a bundle's size.
        StepError: it cannot be read, or is no OMS bundle.
    """
    limits = Limits()
    reference = Reference.parse(bundle)
    snapshot = open_store(reference, StoreSettings(), limits).snapshot(reference)
    try:
        if not snapshot.single:
            raise UsageError(f"{bundle} is a folder; name the signature file in it")
        content = snapshot.read(next(iter(snapshot.files)), limits.bundle_bytes)
    finally:
        snapshot.close()
    if content is None:
        raise UsageError(f"{bundle} is larger than {limits.bundle_bytes} bytes; it is no bundle")
    claims = inspect(content, limits)
    if json:
        typer.echo(json_module.dumps(_as_json(claims), indent=2))
    else:
        _print(bundle, claims)
    return 0


def _as_json(claims: UnverifiedBundle) -> dict[str, object]:
    fields = {
        field.name: getattr(claims, field.name)
        for field in dataclasses.fields(claims)
        if field.name != "claimed_manifest"
    }
    manifest = claims.claimed_manifest
    fields["claimed_time"] = claims.claimed_time.isoformat() if claims.claimed_time else None
    return {
        "verified": False,
        **fields,
        "claimed_root_digest": manifest.root_digest,
        "claimed_serialization": {
            "method": manifest.serialization,
            "hash_type": manifest.hash_type,
            "shard_size": manifest.shard_size,
            "allow_symlinks": manifest.allow_symlinks,
            "ignore_paths": list(manifest.ignore_paths),
        },
        "claimed_resources": [resource._asdict() for resource in manifest.resources],
    }


def _print(bundle: str, claims: UnverifiedBundle) -> None:
    console = new_console()
    console.print(f"{escape(bundle)}  [bold yellow]not verified[/]: this is what it claims")
    manifest = claims.claimed_manifest
    facts = {
        "method": claims.method,
        "key hint" if claims.method == "key" else "signer": claims.claimed_identity,
        "issuer": claims.claimed_issuer,
        "chain": " < ".join(claims.claimed_chain) if len(claims.claimed_chain) > 1 else None,
        "logged at": f"{claims.claimed_time:%Y-%m-%d %H:%M:%S} UTC"
        if claims.claimed_time
        else None,
        "log index": claims.claimed_log_index,
        "timestamps": claims.claimed_timestamps or None,
        "model": claims.claimed_subject_name,
        "root digest": f"sha256:{manifest.root_digest}",
        "hashed as": f"{manifest.serialization}, {manifest.hash_type}",
        "left out": ", ".join(manifest.ignore_paths),
        "files": f"{len(manifest.files)}",
    }
    for name, value in facts.items():
        if value not in (None, ""):
            print_beside(console, f"  [dim]{name:<11}[/]", escape(printable(str(value))))
    for resource in manifest.resources:
        part = "" if resource.end is None else f"[{resource.start}:{resource.end}]"
        console.print(f"    {resource.digest[:16]}…  {escape(printable(resource.path) + part)}")
