"""Tables from files: CSV and TSV (also gzipped), Parquet, Arrow, and folders of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.cells import storage_of, typed_cells, typed_storage
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import without_views
from jensen.data.tables.text import check_distinct, read_text_cells, text_layout
from jensen.errors import UserError, one_line

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


def read_table(path: Path, schema: Schema | None = None, edited: Schema | None = None) -> "pa.Table":
    """The table of a file, or of all files of a folder one after the other.

    Args:
        path: a file that ends in one of `SUFFIXES`, or a folder of such files.
        schema: of a table read before: text columns are read as what they were then.
        edited: which columns of a new table the user says are text (see `cells.maybe_text`).

    Raises:
        UserError: no such file, a damaged or empty one, ragged lines, column names given twice, columns that
            differ between the files of a folder, or a cell that does not fit the schema.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; give the path of a table that exists")
    if not path.is_dir():
        return _checked(_read_file(path, schema or edited), path)
    return _read_folder(path, schema, edited)


def _read_folder(path: Path, schema: Schema | None, edited: Schema | None) -> "pa.Table":
    """All files of a folder one after the other, the text of all read as what it is in all."""
    import pyarrow as pa

    tables: dict[Path, pa.Table] = {}
    for file in table_files(path):
        is_text = suffix_of(file) in TEXT
        table = _checked(
            read_text_cells(file, text_layout(file, schema)) if is_text else _read_file(file, None), file
        )
        names = next(iter(tables.values()), table).column_names
        check_names(table.column_names, file, names, path)
        tables[file] = table.select(names)
    text = {file: table for file, table in tables.items() if suffix_of(file) in TEXT}
    cells = {file: [table] for file, table in text.items()}
    storage = storage_of(schema) if schema else common_storage(cells, storage_of(edited))
    for file, table in text.items():
        tables[file] = typed_cells(table, storage, file, text_layout(file, schema))
    try:
        return pa.concat_tables(tables.values(), promote_options="permissive")
    except pa.ArrowException as error:
        raise differing(path, error) from None


def common_storage(files: "Mapping[Path, Iterable[pa.Table]]", said: Mapping[str, str]) -> dict[str, str]:
    """The Arrow type of each column of several text files, as text: what the cells of all are.

    Args:
        files: the cells of each as they are written, in pieces.
        said: `cells.ANY` by the names of columns that may be text.

    Raises:
        UserError: a file has no rows, or as for `typed_storage`.
    """
    found: dict[str, set[str]] = {}
    for file, pieces in files.items():
        layout = text_layout(file)
        kinds = typed_storage(pieces, said, file, layout)
        for name in layout.names:
            found.setdefault(name, set()).update({kinds[name]} if name in kinds else ())
    return {name: _common(kinds) for name, kinds in found.items()}


def _common(kinds: set[str]) -> str:
    """What columns of some kinds are together: codes such as 01 in one file make text of 11 in another."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "double" if kinds == {"int64", "double"} else "string"


def differing(folder: Path, error: BaseException) -> UserError:
    """What to say of files whose columns have types that nothing holds together."""
    return UserError(
        f"the files of {folder} have columns of different types ({one_line(error)}); write them with the same"
    )


def _read_file(path: Path, schema: Schema | None) -> "pa.Table":
    import pyarrow as pa

    suffix = suffix_of(path)
    if suffix in TEXT:  # each column as what it was in training, or as what all its cells are
        layout = text_layout(path, schema)
        return typed_cells(read_text_cells(path, layout), storage_of(schema), path, layout)
    try:
        if suffix in PARQUET:
            from pyarrow.parquet import ParquetFile

            with ParquetFile(path) as parquet:
                return without_views(parquet.read())
        with pa.memory_map(str(path)) as stream:
            return without_views(arrow_reader(stream).read_all())
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from None


def arrow_reader(stream: Any, options: Any = None) -> Any:
    """A reader of an Arrow file, or else of a stream, from its beginning."""
    import pyarrow as pa

    stream.seek(0)
    try:
        return pa.ipc.open_file(stream, options=options)
    except pa.ArrowInvalid:
        stream.seek(0)
        return pa.ipc.open_stream(stream, options=options)


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
