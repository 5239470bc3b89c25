"""Rows of columns in one panel: which columns stand on its axis, in what units, and what they are called."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.tables.schema import Schema
from jensen.data.words import count
from jensen.report.look import Look
from jensen.report.style import length, plain, shortened, whole_ticks

MARKED = 40
"""Up to so many columns, values are marked and not only joined."""
MOST = 30
"""Columns that have no order among them: up to so many are shown."""
ABREAST = 40
"""Letters that stand side by side under a panel."""
NAME = 14
"""Letters of a column's name under a panel."""


@dataclass(frozen=True)
class ColumnAxis:
    """The columns that the panels of a figure share.

    Attributes:
        columns: which are shown.
        mean: of each column of a row, and
        spread: what to divide by: 0 and 1 but for tables.
        names: under the panel; None for columns of a signal, which are numbered from 0 and joined by a line.
        unit: of the values.
        words: of it all, for the caption.
    """

    columns: Array
    mean: Array
    spread: Array
    names: list[str] | None
    unit: str
    words: str

    def draw(self, ax: Axes, x: Tensor, **style: Any) -> None:
        """One row, in the model's domain."""
        values = x.double().flatten().numpy()[: len(self.mean)]
        shown = ((values - self.mean) / self.spread)[self.columns]
        joined = self.names is None
        ax.plot(
            np.arange(len(shown)),
            shown,
            marker="o" if not joined or len(shown) <= MARKED else "",
            **{**style, "linewidth": style["linewidth"] if joined else 0},
        )

    def label(self, ax: Axes, *, outer: bool) -> None:
        """Names or numbers of the columns; at the left of the figure, the unit too."""
        if outer:
            ax.set_ylabel(self.unit)
        if self.names is None:
            ax.set_xlabel("column, from 0 on")
            whole_ticks(ax)
            return
        ax.set_xticks(range(len(self.names)), self.names, rotation=90 if self.tall else 0, fontsize=9)
        ax.set_xlim(-0.75, len(self.names) - 0.25)
        ax.grid(visible=True, axis="x")
        ax.tick_params(axis="x", length=0)

    @property
    def tall(self) -> bool:
        """Whether the names have no room side by side."""
        return sum(length(name) + 2 for name in self.names or ()) > ABREAST

    @property
    def name_height(self) -> float:
        """Pixels that the names need."""
        return 5.5 * max(map(length, self.names)) if self.names and self.tall else 0.0


def axis_of(look: Look, moving: Tensor) -> ColumnAxis:
    """The axis for rows of these data; of many columns without an order, for those that ``moving`` move most.

    The columns of a table and of counts (genes, words) have no order, so no line joins them.
    """
    schema, size = look.run.schema, math.prod(look.run.event_shape)
    moved = moving.double().flatten(1).numpy()[:, :size]  # a label that was given is no value
    mean, spread = np.zeros(size), np.ones(size)
    if schema is not None:  # each in its own standard deviations from its own mean
        cells = np.ma.masked_invalid(look.compared.double().flatten(1).numpy())
        reach = np.ma.masked_equal(np.ma.ptp(cells, 0), 0.0)  # of a column that varies; others have no unit
        mean, spread = cells.mean(0).filled(np.nan), (reach * (cells / reach).std(0)).filled(np.nan)
    columns, names, words = np.arange(size), None, _units(look)
    if schema is not None or look.preparation.support == "count":
        moves = (moved / spread).var(0)
        columns = np.sort(np.argsort(-moves, kind="stable")[:MOST])
        every = look.run.names
        names = [shortened(every[column], NAME) for column in columns]
        if size > MOST:
            words = f"Of {plain(size, 0)} columns, the {MOST} that move most. " + words
    return ColumnAxis(columns, mean, spread, names, _unit(look), words)


def has_levels(schema: Schema | None) -> bool:
    """Whether some columns hold levels, not numbers."""
    return schema is not None and any(not column.numeric for column in schema.modelled)


def _unit(look: Look) -> str:
    if look.run.schema is not None:
        return "standard deviations"
    return "value" if look.run.settings.scaling == "none" else "scaled value"


def _units(look: Look) -> str:
    if look.run.schema is not None:
        levels = ", categories by number" if has_levels(look.run.schema) else ""
        rows = (
            "the test rows"
            if look.compared is look.x
            else f"{count(len(look.compared), 'row')} of all splits"
        )
        unit = f"standard deviations from their mean over {rows}{levels}"
        return f"Columns are in {unit}; those that do not vary there are empty. "
    if look.run.settings.scaling == "none":
        return ""
    return "Values are scaled as the model sees them, so that columns of different units share an axis. "
