"""Tables in pieces: what `read` reads whole, for files larger than memory."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.stored import LARGE
from jensen.data.tables.cells import storage_of, typed_cells
from jensen.data.tables.read import (
    PARQUET,
    TEXT,
    arrow_reader,
    check_names,
    common_storage,
    damaged,
    differing,
    suffix_of,
    table_files,
)
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import without_views
from jensen.data.tables.text import check_closed, text_errors, text_layout, text_options
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 16
"""Rows of a piece, at most."""
TEXT_BLOCK = 1 << 23
"""Bytes of text that are parsed at a time."""


def is_large(path: Path) -> bool:
    """Whether the codes of a table file, or of a folder of them, would take `LARGE` bytes or more.

    They are 8 bytes for each cell of a Parquet or an Arrow file; text, unzipped, is taken to hold as many.
    """
    return path.exists() and sum(_bytes(file) for file in table_files(path)) >= LARGE


def _bytes(file: Path) -> int:
    """Of the codes of a file; those of zipped text are counted up to `LARGE`."""
    import pyarrow as pa

    try:
        if not _is_text(file):
            rows, columns = _shape(file)
            return 8 * rows * columns
        if not file.name.lower().endswith(".gz"):
            return file.stat().st_size
        found = 0  # what the last four bytes say is modulo 2^32, and of the last part alone
        with gzip.open(file) as stream:
            while found < LARGE and (piece := stream.read(1 << 20)):
                found += len(piece)
        return found
    except (pa.ArrowException, OSError, EOFError, zlib.error):
        return 0  # damaged: reading it says so


def _shape(file: Path) -> tuple[int, int]:
    """Rows and columns of a Parquet or an Arrow file."""
    import pyarrow as pa

    if suffix_of(file) in PARQUET:
        from pyarrow.parquet import read_metadata

        metadata = read_metadata(file)
        return metadata.num_rows, metadata.num_columns
    with pa.memory_map(str(file)) as stream:
        columns = len(arrow_reader(stream).schema)
        first = pa.ipc.IpcReadOptions(included_fields=[0])  # of the other columns nothing is read
        return sum(batch.num_rows for batch in _batches(arrow_reader(stream, first))), columns


class Pieces:
    """The rows of a table file, or of a folder of files one after the other, as tables of few rows.

    Every iteration reads anew. All pieces have the columns and the types of the first file's columns, or of
    those that hold the cells of all files.

    Args:
        path: the file or folder.
        schema: of a table read before: text is read as what it was then; else as what all its cells are,
            which takes a first pass over them.
        edited: which columns of a new table the user says are text (see `cells.maybe_text`).

    Raises:
        UserError: as for `jensen.data.tables.read.read_table`.
    """

    def __init__(self, path: Path, schema: Schema | None = None, edited: Schema | None = None) -> None:
        self.path = path
        self.files = table_files(path)
        self._schema = schema
        self._storage = storage_of(schema)
        self._kinds: pa.Schema | None = None
        """The columns of all files and their types, where they are not those of a schema."""
        if schema is None:
            cells = {file: _cells(file) for file in self.files if _is_text(file)}
            self._storage = common_storage(cells, storage_of(edited))
            self._kinds = self._united([_fields(file, self._storage) for file in self.files])

    def __iter__(self) -> "Iterator[pa.Table]":
        for file in self.files:
            yield from self._typed(file)

    def cells(self) -> "Iterator[pa.Table]":
        """The pieces with every cell as it is: in text files as it is written."""
        for file in self.files:
            yield from _cells(file, self._schema)

    def _typed(self, file: Path) -> "Iterator[pa.Table]":
        if not _is_text(file):
            yield from (self._alike(piece, file) for piece in _cells(file))
            return
        layout = text_layout(file, self._schema)
        before = 0
        for piece in _cells(file, self._schema):
            table = typed_cells(piece, self._storage, file, layout, before)
            yield self._alike(table, file)
            before += len(piece)

    def _alike(self, table: "pa.Table", file: Path) -> "pa.Table":
        """A piece with the columns of all files."""
        if self._kinds is None:
            return table
        import pyarrow as pa

        try:
            return table.select(self._kinds.names).cast(self._kinds)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise damaged(file, error) from None

    def _united(self, fields: "list[pa.Schema]") -> "pa.Schema":
        import pyarrow as pa

        for file, found in zip(self.files, fields, strict=True):
            check_names(found.names, file, fields[0].names, self.path)
        try:
            return pa.unify_schemas(fields, promote_options="permissive")
        except pa.ArrowException as error:
            raise differing(self.path, error) from None


def _is_text(file: Path) -> bool:
    return suffix_of(file) in TEXT


def _fields(file: Path, storage: dict[str, str]) -> "pa.Schema":
    """Names and types of the columns of a file."""
    import pyarrow as pa

    if _is_text(file):
        kinds = {"int64": pa.int64(), "double": pa.float64(), "string": pa.string()}
        return pa.schema([(name, kinds[storage[name]]) for name in text_layout(file).names])
    first: pa.Table = next(_cells(file))
    return first.schema


def _cells(file: Path, schema: Schema | None = None) -> "Iterator[pa.Table]":
    """The rows of a file in pieces of at most `ROWS`, with their cells as they are."""
    import pyarrow as pa

    if _is_text(file):
        yield from _text_cells(file, schema)
        return
    some = False
    try:
        for batch in _parquet(file) if suffix_of(file) in PARQUET else _arrow(file):
            for start in range(0, batch.num_rows, ROWS):
                yield without_views(pa.Table.from_batches([batch.slice(start, ROWS)]))
                some = True
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from None
    if not some:
        raise UserError(f"{file} has no rows; give a table with a header line and rows below it")


def _text_cells(file: Path, schema: Schema | None) -> "Iterator[pa.Table]":
    import pyarrow as pa
    from pyarrow import csv

    layout = text_layout(file, schema)
    with text_errors(file, layout.mark):
        options = text_options(layout, threads=False, block=TEXT_BLOCK)
        with csv.open_csv(file, **options) as reader:
            rows = 0
            for batch in reader:
                rows += batch.num_rows
                for start in range(0, batch.num_rows, ROWS):
                    yield pa.Table.from_batches([batch.slice(start, ROWS)])
            if rows:
                check_closed(batch, rows, file, layout)


def _parquet(file: Path) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile

    # Buffered, so that of a row group no more than a piece is in memory, however large it is.
    with ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as parquet:
        yield from parquet.iter_batches(ROWS, use_threads=False)


def _arrow(file: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.OSFile(str(file)) as stream:
        yield from _batches(arrow_reader(stream))


def _batches(reader: Any) -> Iterator[Any]:
    """The record batches of an Arrow file or stream."""
    if not hasattr(reader, "get_batch"):
        yield from reader
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)
