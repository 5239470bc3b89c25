"""Where likelihoods live; if data lie elsewhere, which values do, and what to do about it."""

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from jensen.data.arrays import Array, Mask, chunks, first_place
from jensen.data.stored import Stored
from jensen.errors import UserError

BINARIZE = ("none", "dynamic", "static")
SUPPORTS = {
    "real": "any number",
    "binary": "zeros and ones",
    "unit": "numbers in [0, 1]",
    "grid": "whole numbers of a grey range, scaled: probabilities of levels",
    "count": "whole numbers of 0 or more",
    "categories": "category numbers 0, 1, 2, ...",
    "table": "codes of a table's columns, each in its own domain",
}
"""Where a likelihood lives. On all but "real" and "unit" it is a probability, not a density."""

_REAL = "--likelihood normal, laplace or student-t"


def check_domain(
    x: Tensor | Stored,
    support: str,
    binarize: str,
    value_range: tuple[float, float],
    *,
    name: str = "the data",
    trained: bool = False,
) -> None:
    """Refuse rows ``[N, *event]`` with values outside a likelihood's domain (see `SUPPORTS`).

    With ``trained`` they are for a model that is there, whose likelihood is no longer a choice.

    Raises:
        UserError: how many values are outside, the first of them and where it is, and the mend.
    """
    if binarize not in BINARIZE:
        raise UserError(f"binarize is {binarize!r}; give one of {', '.join(BINARIZE)}")
    low, high = value_range
    if support == "binary" and binarize != "none":
        inside, what = _between(low, high), f"outside [{low:g}, {high:g}]"
        mend = (
            f"--binarize {binarize} needs grey values: scale them to [0, 1], store images [N, H, W] as "
            "uint8, or use --likelihood normal"
        )
    elif support == "binary":
        inside, what = _zero_or_one, "that are neither 0 nor 1"
        mend = "the Bernoulli likelihood needs them: use --binarize dynamic or static, or --likelihood normal"
    elif support == "unit":
        inside, what = _between(low, high), f"outside [{low:g}, {high:g}]"
        mend = f"a continuous Bernoulli likelihood needs such values: scale them to [0, 1], or use {_REAL}"
    elif support in ("grid", "categories") and high > 1:
        inside, what = _levels(high), f"that are no whole numbers from 0 to {high:g}"
        mend = f"a likelihood of these levels needs them: use {_REAL}"
    elif support in ("grid", "count", "categories"):
        inside, what = _whole, "that are no whole numbers of 0 or more"
        mend = f"a likelihood of discrete values needs them: use {_REAL}"
    else:
        return
    outside, first = _outside(x, inside)
    if trained:
        mend = "the model cannot take them: give rows like those of its training, or train a run on these"
    if outside:
        raise UserError(f"{name} has {outside} of {math.prod(x.shape)} values {what} ({first}), but {mend}")


def _between(low: float, high: float) -> Callable[[Array], Mask]:
    return lambda values: (values >= low) & (values <= high)


def _zero_or_one(values: Array) -> Mask:
    return np.asarray((values == 0) | (values == 1))


def _whole(values: Array) -> Mask:
    return np.asarray((values >= 0) & (values == np.floor(values)))


def _levels(high: float) -> Callable[[Array], Mask]:
    return lambda values: _whole(values) & (values <= high)


def _outside(x: Tensor | Stored, inside: Callable[[Array], Mask]) -> tuple[int, str]:
    """How many values are not inside, and the first of them in words."""
    count, first = 0, ""
    for rows in chunks(x):
        values = x[rows].numpy()
        bad = ~inside(values)
        if bad.any() and not first:
            index, where = first_place(bad, rows.start)
            first = f"the first is {values[index]} at {where}"
        count += int(bad.sum())
    return count, first
