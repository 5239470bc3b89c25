"""Which rows train, validate and test, where their authors have not published it."""

import math

import numpy as np

from jensen.data.arrays import Array
from jensen.data.raw import Raw
from jensen.data.shares import Share
from jensen.data.words import count
from jensen.errors import UserError

SPLITS = ("train", "validation", "test")


def check_fractions(seed: int, validation_fraction: float, test_fraction: float) -> None:
    """Refuse a seed or fractions that leave a split without rows.

    Raises:
        UserError: what was given, and what is allowed.
    """
    for name, fraction in (("validation", validation_fraction), ("test", test_fraction)):
        if not 0 < fraction < 1:  # also true of NaN
            raise UserError(f"--{name}-fraction is {fraction}; give a number between 0 and 1, such as 0.1")
    if validation_fraction + test_fraction >= 1:
        raise UserError(
            f"--validation-fraction {validation_fraction} and --test-fraction {test_fraction} leave nothing "
            "to train on; give two numbers whose sum is below 1, such as 0.1 and 0.1"
        )
    if seed < 0:
        raise UserError(f"--seed is {seed}; give a whole number of 0 or more")


def draw_splits(
    source: str, raw: Raw, seed: int, validation_fraction: float, test_fraction: float
) -> dict[str, Array | Share]:
    """Published splits, completed from "train" by one permutation of its rows; without any list, shares.

    Raises:
        UserError: there are too few rows.
    """
    if not raw.splits:
        n, held = len(raw.x), test_fraction + validation_fraction
        bounds = {"train": (held, 1.0), "validation": (test_fraction, held), "test": (0.0, test_fraction)}
        return {name: Share(n, seed, *bounds[name]) for name in SPLITS}
    train = raw.splits["train"]
    drawn = {
        name: _at_least_one(len(train) * fraction)
        for name, fraction in (("test", test_fraction), ("validation", validation_fraction))
        if name not in raw.splits
    }
    if len(train) <= len(drawn):
        raise UserError(
            f"{source} has {count(len(train), 'row')}, too few to train, validate and test on; "
            f"give at least {len(drawn) + 1}"
        )
    while sum(drawn.values()) >= len(train):  # rounding up has left no row to train on
        drawn[max(drawn, key=lambda name: drawn[name])] -= 1
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(train)
    splits = dict(raw.splits)
    for name, rows in drawn.items():
        splits[name], shuffled = shuffled[:rows], shuffled[rows:]
    splits["train"] = shuffled
    return {name: np.sort(splits[name]).astype(np.int64) for name in SPLITS}


def _at_least_one(count: float) -> int:
    return max(1, math.floor(count + 0.5))
