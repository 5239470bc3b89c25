"""Arrays as rows: their layout, and refusing what cannot be data."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from jensen.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Rows(Protocol):
    """What has rows and gives slices of them: an array, a tensor, rows on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, *event)``."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


CHUNK = 1 << 22
"""Values examined at a time, so that a check never copies a whole data set."""


def check_rows(x: Array, name: str) -> Array:
    """``x`` contiguous and in native byte order, bool as uint8; refused unless it is rows of finite numbers.

    Raises:
        UserError: the dtype is not real numbers, there are fewer than two axes, no values, or a NaN.
    """
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise UserError(
            f"{name} holds values of dtype {x.dtype}, but data are real numbers "
            "(bool, integers, float16/32/64): convert them, as in np.save(path, array.astype(float))"
        )
    check_layout(x.shape, name)
    x = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
    if x.dtype.kind == "f":
        check_finite(x, name)
    return x


def check_layout(shape: tuple[int, ...], name: str) -> None:
    """Refuse the shape of an array that is not rows with something in them.

    Raises:
        UserError: there are fewer than two axes, or no values.
    """
    if len(shape) < 2:
        raise UserError(
            f"{name} holds an array of shape {shape}, but data are rows, of shape [N, D] or [N, H, W]; "
            "reshape it, as in array.reshape(-1, 1) for rows of one number"
        )
    if 0 in shape:
        raise UserError(
            f"{name} holds an empty array of shape {shape}; give at least 1 row, of at least 1 value"
        )


def image_layout(event_shape: tuple[int, ...]) -> str | None:
    """``HW``, ``CHW`` or ``HWC`` for the shape of an image, None for any other."""
    if len(event_shape) == 2:
        return "HW"
    if len(event_shape) == 3 and event_shape[0] in (1, 3, 4):
        return "CHW"
    if len(event_shape) == 3 and event_shape[2] in (1, 3, 4):
        return "HWC"
    return None


def image_range(dtype: "np.dtype[Any]", event_shape: tuple[int, ...]) -> tuple[float, float]:
    """Black and white of rows of a dtype: 0 and 255 where they are 8-bit images, else 0 and 1."""
    return (0.0, 255.0) if dtype == np.uint8 and image_layout(event_shape) is not None else (0.0, 1.0)


def is_binary(x: Rows) -> bool:
    """Whether all values are 0 or 1."""
    return all(bool(((x[rows] == 0) | (x[rows] == 1)).all()) for rows in chunks(x))


def looks_like_counts(x: Rows) -> bool:
    """Whether rows ``[N, D]`` may well be counts: whole numbers from 0, beyond 255 or mostly zeros.

    Grey values are told from small counts by their white: of pixels many are as bright as can be (0.6 % of
    those of MNIST), of counts hardly any are as large as the largest.
    """
    if len(x.shape) != 2:
        return False
    size, largest, zeros, tops = math.prod(x.shape), 0.0, 0, 0
    for rows in chunks(x):
        values = np.asarray(x[rows])
        whole = values.dtype.kind in "iu" or bool((values == np.floor(values)).all())
        if not whole or values.min() < 0:
            return False
        top = float(values.max())
        tops = (tops if largest >= top else 0) + int((values == max(top, largest)).sum())
        largest = max(largest, top)
        zeros += int((values == 0).sum())
    return largest > 255 or (2 * zeros >= size and 1000 * tops < size)


def chunks(x: Rows) -> Iterator[slice]:
    """Consecutive slices of rows, each of about ``CHUNK`` values or of one row."""
    step = max(1, CHUNK // math.prod(x.shape[1:]))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def first_place(mask: Array, start: int = 0) -> tuple[tuple[int, ...], str]:
    """The index of the first True, and in words: ``row 3, column 5`` or, for images, ``row 3, index (2, 4)``.

    As everywhere in NumPy, and said so, they are counted from 0; the rows of tables are from 1.
    ``start`` is the row number of the mask's first row, for the words.
    """
    index = tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))
    row, *rest = index
    place = f"column {rest[0]}" if len(rest) == 1 else f"index {tuple(rest)}"
    return index, f"row {start + row}, {place} (counted from 0)"


def place_names(event_shape: Sequence[int]) -> list[str]:
    """What the numbers of a datum are called that has no names for them: x0, x1, ..., or by their places.

    In an image x3_12 is that of row 3, column 12, from 0 on; the channel, where there is one, stands as in
    the array.
    """
    return ["x" + "_".join(map(str, place)) for place in np.ndindex(*event_shape)]


def check_finite(x: Rows, name: str) -> None:
    """Refuse rows with a NaN or an infinite value.

    Raises:
        UserError: how many there are, and where the first is.
    """
    nans = infinities = 0
    first = ""
    for rows in chunks(x):
        values = np.asarray(x[rows])
        unusable = ~np.isfinite(values)
        if unusable.any():
            nan_here = int(np.isnan(values).sum())
            nans += nan_here
            infinities += int(unusable.sum()) - nan_here
            first = first or first_place(unusable, rows.start)[1]
    if first:
        raise UserError(
            f"{name} holds {nans} NaN and {infinities} infinite values, the first at {first}; "
            "data must be finite: remove those rows or impute the values"
        )
