"""One image: its header, and its values at a size, in grey or in colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from jensen.data.arrays import Array
from jensen.errors import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

Opened = Path | BinaryIO
"""What an image is read from: a file's path, or its bytes."""

ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held; from 5 on, width and height change places."""


class BadImageError(Exception):
    """An image that cannot be read; the message says why."""


@dataclass(frozen=True)
class ImageOptions:
    """How images become rows.

    Attributes:
        size: width and height to bring them to; None: they must all have the same.
        grey: one channel, ``[H, W]``; False: colour, ``[H, W, 3]``; None: grey if all images are.
        skip_bad: leave out images that cannot be read, and name them; else they are refused.
        of_model: size and colours are those of a trained model, and no user asked for them.
    """

    size: tuple[int, int] | None = None
    grey: bool | None = None
    skip_bad: bool = False
    of_model: bool = False

    @property
    def asked(self) -> list[str]:
        """The options that a user gave, as the command line calls them."""
        given = {"--size": self.size, "--grey": self.grey} if not self.of_model else {}
        return [name for name, value in {**given, "--skip-bad": self.skip_bad}.items() if value]

    @staticmethod
    def like(event_shape: Sequence[int], *, skip_bad: bool = False) -> "ImageOptions":
        """Those that bring images to the shape of the rows that a model was trained on.

        Where no options can (rows of numbers, alpha channels), those that change nothing: the shapes are
        compared later.
        """
        if len(event_shape) == 2 or (len(event_shape) == 3 and event_shape[2] == 3):
            size, grey = (event_shape[1], event_shape[0]), len(event_shape) == 2
            return ImageOptions(size, grey, skip_bad, of_model=True)
        return ImageOptions(skip_bad=skip_bad)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from ``32`` or ``32x48``."""
    width, _, height = text.partition("x")
    return int(width), int(height or width)


@dataclass(frozen=True)
class Header:
    """What an image's file says before its pixels: width and height as seen, and what modes it has."""

    size: tuple[int, int]
    grey: bool
    transparent: bool


def read_header(file: Opened) -> Header:
    """The header of an image.

    Raises:
        BadImageError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            early = image.format != "PNG" or "exif" in image.info  # else Pillow decodes all to look for it
            turned = early and image.getexif().get(ORIENTATION, 1) >= 5
            grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")
            return Header((height, width) if turned else (width, height), grey, _is_transparent(image))
    except Exception as error:  # damaged bytes make Pillow raise errors of any kind
        raise _bad(error) from None


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image as a row.

    Attributes:
        x: uint8, ``[H, W]`` in grey, else ``[H, W, 3]``.
        peak: of 16-bit grey, the largest value in the file; else None.
    """

    x: Array
    peak: int | None


def decode(file: Opened, size: tuple[int, int] | None, *, grey: bool) -> Decoded:
    """The values of an image, uint8: ``[H, W]`` in grey, else ``[H, W, 3]``.

    It is turned as its EXIF orientation says, laid on white where it is transparent, and brought to another
    size by scaling until it covers it (bicubic, with antialiasing) and cutting out the middle. Grey is ITU-R
    601 luma; 16-bit grey becomes 8-bit.

    Raises:
        BadImageError: it cannot be read.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            if size is not None:  # lets a JPEG be decoded at a fraction of its size, as Image.thumbnail does
                opened.draft(None, (2 * max(size), 2 * max(size)))
            peak = int(np.asarray(opened).max()) if opened.mode.startswith("I;16") else None
            image = _eight_bit(ImageOps.exif_transpose(opened))
            if _is_transparent(image):
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if grey else "RGB")
            if size is not None and image.size != size:
                image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
            return Decoded(np.asarray(image), peak)
    except Exception as error:  # see `read_header`
        raise _bad(error) from None


def _is_transparent(image: "Image") -> bool:
    return image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info


def _eight_bit(image: "Image") -> "Image":
    """16-bit grey as 8-bit, which Pillow would clip; modes of unknown range are refused."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise BadImageError(f"its mode {image.mode} has no known black and white: save it with 8 or 16 bits")
    return image


def _bad(error: Exception) -> BadImageError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return BadImageError("it is no image, or damaged")
    return BadImageError((isinstance(error, OSError) and error.strerror) or one_line(error))
