"""A guard: while it is on, every library of the process gets admitted models of the Hub only."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from oms_gate.cache.layout import CACHE_VARIABLE
from oms_gate.errors import AdmissionDenied, UsageError
from oms_gate.gate import Gate
from oms_gate.loading.run import environment

if TYPE_CHECKING:
    from oms_gate.loading.admitted import Admitted
    from oms_gate.loading.swaps import Swaps

_Function = TypeVar("_Function", bound=Callable[..., Any])

# What is on in this process, the innermost last, and what it has replaced.
_active: list[Guard] = []
_swaps: Swaps | None = None
_lock = threading.RLock()
# Those that were turned on here: in this thread, or this task.
_entered: ContextVar[tuple[Guard, ...]] = ContextVar("oms_gate_entered", default=())


def guard(gate: Gate | None = None, *, cache_folder: str | os.PathLike[str] | None = None) -> Guard:
    """A guard, which is on within ``with``, in a function that it decorates, or once installed.

    gate: what decides; None for that of the guard that is on, or else the one that
        ``OMS_GATE_CONFIG`` configures.
    cache_folder: of verified files; None for that of `oms_gate.cache.Cache`.

    Raises:
        ConfigError: there is no usable configuration.
    """
    if gate is None and (around := _innermost()):
        return Guard(around.gate, cache_folder or around.cache_folder)
    return Guard(Gate.from_environment() if gate is None else gate, cache_folder)


class Guard(ContextDecorator):
    """Lets the libraries of this process, in all its threads, load admitted models only.

    What they get of the Hub comes from the verified cache. A model that is denied raises
    `AdmissionDenied` where it was asked for; in ``mode: annotate`` it is loaded, with a warning.
    Of several guards the innermost decides: the one that was turned on last in the same thread,
    or task; where none was, the one that was turned on last.
    """

    def __init__(self, gate: Gate, cache_folder: str | os.PathLike[str] | None = None) -> None:
        """
        gate: stays the caller's to close, when no guard of it is on any more.
        cache_folder: see `guard`.
        """
        self.gate = gate
        self.cache_folder = cache_folder
        self._admitted: Admitted | None = None

    @property
    def models(self) -> Admitted:
        """The models of which it hands out files, once it was on."""
        assert self._admitted is not None
        return self._admitted

    def install(self) -> None:
        """Be on until the process ends.

        Where a file describes the gate, Python processes that are started from then on inherit
        it by the environment, as those of ``oms-gate run`` do.

        Raises:
            ConfigError: huggingface_hub is not made as it was expected, or the cache cannot be
                used; nothing is guarded then.
        """
        self.__enter__()
        if self.gate.config_file is not None:
            os.environ.update(environment(self.gate.config_file, os.environ))
            if self.cache_folder is not None:
                os.environ[CACHE_VARIABLE] = os.path.abspath(self.cache_folder)

    def __enter__(self) -> Self:
        """Be on.

        Raises:
            ConfigError: as `install`.
        """
        global _swaps
        # First of all, as to import it may install another guard, see `oms_gate.loading.run`.
        import huggingface_hub  # noqa: F401

        from oms_gate.loading.admitted import Admitted

        with _lock:
            if self._admitted is None:
                self._admitted = Admitted(self.gate, self.cache_folder)
            if _swaps is None:
                _swaps = _swapped()
            _active.append(self)
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Be on no more, as often as it was turned on.

        Raises:
            AdmissionDenied: nothing else was raised, and a file was changed after it was handed
                out, so what was loaded of it may not be what was signed.
        """
        global _swaps
        if self in (here := list(_entered.get())):  # It may have been turned on elsewhere.
            del here[len(here) - 1 - here[::-1].index(self)]
            _entered.set(tuple(here))
        with _lock:
            # Threads leave in any order; of those with the same guard one is like the other. The
            # rest of the list is read meanwhile, and is never in another order.
            del _active[len(_active) - 1 - _active[::-1].index(self)]
            still_on = self in _active
            if not _active and _swaps is not None:
                _swaps.undo()
                _swaps = None
        if error is not None:
            _explain(error)
        elif self._admitted is not None:
            self._admitted.check(forget=not still_on)

    def __call__(self, func: _Function) -> _Function:
        """The function, during whose calls the guard is on.

        Raises:
            UsageError: it is a generator, which runs when it is not called.
        """
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise UsageError(
                f"{func.__qualname__} is a generator, which runs after it was called; use the "
                "guard in it, with 'with'"
            )
        if not inspect.iscoroutinefunction(func):
            return super().__call__(func)

        @functools.wraps(func)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await func(*args, **kwargs)

        return guarded  # type: ignore[return-value]  # it is called as that one is


def _explain(error: BaseException) -> None:
    """Add to an error what it hides: some libraries say of any failure that a file is missing."""
    seen: set[int] = set()
    hidden: BaseException | None = error
    while hidden is not None and not isinstance(hidden, AdmissionDenied):
        if id(hidden) in seen:
            return
        seen.add(id(hidden))
        hidden = hidden.__cause__ or hidden.__context__
    if hidden is not None and hidden is not error and str(hidden) not in str(error):
        error.add_note(str(hidden))


def _innermost() -> Guard | None:
    """The guard that decides here. What other threads turn on is not to decide for this one."""
    active = _active[:]
    if here := [on for on in _entered.get() if on in active]:
        return here[-1]
    # Where none was, one that enforces goes before one that annotates elsewhere.
    active.sort(key=lambda on: on.gate.mode == "enforce")
    return active[-1] if active else None


def models_on() -> list[Admitted]:
    """The models of all guards that are on in this process."""
    return [on.models for on in _active[:]]


def _current() -> Admitted | None:
    """Its models."""
    on = _innermost()
    return None if on is None else on._admitted


def _swapped() -> Swaps:
    """Put the guard in the place of what hands out files."""
    from oms_gate.loading.hub_calls import swap_calls
    from oms_gate.loading.hub_client import swap_clients
    from oms_gate.loading.hub_filesystem import swap_filesystem
    from oms_gate.loading.modules_folder import swap_modules_folder
    from oms_gate.loading.swaps import Swaps

    swaps = Swaps()
    try:
        swap_calls(swaps, _current)
        swap_filesystem(swaps, _current)
        swap_clients(swaps, _current)
        swap_modules_folder(swaps)
    except BaseException:
        swaps.undo()
        raise
    return swaps
