"""The gate on the way out: nothing is published unsigned, incomplete or against policy.

from oms_gate.publish import PublishCallback, promote, push_to_hub, sync, upload_folder

upload_folder(repo_id="org/name", folder_path="model", signer=signer)
push_to_hub(model, tokenizer, repo_id="org/name", signer=signer)
Trainer(..., callbacks=[PublishCallback("org/name", signer=signer)])
sync("model", "s3://bucket/prefix", signer=signer)
promote("hf://org/staging", "hf://org/name", gate=gate)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "ModelSigner",
    "PublishCallback",
    "promote",
    "push_to_hub",
    "sync",
    "upload_file",
    "upload_folder",
]

if TYPE_CHECKING:
    from oms_gate.publish.hub import push_to_hub, upload_file, upload_folder
    from oms_gate.publish.promotion import promote
    from oms_gate.publish.s3 import sync
    from oms_gate.publish.trainer import PublishCallback
    from oms_gate.signing.model import ModelSigner

_HOMES = {
    "ModelSigner": "signing.model",
    "PublishCallback": "publish.trainer",
    "promote": "publish.promotion",
    "push_to_hub": "publish.hub",
    "sync": "publish.s3",
    "upload_file": "publish.hub",
    "upload_folder": "publish.hub",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: importing the room costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"oms_gate.{_HOMES[name]}"), name)
