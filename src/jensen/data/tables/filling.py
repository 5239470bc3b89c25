"""A table's file with its missing cells filled, and all else as it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.data.arrays import Array
from jensen.data.tables.codec import decode_table
from jensen.data.tables.read import MISSING, TEXT, read_table, read_text_cells, suffix_of
from jensen.data.tables.schema import Schema
from jensen.data.tables.writing import check_table_suffix, write_table
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def check_fillable(source: Path, out: Path) -> None:
    """Refuse what `fill_file` could not do, before the work that makes the cells.

    Raises:
        UserError: the source is a folder or no table, or nothing can be written to ``out``.
    """
    check_table_suffix(out)
    if source.is_dir() or suffix_of(source) is None:
        raise UserError(f"{source} is not one table file; give one, such as data.csv or data.parquet")


def fill_file(source: Path, out: Path, x: Array, schema: Schema) -> None:
    """Write the table of ``source`` with its missing cells from the codes ``x`` ``[N, C]``.

    Observed cells stay as they are: in text files character for character (blanks, decimals and all), in
    Parquet and Arrow files bit for bit.
    """
    decoded = decode_table(x, schema)
    text = suffix_of(source) in TEXT
    table = read_text_cells(source) if text else read_table(source, schema)
    write_table(out, fill_table(table, decoded, schema, text=text))


def fill_table(table: "pa.Table", decoded: "pa.Table", schema: Schema, *, text: bool = False) -> "pa.Table":
    """A table with the missing cells of its modelled columns from ``decoded``, every other cell as it is.

    A cell that is missing in ``decoded`` too stays as it was.

    Args:
        table: the table as given.
        decoded: as many rows.
        schema: which columns are modelled.
        text: all cells of ``table`` are text, as in the file.
    """
    for column in schema.modelled:
        place = table.column_names.index(column.name)
        cells = table[column.name].combine_chunks()
        filled = _filled(cells, decoded[column.name].combine_chunks(), text=text)
        table = table.set_column(place, table.schema.field(place), filled)
    return table


def _filled(cells: Any, new: Any, *, text: bool) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if text:
        missing = pc.is_in(pc.utf8_trim_whitespace(cells), value_set=pa.array(MISSING))
        missing = pc.and_(missing, pc.is_valid(new))
        return pc.if_else(missing, pc.cast(_plain(new), pa.string()), cells)
    missing = pc.and_(pc.is_null(cells, nan_is_null=True), pc.is_valid(new))
    if not pa.types.is_dictionary(cells.type):
        return pc.if_else(missing, pc.cast(new, cells.type, safe=False), cells)
    joined = pc.if_else(missing, pc.cast(_plain(new), cells.type.value_type), _plain(cells))
    # The categories as they were and in their order, and after them any that only training had.
    used = pc.drop_null(pc.unique(joined))
    levels = cells.dictionary
    more = used.filter(pc.invert(pc.is_in(used, value_set=levels)))
    levels = pa.concat_arrays([levels, more])
    indices = pc.cast(pc.index_in(joined, value_set=levels), cells.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, levels, ordered=cells.type.ordered)


def _plain(cells: Any) -> Any:
    import pyarrow as pa

    return cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells
