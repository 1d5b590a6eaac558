"""What a container says of models, in the words of the program that it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from oms_gate.errors import StepError
from oms_gate.kubernetes.clients import Client
from oms_gate.kubernetes.commands import Variables, Word, commands
from oms_gate.verdict import ReasonCode

# The shortest beginning of an option that argparse could take for it: two letters.
_ABBREVIATION = 4


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
    named: whether it is told by what name clients know the model.
    problem: why nobody can tell which models it loads; None where that is clear.
    """

    client: Client
    mentions: tuple[Mention, ...]
    caches: tuple[Word, ...]
    named: bool
    problem: str | None


@dataclass
class Budget:
    """How many words of a pod may still be read."""

    words: int

    def spend(self, words: int) -> None:
        """Count some.

        Raises:
            StepError: there are too many.
        """
        self.words -= words
        if self.words < 0:
            raise StepError(
                ReasonCode.POD_MALFORMED,
                "the commands of the pod have more words than kubernetes.words in gate.yaml; put "
                "long scripts into an image",
            )


def runs(container: Mapping[str, Any], clients: Sequence[Client], budget: Budget) -> Iterator[Run]:
    """The programs of a container that load models, as far as its specification tells.

    Raises:
        StepError: there are more words than `budget` allows.
    """
    variables = Variables.of(container)
    image = _image_name(str(container.get("image") or ""))
    found = False
    try:
        for command in commands(container, variables):
            budget.spend(len(command))
            for client, arguments in _programs(command, clients):
                budget.spend(len(arguments))
                found = True
                yield _run(client, arguments, variables)
    except ValueError as error:
        names = [c for c in clients if any(p.split()[-1] in str(container) for p in c.programs)]
        if names:
            found = True
            yield Run(names[0], (), (), False, f"its script cannot be read ({error})")
    if found:
        return
    for client in clients:
        if any(fnmatchcase(image, pattern) for pattern in client.images):
            if container.get("command"):
                # Some program of the operator's own; what the image reads may still be set.
                run = _run(client, [], variables)
                if run.mentions:
                    yield run
            else:
                yield _run(client, next(commands(container, variables)), variables)
            return


def _image_name(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _programs(
    command: Sequence[Word], clients: Sequence[Client]
) -> Iterator[tuple[Client, Sequence[Word]]]:
    """The clients in a command, each with the words that follow."""
    by_first: dict[str, list[tuple[Client, list[str]]]] = {}
    for client in clients:
        for program in client.programs:
            words = program.split()
            by_first.setdefault(words[0], []).append((client, words))
    for start, word in enumerate(command):
        for client, words in by_first.get(word.text.rpartition("/")[2], ()):
            rest = command[start + 1 : start + len(words)]
            if [following.text for following in rest] == words[1:]:
                yield client, command[start + len(words) :]


def _run(client: Client, words: Sequence[Word], variables: Variables) -> Run:
    arguments = _Arguments(words, client)
    mentions: list[Mention] = []
    unclear: list[str] = []
    folder = _last(arguments.values(client.folder_options))
    kind = _last(arguments.values(client.kind_options)) or "model"

    def mention(where: str, text: str, word: Word | None, key: str) -> None:
        named_by = client.revisions.get(key)
        revision = None
        if named_by is not None and named_by.startswith("-"):
            revision = _last(arguments.values([named_by]))
        elif named_by is not None:
            if named_by in variables.unknown:
                unclear.append(f"the value of {named_by}")
            revision = variables.known.get(named_by)
        mentions.append(Mention(where, text, word, revision, kind, folder))

    for option in client.options:
        for word in arguments.values([option]):
            mention(option, word.text, word, option)
    for option in (*client.named_options, *client.json_options):
        key = "model" if option in client.json_options else "path"
        for word in arguments.all_values([option]):
            if (named := _named(word.text, key)) is not None:
                mention(option, named, None, option)
    for name in client.environment:
        if name in variables.unknown:
            unclear.append(f"the value of {name}")
        for text in filter(None, variables.known.get(name, "").split(",")):
            mention(name, text.strip(), None, name)
    if client.positional:
        for word in arguments.positional(bool(mentions)):
            mention("its first argument", word.text, word, "")
    words_used = [m.word for m in mentions if m.word is not None]
    unclear += [f"'{word.text}'" for word in words_used if not word.certain]
    unclear += [
        f"what the file of {option} says"
        for option in client.opaque_options
        if arguments.values([option])
    ]
    if not mentions and client.needs_model and not unclear:
        unclear.append("which model it loads, as none is named")
    elif not mentions and any(not word.certain for word in words):
        unclear.append("all of its arguments")
    return Run(
        client,
        tuple(mentions),
        tuple(arguments.values(client.cache_options)),
        client.name_option is not None and bool(arguments.values([client.name_option])),
        f"nobody can tell from it {' and '.join(unclear)}" if unclear else None,
    )


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


class _Arguments:
    """The words after a program, as argparse and its like read them."""

    def __init__(self, words: Sequence[Word], client: Client) -> None:
        self._words = words
        self._client = client
        self._single = (
            *client.options,
            *client.json_options,
            *(name for name in client.revisions.values() if name.startswith("-")),
            *client.cache_options,
            *client.folder_options,
            *client.kind_options,
            *client.opaque_options,
            *filter(None, [client.name_option]),
        )
        self._known = {_plain(option) for option in (*self._single, *client.named_options)}

    def values(self, options: Sequence[str]) -> list[Word]:
        """The value of each time that one of the options is there."""
        return [values[0] for values in self._each(options) if values]

    def all_values(self, options: Sequence[str]) -> list[Word]:
        """All words up to the next option, each time that one of the options is there."""
        return [word for values in self._each(options) for word in values]

    def positional(self, others: bool) -> list[Word]:
        """The word that may be the first argument without an option.

        A word after an option may be its value. Where no other one names a model, the first of
        them that looks like one counts.

        others: whether there is a model already.
        """
        if self._words and not self._words[0].text.startswith("-"):
            return [self._words[0]]
        if others:
            return []
        taken = {id(word) for word in self.values(self._single)}
        taken |= {id(word) for word in self.all_values(self._client.named_options)}
        return [
            word
            for word in self._words
            if not word.text.startswith("-")
            and id(word) not in taken
            and ("/" in word.text or not word.certain)
        ][:1]

    def _each(self, options: Sequence[str]) -> Iterator[list[Word]]:
        for index, word in enumerate(self._words):
            name, equals, value = word.text.partition("=")
            if not any(self._means(name, option) for option in options):
                continue
            if equals:
                yield [Word(value, word.place, word.certain)]
                continue
            values = []
            for following in self._words[index + 1 :]:
                if following.text.startswith("-"):
                    break
                values.append(following)
            yield values

    def _means(self, text: str, option: str) -> bool:
        """Whether a word is an option, or an abbreviation of it."""
        text, option = _plain(text), _plain(option)
        if text in self._known or not text.startswith("--") or len(text) < _ABBREVIATION:
            return text == option
        return option.startswith(text)


def _plain(option: str) -> str:
    return f"--{option[2:].replace('_', '-')}" if option.startswith("--") else option
