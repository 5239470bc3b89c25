"""Prepared rows for evaluation, drawn alike for every run."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from jensen.data.dataset import Dataset
from jensen.data.preparation import Preparation
from jensen.data.seeds import ONE_DRAW, generator
from jensen.errors import UserError


def evaluation_blocks(
    dataset: Dataset,
    preparation: Preparation,
    split: str,
    *,
    seed: int = ONE_DRAW,
    limit: int | None = None,
    block: int = 256,
    alike: bool = False,
) -> Iterator[Tensor]:
    """The prepared rows of a split in order, in blocks ``[block, *event]`` (the last may be shorter).

    Block b draws (dynamic binarization, dequantization) from a generator of its own, seeded by (seed,
    split, b), and always for the whole block: ``limit=N`` gives the first N rows of the same draw. The seed
    is no run's, so that runs are measured on the same numbers. With ``alike``, all rows of all splits have
    one draw: a row is prepared alike wherever it stands.

    Raises:
        UserError: an unknown split, or a limit or block below 1; of a block, a value too large for its type.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit is {limit}; give a number of rows of 1 or more, or leave it out for all rows")
    if block < 1:
        raise UserError(f"block is {block}; give a number of rows of 1 or more")
    dataset.numbers(split)  # refuses a split that is not there
    if alike:
        preparation = replace(preparation, alike=True)
    return _blocks(dataset, preparation, split, seed, limit, block)


def _blocks(
    dataset: Dataset,
    preparation: Preparation,
    split: str,
    seed: int,
    limit: int | None,
    block: int,
) -> Iterator[Tensor]:
    rows = dataset.splits[split]
    left = len(rows) if limit is None else min(limit, len(rows))
    for number, numbers in enumerate(rows.split(block)):
        if left <= 0:
            return
        place = () if preparation.alike else (split, number)
        prepared = preparation(dataset.source[numbers], generator(seed, "evaluation", *place))[:left]
        if preparation.marginals is None:  # whose missing cells are NaN
            _check_finite(dataset.name, prepared, numbers)
        yield prepared
        left -= block


def _check_finite(name: str, prepared: Tensor, numbers: Tensor) -> None:
    """Refuse rows that are finite as given (see `jensen.data.arrays`), and are not once they are prepared.

    Raises:
        UserError: the first one, and the mend.
    """
    finite = prepared.isfinite().flatten(1).all(1)
    if not finite.all():
        row = int(numbers[: len(prepared)][~finite][0])
        kind = str(prepared.dtype).removeprefix("torch.")
        raise UserError(
            f"{name} has values in row {row} (counted from 0) that are too large for {kind} once they are "
            "scaled as those of the training were; mend them or leave that row out"
        )
