"""Kinds of cells that files of others bring: each comes back as it was, or is left out and said."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jensen.data import load_rows
from jensen.data.dataset import load
from jensen.data.tables.codec import decode_table, encode_table
from jensen.data.tables.filling import fill_table
from jensen.data.tables.infer import infer_schema
from jensen.data.tables.marginals import fit_marginals
from jensen.data.tables.read import read_table
from jensen.data.tables.schema import Column, Schema
from jensen.errors import UserError

N = 60
DRAW = np.random.default_rng(0)
WHOLE = DRAW.integers(0, 50, N)
TEXTS = [["ant", "bee", "cat"][i % 3] for i in WHOLE]
NORMAL = DRAW.normal(size=N)
ZOO = {
    "decimal": pa.array([Decimal(int(i)) / 100 for i in WHOLE], pa.decimal128(10, 2)),
    "wide decimal": pa.array([Decimal(int(i)) / 100 for i in WHOLE], pa.decimal256(40, 2)),
    "two decimals": pa.array([Decimal(int(i % 2)) for i in WHOLE], pa.decimal128(5, 0)),
    "large text": pa.array(TEXTS, pa.large_string()),
    "levels of numbers": pa.array(10 * (WHOLE % 3)).dictionary_encode(),
    "levels, large": pa.array(TEXTS, pa.large_string()).dictionary_encode(),
    "levels, small": pa.DictionaryArray.from_arrays(pa.array((WHOLE % 3).astype(np.int8)), ["u", "v", "w"]),
    "in order": pa.DictionaryArray.from_arrays(
        pa.array((WHOLE % 3).astype(np.uint32)), ["low", "mid", "high"], ordered=True
    ),
    "half": pa.array(NORMAL.astype(np.float16)),
    "3e-8": pa.array(np.abs(NORMAL) * 3e-8),
    "1e-300": pa.array(NORMAL * 1e-300),
    "1e-310": pa.array(np.abs(NORMAL) * 1e-310),
    "1e307": pa.array(NORMAL * 1e307),
    "1e300": pa.array(10.0 ** (300 + NORMAL)),
    "one large": pa.array([*NORMAL[2:], 0.25, 1e306]),
    "milliseconds": pa.array(1_700_000_000_000 + WHOLE * 1001),
}


def with_gaps(cells: pa.Array) -> pa.Array:
    gaps = pa.array([None if i % 7 == 3 else i for i in range(N)])
    return cells.take(gaps)


@pytest.mark.parametrize("kind", ["double", "float", "halffloat", ""])
def test_a_zero_is_written_without_a_sign(kind: str) -> None:
    schema = Schema((Column("a", "continuous", kind),))
    cells = decode_table(np.array([[-0.0], [0.0], [-1e-60 if kind == "float" else -0.0]]), schema)["a"]
    assert not np.signbit(cells.to_numpy()).any()
    levels = infer_schema(pa.table({"a": [-0.0, 0.5] * N})).columns[0].levels
    assert [str(level) for level in levels] == ["0.0", "0.5"]


@pytest.mark.parametrize("name", ZOO)
def test_a_column_comes_back_as_it_was(name: str) -> None:
    table = pa.table({name: with_gaps(ZOO[name]), "x": NORMAL})
    schema = infer_schema(table)
    assert schema.columns[0].modelled
    codes = encode_table(table, schema).x
    again = decode_table(codes, schema)
    assert again.schema == table.schema
    assert again.to_pylist() == table.to_pylist()
    fit_marginals(schema, codes)
    whole = decode_table(np.where(np.isnan(codes), codes[:1], codes), schema)
    filled = fill_table(table, whole, schema)
    assert filled.schema == table.schema
    assert filled[name].null_count == 0
    kept = pa.array([i for i in range(N) if i % 7 != 3])
    assert filled.take(kept).to_pylist() == table.take(kept).to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.decimal128(5, 2), pa.decimal256(5, 2), pa.decimal32(5, 2), pa.decimal64(11, 9)),
        *(pa.decimal128(38, 10), pa.decimal128(15, 0), pa.decimal128(5, -2)),
        *(pa.float16(), pa.float32(), pa.int8(), pa.timestamp("ns")),
    ],
    ids=str,
)
def test_numbers_beyond_a_type_become_the_nearest_that_it_holds(kind: pa.DataType) -> None:
    type_ = "date" if pa.types.is_timestamp(kind) else "continuous"
    codes = np.array([[-1e39], [-1e39 / 3], [0.0], [1e39 / 3], [1e39]])
    cells = decode_table(codes, Schema((Column("c", type_, str(kind)),)))["c"].combine_chunks()
    assert cells.type == kind
    low, *_, high = (cells.cast(pa.int64()) if type_ == "date" else cells).to_pylist()
    assert low < 0 < high
    if pa.types.is_decimal(kind):
        most = Decimal(10**kind.precision - 1).scaleb(-kind.scale)
        assert abs(high - most) < most * Decimal("1e-15")
        assert low == -high
    elif pa.types.is_floating(kind):
        assert high == np.finfo(kind.to_pandas_dtype()).max


def test_intervals_of_pandas_are_left_out() -> None:
    """As ``pd.cut`` makes them: categories that are records."""
    table = pa.table(pandas.DataFrame({"bin": pandas.cut(NORMAL, 3), "x": NORMAL}))
    dataset = load_rows(table)
    assert dataset.schema is not None
    assert [column.type for column in dataset.schema.columns] == ["ignore", "continuous"]


def test_views_of_text(tmp_path: Path) -> None:
    polars.DataFrame({"text": TEXTS, "x": NORMAL}).write_ipc(tmp_path / "t.arrow")  # by polars' defaults
    assert infer_schema(read_table(tmp_path / "t.arrow")).columns[0].type == "categorical"


def test_whole_numbers_too_large_to_tell_apart_have_no_grid() -> None:
    table = pa.table({"x": DRAW.integers(2**60, 2**62, N), "y": 10.0 ** DRAW.uniform(280, 305, N)})
    for column in infer_schema(table).columns:
        assert column.step is None
        assert column.type in ("continuous", "positive")


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
@pytest.mark.parametrize("most", [2, 40, 2000])
def test_whole_numbers_too_close_to_tell_apart_are_left_out_and_said(kind: type, most: int) -> None:
    numbers = np.concatenate([[0, 1], DRAW.integers(0, most, N)]).astype(kind) + kind(2**60)
    table = pa.table({"x": numbers})
    schema = infer_schema(table)
    assert schema.columns == (Column("x", "ignore", np.dtype(kind).name),)
    assert "too close to tell apart" in schema.warnings[0]
    with pytest.raises(UserError, match="too close to tell apart"):
        load_rows(table)


@pytest.mark.parametrize(
    ("kind", "pair"),
    [
        (np.int64, (1_384_502_117_640_773_721, 1_384_502_117_641_039_978)),
        (np.int64, (-(2**62) - 1, 7)),
        (np.uint64, (3, 2**64 - 1)),
        (np.uint64, (2**63 + 5, 2**64 - 1)),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_two_whole_numbers_beyond_float64_are_levels_digit_by_digit(
    kind: type, pair: tuple[int, int], large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of two tenants with ids of 19 digits, which float64 rounds: no cell would be one of its levels."""
    numbers = np.array([pair[i % 2] for i in WHOLE], kind)
    table = pa.table({"tenant": numbers, "x": NORMAL, "same": numbers[:1].repeat(N)})
    pq.write_table(table, tmp_path / "t.parquet")
    if large:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("jensen.data.tables.batches.LARGE", 1)
    schema = load(str(tmp_path / "t.parquet")).schema
    assert schema is not None
    assert (schema.columns[0].type, schema.columns[0].levels) == ("binary", pair)
    codes = encode_table(table, schema, strict=True).x
    assert codes[:, 0].tolist() == [i % 2 for i in WHOLE]
    assert decode_table(codes, schema).equals(table)


@pytest.mark.parametrize(
    ("name", "kind"), [("refractive_index", "continuous"), ("customer_no", "ignore"), ("whole_key", "ignore")]
)
def test_only_whole_numbers_are_left_out_by_their_name(name: str, kind: str) -> None:
    numbers = {"continuous": NORMAL, "ignore": DRAW.permutation(10 * N)[:N] * 7}[kind]
    if name == "whole_key":
        numbers = numbers.astype(np.float64)  # as missing cells make them
    assert infer_schema(pa.table({name: numbers})).columns[0].type == kind


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1.0, float(i)] for i in WHOLE]),
        pa.array([{"a": int(i)} for i in WHOLE]),
        pa.array([dt.timedelta(seconds=int(i)) for i in WHOLE], pa.duration("s")),
        pa.array([bytes([int(i)]) for i in WHOLE]),
        pa.array([dt.date(2020, 1, 1 + int(i % 3)) for i in WHOLE]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array(WHOLE % 2), pa.array([{"left": 0}, {"left": 1}])),
    ],
    ids=str,
)
def test_what_has_no_model_is_left_out(cells: pa.Array) -> None:
    table = pa.table({"odd": cells, "x": NORMAL})
    schema = infer_schema(table)
    assert schema.columns[0].type == "ignore"
    assert "cells of type" in schema.warnings[0]
    assert load_rows(table).names == ()
    again = decode_table(encode_table(table, schema).x, schema)
    assert again.column_names == ["odd", "x"]
    assert again["odd"].null_count == N


@pytest.mark.parametrize(
    "value",
    [
        dt.date(2020, 1, 2),
        dt.datetime(2020, 1, 2, 3, 4, 5),
        pa.scalar(dt.datetime(2020, 1, 2, 3), pa.timestamp("ms", "Europe/Berlin")),
        Decimal("2.50"),
        "NL",
        True,
        7,
        0.1,
    ],
    ids=str,
)
def test_a_constant_stays(value: Any) -> None:
    scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value)
    table = pa.table({"always": pa.array([scalar.as_py()] * N, scalar.type), "x": NORMAL})
    schema = infer_schema(table)
    again = decode_table(encode_table(table, schema).x, schema)
    assert again.equals(table)


def test_a_constant_category_keeps_its_other_levels() -> None:
    indices = pa.array([1, None] * (N // 2), pa.int8())
    for ordered in (False, True):
        cells = pa.DictionaryArray.from_arrays(indices, ["never", "always"], ordered=ordered)
        table = pa.table({"c": cells, "x": NORMAL})
        again = decode_table(encode_table(table, infer_schema(table)).x, infer_schema(table))["c"]
        assert again.type == cells.type
        assert again.combine_chunks().dictionary.equals(cells.dictionary)
        assert again.to_pylist() == ["always"] * N


def warned(cells: list[str]) -> tuple[str, str]:
    schema = infer_schema(pa.table({"c": cells}))
    return schema.columns[0].type, " ".join(schema.warnings)


def test_texts_that_all_differ_are_left_out_of_small_tables_too() -> None:
    kind, said = warned([f"sample {i:02d}" for i in range(N)])
    assert kind == "ignore"
    assert "60 of its 60 cells are different texts, such as 'sample 00'" in said
    assert warned([f"sample {i // 2}" for i in range(N)]) == ("categorical", "")
    assert warned([f"sample {i}" for i in range(19)]) == ("categorical", "")


def test_numbers_with_signs_are_left_out_with_the_mend() -> None:
    kind, said = warned([f"${1000 + 7.25 * i:,.2f}" for i in range(200)])
    assert kind == "ignore"
    assert said.endswith(
        "such as '$1,000.00'; they look like numbers with '$' and ','; strip these and it will be read as a "
        "number"
    )


def test_percentages_that_become_levels_are_said() -> None:
    kind, said = warned([f"{90 + i % 7}%" for i in range(N)])
    assert kind == "categorical"
    assert said == (
        "column 'c' is categorical, but its cells look like numbers with '%'; strip this and it will be read "
        "as a number"
    )
    for plain in (["a%", "b%"], ["01", "02"], ["$", "%"], ["1,2", "3,4"]):
        assert warned(plain * N)[1] == ""


AMOUNTS = [251.46 - 37.75 * i for i in range(60)]
GERMAN = str.maketrans(".,", ",.")


@pytest.mark.parametrize(
    ("cells", "odd"),
    [
        ([f"({-x:.2f})" if x < 0 else f"{x:.2f}" for x in AMOUNTS], "(12.79)"),
        ([f"(${-x:,.2f})" if x < 0 else f"${x:,.2f}" for x in AMOUNTS], "$251.46"),
        ([f"{x:,.2f}".translate(GERMAN) for x in AMOUNTS], "-1.032,04"),
        ([f"{x:,.2f} €".translate(GERMAN) for x in AMOUNTS], "251,46 €"),
        ([f"{x:.2f}".replace(".", ",") for x in AMOUNTS], "251,46"),
        ([f"{x:,.2f}".replace(",", "\u202f") for x in AMOUNTS], "-1\u202f032.04"),
        ([f"{x:.1f}".replace("-", "\u2212") for x in AMOUNTS], "\u221212.8"),
        ([f"{i % 30 / 10:.1f}" if i % 30 > 4 else "<0.5" for i in range(60)], "<0.5"),
    ],
    ids=["accounts", "dollars", "points", "euro", "commas", "blanks", "minus", "detection limit"],
)
def test_numbers_written_otherwise_are_said_with_one_of_them(cells: list[str], odd: str) -> None:
    kind, said = warned(cells)
    assert kind == ("categorical" if odd == "<0.5" else "ignore")
    assert (
        f"look like numbers, but some, such as {odd!r}, are not written like 1234.5 or -1234.5; write" in said
    )


@pytest.mark.parametrize(
    "form", ["+49 297 {:07d}", "{:05d}", "{:03d} 123 456", "10.0.{}.{}", "{}-{}", "V{}", "{}a", "Ref {}"]
)
def test_codes_of_digits_are_not_said_to_look_like_numbers(form: str) -> None:
    assert "look like numbers" not in warned([form.format(7 * i, i) for i in range(60)])[1]
    assert warned([str(i % 12) for i in range(60)])[1] == ""  # text of Parquet: nothing to mend in it


@pytest.mark.parametrize("large", [False, True])
def test_whole_numbers_that_were_categories_in_pandas_are_levels(
    large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    codes = [30, 10, 20, 10] * 10
    frame = pandas.DataFrame({"code": pandas.Categorical(codes), "n": codes})
    frame.to_parquet(tmp_path / "t.parquet")
    if large:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("jensen.data.tables.batches.LARGE", 1)
    schema = load(str(tmp_path / "t.parquet")).schema
    assert schema is not None
    assert [(c.type, c.levels) for c in schema.columns] == [("categorical", (10, 20, 30)), ("count", ())]


def test_amounts_in_parentheses_do_not_name_the_rows(tmp_path: Path) -> None:
    rows = [f"({-x:.2f}),{i % 7}" if x < 0 else f"{x:.2f},{i % 7}" for i, x in enumerate(AMOUNTS)]
    (tmp_path / "t.csv").write_text("\n".join(["amount,n", *rows]) + "\n")
    assert load(str(tmp_path / "t.csv")).names == ()
