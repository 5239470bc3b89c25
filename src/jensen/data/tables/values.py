"""The values of conditions as a user writes them: numbers and dates as codes of their column, and back."""

import math
import re
import warnings
from dataclasses import replace
from datetime import datetime

import numpy as np

from jensen.data.tables.codec import encode_cells
from jensen.data.tables.dates import dates_of
from jensen.data.tables.forms import as_written, plain
from jensen.data.tables.numerals import is_number
from jensen.data.tables.schema import Column
from jensen.errors import UserError


def code_of(column: Column, text: str) -> float:
    """A number or a date as its code."""
    if column.type == "date":
        import pyarrow as pa

        cells = pa.array([_with_time(text, column.format)])
        try:
            if column.format is None:
                with warnings.catch_warnings(action="error"):  # NumPy warns of time zones
                    moment = np.datetime64(text, "s")
                if np.isnat(moment):
                    raise ValueError
                seconds = moment.astype(np.int64)
                return float(seconds // 86400 if column.storage.startswith("date") else seconds)
            codes, _ = encode_cells(cells, replace(column, storage="string"), "the condition")
            return float(codes[0])
        except (ValueError, pa.ArrowInvalid, Warning):
            raise UserError(
                f"--where: {text!r} is no date for {column.name!r}; write it as {_examples(column)}"
            ) from None
    if not is_number(text) or not math.isfinite(float(text)):
        raise UserError(f"--where: {text!r} is no number, and {column.name!r} is one; give a finite number")
    return float(text)


def _day(form: str) -> str:
    """The part of a form of dates that stands before the time of day."""
    return re.split(r"[ T]?%-?[HIMS]", form)[0]


def _with_time(text: str, form: str | None) -> str:
    """A date alone, of a form that has a time of day, as its midnight; any other text as it is."""
    if form is None or _day(form) == form:
        return text
    form = plain(form)
    try:
        return datetime.strptime(text, _day(form)).strftime(form.replace("%z", "+0000"))
    except ValueError:
        return text


def _examples(column: Column) -> str:
    """How dates of a column are written, shown on one of them."""
    moment = datetime(2021, 6, 30, 14, 30)
    form = column.format or ("%Y-%m-%d" if column.storage.startswith("date") else "%Y-%m-%d %H:%M:%S")
    shown = plain(as_written(form))
    alone = "" if _day(shown) == shown else f", or {moment.strftime(_day(shown))} for its midnight"
    return moment.strftime(shown) + alone + ("" if column.format else ", without a time zone")


def written(column: Column, value: float) -> str:
    """A code as a user writes it."""
    if column.type == "date":
        return str(dates_of(np.array([value]), replace(column, step=None))[0].as_py())
    return f"{value:.10g}"
