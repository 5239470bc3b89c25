"""Pictures of data that are no images: rows of columns."""

import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.words import count
from jensen.report.axis import ColumnAxis, axis_of, has_levels
from jensen.report.histograms import CUT, histogram
from jensen.report.images import walk_caption
from jensen.report.look import REACH, Look, latent_name
from jensen.report.style import ACCENT, MUTED, WIDTH, Picture, canvas, plain, shortened, to_svg, whole_ticks

PANELS = 6
"""Rows and traversals shown."""
COLUMNS = 12
"""Columns with a histogram each."""
TITLE = 22
"""Letters of a column's name over its panel."""


def reconstructions(look: Look) -> Picture:
    """A few rows, value against column, with E[x | z] over them."""
    panels = min(PANELS, len(look.reconstructions))
    axis = axis_of(look, look.reconstructions)
    figure, axes = _panels(panels, axis)
    for number, ax in enumerate(axes[:panels]):
        axis.draw(ax, look.x[number], color=MUTED, markersize=6, linewidth=1.2, label="data")
        axis.draw(
            ax, look.reconstructions[number], color=ACCENT, markersize=3.5, linewidth=1.5, label="E[x|z]"
        )
        ax.set_title(f"test row {number + 1}")
        axis.label(ax, outer=number % 3 == 0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    caption = Markup(
        "The first test rows (grey), and over each the decoder’s mean at the mean of its posterior, "
        "<i>z</i> = E[<i>z</i>|<i>x</i>] (colour). {}{}"
    ).format(axis.words, _where_they_part(look))
    return Picture(
        caption, svg=to_svg(figure, "rows", "Test rows and their reconstructions, value against column")
    )


def _where_they_part(look: Look) -> str:
    """What a difference between a row and its reconstruction means."""
    if look.total is None:
        return "Where the two part, the latents do not carry that value."
    return (
        f"The rows are counts as given, but each reconstruction is of the median total, N = "
        f"{look.total:,.0f}, whatever the row’s own: compare their shapes, not their heights."
    )


def samples(look: Look) -> Picture:
    """Data against true draws: a histogram a column, or the share of ones where the data are binary."""
    data, drawn = (
        look.given(look.compared).double().flatten(1).numpy(),
        look.given(look.samples).double().flatten(1).numpy(),
    )
    if look.preparation.binary:
        return _shares(data, drawn, _compared_rows(look))
    schema = look.run.schema
    columns = np.arange(data.shape[1])
    if schema is None:  # the columns of a table have units of their own: variances would not compare
        columns = np.sort(np.argsort(-np.nan_to_num(data.var(0)), kind="stable")[:COLUMNS])
    names = look.run.names
    shown = min(COLUMNS, data.shape[1])
    across, height = min(4, shown), 150 if schema is None else 180  # names of levels need room
    lines = -(-shown // across)
    figure, axes = canvas(WIDTH * across / 4, 60 + height * lines, lines, across)
    for ax in axes[shown:]:
        ax.set_axis_off()
    for column, ax in zip(columns, axes, strict=False):
        histogram(ax, data[:, column], drawn[:, column], None if schema is None else schema.modelled[column])
        given = " (given)" if names[column] in look.run.settings.condition else ""
        ax.set_title(shortened(names[column], TITLE - len(given)) + given)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return Picture(
        _words_of_samples(look, shown, data.shape[1], len(drawn)),
        svg=to_svg(figure, "columns", "Histograms of data and samples, a panel for each column"),
    )


def _words_of_samples(look: Look, shown: int, columns: int, draws: int) -> Markup:
    """What the histograms of so many of the columns show."""
    schema = look.run.schema
    which = "Every column"
    if shown < columns:
        taken = f"the {shown} of highest variance" if schema is None else f"the first {shown}"
        which = f"Of {columns:,} columns, {taken}"
    return Markup(
        "{}: {} (filled) and {:,} draws of <i>p</i>(<i>x</i>), noise included (line), as "
        "densities in the units of the data{}. They should agree{}. At most {:g} % of the data lie outside a "
        "frame at either end."
    ).format(
        which,
        _compared_rows(look),
        draws,
        ", or as the share of each level" if has_levels(schema) else "",
        "; histograms cannot show whether columns go together rightly" if look.agreement is None else "",
        100 * CUT,
    )


def walk(look: Look, means: Tensor) -> Picture:
    """For each of the most active latent dimensions: means, value against column, coloured by place."""
    panels = min(PANELS, len(look.dimensions))
    axis = axis_of(look, means[:panels].flatten(0, 1))
    figure, axes = _panels(panels, axis)
    colours = colormaps["coolwarm"]
    kept = range(0, means.shape[1], 2)
    for number, ax in enumerate(axes[:panels]):
        for place in kept:
            share = place / (means.shape[1] - 1)
            label = f"{REACH * (2 * share - 1):+.0f}".replace("-", "−").replace("+0", "0")
            colour = MUTED if 2 * share == 1 else colours(share)
            axis.draw(ax, means[number, place], color=colour, markersize=3.5, linewidth=1.3, label=label)
        ax.set_title(latent_name(look.dimensions[number]))
        axis.label(ax, outer=number % 3 == 0)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(kept) if panels > 1 else 4
    )
    caption = walk_caption(look) + " All panels share one scale. " + axis.words
    return Picture(
        caption, svg=to_svg(figure, "walk", "Decoder means as one latent dimension at a time moves")
    )


def _panels(panels: int, axis: ColumnAxis) -> tuple[Figure, list[Axes]]:
    across = min(3, panels)
    lines = -(-panels // across)
    height = 190 + axis.name_height
    figure, axes = canvas(WIDTH * across / 3, 60 + height * lines, lines, across, sharey=True)
    for ax in axes[panels:]:
        ax.set_axis_off()
    return figure, axes


def _compared_rows(look: Look) -> str:
    """Which rows the draws are compared with."""
    if look.compared is look.x:
        return count(len(look.x), "test row")
    tested = len(look.dataset.numbers("test"))
    few = f"there {'is' if tested == 1 else 'are'} only {count(tested, 'test row')}"
    return f"{count(len(look.compared), 'row')} of all splits, since {few},"


def _shares(data: Array, drawn: Array, rows: str) -> Picture:
    figure, (ax,) = canvas(WIDTH, 280)
    columns = np.arange(1, data.shape[1] + 1)
    ax.plot(columns, data.mean(0), "o", color=MUTED, markersize=6, label="data")
    ax.plot(columns, drawn.mean(0), "o", color=ACCENT, markersize=3.5, label="samples")
    ax.set(xlabel="column", ylabel="share of ones", ylim=(-0.03, 1.03))
    whole_ticks(ax)
    ax.legend(loc="best")
    gap = float(np.abs(data.mean(0) - drawn.mean(0)).max())
    caption = Markup(
        "The share of ones in each column: {} (grey) and {:,} draws of <i>p</i>(<i>x</i>) "
        "(colour). They should agree; the largest difference is {}."
    ).format(rows, len(drawn), plain(gap))
    return Picture(caption, svg=to_svg(figure, "columns", "Share of ones per column in data and in samples"))
