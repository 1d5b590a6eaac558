"""Policies in process: compiled by OPA to WebAssembly, evaluated within time and memory."""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Literal, Self

import wasmtime
from opapywasm import (
    UNDEFINED,
    OpaPoolTimeoutError,
    OpaWasmError,
    OpaWasmPolicy,
    PolicyConfig,
    runtime,
)
from pydantic_core import to_json

from oms_gate.errors import ConfigError, PolicyError
from oms_gate.limits import Limits
from oms_gate.policy.bundle import Bundle
from oms_gate.policy.compiler import compile_rego
from oms_gate.policy.decision import Decision, parse_decision
from oms_gate.policy.engine import ANSWER_BYTES, DECISION_PATH
from oms_gate.policy.shipped import shipped
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import printable

_PAGE_BYTES: Final = 65536
# The library gives every policy two pages to begin with, and has no setting for it; one whose texts
# alone take more could not be loaded.
runtime._DEFAULT_MEMORY_PAGES = 16
# What OPA leaves to the host and the host does as OPA does, on the strings of messages.
_HOST_BUILTINS: Final = frozenset({"sprintf"})


class HostBuiltinError(ConfigError):
    """A policy needs what WebAssembly leaves to its host.

    names: of the builtins.
    """

    def __init__(self, origin: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{origin} uses {', '.join(names)}, which only an OPA server evaluates; use what the "
            "input document holds (the time is 'now'), or a server"
        )
        self.names = names


class WasmEngine:
    """A compiled policy and its data.

    An error inside a builtin makes the expression undefined here, as WebAssembly modules of OPA
    have it; a policy must therefore be positive (``default allow := false``).

    data: the whole data document that it decides by, the policy's own included.
    """

    kind: Literal["wasm"] = "wasm"

    def __init__(
        self,
        module: bytes,
        data: Mapping[str, object],
        limits: Limits,
        *,
        origin: str,
        release: str = "",
    ) -> None:
        """An engine for a module that OPA compiled.

        data: the data document, as JSON.
        origin: what messages call the policy.
        release: what its author calls this revision of it.

        Raises:
            ConfigError: the module is not a policy with a decision that can be evaluated here.
        """
        self._limits = limits
        self.data = data
        document = json.dumps(data, sort_keys=True)
        config = PolicyConfig(
            default_entrypoint=DECISION_PATH,
            borrow_timeout_seconds=limits.policy_seconds,
            max_input_bytes=limits.policy_memory_bytes,
            max_data_bytes=limits.policy_memory_bytes,
            max_result_bytes=ANSWER_BYTES,
            parse_raw_json_input=False,
            max_cstring_scan_bytes=ANSWER_BYTES,
            max_memory_pages=limits.policy_memory_bytes // _PAGE_BYTES,
            eval_timeout_seconds=limits.policy_seconds,
        )
        try:
            with ExitStack() as undo:
                self._policy = undo.enter_context(OpaWasmPolicy(module, config))
                self._policy.set_data(document)
                _check(self._policy, origin)
                undo.pop_all()
            _give_back()
        except OpaWasmError as error:
            raise ConfigError(f"{origin} cannot be used as a policy: {_line(error)}") from error
        digest = hashlib.sha256(module + document.encode()).hexdigest()
        self._revision = f"{release}@sha256:{digest}" if release else f"sha256:{digest}"

    @classmethod
    def bundled(cls, data: Mapping[str, object], limits: Limits) -> Self:
        """The policy that comes with the gate.

        data: the rules (`oms_gate.policy.rules.data_document`).

        Raises:
            ConfigError: the installation is damaged.
        """
        path = shipped("admission.wasm")
        return cls(_read(path), data, limits, origin="the gate's own policy")

    @classmethod
    def from_rego(
        cls,
        folder: Path,
        data: Mapping[str, object],
        limits: Limits,
        *,
        opa: Path | None = None,
        cache: Path | None = None,
    ) -> Self:
        """A policy of the operator's: a folder of ``.rego`` files with its ``data.json``.

        data: added to the folder's own data.
        opa, cache: see `oms_gate.policy.compiler.compile_rego`.

        Raises:
            ConfigError: it cannot be read, compiled or used; the message has OPA's words.
            PolicyError: SYSTEM_IO, there is no room for the compiler's work.
        """
        compiled = compile_rego(folder, opa=opa, cache=cache)
        return cls._of(Bundle.from_bytes(compiled, f"the policy in {folder}"), data, limits)

    @classmethod
    def from_bundle(cls, bundle: Path | Bundle, data: Mapping[str, object], limits: Limits) -> Self:
        """A policy that was compiled before (``opa build -t wasm``): a ``bundle.tar.gz``.

        data: added to the bundle's own data.

        Raises:
            ConfigError: it cannot be read or used.
        """
        if isinstance(bundle, Path):
            bundle = Bundle.from_bytes(_read(bundle), f"the bundle {bundle}")
        return cls._of(bundle, data, limits)

    @classmethod
    def _of(cls, bundle: Bundle, data: Mapping[str, object], limits: Limits) -> Self:
        merged = _merged(bundle.data, data, bundle.origin)
        return cls(
            bundle.module, merged, limits, origin=bundle.origin, release=bundle.revision or ""
        )

    @property
    def revision(self) -> str:
        """SHA-256 of the module and its data; before it, what its author calls this revision."""
        return self._revision

    def decide(self, document: Mapping[str, object]) -> Decision:
        """Decide on one input document.

        Raises:
            PolicyError: as `oms_gate.policy.engine.Engine.decide` says.
        """
        seconds = self._limits.policy_seconds
        try:
            # What is no number must not end the document early for a parser that is not told so.
            text = to_json(dict(document), inf_nan_mode="null")
        except ValueError as error:
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"the input document cannot be written as JSON ({_line(error)}); correct what the "
                "caller adds to its context",
            ) from error
        try:
            value = self._policy.evaluate(text)
        except OpaPoolTimeoutError as error:
            raise PolicyError(
                ReasonCode.POLICY_TIMEOUT,
                f"the policy engine was busy for {seconds:g} seconds; check fewer models at once",
            ) from error
        except (OpaWasmError, RecursionError) as error:
            if _was_interrupted(error):
                raise PolicyError(
                    ReasonCode.POLICY_TIMEOUT,
                    f"the policy did not decide within {seconds:g} seconds; simplify it or raise "
                    "the limit 'policy_seconds'",
                ) from error
            raise PolicyError(
                ReasonCode.POLICY_ERROR,
                f"the policy failed ({_line(error)}); correct it, or raise the limit "
                "'policy_memory_bytes' if it ran out of memory",
            ) from error
        if value is UNDEFINED:
            raise PolicyError(
                ReasonCode.POLICY_UNDEFINED,
                "the policy gave no decision for this model; give its decision rule a default",
            )
        return parse_decision(value).model_copy(update={"revision": printable(self._revision)})

    def close(self) -> None:
        """Release the engine's memory and its clock."""
        self._policy.close()


def _give_back() -> None:
    """Return what compiling took for a moment: some 7 MB, which glibc would keep."""
    with suppress(AttributeError):  # Other C libraries return it by themselves.
        ctypes.CDLL(None).malloc_trim(0)


def _check(policy: OpaWasmPolicy, origin: str) -> None:
    if foreign := sorted(policy.builtins.keys() - _HOST_BUILTINS):
        raise HostBuiltinError(origin, foreign)
    if DECISION_PATH not in policy.entrypoints:
        raise ConfigError(f"{origin} was not compiled for {DECISION_PATH}")


def _was_interrupted(error: Exception) -> bool:
    trap = error.__cause__
    return isinstance(trap, wasmtime.Trap) and trap.trap_code == wasmtime.TrapCode.INTERRUPT


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the policy {path} cannot be read: {error.strerror}") from error


def _merged(own: dict[str, object], data: Mapping[str, object], origin: str) -> dict[str, object]:
    """A policy's own data with the gate's; neither may stand in for the other."""
    merged = dict(own)
    for key, value in data.items():
        mine = merged.setdefault(key, {})
        if not isinstance(mine, dict) or not isinstance(value, Mapping):
            raise ConfigError(f"{origin} has data.{key} that is not an object")
        both = mine.keys() & value.keys()
        if twice := [name for name in both if value[name] and value[name] != mine[name]]:
            raise ConfigError(
                f"{origin} has data.{key}.{twice[0]} of its own, and gate.yaml has others; keep "
                "them in one place, or make its data.json anew: oms-gate config data gate.yaml"
            )
        merged[key] = {**value, **mine}
    return merged
