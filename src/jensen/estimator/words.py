"""Refusals of settings in the words of Python: they are written for the command line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args, get_type_hints

from jensen.config.settings import Settings
from jensen.errors import UserError

HINTS = get_type_hints(Settings)
NUMBER = r"-?[\d.]+(e-?\d+)?"
PHRASES = {
    "--binarize dynamic or static": "X of zeros and ones",
    "those of its training, or train a run on these": "those fitted, or fit on these",
    "make the column's type ignore with --schema": "leave that column out of X",
    "give it another type with --schema": "give X with that column changed",
}
"""Mends that are of files and images, and what they are for rows in memory."""


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
    for phrase, meant in PHRASES.items():
        message = message.replace(phrase, meant)
    message = re.sub(rf" is '({NUMBER})';", r" is \1;", message)
    return re.sub(
        r"(?<![\w-])--(?P<name>[a-z][a-z_-]*)(?: (?P<value>[\w.-]+)(?P<colon>:)?)?", _parameter, message
    )


def _parameter(option: re.Match[str]) -> str:
    """``name=value`` where the word after an option is a value, and not one of the sentence."""
    name, value = option["name"].replace("-", "_"), option["value"]
    if value is None:
        return name
    colon = option["colon"] or ""
    if re.fullmatch(NUMBER, value):
        return f"{name}={value}{colon}"
    # "--condition zz: there is ...", but "leave --likelihood out: the ...".
    is_value = (colon and value != "out") or value in get_args(HINTS.get(name))
    return f"{name}={value!r}{colon}" if is_value else f"{name} {value}{colon}"


def numbers_wanted(name: str) -> str:
    """What a parameter must be that is a number, in words; nothing for others."""
    kinds = {HINTS.get(name.replace("-", "_")), *get_args(HINTS.get(name.replace("-", "_")))}
    if str in kinds or Ellipsis in kinds:
        return ""
    return "a whole number" if int in kinds else "a number" if float in kinds else ""
