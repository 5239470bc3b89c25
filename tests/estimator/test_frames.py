"""Frames of every kind: rows come back with the labels and the types of the columns that were fitted."""

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

from jensen import VAEImputer, VAEOutlierDetector, VariationalAutoencoder

QUICK: dict[str, Any] = {"epochs": 1, "hidden": 8, "random_state": 0}
N = 60
DRAW = np.random.default_rng(0)
NUMBERS = DRAW.normal(size=(N, 3))


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]), ["a", "b", ""]], ids=str
)
def test_labels_of_columns(labels: Any) -> None:
    frame = pd.DataFrame(NUMBERS, columns=labels)
    new = VariationalAutoencoder(**QUICK).fit(frame).sample(2)
    assert new.columns.equals(frame.columns)
    gaps = frame.mask(DRAW.random(frame.shape) < 0.2)
    filled = VAEImputer(**QUICK).fit_transform(gaps)
    assert filled.columns.equals(frame.columns)
    assert not filled.isna().any().any()


@pytest.mark.filterwarnings("ignore:X. column 'period' is left out")
def test_types_of_pandas() -> None:
    frame = pd.DataFrame(
        {
            "Int64": pd.array(np.where(NUMBERS[:, 0] > 1, None, DRAW.poisson(3, N)), dtype="Int64"),
            "string": pd.array(DRAW.choice(["x", "y", None], N), dtype="string"),
            "levels": pd.Categorical(DRAW.choice(["a", "b"], N), categories=["b", "a", "c"], ordered=True),
            "numbers as levels": pd.Categorical(DRAW.choice([1, 2, 3], N)),
            "boolean": pd.array(DRAW.choice([True, False, None], N), dtype="boolean"),
            "moment": pd.Timestamp("2020-01-01", tz="Europe/Berlin")
            + pd.to_timedelta(DRAW.permutation(N), "h"),
            "period": pd.period_range("2020", periods=N, freq="M"),
            "small": DRAW.integers(0, 100, N).astype("int8"),
        }
    )
    new = VariationalAutoencoder(**QUICK).fit(frame).sample(5)
    assert (new.dtypes == frame.dtypes).all()
    filled = VAEImputer(**QUICK).fit_transform(frame)
    assert (filled.dtypes == frame.dtypes).all()
    for name in frame:
        there = frame[name].notna()
        assert (filled[name][there] == frame[name][there]).all()


def test_types_of_polars() -> None:
    frame = polars.DataFrame(
        {
            "enum": polars.Series(DRAW.choice(["x", "y"], N), dtype=polars.Enum(["y", "x", "z"])),
            "category": polars.Series(DRAW.choice(["x", "y"], N), dtype=polars.Categorical),
            "decimal": polars.Series(NUMBERS[:, 0].round(2)).cast(polars.Decimal(10, 2)),
            "small": polars.Series(DRAW.integers(0, 50, N)).cast(polars.Int8),
            "list": [[1]] * N,
        }
    )
    with pytest.warns(UserWarning, match="column 'list' is left out"):
        vae = VariationalAutoencoder(**QUICK).fit(frame)
    assert vae.sample(5).schema == frame.schema


@pytest.mark.parametrize("estimator", [VariationalAutoencoder, VAEImputer, VAEOutlierDetector])
def test_a_column_that_is_left_out_is_said_once(estimator: Any) -> None:
    frame = pd.DataFrame({"a": NUMBERS[:, 0], "kind": DRAW.choice(["x", "y"], N), "same": 7})
    with pytest.warns(UserWarning, match="left out") as said:
        estimator(**QUICK).fit(frame)
    assert [str(w.message) for w in said] == ["X: column 'same' is left out: it is always 7"]


def with_gaps() -> pd.DataFrame:
    frame = pd.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], "c": DRAW.choice(["x", "y"], N)})
    frame.loc[::4, "b"] = np.nan
    frame.loc[::5, "c"] = None
    return frame


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_indicators_of_frames(kind: str) -> None:
    pandas = with_gaps()
    frame = {"pandas": lambda f: f, "polars": polars.from_pandas, "pyarrow": pa.Table.from_pandas}[kind](
        pandas
    )
    imputer = VAEImputer(add_indicator=True, n_estimators=1, **QUICK)
    filled = imputer.fit_transform(frame)
    names = ["a", "b", "c", "missingindicator_b", "missingindicator_c"]
    assert list(imputer.get_feature_names_out()) == names
    if kind != "pandas":
        filled = filled.to_pandas()
    assert list(filled) == names
    assert (filled["missingindicator_b"] == pandas["b"].isna()).all()
    assert (filled["missingindicator_c"] == pandas["c"].isna()).all()
    if kind == "pandas":
        assert list(imputer.set_output(transform="pandas").transform(frame)) == names


def test_categories_that_are_not_used_or_not_there() -> None:
    frame = with_gaps().astype({"c": "category"})
    frame["one"] = pd.Categorical(np.where(DRAW.random(N) < 0.5, "u", None), categories=["u", "v"])
    imputer = VAEImputer(n_estimators=1, **QUICK)
    with pytest.warns(UserWarning, match="column 'one' is left out"):
        filled = imputer.fit_transform(frame)
    assert (filled.dtypes == frame.dtypes).all()
    assert not filled.isna().any().any()
    few = frame.assign(c=pd.Categorical(np.where(frame["c"] == "x", "x", None)))
    assert set(imputer.transform(few)["c"]) <= {"x", "y"}


@pytest.mark.parametrize("kind", ["array", "pandas"])
def test_unknown_categories_are_said(kind: str) -> None:
    x = np.stack([NUMBERS[:, 0], DRAW.integers(0, 2, N)], 1)
    new = np.where(x == 1.0, 5.0, x)
    frames = [pd.DataFrame(some, columns=["x0", "x1"]) if kind == "pandas" else some for some in (x, new)]
    imputer = VAEImputer(n_estimators=1, **QUICK).fit(frames[0])
    count = int((x[:, 1] == 1).sum())
    with pytest.warns(UserWarning, match=f"column 'x1' has {count} cells of categories"):
        imputer.transform(frames[1])


@pytest.mark.parametrize(
    "column",
    [np.ones(N) * 1j, pd.arrays.SparseArray(np.ones(N)), [1, "a"] * (N // 2)],
    ids=["1j", "sparse", "mixed"],
)
def test_what_cannot_be_cells(column: Any) -> None:
    with pytest.raises(ValueError, match="cannot be cells"):
        VariationalAutoencoder(**QUICK).fit(pd.DataFrame({"a": column, "x": NUMBERS[:, 0]}))
