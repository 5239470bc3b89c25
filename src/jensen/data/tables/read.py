"""Tables from files: CSV and TSV (also gzipped), Parquet, Arrow, and folders of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import without_views
from jensen.data.tables.text import check_distinct, one_line, read_text
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet",)
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (*TEXT, *PARQUET, *ARROW)


def suffix_of(path: Path) -> str | None:
    """Which of `SUFFIXES` a path ends in; None for others."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def table_files(path: Path) -> list[Path]:
    """The table files directly in a folder, in the order of their names; or the one that ``path`` is.

    Names that begin with a dot are passed over.
    """
    if not path.is_dir():
        return [path] if suffix_of(path) else []
    files = (file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    return sorted(file for file in files if suffix_of(file))


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
        check_names(table.column_names, file, (tables or [table])[0].column_names, path)
        tables.append(table if not tables else table.select(tables[0].column_names))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise UserError(f"the files of {path} have columns of different types ({one_line(error)})") from None


def _read_file(path: Path, schema: Schema | None) -> "pa.Table":
    import pyarrow as pa

    suffix = suffix_of(path)
    if suffix in TEXT:
        return read_text(path, schema)
    try:
        if suffix in PARQUET:
            from pyarrow.parquet import ParquetFile

            with ParquetFile(path) as parquet:
                return without_views(parquet.read())
        with pa.memory_map(str(path)) as stream:
            try:
                return without_views(pa.ipc.open_file(stream).read_all())
            except pa.ArrowInvalid:
                stream.seek(0)
                return without_views(pa.ipc.open_stream(stream).read_all())
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: BaseException) -> UserError:
    """What to say of a file that cannot be read."""
    return UserError(f"{path} is damaged or of another format ({one_line(error)}); write it again")


def check_names(names: list[str], file: Path, others: list[str], folder: Path) -> None:
    """Refuse a column name that a file has twice, and columns that other files of its folder have not.

    Raises:
        UserError: which column, and of which file.
    """
    check_distinct(names, file)
    if set(names) != set(others):
        odd = sorted(set(names) ^ set(others))
        raise UserError(
            f"{file} has not the columns of the other files of {folder} (column {odd[0]!r}); give them the "
            "same columns"
        )


def _checked(table: "pa.Table", path: Path) -> "pa.Table":
    """Refuse a table without rows or columns, or with a name given twice."""
    check_distinct(table.column_names, path)
    if not table.column_names or not len(table):
        raise UserError(f"{path} has no rows; give a table with a header line and rows below it")
    return table
