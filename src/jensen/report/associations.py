"""Picture of how columns go together, in data and in draws."""

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from jensen.data.arrays import Array
from jensen.data.words import few
from jensen.evaluation.associations import Agreement
from jensen.report.look import Look
from jensen.report.style import (
    INK,
    LINE,
    PAPER,
    WIDTH,
    Picture,
    canvas,
    counted,
    length,
    plain,
    shortened,
    to_svg,
)

SHOWN = 30
"""Columns in the picture, at most."""
NUMBERED = 15
"""Up to so many, values stand in the cells."""
NAME = 18
"""Letters of a column's name."""
LETTER = 6.5
"""Pixels of one of them."""
CELL = 48
"""Pixels of a cell, at most."""
STRONG = 0.75
"""From here on a cell is dark."""
MUCH = 0.1
"""A difference of training rows from this on hides most errors of the draws."""
WORST = 3
"""Pairs named in the caption."""
MEASURES = (
    "Measured are Spearman’s rank correlation where both columns have an order (numbers, dates, ordered "
    "levels, two levels), from −1 to 1; from 0 to 1, Cramér’s V between categories (Bergsma 2013), and the "
    "correlation ratio of ranks between a category and the rest (Kelley 1935)."
)


def figures(look: Look) -> dict[str, Any]:
    """What was measured of associations, for JSON; nothing where they were not."""
    found = look.agreement
    return {} if found is None else {"associations": found.to_dict(look.run.names)}


def associations(look: Look) -> Picture | None:
    """Of each pair of columns: among test rows above the diagonal, among draws below it."""
    found = look.agreement
    if found is None:
        return None
    shown, names = strongest(found.test), look.run.names
    labels = [shortened(names[column], NAME) for column in shown]
    room = LETTER * max(map(length, labels)) + 24  # for names, under and beside the cells
    side = len(shown) * min(CELL, (WIDTH - room - 90) / len(shown))
    figure, (ax,) = canvas(side + room + 90, side + room + 16)
    both = np.triu(found.test, 1) + np.tril(found.drawn, -1)
    mesh = _cells(ax, both[np.ix_(shown, shown)])
    ax.set_xticks(np.arange(len(shown)) + 0.5, labels, rotation=90 if max(map(length, labels)) > 3 else 0)
    ax.set_yticks(np.arange(len(shown)) + 0.5, labels)
    ax.tick_params(length=0)
    bar = figure.colorbar(mesh, ax=ax, shrink=min(1, 220 / side), aspect=14, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.set_yticklabels(["−1", "−0.5", "0", "0.5", "1"])
    return Picture(
        _words(look, found, names),
        svg=to_svg(
            figure, "associations", "Heat map of associations between columns, in data and in samples"
        ),
    )


def strongest(values: Array) -> Array:
    """The places of the `SHOWN` columns with the strongest association with another one, ascending."""
    others = np.abs(np.nan_to_num(values))
    np.fill_diagonal(others, 0)
    return np.sort(np.argsort(-others.max(0), kind="stable")[:SHOWN])


def _cells(ax: Axes, values: Array) -> Any:
    """A square for each pair with a value, the first row at the top; a dot where there is none."""
    count = len(values)
    np.fill_diagonal(values, np.nan)
    # Red and blue, which readers with any colour vision tell apart (Moreland 2009).
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap="coolwarm", vmin=-1, vmax=1, edgecolors=PAPER, linewidth=1
    )
    ax.set(xlim=(0, count), ylim=(count, 0), aspect="equal")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.plot([0, count], [0, count], color=LINE, linewidth=1)
    for (row, column), value in np.ndenumerate(values):
        place: Any = {"x": column + 0.5, "y": row + 0.5, "ha": "center", "va": "center"}
        if row != column and np.isnan(value):
            ax.text(s="·", color=INK, **place)
        elif row != column and count <= NUMBERED:
            ax.text(
                s=_two_digits(value),
                fontsize=9.5,
                color="white" if abs(value) > STRONG else "black",
                **place,
            )
    return mesh


def _words(look: Look, found: Agreement, names: list[str]) -> Markup:
    """What the picture shows, the figures, and the pairs in which draws are worst."""
    text = Markup(
        "Each square is a pair of columns: above the diagonal among {:,} test rows, below it among {:,} "
        "draws of <i>p</i>(<i>x</i>){}. The halves should mirror each other.{} Mean absolute difference of "
        "draws and test rows, over {}: <b>{}</b>; of {:,} training rows and test rows, by chance alone: "
        "<b>{}</b>.{} "
    ).format(
        found.rows["test"],
        found.rows["drawn"],
        " given the conditions of the test rows (two of these are no pair)"
        if look.run.settings.condition
        else "",
        _which(len(names), len(found.test)),
        counted(len(found.pairs), "pair"),
        plain(found.error, 3),
        found.rows["training"],
        plain(found.chance, 3),
        " Beside so much chance only large errors show." if found.chance > MUCH else "",
    )
    return text + _worst(found, names) + _without(found, names) + MEASURES


def _worst(found: Agreement, names: list[str]) -> Markup:
    """The pairs in which draws are further off than training rows by most, with all three values."""
    pairs = [
        f"{shortened(names[i], NAME)} and {shortened(names[j], NAME)} "
        f"({', '.join(_two_digits(x[i, j]) for x in (found.test, found.drawn, found.training))})"
        for i, j in found.worst(WORST)
    ]
    words = Markup("Draws are further off than training rows most in: {} (test rows, draws, training rows). ")
    return words.format("; ".join(pairs)) if pairs else Markup("")


def _two_digits(value: float) -> str:
    """As in the cells; without a minus sign before zero."""
    return plain(round(value, 2) + 0.0)


def _which(total: int, measured: int) -> str:
    """Of how many columns the figures are, and the picture."""
    words = f" Of {total:,} columns, the first {measured} are measured." if measured < total else ""
    if measured > SHOWN:
        words += f" Shown are the {SHOWN} with the strongest association with another."
    return words


def _without(found: Agreement, names: list[str]) -> str:
    """Which columns have no association with any."""
    test, drawn = (np.isnan(values.diagonal()) for values in (found.test, found.drawn))
    words = ""
    if test.any():
        none = few([names[i] for i in np.flatnonzero(test)])
        words = f"No value (a dot), being constant or different in every row: {none}. "
    if (drawn & ~test).any():
        none = few([names[i] for i in np.flatnonzero(drawn & ~test)])
        words += f"Constant among the draws (a dot, counted as 0): {none}. "
    return words
