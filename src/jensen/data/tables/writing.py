"""Writing tables, by suffix."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.tables.layout import TextLayout
from jensen.data.tables.read import PARQUET, SUFFIXES, TEXT, suffix_of
from jensen.data.tables.storage import text_cells
from jensen.errors import UserError
from jensen.files import atomic, check_folder

if TYPE_CHECKING:
    import pyarrow as pa


def check_table_suffix(path: Path) -> None:
    """Refuse a path to which no table can be written, before the work that makes it.

    Raises:
        UserError: an unknown suffix, or no such folder.
    """
    if suffix_of(path) is None:
        raise UserError(f"cannot write {path}: a table ends in {', '.join(SUFFIXES)}; give such a name")
    check_folder(path)


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table as CSV, TSV (also .gz), Parquet or Arrow; an old file is replaced whole.

    Raises:
        UserError: see `check_table_suffix`.
    """
    with table_writer(path) as write:
        write(table)


@contextmanager
def table_writer(path: Path, like: TextLayout | None = None) -> "Iterator[Callable[[pa.Table], None]]":
    """Yield a function that takes a table piece by piece, for `write_table`; the file is there at the end.

    Args:
        path: the file.
        like: how a text file is written; left out, with tabs between cells in a .tsv file, else with commas.

    Raises:
        UserError: see `check_table_suffix`.
    """
    check_table_suffix(path)
    suffix = suffix_of(path)
    with atomic(path) as temporary, ExitStack() as stack:
        writers: list[Any] = []

        def write(table: "pa.Table") -> None:
            if not writers:
                writers.append(stack.enter_context(_opened(temporary, suffix or "", table, like)))
            writers[0].write_table(table)

        yield write


def _opened(path: Path, suffix: str, table: "pa.Table", like: TextLayout | None) -> Any:
    """A writer of tables with the columns of ``table``, as a context."""
    if suffix in TEXT:
        if like is None:
            names = tuple(table.column_names)
            like = TextLayout(names, True, "\t" if suffix.startswith(".tsv") else ",", header=names)
        return _TextWriter(path, like, suffix.endswith(".gz"))
    if suffix in PARQUET:
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(path, table.schema)
    import pyarrow as pa

    return pa.ipc.new_file(str(path), table.schema)


class _TextWriter:
    """Text with quotes only where they are needed, which pyarrow's writer puts around every text."""

    def __init__(self, path: Path, layout: TextLayout, zipped: bool) -> None:
        import csv

        opened: Any = gzip.open if zipped else open
        self._stream = opened(path, "wt", newline="", encoding="utf-8-sig" if layout.signed else "utf-8")
        self._writer = csv.writer(self._stream, delimiter=layout.mark, lineterminator=layout.end)
        if layout.named:
            self._writer.writerow(layout.header)

    def __enter__(self) -> "_TextWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write_table(self, table: "pa.Table") -> None:
        for batch in table.to_batches(max_chunksize=1 << 16):
            self._writer.writerows(
                zip(*(text_cells(column).to_pylist() for column in batch.columns), strict=True)
            )
