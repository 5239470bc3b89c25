"""Writes the option tables of cli.md from the commands' own options: ``python docs/options.py``."""

import dataclasses
import importlib
import re
import types
import typing
from pathlib import Path

from jensen.cli import COMMANDS
from jensen.config.help import explanations, sections

PAGE = Path(__file__).with_name("cli.md")
POSITIONAL = ("run", "data")
SHORT = {"out": "-o", "num": "-n"}


def options_of(command: str) -> type:
    """The dataclass of a command's options."""
    module = importlib.import_module(f"jensen.cli.{command}")
    kind: type = getattr(module, f"{command.capitalize()}Options")
    return kind


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
    if value is None or value is False or value in ("", ()):
        return ""
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def tables(command: str) -> str:
    """The options of a command as tables in Markdown, one for each section, as its help has them."""
    kind = options_of(command)
    written = []
    for title, names in sections(kind).items():
        table = "\n".join(
            ["| option | takes | default | meaning |", "|---|---|---|---|", *rows(command, names)]
        )
        written.append(f"**{title.capitalize()} options**\n\n{table}" if title else table)
    return "\n\n".join(written)


def rows(command: str, names: typing.Sequence[str]) -> typing.Iterator[str]:
    """A line of a table for each of the options ``names``."""
    kind = options_of(command)
    hints, texts = typing.get_type_hints(kind), explanations(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in sorted(names, key=lambda name: name not in POSITIONAL):
        option, takes = f"`--{name.replace('_', '-')}`", values(hints[name])
        if name in POSITIONAL:
            option, takes = name.upper(), ""
        elif name in SHORT:
            option = f"`{SHORT[name]}`, {option}"
        cells = (option, takes, default(fields[name]), texts[name])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def filled(page: str) -> str:
    """The page with every table between its marks written anew."""
    for command in COMMANDS:
        marks = rf"(<!-- options of {command} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            marks, lambda m, c=command: f"{m[1]}\n{tables(c)}\n\n{m[2]}", page, flags=re.DOTALL
        )
        assert count == 1, f"{PAGE} lacks the marks of {command}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
