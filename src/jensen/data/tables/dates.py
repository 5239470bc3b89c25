"""Dates as numbers, and as text: which form they have, and which of them are no dates."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.schema import Column
from jensen.data.tables.storage import arrow_type, is_text, number_cells
from jensen.errors import UserError

_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y-%m-%d", "%Y/%m/%d")
_SHORT = tuple(day.replace("%Y", "%y") for day in _DAYS)
_TIMES = ("", " %H:%M:%S", "T%H:%M:%S", " %H:%M", "T%H:%M", " %I:%M:%S %p", " %I:%M %p")
FORMS = tuple(day + time for time in _TIMES for day in (*_DAYS, *_SHORT))
_YEARS = {"%Y": "[0-9]{4}", "%y": "[0-9]{2}"}
"""What must stand for a year: Arrow takes fewer digits too, and 18/08/21 for a day of the year 18."""
_ZONE = re.compile(r":\d\d(Z|[+-]\d\d:?\d\d)$")
DAY = 86400
STEPS = (DAY, 3600, 60, 1)
"""Seconds that all moments of a column may be multiples of, the longest first."""
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Of the units of Arrow's timestamps."""
MOST = 0.5
"""A column with more than this share of dates is one of dates, and its other cells are mistakes."""


def parse_dates(cells: Any, form: str) -> Any:
    """Text as moments in seconds, null where there is none or it is no date of this form.

    Moments are as clocks show them, whatever zone the form ends in; with ``%z``, where each text has its own,
    they are those of UTC.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    moments = pc.strptime(cells, format=form, unit="s", error_is_null=True).cast(pa.timestamp("s"))
    digits = re.sub("%.", lambda part: _YEARS.get(part[0], ".+"), re.escape(form))
    moments = pc.if_else(pc.match_substring_regex(cells, f"^{digits}$"), moments, None)
    # Arrow takes the 31st of February for the 3rd of March: it ends among the first days of a month.
    early = pc.unique(pc.filter(cells, pc.fill_null(pc.less_equal(pc.day(moments), 3), False)))
    wrong = [text for text in early.to_pylist() if not _is_date(text, form)]
    if not wrong:
        return moments
    return pc.if_else(pc.is_in(cells, value_set=pa.array(wrong, cells.type)), None, moments)


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def forms_of(texts: Any, forms: Iterable[str] | None = None) -> tuple[str, ...]:
    """Which of ``forms`` all of some texts have.

    Left out: of `FORMS`, with the time zone that the first text ends in, if it does.
    """
    if forms is None:
        forms = _in_zone(_zone(texts[0].as_py()))
    for some in (texts.slice(0, 1), texts):  # most forms fail at the first text
        forms = [form for form in forms if not parse_dates(some, form).null_count]
    return tuple(forms)


def with_rival(texts: Any, forms: tuple[str, ...]) -> tuple[str, ...]:
    """The form to take of those that all of some texts have, then the first, if any, that reads other days.

    01/02/2020 may be a day of January or of February. The fewest different years are likelier, and then a day
    of the month that is always the same, as on the first of every month.
    """
    import pyarrow.compute as pc

    forms = tuple(form for form in forms if "%z" not in form) or forms
    if len(forms) == 1:
        return forms
    moments = {form: parse_dates(texts, form) for form in forms}

    def unlikely(form: str) -> tuple[int, bool]:
        years, days = (len(pc.unique(part(moments[form]))) for part in (pc.year, pc.day))
        return years, days > 1

    first, *others = sorted(forms, key=unlikely)
    rivals = [form for form in others if not moments[form].equals(moments[first])]
    return (first, *rivals[:1])


def form_of_most(some: Any) -> str | None:
    """The form that most of some texts have; None where they are no dates."""
    [(zone, _)] = Counter(map(_zone, some.to_pylist())).most_common(1)
    sound = {form: len(some) - parse_dates(some, form).null_count for form in _in_zone(zone)}
    form = max(sound, key=lambda form: sound[form])
    return form if sound[form] > MOST * len(some) else None


def _zone(text: str) -> str:
    """The time zone that a time of day ends in: Z, +02:00, ..."""
    found = _ZONE.search(text)
    return found[1] if found else ""


def _in_zone(zone: str) -> list[str]:
    """The forms of moments written in one time zone, then in several: of all, where there is none."""
    if not zone:
        return list(FORMS)
    return [form + end for end in (zone, "%z") for form in FORMS if "%H" in form]


def as_written(form: str) -> str:
    """The form that new dates of a column are written in: where the time zones differ, in UTC."""
    return form.replace("%z", "Z")


def step_of(cells: Any, form: str) -> float:
    """What the codes of text of a form are multiples of: 1 day for dates alone, else the most of `STEPS`."""
    if not has_time(form) or not is_text(cells.type):
        return 1.0
    return float(steps_of(parse_dates(cells, form).drop_null())[0])


def has_time(form: str) -> bool:
    """Whether moments of a form have a time of day."""
    return any(part in form for part in ("%H", "%M", "%S", "%I"))


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
    days = _in_days(column)
    if is_text(kind) and column.format is not None:
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
        seconds = (values.round() * (DAY if _in_days(column) else 1)).astype(np.int64)
        moments = pa.array(seconds, mask=missing).cast(pa.timestamp("s"))
        return pc.strftime(moments, format=as_written(column.format))
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


def _in_days(column: Column) -> bool:
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
