"""Refusals of settings in the words of Python: they are written for the command line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args, get_type_hints

from jensen.config.settings import Settings
from jensen.errors import UserError

HINTS = get_type_hints(Settings)
NUMBER = r"-?[\d.]+(e-?\d+)?"


@contextmanager
def in_python() -> Iterator[None]:
    """What is refused within names parameters as Python does: ``epochs is 0``, ``bound='beta'``."""
    try:
        yield
    except UserError as error:
        raise UserError(translate(str(error))) from None


def translate(message: str) -> str:
    """A line about options, ``--free-bits 3``, as one about parameters, ``free_bits=3``."""
    message = message.removesuffix(" (see jensen --help)")
    message = re.sub(rf" is '({NUMBER})';", r" is \1;", message)
    return re.sub(r"(?<![\w-])--(?P<name>[a-z][a-z_-]*)(?: (?P<value>[\w.-]+))?", _parameter, message)


def _parameter(option: re.Match[str]) -> str:
    """``name=value`` where the word after an option is a value, and not one of the sentence."""
    name, value = option["name"].replace("-", "_"), option["value"]
    if value is None:
        return name
    if value in get_args(HINTS.get(name)):
        return f"{name}={value!r}"
    return f"{name}={value}" if re.fullmatch(NUMBER, value) else f"{name} {value}"
