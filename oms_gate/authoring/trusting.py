"""The smallest change to a ``gate.yaml`` by which a model would be admitted.

It names exactly what was found: one identity, one model, one path; never a pattern. Only where a
rule about the model alone does not do, it adds to one that is about more, and says about what. It
is for a person to copy: whether to trust is a decision that nothing here can take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final, get_args

import yaml

from oms_gate.config import GateConfig, revised
from oms_gate.errors import ConfigError, PolicyError, UsageError
from oms_gate.policy.decision import Decision
from oms_gate.policy.exceptions import ExceptedCode
from oms_gate.policy.globs import covers
from oms_gate.policy.publishers import Publisher
from oms_gate.reason_codes import ReasonCode
from oms_gate.verdict import Reason

# Each opens an engine of its own.
_ROUNDS: Final = 12
_LISTS: Final = ("signers", "allow_unsigned", "allow_ignored")
_EXCEPTED: Final = frozenset(get_args(ExceptedCode))
_FILL_IN: Final = "to be filled in"


@dataclass
class Change:
    """Additions to a ``gate.yaml``.

    rules: additions to publisher rules, by the rule's place in the list; one beyond the end is a
        whole new rule.
    exceptions: new ones; their owner, reason and last day are for people to say.
    """

    rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    exceptions: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rules or self.exceptions)

    def applied(self, config: GateConfig, *, until: date) -> GateConfig:
        """The configuration with the additions, the exceptions until a day.

        Raises:
            UsageError: what was found cannot be written in a configuration.
        """
        publishers = [rule.model_dump(exclude_none=True) for rule in config.publishers]
        for place, additions in sorted(self.rules.items()):
            if place == len(publishers):
                publishers.append(additions)
            else:
                rule = publishers[place]
                for name in additions.keys() & set(_LISTS):
                    rule[name] = [*rule.get(name, ()), *additions[name]]
        filled = {"owner": _FILL_IN, "reason": _FILL_IN, "expires": until}
        exceptions = [*config.exceptions, *({**one, **filled} for one in self.exceptions)]
        return revised(config, publishers=publishers, exceptions=exceptions)

    def to_yaml(self, config: GateConfig) -> str:
        """The additions as parts of a ``gate.yaml``; exceptions lack what people have to say."""
        lines: list[str] = []
        if self.rules:
            lines.append("publishers:")
        for place, additions in sorted(self.rules.items()):
            if place == len(config.publishers):
                lines += ["  # a new rule, about this model alone", *_item(additions)]
                continue
            there = config.publishers[place]
            about = yaml.safe_dump(
                list(there.models), default_flow_style=True, allow_unicode=True, width=10_000
            )
            lines += [
                "  # add this to the rule of this name, which is there",
                f"  # it counts for all that the rule is about: {about.strip()}",
                *_item({"name": there.name, **additions}),
            ]
        if self.exceptions:
            lines.append("exceptions:")
        for exception in self.exceptions:
            lines.append("  # fill in who answers for it, why, and the last day on which it counts")
            lines += _item({"owner": None, "reason": None, "expires": None, **exception})
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Advice:
    """What would have the gate admit a model.

    change: to its configuration.
    remaining: reasons to deny that are left with the change made, or that no change could help.
    tried: whether the policy was asked what it decides with the change; a server's cannot be.
    """

    change: Change
    remaining: tuple[Reason, ...]
    tried: bool


def advise(
    config: GateConfig,
    document: Mapping[str, Any],
    decision: Decision,
    decide: Callable[[GateConfig], Decision] | None,
) -> Advice:
    """The smallest change by which the policy would allow a model.

    decision: on the document, with the configuration as it is.
    decide: the decision with another configuration; None where that cannot be tried.
    """
    change, denied = Change(), decision.deny
    tomorrow = (datetime.fromtimestamp(document["now"], UTC) + timedelta(days=1)).date()
    tried: set[tuple[_Key, int]] = set()
    for _ in range(_ROUNDS):
        proposed = _proposed(config, document, denied, tried)
        if not proposed:
            break
        step = _with(change, proposed.values())
        if decide is None:
            return Advice(step, denied, tried=False)
        try:
            after = decide(step.applied(config, until=tomorrow)).deny
        except (UsageError, ConfigError, PolicyError):
            continue  # It cannot be written so, or the policy has rules of its own.
        # What helps with nothing, or has another reason take the place, is no part of the change.
        left = {_key(reason) for reason in after}
        helped = [addition for key, addition in proposed.items() if key not in left]
        if helped and _codes(after) <= _codes(denied):
            change, denied = _with(change, helped), after
    return Advice(change, denied, tried=decide is not None)


_Addition = Callable[[Change], None]
_Key = tuple[str, str | None, str]


def _key(reason: Reason) -> _Key:
    return reason.policy_code or reason.code, reason.path, reason.message


def _codes(reasons: tuple[Reason, ...]) -> set[str]:
    return {_key(reason)[0] for reason in reasons}


def _with(change: Change, additions: Iterable[_Addition]) -> Change:
    made = Change(dict(change.rules), list(change.exceptions))
    for addition in additions:
        addition(made)
    return made


def _proposed(
    config: GateConfig,
    document: Mapping[str, Any],
    denied: tuple[Reason, ...],
    tried: set[tuple[_Key, int]],
) -> dict[_Key, _Addition]:
    """What has not been tried against the reasons of one code, the first for which there is any."""
    found: dict[_Key, _Addition] = {}
    for reason in denied:
        key = _key(reason)
        if found and key[0] != next(iter(found))[0]:
            break
        for number, addition in enumerate(_additions(config, document, reason)):
            if (key, number) not in tried:
                tried.add((key, number))
                found[key] = addition
                break
    return found


def _additions(
    config: GateConfig, document: Mapping[str, Any], reason: Reason
) -> Iterator[_Addition]:
    """What may help against a reason, the better first."""
    name = document["model"]["name"]
    code = str(reason.policy_code or reason.code)
    signer = signer_rule(document["signer"])
    key, value = ("signers", signer) if code in _OF_SIGNERS else (_OF_FILES.get(code), reason.path)
    if key is not None and value is not None:
        alone = {"name": name, "models": [name], "signers": [signer]}
        for place in _places(config.publishers, name):
            base = alone if place == len(config.publishers) else {}
            yield partial(_extend, place, base, key, value)
    if code in _EXCEPTED and code != ReasonCode.HISTORY_ROLLBACK:  # `trust add` is about less.
        yield partial(_except, name, code, reason.path)


_OF_SIGNERS: Final = (
    ReasonCode.PUBLISHER_UNKNOWN,
    ReasonCode.PUBLISHER_WRONG_SIGNER,
    ReasonCode.PUBLISHER_EXPIRED_SIGNER,
)
_OF_FILES: Final[Mapping[str, str]] = {
    ReasonCode.COVERAGE_UNSIGNED: "allow_unsigned",
    ReasonCode.COVERAGE_IGNORED: "allow_ignored",
}


def signer_rule(signer: Mapping[str, Any]) -> dict[str, Any]:
    """The signer of a publisher rule that names one who signed, and nobody else.

    signer: as in the input document.
    """
    root = signer["root"]["name"]
    if signer["method"] == "key":
        return {"method": "key", "key": root}
    rule = {"method": signer["method"], "identity": signer["identity"], "root": root}
    if signer["method"] == "sigstore":
        return {**rule, "issuer": signer["issuer"]}
    return {**rule, "allow_expired": True} if signer["expired_at"] else rule


def _places(publishers: tuple[Publisher, ...], name: str) -> list[int]:
    """The places of rules for a model: of the one about it alone, which may be new, then others.

    Of the others, that which is the most about it comes first.
    """
    alone = [place for place, rule in enumerate(publishers) if set(rule.models) == {name}]
    found = [
        (-len(glob), place)
        for place, rule in enumerate(publishers)
        for glob in rule.models
        if covers(glob, name)
    ]
    others = (place for _, place in sorted(found))
    return list(dict.fromkeys([*(alone or [len(publishers)]), *others]))


def _extend(place: int, base: dict[str, Any], key: str, value: object, change: Change) -> None:
    rule = dict(change.rules.get(place, base))
    if value not in rule.get(key, ()):
        rule[key] = [*rule.get(key, ()), value]
    change.rules[place] = rule


def _except(model: str, code: str, path: str | None, change: Change) -> None:
    """One exception for all that a code is about: whoever answers for it does so once."""
    alike = {"models": [model], "codes": [code]}
    paths = [] if path is None else [path]
    for place, there in enumerate(change.exceptions):
        if there["codes"] == [code] and bool(there.get("paths")) == bool(paths):
            known = there.get("paths", [])
            more = [one for one in paths if one not in known]
            change.exceptions[place] = {**there, "paths": [*known, *more]} if more else there
            return
    change.exceptions.append({**alike, "paths": paths} if paths else alike)


def _item(value: Mapping[str, Any]) -> list[str]:
    """A member of a list in a section."""
    text = yaml.safe_dump([value], sort_keys=False, allow_unicode=True, width=10_000)
    return [f"  {line}".replace(": null", ":") for line in text.splitlines()]
