"""Which contexts a conditional model samples under: those of training rows, or the very values asked for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jensen.errors import UserError

TOLERANCE = 1e-9
"""Relative: 3 * 0.1 is not 0.3, but near."""


def split_conditions(
    conditions: Sequence[Any], given: Sequence[int], size: int
) -> tuple[list[Any], list[Any]]:
    """Conditions on the given columns, and on the modelled ones, each with its place among its kind.

    Args:
        conditions: `jensen.data.tables.where.Allowed`, of rows of ``size`` columns.
        given: the places of the given columns.
        size: C.
    """
    modelled = [place for place in range(size) if place not in given]
    return (
        [replace(c, place=list(given).index(c.place)) for c in conditions if c.place in given],
        [replace(c, place=modelled.index(c.place)) for c in conditions if c.place not in given],
    )


def choose_contexts(contexts: Tensor, conditions: Sequence[Any], asked: str = "the condition") -> Tensor:
    """The contexts ``[R, Cc]`` of training rows that meet all conditions, ``[S, Cc]``.

    Where none does, and each column has one value that it may have, those values, ``[1, Cc]``: the model is
    asked about what it has not seen.

    Args:
        contexts: c of training rows; NaN, a missing cell, meets no condition.
        conditions: `jensen.data.tables.where.Allowed`, with places in c.
        asked: the condition as the user wrote it.

    Raises:
        UserError: no training row meets it, and it leaves more than one value to some column.
    """
    meets = torch.ones(len(contexts), dtype=torch.bool, device=contexts.device)
    for c in conditions:
        meets &= _meets(contexts[:, c.place], c)
    if meets.any():
        return contexts[meets]
    values = {c.place: value for c in conditions if (value := _only_value(c)) is not None}
    if len(values) == contexts.shape[1]:
        return contexts.new_tensor([[values[place] for place in range(len(values))]])
    raise UserError(
        f"--where {asked!r}: none of {len(contexts):,} training rows meets it, so that there is nothing to "
        "draw the given columns from; give each of them one value (COLUMN = VALUE), or ask for less"
    )


def _meets(values: Tensor, allowed: Any) -> Tensor:
    if allowed.levels is not None:
        return torch.isin(values, values.new_tensor(allowed.levels))
    slack = TOLERANCE * values.abs()
    within = torch.zeros_like(values, dtype=torch.bool)
    for low, high in allowed.spans:
        within |= (values >= low - slack) & (values <= high + slack)
    return within


def _only_value(allowed: Any) -> float | None:
    """The value of a condition that allows no other."""
    if allowed.levels is not None:
        return float(allowed.levels[0]) if len(allowed.levels) == 1 else None
    [(low, high), *others] = allowed.spans
    return float(low) if low == high and not others else None
