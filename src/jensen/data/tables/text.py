"""Tables from text files: their cells as they are written, and as what all cells of a column are."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.schema import Schema
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""What a missing cell of a text file looks like, blanks around it aside."""


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
    numbers = all(_is_number(name) for name in header)
    names = [f"x{i}" for i in range(len(header))] if numbers else [name.strip() for name in header]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} has two columns named {twice[0]!r}; rename one of them")
    return names, 1 if numbers else 2


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
        raise UserError(_mend(path, str(error), 0)) from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); copy or write it again") from None


def _delimiter(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def read_text(path: Path, schema: Schema | None) -> "pa.Table":
    """The table of a text file, each column as what it was in training, or as what all its cells are."""
    table, first = read_text_cells(path), text_layout(path)[1]
    return typed_cells(table, storage_of(schema), path, first)


def storage_of(schema: Schema | None) -> dict[str, str]:
    """The Arrow types of the columns of a schema, by name."""
    return {} if schema is None else {column.name: column.storage for column in schema.columns}


def typed_cells(table: "pa.Table", storage: dict[str, str], path: Path, first: int) -> "pa.Table":
    """Cells of text as what they were in training, and of new columns as what all of them are."""
    import pyarrow as pa

    return pa.table(
        {name: _typed(table[name], name, storage.get(name), path, first) for name in table.column_names}
    )


def _header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line of a text file."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        with csv.open_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 20),
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda row: "skip"),
            convert_options=csv.ConvertOptions(check_utf8=False),
        ) as reader:
            width = len(reader.schema)
        with csv.open_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, block_size=1 << 20),
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=lambda row: "skip"),
            convert_options=csv.ConvertOptions(
                column_types={f"f{i}": pa.string() for i in range(width)}, strings_can_be_null=False
            ),
        ) as reader:
            row = reader.read_next_batch().slice(0, 1).to_pylist()[0]
    except pa.ArrowInvalid as error:
        if "mpty" in str(error):
            raise UserError(f"{path} is empty; give a table with a header line and rows below it") from None
        raise UserError(_mend(path, str(error), 0)) from None
    except (OSError, EOFError, StopIteration) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); copy or write it again") from None
    return list(row.values())


def _mend(path: Path, error: str, width: int) -> str:
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


def _typed(cells: Any, name: str, storage: str | None, path: Path, first_line: int) -> Any:
    """Cells of text as whole numbers, numbers, truth values or text: the first kind that all of them are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = without_missing(cells)
    if storage is not None:
        return _cast(text, storage, name, path, first_line)
    if text.null_count == len(text):
        return text
    if _has_codes(text):
        return text
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    return _truth(text)


def typed_storage(pieces: "Iterable[pa.Table]") -> dict[str, str]:
    """The Arrow type of each column of text that comes in pieces: the first kind that all its cells are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds: dict[str, list[Any]] = {}
    some: set[str] = set()
    for piece in pieces:
        for name in piece.column_names:
            left = kinds.setdefault(name, [pa.int64(), pa.float64(), pa.bool_()])
            cells = pc.drop_null(without_missing(piece[name])) if left else []
            if len(cells):
                some.add(name)
                kinds[name] = [kind for kind in left if _is_all(cells, kind)]
    if not kinds:
        raise UserError("a text file has no rows; give a table with a header line and rows below it")
    first = {name: left[0] for name, left in kinds.items() if left and name in some}
    return {name: str(first.get(name, pa.string())) for name in kinds}


def _is_all(cells: Any, kind: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(kind):
        return bool(pa.types.is_boolean(_truth(cells).type))
    if _has_codes(cells):
        return False
    try:
        pc.cast(cells, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _has_codes(text: Any) -> bool:
    """Whether there are codes such as 01, which would lose their zeros as numbers."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(text, r"^[+-]?0[0-9]")).as_py())


def without_missing(cells: Any) -> Any:
    """Cells of text without blanks around them, null where they say that they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)


def _truth(text: Any) -> Any:
    """Text that says true or false only, as truth values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lower = pc.utf8_lower(text)
    if pc.all(pc.is_in(pc.drop_null(lower), value_set=pa.array(["true", "false"]))).as_py():
        return pc.equal(lower, "true")
    return text


def _cast(text: Any, storage: str, name: str, path: Path, first_line: int) -> Any:
    """Cells of text as the type that they had in training."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if storage == "bool":
        return _truth(text)
    kinds: dict[str, Callable[[], Any]] = {"int64": pa.int64, "double": pa.float64}
    if storage not in kinds:
        return text
    try:
        return pc.cast(text, kinds[storage]())
    except pa.ArrowInvalid:
        pass
    try:
        return pc.cast(text, pa.float64())  # a column of whole numbers may come with decimals
    except pa.ArrowInvalid:
        number = next(
            i for i, cell in enumerate(text.to_pylist()) if cell is not None and not _is_number(cell)
        )
        raise UserError(
            f"{path}, line {number + first_line}: {text[number].as_py()!r} in column {name!r} is no number, "
            "and in training all were; mend the cell, or leave it empty if it is missing"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
