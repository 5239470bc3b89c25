"""Pictures of image data: tiles with sharp pixels."""

import numpy as np
from markupsafe import Markup
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.grid import tiles_of
from jensen.data.tables.codec import decode_table
from jensen.report.look import REACH, Look, latent_name
from jensen.report.style import GAP, Picture, plain, to_img

STRIP = 780
"""Pixels of a strip of tiles."""
PANEL = 300
"""Pixels of a square of tiles."""


def reconstructions(look: Look) -> Picture:
    """Test rows above, E[x | z] below, in up to two pairs of strips."""
    data, seen = (
        tiles(look, look.x[: len(look.reconstructions)]),
        tiles(look, look.reconstructions, mean=True),
    )
    columns = _columns(data, STRIP)
    strips = []
    for start in range(0, min(len(seen), 2 * columns), columns):
        rows = slice(start, start + columns)
        place = f"test rows {start + 1} to {start + len(data[rows])}"
        strips.append(("data", to_img(data[rows], columns, f"Images: {place}")))
        strips.append(("E[x|z]", to_img(seen[rows], columns, f"Reconstructions of {place}")))
    caption = Markup(
        "The first test rows{}, and below each the decoder’s mean at the mean of its posterior, <i>z</i> = "
        "E[<i>z</i>|<i>x</i>]. What is missing below is what the latents do not carry."
    ).format(_as_seen(look))
    return Picture(caption, strips=tuple(strips), pairs=True)


def samples(look: Look) -> Picture:
    """Data, true draws, and decoder means, side by side."""
    groups = [
        ("Data", tiles(look, look.x[spread(len(look.x), len(look.means))]), "Test images"),
        (
            "Samples of p(x)",
            tiles(look, look.samples[: len(look.means)]),
            "Images drawn from the model, with noise",
        ),
        (
            "Decoder means, no samples",
            tiles(look, look.means, mean=True),
            "Means of the decoder, without noise",
        ),
    ]
    columns = _columns(groups[0][1], PANEL)
    panels = [(title, to_img(x[: columns**2], columns, alt)) for title, x, alt in groups]
    noise = "drawn pixel by pixel" if look.preparation.discrete else "with the decoder’s noise added"
    caption = Markup(
        "Left: test rows{}, evenly taken. Middle: what the model claims the data look like, <i>z</i> from "
        "the prior and <i>x</i> from <i>p</i>(<i>x</i>|<i>z</i>), {}. Right: E[<i>x</i>|<i>z</i>] at the "
        "same latents; smoother, but not what the model assigns its probability to.{}"
    ).format(
        _as_seen(look),
        noise,
        _grey_scale(look),
    )
    return Picture(caption, panels=tuple(panels))


def walk(look: Look, means: Tensor) -> Picture:
    """One strip for each of the most active latent dimensions."""
    dimensions, steps = means.shape[:2]
    every = tiles(look, means.flatten(0, 1), mean=True)
    every = every.reshape(dimensions, steps, *every.shape[1:])
    # Fewer, evenly spaced places when tiles are large; the prior's centre always stays in the middle.
    places = next(p for p in (13, 7, 5) if p <= _columns(every[0], STRIP) or p == 5)
    kept = np.linspace(0, steps - 1, places).round().astype(int)
    rates = look.figures["latents"]["rate_per_dimension"]
    strips = []
    for dimension, x in zip(look.dimensions, every, strict=True):
        label = latent_name(dimension) + ("" if rates is None else f" · {plain(rates[dimension])} nats")
        alt = f"Decoder means while {latent_name(dimension)} moves from -{REACH:g} to {REACH:g}"
        strips.append((label, to_img(x[kept], places, alt)))
    return Picture(
        walk_caption(look),
        strips=tuple(strips),
        scale=(f"−{REACH:g}", "0", f"+{REACH:g}"),
        scale_width=places * (every.shape[3] + GAP) - GAP,
    )


def walk_caption(look: Look) -> Markup:
    """What a traversal shows, for images and for flat rows."""
    total = look.latents.mean.shape[1]
    text = Markup("The one latent dimension, moved from −{:g} to {:g} prior standard deviations.")
    if total > 1:
        every = len(look.dimensions) == total
        text = Markup(
            ("Every latent dimension" if every else "The latent dimensions that carry most")
            + ", the most active first, each moved alone from −{:g} to {:g} prior standard deviations while "
            "the others stay at the prior’s centre. A dimension that changes nothing is not used."
        )
    text = text.format(REACH, REACH)
    given = _first_condition(look)
    if given:
        text += Markup(" What is given is that of the first test row throughout: {}.").format(given)
    if look.total is not None:
        text += f" Every row is of the median total, N = {look.total:,.0f}."
    return text


def tiles(look: Look, x: Tensor, *, mean: bool = False) -> Array:
    """Data in the model's domain -> tiles ``[N, H, W, 4]`` uint8, enlarged by a whole factor where small."""
    shades = tiles_of(look.given(x, mean=mean).numpy(), look.preparation.shown_range)
    colour = shades if shades.shape[-1] != 1 else shades.repeat(3, axis=-1)
    if colour.shape[-1] == 3:
        colour = np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=-1)
    return colour


def spread(rows: int, count: int) -> list[int]:
    """Up to ``count`` row numbers, evenly spread over ``rows``."""
    return (
        [round(i * (rows - 1) / max(count - 1, 1)) for i in range(count)]
        if rows > count
        else list(range(rows))
    )


def _columns(x: Array, width: int) -> int:
    columns: int = (width + GAP) // (x.shape[2] + GAP)
    return max(5, columns)


def _as_seen(look: Look) -> str:
    return "" if look.preparation.binarize == "none" else " as the model saw them, drawn to black and white"


def _grey_scale(look: Look) -> str:
    """What black and white stand for, where that is not as usual, and what becomes of values beyond them."""
    ends, said = look.preparation.pictured, ""
    if ends is not None:
        low, high = (f"{end:.4g}".replace("-", "−") for end in ends)
        said = f" Black is {low}, white {high}: the extremes of the training images."
    return said if look.preparation.discrete else f"{said} Values beyond black and white are clipped."


def _first_condition(look: Look) -> str:
    """What a conditional model is given with the first test row, which its traversal keeps; "" without."""
    dataset, schema = look.dataset, look.run.schema
    if dataset.given is not None and dataset.contexts is not None:
        texts = dataset.given.texts(dataset.contexts[dataset.splits["test"][:1]])
        return ", ".join(f"{name} = {text or 'missing'}" for name, (text,) in texts.items())
    if schema is None or not look.run.settings.condition:
        return ""
    cells = decode_table(look.x[:1].double().numpy(), schema)
    values = {name: cells[name][0].as_py() for name in look.run.settings.condition}
    return ", ".join(f"{name} = {'missing' if v is None else v}" for name, v in values.items())
