"""Licences as a model card names them, as CycloneDX has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyclonedx.model import XsUri
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.spdx import fixup_id, is_expression

from oms_gate.bom.card import Card

if TYPE_CHECKING:
    from cyclonedx.model.license import License

_DECLARED = LicenseAcknowledgement.DECLARED
# What the Hub's cards say where the licence is none that the Hub knows.
_OTHER = "other"


def licences_of(card: Card) -> Sequence[License]:
    """The licences that a card declares: by SPDX identifier, as one SPDX expression, or by name."""
    if len(card.licences) == 1 and _is_compound(card.licences[0]):
        return [LicenseExpression(card.licences[0], acknowledgement=_DECLARED)]
    named = card.licence_name is not None and card.licences in ((), (_OTHER,))
    names = (card.licence_name,) if named else card.licences
    return [
        DisjunctiveLicense(
            id=(known := fixup_id(name)),
            name=None if known else name,
            url=_link(card.licence_link) if len(names) == 1 else None,
            acknowledgement=_DECLARED,
        )
        for name in names
        if name is not None
    ]


def _is_compound(text: str) -> bool:
    return fixup_id(text) is None and is_expression(text)


def _link(text: str | None) -> XsUri | None:
    """A link to the licence, if it is one that a reader could follow."""
    from jsonschema.validators import Draft7Validator

    if text is None or not Draft7Validator.FORMAT_CHECKER.conforms(text, "iri-reference"):
        return None
    return XsUri(text) if urlsplit(text).scheme in ("", "http", "https") else None
