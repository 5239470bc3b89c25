"""Tables as codes, ``[N, C]`` of float64, and back to cells as they were given."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array, Mask
from jensen.data.tables.dates import dates_of, since_1970
from jensen.data.tables.levels import level_array, level_codes
from jensen.data.tables.odd import Odd, odd_cells, odd_levels, odd_numbers, sentences
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.storage import (
    arrow_type,
    can_compare,
    is_text,
    number_cells,
    without_dictionary,
    without_nan,
)
from jensen.data.words import count
from jensen.errors import UserError, one_line

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Encoded:
    """The codes of a table, and its cells that training could not have had."""

    x: Array
    odd: list[Odd]


def encode_table(
    table: "pa.Table", schema: Schema, *, strict: bool = False, name: str = "the data", before: int = 0
) -> Encoded:
    """Codes ``[N, C]`` of the modelled columns, NaN where a cell is missing or its category unknown.

    Args:
        table: the rows.
        schema: what the columns are.
        strict: refuse odd cells (see `jensen.data.tables.odd`).
        name: of the data, for messages.
        before: rows of the data that came before these, for messages.

    Raises:
        UserError: a column is missing, or a new one is there, or one is of another type; infinite numbers;
            with ``strict``, odd cells.
    """
    known = [column.name for column in schema.columns]
    lacking = [column.name for column in schema.modelled if column.name not in table.column_names]
    if lacking:
        raise UserError(
            f"{name} lacks the column {lacking[0]!r}; it needs {', '.join(c.name for c in schema.modelled)}"
        )
    extra = [column for column in table.column_names if column not in known]
    if extra:
        raise UserError(f"{name} has the column {extra[0]!r}, which training had not; remove it")
    x = np.full((len(table), len(schema.modelled)), np.nan)
    odd: list[Odd] = []
    for place, column in enumerate(schema.modelled):
        x[:, place], some = encode_cells(table[column.name].combine_chunks(), column, name, before)
        odd += some
    for column in schema.columns:
        if column.constant is not None and column.name in table.column_names:
            odd += _inconstant(table[column.name].combine_chunks(), column, before)
    sentences(name, odd, strict=strict)
    return Encoded(x, odd)


def encode_cells(cells: Any, column: Column, name: str, before: int = 0) -> tuple[Array, list[Odd]]:
    """Codes of one column, NaN where there is none, and its cells that training could not have had.

    Args:
        cells: of Arrow, of the column's type or one that says the same.
        column: one that is modelled.
        name: of the data, for messages.
        before: rows of the data that came before these, for messages.

    Raises:
        UserError: the cells are of another type than the column; infinite numbers.
    """
    import pyarrow as pa

    kind = cells.type
    cells = without_nan(without_dictionary(cells))
    if cells.null_count == len(cells):  # of whatever type: files and frames have their own for such a column
        return np.full(len(cells), np.nan), []
    try:
        if not can_compare(kind):
            raise pa.ArrowInvalid("no single values")
        if not column.numeric:
            codes = level_codes(cells, column)
            return codes, odd_levels(column, codes, _null(cells), cells, before)
        date = column.type == "date"
        values = since_1970(cells, column, name, before) if date else _numbers(cells)
    except pa.ArrowException as error:
        what = column.type if column.numeric else f"{column.type} with levels such as {column.levels[0]!r}"
        raise UserError(
            f"{name}: column {column.name!r} is of type {kind}, and {what} in the schema "
            f"({one_line(error)}); give it as it was in training"
        ) from None
    found = _float64(values)
    infinite = np.isinf(found)
    if infinite.any():
        raise UserError(
            f"{name}: column {column.name!r} has {count(int(infinite.sum()), 'infinite value')}, the first "
            f"in row {before + int(infinite.argmax()) + 1}; remove those rows, or leave the cells empty"
        )
    digits = np.finfo(kind.to_pandas_dtype() if pa.types.is_floating(kind) else np.float64).eps
    return found, odd_numbers(column, found, cells, before, float(digits))


def _inconstant(cells: Any, column: Column, before: int) -> list[Odd]:
    """Cells of a column that is left out because it had one value, and that have another."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = without_nan(without_dictionary(cells))
    assert column.constant is not None
    try:
        if isinstance(column.constant, str) and not is_text(cells.type):  # a date or a decimal, as written
            same = pc.equal(cells, pa.scalar(column.constant).cast(cells.type))
            codes = np.where(same.fill_null(False).to_numpy(zero_copy_only=False), 0.0, np.nan)
        else:
            codes = level_codes(cells, replace(column, levels=(column.constant,)))
    except pa.ArrowException:  # of a type in which it has no such value
        codes = np.full(len(cells), np.nan)
    what = f"that differ from its one value in training, {column.constant!r}"
    return odd_cells(column, np.isnan(codes) & ~_null(cells), cells, before, what, "not seen by the model")


def _null(cells: Any) -> Mask:
    return np.asarray(cells.is_null().to_numpy(zero_copy_only=False), np.bool_)


def _float64(values: Any) -> Array:
    found: Array = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return found


def _numbers(cells: Any) -> Any:
    """Cells of numbers as float64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(cells.type):
        raise pa.ArrowInvalid("text")
    return pc.cast(cells, pa.float64(), safe=False)


def decode_table(x: Array, schema: Schema) -> "pa.Table":
    """Codes ``[n, C]`` as a table with the columns, order and types of the schema; NaN as a missing cell.

    Columns left out because they had one value keep it; others left out are empty.
    """
    import pyarrow as pa

    columns = {}
    places = {column.name: place for place, column in enumerate(schema.modelled)}
    for column in schema.columns:
        if column.modelled:
            columns[column.name] = _cells(x[:, places[column.name]], column)
        else:
            columns[column.name] = _constants(column, len(x))
    return pa.table(columns)


def _constants(column: Column, count: int) -> Any:
    """The cells of a column that is left out: its one value, or none."""
    import pyarrow as pa

    kind = arrow_type(column.storage) or pa.null()
    if column.constant is None:
        return pa.nulls(count, kind)
    if column.levels and pa.types.is_dictionary(kind):
        number = column.levels.index(column.constant)
        return _dictionary(pa.array(np.full(count, number)), column, kind)
    if isinstance(column.constant, str) and not (is_text(kind) or pa.types.is_dictionary(kind)):
        return pa.array([column.constant] * count).cast(kind)  # a date or a decimal, as it is written
    return pa.array([column.constant] * count, type=kind)


def _dictionary(numbers: Any, column: Column, kind: Any) -> Any:
    """Numbers of levels as cells of a dictionary that has all of them in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    levels = pc.cast(level_array(column.levels), kind.value_type)
    return pa.DictionaryArray.from_arrays(numbers.cast(kind.index_type), levels, ordered=kind.ordered)


def _cells(codes: Array, column: Column) -> Any:
    """The cells of one column, as given."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.isnan(codes)
    kind = arrow_type(column.storage)
    if not column.numeric:
        last = len(column.levels) - 1
        numbers = np.where(missing, 0, codes).round().clip(0, last).astype(np.int64)
        if kind is not None and pa.types.is_dictionary(kind):  # all levels in their order, drawn or not
            return _dictionary(pa.array(numbers, mask=missing), column, kind)
        if kind is not None and pa.types.is_decimal(kind):
            return number_cells(np.asarray(column.levels, np.float64)[numbers], missing, kind)
        taken = level_array(column.levels).take(pa.array(numbers, mask=missing))
        return taken if kind is None else pc.cast(taken, kind, safe=False)
    if column.type == "date":
        return dates_of(codes, column)
    values = np.where(missing, 0.0, codes)
    if column.step:
        values = (values / column.step).round() * column.step
        values = values.round(_decimals(column.step))
    return number_cells(values, missing, kind)


def _decimals(step: float) -> int:
    """Decimals that multiples of a step are written with."""
    return max(0, int(np.ceil(-np.log10(step) - 1e-9)))
