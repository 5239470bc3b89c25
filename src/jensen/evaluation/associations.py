"""Associations between the columns of a table, pair by pair, and how well drawn rows keep them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from jensen.data.arrays import Array

FEWEST = 3
"""Rows that a pair needs: any two rows agree perfectly."""
WORST = 10
"""Pairs in the record."""
LEAST_SPREAD = 0.1
"""Ranks that are not all equal spread by 1/8 or more: two of them, half a rank apart."""


def associations(x: Array, nominal: Array) -> Array:
    """How strongly each two columns go together, ``[C, C]``: 0 not at all, 1 or -1 wholly.

    - two columns with an order: Spearman's rank correlation (1904), in [-1, 1];
    - two without one: Cramér's V, corrected for the bias of small samples (Bergsma 2013), in [0, 1];
    - one of each: the correlation ratio of the ranks, ``eta^2 = between groups / total``, corrected for the
      same bias, ``1 - (1 - eta^2) (n - 1)/(n - k)`` of k groups (Kelley 1935), and its root, in [0, 1].

    A column of two levels has an order: its sign says which of them goes with what. Ranks are among all cells
    of a column, equal cells sharing the mean of theirs; each pair then rests on the n rows where both cells
    are there.

    Args:
        x: codes ``[N, C]``, NaN for a missing cell.
        nominal: which columns are codes of levels without an order, ``[C]`` of bool.

    Returns:
        Symmetric; NaN where there is no value: fewer than `FEWEST` rows, a column with one value among them,
        or one without an order that has another level in every row.
    """
    there, ordered = (~np.isnan(x)).astype(float), ~nominal
    ranks = rankdata(x[:, ordered], axis=0, nan_policy="omit")
    # From their mean, so that equal columns have the very same sums; a missing cell adds to none.
    ranks = np.nan_to_num(ranks - (1 + there[:, ordered].sum(0)) / 2)
    levels = _Levels.of(x[:, nominal])
    found = np.full((x.shape[1], x.shape[1]), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # where there is no value
        found[np.ix_(ordered, ordered)] = _spearman(ranks, there[:, ordered])
        ratio = _ratio(levels, ranks, there[:, nominal], there[:, ordered])
        found[np.ix_(nominal, ordered)], found[np.ix_(ordered, nominal)] = ratio, ratio.T
        found[np.ix_(nominal, nominal)] = _cramer(levels, there[:, nominal])
    found[there.T @ there < FEWEST] = np.nan
    return ((found + found.T) / 2).clip(-1, 1)  # but for rounding they are so already


@dataclass(frozen=True)
class _Levels:
    """Columns without an order, as zeros and ones.

    Attributes:
        cells: whether a row has a level, ``[N, S]``, the levels of all columns side by side.
        owner: whether a column has a level, ``[C, S]``.
        column: of each level, ``[S]``.
    """

    cells: Any
    owner: Any
    column: Array

    @staticmethod
    def of(x: Array) -> "_Levels":
        """Of codes ``[N, C]``."""
        rows, levels, column = [], [], np.zeros(0, dtype=int)
        for number, codes in enumerate(x.T):
            there = np.flatnonzero(~np.isnan(codes))
            values, places = np.unique(codes[there], return_inverse=True)
            rows.append(there)
            levels.append(len(column) + places)
            column = np.append(column, np.full(len(values), number))
        where = (np.concatenate([*rows, column[:0]]), np.concatenate([*levels, column[:0]]))
        cells = sparse.csr_array((np.ones(len(where[0])), where), shape=(len(x), len(column)))
        owned = (column, np.arange(len(column)))
        owner = sparse.csr_array((np.ones(len(column)), owned), shape=(x.shape[1], len(column)))
        return _Levels(cells, owner, column)


def _spearman(ranks: Array, there: Array) -> Array:
    """Correlation of ranks ``[N, C]``, 0 where a cell is missing, over the rows that two columns share."""
    n, sums = there.T @ there, ranks.T @ there  # of i's ranks, over the rows that it shares with j
    spread = (ranks**2).T @ there - sums**2 / n
    spread[spread < LEAST_SPREAD] = np.nan
    found: Array = (ranks.T @ ranks - sums * sums.T / n) / np.sqrt(spread * spread.T)
    return found


def _ratio(levels: _Levels, ranks: Array, nominal: Array, ordered: Array) -> Array:
    """Corrected correlation ratios of ranks ``[N, C]`` by groups of rows, ``[groupings, C]``."""
    n, sums, size = nominal.T @ ordered, nominal.T @ ranks, levels.cells.T @ ordered
    spread = nominal.T @ ranks**2 - sums**2 / n
    spread[spread < LEAST_SPREAD] = np.nan
    between = levels.owner @ ((levels.cells.T @ ranks) ** 2 / size.clip(min=1)) - sums**2 / n
    k = levels.owner @ (size > 0)
    squared = 1 - (1 - between / spread) * (n - 1) / (n - k)
    return np.where((k > 1) & (k < n), np.sqrt(squared.clip(min=0)), np.nan)


def _cramer(levels: _Levels, there: Array) -> Array:
    """Corrected V, from ``phi^2 = chi^2/n = sum n_ab^2/(n_a n_b) - 1`` over the cells of each two columns."""
    n, size = there.T @ there, levels.cells.T @ there  # of each level, beside each column
    both = (levels.cells.T @ levels.cells).tocoo()
    i, j = levels.column[both.row], levels.column[both.col]
    terms = both.data**2 / (size[both.row, j] * size[both.col, i])
    phi = np.bincount(i * len(n) + j, terms, len(n) ** 2).reshape(n.shape) - 1
    k = levels.owner @ (size > 0)  # levels of i that occur beside j
    by_chance = (k - 1) * (k.T - 1) / (n - 1)
    most = (k - 1) * (n - k) / (n - 1)  # k - 1 less its own bias; none where every row has its own level
    most = np.minimum(most, most.T)
    return np.where(most > 0, np.sqrt((phi - by_chance).clip(min=0) / most), np.nan)


@dataclass(frozen=True)
class Agreement:
    """Associations among drawn rows beside those among real ones.

    Attributes:
        test: among rows held out, ``[C, C]``, and
        drawn: among draws of the model, and
        training: among as many training rows; NaN where there is no value.
        pairs: the places of the pairs compared, ``[P, 2]``: those with a value among the test rows.
        rows: how many of each kind.
    """

    test: Array
    drawn: Array
    training: Array
    pairs: Array
    rows: dict[str, int]

    @property
    def error(self) -> float:
        """Mean absolute difference of draws and test rows; a pair without a value in draws counts as 0."""
        return float(self._differences(self.drawn).mean())

    @property
    def chance(self) -> float:
        """The same of training rows and test rows: what draws of the true distribution would differ by."""
        return float(self._differences(self.training).mean())

    def worst(self, count: int) -> list[tuple[int, int]]:
        """The pairs in which draws are further from the test rows than training rows are, most so first.

        That is what each adds to `error` - `chance`: of few rows the largest differences are chance's.
        """
        excess = self._differences(self.drawn) - self._differences(self.training)
        order = np.argsort(-excess, kind="stable")[: min(count, int((excess > 0).sum()))]
        return [(int(i), int(j)) for i, j in self.pairs[order]]

    def _differences(self, other: Array) -> Array:
        i, j = self.pairs.T
        found: Array = np.abs(np.nan_to_num(other[i, j]) - self.test[i, j])
        return found

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """A record for JSON, with the names of the columns."""
        kinds = {"test": self.test, "drawn": self.drawn, "training": self.training}
        return {
            "rows": self.rows,
            "pairs": len(self.pairs),
            "mean_difference": self.error,
            "mean_difference_of_training_rows": self.chance,
            "worst": [
                {"columns": [names[i], names[j]], **{kind: float(x[i, j]) for kind, x in kinds.items()}}
                for i, j in self.worst(WORST)
            ],
        }


def agreement(
    test: Array, drawn: Array, training: Array, nominal: Array, given: Sequence[int] = ()
) -> Agreement | None:
    """How well draws keep the associations of the data, beside what chance alone does.

    Args:
        test: codes of rows held out, ``[N, C]``.
        drawn: of draws, and
        training: of training rows; of both as many, so that chance has the same part in each.
        nominal: which columns are codes of levels without an order, ``[C]`` of bool.
        given: places of columns that the model does not draw; pairs among these are not compared.

    Returns:
        None where no pair has a value among the test rows.
    """
    held, made, seen = (associations(x, nominal) for x in (test, drawn, training))
    ours = ~np.isin(np.arange(len(nominal)), given)
    compared = np.isfinite(held) & (ours[:, None] | ours)
    pairs = np.argwhere(np.triu(compared, 1))
    rows = {"test": len(test), "drawn": len(drawn), "training": len(training)}
    return Agreement(held, made, seen, pairs, rows) if len(pairs) else None
