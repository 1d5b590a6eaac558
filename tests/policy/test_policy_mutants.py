"""The tool that breaks rules of Rego sees who notices; ``make mutants`` breaks all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.rego import EQUIVALENT, Copy, Mutant, modules, mutants


def test_a_mutant_of_each_module_is_noticed(opa: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        every = list(threads.map(lambda path: mutants(path, opa), modules()))
        names = {mutant.name for of_module in every for mutant in of_module}
        assert names >= EQUIVALENT.keys()
        assert len(names) > 1000

        def is_noticed(mutant: Mutant) -> bool | None:
            return Copy(tmp_path / mutant.path, opa).notices(mutant)

        chosen = [of_module[0] for of_module in every]
        assert not any(mutant.name in EQUIVALENT for mutant in chosen)
        assert list(threads.map(is_noticed, chosen)) == [True] * len(chosen)


def test_what_changes_nothing_is_not_noticed(opa: Path, tmp_path: Path) -> None:
    mutant = Mutant("lib/claims.rego", "a comment", 0, 0, "# Nothing.\n")
    assert Copy(tmp_path, opa).notices(mutant) is False


def test_what_is_no_rego_does_not_count(opa: Path, tmp_path: Path) -> None:
    mutant = Mutant("lib/claims.rego", "an error", 0, 0, "(")
    assert Copy(tmp_path, opa).notices(mutant) is None
