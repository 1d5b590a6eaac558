"""What a container says of models, in the words of the program that it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Self

from oms_gate.kubernetes.arguments import Arguments
from oms_gate.kubernetes.budget import Budget
from oms_gate.kubernetes.clients import Client
from oms_gate.kubernetes.commands import Variables, Word, commands, folders_of, settings_of

GOVERNING: Final = (
    "HF_ENDPOINT",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HUGGINGFACE_HUB_CACHE",
    "PYTORCH_TRANSFORMERS_CACHE",
    "TRANSFORMERS_CACHE",
    "TRANSFORMERS_OFFLINE",
)
"""The variables by which Hub clients find models."""


@dataclass(frozen=True)
class Mention:
    """A model that a container names.

    where: what names it, such as ``--model``, for people.
    name: the model as it is written: a name on the Hub, a URL or a path.
    word: where it is written by itself, or after an option's ``=``; None elsewhere.
    revision: None for the default one.
    kind: of the repository: model, dataset or space.
    folder: where the program puts it; None for the Hub's cache.
    """

    where: str
    name: str
    word: Word | None = None
    revision: str | None = None
    kind: str = "model"
    folder: str | None = None


@dataclass(frozen=True)
class Run:
    """A program in a container that loads models.

    caches: the words that say where downloads are kept.
    perhaps: paths that may be models as well.
    folders: those that its script goes to before.
    named: whether it is told by what name clients know the model.
    problem: why nobody can tell which models it loads; None where that is clear.
    doubt: what else it may be told; None where nothing is unknown.
    """

    client: Client
    mentions: tuple[Mention, ...] = ()
    caches: tuple[Word, ...] = ()
    perhaps: tuple[str, ...] = ()
    folders: tuple[Word, ...] = ()
    named: bool = False
    problem: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class Table:
    """The clients, by what their commands begin with.

    programs: by its first word, each client with all words of the program.
    modules: by the name of a Python module.
    """

    clients: Sequence[Client]
    programs: Mapping[str, Sequence[tuple[Client, list[str]]]]
    modules: Mapping[str, Client]

    @classmethod
    def of(cls, clients: Sequence[Client]) -> Self:
        """The table of these clients."""
        programs: dict[str, list[tuple[Client, list[str]]]] = {}
        modules: dict[str, Client] = {}
        for client in clients:
            for program in client.programs:
                words = program.split()
                if words[0] == "-m":
                    modules[words[1]] = client
                else:
                    programs.setdefault(words[0], []).append((client, words))
        return cls(clients, programs, modules)


def runs(container: Mapping[str, Any], table: Table, budget: Budget) -> list[Run]:
    """The programs of a container that load models, as far as its specification tells.

    Raises:
        StepError: there is more of it than `budget` allows.
    """
    variables = Variables.of(container, budget)
    unreadable: list[str] = []
    all_commands = list(commands(container, variables, budget, unreadable))
    found = []
    for command in all_commands:
        for client, arguments in _programs(command, table):
            budget.spend_words(len(arguments))
            found.append(_run(client, arguments, variables))
    image = _image_name(str(container.get("image") or ""))
    own = next(
        (c for c in table.clients if any(fnmatchcase(image, name) for name in c.images)), None
    )
    if own is not None and not container.get("command"):
        found.append(_run(own, all_commands[0], variables))
    elif own is not None and not found and own.needs_model:
        run = _run(own, [], variables)
        unclear = "nobody can tell from its command what it runs"
        found.append(replace(run, doubt=unclear) if run.mentions else Run(own, problem=unclear))
    found += [
        Run(client, problem="nobody can read its script")
        for client in table.clients
        if any(_is_named(client, text) for text in unreadable)
    ]
    folders, set_here = tuple(folders_of(all_commands)), settings_of(all_commands)
    return [replace(_governed(run, set_here), folders=folders) for run in found]


def _governed(run: Run, set_here: frozenset[str]) -> Run:
    """The same run, unless a script has taken over what it is told."""
    taken = sorted(set_here & {*GOVERNING, *run.client.environment, "*"})
    if not taken or run.problem is not None:
        return run
    names = ", ".join("all variables" if name == "*" else name for name in taken)
    return replace(run, problem=f"its script sets {names}, by which it finds models")


def _is_named(client: Client, text: str) -> bool:
    return any(all(word in text for word in program.split()) for program in client.programs)


def _image_name(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _programs(command: Sequence[Word], table: Table) -> Iterator[tuple[Client, Sequence[Word]]]:
    """The clients in a command, each with the words that follow."""
    for start, word in enumerate(command):
        for client, words in table.programs.get(word.text.rpartition("/")[2], ()):
            rest = command[start + 1 : start + len(words)]
            if [following.text for following in rest] == words[1:]:
                yield client, command[start + len(words) :]
        if (named := _module(word.text, table.modules)) is not None:
            yield named, command[start + 1 :]


def _module(text: str, modules: Mapping[str, Client]) -> Client | None:
    """Whose module a word names: by itself, after ``-m`` in the same word, or as a file."""
    if text.startswith("-"):
        text = text.partition("m")[2]
    elif text.endswith(".py"):
        path = text.removesuffix(".py").split("/")
        known = (".".join(path[-parts:]) for parts in range(1, min(len(path), 6) + 1))
        return next((modules[name] for name in known if name in modules), None)
    return modules.get(text)


@dataclass
class _Findings:
    mentions: list[Mention] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def _run(client: Client, words: Sequence[Word], variables: Variables) -> Run:
    arguments = Arguments(words, client)
    if arguments.asks_for_help:
        return Run(client)
    found = _Findings()
    folder = _last(arguments.values(client.folder_options))
    kind = _last(arguments.values(client.kind_options)) or "model"

    def mention(where: str, text: str, word: Word | None, key: str) -> None:
        if word is not None and not word.certain:
            found.unclear.append(f"what '{word.text}' is")
            return
        named_by = client.revisions.get(key)
        revision = None
        if named_by is not None and named_by.startswith("-"):
            revision = _last(arguments.values([named_by]))
        elif named_by is not None:
            if variables.is_unknown(named_by):
                found.unclear.append(f"the value of {named_by}")
                return
            revision = variables.known.get(named_by)
        found.mentions.append(Mention(where, text, word, revision, kind, folder))

    for option in client.options:
        for word in arguments.values([option]):
            mention(option, word.text, word, option)
    for option in (*client.named_options, *client.json_options):
        key = "model" if option in client.json_options else "path"
        for word in arguments.all_values([option]):
            if (named := _named(word.text, key)) is not None:
                mention(option, named, None if word.certain else word, option)
    for name in client.environment:
        if name in variables.unknown:
            found.unclear.append(f"the value of {name}")
        elif variables.is_unknown(name):
            found.doubts.append(f"whether {name} is set")
        for text in filter(None, variables.known.get(name, "").split(",")):
            mention(name, _named(text.strip(), "path") or "", None, name)
    if client.positional:
        for word in arguments.positional(bool(found.mentions)):
            mention("its first argument", word.text, word, "")
    refused = [o for o in client.refused_options if arguments.values([o])]
    refused += [
        n for n in client.refused_environment if n in variables.known or n in variables.unknown
    ]
    found.unclear += [f"what {name} makes it load" for name in refused]
    mentions = tuple(found.mentions)
    if not mentions and not found.unclear and client.needs_model:
        if client.default is None:
            found.unclear.append("which model it loads, as none is named")
        else:
            mentions = (Mention("its default", client.default),)
    if not arguments.certain:
        found.doubts.append("all of its arguments")
    return Run(
        client,
        mentions,
        tuple(arguments.values(client.cache_options)),
        tuple(arguments.perhaps),
        named=client.name_option is not None and bool(arguments.values([client.name_option])),
        problem=_sentence(found.unclear),
        doubt=_sentence(found.doubts),
    )


def _sentence(unclear: Sequence[str]) -> str | None:
    return f"nobody can tell {' and '.join(unclear)}" if unclear else None


def _last(words: Sequence[Word]) -> str | None:
    return words[-1].text if words else None


def _named(text: str, key: str) -> str | None:
    """The model in ``NAME=MODEL`` or in a JSON object; None where there is none."""
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except ValueError:
            return text  # No name of a model, and refused as such.
        found = value.get(key) if isinstance(value, dict) else None
        return found if isinstance(found, str) else None
    return text.partition("=")[2] or text
