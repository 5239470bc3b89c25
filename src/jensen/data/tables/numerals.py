"""Numbers as text says them, and the cells of a column of numbers that are none."""

import re
from pathlib import Path
from typing import Any

from jensen.data.tables.layout import TextLayout, line_of
from jensen.errors import UserError

NUMBER = r"(?i)^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)$"
"""What pyarrow reads as a number."""
COMMA_NUMBER = r"^([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)$"
"""A number with a decimal comma."""
SIGNED_NUMBER = r"^[+-]?[$€£¥]? ?[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)? ?[$€£¥%]?$"
"""A number that may have a sign of a currency, commas between thousands, or a percent sign."""
LIKE_NUMBER = r"^[^0-9\p{L}]*([0-9]+|[0-9]{1,3}([.,'’\x{a0}\x{202f}][0-9]{3})+)([.,][0-9]+)?[^0-9\p{L}]*$"
"""What people read as a number: (264.21), <0.5, 1.234,50, 20 €. No telephone numbers: blanks separate no
thousands."""
MOST, FEWEST = 0.9, 10
"""A column with more than this share of numbers, so many at least, is one of numbers, and its other cells are
mistakes."""


def is_number(text: str, *, commas: bool = False) -> bool:
    """Whether a cell says a number, as pyarrow reads it; with ``commas``, such as 3,5 too."""
    forms = (NUMBER, COMMA_NUMBER) if commas else (NUMBER,)
    return any(re.match(form, text.strip()) for form in forms)


def decimal_comma(cells: Any) -> bool:
    """Whether some cells of text are numbers such as 3,5."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(cells), COMMA_NUMBER)).as_py())


def with_points(text: Any) -> Any:
    """Cells of text with the commas of numbers such as 3,5 as points."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(text, COMMA_NUMBER, r"\1.\2")


def signs_in(text: Any) -> list[str]:
    """The signs, such as $ and commas, without which nearly all cells of text would be numbers."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(text)
    numbers = trimmed.filter(pc.match_substring_regex(trimmed, SIGNED_NUMBER))
    if len(numbers) <= MOST * len(text):
        return []
    return [sign for sign in "$€£¥,%" if pc.any(pc.match_substring(numbers, sign)).as_py()]


def like_number(text: Any) -> str | None:
    """A cell of text that is no number as pyarrow reads it, where nearly all cells look like numbers.

    None where they do not, are few, or are codes such as 01.
    """
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(text)
    like = pc.sum(pc.match_substring_regex(trimmed, LIKE_NUMBER), min_count=0).as_py()
    if like < FEWEST or like <= MOST * len(text) or leading_zeros(trimmed):
        return None
    for known in (f"{NUMBER}|{COMMA_NUMBER}", NUMBER):  # 3,5 is a number in some files
        others = trimmed.filter(pc.invert(pc.match_substring_regex(trimmed, known)))
        if len(others):
            return str(others[0])
    return None


def leading_zeros(text: Any) -> bool:
    """Whether some cells are codes such as 01, which would lose their zeros as numbers."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(text, r"^[+-]?0[0-9]")).as_py())


class Strays:
    """How many cells of a column are numbers, and the first that is none, by pieces of its text.

    Args:
        path: of the file.
        layout: of the file.
    """

    def __init__(self, path: Path, layout: TextLayout) -> None:
        self.path, self.layout = path, layout
        self.there = self.numbers = 0
        self.leading_zeros = False
        """Whether some are codes such as 01."""
        self.first: tuple[int, str] | None = None
        """Its row, of which the first is 0, and the cell."""

    def add(self, text: Any, before: int) -> None:
        """Take in more cells, after those of so many rows."""
        import pyarrow.compute as pc

        numbers = pc.match_substring_regex(text, NUMBER)
        if self.layout.commas:
            numbers = pc.or_(numbers, pc.match_substring_regex(text, COMMA_NUMBER))
        self.there += len(text) - text.null_count
        self.numbers += pc.sum(numbers, min_count=0).as_py()
        self.leading_zeros = self.leading_zeros or leading_zeros(text)
        row = pc.index(numbers, False).as_py()
        if self.first is None and row >= 0:
            self.first = before + row, text[row].as_py()

    def where(self, name: str) -> str:
        """Which cell is no number."""
        assert self.first is not None
        row, cell = self.first
        line = line_of(self.path, self.layout.mark, row + self.layout.named)
        return f"{self.path}, line {line}: {cell!r} in column {name!r}"

    def check(self, name: str) -> None:
        """Refuse text that is numbers but for a few cells.

        Raises:
            UserError: the first of these, and the mend.
        """
        few = self.numbers < FEWEST or self.numbers <= MOST * self.there
        if self.first is None or self.leading_zeros or few:
            return
        raise UserError(
            f"{self.where(name)} is no number, and {self.numbers:,} of its {self.there:,} cells are; "
            "mend the cell, leave it empty if it is missing, or give the column the type categorical with "
            "--schema to take all as text"
        )
