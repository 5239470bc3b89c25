"""What of images is refused: those that cannot be read, of different sizes, or too large."""

from collections import Counter
from collections.abc import Sequence

from jensen.data.arrays import Array
from jensen.data.images.decode import Header, ImageOptions
from jensen.errors import UserError

MOST_VALUES = 1 << 22
"""Values of one image beyond which a size is asked for: a network's first layer has many times as many."""


def check_asked(options: ImageOptions) -> None:
    """Refuse a size that no network could take, before anything is read.

    Raises:
        UserError: it is very large.
    """
    if options.size is not None and options.size[0] * options.size[1] > MOST_VALUES:
        raise UserError(
            f"--size {times(options.size)} is too large for a network to see whole; give at most "
            f"{MOST_VALUES:,} pixels, such as --size 64"
        )


def check_bad(names: Sequence[str], bad: dict[int, str], options: ImageOptions) -> None:
    """Refuse images that cannot be read, unless they may be left out.

    Raises:
        UserError: there are some, and they may not.
    """
    if not bad or options.skip_bad:
        return
    first = min(bad)
    more = f" (and {len(bad) - 1} more cannot be read)" if len(bad) > 1 else ""
    raise UserError(
        f"{names[first]} cannot be read as an image: {bad[first]}{more}; mend or remove it, or add "
        "--skip-bad to go on without such images"
    )


def check_any(source: str, names: Sequence[str], rows: int, bad: dict[int, str]) -> None:
    """Refuse images of which none can be read.

    Raises:
        UserError: there is no row.
    """
    if rows == 0:
        first = min(bad)
        raise UserError(
            f"{source} has no image that can be read, of {len(bad)} (the first, "
            f"{names[first]}: {bad[first]}); give other images"
        )


def common_size(source: str, names: Sequence[str], headers: dict[int, Header]) -> tuple[int, int]:
    """The size that all images have.

    Raises:
        UserError: they have different ones, or it is very large.
    """
    sizes = Counter(header.size for header in headers.values())
    (width, height), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        odd = next(i for i, header in headers.items() if header.size != (width, height))
        usual = next(i for i, header in headers.items() if header.size == (width, height))
        least = min(min(size) for size in sizes)
        raise UserError(
            f"{source} has images of different sizes: {names[usual]} is {width}x{height}, "
            f"{names[odd]} is {times(headers[odd].size)}; add --size to bring all to one, such as "
            f"--size {min(least, 64)}"
        )
    if width * height > MOST_VALUES:
        raise UserError(
            f"{source} has images of {width}x{height}, too large for a network to see whole; add "
            "--size to make them smaller, such as --size 64"
        )
    return width, height


def check_turned(name: str, x: Array, size: tuple[int, int]) -> None:
    """Refuse an image that is of another size than its header says, such as by EXIF that follows the pixels.

    Raises:
        UserError: it is.
    """
    found = (x.shape[1], x.shape[0])
    if found != size:
        raise UserError(
            f"{name} is {times(found)} when it is decoded and turned as its EXIF says, and not {times(size)} "
            f"as its header says; add --size to bring all to one, such as --size {times(found)}"
        )


def times(size: tuple[int, int]) -> str:
    """As one says it, width first."""
    return f"{size[0]}x{size[1]}"
