"""What is fixed about each column before training: its levels, or the scale and the atoms of its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from jensen.data.arrays import Array
from jensen.data.tables.schema import Column, Schema

MOST_KNOTS = 64
ROWS_PER_KNOT = 25
"""A knot of the scale for so many rows: fewer would carry the noise of the quantiles into the density."""
ROWS_PER_TAIL_KNOT = 10
"""Rows that must lie beyond a knot of the tails: there, knots halve what is left, as heavy tails need."""
MOST_ATOMS = 128
MOST_FLAT = 1000
"""Levels of a column beyond which they are modelled in groups: a decoder's outputs, and its time, grow with
their square root then."""
ATOM_SHARE = 0.001
ATOM_COUNT = 10
"""A value is an atom when at least so great a share of the rows, and so many rows, have it."""
ATOM_EXCESS = 4.0
"""And when it is so many times as frequent as the values around it; or"""
ATOM_ENOUGH = 30
"""when so many rows have it: fewer do not tell a decoder when to choose it, as it knows of no neighbours."""
SAMPLED = 200_000
"""Rows that the scale is fitted to, drawn evenly, where there are more."""


_ARRAYS = ("shares", "knots", "scores", "atoms")


@dataclass(frozen=True, eq=False)
class Marginal:
    """One modelled column.

    Attributes:
        name: its name.
        levels: how many levels it has; 0 for numbers.
        shares: of the rows, for each level or atom: where a decoder starts from.
        step: what its numbers are multiples of; 0 for none.
        low: the lowest number that is possible; -inf for none.
        log: whether the scale acts on the logarithm.
        knots: float64, ascending.
        scores: normal scores of the knots, float64, ascending.
        atoms: values with a probability of their own, ascending.
        grouped: whether a decoder chooses a group of levels first, and then one of its members.
    """

    name: str
    levels: int = 0
    shares: Array = field(default_factory=lambda: np.zeros(0))
    step: float = 0.0
    low: float = -np.inf
    log: bool = False
    knots: Array = field(default_factory=lambda: np.zeros(0))
    scores: Array = field(default_factory=lambda: np.zeros(0))
    atoms: Array = field(default_factory=lambda: np.zeros(0))
    grouped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A record for YAML, exact to the last bit."""
        record: dict[str, Any] = {"name": self.name}
        if self.levels:
            record["levels"] = self.levels
            if self.grouped:
                record["grouped"] = True
        else:
            record |= {"step": self.step, "log": self.log}
        if np.isfinite(self.low):
            record["low"] = self.low
        arrays = {key: getattr(self, key) for key in _ARRAYS}
        return record | {key: array.tolist() for key, array in arrays.items() if key == "atoms" or len(array)}

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "Marginal":
        """The inverse of `to_dict`."""
        values = dict(record)
        for key in _ARRAYS:
            if key in values:
                values[key] = np.asarray(values[key], dtype=np.float64)
        return Marginal(**values)


def fit_marginal(column: Column, codes: Array) -> Marginal:
    """The scale and the atoms of one column from the codes ``[n]`` of training rows, NaN where missing."""
    values = codes[~np.isnan(codes)]
    if not column.numeric:
        levels = max(2, len(column.levels))
        counts = np.bincount(values.astype(np.int64), minlength=levels) + 0.5  # none is impossible
        return Marginal(column.name, levels, counts / counts.sum(), grouped=levels > MOST_FLAT)
    values = values[:: max(1, len(values) // SAMPLED)]
    step = column.step or 0.0
    low = 0.0 if column.type == "count" or (column.type == "positive" and step) else -np.inf
    if column.type == "positive" and step:
        low = step  # the lowest multiple above zero
    log = column.type == "positive" and not step
    atoms = _atoms(values, step)
    alone = values[~np.isin(values, atoms)]
    # Where nearly all values are atoms, the few others do not show the scale: take them all.
    knots, scores = _scale(alone if len(alone) >= ROWS_PER_KNOT else values, step, log)
    shares = (values[:, None] == atoms).mean(0) if len(values) else np.zeros(0)
    return Marginal(column.name, 0, shares, step, low, log, knots, scores, atoms)


def _atoms(values: Array, step: float) -> Array:
    """The most frequent values, if frequent enough by themselves or next to those around them, ascending."""
    distinct, counts = np.unique(values, return_counts=True)
    frequent = counts >= max(ATOM_COUNT, ATOM_SHARE * len(values))
    frequent &= (counts >= ATOM_ENOUGH) | (counts >= ATOM_EXCESS * _usual(distinct, counts, step))
    distinct, counts = distinct[frequent], counts[frequent]
    most: Array = np.sort(distinct[np.argsort(-counts, kind="stable")[:MOST_ATOMS]])
    return most


def _usual(distinct: Array, counts: Array, step: float) -> Array:
    """How many rows each value would have if it were like the two below it and the two above.

    Their rows, over the places for values there, a ``step`` (or the median gap) apart.
    """
    if len(distinct) < 2:
        return np.zeros(len(distinct))
    last = len(distinct) - 1
    places = np.arange(len(distinct))
    low, high = (places - 2).clip(0), (places + 2).clip(max=last)
    total = np.concatenate([[0], counts.cumsum()])
    around = total[high + 1] - total[low] - counts
    gap = step or float(np.median(np.diff(distinct)))
    usual: Array = around / ((distinct[high] - distinct[low]) / gap).clip(1.0)
    return usual


def _scale(values: Array, step: float, log: bool) -> tuple[Array, Array]:
    """Knots and their normal scores: quantiles of the values, spread over their cells."""
    if len(values) == 0:
        values = np.zeros(1)
    spread = values
    if step:  # the middle of each value's share of its cell, so that no two quantiles coincide for sure
        order = np.argsort(values, kind="stable")
        rank = np.empty(len(values))
        ordered = values[order]
        first = np.searchsorted(ordered, ordered, "left")
        last = np.searchsorted(ordered, ordered, "right")
        rank[order] = (np.arange(len(values)) - first + 0.5) / (last - first)
        spread = values + (rank - 0.5) * step
    if log:
        spread = np.log(spread)
    count = int(np.clip(len(spread) // ROWS_PER_KNOT, 2, MOST_KNOTS))
    ends = min(0.25, 0.5 / len(spread))
    tail = 0.5 ** np.arange(30, 0, -1) / count
    tail = tail[tail * len(spread) >= ROWS_PER_TAIL_KNOT]
    body = np.arange(1, count) / count
    probabilities = np.concatenate([[ends], tail, body, 1 - tail[::-1], [1 - ends]])
    knots, kept = np.unique(np.quantile(spread, probabilities), return_index=True)
    scores = torch.special.ndtri(torch.from_numpy(probabilities[kept])).numpy()
    wide = np.concatenate([[True], np.diff(knots) > 1e-9 * max(1e-300, float(np.ptp(knots)))])
    knots, scores = knots[wide], scores[wide]
    if len(knots) < 2:  # one value only: a scale of its own size
        unit = step or max(1.0, abs(float(knots[0]))) * 1e-3
        knots, scores = np.array([knots[0] - unit, knots[0] + unit]), np.array([-1.0, 1.0])
    return knots, scores


def fit_marginals(schema: Schema, codes: Array) -> tuple[Marginal, ...]:
    """What the codes ``[N, C]`` of training rows say of each modelled column."""
    columns = zip(schema.modelled, np.asarray(codes).T, strict=True)
    return tuple(fit_marginal(column, values) for column, values in columns)
