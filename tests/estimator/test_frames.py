"""Frames of every kind: rows come back with the labels and the types of the columns that were fitted."""

from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest

from jensen import VAEImputer, VariationalAutoencoder

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
    assert VariationalAutoencoder(**QUICK).fit(frame).sample(5).schema == frame.schema


@pytest.mark.parametrize(
    "column",
    [np.ones(N) * 1j, pd.arrays.SparseArray(np.ones(N)), [1, "a"] * (N // 2)],
    ids=["1j", "sparse", "mixed"],
)
def test_what_cannot_be_cells(column: Any) -> None:
    with pytest.raises(ValueError, match="cannot be cells"):
        VariationalAutoencoder(**QUICK).fit(pd.DataFrame({"a": column, "x": NUMBERS[:, 0]}))
