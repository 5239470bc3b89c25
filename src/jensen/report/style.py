"""Colours, letters and lines of the drawings, and drawings as text for the page."""

import base64
import io
import math
import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jensen.data.arrays import Array
from jensen.data.grid import side_by_side

WIDTH = 960
"""Width of the page's column in CSS pixels; a drawing's unit is one of them."""

LEAST = 0.8
"""A narrow page scrolls a drawing rather than make it narrower than this share: letters stay legible."""
GAP = 4
"""Pixels between two tiles."""

# Matplotlib wants colours, the page has them by name, so that a drawing follows light and dark: each of
# these stands for the CSS variable beside it.
INK, MUTED, LINE, ACCENT, PAPER = "#010a01", "#020a02", "#030a03", "#040a04", "#050a05"
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", PAPER: "paper"}

RC: Any = {
    "svg.fonttype": "none",  # letters stay letters: found by a search, and set in the page's own font
    "svg.hashsalt": "jensen",  # the same run gives the same bytes
    "font.size": 12,
    "text.parse_math": False,  # a dollar in the name of a column is a dollar
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "axes.formatter.useoffset": False,  # 4,090.2 is a tick; 0.2 with +4.09e3 in a corner is a riddle
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.7,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.dpi": 144,  # of the parts that are drawn as pixels
}
"""Every drawing is made within ``matplotlib.rc_context(RC)``."""


@dataclass(frozen=True)
class Picture:
    """One figure of the page: a drawing, strips of images, or panels of images, and what to say of it."""

    caption: Markup
    svg: Markup | None = None
    strips: tuple[tuple[str, Markup], ...] = ()
    """Rows of images, each with the words at its left."""
    scale: tuple[str, ...] = ()
    """The words under the strips, evenly spread."""
    scale_width: int = 0
    """Over so many pixels: the width of the strips."""
    pairs: bool = False
    """Strips belong together two by two."""
    panels: tuple[tuple[str, Markup], ...] = ()
    """Squares of images side by side, each with its title."""


def canvas(
    width: float, height: float, lines: int = 1, columns: int = 1, **layout: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` x ``height`` CSS pixels, and its axes, line after line."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, **layout)
    return figure, list(axes.flat)


def whole_ticks(ax: Axes) -> None:
    """Whole numbers only on the horizontal axis."""
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def to_svg(figure: Figure, name: str, alt: str) -> Markup:
    """A figure as an inline ``<svg>``: the page's fonts and colours, own ids, ``alt`` for who cannot see."""
    buffer = io.StringIO()
    with warnings.catch_warnings():  # the page's fonts have the letters that matplotlib's lacks
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", text[text.index(">") + 1 :], flags=re.DOTALL)
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)  # the page's
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    # Matplotlib's ids repeat from figure to figure, and some change from run to run: number those in use.
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([\w.-]+)', body))
    names = {old: f"{name}-{number}" for number, old in enumerate(used)}
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", body)
    body = re.sub(r'(href="|url\()#([\w.-]+)', lambda m: f"{m[1]}#{names[m[2]]}", body)
    width, height = (72 * inches for inches in figure.get_size_inches())
    head = Markup(
        '<svg viewBox="0 0 {:g} {:g}" style="max-width: {:g}px; --least: {:g}px" role="img" aria-label="{}">'
    ).format(width, height, width, LEAST * width, alt)
    return head + Markup(re.sub(r"\n\s*", "\n", body).strip())


def to_img(tiles: Array, columns: int, alt: str) -> Markup:
    """Tiles ``[N, H, W, 4]`` uint8 (RGBA) as one embedded PNG, ``columns`` in a line, see-through between."""
    from PIL import Image

    picture = side_by_side(tiles, columns, GAP, 0)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Markup('<img width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">').format(
        picture.shape[1], picture.shape[0], alt, data
    )


def length(name: str) -> int:
    """The letters of a name; one of Chinese, Japanese or Korean counts as two, being as wide (UAX 11)."""
    return len(name) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in name)


def shortened(name: str, letters: int) -> str:
    """A name cut to what its place has room for, in letters as `length` counts them."""
    if length(name) <= letters + 1:
        return name
    kept = next(n for n in range(len(name), -1, -1) if length(name[:n]) <= letters)
    return name[:kept].rstrip() + "…"


def plain(number: float, digits: int = 2) -> str:
    """A number for reading: thousands apart, a true minus sign, a dash for what is not known."""
    return "–" if math.isnan(number) else f"{number:,.{digits}f}".replace("-", "−").replace("inf", "∞")


def counted(number: int, what: str) -> str:
    """So many of something, in words where it is one."""
    return f"one {what}" if number == 1 else f"{number:,} {what}s"
