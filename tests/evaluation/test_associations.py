"""Associations against scipy, against their definitions by hand, and where the answer is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr
from scipy.stats.contingency import association, crosstab

from jensen.data.arrays import Array
from jensen.evaluation.associations import agreement, associations
from tests.chance import within_chance


def pair(x: Array, y: Array, *nominal: bool) -> float:
    found = associations(np.column_stack([x, y]).astype(float), np.array(nominal))
    assert found[0, 1] == found[1, 0] or np.isnan(found[0, 1])
    return float(found[0, 1])


def by_hand(x: Array, y: Array, *nominal: bool) -> float:
    """One pair as its definition has it, with loops; ranks among all cells of a column."""
    both = ~np.isnan(x) & ~np.isnan(y)
    ranks = [rankdata(v, nan_policy="omit")[both] for v in (x, y)]
    x, y = x[both], y[both]
    n = len(x)
    if not any(nominal):
        return float(np.corrcoef(*ranks)[0, 1])
    if not all(nominal):
        groups, ranked = (x, ranks[1]) if nominal[0] else (y, ranks[0])
        means = {g: ranked[groups == g].mean() for g in set(groups)}
        within = sum((r - means[g]) ** 2 for r, g in zip(ranked, groups, strict=True))
        squared = 1 - within / ((ranked - ranked.mean()) ** 2).sum() * (n - 1) / (n - len(means))
        return math.sqrt(max(0.0, squared))
    table = crosstab(x, y).count
    expected = table.sum(1, keepdims=True) * table.sum(0) / n
    phi2 = ((table - expected) ** 2 / expected).sum() / n
    r, k = table.shape
    corrected = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    r_, k_ = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    return math.sqrt(corrected / min(r_ - 1, k_ - 1))


def mixed(rows: int, *, missing: float = 0.0) -> tuple[Array, Array]:
    """Columns that share a cause: numbers, with and without ties, two levels, and levels without order."""
    draws = np.random.default_rng(0)
    cause = draws.normal(size=rows)

    def noisy() -> Array:
        return cause + draws.normal(size=rows)

    levels = [np.digitize(noisy(), edges).astype(float) for edges in ([0], [-1, 0.5], np.linspace(-2, 2, 9))]
    x = np.column_stack([noisy(), np.round(noisy()), np.exp(-noisy()), *levels, draws.integers(0, 4, rows)])
    x[draws.random(x.shape) < missing] = np.nan
    return x, np.array([False, False, False, False, True, True, True])


def test_columns_with_an_order_have_spearmans_correlation() -> None:
    x, nominal = mixed(200)
    ordered = x[:, ~nominal]
    found = associations(ordered, np.zeros(ordered.shape[1], dtype=bool))
    np.testing.assert_allclose(found, spearmanr(ordered).statistic, atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("rows", [30, 400])
def test_every_pair_is_as_defined_on_the_rows_that_have_both_cells(rows: int, missing: float) -> None:
    x, nominal = mixed(rows, missing=missing)
    found = associations(x, nominal)
    np.testing.assert_array_equal(found, found.T)
    for i in range(len(nominal)):
        for j in range(i + 1, len(nominal)):
            expected = by_hand(x[:, i], x[:, j], bool(nominal[i]), bool(nominal[j]))
            assert found[i, j] == pytest.approx(expected, abs=1e-9), (i, j)


def test_v_of_a_small_table() -> None:
    counts = np.array([[30, 10, 10], [10, 20, 20]])
    x, y = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    phi2 = float(association(counts, method="cramer", correction=False)) ** 2  # min(r, k) - 1 is 1
    # Cells are 10, 5 and 5 off the expected 20, 15 and 15: chi^2 = 2 (100/20 + 25/15 + 25/15).
    assert phi2 == pytest.approx(1 / 6, abs=1e-12)
    expected = math.sqrt((phi2 - 2 / 99) / (1 - 1 / 99))
    assert pair(x, y, True, True) == pytest.approx(expected, abs=1e-12)


def test_a_column_of_two_levels_keeps_its_sign() -> None:
    x = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    assert pair(x, 1 - x, False, False) == -1
    y = np.array([1, 0, 1, 0, 0, 0, 1, 1])
    phi = np.corrcoef(x, y)[0, 1]
    assert pair(x, y, False, False) == pytest.approx(phi, abs=1e-12)


def test_what_determines_the_other_has_one_and_order_has_its_sign() -> None:
    x, nominal = mixed(100)
    for number, unordered in enumerate(nominal):
        assert pair(x[:, number], x[:, number], unordered, unordered) == pytest.approx(1, abs=1e-12)
    assert pair(x[:, 0], -np.exp(x[:, 0]), False, False) == pytest.approx(-1, abs=1e-12)
    groups = np.arange(100) % 5
    assert pair(groups, 3.0 - (groups - 2.0) ** 2, True, False) == pytest.approx(1, abs=1e-12)
    renamed = np.array([7, 3, 5, 4, 9])[groups]
    assert pair(groups, renamed, True, True) == pytest.approx(1, abs=1e-12)


def _with_its_sign(x: Array, y: Array) -> float:
    """The square before it is cut at 0, whose mean is 0: of levels and a number, by hand."""
    n, k, ranks = len(x), len(set(x)), rankdata(y)
    between = sum((ranks[x == g].mean() - ranks.mean()) ** 2 * (x == g).sum() for g in set(x))
    return float(1 - (1 - between / ((ranks - ranks.mean()) ** 2).sum()) * (n - 1) / (n - k))


def test_independent_columns_have_about_none() -> None:
    draws = np.random.default_rng(1)
    rows, many = 400, 200
    x = np.column_stack([draws.normal(size=(rows, many)), draws.integers(0, 30, (rows, many))])
    nominal = np.arange(2 * many) >= many
    found = associations(x, nominal)
    first, second = np.arange(0, many, 2), np.arange(1, many, 2)  # of each column once: independent pairs
    assert within_chance(torch.from_numpy(found[first, second]), 0.0, tests=2)
    assert np.abs(found[first, second]).max() < 6 / math.sqrt(rows)
    squares = [_with_its_sign(x[:, many + i], x[:, i]) for i in range(many)]
    assert within_chance(torch.tensor(squares, dtype=torch.float64), 0.0, tests=2)
    expected = np.sqrt(np.clip(squares, 0, None))
    np.testing.assert_allclose(found[np.arange(many), many + np.arange(many)], expected, atol=1e-9)
    # Without the correction of bias V would be about sqrt(29/400) = 0.27 everywhere.
    assert found[many + first, many + second].mean() < 0.06


@pytest.mark.parametrize(
    ("column", "unordered"),
    [
        (lambda n: np.full(n, 4.0), False),
        (lambda n: np.full(n, 4.0), True),
        (lambda n: np.arange(n), True),
        (lambda n: np.full(n, np.nan), False),
        (lambda n: np.full(n, np.nan), True),
        (lambda n: np.where(np.arange(n) < 2, np.arange(n), np.nan), False),
    ],
    ids=["constant", "one level", "a level a row", "no cell", "no level", "two cells"],
)
def test_a_column_that_shows_nothing_has_no_value_and_leaves_the_others(
    column: Callable[[int], Array], unordered: bool
) -> None:
    x, nominal = mixed(50)
    found = associations(np.column_stack([x, column(50)]), np.append(nominal, unordered))
    assert np.isnan(found[-1]).all()
    assert np.isnan(found[:, -1]).all()
    np.testing.assert_array_equal(found[:-1, :-1], associations(x, nominal))


def test_a_column_that_is_constant_where_the_other_is_there_has_no_value_with_it() -> None:
    x = np.array([1.0, 1, 1, 1, 2, 3, 4, 5])
    y = np.array([3.0, 1, 4, 2, *[np.nan] * 4])
    for kinds in ((False, False), (False, True), (True, False), (True, True)):
        assert math.isnan(pair(x, y, *kinds)), kinds


def test_agreement_is_the_mean_difference_and_says_where_it_is_worst() -> None:
    x, nominal = mixed(900)
    test, training, drawn = x[:300], x[300:600], x[600:].copy()
    drawn[:, 2] = np.random.default_rng(2).permutation(drawn[:, 2])  # goes with nothing any more
    found = agreement(test, drawn, training, nominal)
    assert found is not None
    real, made, seen = (associations(rows, nominal) for rows in (test, drawn, training))
    upper = np.triu_indices(len(nominal), 1)
    assert len(found.pairs) == 21
    assert found.error == pytest.approx(np.abs(made - real)[upper].mean(), abs=1e-12)
    assert found.chance == pytest.approx(np.abs(seen - real)[upper].mean(), abs=1e-12)
    assert all(2 in pair for pair in found.worst(3))
    record = found.to_dict(list("abcdefg"))
    assert record["mean_difference"] == found.error
    assert record["mean_difference_of_training_rows"] == found.chance
    i, j = found.worst(1)[0]
    assert record["worst"][0] == {
        "columns": ["abcdefg"[i], "abcdefg"[j]],
        "test": real[i, j],
        "drawn": made[i, j],
        "training": seen[i, j],
    }
    assert len(record["worst"]) <= 10


def test_pairs_without_a_value_are_left_out_in_data_and_count_as_nothing_in_draws() -> None:
    x, nominal = mixed(60)
    test, drawn = x[:30].copy(), x[30:].copy()
    test[:, 0] = 1.0
    drawn[:, 1] = 1.0
    found = agreement(test, drawn, x[30:], nominal)
    assert found is not None
    assert not (found.pairs == 0).any()
    assert len(found.pairs) == 15
    real, made = associations(test, nominal), associations(drawn, nominal)
    made[1], made[:, 1] = 0, 0
    i, j = found.pairs.T
    assert found.error == pytest.approx(np.abs(made - real)[i, j].mean(), abs=1e-12)


def test_two_columns_that_are_given_are_no_pair() -> None:
    x, nominal = mixed(60)
    found = agreement(x[:20], x[20:40], x[40:], nominal, given=[1, 4, 5])
    assert found is not None
    assert len(found.pairs) == 21 - 3
    assert agreement(x[:20, :2], x[20:40, :2], x[40:, :2], nominal[:2], given=[0, 1]) is None
    assert agreement(x[:1], x[1:30], x[30:], nominal) is None
    assert agreement(x[:20, :1], x[20:40, :1], x[40:, :1], nominal[:1]) is None
