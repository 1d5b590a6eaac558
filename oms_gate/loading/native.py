"""What libraries open past Python: no audit event tells of that, so their readers are watched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import Any, Final

from oms_gate.loading.judgement import current_load, judge
from oms_gate.loading.swaps import Swaps

_VOCABULARY: Final = ("vocab",)
_MERGES: Final = ("vocab", "merges")
# A module, a class of it, a function of that, and its first parameters: after `self`, paths.
_READERS: Final = (
    ("safetensors", "safe_open", "__init__", ("self", "filename")),
    ("tokenizers", "Tokenizer", "from_file", ("path",)),
    *(
        ("tokenizers.models", model, function, (*itself, *paths))
        for model, paths in (
            ("BPE", _MERGES),
            ("WordLevel", _VOCABULARY),
            ("WordPiece", _VOCABULARY),
        )
        for function, itself in (("__init__", ("self",)), ("from_file", ()), ("read_file", ()))
    ),
    ("sentencepiece", "SentencePieceProcessor", "LoadFromFile", ("self", "filename")),
    ("sentencepiece", "SentencePieceProcessor", "load_from_file", ("self", "filename")),
)

Reader = tuple[str, Any, str, Sequence[str]]


def installed_readers() -> list[Reader]:
    """Those of the libraries that are installed: library, class, function, parameters."""
    found: list[Reader] = []
    for name, owner, function, parameters in _READERS:
        try:
            module = import_module(name)
        except ImportError:
            continue
        # A folder of that name is no library.
        if getattr(module, "__file__", None) is not None:
            library = name.partition(".")[0]
            found.append((library, getattr(module, owner, None), function, parameters))
    return found


def swap_readers(swaps: Swaps, readers: Sequence[Reader]) -> None:
    """Judge what they are to read in a load.

    Raises:
        ConfigError: a library is not made as it was expected.
    """
    for library, owner, function, parameters in readers:
        swaps.function(owner, function, _judging(parameters), library)


def _judging(parameters: Sequence[str]) -> Callable[[Callable[..., Any]], Any]:
    def judging(read: Callable[..., Any]) -> Any:
        @wraps(read)
        def judged(*args: Any, **kwargs: Any) -> Any:
            if load := current_load():
                given = dict(zip(parameters, args, strict=False)) | kwargs
                for name in parameters:
                    if isinstance(path := given.get(name), str | bytes | os.PathLike):
                        judge(load, os.fsdecode(path))
            # A class of Rust has read when it is initialised, and has not returned.
            return None if read is object.__init__ else read(*args, **kwargs)

        return judged if parameters[0] == "self" else staticmethod(judged)

    return judging
