"""YAML without surprises, which remembers where each value stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from oms_gate.errors import ConfigError


@dataclass(frozen=True)
class Document:
    """A parsed file. `value` is made of dicts, lists and scalars."""

    name: str
    value: Any
    root: yaml.Node | None

    def place(self, location: Sequence[str | int]) -> str:
        """``file:line:column`` of the value at `location`, or of the nearest that is there."""
        node = self.root
        mark = node.start_mark if node is not None else None
        for key in location:
            found = _child(node, key)
            if found is not None:
                node, mark = found
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return f"{self.name}:{line}:{column}"


class _Loader(yaml.SafeLoader):
    """Says where a value is that cannot be one, such as the 30th of February."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"'{node.value}' cannot be used: {error}", node.start_mark
            ) from error


def parse_yaml(name: str, content: bytes) -> Document:
    """Parse one YAML document: UTF-8, plain data, no key twice in a mapping, no aliases.

    Raises:
        ConfigError: with line and column.
    """
    try:
        loader = _Loader(content.decode("utf-8"))
        try:
            root = loader.get_single_node()
            _check(name, root, set())
            value = loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: it is not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{name}{where}: {error.problem}") from error
    except ConfigError:
        raise
    except Exception as error:
        # Such as a RecursionError.
        what = str(error) or type(error).__name__
        raise ConfigError(f"{name}: it is not YAML that can be read: {what}") from error
    return Document(name, value, root)


def _child(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node, yaml.Mark] | None:
    """The value under a key or index, and where it (or its key) stands."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return value, name.start_mark
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key].start_mark
    return None


def _check(name: str, node: yaml.Node | None, seen: set[int]) -> None:
    """Refuse keys that are there twice, of which YAML would keep the last, and aliases."""
    if node is None:
        return
    if id(node) in seen:
        raise _mistake(name, node, "aliases are not allowed here")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _mistake(name, key, "a key must be plain text")
            if key.value in keys:
                raise _mistake(name, key, f"'{key.value}' is there twice")
            keys.add(key.value)
            _check(name, value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check(name, value, seen)


def _mistake(name: str, node: yaml.Node, what: str) -> ConfigError:
    mark = node.start_mark
    return ConfigError(f"{name}:{mark.line + 1}:{mark.column + 1}: {what}")
