"""Cells that training could not have had are said, and refused with --strict."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jensen.data.tables.codec import encode_table
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.odd import Odd, sentences, together
from jensen.errors import UserError

DRAW = np.random.default_rng(0)
N = 60
TRAINED = pa.table(
    {
        "age": DRAW.integers(-5, 40, N),
        "kids": DRAW.integers(0, 4, N),
        "income": np.exp(3 * DRAW.normal(size=N)),
        "price": DRAW.integers(1, 999, N) / 10 - 50,
        "half": (DRAW.integers(1, 999, N) / 10 - 50).astype(np.float32),
        "day": pa.array([dt.datetime(2020, 1, 1 + i % 28) for i in range(N)], pa.timestamp("us")),
        "kind": DRAW.choice(["a", "b", "c"], N),
        "seven": [7] * N,
        "name": ["x"] * N,
        "date": [dt.date(2020, 1, 1)] * N,
        "sum": [Decimal("1.50")] * N,
    }
)
SCHEMA = infer_schema(TRAINED)


def with_cell(name: str, row: int, cell: Any) -> pa.Table:
    """The table with other cells in a row and the one after it."""
    cells = TRAINED[name].to_pylist()
    cells[row] = cells[row + 1] = cell
    return TRAINED.set_column(TRAINED.column_names.index(name), name, pa.array(cells))


def test_the_rows_of_training_are_not_odd() -> None:
    assert [column.type for column in SCHEMA.columns[:7]] == [
        "continuous", "count", "positive", "continuous", "continuous", "date", "categorical",
    ]  # fmt: skip
    assert encode_table(TRAINED, SCHEMA).odd == []
    doubles = TRAINED.set_column(4, "half", TRAINED["half"].cast(pa.float64()))
    assert encode_table(doubles, SCHEMA).odd == []
    assert encode_table(TRAINED.drop_columns(["seven"]), SCHEMA).odd == []


@pytest.mark.parametrize(
    ("name", "cell", "said"),
    [
        ("age", 35.5, "2 cells between its steps of 1, the first 35.5 in row 4"),
        ("age", -30.0, ""),
        ("kids", -1, "2 cells below 0, and is of type count, the first -1 in row 4"),
        ("kids", 1.5, "2 cells between its steps of 1, the first 1.5 in row 4"),
        ("kids", 90, ""),
        ("income", -3.5, "2 cells of 0 or less, and is of type positive, the first -3.5 in row 4"),
        ("income", 0.0, "2 cells of 0 or less, and is of type positive, the first 0.0 in row 4"),
        ("income", None, ""),
        ("price", 1.25, "2 cells between its steps of 0.1, the first 1.25 in row 4"),
        ("price", 0.1 + 0.2, ""),
        ("day", dt.datetime(2020, 1, 1, 6), "between its steps of 86400 seconds, the first 2020-01-01 06"),
        ("kind", "zebra", "2 cells of categories that the schema lacks, the first 'zebra' in row 4"),
        ("seven", 8, "2 cells that differ from its one value in training, 7, the first 8 in row 4"),
        ("seven", None, ""),
        ("name", "y", "2 cells that differ from its one value in training, 'x', the first 'y' in row 4"),
        ("date", dt.date(2021, 1, 1), "one value in training, '2020-01-01', the first 2021-01-01 in row 4"),
        ("sum", Decimal("1.5"), ""),
        ("sum", Decimal("2.5"), "one value in training, '1.50', the first 2.50 in row 4"),
    ],
)  # fmt: skip
def test_what_training_could_not_have_had_is_said(name: str, cell: Any, said: str) -> None:
    table = with_cell(name, 3, cell)
    found = sentences("new.csv", encode_table(table, SCHEMA).odd)
    if not said:
        assert not found
        return
    [sentence] = found
    assert sentence.startswith(f"new.csv: column {name!r} has ")
    assert said in sentence
    with pytest.raises(UserError, match="--strict out") as caught:
        encode_table(table, SCHEMA, strict=True)
    assert said in str(caught.value)


def test_pieces_are_counted_together() -> None:
    pieces = [with_cell("kids", 3, -1), TRAINED, with_cell("kids", 9, -2)]
    odd = [odd for i, piece in enumerate(pieces) for odd in encode_table(piece, SCHEMA, before=i * N).odd]
    [whole] = together(odd)
    assert (whole.number, whole.first, whole.row) == (4, "-1", 4)


def test_other_columns_are_named_with_strict() -> None:
    odd = [Odd(name, "too much", "left", 1, "3", 1) for name in "abc"]
    with pytest.raises(
        UserError, match=r"'a' has 1 cell too much, 3 in row 1 \(there are others in b, c\); mend"
    ):
        sentences("t", odd, strict=True)
