"""Errors that speak to the user."""

from collections.abc import Callable
from typing import Any


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what was given, what is allowed, how to mend it. The command line prints
    it and exits with status 2; in Python it is a ``ValueError`` like any other.
    """


def check_options(options: object, names: str, test: Callable[[Any], bool], allowed: str) -> None:
    """Refuse option values that fail a test; None (the option was left out) passes.

    Args:
        options: a dataclass of options.
        names: names of its fields, separated by spaces.
        test: whether a value is allowed.
        allowed: what is allowed, in words that follow "it must be".

    Raises:
        UserError: the first option whose value is not allowed.
    """
    for name in names.split():
        value = getattr(options, name)
        if value is not None and not test(value):
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be {allowed}")
