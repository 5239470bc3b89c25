"""How a text file is written, and in which of its lines a row stands."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

MARKS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""What may separate cells, in words."""


@dataclass(frozen=True)
class TextLayout:
    """How the rows of a text file are written.

    Attributes:
        names: of its columns.
        named: whether these stand above the rows.
        mark: what separates its cells.
        header: the names as they are written, with the blanks around them.
        end: of its lines.
        signed: whether it begins with a byte order mark, by which spreadsheets tell UTF-8.
    """

    names: tuple[str, ...]
    named: bool
    mark: str
    header: tuple[str, ...] = ()
    end: str = "\n"
    signed: bool = False

    @property
    def commas(self) -> bool:
        """Whether numbers may have decimal commas. Between commas, a quoted cell 1,234 has thousands."""
        return self.mark != ","

    def sentences(self) -> list[str]:
        """What a user should know of it."""
        return [
            *([] if self.mark in ",\t" else [f"has its cells separated by {self.mark!r}, and is read so"]),
            *([] if self.named else ["begins with numbers, so without names: its columns are x0, x1, ..."]),
        ]


def first_line(path: Path) -> bytes:
    """The first line of a text file, with its end."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as stream:
        return bytes(stream.readline())


def ends_in_a_quote(path: Path) -> bool:
    """Whether a text file does, as it must where its last cell goes over several lines."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    last = b""
    with opened(path, "rb") as stream:
        for line in stream:
            last = line.strip() or last
    return last.endswith(b'"')


def line_of(path: Path, mark: str, record: int) -> int:
    """The line of a text file in which a record begins, of which the first, names or cells, is 0.

    Records may go over several lines, and there may be empty lines between them.
    """
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    begin = 1
    with opened(path, "rt", newline="", encoding="utf-8-sig", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=mark)
        try:
            for cells in reader:
                if cells and not record:
                    break
                record -= bool(cells)
                begin = reader.line_num + 1
        except csv.Error:  # a cell of more characters than Python takes: what is left as if of one line each
            begin += record
    return begin
