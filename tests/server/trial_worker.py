"""``python -m tests.server.trial_worker`` is a process of a service that serves trial parts."""

from oms_gate.server import serving, worker
from tests.server import trial_parts

if __name__ == "__main__":
    serving.parts = trial_parts.parts  # type: ignore[attr-defined]  # where it is used
    serving._TICK_SECONDS = 0.05
    serving._READY_SECONDS = serving._CERTIFICATE_SECONDS = 0.2
    worker.main()
