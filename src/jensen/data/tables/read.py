"""Tables from files: CSV and TSV (also gzipped), Parquet, Arrow, and folders of them."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.schema import Schema
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet",)
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*TEXT, *PARQUET, *ARROW)
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""What a missing cell of a text file looks like, blanks around it aside."""


def suffix_of(path: Path) -> str | None:
    """Which of `SUFFIXES` a path ends in; None for others."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def table_files(path: Path) -> list[Path]:
    """The table files directly in a folder, in the order of their names; or the one that ``path`` is."""
    if not path.is_dir():
        return [path] if suffix_of(path) else []
    return sorted(file for file in path.iterdir() if file.is_file() and suffix_of(file))


def read_table(path: Path, schema: Schema | None = None) -> "pa.Table":
    """The table of a file, or of all files of a folder one after the other.

    Args:
        path: a file that ends in one of `SUFFIXES`, or a folder of such files.
        schema: of a table read before: text columns are read as what they were then.

    Raises:
        UserError: no such file, a damaged or empty one, ragged lines, column names given twice, columns that
            differ between the files of a folder, or a cell that does not fit the schema.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; give the path of a table that exists")
    if not path.is_dir():
        return _checked(_read_file(path, schema), path)
    import pyarrow as pa

    tables: list[pa.Table] = []
    for file in table_files(path):
        table = _checked(_read_file(file, schema), file)
        if tables and set(table.column_names) != set(tables[0].column_names):
            odd = sorted(set(table.column_names) ^ set(tables[0].column_names))
            raise UserError(
                f"{file} has not the columns of the other files of {path} (column {odd[0]!r}); give them the "
                "same columns"
            )
        tables.append(table if not tables else table.select(tables[0].column_names))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise UserError(f"the files of {path} have columns of different types ({_one_line(error)})") from None


def _read_file(path: Path, schema: Schema | None) -> "pa.Table":
    import pyarrow as pa

    suffix = suffix_of(path)
    if suffix in TEXT:
        return _read_text(path, schema)
    try:
        if suffix in PARQUET:
            from pyarrow.parquet import ParquetFile

            return ParquetFile(path).read()
        with pa.memory_map(str(path)) as stream:
            try:
                return pa.ipc.open_file(stream).read_all()
            except pa.ArrowInvalid:
                stream.seek(0)
                return pa.ipc.open_stream(stream).read_all()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is damaged or of another format ({_one_line(error)}); write it again"
        ) from None


def _checked(table: "pa.Table", path: Path) -> "pa.Table":
    """Refuse a table without rows or columns, or with a name given twice."""
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise UserError(f"{path} has {len(twice) and 'two columns'} named {twice[0]!r}; rename one of them")
    if not table.column_names or not len(table):
        raise UserError(f"{path} has no rows; give a table with a header line and rows below it")
    return table


def read_text_cells(path: Path) -> "pa.Table":
    """The table of a text file with every cell as it is written.

    Raises:
        UserError: as for `read_table`.
    """
    return _cells_of(path)[0]


def _cells_of(path: Path) -> "tuple[pa.Table, int]":
    """The cells of a text file as they are written, and the line of the first row."""
    import pyarrow as pa
    from pyarrow import csv

    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    header = _header(path, delimiter)
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in header[0])
        raise UserError(
            f"{path} has one column, whose name holds {mark!r}: separate cells by commas (by tabs in a file "
            "that ends in .tsv)"
        )
    numbers = all(_is_number(name) for name in header)
    names = [f"x{i}" for i in range(len(header))] if numbers else [name.strip() for name in header]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} has two columns named {twice[0]!r}; rename one of them")

    def read(*, threads: bool) -> "pa.Table":
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                column_names=names, skip_rows=0 if numbers else 1, use_threads=threads
            ),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )

    try:
        try:
            table = read(threads=True)
        except pa.ArrowInvalid:
            table = read(threads=False)  # which says the number of the line that is wrong
    except pa.ArrowInvalid as error:
        raise UserError(_mend(path, str(error), len(names))) from None
    except (OSError, EOFError) as error:
        raise UserError(f"{path} is damaged ({_one_line(error)}); copy or write it again") from None
    return table, 1 if numbers else 2


def _read_text(path: Path, schema: Schema | None) -> "pa.Table":
    import pyarrow as pa

    table, first = _cells_of(path)
    known = {} if schema is None else {column.name: column.storage for column in schema.columns}
    columns = {name: _typed(table[name], name, known.get(name), path, first) for name in table.column_names}
    return pa.table(columns)


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
        raise UserError(f"{path} is damaged ({_one_line(error)}); copy or write it again") from None
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
        return f"{path} is not written in UTF-8; save it again as UTF-8 (as by iconv -f latin1 -t utf-8)"
    return f"{path} cannot be read as a table ({' '.join(error.split())}); mend it or write it again"


def _typed(cells: Any, name: str, storage: str | None, path: Path, first_line: int) -> Any:
    """Cells of text as whole numbers, numbers, truth values or text: the first kind that all of them are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(cells)
    text = pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)
    if storage is not None:
        return _cast(text, storage, name, path, first_line)
    if text.null_count == len(text):
        return text
    if pc.any(pc.match_substring_regex(text, r"^[+-]?0[0-9]")).as_py():
        return text  # codes such as 01: as numbers they would lose their zeros
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(text, kind)
        except pa.ArrowInvalid:
            continue
    return _truth(text)


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
