"""Writes the option tables of cli.md from the commands' own options: ``python docs/options.py``."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import textwrap
import types
import typing
from pathlib import Path

from jensen.cli import COMMANDS

PAGE = Path(__file__).with_name("cli.md")
SHORT = {"out": "-o", "num": "-n"}


def options_of(command: str) -> type:
    """The dataclass of a command's options."""
    module = importlib.import_module(f"jensen.cli.{command}")
    kind: type = getattr(module, f"{command.capitalize()}Options")
    return kind


def explanations(kind: type) -> dict[str, str]:
    """The docstring under each field, of the class and of those that it inherits from."""
    found: dict[str, str] = {}
    for one in (c for c in reversed(kind.__mro__) if dataclasses.is_dataclass(c)):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body  # type: ignore[attr-defined]
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found


def values(kind: typing.Any) -> str:
    """What an option takes: its choices, or the kind of value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " ".join(f"`{choice}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " ".join(values(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return "INT,INT,..." if arguments[0] is int else "NAME,NAME,..."
    return {bool: "", Path: "PATH", str: "TEXT"}.get(kind, kind.__name__.upper())


def default(field: "dataclasses.Field[typing.Any]") -> str:
    """A field's default as it would be typed."""
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value is False or value == "":
        return ""
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def table(command: str) -> str:
    """The options of a command as a table in Markdown."""
    kind = options_of(command)
    hints, texts = typing.get_type_hints(kind), explanations(kind)
    lines = ["| option | takes | default | meaning |", "|---|---|---|---|"]
    ordered = dataclasses.fields(kind)
    lines += [
        f"| {field.name.upper()} | | {default(field)} | {texts[field.name]} |"
        for field in ordered
        if field.name in ("run", "data")
    ]
    for field in [f for f in ordered if f.name not in ("run", "data")]:
        name = f"`--{field.name.replace('_', '-')}`"
        short = SHORT.get(field.name) if command != "train" else None
        name = f"`{short}`, {name}" if short else name
        cells = (name, values(hints[field.name]), default(field), texts[field.name])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def filled(page: str) -> str:
    """The page with every table between its marks written anew."""
    for command in COMMANDS:
        marks = rf"(<!-- options of {command} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            marks, lambda m, c=command: f"{m[1]}\n{table(c)}\n\n{m[2]}", page, flags=re.DOTALL
        )
        assert count == 1, f"{PAGE} lacks the marks of {command}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
