"""Errors that speak to the user."""

from collections.abc import Callable, Iterable
from typing import Any

LIKE = 0.75
"""A word is like a name if this share of their letters is the same, in the same order."""


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


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`` (did you mean NAME?)`` with the `nearest` name; nothing where none is like the word."""
    near = nearest(word, names)
    return "" if near is None else f" (did you mean {near}?)"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that is most like a word; None where none is like it.

    A name is like it that differs in a letter of four, that it begins with or that begins with it, or that is
    its initials: ``--lr`` is like ``--learning-rate``.
    """
    import difflib

    def plain(text: str) -> str:
        return text.lower().lstrip("-").replace("_", "-")

    typed, called = plain(word), {plain(name): name for name in names}
    if not typed:
        return None
    initials = "".join(part[:1] for part in typed.split("-"))
    same = [name for name in called if name == initials and len(name) > 1]
    begun = [name for name in called if name.startswith(typed) or (len(name) > 2 and typed.startswith(name))]
    begun.sort(key=lambda name: abs(len(name) - len(typed)))
    found = [*same, *begun, *difflib.get_close_matches(typed, called, 1, LIKE)]
    return called[found[0]] if found else None
