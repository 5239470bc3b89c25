"""Tables from text files: the names of their columns, their cells as they are written, and what is wrong."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.layout import MARKS, TextLayout, ends_in_a_quote, first_line, line_of
from jensen.data.tables.numerals import is_number
from jensen.data.tables.schema import Schema, as_known
from jensen.data.words import count
from jensen.errors import UserError, one_line

if TYPE_CHECKING:
    import pyarrow as pa


def text_layout(path: Path, schema: Schema | None = None) -> TextLayout:
    """How a text file is written, by its first line.

    Its cells are separated by commas (in a .tsv file by tabs), unless another mark makes more of its names,
    or makes numbers of them. The blanks around names are those of the ``schema`` of a table read before, or
    none.

    Raises:
        UserError: it cannot be read, or has a name twice.
    """
    mark = "\t" if ".tsv" in path.name.lower() else ","
    header = _header(path, mark)
    for other in MARKS:
        if other == mark or other not in "".join(header):
            continue
        cells = _header(path, other)
        if len(cells) > len(header) or (
            len(cells) > 1 and _numbers(cells, other) and not _numbers(header, mark)
        ):
            header, mark = cells, other
    numbers = _numbers(header, mark)
    names = [f"x{i}" for i in range(len(header))] if numbers else as_known(header, schema)
    check_distinct(names, path)
    line = first_line(path)
    return TextLayout(
        tuple(names),
        not numbers,
        mark,
        tuple(header),
        "\r\n" if line.endswith(b"\r\n") else "\n",
        line.startswith(codecs.BOM_UTF8),
    )


def _numbers(cells: list[str], mark: str) -> bool:
    return all(is_number(cell, commas=mark != ",") for cell in cells)


def read_text_cells(path: Path, layout: TextLayout) -> "pa.Table":
    """The table of a text file with every cell as it is written.

    Raises:
        UserError: as for `read_table`.
    """
    import pyarrow as pa
    from pyarrow import csv

    with text_errors(path, layout.mark):
        try:
            cells = csv.read_csv(path, **text_options(layout, threads=True))
        except pa.ArrowInvalid:  # without threads pyarrow says the number of the line that is wrong
            cells = csv.read_csv(path, **text_options(layout, threads=False))
    check_closed(cells, cells.num_rows, path, layout)
    return cells


def check_closed(cells: "pa.Table | pa.RecordBatch", rows: int, path: Path, layout: TextLayout) -> None:
    """Refuse a quote that is never closed: all lines after it would be one cell, and their rows lost.

    The cells are the last of so many ``rows`` of the file, as they are written.

    Raises:
        UserError: where it is opened.
    """
    last = cells.column(cells.num_columns - 1)[-1].as_py() if cells.num_rows else ""
    if "\n" in last and not ends_in_a_quote(path):
        line = line_of(path, layout.mark, rows - 1 + layout.named)
        raise UserError(
            f"{path}: a quote is opened in the row of line {line}, and never closed, so that all lines after "
            "it are one cell; close it, or remove it"
        )


def check_distinct(names: list[str], file: Path) -> None:
    """Refuse a column name that a file has twice.

    Raises:
        UserError: which.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{file} has two columns named {twice[0]!r}; rename one of them")


def text_options(layout: TextLayout, *, threads: bool, block: int = 1 << 20) -> dict[str, Any]:
    """How pyarrow is to read the cells of a text file as they are written."""
    import pyarrow as pa
    from pyarrow import csv

    return {
        "read_options": csv.ReadOptions(
            column_names=layout.names,
            skip_rows_after_names=int(layout.named),  # counts rows, and skip_rows counts lines
            use_threads=threads,
            block_size=block,
        ),
        "parse_options": csv.ParseOptions(delimiter=layout.mark, newlines_in_values=True),
        "convert_options": csv.ConvertOptions(
            column_types=dict.fromkeys(layout.names, pa.string()), strings_can_be_null=False
        ),
    }


@contextmanager
def text_errors(path: Path, mark: str) -> Iterator[None]:
    """What is wrong with a text file whose cells ``mark`` separates, in the user's terms."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid as error:
        raise UserError(_mend(path, mark, error)) from None
    except (OSError, EOFError, StopIteration) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); copy or write it again") from None


def _header(path: Path, mark: str) -> list[str]:
    """The names in the first row of a text file."""
    import pyarrow as pa
    from pyarrow import csv

    def opened(**convert: Any) -> Any:
        return csv.open_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 20),
            parse_options=csv.ParseOptions(
                delimiter=mark, newlines_in_values=True, invalid_row_handler=lambda row: "skip"
            ),
            convert_options=csv.ConvertOptions(**convert),
        )

    with text_errors(path, mark):
        with opened(check_utf8=False) as reader:
            text = {f"f{i}": pa.string() for i in range(len(reader.schema))}
        with opened(column_types=text, strings_can_be_null=False) as reader:
            return list(reader.read_next_batch().slice(0, 1).to_pylist()[0].values())


def _mend(path: Path, mark: str, error: Exception) -> str:
    """What pyarrow found wrong in a text file, in the user's terms."""
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error))
    if ragged:
        record, expected, got = ragged.groups()
        line = line_of(path, mark, int(record) - 1)
        return (
            f"{path}, line {line}: {count(int(got), 'cell')} where the header has {expected}; mend that line "
            f"(a cell with {MARKS[mark]} needs quotes)"
        )
    if "mpty" in str(error):
        return f"{path} is empty; give a table with a header line and rows below it"
    if "utf8" in str(error).lower():
        with open(path, "rb") as stream:
            encoding = "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "latin1"
        return f"{path} is not written in UTF-8; save it again as UTF-8 (as by iconv -f {encoding} -t utf-8)"
    return f"{path} cannot be read as a table ({one_line(error)}); mend it or write it again"
