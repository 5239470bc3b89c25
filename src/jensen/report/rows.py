"""Pictures of data that are no images: rows of columns."""

import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.tables.schema import Schema
from jensen.report.images import walk_caption
from jensen.report.look import REACH, Look
from jensen.report.style import ACCENT, MUTED, WIDTH, Picture, canvas, plain, to_svg, whole_ticks

PANELS = 6
"""Rows and traversals shown."""
COLUMNS = 12
"""Columns with a histogram each."""
FEW = 40
"""Up to so many columns, values are marked and not only joined."""
CUT = 0.005
"""Share of the data at either end that may lie outside a histogram."""


def reconstructions(look: Look) -> Picture:
    """A few rows, value against column, with E[x | z] over them."""
    count = min(PANELS, len(look.reconstructions))
    figure, axes = _panels(count)
    for number, ax in enumerate(axes[:count]):
        x, seen = _shown(look, look.x[number]), _shown(look, look.reconstructions[number])
        columns = np.arange(1, x.size + 1)
        mark = "o" if x.size <= FEW else ""
        ax.plot(columns, x, color=MUTED, marker=mark, markersize=4, linewidth=1.2, label="data")
        ax.plot(columns, seen, color=ACCENT, marker=mark, markersize=4, linewidth=1.5, label="E[x|z]")
        ax.set_title(f"test row {number + 1}")
        _label(ax, look, outer=number % 3 == 0)
    axes[0].legend(loc="best")
    caption = Markup(
        "The first test rows (grey), and over each the decoder’s mean at the mean of its posterior, "
        "<i>z</i> = E[<i>z</i>|<i>x</i>] (colour). {}Where the two part, the latents do not carry that "
        "value."
    ).format(_units(look))
    return Picture(
        caption, svg=to_svg(figure, "rows", "Test rows and their reconstructions, value against column")
    )


def samples(look: Look) -> Picture:
    """Data against true draws: a histogram a column, or the share of ones where the data are binary."""
    data, drawn = (
        look.given(look.x).double().flatten(1).numpy(),
        look.given(look.samples).double().flatten(1).numpy(),
    )
    if look.preparation.binary:
        return _shares(data, drawn)
    names = column_names(look.run.schema, data.shape[1])
    shown = min(COLUMNS, data.shape[1])
    across = min(4, shown)
    lines = -(-shown // across)
    figure, axes = canvas(WIDTH * across / 4, 60 + 150 * lines, lines, across)
    for ax in axes[shown:]:
        ax.set_axis_off()
    for column, ax in enumerate(axes[:shown]):
        _histogram(ax, data[:, column], drawn[:, column])
        ax.set_title(names[column])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    which = "Every column" if shown == data.shape[1] else f"The first {shown} of {data.shape[1]:,} columns"
    caption = Markup(
        "{}: {:,} test rows (filled) and {:,} draws of <i>p</i>(<i>x</i>), noise included (line), as "
        "densities in the units of the data. They should agree; histograms cannot show whether columns go "
        "together rightly. At most {:g} % of the data lie outside a frame at either end."
    ).format(which, len(data), len(drawn), 100 * CUT)
    return Picture(
        caption, svg=to_svg(figure, "columns", "Histograms of data and samples, a panel for each column")
    )


def walk(look: Look, means: Tensor) -> Picture:
    """For each of the most active latent dimensions: means, value against column, coloured by place."""
    count = min(PANELS, len(look.dimensions))
    figure, axes = _panels(count)
    colours = colormaps["coolwarm"]
    kept = range(0, means.shape[1], 2)
    for number, ax in enumerate(axes[:count]):
        for place in kept:
            x = _shown(look, means[number, place])
            share = place / (means.shape[1] - 1)
            mark = "o" if x.size <= FEW else ""
            label = f"{REACH * (2 * share - 1):+.0f}".replace("-", "−").replace("+0", "0")
            colour = MUTED if 2 * share == 1 else colours(share)
            ax.plot(
                range(1, x.size + 1), x, color=colour, marker=mark, markersize=3.5, linewidth=1.3, label=label
            )
        ax.set_title(f"z{look.dimensions[number] + 1}")
        _label(ax, look, outer=number % 3 == 0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=len(kept))
    caption = walk_caption(look) + " All panels share one scale. " + _units(look)
    return Picture(
        caption, svg=to_svg(figure, "walk", "Decoder means as one latent dimension at a time moves")
    )


def column_names(schema: Schema | None, count: int) -> list[str]:
    """The names of a table's columns; of others, their numbers."""
    if schema is not None:
        return [column.name for column in schema.modelled]
    return [f"column {number + 1}" for number in range(count)]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    across = min(3, count)
    lines = -(-count // across)
    figure, axes = canvas(WIDTH * across / 3, 60 + 190 * lines, lines, across, sharey=True)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes


def _shown(look: Look, x: Tensor) -> Array:
    """A row as it is drawn: of a table, each column in its own standard deviations from its own mean."""
    values: Array = x.double().flatten().numpy()
    if look.run.schema is None:
        return values
    columns = look.x.double().flatten(1).numpy()
    shown: Array = (values - np.nanmean(columns, 0)) / np.nanstd(columns, 0).clip(min=1e-12)
    return shown


def _label(ax: Axes, look: Look, *, outer: bool) -> None:
    ax.set_xlabel("column")
    whole_ticks(ax)
    if outer:
        if look.run.schema is not None:
            ax.set_ylabel("standard deviations")
        else:
            ax.set_ylabel("value" if look.run.settings.scaling == "none" else "scaled value")


def _units(look: Look) -> str:
    if look.run.schema is not None:
        return "Columns are in standard deviations from their mean over the test rows, categories by number. "
    if look.run.settings.scaling == "none":
        return ""
    return "Values are scaled as the model sees them, so that columns of different units share an axis. "


def _histogram(ax: Axes, data: Array, drawn: Array) -> None:
    data, drawn = data[~np.isnan(data)], drawn[~np.isnan(drawn)]  # a missing cell is in no bar
    if not len(data):
        return
    low, high = (float(v) for v in np.quantile(data, [CUT, 1 - CUT]))
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # a constant column
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, int(np.clip(2 * len(data) ** (1 / 3), 5, 40)) + 1)
    width = edges[1] - edges[0]
    for values, label, fill in ((data, "data", True), (drawn, "samples", False)):
        density = np.histogram(values, edges)[0] / (max(1, len(values)) * width)
        if fill:
            ax.stairs(density, edges, fill=True, color=MUTED, alpha=0.45, label=label)
        else:
            ax.stairs(density, edges, color=ACCENT, linewidth=1.6, label=label)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=4)


def _shares(data: Array, drawn: Array) -> Picture:
    figure, (ax,) = canvas(WIDTH, 280)
    columns = np.arange(1, data.shape[1] + 1)
    ax.plot(columns, data.mean(0), "o", color=MUTED, markersize=6, label="data")
    ax.plot(columns, drawn.mean(0), "o", color=ACCENT, markersize=3.5, label="samples")
    ax.set(xlabel="column", ylabel="share of ones", ylim=(-0.03, 1.03))
    whole_ticks(ax)
    ax.legend(loc="best")
    gap = float(np.abs(data.mean(0) - drawn.mean(0)).max())
    caption = Markup(
        "The share of ones in each column: {:,} test rows (grey) and {:,} draws of <i>p</i>(<i>x</i>) "
        "(colour). They should agree; the largest difference is {}."
    ).format(len(data), len(drawn), plain(gap))
    return Picture(caption, svg=to_svg(figure, "columns", "Share of ones per column in data and in samples"))
