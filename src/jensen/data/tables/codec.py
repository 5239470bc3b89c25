"""Tables as codes, ``[N, C]`` of float64, and back to cells as they were given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.dates import check_dates, parse_dates
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.storage import arrow_type, is_text
from jensen.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Of the units of Arrow's timestamps."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """The codes of a table, and how many cells of each column had a category that the schema lacks."""

    x: Array
    unknown: dict[str, int]


def encode_table(
    table: "pa.Table", schema: Schema, *, strict: bool = False, name: str = "the data", before: int = 0
) -> Encoded:
    """Codes ``[N, C]`` of the modelled columns, NaN where a cell is missing or its category unknown.

    Args:
        table: the rows.
        schema: what the columns are.
        strict: refuse unknown categories.
        name: of the data, for messages.
        before: rows of the data that came before these, for messages.

    Raises:
        UserError: a column is missing, or a new one is there, or one is of another type; infinite numbers;
            with ``strict``, an unknown category.
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
    unknown: dict[str, int] = {}
    for place, column in enumerate(schema.modelled):
        cells = table[column.name].combine_chunks()
        if column.numeric:
            x[:, place] = _numbers(cells, column, name, before)
            continue
        x[:, place], lost = _levels(cells, column)
        if lost:
            if strict:
                unknown_cells(name, column.name, lost, strict=True)
            unknown[column.name] = lost
    return Encoded(x, unknown)


def unknown_cells(name: str, column: str, count: int, *, strict: bool) -> str:
    """What to say of cells of unknown categories, which are missing.

    Raises:
        UserError: with ``strict``.
    """
    cells = f"{count} {'cell' if count == 1 else 'cells'} of categories that the schema lacks"
    if strict:
        raise UserError(f"{name}: column {column!r} has {cells}; leave --strict out to take them as missing")
    return f"{name}: column {column!r} has {cells}; taken as missing"


def _numbers(cells: Any, column: Column, name: str, before: int) -> Array:
    """Numbers, dates as days or seconds since 1970, float64; NaN where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    try:
        if column.type == "date":
            values = _since_1970(cells, column, name, before)
        elif is_text(kind):
            raise pa.ArrowInvalid("text")
        else:
            values = pc.cast(cells, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{name}: column {column.name!r} is of type {kind}, and {column.type} in the schema ({reason}); "
            "give it as it was in training"
        ) from None
    found: Array = values.to_numpy(zero_copy_only=False).astype(np.float64)
    infinite = np.isinf(found)
    if infinite.any():
        raise UserError(
            f"{name}: column {column.name!r} has {int(infinite.sum())} infinite values, the first in row "
            f"{before + int(infinite.argmax()) + 1}; remove those rows, or leave the cells empty"
        )
    return found


def _since_1970(cells: Any, column: Column, name: str, before: int) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.format is not None:
        moments = parse_dates(cells, column.format)
        check_dates(f"{name}, column {column.name!r}", cells, column.format, moments, before)
        seconds = pc.cast(pc.cast(moments, pa.int64()), pa.float64())
        return pc.divide(seconds, 86400.0) if _in_days(column.format) else seconds
    if pa.types.is_date(cells.type):
        return pc.cast(pc.cast(pc.cast(cells, pa.date32()), pa.int32()), pa.float64())
    whole = pc.cast(pc.cast(cells, pa.int64()), pa.float64(), safe=False)
    return pc.divide(whole, PER_SECOND[cells.type.unit])


def _in_days(form: str) -> bool:
    """Whether a date in text says no time of day."""
    return not any(part in form for part in ("%H", "%M", "%S", "%I"))


def _levels(cells: Any, column: Column) -> tuple[Array, int]:
    """Numbers of levels, float64, and how many cells have none of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_decimal(cells.type):
        cells = pc.cast(cells, pa.float64())
    if isinstance(column.levels[0], str) and not pa.types.is_string(cells.type):
        cells = pc.cast(cells, pa.string())
    elif not isinstance(column.levels[0], str) and pa.types.is_string(cells.type):
        cells = pc.cast(cells, pa.float64()) if not isinstance(column.levels[0], bool) else cells
    values = pa.array(list(column.levels))
    if values.type != cells.type:
        values = pc.cast(values, cells.type, safe=False)
    codes = pc.cast(pc.index_in(cells, value_set=values), pa.float64())
    lost = codes.null_count - cells.null_count
    found: Array = codes.to_numpy(zero_copy_only=False).astype(np.float64)
    return found, lost


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
    if isinstance(column.constant, str) and not (is_text(kind) or pa.types.is_dictionary(kind)):
        return pa.array([column.constant] * count).cast(kind)  # a date or a decimal, as it is written
    return pa.array([column.constant] * count, type=kind)


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
            indices = pa.array(numbers, mask=missing).cast(kind.index_type)
            levels = pc.cast(pa.array(list(column.levels)), kind.value_type)
            return pa.DictionaryArray.from_arrays(indices, levels, ordered=kind.ordered)
        taken = pa.array(list(column.levels)).take(pa.array(numbers, mask=missing))
        if kind is not None and pa.types.is_decimal(kind):
            taken = pc.cast(taken, pa.float64())
        return taken if kind is None else pc.cast(taken, kind, safe=False)
    if column.type == "date":
        return _dates(codes, missing, column, kind)
    values = np.where(missing, 0.0, codes)
    if column.step:
        values = (values / column.step).round() * column.step
        values = values.round(_decimals(column.step))
    if kind is not None and pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        most = float(limits.max) if limits.bits < 64 else float(2**63 - 1024)  # the last below it in float64
        values = np.clip(values.round(), float(limits.min), most)
        return pa.array(values.astype(kind.to_pandas_dtype()), mask=missing)
    cells = pa.array(values, mask=missing)
    return cells if kind is None else pc.cast(cells, kind, safe=False)


def _decimals(step: float) -> int:
    """Decimals that multiples of a step are written with."""
    return max(0, int(np.ceil(-np.log10(step) - 1e-9)))


def _dates(codes: Array, missing: Array, column: Column, kind: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.where(missing, 0.0, codes)
    if column.format is not None:
        seconds = (values.round() * (86400 if _in_days(column.format) else 1)).astype(np.int64)
        return pc.strftime(pa.array(seconds, mask=missing).cast(pa.timestamp("s")), format=column.format)
    if pa.types.is_date(kind):
        return pc.cast(pa.array(values.round().astype(np.int32), mask=missing, type=pa.date32()), kind)
    whole = (values * PER_SECOND[kind.unit]).round().astype(np.int64)
    return pa.array(whole, mask=missing).cast(kind)
