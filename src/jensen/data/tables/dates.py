"""Dates in text: which form they have, and which of them are no dates."""

from datetime import datetime
from typing import Any

import numpy as np

from jensen.errors import UserError

FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
MOST = 0.5
"""A column with more than this share of dates is one of dates, and its other cells are mistakes."""


def parse_dates(cells: Any, form: str) -> Any:
    """Text as moments in seconds, null where there is none or it is no date of this form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    moments = pc.strptime(cells, format=form, unit="s", error_is_null=True)
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


def form_of_most(some: Any) -> str | None:
    """The form that most of some texts have; None where they are no dates."""
    sound = {form: len(some) - parse_dates(some, form).null_count for form in FORMS}
    form = max(FORMS, key=lambda form: sound[form])
    return form if sound[form] > MOST * len(some) else None


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
