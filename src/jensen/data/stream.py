"""Rows for training in random order, of which only a few blocks are in memory at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from jensen.data import seeds
from jensen.data.labels import Labelled
from jensen.data.shares import Share
from jensen.data.stored import Stored

BLOCK = 1 << 18
"""Bytes of consecutive rows that are read at once: 256 KiB, so that a disk is asked for few pieces."""
BUFFER = 256
"""Blocks that are shuffled together: a batch has rows from as many places of the data."""


class RowStream:
    """The rows of a split, piece by piece, for training on more of them than memory holds.

    Blocks of consecutive rows come in random order, and the rows of `BUFFER` blocks at a time are shuffled
    together. An epoch takes the next ``epoch_rows`` rows, in whole blocks, of that order, and the following
    ones go on from there: every row is seen once before any is seen twice. What an epoch yields depends on
    the seed, its number and the generator alone, so that a stopped run goes on where it was.

    Args:
        x: all rows as stored, ``[N, *event]``, on disk or in memory.
        rows: the numbers of those of the split.
        seed: of the order of the blocks.
        epoch_rows: rows of an epoch, at most; None for all.
    """

    def __init__(
        self,
        x: Tensor | Stored | Labelled,
        rows: Tensor | Share,
        seed: int = 0,
        epoch_rows: int | None = None,
    ) -> None:
        self.x, self.rows, self.seed = x, rows, seed
        most = len(rows) if epoch_rows is None else min(epoch_rows, len(rows))
        row_bytes = x.row_bytes if isinstance(x, Stored) else x[:1].nbytes
        self._size = max(1, min(BLOCK // max(1, row_bytes), most // 64))
        self._blocks = -(-len(rows) // self._size)
        self._in_epoch = self._blocks if most == len(rows) else most // self._size

    def __len__(self) -> int:
        """Rows of the split."""
        return len(self.rows)

    @property
    def epoch_rows(self) -> int:
        """Rows of an epoch; a block at the end of the split may have fewer than are counted here."""
        return min(self._in_epoch * self._size, len(self.rows))

    def first(self, count: int) -> Tensor:
        """The first rows of the split, as stored."""
        return self.x[self.rows[:count]]

    def pieces(
        self, batch_size: int, generator: torch.Generator, epoch: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The rows of an epoch, counted from 0: ``(rows as stored, the order in which to take them)``.

        Rows that the order leaves out come in the next piece again, so that all batches but the last are
        full.
        """
        left = self.x[:0]
        for blocks in self._order(epoch).split(BUFFER):
            buffer = torch.cat([left, *(self._block(int(number)) for number in blocks)])
            shuffled = torch.randperm(len(buffer), generator=generator)
            whole = len(buffer) - len(buffer) % batch_size
            yield buffer, shuffled[:whole]
            left = buffer[shuffled[whole:]]
        if len(left):
            yield left, torch.arange(len(left))

    def _block(self, number: int) -> Tensor:
        return self.x[self.rows[number * self._size : (number + 1) * self._size]]

    def _order(self, epoch: int) -> Tensor:
        """The numbers of an epoch's blocks: its part of one random order of all blocks after the other."""
        start = epoch * self._in_epoch
        first, last = start // self._blocks, (start + self._in_epoch - 1) // self._blocks
        passes = [
            torch.randperm(self._blocks, generator=seeds.generator(self.seed, "pass", number))
            for number in range(first, last + 1)
        ]
        place = start - first * self._blocks
        return torch.cat(passes)[place : place + self._in_epoch]
