"""The end of a training, by the real dispatcher of transformers' callbacks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

from oms_gate import AdmissionDenied, Gate, UsageError
from oms_gate.publish import ModelSigner, PublishCallback
from tests import models
from tests.peers.hub import HubStandIn
from tests.publish import on_hub
from tests.publish.on_hub import REPOSITORY, commits, seen, there

# The callback asks for these, and real ones need PyTorch.
ARGUMENTS = {"push_to_hub": False, "fsdp": [], "deepspeed": None}


class Saved:
    """A model, or a tokenizer."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    def save_pretrained(self, save_directory: str | Path) -> None:
        for name, content in self.files.items():
            (Path(save_directory) / name.replace("_", ".")).write_bytes(content)


MODEL = Saved(config_json=b"{}", model_safetensors=on_hub.weights(b"trained"))
TOKENIZER = Saved(vocab_txt=b"a\n")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """What a trainer leaves in its folder on the way."""
    output = tmp_path / "output"
    (output / "checkpoint-5").mkdir(parents=True)
    (output / "checkpoint-5" / "optimizer.pt").write_bytes(b"\x80\x04N.")
    (output / "training_args.bin").write_bytes(b"\x80\x04N.")
    (output / "_notes").write_bytes(b"")
    (output / "model.safetensors").write_bytes(on_hub.weights(b"of an earlier training"))
    return output


@pytest.fixture
def callback(writer: Gate, key: ec.EllipticCurvePrivateKey) -> PublishCallback:
    return PublishCallback(REPOSITORY, gate=writer, signer=ModelSigner.by_key(key))


def train(
    callback: PublishCallback,
    output: Path,
    *,
    model: Any = MODEL,
    process_zero: bool = True,
    **arguments: Any,
) -> None:
    """The events of a training."""
    handler = CallbackHandler([callback], model, TOKENIZER, None, None)  # type: ignore[no-untyped-call]
    args: Any = SimpleNamespace(output_dir=str(output), **ARGUMENTS | arguments)
    state = TrainerState(is_world_process_zero=process_zero)
    control = TrainerControl()
    for event in ("on_init_end", "on_train_begin", "on_step_end", "on_save", "on_train_end"):
        assert getattr(handler, event)(args, state, control) is control


def test_it_ends_with_one_signed_commit(
    hub: HubStandIn, writer: Gate, callback: PublishCallback, output: Path
) -> None:
    assert callback.commit is None
    train(callback, output)
    assert commits(hub) == 1
    files = there(hub)
    assert set(files) == {"config.json", "model.safetensors", "model.sig", "vocab.txt"}
    assert files["model.safetensors"] == MODEL.files["model_safetensors"]
    assert callback.commit is not None
    assert seen(writer, callback.commit.oid).admitted
    assert callback.commit.commit_message == "End of training"


def test_again_on_top_of_it(hub: HubStandIn, callback: PublishCallback, output: Path) -> None:
    train(callback, output)
    better = Saved(config_json=b"{}", model_safetensors=on_hub.weights(b"trained more"))
    train(callback, output, model=better)
    assert commits(hub) == 2
    assert there(hub)["model.safetensors"] == better.files["model_safetensors"]


def test_other_processes_publish_nothing(
    hub: HubStandIn, callback: PublishCallback, output: Path
) -> None:
    train(callback, output, process_zero=False)
    assert not hub.requests
    assert not (output / "config.json").exists()


def test_what_is_denied_is_said_and_kept(hub: HubStandIn, writer: Gate, output: Path) -> None:
    signer = ModelSigner.by_key(models.new_key())
    with pytest.raises(AdmissionDenied, match="none of the trusted keys"):
        train(PublishCallback(REPOSITORY, gate=writer, signer=signer), output)
    assert not hub.state.repositories
    assert (output / "config.json").exists()


@pytest.mark.parametrize("at", ["on_init_end", "on_train_begin", "on_train_end"])
def test_nothing_is_pushed_behind_its_back(
    hub: HubStandIn, callback: PublishCallback, output: Path, at: str
) -> None:
    args: Any = SimpleNamespace(output_dir=str(output), **ARGUMENTS | {"push_to_hub": True})
    handler = CallbackHandler([callback], MODEL, TOKENIZER, None, None)  # type: ignore[no-untyped-call]
    with pytest.raises(UsageError, match="push_to_hub=True lets the trainer push checkpoints"):
        getattr(handler, at)(args, TrainerState(), TrainerControl())
    assert not hub.requests


@pytest.mark.parametrize("arguments", [{"fsdp": ["full_shard"]}, {"deepspeed": "ds.json"}])
def test_only_a_part_of_the_model_is_here(
    callback: PublishCallback, output: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="upload_folder"):
        train(callback, output, **arguments)


def test_a_model_that_cannot_be_saved(callback: PublishCallback, output: Path) -> None:
    with pytest.raises(UsageError, match="a SimpleNamespace has no save_pretrained"):
        train(callback, output, model=SimpleNamespace())


def test_checkpoints_if_they_are_wanted(
    hub: HubStandIn, writer: Gate, key: ec.EllipticCurvePrivateKey, output: Path
) -> None:
    """They hold pickles, which are denied for what they are."""
    callback = PublishCallback(
        REPOSITORY, ignore_patterns=["_*"], gate=writer, signer=ModelSigner.by_key(key)
    )
    with pytest.raises(AdmissionDenied, match=r"optimizer\.pt is a pickle"):
        train(callback, output)
    assert not hub.state.repositories
