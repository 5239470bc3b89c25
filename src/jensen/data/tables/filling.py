"""A table's file with its missing cells filled, and all else as it was."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.batches import Pieces, is_large
from jensen.data.tables.cells import without_missing
from jensen.data.tables.codec import decode_table
from jensen.data.tables.layout import TextLayout
from jensen.data.tables.numerals import decimal_comma
from jensen.data.tables.read import TEXT, read_table, suffix_of, table_files
from jensen.data.tables.schema import Schema
from jensen.data.tables.storage import text_cells, without_dictionary
from jensen.data.tables.text import read_text_cells, text_layout
from jensen.data.tables.writing import check_table_suffix, table_writer
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def check_fillable(source: Path, out: Path) -> None:
    """Refuse what `fill_file` could not do, before the work that makes the cells.

    Raises:
        UserError: the source is a folder or no table, or nothing can be written to ``out``.
    """
    check_table_suffix(out)
    if source.is_dir() and (files := table_files(source)):
        raise UserError(
            f"{source} is a folder, and the cells of each of its files are kept as they are written: fill "
            f"one file at a time, such as {files[0]}"
        )
    if source.is_dir() or suffix_of(source) is None:
        raise UserError(f"{source} is not one table file; give one, such as data.csv or data.parquet")


@dataclass
class Filled:
    """What has become of the missing cells of a table.

    Attributes:
        cells: how many are filled.
        rows: how many rows have one of these.
        constant: how many of these are in columns that had one value in training.
        left: how many are still missing, by the names of columns that are not modelled.
    """

    cells: int = 0
    rows: int = 0
    constant: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def count(self, table: "pa.Table", filled: "pa.Table", schema: Schema, *, text: bool) -> None:
        """Take in more rows, as they were and as they are now (for ``text`` see `fill_table`)."""
        modelled = [column.name for column in schema.modelled]
        reached = np.zeros(len(table), dtype=np.bool_)
        for name in table.column_names:
            before, after = (
                _missing(some[name], text=text).to_numpy(zero_copy_only=False) for some in (table, filled)
            )
            here = before & ~after
            self.cells += int(here.sum())
            reached |= here
            if name not in modelled:
                self.constant += int(here.sum())
                self.left[name] += int(after.sum())
        self.rows += int(reached.sum())


def fill_file(source: Path, outs: Sequence[Path], codes: Iterable[Array], schema: Schema) -> Filled:
    """Write the table of ``source`` several times, each with its missing cells from other codes.

    Observed cells stay as they are: from a text file to others character for character (blanks, decimals and
    all, in a file of the same layout; only quotes that are not needed go), else bit for bit.

    Args:
        source: the table's file.
        outs: S files to write, of one suffix.
        codes: complete codes in the order of the rows, in pieces ``[S, n, C]``.
        schema: of the codes.
    """
    as_text = suffix_of(source) in TEXT and suffix_of(outs[0]) in TEXT
    layout = text_layout(source, schema) if as_text else None
    taken = _Taken(codes)
    done = Filled()
    with ExitStack() as stack:
        writers = [stack.enter_context(table_writer(out, layout)) for out in outs]
        commas: bool | None = None if layout and layout.commas else False
        for table in _pieces(source, schema, layout):
            if commas is None:  # the first rows are as all others
                commas = any(
                    decimal_comma(table[column.name]) for column in schema.modelled if column.numeric
                )
            drawn = taken.next(len(table))
            for write, x in zip(writers, drawn, strict=True):
                filled = fill_table(table, decode_table(x, schema), schema, text=as_text, commas=commas)
                write(filled)
            done.count(table, filled, schema, text=as_text)
    return done


def _missing(cells: Any, *, text: bool) -> Any:
    """Which cells are missing; as ``text``, say so."""
    import pyarrow.compute as pc

    return pc.is_null(without_missing(cells) if text else cells, nan_is_null=True)


def _pieces(source: Path, schema: Schema, layout: TextLayout | None) -> "Iterable[pa.Table]":
    """The rows of a file as they are written; of a large one in pieces."""
    if is_large(source):
        pieces = Pieces(source, schema)
        return pieces if layout is None else pieces.cells()
    return [read_table(source, schema) if layout is None else read_text_cells(source, layout)]


class _Taken:
    """Pieces ``[S, n, C]`` taken in other lengths than they come in."""

    def __init__(self, pieces: Iterable[Array]) -> None:
        self._pieces = iter(pieces)
        self._held: list[Array] = []

    def next(self, count: int) -> Array:
        """The next ``count`` rows, ``[S, count, C]``."""
        while sum(piece.shape[1] for piece in self._held) < count:
            self._held.append(next(self._pieces))
        rows = np.concatenate(self._held, 1)
        self._held = [rows[:, count:]]
        return rows[:, :count]


def fill_table(
    table: "pa.Table", decoded: "pa.Table", schema: Schema, *, text: bool = False, commas: bool = False
) -> "pa.Table":
    """A table with its missing cells from ``decoded``, every other cell as it is.

    A cell that is missing in ``decoded`` too stays as it was, and so do all of a column that is not modelled,
    unless it had one value in training and is still of its type.

    Args:
        table: the table as given.
        decoded: as many rows.
        schema: what the columns are.
        text: all cells of ``table`` are text, as in the file.
        commas: numbers are written there with decimal commas.
    """
    import pyarrow as pa

    columns = {column.name: column for column in schema.columns}
    for place, field_ in enumerate(table.schema):
        column = columns[field_.name]
        cells, new = table[place].combine_chunks(), decoded[field_.name].combine_chunks()
        alike = text or pa.types.is_null(cells.type) or cells.type == new.type
        if column.modelled or (column.constant is not None and alike):
            filled = _filled_text(cells, new, commas=commas) if text else _filled(cells, new)
            table = table.set_column(place, field_.with_type(filled.type), filled)
    return table


def _filled_text(cells: Any, new: Any, *, commas: bool) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    written = text_cells(new)
    if commas and pa.types.is_floating(new.type):
        written = pc.replace_substring(written, ".", ",")
    return pc.if_else(pc.and_(_missing(cells, text=True), pc.is_valid(new)), written, cells)


def _filled(cells: Any, new: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(cells.type):
        return new
    missing = pc.and_(_missing(cells, text=False), pc.is_valid(new))
    if not pa.types.is_dictionary(cells.type):
        return pc.if_else(missing, pc.cast(new, cells.type, safe=False), cells)
    joined = pc.if_else(
        missing, pc.cast(without_dictionary(new), cells.type.value_type), without_dictionary(cells)
    )
    # The levels of the schema first and in their order, so that all pieces of a table have the same ones.
    known = new.dictionary if pa.types.is_dictionary(new.type) else new.dictionary_encode().dictionary
    levels = pc.unique(pa.concat_arrays([known.cast(cells.type.value_type), joined.drop_null()]))
    indices = pc.index_in(joined, value_set=levels).cast(cells.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, levels, ordered=cells.type.ordered)
