"""``python -m tests.kubernetes.impatient`` is ``oms-gate``, whose service looks again sooner."""

from oms_gate.cli import main, serve
from oms_gate.server import policy_keeper

_SECONDS = 0.3

if __name__ == "__main__":
    serve._FILE_SECONDS = serve._SECRET_SECONDS = _SECONDS
    policy_keeper._STATUS_SECONDS = _SECONDS  # type: ignore[misc]
    main()
