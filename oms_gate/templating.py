"""Pages for people: how their templates are filled in."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from oms_gate.verdict import printable


@cache
def templates(package: str) -> Environment:
    """The templates of a package, in which everything is escaped."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever is shown was named by strangers, or comes from a query. What a macro gives is
        # no plain string, and was made of such.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )


def source(package: str, name: str) -> str:
    """A file beside the templates, as it is."""
    environment = templates(package)
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
