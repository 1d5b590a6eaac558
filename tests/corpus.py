"""Where the corpus of real bundles lies: beside the project, not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(),
    reason="the corpus of real bundles (../shared/corpus from the project's root) is not here",
)


def corpus_files(pattern: str) -> list[str]:
    """Paths of the corpus's files that match `pattern`, relative to it; none without a corpus."""
    return sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob(pattern))
