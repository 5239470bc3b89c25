"""Errors that speak to the user."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints

LIKE = 0.75
"""A word is like a name if this share of their letters is the same, in the same order."""
LIKE_SHORT = 0.65
"""The same of words of up to three letters, of which one is more of them."""


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what was given, what is allowed, how to mend it. The command line prints
    it and exits with status 2; in Python it is a ``ValueError`` like any other.
    """


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line of 200 letters at most; else its type."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def as_typed(value: Any) -> Any:
    """The value of an option as it is typed: of several numbers, with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


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
            raise UserError(f"{name} is {as_typed(value)}; it must be {allowed}")


def check_choices(options: object) -> None:
    """Refuse a choice that is none: a value that the ``Literal`` of its field in a dataclass does not list.

    Raises:
        UserError: the first one.
    """
    for name, kind in get_type_hints(type(options)).items():
        value = getattr(options, name)
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise UserError(no_choice(name, value, get_args(kind)))


def dashed(name: str) -> str:
    """An option as it is typed: ``--latent-dim`` for ``latent_dim``."""
    return f"--{name.replace('_', '-')}"


def no_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """What to say of a value that is none of those allowed; True and False may be meant for on and off."""
    word = ("off", "on")[value] if isinstance(value, bool) else str(value)
    return f"{name} is {value}{did_you_mean(word, allowed)}; it must be one of {', '.join(allowed)}"


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`` (did you mean NAME?)`` with the `nearest` name; nothing where none is like the word."""
    near = nearest(word, names)
    return "" if near is None else f" (did you mean {near}?)"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name that is most like a word; None where none is like it.

    A name is like it that differs in a letter of four (of three or fewer: by one more or less), that it
    begins with or that begins with it, or that is its initials: ``--lr`` is like ``--learning-rate``.
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
    short = len(typed) < 4
    close = [name for name in called if not short or abs(len(name) - len(typed)) < 2]
    found = [*same, *begun, *difflib.get_close_matches(typed, close, 1, LIKE_SHORT if short else LIKE)]
    return called[found[0]] if found else None
