"""The Arrow types of cells, and the text that a schema keeps of them."""

import re
from contextlib import suppress
from typing import Any

import numpy as np

from jensen.data.arrays import Array


def arrow_type(text: str) -> Any:
    """The Arrow type whose text this is; None where there is none, or where it holds other types."""
    import pyarrow as pa

    if found := re.fullmatch(r"dictionary<values=(.*), indices=(\w+), ordered=([01])>", text):
        values, indices = arrow_type(found[1]), arrow_type(found[2])
        return None if values is None else pa.dictionary(indices, values, ordered=found[3] == "1")
    if found := re.fullmatch(r"timestamp\[(\w+)(?:, tz=(.*))?\]", text):
        return pa.timestamp(found[1], tz=found[2])
    if found := re.fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", text):
        return getattr(pa, found[1])(int(found[2]), int(found[3]))
    names = {"date32[day]": "date32", "date64[ms]": "date64", "double": "float64", "float": "float32"}
    try:
        return pa.type_for_alias(names.get(text, text))
    except ValueError:
        return None


def can_compare(kind: Any) -> bool:
    """Whether Arrow tells equal cells of a type from others: not those of lists, records and extensions."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return can_compare(kind.value_type)
    return not pa.types.is_nested(kind) and not isinstance(kind, pa.BaseExtensionType)


def pandas_categories(schema: Any) -> set[str]:
    """The columns that were categories in pandas: Parquet keeps that of texts alone, and what pandas says."""
    columns = (schema.pandas_metadata or {}).get("columns", [])
    return {column["name"] for column in columns if column.get("pandas_type") == "categorical"}


def is_text(kind: Any) -> bool:
    """Whether a type is text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def without_dictionary(cells: Any) -> Any:
    """Cells of a dictionary as those that they stand for; others as they are."""
    import pyarrow as pa

    return cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells


def text_cells(cells: Any) -> Any:
    """Cells as text; moments without fractions of a second, where none has any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = without_dictionary(cells)
    if pa.types.is_timestamp(cells.type):
        with suppress(pa.ArrowInvalid):  # some has
            cells = pc.cast(cells, pa.timestamp("s", cells.type.tz))
    return pc.cast(cells, pa.string())


def without_nan(cells: Any) -> Any:
    """Cells with NaN as missing; half floats as float32, since Arrow before 26 has few functions for them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(cells.type):
        return cells
    if pa.types.is_float16(cells.type):
        cells = pc.cast(cells, pa.float32())
    return pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)


def without_views(table: Any) -> Any:
    """A table with its views of text as text: Arrow has few functions for them yet."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table


def number_cells(values: Array, missing: Array, kind: Any) -> Any:
    """Numbers ``[n]`` of float64 as cells of a type, the nearest that it holds, null where ``missing``.

    A zero below 0 is 0: text would say -0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind is None:
        return pa.array(values + 0.0, mask=missing)  # -0 + 0 is 0
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        most = float(limits.max) if limits.bits < 64 else float(2**63 - 1024)  # the last below it in float64
        values = np.clip(values.round(), float(limits.min), most)
        return pa.array(values.astype(kind.to_pandas_dtype()), mask=missing)
    if pa.types.is_floating(kind):
        most = float(np.finfo(kind.to_pandas_dtype()).max)
        values = values.clip(-most, most).astype(kind.to_pandas_dtype()) + 0.0
    elif pa.types.is_decimal(kind):
        bound, unit = 10.0 ** (kind.precision - kind.scale), 10.0**-kind.scale
        most = bound - max(
            unit, bound * 2.0**-51
        )  # what float64 tells from the bound, beyond which Arrow has 0
        values = values.clip(-most, most)
        if kind.bit_width < 128:  # Arrow takes some below the bound for more
            wide = number_cells(values, missing, pa.decimal128(kind.precision, kind.scale))
            return pc.cast(wide, kind)
    return pc.cast(pa.array(values, mask=missing), kind, safe=False)
