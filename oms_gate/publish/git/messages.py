"""The messages of commits and of annotated tags, which are published with them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from oms_gate.errors import StoreError
from oms_gate.gate import Gate
from oms_gate.inspection.inspect import inspect
from oms_gate.publish.git.objects import Objects
from oms_gate.publish.overlay import overlay
from oms_gate.reason_codes import ReasonCode
from oms_gate.reference import Reference
from oms_gate.verdict import Reason

_OF_A_TAG = re.compile(rb"object ([0-9a-f]+)\ntype tag\n")
_MOST_TAGS = 8


def inspect_messages(
    gate: Gate, target: Reference, kind: str, texts: Mapping[str, bytes]
) -> Mapping[str, Sequence[Reason]]:
    """The secrets in commits or tags, by their names; those that have none are left out.

    For ``publish: allow_secrets`` they are files with names such as ``commit 0123...``.

    target: the model that they are of.
    kind: what they are.
    texts: whole objects: there is room for a secret in their headers, too.
    """
    files = {f"{kind} {name}": text for name, text in texts.items()}
    snapshot = overlay(target, None, None, contents=files)
    found = defaultdict[str, list[Reason]](list)
    for reason in inspect(snapshot, files, gate.publish, gate.limits).reasons:
        if reason.code is ReasonCode.PUBLISH_SECRET and reason.path is not None:
            message = (
                f"the message of {reason.message}, as '{reason.path}'; write the message anew "
                "(git rebase -i, or git tag -f), since it is published, too"
            )
            found[reason.path.removeprefix(f"{kind} ")].append(
                Reason(code=reason.code, message=message)
            )
    return found


def tags(objects: Objects, name: str) -> Iterator[tuple[str, bytes]]:
    """A tag by its name, and the tags that it is a tag of.

    Raises:
        StoreError: they are more than anybody needs; or git fails.
    """
    for _ in range(_MOST_TAGS):
        (text,) = objects.descriptions([name], "tag")
        yield name, text
        match = _OF_A_TAG.match(text)
        if match is None:
            return
        name = match[1].decode("ascii")
    raise StoreError(
        ReasonCode.STORE_UNSAFE_FILE,
        f"a tag that is pushed is one of a tag, and so on more than {_MOST_TAGS} times; tag the "
        "commit itself",
    )
