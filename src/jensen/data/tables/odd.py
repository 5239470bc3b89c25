"""Cells that no row of training could have had: unknown categories, numbers outside their column's domain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.data.arrays import Array, Mask
from jensen.data.tables.schema import Column
from jensen.data.words import count, few
from jensen.errors import UserError


@dataclass(frozen=True)
class Odd:
    """Cells of one column that are odd in one way.

    Attributes:
        column: its name.
        what: they are, as words that follow their number.
        done: what is made of them, in words.
        number: how many they are.
        first: the first of them.
        row: where it is; of tables, the first row is 1.
    """

    column: str
    what: str
    done: str
    number: int
    first: str
    row: int

    def __str__(self) -> str:
        """They, and the first of them: what a user needs to find them."""
        cells = f"{count(self.number, 'cell')} {self.what}"
        first = f"the first {self.first}" if self.number > 1 else self.first
        return f"column {self.column!r} has {cells}, {first} in row {self.row:,}"


def together(odd: Iterable[Odd]) -> list[Odd]:
    """Those of pieces of a table, one after the other, as those of the whole."""
    found: dict[tuple[str, str], Odd] = {}
    for some in odd:
        key = some.column, some.what
        found[key] = replace(found[key], number=found[key].number + some.number) if key in found else some
    return list(found.values())


def sentences(name: str, odd: Sequence[Odd], *, strict: bool = False) -> list[str]:
    """What to say of odd cells of some data, a sentence for each column.

    Raises:
        UserError: with ``strict``, if there are any.
    """
    if strict and odd:
        others = [some.column for some in odd[1:]]
        more = f" (there are others in {few(others)})" if others else ""
        raise UserError(
            f"{name}: {odd[0]}{more}; mend them, or leave --strict out: then they are {odd[0].done}"
        )
    return [f"{name}: {some}; {some.done}" for some in odd]


def odd_cells(column: Column, wrong: Mask, cells: Any, before: int, what: str, done: str) -> list[Odd]:
    """Cells of one column that are odd, if any.

    Args:
        column: which.
        wrong: whether each is, ``[n]``.
        cells: they, ``[n]``, of Arrow or NumPy.
        before: the number of the first row, of the data that it is of, less one.
        what: see `Odd`.
        done: see `Odd`.
    """
    if not wrong.any():
        return []
    row = int(np.argmax(wrong))
    cell = cells[row]
    value = cell.as_py() if hasattr(cell, "as_py") else cell.item()
    first = repr(value[:40]) if isinstance(value, str) else str(value)
    return [Odd(column.name, what, done, int(wrong.sum()), first, before + row + 1)]


def odd_levels(column: Column, codes: Array, missing: Mask, cells: Any, before: int) -> list[Odd]:
    """Cells whose code ``[n]`` is NaN though they are not missing: of categories that the schema lacks."""
    what = "of categories that the schema lacks"
    return odd_cells(column, np.isnan(codes) & ~missing, cells, before, what, "taken as missing")


def odd_numbers(column: Column, codes: Array, cells: Any, before: int, digits: float) -> list[Odd]:
    """Cells of a numeric column with codes ``[n]`` outside its domain, and between its steps.

    Args:
        column: numeric.
        codes: NaN where missing.
        cells: as given.
        before: see `odd_cells`.
        digits: the relative distance of numbers that the type of the cells tells apart.
    """
    below = {"count": codes < 0, "positive": codes <= 0}.get(column.type, np.zeros(len(codes), np.bool_))
    done = (
        "taken as they are, though under the model they cannot be: do not rely on what is made of their rows"
    )
    limit = "below 0" if column.type == "count" else "of 0 or less"
    odd = odd_cells(column, below, cells, before, f"{limit}, and is of type {column.type}", done)
    if not column.step:
        return odd
    seconds = " seconds" if column.type == "date" and column.step > 1 else ""
    between = off_grid(codes, column.step, digits) & ~below
    what = f"between its steps of {column.step:g}{seconds}"
    return odd + odd_cells(column, between, cells, before, what, "taken for the step around each")


def off_grid(values: Array, step: float, digits: float) -> Mask:
    """Which of numbers ``[n]`` are no multiples of a step; not NaN.

    A step is found with as much tolerance (see `jensen.data.tables.summary.Numbers`).
    """
    multiples = np.abs(values / step)
    largest = multiples[np.isfinite(multiples)].max(initial=0.0)
    tolerance = 1e-6 * max(1.0, largest * 1e-6) + digits * multiples
    return np.asarray(np.abs(multiples - multiples.round()) > tolerance)
