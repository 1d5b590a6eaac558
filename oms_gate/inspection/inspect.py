"""Look into files that are about to be published."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing

from oms_gate.errors import OmsGateError, StepError, is_failure
from oms_gate.inspection.findings import Findings, Sighting
from oms_gate.inspection.formats import format_mistake
from oms_gate.inspection.search import HEAD_BYTES, read_head, search
from oms_gate.inspection.settings import PublishSettings
from oms_gate.limits import Limits
from oms_gate.policy.globs import Globs
from oms_gate.policy.kinds import kind_of
from oms_gate.reason_codes import ReasonCode
from oms_gate.stores import Snapshot
from oms_gate.verdict import Reason

# Of one file; the others are found when these are gone.
_MOST_REASONS = {ReasonCode.PUBLISH_SECRET: 10, ReasonCode.PUBLISH_TRUST_ANCHOR: 1}

_SENTENCES = {
    ReasonCode.PUBLISH_SECRET: "{path} holds {what}{place}; remove it, and revoke it if it was "
    "ever published; if it is no secret, name the file under 'publish: allow_secrets' in gate.yaml",
    ReasonCode.PUBLISH_TRUST_ANCHOR: "{path} holds {what}{place}, and whom to trust must never "
    "come with a model; remove it, or name the file under 'publish: allow_trust_anchors' in "
    "gate.yaml",
}
_QUOTED = (
    "{path} quotes {what}{place}; whom to trust must never come with a model, so say there where "
    "else to get it"
)
_FORMAT = "{path} {what}; or name the file under 'publish: allow_formats' in gate.yaml"


def inspect(
    snapshot: Snapshot, paths: Collection[str], settings: PublishSettings, limits: Limits
) -> Findings:
    """Read the files at `paths`, and say what should not be published.

    Text is read to its end, of weights the head, and of other files what `limits.inspected_bytes`
    says. Memory does not grow with the files.

    Raises:
        StoreError: a file cannot be read.
        StepError: a file is such that what looks into it failed.
    """
    reasons: list[Reason] = []
    warnings: list[Reason] = []
    allowed = {
        ReasonCode.PUBLISH_SECRET: Globs(settings.allow_secrets),
        ReasonCode.PUBLISH_TRUST_ANCHOR: Globs(settings.allow_trust_anchors),
        ReasonCode.PUBLISH_FORMAT: Globs(settings.allow_formats),
    }
    for path in sorted(paths):
        sought = {code for code, globs in allowed.items() if path not in globs}
        try:
            for reason, quoted in _found(snapshot, path, sought, limits):
                (warnings if quoted else reasons).append(reason)
        except (OmsGateError, OSError):
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            raise StepError(
                ReasonCode.INTERNAL_ERROR,
                f"{path} could not be looked into ({type(error).__name__}: {error}), so nobody "
                "knows whether it may be published; save it again or remove it, and please report "
                "this",
                path=path,
            ) from error
    return Findings(tuple(reasons), tuple(warnings))


def _found(
    snapshot: Snapshot, path: str, sought: Collection[ReasonCode], limits: Limits
) -> Iterator[tuple[Reason, bool]]:
    """Each reason against a file, and whether the file does no more than quote."""
    most = {code: most for code, most in _MOST_REASONS.items() if code in sought}
    kind = kind_of(path)
    # Numbers look like nothing, and there are many of them.
    binary_bytes = HEAD_BYTES if kind == "weights" else limits.inspected_bytes
    with closing(snapshot.chunks(path)) as chunks:
        head = read_head(chunks)
        for sighting, line in search(path, head, chunks, most, binary_bytes):
            quoted = (
                kind in ("document", "code")
                and sighting.code is ReasonCode.PUBLISH_TRUST_ANCHOR
                and not sighting.alone
            )
            yield _reason(path, sighting, line, quoted), quoted
    if ReasonCode.PUBLISH_FORMAT not in sought:
        return
    size = snapshot.files[path].size
    if size is None and len(head) < HEAD_BYTES:
        size = len(head)

    def read(start: int, end: int) -> bytes:
        if end <= len(head):
            return head[start:end]
        content = bytearray()
        for chunk in snapshot.chunks(path, start, end):
            content += chunk
        return bytes(content)

    if (what := format_mistake(path, head, size, read)) is not None:
        message = _FORMAT.format(path=path, what=what)
        yield Reason(code=ReasonCode.PUBLISH_FORMAT, message=message, path=path), False


def _reason(path: str, sighting: Sighting, line: int | None, quoted: bool) -> Reason:
    sentence = _QUOTED if quoted else _SENTENCES[sighting.code]
    place = "" if line is None else f" in line {line}"
    message = sentence.format(path=path, what=sighting.what, place=place)
    return Reason(code=sighting.code, message=message, path=path, line=line)
