"""Measure the inputs that are named, or all."""

from __future__ import annotations

import sys

from tests.fuzz.extremes import EXTREMES, SECONDS, cost, most_mebibytes


def main(names: list[str]) -> None:
    """Measure the named inputs, or all, and print a table."""
    print(f"{'input':<55} {'bytes':>9} {'verify s':>8} {'inspect s':>9} {'MiB':>4}  outcome")
    for name in names or EXTREMES:
        made = EXTREMES[name]()
        found = cost(made)
        slow = max(found["verify_seconds"], found["inspect_seconds"]) > SECONDS
        large = found["mebibytes"] > most_mebibytes(made)
        print(
            f"{name:<55} {len(made.bundle):>9} {found['verify_seconds']:>8.2f} "
            f"{found['inspect_seconds']:>9.2f} {found['mebibytes']:>4}  {found['verified']}"
            f"{' SLOW' * slow}{' LARGE' * large}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
