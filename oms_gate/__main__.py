"""``python -m oms_gate`` is ``oms-gate``."""

from oms_gate.cli import main

if __name__ == "__main__":
    main()
