"""A bill of materials of a model, as CycloneDX JSON (ECMA-424), an ML-BOM.

What the gate has proven is in the model's own fields and in properties ``oms-gate:...``; what the
publisher only declares is marked with ``oms-gate:declared-by``. The library knows no model cards
(11.12), so that part is added to what it writes, before all of it is validated.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import (
    AnalysisTechnique,
    ComponentEvidence,
    Identity,
    IdentityField,
    Method,
)
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import BY_SCHEMA_VERSION
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from oms_gate import __version__
from oms_gate.bom.facts import CONFIG
from oms_gate.bom.licences import licences_of
from oms_gate.errors import OmsGateError, UsageError
from oms_gate.oms.quoting import one_line
from oms_gate.policy.kinds import kind_of
from oms_gate.reference import Reference
from oms_gate.verdict import Assurance, printable

if TYPE_CHECKING:
    from cyclonedx.validation import ValidationError

    from oms_gate.bom.facts import Facts, SignedFile

SpecVersion = Literal["1.6", "1.7"]

_VERSIONS: Final = {"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}
_ALGORITHMS: Final = {
    "sha256": HashAlgorithm.SHA_256,
    "blake2b": HashAlgorithm.BLAKE2B_512,
    "blake3": HashAlgorithm.BLAKE3,
}
_HUB_KINDS: Final = {"datasets": ComponentType.DATA, "spaces": ComponentType.APPLICATION}
_TOGETHER: Final = 100
"""Most files that are validated together, as a count."""
_SERIALS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/oms-gate")


def write_bom(facts: Facts, spec_version: SpecVersion, made_at: datetime) -> str:
    """The bill of materials as JSON, which is valid by the strict schema of its version.

    The same facts give the same text but for the time; the serial number is derived from them.

    made_at: with its time zone.

    Raises:
        OmsGateError: what came out is not valid, which is a defect.
    """
    bom = Bom(metadata=BomMetaData(timestamp=made_at, tools=_tools(), component=_model(facts)))
    declared = list(_base_models(facts)) + list(_datasets(facts))
    bom.components.update(declared)
    assert bom.metadata.component is not None
    bom.register_dependency(bom.metadata.component, declared)
    version = _VERSIONS[spec_version]
    document = json.loads(BY_SCHEMA_VERSION[version](bom).output_as_string())
    component = document["metadata"]["component"]
    if component["type"] == ComponentType.MACHINE_LEARNING_MODEL.value:
        component["modelCard"] = _model_card(facts)
    document["serialNumber"] = f"urn:uuid:{_serial(document)}"
    for fault in _faults(document, JsonStrictValidator(version)):
        raise OmsGateError(
            f"the bill of materials would not be valid CycloneDX {spec_version}, so none is "
            f"written ({one_line(fault.data)}); please report this"
        )
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _faults(
    document: Mapping[str, Any], validator: JsonStrictValidator
) -> Iterator[ValidationError]:
    """What is not valid: of the document without the model's files, and then of these.

    That a list has nothing twice is found by comparing each with each, so the files come some at a
    time, as components of a small document. Twice is none: the library keeps them in a set.
    """
    model = dict(document["metadata"]["component"])
    files = model.pop("components", [])
    whole = {**document, "metadata": {**document["metadata"], "component": model}}
    head = {key: document[key] for key in ("bomFormat", "specVersion")}
    groups = (files[first : first + _TOGETHER] for first in range(0, len(files), _TOGETHER))
    for part in chain([whole], ({**head, "components": group} for group in groups)):
        if (fault := validator.validate_str(json.dumps(part))) is not None:
            yield fault


def _serial(document: Mapping[str, Any]) -> uuid.UUID:
    """The same for the same content, whenever it is written."""
    lasting = {key: value for key, value in document.items() if key != "serialNumber"}
    lasting["metadata"] = {k: v for k, v in document["metadata"].items() if k != "timestamp"}
    return uuid.uuid5(_SERIALS, json.dumps(lasting, sort_keys=True))


def _tools() -> ToolRepository:
    gate = Component(type=ComponentType.APPLICATION, name="oms-gate", version=__version__)
    return ToolRepository(components=[gate])


def _model(facts: Facts) -> Component:
    reference = facts.reference
    parts = reference.location.split("/")
    on_hub = reference.scheme == "hf"
    kind = _HUB_KINDS.get(parts[0]) if on_hub else None
    return Component(
        type=kind or ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        group=printable(parts[-2]) if on_hub and len(parts) > 1 else None,
        name=printable(parts[-1]),
        version=_version(facts),
        purl=_purl(reference, facts.hub) if on_hub else None,
        licenses=licences_of(facts.card),
        external_references=_references(facts),
        evidence=_evidence(facts),
        properties=_properties(_proven(facts), _licence_marks(facts)),
        components=_files(facts),
    )


def _files(facts: Facts) -> Iterator[Component]:
    """Every file that is there, signed or not."""
    yield from (_signed_file(facts, file) for file in facts.files)
    if (coverage := facts.verdict.coverage) is not None:
        for file in coverage.unsigned:
            yield _component(file.path, file.size, (), [("coverage", "unsigned")])
        for left in coverage.ignored:
            told = [("coverage", "ignored"), ("ignored-by", left.scope)]
            yield _component(left.path, left.size, (), told)


def _version(facts: Facts) -> str | None:
    """The commit, or the release; elsewhere what names its content, as times and places do not."""
    pinned = facts.reference.revision or facts.reference.release
    signature = facts.verdict.signature
    return pinned or (f"sha256:{signature.root_digest}" if signature else None)


def _purl(reference: Reference, hub: str | None = None) -> PackageURL | None:
    """The package URL of a repository of models on the Hub, whose names keep their case.

    hub: the server that has it, where that is not the public one.
    """
    *owner, name = reference.location.split("/")
    if owner and owner[0] in _HUB_KINDS:
        return None
    return PackageURL(
        type="huggingface",
        namespace="/".join(owner) or None,
        name=name,
        version=reference.revision.lower() if reference.revision else None,
        qualifiers={"repository_url": hub} if hub else None,
        subpath=reference.path or None,
    )


def _properties(*groups: Iterable[tuple[str, object]]) -> list[Property]:
    return [Property(name=f"oms-gate:{name}", value=str(value)) for name, value in chain(*groups)]


def _proven(facts: Facts) -> Iterator[tuple[str, object]]:
    """What the gate knows of the model, by the names of properties."""
    verdict = facts.verdict
    if not facts.reference.is_local:
        yield "model", verdict.model.name
    yield "assurance", verdict.assurance
    if (signer := verdict.signer) is not None:
        yield "signer:method", signer.method
        yield "signer:identity", signer.identity
        if signer.issuer is not None:
            yield "signer:issuer", signer.issuer
        yield "signer:key-sha256", signer.key_sha256
        yield "signer:trust-root-sha256", signer.root.sha256
    if (signature := verdict.signature) is not None:
        yield "signature:format", signature.format
        yield "signature:sha256", signature.sha256
        yield "signature:root-digest", signature.root_digest
        yield "signature:hash-type", signature.hash_type
        yield "signature:serialization", signature.serialization
        for proof in signature.times:
            yield f"signature:time:{proof.source}", proof.time.isoformat()
        if signature.log_index is not None:
            yield "signature:log-index", signature.log_index
    if (policy := verdict.policy) is not None:
        yield "policy:engine", policy.engine
        yield "policy:revision", policy.revision
    if (card := facts.card_file) is None:
        yield "card", "absent"
    else:
        yield "card", card.path
        yield "card:signed", _said(card.signed)
        if card.sha256 is not None:
            yield "card:sha256", card.sha256
    if (coverage := verdict.coverage) is not None:
        yield from (("missing", path) for path in coverage.missing)
    for problem in facts.problems:
        yield "problem", problem


def _said(value: bool) -> str:
    return "true" if value else "false"


def _declared(path: str, signed: bool, of: str = "") -> Iterator[tuple[str, object]]:
    """The marks of what only the publisher says.

    path: the file that says it; signed: whether the signature covers that.
    of: what the names of the marks begin with, where they stand among those of other things.
    """
    yield f"{of}declared-by", "publisher"
    yield f"{of}declared-in", path
    yield f"{of}declared-in:signed", _said(signed)


def _by_card(facts: Facts, of: str = "") -> Iterator[tuple[str, object]]:
    """The marks of what the card says."""
    if (card := facts.card_file) is not None:
        yield from _declared(card.path, card.signed, of)


def _licence_marks(facts: Facts) -> Iterator[tuple[str, object]]:
    """Those of the licences, on the model: a licence expression has no place for properties."""
    if licences_of(facts.card):
        yield from _by_card(facts, "license:")


def _references(facts: Facts) -> Iterator[ExternalReference]:
    """Signature and attestations, by where they are beside the model."""
    verdict = facts.verdict
    if (signature := verdict.signature) is not None:
        yield _evident(
            ExternalReferenceType.DIGITAL_SIGNATURE,
            _place(signature.location),
            signature.sha256,
            "OpenSSF Model Signing, verified by oms-gate",
        )
    for attestation in verdict.attestations:
        yield _evident(
            ExternalReferenceType.ATTESTATION,
            quote(attestation.path, safe="/@"),
            attestation.sha256,
            f"{attestation.predicate_type}, verified by oms-gate",
        )


def _evident(kind: ExternalReferenceType, url: str, sha256: str, comment: str) -> ExternalReference:
    return ExternalReference(
        type=kind,
        url=XsUri(url),
        comment=comment,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )


def _place(location: str) -> str:
    """The URL of a signature: where it is, or what it is called beside the model.

    References have no queries, and names are as the store has them: a question mark, a
    percent sign, and beside the model a colon, are part of a name.
    """
    scheme, is_url, _ = location.partition("://")
    if location.startswith(("/", "./", "../", "~")) or scheme in ("file", "local"):
        # Where it lies on the machine of whoever makes the BOM is nobody's business.
        return quote(location.rpartition("/")[2], safe="@")
    return quote(location, safe="/:@" if is_url else "/@")


def _evidence(facts: Facts) -> ComponentEvidence | None:
    """How it is known that the files are the model: by what the signer attested, and by hashing."""
    verdict = facts.verdict
    signature, signer, coverage = verdict.signature, verdict.signer, verdict.coverage
    if signature is None or signer is None:
        return None
    signed = Method(
        technique=AnalysisTechnique.ATTESTATION,
        confidence=Decimal(1),
        value=f"signed by {signer.identity} ({signer.method})",
    )
    hashed = Method(
        technique=AnalysisTechnique.HASH_COMPARISON,
        confidence=Decimal(1),
        value="every signed byte was hashed and compared",
    )
    # A policy may admit a model of which files are missing: nobody hashed those.
    whole = coverage is not None and not coverage.missing
    is_hashed = verdict.assurance is Assurance.BYTES and whole
    identity = Identity(
        field=IdentityField.HASH,
        concluded_value=signature.root_digest,
        methods=[signed, hashed] if is_hashed else [signed],
    )
    return ComponentEvidence(identity=[identity])


def _signed_file(facts: Facts, file: SignedFile) -> Component:
    whole = [part for part in file.resources if part.start is None]
    shards = (
        ("shard", f"{part.start}-{part.end} {facts.hash_type}:{part.digest}")
        for part in file.resources
        if part.start is not None
    )
    return _component(
        file.path,
        file.size,
        [HashType(alg=_ALGORITHMS[facts.hash_type], content=part.digest) for part in whole],
        [("coverage", "signed"), *shards],
    )


def _component(
    path: str,
    size: int | None,
    hashes: Iterable[HashType],
    properties: Iterable[tuple[str, object]],
) -> Component:
    sized = [] if size is None else [("size", size)]
    return Component(
        type=ComponentType.FILE,
        bom_ref=f"file:{printable(path)}",
        name=printable(path),
        hashes=hashes,
        properties=_properties([("kind", kind_of(path))], sized, properties),
    )


def _base_models(facts: Facts) -> Iterator[Component]:
    relation = facts.card.relation
    told = [] if relation is None else [("relation", relation)]
    for name in facts.card.base_models:
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"base-model:{name}",
            name=name,
            purl=_purl(Reference("hf", name)) if _is_on_hub(name) else None,
            properties=_properties(_by_card(facts), told),
        )


def _datasets(facts: Facts) -> Iterator[Component]:
    for name in facts.card.datasets:
        yield Component(
            type=ComponentType.DATA,
            bom_ref=f"dataset:{name}",
            name=name,
            properties=_properties(_by_card(facts)),
        )


def _is_on_hub(name: str) -> bool:
    """Whether a name can be that of a repository of models on the Hub."""
    try:
        return Reference.parse(f"hf://{name}") == Reference("hf", name)
    except UsageError:
        return False


def _model_card(facts: Facts) -> dict[str, object]:
    """CycloneDX's own ``modelCard``, as far as card and configuration declare what it asks for."""
    card = facts.card
    parameters = {
        "task": card.task,
        "architectureFamily": facts.model_type,
        "modelArchitecture": facts.architecture,
        "datasets": [{"ref": f"dataset:{name}"} for name in card.datasets],
    }
    # What config.json says is told only where it is signed.
    has_architecture = facts.model_type or facts.architecture
    told = [
        *(_declared(CONFIG, True, "architecture:") if has_architecture else []),
        *([("card:library", card.library)] if card.library else []),
        *([("card:base-model-relation", card.relation)] if card.relation else []),
        *(("card:language", language) for language in card.languages),
        *(("card:tag", tag) for tag in card.tags),
        *([("card:license-link", card.licence_link)] if card.licence_link else []),
    ]
    return {
        "modelParameters": {key: value for key, value in parameters.items() if value},
        "properties": [
            {"name": each.name, "value": each.value} for each in _properties(_by_card(facts), told)
        ],
    }
