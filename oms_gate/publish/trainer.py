"""Training with transformers that ends with a signed model on the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from transformers.trainer_callback import TrainerCallback

from oms_gate.errors import UsageError
from oms_gate.gate import Gate
from oms_gate.publish.hub import upload_folder
from oms_gate.signing.model import ModelSigner

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo
    from transformers.trainer_callback import TrainerState
    from transformers.training_args import TrainingArguments

LEFT_OUT: Final = ("_*", "checkpoint-*", "training_args.bin")
"""What a `Trainer` keeps in its folder and is no part of the model; the last one is a pickle."""


class PublishCallback(TrainerCallback):
    """Publishes ``args.output_dir``, signed and in one commit, when the training has ended.

    The model is saved there first, and its tokenizer or processor too. It is done by the first
    process alone. Should it fail, the training ends with that error, and the model stays saved.

    commit: what was published; None until then.
    """

    commit: CommitInfo | None = None

    def __init__(
        self,
        repo_id: str,
        *,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "End of training",
        ignore_patterns: Sequence[str] = LEFT_OUT,
        delete_patterns: Sequence[str] = (),
        gate: Gate | None = None,
        signer: ModelSigner,
    ) -> None:
        """As `upload_folder`.

        ignore_patterns: what of the folder is not published.
        signer: what is new can have no signature yet.

        Raises:
            ConfigError: no gate is given, and none is configured.
        """
        self._options: dict[str, Any] = {
            "repo_id": repo_id,
            "token": token,
            "revision": revision,
            "commit_message": commit_message,
            "ignore_patterns": list(ignore_patterns),
            "delete_patterns": list(delete_patterns),
            "gate": gate or Gate.from_environment(),
            "signer": signer,
        }

    def on_init_end(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        """Refuse what cannot end well, before anything is trained.

        Raises:
            UsageError: the trainer would push by itself, or its model cannot be saved from here.
        """
        _check(args)

    def on_train_begin(
        self, args: TrainingArguments, *_: Any, model: Any = None, **__: Any
    ) -> None:
        """The same, as arguments and model may be others by now."""
        _check(args)
        if not hasattr(model, "save_pretrained"):
            raise UsageError(
                f"a {type(model).__name__} has no save_pretrained, so nobody knows which files it "
                "is made of; save it yourself when it is trained, and publish it by upload_folder"
            )

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        *_: Any,
        model: Any = None,
        processing_class: Any = None,
        **__: Any,
    ) -> None:
        """Save the model, and publish it.

        Raises:
            AdmissionDenied, OmsGateError: as `upload_folder`.
        """
        _check(args)
        if not state.is_world_process_zero:
            return
        for each in (model, processing_class):
            if each is not None:
                each.save_pretrained(args.output_dir)
        self.commit = upload_folder(folder_path=str(args.output_dir), **self._options)


def _check(args: TrainingArguments) -> None:
    if args.push_to_hub:
        raise UsageError(
            "push_to_hub=True lets the trainer push checkpoints that nobody has signed; leave it "
            "out, since PublishCallback publishes the model in the end"
        )
    if args.fsdp or args.deepspeed:
        raise UsageError(
            "with FSDP or DeepSpeed a callback sees a part of the model only; leave out "
            "PublishCallback, save the model by trainer.save_model() when it is trained, and "
            "publish the folder by upload_folder"
        )
