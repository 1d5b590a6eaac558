"""Policies that are compiled once, as each takes a third of a second, and tests open many gates.

What is compiled is a function of the policy alone. Each gate still loads it into an engine of its
own, and holds nothing of another's.
"""

from __future__ import annotations

import wasmtime

compiled: dict[bytes, bytearray] = {}
_compile = wasmtime.Module


class CompiledOnce(wasmtime.Module):
    """In the place of `wasmtime.Module`."""

    def __new__(cls, engine: wasmtime.Engine, wasm: bytes) -> wasmtime.Module:  # type: ignore[misc]
        """Of what was compiled before, no more than that is loaded."""
        if wasm not in compiled:
            compiled[wasm] = _compile(engine, wasm).serialize()
        return _compile.deserialize(engine, compiled[wasm])
