"""Options by way of tyro: the command line and the config file are read by the same parser.

tyro was chosen over jsonargparse, after a trial of both: dashed option names, and ``200,200`` lists through
a documented hook.
"""

import contextlib
import dataclasses
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeVar, get_type_hints

import tyro

from jensen.config.choices import write_names
from jensen.config.help import shown
from jensen.errors import UserError, dashed, did_you_mean, no_choice

Options = TypeVar("Options")
MARKS = (tyro.conf.FlagCreatePairsOff,)
_BOX = "╭╮╰╯│─ "


def parse(
    kind: type[Options], arguments: Sequence[str], prog: str, default: Options | None = None
) -> Options:
    """The dataclass ``kind`` filled from ``arguments``, over ``default`` where one is given.

    Raises:
        UserError: an unknown option or a value that does not fit; a name that is near is named.
        SystemExit: with status 0 after ``--help``.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        _show_help(kind, arguments, prog)
    messages = io.StringIO()
    try:
        with _wide_terminal(), contextlib.redirect_stderr(messages):
            if default is None:
                return tyro.cli(kind, args=arguments, prog=prog, config=MARKS)
            return tyro.cli(kind, args=arguments, prog=prog, config=MARKS, default=default)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(messages.getvalue(), kind, prog, arguments)) from None


def _show_help(kind: type, arguments: Sequence[str], prog: str) -> None:
    """Print the options and leave, unless what stands before ``--help`` is wrong already."""
    # None is how a config.yaml says that an option was left out; help does not show it.
    marks = (*MARKS, tyro.conf.DisallowNone, tyro.conf.OmitArgPrefixes)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            tyro.cli(shown(kind), args=arguments, prog=prog, config=marks)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise


@contextlib.contextmanager
def _wide_terminal() -> Iterator[None]:
    """Keep tyro from wrapping its messages: jensen prints each as one line."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _one_line(box: str, kind: type, prog: str, arguments: Sequence[str]) -> str:
    """The words of tyro's error box, up to its footer, as one line."""
    words = [line.strip(_BOX) for line in box.splitlines()[1:]]
    lines = [line for line in words if line.strip("-")]  # rules are dashes where there is no UTF-8
    footers = ("For full helptext", "Argument help")
    end = next((i for i, line in enumerate(lines) if line.startswith(footers)), None)
    text = " ".join(" ".join(lines[:end]).split())
    # A refusal of our own, raised by the dataclass, already says what is allowed.
    own = f"Error parsing {kind.__name__}: "
    if text.startswith(own):
        return _as_typed(text.removeprefix(own), kind)
    return f"{_plainly(text, kind, arguments)} (see {prog} --help)"


def _as_typed(refusal: str, kind: type) -> str:
    """A refusal that begins with an option's name in Python, with the name of the command line."""
    name, blank, rest = refusal.partition(" ")
    is_option = name in {field.name for field in dataclasses.fields(kind)}
    return f"{dashed(name)}{blank}{rest}" if is_option else refusal


def _plainly(text: str, kind: type, arguments: Sequence[str]) -> str:
    """What tyro says, in the form: what was given, what is allowed."""
    if unknown := re.match(r"Unrecognized options: (-[^\s,]*)", text):
        return f"unknown option {unknown[1]}{did_you_mean(unknown[1].partition('=')[0], _options(kind))}"
    if unknown := re.match(r"Unrecognized options: ([^,]+)", text):
        return _stray(unknown[1], kind, arguments)
    if choice := re.match(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*?),?\)", text):
        return no_choice(choice[2], choice[1], choice[3].replace("'", "").split(", "))
    if number := re.match(r"Error parsing (\S+): .*(int\(\)|float).*: ['\"](.*)['\"]$", text):
        kind_of_number = "a whole number" if number[2] == "int()" else "a number"
        return f"{number[1]} is {number[3]!r}; it must be {kind_of_number}"
    if alone := re.match(r"Missing value for argument '(\S+)'", text):
        return f"{alone[1]} needs a value after it"
    if text.startswith("Missing from"):
        parts = text.split("(required)")[:-1]
        found = [re.search(r"--[\w-]+ [A-Z]+", part) or re.search(r"[A-Z]{3,}", part) for part in parts]
        names = [name[0] for name in found if name]
        return f"{' and '.join(names)} must be given"
    return text.removeprefix("Error parsing ")


def _stray(word: str, kind: type, arguments: Sequence[str]) -> str:
    """What to say of a word that belongs to no option: it may have been meant for the one before it.

    Args:
        word: as tyro shows it: up to a comma, and with single blanks.
        kind: of the options.
        arguments: that were given.
    """
    shown = [" ".join(argument.split()) for argument in arguments]
    whole = [i for i, text in enumerate(shown) if text == word]
    begun = [i for i, text in enumerate(shown) if text.startswith(word)]
    place = max(whole or begun, default=-1)
    word = arguments[place] if place >= 0 else word
    start = max((i for i in range(place) if arguments[i].startswith("--")), default=place)
    option, after = arguments[start], arguments[start + 1 :]
    hint = get_type_hints(kind, include_extras=True).get(option.removeprefix("--").replace("-", "_"))
    if hint is bool and start == place - 1:
        return f"{option} takes no value; leave {word!r} out"
    if _is_list(hint):
        parts = [given.strip(",") for given in takewhile(lambda given: not given.startswith("-"), after)]
        parts = list(takewhile(lambda part: part.isdigit() == parts[0].isdigit(), parts))
        if len(parts) > 1:
            return f"{option} takes its values joined by commas, without blanks: {option} {','.join(parts)}"
    return f"{word!r} is one word too many; put a path with spaces in quotes"


def _is_list(hint: Any) -> bool:
    """Whether an option of this type takes several values, joined by commas."""
    return any("," in str(getattr(part, "metavar", "")) for part in getattr(hint, "__metadata__", ()))


def _options(kind: type) -> list[str]:
    """The options of a dataclass as they are typed; what is given without a name is none."""
    return [dashed(field.name) for field in dataclasses.fields(kind) if field.name not in ("run", "data")]


def to_arguments(values: Mapping[str, Any], kind: type, positional: str) -> list[str]:
    """Option names and values, as read from YAML, as the words of a command line.

    Args:
        values: of the options of ``kind``: flags, which stand alone there, are true or false here.
        kind: the dataclass of the options.
        positional: the option that is given without its name.

    Raises:
        UserError: a flag that is neither, a list where one value is taken, or an option given twice.
    """
    hints = get_type_hints(kind, include_extras=True)
    words: list[str] = []
    for name, value in _once(values).items():
        hint, option = hints.get(name), dashed(name)
        if hint is bool:
            if not isinstance(value, bool):
                raise UserError(f"{option} is {value!r}; it must be true or false, without quotes")
            words += [option] * value
            continue
        if isinstance(value, list | tuple):
            if not _is_list(hint):
                raise UserError(f"{option} is {value!r}; it must be one value and no list")
            value = write_names(map(str, value))
        words += [str(value)] if name == positional else [option, str(value)]
    return words


def _once(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of Python; a name may have been written with dashes, but not twice."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in named:
            raise UserError(f"{name} is given twice, also as {key}; leave one of them out")
        named[name] = value
    return named
