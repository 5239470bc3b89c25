"""One column of data against draws of the model: how often each value occurs."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from jensen.data.arrays import Array
from jensen.data.tables.dates import DAY, in_days
from jensen.data.tables.schema import DISCRETE, Column
from jensen.report.style import ACCENT, MUTED, length, shortened

CUT = 0.005
"""Share of the numbers at either end that may lie outside a histogram."""
BARS = 40
"""Bars of a histogram of numbers, at most."""
NAMED = 12
"""Levels named under a panel, at most."""
NAME = 14
"""Letters of a level's name."""


def histogram(ax: Axes, data: Array, drawn: Array, column: Column | None) -> None:
    """Draw both into a panel; ``column`` says what the numbers of a table stand for."""
    data, drawn = data[~np.isnan(data)], drawn[~np.isnan(drawn)]  # a missing cell is in no bar
    ax.set_yticks([])
    if not len(data):
        return
    if column is not None and column.type in DISCRETE:
        _levels(ax, data, drawn, column)
        return
    step = 0.0 if column is None else column.step or 0.0
    if column is not None and column.type == "date":
        per_day = 1.0 if in_days(column) else 1.0 / DAY
        data, drawn, step = data * per_day, drawn * per_day, step * per_day
        locator = AutoDateLocator(minticks=2, maxticks=4)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    else:
        ax.locator_params(axis="x", nbins=4)
    edges = fitting_edges(data, step)
    width = edges[1] - edges[0]
    shares = [np.histogram(x, edges)[0] / (max(1, len(x)) * width) for x in (data, drawn)]
    ax.stairs(shares[0], edges, fill=True, color=MUTED, alpha=0.45, label="data")
    ax.stairs(shares[1], edges, color=ACCENT, linewidth=1.6, label="samples")


def fitting_edges(data: Array, step: float = 0.0) -> Array:
    """Edges of equal bars over all but the ends of the data.

    Where the data are multiples of a step (of 1 where they are whole numbers), edges lie half a step from
    them, and each bar holds as many of the possible values: others would show holes and spikes of their own.
    """
    low, high = (float(v) for v in np.quantile(data, [CUT, 1 - CUT]))
    bars = int(np.clip(2 * len(data) ** (1 / 3), 5, BARS))
    if not step and bool((data == np.round(data)).all()):
        step = 1.0
    if step:
        first, last = np.floor(low / step), np.ceil(high / step)
        count = last - first + 1
        width = 1 if count <= BARS else np.ceil(count / bars)
        return np.asarray((first - 0.5 + width * np.arange(np.ceil(count / width) + 1)) * step)
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # a constant column
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bars + 1)


def _levels(ax: Axes, data: Array, drawn: Array, column: Column) -> None:
    """A bar for each level, filled for the data and outlined for the draws."""
    count = len(column.levels)
    shares = [np.bincount(x.astype(int), minlength=count)[:count] / max(1, len(x)) for x in (data, drawn)]
    style: dict[str, Any] = {"width": 0.8, "linewidth": 0}
    ax.bar(range(count), shares[0], color=MUTED, alpha=0.45, label="data", **style)
    style["linewidth"] = 1.6 if count <= BARS else 0.8
    ax.bar(range(count), shares[1], color="none", edgecolor=ACCENT, label="samples", **style)
    ax.set_xlim(-0.75, max(count, 2) - 0.25)
    named = _named(shares[0])
    ax.set_xticks(named, [level_name(column, number) for number in named])
    ax.tick_params(axis="x", length=0)
    if sum(length(level_name(column, number)) + 2 for number in named) > 30:
        ax.tick_params(axis="x", rotation=90 if len(named) > 6 else 40, labelsize=9.5)
        for label in ax.get_xticklabels():
            label.set_horizontalalignment("center" if len(named) > 6 else "right")
            label.set_rotation_mode("default" if len(named) > 6 else "anchor")


def _named(shares: Array) -> list[int]:
    """Which levels to name: all where they are few, else the most frequent that leave each other room."""
    apart = -(-len(shares) // NAMED)
    named: list[int] = []
    for number in np.argsort(-shares, kind="stable").tolist():
        if all(abs(number - other) >= apart for other in named):
            named.append(number)
    return sorted(named)


def level_name(column: Column, number: int) -> str:
    """What a level is called, as it is written in the data, cut to what a panel has room for."""
    level = column.levels[number]
    return shortened(str(level).lower() if isinstance(level, bool) else str(level), NAME)
