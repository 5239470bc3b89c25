"""Rows that come in other types than those trained on: the same codes, or a refusal that names the column."""

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.where import parse_where
from jensen.errors import UserError

N = 60
DRAW = np.random.default_rng(0)
WHOLE = DRAW.integers(0, 50, N)
NORMAL = DRAW.normal(size=N)
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=int(i)) for i in DRAW.integers(0, 900, N)]
SECOND = [dt.datetime(2020, 1, 1) + dt.timedelta(seconds=int(i)) for i in DRAW.integers(0, 10**7, N)]


def codes(trained: pa.Array, given: pa.Array) -> list[float]:
    schema = infer_schema(pa.table({"c": trained}))
    assert schema.columns[0].modelled
    return [float(c) for c in encode_table(pa.table({"c": given}), schema).x[:, 0]]


DATES = {
    "days": pa.array(DAYS, pa.date32()),
    "days as ms": pa.array(DAYS, pa.date64()),
    "days in text": pa.array([day.strftime("%d/%m/%Y") for day in DAYS]),
    "midnights": pa.array(DAYS, pa.date32()).cast(pa.timestamp("us")),
    "nanoseconds": pa.array(DAYS, pa.date32()).cast(pa.timestamp("ns")),
    "levels": pa.array(DAYS, pa.date32()).cast(pa.timestamp("s")).dictionary_encode(),
}


@pytest.mark.parametrize("trained", [name for name in DATES if name != "levels"])
@pytest.mark.parametrize("given", DATES)
def test_dates_of_another_type_have_the_same_codes(trained: str, given: str) -> None:
    if given == "days in text" and trained != given:
        with pytest.raises(UserError, match="column 'c' is of type string, and date in the schema"):
            codes(DATES[trained], DATES[given])
        return
    assert codes(DATES[trained], DATES[given]) == codes(DATES[trained], DATES[trained])


def test_moments_given_to_a_column_of_days_are_their_days() -> None:
    given = pa.array([dt.datetime(1969, 12, 31, 23, 59), dt.datetime(2020, 5, 1, 13)], pa.timestamp("us"))
    days = (dt.date(2020, 5, 1) - dt.date(1970, 1, 1)).days
    assert codes(DATES["days"], given) == [-1, days]
    assert codes(pa.array(SECOND), pa.array([dt.date(1970, 1, 2)])) == [86400]


KINDS = {
    "numbers": pa.array(NORMAL),
    "count": pa.array(WHOLE),
    "text": pa.array([["ant", "bee", "cat"][i % 3] for i in WHOLE]),
    "bool": pa.array(WHOLE > 20),
    "two": pa.array(WHOLE % 2),
    "halves": pa.array(WHOLE % 2 + 0.5),
    "category": pa.array([["x", "y", "z"][i % 3] for i in WHOLE]).dictionary_encode(),
    "date": DATES["days"],
    "moment": pa.array(SECOND),
    "written": DATES["days in text"],
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", [pa.null(), pa.float64(), None], ids=str)
def test_a_column_may_be_all_missing(name: str, kind: pa.DataType | None) -> None:
    assert np.isnan(codes(KINDS[name], pa.nulls(5, kind or KINDS[name].type))).all()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("two", ["yes", "no"]),
        ("halves", ["yes", "no"]),
        ("text", [["ant"], ["bee"]]),
        ("text", [{"a": 1}, {"a": 2}]),
        ("text", [1, 2]),
        ("category", [dt.date(2020, 1, 1)]),
        ("two", [dt.date(2020, 1, 1)]),
        ("bool", [dt.date(2020, 1, 1)]),
        ("bool", [[True]]),
        ("count", [dt.datetime(2020, 1, 1)]),
        ("numbers", [[1.0]]),
        ("date", [3, 4]),
        ("moment", [3, 4]),
        ("moment", ["2020-01-01"]),
        ("written", [20200101]),
    ],
)
def test_a_column_of_another_type_is_named(name: str, given: list[Any]) -> None:
    with pytest.raises(UserError, match=r"column 'c' is of type .* give it as it was in training"):
        codes(KINDS[name], pa.array(given))


@pytest.mark.parametrize(
    ("trained", "given", "expected"),
    [
        (pa.array([0.5, 1.5]), pa.array([0, 1, 7]), [np.nan] * 3),
        (pa.array([0.5, 1.5]), pa.array([1.5, np.nan, 0.5]), [1, np.nan, 0]),
        (pa.array([0.1, 0.9], pa.float32()), pa.array([0.9, 0.1, 0.2]), [1, 0, np.nan]),
        (pa.array([0.1, 0.9]), pa.array([0.9, 0.1, 0.2], pa.float32()), [1, 0, np.nan]),
        (pa.array([0.0, 1.0]), pa.array([-0.0, 1.0]), [0, 1]),
        (pa.array([0, 1]), pa.array([True, False, None]), [1, 0, np.nan]),
        (pa.array([False, True]), pa.array([1.0, 0.0, 0.5]), [1, 0, np.nan]),
        (pa.array(["1", "a"]), pa.array([1, 2]), [0, np.nan]),
        (pa.array([False, True]), pa.array(["True", "false"]), [1, 0]),
        (pa.array([2**60, 2**60 + 512]), pa.array([2**60 + 512, 2**60 + 1], pa.uint64()), [1, np.nan]),
    ],
    ids=str,
)
def test_levels_match_the_same_numbers_alone(
    trained: pa.Array, given: pa.Array, expected: list[float]
) -> None:
    assert str(codes(trained.take(pa.array([0, 1] * 20)), given)) == str([float(c) for c in expected])


def test_cells_that_are_not_a_number_are_missing_not_unknown() -> None:
    schema = infer_schema(pa.table({"c": [0.5, 1.5] * 20}))
    assert encode_table(pa.table({"c": [np.nan, 0.5]}), schema).odd == []


GRIDS = {"%Y-%m-%d": 86400, "%Y-%m-%d %H": 3600, "%Y-%m-%d %H:%M": 60, "%Y-%m-%d %H:%M:%S": 1}


@pytest.mark.parametrize("kind", [("s", None), ("us", None), ("ns", "UTC"), ("ms", "Europe/Berlin")], ids=str)
@pytest.mark.parametrize("form", GRIDS)
def test_moments_have_the_grid_that_all_are_on(form: str, kind: tuple[str, str | None]) -> None:
    wall = pa.array([dt.datetime.strptime(s.strftime(form), form) for s in SECOND], pa.timestamp(kind[0]))
    cells = wall if kind[1] is None else pa.compute.assume_timezone(wall, kind[1])
    table = pa.table({"t": cells, "x": NORMAL})
    schema = infer_schema(table)
    assert schema.columns[0].step == GRIDS[form]
    x = encode_table(table, schema).x
    assert decode_table(x, schema).equals(table)
    x[:, 0] += 0.3 * GRIDS[form]
    assert decode_table(x, schema)["t"].equals(table["t"]), "what is drawn is on the grid"
    if form == "%Y-%m-%d":
        [day] = parse_where("t = 2020-05-01", schema)
        moment = dt.datetime(2020, 5, 1, tzinfo=dt.UTC).timestamp()
        assert day.spans == ((moment, moment),)


def test_moments_of_a_zone_that_is_not_known() -> None:
    cells = pa.array(SECOND, pa.timestamp("us", "Middle/Earth"))
    table = pa.table({"t": cells})
    schema = infer_schema(table)
    assert decode_table(encode_table(table, schema).x, schema).equals(table)


def test_moments_between_seconds_have_no_grid() -> None:
    cells = pa.array([moment + dt.timedelta(milliseconds=250) for moment in SECOND])
    assert infer_schema(pa.table({"t": cells})).columns[0].step is None
