"""How counts and names are said."""

from collections.abc import Sequence

SHOWN = 6
"""Names in a sentence."""


def count(number: int, thing: str, things: str = "") -> str:
    """A number of things: "1 row", "1,797 rows".

    Args:
        number: of them.
        thing: one of them.
        things: several of them; left out, with an s.
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def few(names: Sequence[str]) -> str:
    """The first of many names, for a sentence; in quotes, those that a comma would make two of."""
    shown = [repr(name) if "," in name and name[0] not in "\"'" else name for name in names[:SHOWN]]
    return ", ".join(shown) + (f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
