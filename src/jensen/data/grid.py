"""Images side by side, as one picture to look at."""

import math

import numpy as np

from jensen.data.arrays import Array, image_layout
from jensen.errors import UserError

_GAP = 2  # pixels between the tiles of a grid
_BACKGROUND = 128
SMALLEST_SIDE = 56
"""Pixels of an image's longer side, at least, where it is to be looked at."""


def image_grid(x: Array, value_range: tuple[float, float]) -> Array:
    """Images ``[N, *event]`` -> one picture ``[H, W]`` or ``[H, W, channels]``, uint8, about square.

    Raises:
        UserError: the event is not of the shape of an image, or there is no row.
    """
    if image_layout(x.shape[1:]) is None or x.size == 0:
        raise UserError(f"an array of shape {x.shape} makes no picture; give images, [N, H, W] or so")
    tiles = tiles_of(x, value_range)
    inner = side_by_side(tiles, math.ceil(math.sqrt(len(tiles))), _GAP, _BACKGROUND)
    picture = np.pad(inner, ((_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=_BACKGROUND)
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def side_by_side(tiles: Array, columns: int, gap: int, background: int) -> Array:
    """Tiles ``[N, H, W, channels]`` as one picture, ``columns`` in a line, ``gap`` pixels between them."""
    count, height, width, channels = tiles.shape
    lines, columns = math.ceil(count / columns), min(columns, count)
    step_y, step_x = height + gap, width + gap
    picture = np.full((lines * step_y - gap, columns * step_x - gap, channels), background, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * step_y, number % columns * step_x
        picture[top : top + height, left : left + width] = tile
    return picture


def tiles_of(x: Array, value_range: tuple[float, float]) -> Array:
    """Images ``[N, *event]`` -> ``[N, H, W, channels]``, uint8, the small ones enlarged by a whole factor.

    ``low..high`` is 0..255, rounded; what lies outside is clipped, and NaN is black.
    """
    low, high = value_range
    scaled = (np.nan_to_num(x.astype(np.float64), nan=low) - low) / (high - low)
    tiles: Array = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    layout = image_layout(x.shape[1:])
    if layout == "HW":
        tiles = tiles[..., None]
    elif layout == "CHW":
        tiles = np.moveaxis(tiles, 1, -1)
    factor = math.ceil(SMALLEST_SIDE / max(tiles.shape[1:3]))
    return tiles.repeat(factor, axis=1).repeat(factor, axis=2)
