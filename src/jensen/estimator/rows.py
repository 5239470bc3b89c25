"""What users hand to an estimator, as rows that scikit-learn can check."""

from typing import Any

import numpy as np

from jensen.data.arrays import Array
from jensen.data.python import kind_of, plain
from jensen.errors import UserError


def as_rows(data: Any) -> Any:
    """What an estimator takes: frames and anything that scikit-learn takes as they are, the rest as an array.

    Raises:
        UserError: images, or other rows that are not flat; objects that are no numbers; a name of two
            columns; or as for `plain`.
    """
    from PIL.Image import Image

    if isinstance(data[0] if isinstance(data, list | tuple) and data else data, Image):
        raise UserError(
            "X is images, but rows are [N, D]; give numpy.stack([numpy.asarray(x).ravel() for x in X]), or "
            "train on images with `jensen train` or jensen.session.start"
        )
    data = plain(data)
    shape = getattr(data, "shape", ())
    if kind_of(data) != "array":
        _check_names(data)
    elif isinstance(data, np.ndarray) and data.dtype == object:
        _check_numbers(data)
    if isinstance(data, np.ndarray) and len(shape) > 2:
        raise UserError(
            f"X has shape {shape}, but rows are [N, D] (Found array with dim {len(shape)}, expected <= 2); "
            "give X.reshape(len(X), -1), or train on images with `jensen train` or jensen.session.start"
        )
    return data


def _check_names(frame: Any) -> None:
    """Refuse a frame of which two columns are called alike."""
    names = list(frame.column_names if kind_of(frame) == "pyarrow" else frame.columns)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"X has {names.count(twice)} columns called {twice!r}; rename all but one, or drop them"
        )


def _check_numbers(objects: Array) -> None:
    """Refuse an array of objects that are no numbers, as ``frame.values`` makes one of mixed columns.

    Raises:
        UserError, TypeError: of that type which scikit-learn has for it.
    """
    try:
        objects.astype(np.float64)
    except (TypeError, ValueError) as error:
        kind = UserError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"X is an array of objects that are no numbers ({error}); give a frame (pandas.DataFrame, say), "
            "whose columns have types of their own, or numbers alone"
        ) from None


def check_marker(marker: Any) -> None:
    """Refuse a ``missing_values`` that is no number."""
    if not isinstance(marker, int | float | np.integer | np.floating) or isinstance(marker, bool):
        raise UserError(f"missing_values is {marker!r}; give a number, or NaN")


def unmarked(rows: Any, marker: float) -> Any:
    """Rows with NaN where an array has ``marker``.

    Raises:
        UserError: a frame, whose missing cells have a mark of their own; or cells are marked in two ways.
    """
    if np.isnan(marker):
        return rows
    if kind_of(rows) != "array":
        raise UserError(
            f"missing_values is {marker}, and X is a frame, whose missing cells are null or NaN; leave "
            "missing_values out, and make those cells null (pandas: X.mask(X == ...))"
        )
    if np.isnan(rows).any():
        raise UserError(f"X has NaN, and missing_values is {marker}; mark missing cells one way")
    return np.where(rows == marker, np.nan, rows)
