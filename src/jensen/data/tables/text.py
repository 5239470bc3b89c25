"""Tables from text files: the names of their columns, their cells as they are written, and what is wrong."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.cells import is_number, storage_of, typed_cells
from jensen.data.tables.schema import Schema
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def read_text_cells(path: Path) -> "pa.Table":
    """The table of a text file with every cell as it is written.

    Raises:
        UserError: as for `read_table`.
    """
    import pyarrow as pa
    from pyarrow import csv

    names, first = text_layout(path)
    with text_errors(path):
        try:
            return csv.read_csv(path, **text_options(path, names, first, threads=True))
        except pa.ArrowInvalid:  # without threads pyarrow says the number of the line that is wrong
            return csv.read_csv(path, **text_options(path, names, first, threads=False))


def text_layout(path: Path) -> tuple[list[str], int]:
    """The names of the columns of a text file, and the line of its first row.

    Raises:
        UserError: it cannot be read, or has a name twice.
    """
    header = _header(path, _delimiter(path))
    for mark in ";\t|,":
        if mark != _delimiter(path) and mark in "".join(header) and len(_header(path, mark)) > len(header):
            raise UserError(
                f"{path} has its cells separated by {mark!r}: separate them by commas (in a .tsv file, by "
                f"tabs), as by pandas.read_csv(FILE, sep={mark!r}).to_csv(NEW, index=False)"
            )
    numbers = all(is_number(name) for name in header)
    names = [f"x{i}" for i in range(len(header))] if numbers else [name.strip() for name in header]
    check_distinct(names, path)
    return names, 1 if numbers else 2


def check_distinct(names: list[str], file: Path) -> None:
    """Refuse a column name that a file has twice.

    Raises:
        UserError: which.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{file} has two columns named {twice[0]!r}; rename one of them")


def has_header(path: Path) -> bool:
    """Whether the first line of a text file is names: it is no row of numbers."""
    return text_layout(path)[1] == 2


def text_options(
    path: Path, names: list[str], first: int, *, threads: bool, block: int = 1 << 20
) -> dict[str, Any]:
    """How pyarrow is to read the cells of a text file as they are written."""
    import pyarrow as pa
    from pyarrow import csv

    return {
        "read_options": csv.ReadOptions(
            column_names=names, skip_rows=first - 1, use_threads=threads, block_size=block
        ),
        "parse_options": csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
        "convert_options": csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    }


@contextmanager
def text_errors(path: Path) -> Iterator[None]:
    """What is wrong with a text file, in the user's terms."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid as error:
        raise UserError(_mend(path, str(error))) from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); copy or write it again") from None


def _delimiter(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def read_text(path: Path, schema: Schema | None) -> "pa.Table":
    """The table of a text file, each column as what it was in training, or as what all its cells are."""
    table, first = read_text_cells(path), text_layout(path)[1]
    return typed_cells(table, storage_of(schema), path, first)


def _header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line of a text file."""
    import pyarrow as pa
    from pyarrow import csv

    def opened(**convert: Any) -> Any:
        return csv.open_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 20),
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda row: "skip"),
            convert_options=csv.ConvertOptions(**convert),
        )

    try:
        with opened(check_utf8=False) as reader:
            text = {f"f{i}": pa.string() for i in range(len(reader.schema))}
        with opened(column_types=text, strings_can_be_null=False) as reader:
            row = reader.read_next_batch().slice(0, 1).to_pylist()[0]
    except pa.ArrowInvalid as error:
        if "mpty" in str(error):
            raise UserError(f"{path} is empty; give a table with a header line and rows below it") from None
        raise UserError(_mend(path, str(error))) from None
    except (OSError, EOFError, StopIteration) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); copy or write it again") from None
    return list(row.values())


def _mend(path: Path, error: str) -> str:
    """What pyarrow found wrong in a text file, in the user's terms."""
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", error)
    if ragged:
        line, expected, got = ragged.groups()
        return (
            f"{path}, line {line}: {got} cells where the header has {expected}; mend that line (a cell with "
            "a comma needs quotes)"
        )
    if "UTF8" in error or "utf8" in error:
        with open(path, "rb") as stream:
            encoding = "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "latin1"
        return f"{path} is not written in UTF-8; save it again as UTF-8 (as by iconv -f {encoding} -t utf-8)"
    return f"{path} cannot be read as a table ({' '.join(error.split())}); mend it or write it again"


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
