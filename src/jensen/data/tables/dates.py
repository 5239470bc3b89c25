"""Dates of whatever type as numbers, and back."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.forms import COMPACT, has_time, parse_dates, write_dates
from jensen.data.tables.schema import Column
from jensen.data.tables.storage import arrow_type, is_text, number_cells
from jensen.errors import UserError

DAY = 86400
STEPS = (DAY, 3600, 60, 1)
"""Seconds that all moments of a column may be multiples of, the longest first."""
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Of the units of Arrow's timestamps."""


def step_of(cells: Any, form: str) -> float:
    """What the codes of text of a form are multiples of: 1 day for dates alone, else the most of `STEPS`."""
    if not has_time(form) or not is_text(cells.type):
        return 1.0
    return float(steps_of(parse_dates(cells, form).drop_null())[0])


def check_dates(name: str, cells: Any, form: str, moments: Any, before: int = 0) -> None:
    """Refuse a column in which a cell is no date.

    Args:
        name: of the column, and of its data where there is more to say.
        cells: as written.
        form: which they should have.
        moments: what `parse_dates` made of them.
        before: rows of the data that came before these.

    Raises:
        UserError: how many are none, the first of them and its row, and the mend.
    """
    import pyarrow.compute as pc

    wrong = pc.and_(pc.is_null(moments), pc.is_valid(cells)).to_numpy(zero_copy_only=False)
    if wrong.any():
        row = int(np.argmax(wrong))
        more = f", nor are {wrong.sum() - 1} other cells" if wrong.sum() > 1 else ""
        raise UserError(
            f"{name}: {cells[row].as_py()!r} in row {before + row + 1} is no date of the form {form}{more}; "
            "mend it, leave it empty if it is missing, or give the column another type with --schema"
        )


def since_1970(cells: Any, column: Column, name: str, before: int) -> Any:
    """Cells of dates, of whatever type, as the codes of their column: days or seconds since 1970, float64.

    Args:
        cells: text of the column's form, or any type of dates and times.
        column: of type date.
        name: of the data, for messages.
        before: rows of the data that came before these.

    Raises:
        UserError: a cell of text is no date.
        pa.ArrowInvalid: the cells are of another type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    days = in_days(column)
    if pa.types.is_integer(kind) and column.format == COMPACT:
        cells = pc.cast(cells, pa.string())
    if is_text(cells.type) and column.format is not None:
        moments = parse_dates(cells, column.format)
        check_dates(f"{name}, column {column.name!r}", cells, column.format, moments, before)
    elif pa.types.is_date(kind):
        moments = pc.cast(pc.cast(cells, pa.date32()), pa.timestamp("s"))
    elif pa.types.is_timestamp(kind):
        moments = _local(cells, kind.tz) if days else _local(cells, _zone_of(column))
    else:
        raise pa.ArrowInvalid("no dates")
    whole = pc.cast(pc.cast(moments, pa.int64()), pa.float64(), safe=False)
    seconds = pc.divide(whole, float(PER_SECOND[moments.type.unit]))
    return pc.floor(pc.divide(seconds, float(DAY))) if days else seconds


def dates_of(codes: Array, column: Column) -> Any:
    """The inverse of `since_1970`: codes as cells of the column's type, NaN as missing, on its grid."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.isnan(codes)
    values = np.where(missing, 0.0, codes)
    if column.step:
        values = (values / column.step).round() * column.step
    kind = arrow_type(column.storage)
    if column.format is not None:
        seconds = (values.round() * (DAY if in_days(column) else 1)).astype(np.int64)
        moments = pa.array(seconds, mask=missing).cast(pa.timestamp("s"))
        texts = write_dates(moments, column.format)
        return texts.cast(kind) if kind is not None and pa.types.is_integer(kind) else texts
    if pa.types.is_date(kind):
        return pc.cast(pa.array(values.round().astype(np.int32), mask=missing, type=pa.date32()), kind)
    whole = number_cells(values * PER_SECOND[kind.unit], missing, pa.int64())
    zone = _zone_of(column)
    if zone is None:
        return whole.cast(kind)
    wall = whole.cast(pa.timestamp(kind.unit))
    return pc.assume_timezone(wall, zone, ambiguous="earliest", nonexistent="latest")


def steps_of(moments: Any, steps: Iterable[int] = STEPS) -> tuple[int, ...]:
    """Which of ``steps`` Arrow's timestamps are all multiples of; days begin at midnight where they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def on(step: int) -> bool:
        try:
            wall = _local(moments, moments.type.tz) if step == DAY else moments
        except pa.ArrowInvalid:  # a time zone that this machine does not know
            return False
        whole = pc.cast(wall, pa.int64()).to_numpy(zero_copy_only=False)
        return not (whole % (step * PER_SECOND[moments.type.unit])).any()

    return tuple(step for step in steps if on(step))


def in_days(column: Column) -> bool:
    """Whether the codes of a column are days: its dates have no time of day."""
    if column.format is None:
        return column.storage.startswith("date")
    return not has_time(column.format)


def _zone_of(column: Column) -> str | None:
    """The time zone of a column whose codes are of its local time, not of UTC: that of whole days."""
    zone: str | None = getattr(arrow_type(column.storage), "tz", None)
    return zone if column.step == DAY else None


def _local(moments: Any, zone: str | None) -> Any:
    """Timestamps as what clocks of a zone show; as they are, where they or the zone say nothing of one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if zone is None or moments.type.tz is None:
        return moments
    return pc.local_timestamp(pc.cast(moments, pa.timestamp(moments.type.unit, zone)))
