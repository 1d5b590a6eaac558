"""Guards each Python that finds this before other files of its name: ``oms-gate run`` sees to it.

Python imports it when it starts, in whatever environment that is, so it uses nothing but the
standard library, and as little of that as it can. The guard is installed when huggingface_hub is
first imported: until then there is nothing to guard, and a program without it starts as ever.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_GUARDED = "huggingface_hub"
_CANNOT_GUARD = 2


class _GuardedImport:
    """Finds huggingface_hub as all others do, and installs the guard once it has been run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _GUARDED:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                # The loader is this module's own.
                spec.loader.exec_module = _guarded(  # type: ignore[assignment,method-assign]
                    spec.loader.exec_module
                )
                return spec
        return None


def _guarded(run: Callable[[ModuleType], object]) -> Callable[[ModuleType], None]:
    def run_and_guard(module: ModuleType) -> None:
        run(module)
        _install()

    return run_and_guard


def _install() -> None:
    """Install the guard, or let the program end: nothing is to be loaded without one."""
    try:
        from oms_gate.loading.guard import guard

        guard().install()
    except Exception as error:
        what = f"{error}" or type(error).__name__
        if isinstance(error, ModuleNotFoundError):
            what += f"; install oms-gate for {sys.executable}, or run what is there without it"
        sentence = f"this program is to load admitted models only, and cannot be guarded: {what}"
        print(f"oms-gate: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
        # No Exception: who tries to do without huggingface_hub would not notice.
        raise SystemExit(_CANNOT_GUARD) from error


def _run_hidden() -> None:
    """Run the file of this name that Python would have found without this one."""
    here = os.path.realpath(os.path.join(__file__, os.pardir))  # noqa: PTH118 - quick to import
    places = [os.path.realpath(entry) for entry in sys.path]
    after = sys.path[places.index(here) + 1 :] if here in places else []
    for finder in sys.meta_path:
        spec = finder.find_spec(__name__, after)
        if spec is not None and spec.loader is not None:
            from importlib.util import module_from_spec

            module = sys.modules[__name__] = module_from_spec(spec)
            spec.loader.exec_module(module)
            return


sys.meta_path.insert(0, _GuardedImport())
if _GUARDED in sys.modules:
    # What a .pth file imports comes before.
    try:
        _install()
    except SystemExit:
        # Python would take it for a defect of its own.
        os._exit(_CANNOT_GUARD)
_run_hidden()
