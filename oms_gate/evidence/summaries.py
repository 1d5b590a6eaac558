"""Making verification summaries: signed by the gate, and written as one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_gate.errors import ConfigError, SigningError, StoreError
from oms_gate.evidence.entries import unwritten
from oms_gate.evidence.summary import Subject, proven, summary_statement
from oms_gate.evidence_settings import SUMMARY_ENDING, SummarySettings
from oms_gate.stores.local_writing import write_below
from oms_gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oms_gate.evidence.signer import OwnSigner
    from oms_gate.oms.manifest import Resource


class SummaryWriter:
    """Writes summaries. Safe for several threads and processes, and across forks."""

    def __init__(self, settings: SummarySettings, signer: OwnSigner) -> None:
        self.settings = settings
        self._signer = signer

    def made(
        self, verdict: Verdict, signed: Mapping[str, tuple[Resource, ...]]
    ) -> tuple[Path, bytes] | None:
        """The summary of a verdict, and where it is to be; None where there is none to make.

        signed: the signed resources of each file that is there, by its path.

        Raises:
            EvidenceError: it could not be signed.
        """
        assurance = proven(verdict)
        if assurance is None or assurance.rank < self.settings.assurance.rank:
            return None
        assert verdict.signature is not None
        subject = Subject.of(verdict.model, verdict.signature, signed)
        statement = summary_statement(
            verdict, subject, assurance, self.settings.verifier, self.settings.policy_uri
        )
        try:
            bundle = self._signer.sign(statement)
        except (ConfigError, SigningError) as error:
            raise unwritten(f"{_of(verdict)} could not be signed: {error}") from error
        folder = self.settings.folder
        if folder.name.endswith(SUMMARY_ENDING):
            return folder, bundle
        return folder / subject.name(assurance), bundle

    def write(self, verdict: Verdict, file: Path, bundle: bytes) -> None:
        """Write a summary as a whole or not at all; it takes the place of an older one.

        Raises:
            EvidenceError: it could not be written.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_below(file.parent.resolve(), file.name, bundle + b"\n", lambda: None)
        except StoreError as error:
            raise unwritten(
                f"{_of(verdict)} could not be written: {error.reason.message}"
            ) from error
        except OSError as error:
            raise unwritten(
                f"{_of(verdict)} could not be written to {file} ({error.strerror}); free some "
                "space, or let the gate's user write there"
            ) from error


def _of(verdict: Verdict) -> str:
    return f"the summary of the verdict on {verdict.model.url}"
