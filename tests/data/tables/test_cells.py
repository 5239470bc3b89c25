"""Text as the cells of a column that is known: a run trained on Parquet reads the same table as CSV."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jensen.data.tables.codec import encode_table
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.data.tables.writing import write_table
from jensen.errors import UserError

N = 50
START = dt.datetime(2020, 2, 28)
DRAW = np.random.default_rng(0)
NUMBERS, WHOLE = DRAW.normal(size=N), DRAW.integers(0, 99, N)
HOURS = [START + dt.timedelta(hours=7 * int(i)) for i in WHOLE]
KINDS: dict[str, pa.Array] = {
    "float32": pa.array(NUMBERS.astype(np.float32)),
    "float16": pa.array(NUMBERS.astype(np.float16)),
    "int8": pa.array((WHOLE - 50).astype(np.int8)),
    "int32": pa.array(WHOLE.astype(np.int32)),
    "uint64": pa.array((WHOLE + 1).astype(np.uint64) * np.uint64(2**56)),
    "decimal": pa.array([Decimal(int(i)).scaleb(-2) for i in WHOLE], pa.decimal128(9, 2)),
    "two_float32": pa.array(np.where(WHOLE > 50, 0.1, 0.7).astype(np.float32)),
    "day": pa.array([time.date() for time in HOURS]),
    "hours": pa.array(HOURS, pa.timestamp("us")),
    "milliseconds": pa.array([START + dt.timedelta(milliseconds=int(i)) for i in WHOLE], pa.timestamp("ms")),
    "zone": pa.array(HOURS, pa.timestamp("us", "Europe/Berlin")),
    "levels": pa.array(WHOLE % 3).dictionary_encode(),
}


@pytest.mark.parametrize("name", KINDS)
def test_text_has_the_codes_of_the_cells_that_it_says(name: str, tmp_path: Path) -> None:
    cells = [None, *KINDS[name].to_pylist()[1:]]
    table = pa.table({name: pa.array(cells, KINDS[name].type), "there": WHOLE})
    schema = infer_schema(table)
    texts = ["" if cell is None else f"{cell}" for cell in cells]
    if name == "zone":  # as pandas writes them
        texts = ["" if cell is None else cell.isoformat(" ") for cell in cells]
    write_table(tmp_path / "t.csv", pa.table({name: texts, "there": WHOLE}))
    expected = encode_table(table, schema)
    found = encode_table(read_table(tmp_path / "t.csv", schema), schema)
    assert np.isnan(expected.x[0, 0])
    np.testing.assert_array_equal(found.x, expected.x)
    assert found.odd == expected.odd == []


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("int8", "300", 300.0),
        ("int32", "2.5", 2.5),
        ("float", "1e300", 1e300),
        ("decimal128(5, 2)", "0.125", 0.125),
        ("decimal128(5, 2)", "123456", 123456.0),
        ("date32[day]", "1970-01-03 14:30:00", 2.0),
        ("timestamp[s]", "1970-01-01 00:00:01.5", 1.5),
        ("timestamp[us]", "1970-01-02", 86400.0),
    ],
)
def test_what_the_type_of_training_does_not_hold_is_not_bent_to_it(
    kind: str, text: str, code: float, tmp_path: Path
) -> None:
    column = Column("c", "date" if kind[:4] in ("date", "time") else "continuous", kind)
    (tmp_path / "t.csv").write_text(f"c\n{text}\n")
    table = read_table(tmp_path / "t.csv", Schema((column,)))
    assert encode_table(table, Schema((column,))).x.tolist() == [[code]]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("float", "line 4: 'x' in column 'c' is no number, and in training all were"),
        ("int8", "line 4: 'x' in column 'c' is no number, and in training all were"),
        (
            "timestamp[us]",
            "line 4: 'x' in column 'c' is no date such as 2021-06-30 or 2021-06-30 14:30:00, and",
        ),
        (
            "timestamp[us, tz=UTC]",
            "line 2: '2020-01-01' in column 'c' is no date .* or 2021-06-30 14:30:00.00:00",
        ),
        ("date32[day]", "line 4: 'x' in column 'c' is no date"),
    ],
)
def test_the_cell_that_is_not_of_the_type_of_training_is_said(kind: str, said: str, tmp_path: Path) -> None:
    good: Any = "2020-01-01" if kind[:4] in ("date", "time") else "1"
    (tmp_path / "t.csv").write_text(f"c,k\n{good},1\n,1\nx,2\n")
    with pytest.raises(UserError, match=said):
        read_table(tmp_path / "t.csv", Schema((Column("c", "date", kind), Column("k", "count", "int64"))))


def test_moments_are_written_without_fractions_that_none_has(tmp_path: Path) -> None:
    moments = [START, None, START + dt.timedelta(hours=1)]
    halves = [START, None, START + dt.timedelta(milliseconds=1500)]
    kind = pa.timestamp("us")
    write_table(tmp_path / "t.csv", pa.table({"a": pa.array(moments, kind), "b": pa.array(halves, kind)}))
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "a,b",
        "2020-02-28 00:00:00,2020-02-28 00:00:00.000000",
        ",",
        "2020-02-28 01:00:00,2020-02-28 00:00:01.500000",
    ]
