"""Coverage-guided fuzzing of everything that reads bundles: ``make fuzz SECONDS=60``.

Starts from the committed corpus and what earlier runs added in ``build/fuzz``; what an input
found is written there as well, to be run again by name. Needs the extra ``[fuzz]``.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
WORK = FOLDER.parents[1] / "build" / "fuzz"
_LARGEST_INPUT = 32 * 1024
_MEBIBYTES = 300


def main() -> None:
    """Fuzz for as long as the command line says, or run the given inputs once."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to go on")
    parser.add_argument("inputs", nargs="*", help="only run these files")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            "atheris is missing: install the extra [fuzz]; where there is no wheel of atheris for "
            f"Python {version}, run this with another Python"
        )

    with atheris.instrument_imports(include=["oms_gate"]):
        from tests.fuzz.mutator import changed
        from tests.fuzz.target import Target

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        found = changed(data, random.Random(seed), lambda part: atheris.Mutate(part, most))
        return found if len(found) <= most else atheris.Mutate(data, most)

    target = Target()
    for seed in (FOLDER / "corpus").iterdir():
        target(seed.read_bytes())  # so that what verification imports is in memory
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    (WORK / "corpus").mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={options.seconds}",
        f"-rss_limit_mb={base + _MEBIBYTES}",
        "-timeout=10",  # of a clock; the target itself counts seconds of the processor
        f"-max_len={_LARGEST_INPUT}",
        f"-dict={FOLDER / 'bundle.dict'}",
        f"-artifact_prefix={WORK}/",
        "-print_final_stats=1",
    ]
    places = options.inputs or [str(WORK / "corpus"), str(FOLDER / "corpus")]
    atheris.Setup([sys.argv[0], *arguments, *places], target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
