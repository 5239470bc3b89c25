"""Splits of so many rows that a list of their numbers would be large, by a rule in place of the list."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.seeds import derive_seed

GRAIN = 4096
"""Rows that are dealt out by one draw; changing it changes the splits."""


class Share:
    """The numbers of the rows whose uniform draw lies in ``[low, high)``, ascending, never all listed.

    Row i draws from the Philox generator (Salmon et al. 2011) of the key ``seed`` at the counter of its grain
    of `GRAIN` rows, so that any grain can be dealt by itself. It is indexed like a tensor of row numbers.

    Args:
        total: the number of all rows.
        seed: of the draws.
        low: where the share begins, from 0.
        high: where it ends, up to 1.
    """

    def __init__(self, total: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> None:
        self.total, self.seed, self.low, self.high = total, seed, low, high
        self._key = derive_seed(seed, "share")
        counts = [len(self._grain(number)) for number in range(-(-total // GRAIN))]
        self._starts = np.cumsum([0, *counts])

    @property
    def rule(self) -> str:
        """All that the numbers depend on, in words."""
        return f"{self.total} rows, philox {GRAIN}, seed {self.seed}, from {self.low!r} to {self.high!r}"

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, places: slice | Tensor) -> Tensor:
        """Row numbers, int64: of a slice of places without a step, or of places in any order."""
        if isinstance(places, slice):
            start, stop, _ = places.indices(len(self))
            return torch.from_numpy(self._between(start, max(start, stop)))
        wanted = places.numpy()
        grains = np.searchsorted(self._starts, wanted, "right") - 1
        found = np.empty(len(wanted), np.int64)
        for number in np.unique(grains):
            here = grains == number
            found[here] = self._grain(int(number))[wanted[here] - self._starts[number]]
        return torch.from_numpy(found)

    def split(self, size: int) -> Iterator[Tensor]:
        """All numbers in pieces of ``size``."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def _between(self, start: int, stop: int) -> Array:
        if start == stop:
            return np.empty(0, np.int64)
        first, last = (int(g) for g in np.searchsorted(self._starts, [start, stop - 1], "right") - 1)
        numbers = np.concatenate([self._grain(number) for number in range(first, last + 1)])
        return numbers[start - self._starts[first] : stop - self._starts[first]]

    def _grain(self, number: int) -> Array:
        """The numbers that one grain has of the share."""
        begin = number * GRAIN
        size = min(GRAIN, self.total - begin)
        if self.low <= 0 and self.high >= 1:
            return np.arange(begin, begin + size)
        philox = np.random.Philox(key=self._key, counter=[0, 0, 0, number])
        drawn = np.random.Generator(philox).random(GRAIN)[:size]
        return begin + np.flatnonzero((drawn >= self.low) & (drawn < self.high))


def draw_distinct(n: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` different numbers below ``n`` (all of them, where they are fewer), in random order."""
    if n <= 1 << 22 or count > n // 4:
        return torch.randperm(n, generator=generator)[:count]
    found = torch.randint(n, (count + count // 2 + 64,), generator=generator).unique()
    some: Tensor = found[torch.randperm(len(found), generator=generator)[:count]]
    return some
