"""``python -m tests.server.trial`` is ``oms-gate``, whose service serves trial parts."""

from oms_gate.cli import main
from oms_gate.server import workers

if __name__ == "__main__":
    workers._MODULE = "tests.server.trial_worker"
    main()
