"""Numbers that are far from all others of their column: codes such as 999, and slips such as 1e30."""

import numpy as np

from jensen.data.arrays import Array, chunks, place_names
from jensen.data.dataset import Dataset
from jensen.data.preparation import Preparation
from jensen.data.stored import Stored
from jensen.data.words import count

CODE_BEYOND, BEYOND = 1.0, 1000.0
"""How many times their range a number lies beyond the others: one that is written in nines, and any."""
OUTSIDE, WITHIN = 0.5, 0.02
"""Of the range of the training images, how far beyond it others reach, or how little of it they take, before
it is said that they may be on another scale."""
NAMED = 5
"""Columns of which it is said, at most."""


def strange_numbers(dataset: Dataset) -> list[str]:
    """A sentence for each column of which the largest or the smallest number is `strange`.

    The data are left as they are: such a number may be right. Of images, dates and what is larger than memory
    nothing is said.
    """
    if len(dataset.event_shape) != 1 or isinstance(dataset.x, Stored) or dataset.is_binary:
        return []
    if dataset.schema is not None:
        columns = {
            place: c.name for place, c in enumerate(dataset.schema.modelled) if c.numeric and c.type != "date"
        }
    else:
        columns = dict(enumerate(dataset.features or place_names(dataset.event_shape)))
    found = []
    for place, name in columns.items():
        values = dataset.x[:, place].double().numpy()
        far = strange(values)
        others = values[~np.isin(values, far) & ~np.isnan(values)]
        found += [_sentence(name, values, value, others, table=dataset.schema is not None) for value in far]
    more = len(found) - NAMED
    return [*found[:NAMED], *([f"{count(more, 'more column')} with such numbers"] if more > 0 else [])]


def another_scale(dataset: Dataset, preparation: Preparation) -> list[str]:
    """What to say of images for a trained run that lie on another scale than those of its training.

    Such as 0 to 1 where these were 0 to 255: a density takes any number, and the figures look like others.
    """
    low, high = preparation.pictured or preparation.value_range
    known = preparation.pictured is None and dataset.value_range == preparation.value_range
    if not dataset.is_image or known or preparation.binarize == "static":
        return []
    ends = [(float(x.min()), float(x.max())) for x in (dataset.x[r].numpy() for r in chunks(dataset.x))]
    least, most = min(end[0] for end in ends), max(end[1] for end in ends)
    beyond = max(low - least, most - high) > OUTSIDE * (high - low)
    if not beyond and not 0 < most - least < WITHIN * (high - low):
        return []
    return [
        f"{dataset.name} has values from {least:.4g} to {most:.4g}, the training images from {low:.4g} to "
        f"{high:.4g}: if they are on another scale, bring them to that one, or what is said of them is wrong"
    ]


def strange(values: Array) -> list[float]:
    """Which of the largest and the smallest of numbers ``[N]``, NaN where missing, is far from all others.

    A number is far if its distance from the next exceeds the range of all others, `BEYOND` times or, where it
    is written in nines (-99, 999, 99999), `CODE_BEYOND` times; or if it is -1, -9, ... among whole numbers
    above 0. The range of the others must be one, of three different numbers or more. Codes at both ends (-999
    and 999) are each held against what lies between, since neither is far from the other's side.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return []
    ends = float(values.max()), float(values.min())
    between = values[~np.isin(values, ends)]
    if all(_is_far(end, between) for end in ends):
        return list(ends)
    return [end for end in ends if _is_far(end, values[values != end])]


def _is_far(value: float, others: Array) -> bool:
    """Whether a number lies far beyond all others, at one end of them."""
    if len(others) == 0 or not (others != others[0]).any():
        return False
    low, high = float(others.min()), float(others.max())
    if ((others == low) | (others == high)).all():
        return False
    gap, nines = max(low - value, value - high), _in_nines(value)
    if value < 0 < low and (nines or value == -1) and (others == np.floor(others)).all():
        return True
    return gap > (CODE_BEYOND if nines and abs(value) > 9 else BEYOND) * (high - low)


def _in_nines(value: float) -> bool:
    """Whether a number is written in nines."""
    return value == np.floor(value) and abs(value) < 1e15 and set(str(abs(int(value)))) == {"9"}


def _sentence(name: str, values: Array, value: float, others: Array, *, table: bool) -> str:
    """What to say of a number that is far from the ``others`` of its column."""
    here = values == value
    first = f"{here.argmax() + 1}" if table else f"{here.argmax()} (counted from 0)"
    where = f"row {first} has" if here.sum() == 1 else f"{count(int(here.sum()), 'row')} have"
    mend = "leave such cells empty" if table else "mend it, or leave those rows out"
    meant = "stands for missing" if _in_nines(value) or value == -1 else "is an error"
    return (
        f"column {name!r}: {where} {value:.10g}, far from all others ({others.min():.6g} to "
        f"{others.max():.6g}); if it {meant}, {mend} and train again"
    )
