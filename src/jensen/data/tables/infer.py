"""What each column of a table is, from its cells."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.tables.dates import step_of
from jensen.data.tables.forms import COMPACT, are_compact, are_times
from jensen.data.tables.numerals import like_number, signs_in
from jensen.data.tables.schema import Column, Level, Schema
from jensen.data.tables.summary import MOST_DISTINCT, Numbers, Summary, summarise
from jensen.errors import UserError
from jensen.files import write_yaml_text

if TYPE_CHECKING:
    import pyarrow as pa

MANY_LEVELS = 100
"""Text with more distinct cells than this, and with most of them distinct, is taken for names, not levels."""
DISTINCT = 0.5
NAMES = 20
"""Cells of text, at least, that are names where no two are the same."""
ID = re.compile(r"(^|[\W_])(id|uid|uuid|key|index|nr|no)$", re.IGNORECASE)
"""Names of columns that identify rows, should all their numbers differ."""
SKEW = 5.0
"""A positive column whose largest value is so many times its median is taken as positive, on a log scale."""


def infer_schema(table: "pa.Table") -> Schema:
    """The type of each column by its content, with a warning for each that is left out."""
    return schema_of(summarise([table]))


def schema_of(summaries: list[Summary], numbers_rows: Callable[[Summary], bool] | None = None) -> Schema:
    """The type of each column by the summary of its cells.

    Args:
        summaries: of the columns.
        numbers_rows: whether all numbers of a column differ; asked only where a summary cannot tell.
    """
    columns, warnings = [], []
    for summary in summaries:
        column, warning = _column(summary, numbers_rows or (lambda summary: False))
        columns.append(column)
        if warning:
            warnings.append(f"column {summary.name!r} {warning}")
    return Schema(tuple(columns), tuple(warnings))


def _column(summary: Summary, all_differ: Callable[[Summary], bool]) -> tuple[Column, str]:
    import pyarrow as pa

    name, kind = summary.name, summary.kind
    storage = str(kind)
    if summary.there == 0:
        return Column(name, "ignore", storage), "is left out: all its cells are missing"
    if summary.num_distinct == 1:
        [value] = summary.distinct
        written = str(value) if isinstance(value, date | Decimal) else None
        constant = value if isinstance(value, str | int | float | bool) else written
        levels = tuple(summary.levels) if constant in summary.levels else ()
        column = Column(name, "ignore", storage, levels, constant=constant)
        return column, f"is left out: it is always {value!r}"
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        step = 1.0 if pa.types.is_date(kind) else float(summary.steps[0]) if summary.steps else None
        return Column(name, "date", storage, step=step), ""
    if summary.levels and all(isinstance(level, Level) for level in summary.levels):
        levels = tuple(summary.levels)
        return Column(name, "ordinal" if kind.ordered else _discrete(levels), storage, levels), ""
    if summary.categories and pa.types.is_integer(kind) and not summary.too_many:
        levels = tuple(sorted(summary.distinct))
        return Column(name, _discrete(levels), storage, levels), ""
    if pa.types.is_boolean(kind):
        return Column(name, "binary", storage, (False, True)), ""
    if summary.is_text:
        return _text(summary, storage)
    if summary.numbers is not None:
        return _number(summary, summary.numbers, storage, all_differ)
    return Column(name, "ignore", storage), f"is left out: cells of type {kind} cannot be modelled"


def _discrete(levels: Sequence[Any]) -> str:
    return "binary" if len(levels) == 2 else "categorical"


def _text(summary: Summary, storage: str) -> tuple[Column, str]:
    if forms := summary.form:
        step = step_of(summary.cells, forms[0])
        column = Column(summary.name, "date", storage, step=step, format=forms[0])
        return column, _either(summary.name, *forms)
    many = summary.num_distinct > MANY_LEVELS and summary.num_distinct > DISTINCT * summary.there
    many = many or summary.num_distinct == summary.there >= NAMES
    mend = _signs(summary)
    if summary.too_many or many:
        count = f"more than {MOST_DISTINCT:,}" if summary.too_many else str(summary.num_distinct)
        return (
            Column(summary.name, "ignore", storage),
            f"is left out: {count} of its {summary.there} cells are different texts, such as "
            f"{str(summary.distinct[0])[:40]!r}{mend and '; they ' + mend}",
        )
    levels = sorted(summary.distinct)
    first = {text.lower(): text for text in reversed(summary.distinct)}
    if first.keys() == {"false", "true"}:  # True and TRUE are one level, spelled as where it comes first
        levels = [first["false"], first["true"]]
    kind = _discrete(levels)
    return Column(summary.name, kind, storage, tuple(levels)), mend and f"is {kind}, but its cells {mend}"


def _signs(summary: Summary) -> str:
    """What to say of texts that are times, or numbers but for a few signs."""
    if are_times(summary.cells):
        return "look like times or durations; write them as numbers, of hours or seconds"
    signs = [repr(sign) for sign in signs_in(summary.cells)]
    if not signs:
        odd = like_number(summary.cells)
        if odd is None:
            return ""
        return (
            f"look like numbers, but some, such as {odd!r}, are not written like 1234.5 or -1234.5; write "
            "them so, or leave them empty where they are missing, and it will be read as a number"
        )
    these = "these" if len(signs) > 1 else "this"
    return f"look like numbers with {' and '.join(signs)}; strip {these} and it will be read as a number"


def _either(name: str, form: str, *others: str) -> str:
    """What to say where dates may be of another form too."""
    if not others:
        return ""
    line = write_yaml_text([{"name": name, "type": "date", "format": others[0]}])
    return (
        f"is read as dates of the form {form}, but {others[0]} fits all its cells too; if they are that, "
        f"pass --schema a file with the line {' '.join(line.split())}"
    )


def _number(
    summary: Summary, numbers: Numbers, storage: str, all_differ: Callable[[Summary], bool]
) -> tuple[Column, str]:
    import pyarrow as pa

    column = _number_column(summary.name, numbers, storage)
    if column.levels and pa.types.is_integer(summary.kind):  # those of float64 are rounded beyond 2**53
        column = replace(column, levels=tuple(sorted(summary.distinct)))
    if column.type == "count" and _compact(summary, numbers):
        return Column(summary.name, "date", storage, step=1.0, format=COMPACT), ""
    if _collide(summary, numbers):
        return Column(summary.name, "ignore", storage), (
            f"is left out: its numbers, such as {summary.distinct[0]}, are too long and too close to tell "
            "apart in float64; subtract the smallest from all, or write them as text"
        )
    if numbers.count > 20 and numbers.whole and _numbers_rows(summary, numbers, all_differ):
        return Column(summary.name, "ignore", storage), "is left out: it numbers the rows"
    if (
        numbers.count > 20
        and numbers.whole
        and ID.search(summary.name)
        and summary.num_distinct == numbers.count
    ):
        return (
            Column(summary.name, "ignore", storage),
            "is left out: its name says id, and all its cells are different",
        )
    return column, ""


def _compact(summary: Summary, numbers: Numbers) -> bool:
    """Whether whole numbers are dates, such as 20200828: of others of that size hardly any would be."""
    import pyarrow as pa

    if not pa.types.is_integer(summary.kind) or summary.too_many:
        return False
    return numbers.low >= 19000101 and numbers.high <= 20991231 and are_compact(summary.cells)


def _collide(summary: Summary, numbers: Numbers) -> bool:
    """Whether whole numbers or decimals differ that are the same, or must be, in float64."""
    import pyarrow as pa

    if pa.types.is_floating(summary.kind):
        return False
    apart = float(np.spacing(max(abs(numbers.low), abs(numbers.high))))
    if len(numbers.distinct) < min(3, summary.num_distinct):
        return True
    return (numbers.high - numbers.low) / apart + 1 < summary.num_distinct


def infer_column(name: str, values: Array) -> Column:
    """The type of a column of float64 ``[n]``, NaN where missing; one without two values is left out.

    Raises:
        UserError: infinite values.
    """
    numbers = Numbers()
    numbers.add(values[~np.isnan(values)])
    return _number_column(name, numbers, "double")


def _number_column(name: str, numbers: Numbers, storage: str) -> Column:
    if numbers.count == 0:
        return Column(name, "ignore", storage)
    if not numbers.finite:
        raise UserError(f"column {name!r} has infinite values; remove those rows, or leave the cells empty")
    distinct = numbers.distinct + 0.0  # -0 is 0
    if len(distinct) == 1:
        return Column(name, "ignore", storage, constant=float(distinct[0]))
    if len(distinct) == 2:
        levels = tuple(int(v) if numbers.whole else float(v) for v in distinct)
        return Column(name, "binary", storage, levels)
    if numbers.whole and numbers.exact:
        return Column(name, "count" if numbers.low >= 0 else "continuous", storage, step=1.0)
    positive = numbers.low > 0 and numbers.high > SKEW * numbers.median
    return Column(name, "positive" if positive else "continuous", storage, step=numbers.step)


def _numbers_rows(summary: Summary, numbers: Numbers, all_differ: Callable[[Summary], bool]) -> bool:
    """Whether whole numbers are all different, and go up from row to row or are a shuffle of 1, 2, 3, ..."""
    if numbers.ascending:
        return True
    if not numbers.count - 1 <= numbers.high - numbers.low < 1.01 * numbers.count:
        return False
    return all_differ(summary) if summary.too_many else summary.num_distinct == numbers.count
