"""Which of the levels of a discrete column its cells are, in whatever type they come."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.schema import Column, Level, is_truth
from jensen.data.tables.storage import arrow_type, is_text


def level_array(levels: Sequence[Level]) -> Any:
    """Levels as an array of Arrow, in which whole numbers are int64 or, where one is beyond it, uint64."""
    import pyarrow as pa

    beyond = any(isinstance(level, int) and level >= 2**63 for level in levels)
    return pa.array(list(levels), pa.uint64() if beyond else None)


def level_codes(cells: Any, column: Column) -> Array:
    """The numbers of levels of cells ``[n]``, float64; NaN where a cell is missing or none of them.

    Raises:
        pa.ArrowException: the cells are of another type than the levels.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_truth(column.levels):  # in training they were text; now they may be spelled in another way
        truths = tuple(str(level).lower() == "true" for level in column.levels)
        return level_codes(cells, replace(column, levels=truths, storage="bool"))
    if isinstance(column.levels[0], str):
        given, levels = pc.cast(cells, pa.string()), level_array(column.levels)
        bare = pc.utf8_trim_whitespace(levels)
        if len(pc.unique(bare)) == len(bare):  # else the blanks around them tell levels apart
            given, levels = pc.utf8_trim_whitespace(given), bare
    elif isinstance(column.levels[0], bool) and is_text(cells.type):
        given, levels = pc.utf8_lower(cells), pa.array([str(level).lower() for level in column.levels])
        levels = pc.cast(levels, cells.type)
    else:
        given, levels = _alike(cells, level_array(column.levels), arrow_type(column.storage))
    codes = pc.cast(pc.index_in(given, value_set=levels), pa.float64())
    if codes.null_count == len(codes) and isinstance(column.levels[0], str) and not is_text(cells.type):
        raise pa.ArrowInvalid("none of its cells is a level")
    found: Array = codes.to_numpy(zero_copy_only=False).astype(np.float64)
    return found


def _alike(cells: Any, levels: Any, storage: Any) -> tuple[Any, Any]:
    """Numbers and levels as one type: whole numbers exactly, others as float64 of what both types hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(cells.type) and pa.types.is_integer(levels.type):
        return pc.cast(cells, levels.type, safe=False), levels
    if storage is not None and pa.types.is_dictionary(storage):
        storage = storage.value_type
    kinds = [cells.type] if storage is None else [cells.type, storage]
    floats = [kind for kind in kinds if pa.types.is_floating(kind)]
    narrow = min(floats, key=lambda kind: kind.bit_width, default=pa.float64())
    unit = next((10.0 ** (kind.scale + 3) for kind in kinds if pa.types.is_decimal(kind)), None)

    def rounded(values: Any) -> Any:
        numbers = pc.cast(pc.cast(pc.cast(values, pa.float64()), narrow, safe=False), pa.float64())
        if unit is not None:  # Arrow's decimals as float64 may be off by a last bit
            numbers = pc.divide(pc.round(pc.multiply(numbers, unit)), unit)
        return pc.add(numbers, 0.0)  # -0 is 0

    return rounded(cells), rounded(levels)
