"""What ``--help`` and docs/cli.md say of the options of a command: their sections and their texts."""

import ast
import dataclasses
import functools
import inspect
import itertools
import sys
from typing import Annotated, Any, get_type_hints

import tyro

from jensen.config.choices import EMPTY


def sections(kind: type) -> dict[str, list[str]]:
    """The names of a dataclass's options by section; those that are in none come first, under no title.

    A class names the section of the options that it is the first to have: ``section: ClassVar[str]``.
    """
    of: dict[str, str] = {}
    for one in (c for c in reversed(kind.__mro__) if dataclasses.is_dataclass(c)):
        for field in dataclasses.fields(one):
            of.setdefault(field.name, vars(one).get("section", ""))
    found: dict[str, list[str]] = {"": []}
    for field in dataclasses.fields(kind):
        found.setdefault(of[field.name], []).append(field.name)
    return found


def explanations(kind: type) -> dict[str, str]:
    """The docstring under each option, in one line, of the class and of those that it inherits from."""
    found: dict[str, str] = {}
    for one in (c for c in reversed(kind.__mro__) if dataclasses.is_dataclass(c)):
        for field, text in itertools.pairwise(_classes(one.__module__)[one.__name__].body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module by name, as they are written."""
    written = ast.parse(inspect.getsource(sys.modules[module])).body
    return {node.name: node for node in written if isinstance(node, ast.ClassDef)}


def shown(kind: type) -> type:
    """A dataclass that tyro shows as help for the options of ``kind``: each section in a box of its own.

    Sections are dataclasses within it; `tyro.conf.OmitArgPrefixes` keeps their titles out of options' names.
    """
    hints, texts = get_type_hints(kind, include_extras=True), explanations(kind)
    options = {}
    for field in dataclasses.fields(kind):
        # Left to itself, tyro breaks lines where the source does, and shows defaults that say nothing.
        says = tyro.conf.arg(help=texts.get(field.name), help_behavior_hint=_default)
        default: Any = dataclasses.field(default=field.default)
        options[field.name] = (field.name, Annotated[hints[field.name], says], default)
    (_, own), *titled = [
        (title, [options[name] for name in names]) for title, names in sections(kind).items()
    ]
    boxes = [(title, dataclasses.make_dataclass(title, box, kw_only=True)) for title, box in titled]
    return dataclasses.make_dataclass(
        kind.__name__, [*own, *boxes], namespace={"__doc__": kind.__doc__}, kw_only=True
    )


def _default(label: str) -> str:
    return "" if label in ("None", "False", "''", f"'{EMPTY}'") else f"(default: {label})"
