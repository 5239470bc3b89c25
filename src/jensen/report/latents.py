"""Pictures of the latent space: where the data lie in it, and what each dimension carries."""

import math
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from jensen.data.arrays import Array
from jensen.data.labels import LABEL
from jensen.evaluation.latents import ACTIVE_VARIANCE
from jensen.report.classes import LARGEST, REST, Group, groups, has_rest
from jensen.report.look import Look, by_content, latent_name
from jensen.report.style import ACCENT, INK, LINE, MUTED, PAPER, Picture, canvas, length, shortened, to_svg

MAP_WIDTH, BARS_WIDTH, HEIGHT = 560, 376, 440
NAMED_BARS = 16
"""Up to so many dimensions, each bar has its name."""
MAP = 340
"""Pixels over which the points of the map spread."""
LETTER, LINE_HEIGHT = 6.5, 17
"""Pixels of a letter, and of a line with its frame, on the map."""
NAME, LEGEND_NAME = 14, 20
"""Letters of a group's name there, and in the legend."""
VECTOR_POINTS = 2000
"""More points than that are drawn as pixels, to keep the page small."""


def posterior_map(look: Look) -> Picture:
    """Posterior means in the plane, coloured by label; a histogram where there is one latent dimension."""
    means = look.latents.mean.double().numpy()
    figure, (ax,) = canvas(MAP_WIDTH, HEIGHT)
    if means.shape[1] == 1:
        words = _histogram(look, ax, means[:, 0])
    else:
        points, origin, words = _plane(look, ax, means)
        _scatter(look, figure, ax, points)
        if look.standard_prior:
            for radius in (1, 2):
                ax.add_patch(
                    Circle(origin, radius, fill=False, color=INK, linewidth=1, linestyle=(0, (2, 3)))
                )
            words += Markup(
                " The dotted circles are one and two standard deviations of the prior. The means with "
                "their posteriors’ noise added should fill them as the prior does, without holes and strays; "
                "the means alone lie closer to the centre."
            )
        ax.set_aspect("equal", adjustable="datalim")
        ax.grid(visible=False)
    return Picture(words + _colour_words(look), svg=to_svg(figure, "map", "Posterior means of the test rows"))


def _plane(look: Look, ax: Axes, means: Array) -> tuple[Array, tuple[float, float], Markup]:
    """Points ``[N, 2]``, where the prior's centre falls, and the words for it."""
    if means.shape[1] > 2 and len(means) > 2 and means.std(0).max() > 0:
        from sklearn.decomposition import PCA

        pca = PCA(2, svd_solver="full").fit(means)
        shares = [f"{100 * share:.0f} %" for share in pca.explained_variance_ratio_]
        total = f"{100 * pca.explained_variance_ratio_.sum():.0f} %"
        ax.set(
            xlabel=f"first principal direction, {shares[0]}",
            ylabel=f"second principal direction, {shares[1]}",
        )
        origin = pca.transform(np.zeros((1, means.shape[1])))[0]
        words = Markup(
            "Each dot is the posterior mean of one test row, seen along the two principal directions (PCA) "
            "of the {} latent dimensions, which hold <b>{}</b> of the variance of the means."
        ).format(means.shape[1], total)
        return pca.transform(means), (float(origin[0]), float(origin[1])), words
    latents = look.latents
    first, second = by_content(latents)[:2]
    ax.set(xlabel=latent_name(first), ylabel=latent_name(second))
    which = "of the highest rate" if latents.rate is not None else "whose means vary most"
    words = Markup("Each dot is the posterior mean of one test row, in the two dimensions {}.").format(
        "there are" if means.shape[1] == 2 else which
    )
    return means[:, [first, second]], (0.0, 0.0), words


def _scatter(look: Look, figure: Figure, ax: Axes, points: Array) -> None:
    style: Any = {
        "s": 12 if len(points) > 400 else 24,
        "alpha": 0.8,
        "linewidths": 0,
        "rasterized": len(points) > VECTOR_POINTS,
    }
    if look.labels is None:
        ax.scatter(*points.T, color=ACCENT, **style)
        return
    found = groups(look.labels.numpy(), look.dataset)
    if found is None:  # too many to name: the label as a scale
        dots = ax.scatter(points[:, 0], points[:, 1], c=look.labels.numpy(), cmap="viridis", **style)
        figure.colorbar(
            dots, ax=ax, label=look.dataset.labels_are, shrink=0.6, drawedges=False
        ).outline.set_visible(False)
        return
    for marker in dict.fromkeys(group.marker for group in found):
        alike = [group for group in found if group.marker == marker]
        rows = np.logical_or.reduce([group.rows for group in alike])
        colours = np.select([group.rows for group in alike], [group.colour for group in alike], "")
        # In the order of the rows: no group lies over all others.
        ax.scatter(points[rows, 0], points[rows, 1], c=colours[rows].tolist(), marker=marker, **style)
    for group in found:
        name = shortened(group.name, LEGEND_NAME)
        ax.scatter([], [], color=group.colour, marker=group.marker, label=name, **style)
    _name(ax, [group for group in found if group.colour != REST], points)
    figure.legend(
        loc="outside right upper", title=look.dataset.labels_are, markerscale=1.8, handletextpad=0.1
    )


def _name(ax: Axes, found: list[Group], points: Array) -> None:
    """What groups are called, in their middle: who does not see a colour finds its group all the same.

    The largest first; a name for which another one leaves no room stands in the legend only, as do all where
    what is left of them is not enough to know them by.
    """
    if len({shortened(group.name, NAME) for group in found}) < len(found):
        return
    pixel = np.ptp(points, 0).max() / MAP
    placed: list[tuple[Array, float]] = []
    for group in sorted(found, key=lambda group: -int(group.rows.sum())):
        name, place = shortened(group.name, NAME), np.median(points[group.rows], 0)
        half = (LETTER * length(name) + 8) / 2 * pixel
        if any(
            abs(place[0] - other[0]) < half + other_half and abs(place[1] - other[1]) < LINE_HEIGHT * pixel
            for other, other_half in placed
        ):
            continue
        placed.append((place, half))
        box = {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": group.colour, "alpha": 0.85}
        ax.annotate(name, tuple(place), ha="center", va="center", fontsize=10, bbox=box)


def _histogram(look: Look, ax: Axes, means: Array) -> Markup:
    """One latent dimension: how often each posterior mean occurs, over the prior's density."""
    reach = max(3.0, float(np.abs(means).max()))
    edges = np.linspace(-reach, reach, int(np.clip(2 * len(means) ** 0.5, 9, 60)) + 1)
    width, labels = edges[1] - edges[0], look.labels
    found = None if labels is None else groups(labels.numpy(), look.dataset)
    floor = np.zeros(len(edges) - 1)
    for group in found or [Group("", np.ones(len(means), dtype=bool), ACCENT)]:
        top = floor + np.histogram(means[group.rows], edges)[0] / (len(means) * width)
        style: Any = {"facecolor": group.colour, "edgecolor": PAPER, "linewidth": 0, "hatch": group.hatch}
        ax.stairs(
            top,
            edges,
            baseline=floor,
            fill=True,
            alpha=0.85,
            label=shortened(group.name, LEGEND_NAME),
            **style,
        )
        floor = top
    if look.standard_prior:
        z = np.linspace(-reach, reach, 200)
        ax.plot(
            z, np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), color=INK, linewidth=1.2, linestyle=(0, (2, 3))
        )
    ax.set(xlabel="posterior mean E[z|x]", ylabel="density")
    if found is not None:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title=look.dataset.labels_are)
    words = Markup("How often each posterior mean occurs among the test rows.")
    return words + (Markup(" The dotted line is the prior’s density.") if look.standard_prior else "")


def _colour_words(look: Look) -> str:
    if look.labels is None:
        return ""
    found = groups(look.labels.numpy(), look.dataset)
    if look.latents.mean.shape[1] == 1 and found is None:
        return ""
    which = f"the {LARGEST} most frequent of the labels" if has_rest(found) else "the labels"
    given = () if look.dataset.given is None else look.dataset.given.levels
    seen = "is given" if {LABEL, look.dataset.labels_are} & {*given} else "never saw"
    return f" Colours are {which} that came with the data, which the model {seen}."


def rates(look: Look) -> Picture:
    """What each latent dimension carries: its rate, or the variance of its means where no rate splits off."""
    latents = look.figures["latents"]
    values = latents["rate_per_dimension"]
    split = values is not None
    if not split:
        values = look.latents.mean.double().var(0, correction=0).tolist()
    order = sorted(range(len(values)), key=lambda dimension: -values[dimension])
    active = look.latents.active.tolist()
    figure, (ax,) = canvas(BARS_WIDTH, HEIGHT)
    ax.bar(
        range(len(order)),
        [values[dimension] for dimension in order],
        color=[ACCENT if active[dimension] else LINE for dimension in order],
        edgecolor=[ACCENT if active[dimension] else MUTED for dimension in order],
        width=0.72 if len(order) <= 64 else 1.0,
        linewidth=0.8,
    )
    ax.set(
        ylabel="rate, nats per datum" if split else "variance of the posterior mean",
        xlabel="latent dimension",
    )
    ax.set_xlim(-1, max(len(order), 4))
    named = len(order) <= NAMED_BARS
    ax.set_xticks(range(len(order)) if named else [], [latent_name(d) for d in order] if named else [])
    ax.tick_params(axis="x", length=0)
    caption = _rate_words(look, split=split)
    return Picture(caption, svg=to_svg(figure, "rates", "Bar chart of the rate of each latent dimension"))


def _rate_words(look: Look, *, split: bool) -> Markup:
    what = "The rate of each dimension, KL(<i>q</i>‖<i>p</i>) averaged over the rows"
    if not split:
        what = (
            "The variance over the rows of each dimension’s posterior mean (no rate splits by dimension here)"
        )
    if look.figures["n"] == 1:
        return Markup(what + ", highest first. One row cannot show which dimensions are active.")
    return Markup(
        what
        + ", highest first. <b>{} active</b> (coloured), <b>{} collapsed</b> (grey). Active means: over the "
        "rows, the posterior mean has a variance above {:g} (Burda, Grosse &amp; Salakhutdinov 2016)."
    ).format(look.figures["latents"]["active"], look.figures["latents"]["collapsed"], ACTIVE_VARIANCE)
