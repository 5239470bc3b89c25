"""Rows on disk that are too many for memory, read by their numbers."""

import math
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from jensen.data.arrays import Array
from jensen.errors import UserError

LARGE = 1 << 28
"""Bytes of rows (of a table: 8 for each cell) from which on they stay on disk: 256 MiB."""
GAP = 1 << 16
"""Bytes: rows that lie no farther apart are read together, with what is between them."""

MOST = 1 << 24
"""Bytes that are read together, at most."""


class Stored:
    """Rows ``[N, *event]`` of a ``.npy`` file.

    They are read by plain reads, never mapped: pages of a mapped file count in a process's memory, and stay
    until the system needs them. What acts on slices of rows acts on this as on a tensor.

    Args:
        path: the file, C-contiguous and in native byte order.

    Raises:
        UserError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                shape, fortran, dtype = _header(file)
                self._offset = file.tell()
        except (OSError, ValueError) as error:
            raise UserError(f"{path} holds no rows ({error}); prepare the data again") from None
        if fortran or not dtype.isnative or not shape:
            raise UserError(f"{path} is not laid out row by row; write it anew with np.save")
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise UserError(f"{path} holds {dtype}, no real numbers; write it anew as numbers")
        self.shape: tuple[int, ...] = shape
        self.numpy_dtype = np.dtype(np.uint8) if dtype == np.bool_ else dtype
        self.row_bytes = math.prod(shape[1:]) * dtype.itemsize

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows, as torch names it."""
        return torch.from_numpy(np.empty(0, self.numpy_dtype)).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Rows ``[n, *event]`` as stored: of a slice without a step, or of row numbers in any order."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return torch.from_numpy(self._read(start, max(start, stop)))
        numbers = rows.numpy()
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        found = np.empty((len(numbers), *self.shape[1:]), self.numpy_dtype)
        far = np.diff(ordered) * self.row_bytes > GAP + self.row_bytes
        full = np.diff(ordered // max(1, MOST // self.row_bytes)) > 0
        for places in np.split(np.arange(len(ordered)), np.flatnonzero(far | full) + 1):
            if len(places):
                first, last = int(ordered[places[0]]), int(ordered[places[-1]])
                found[order[places]] = self._read(first, last + 1)[ordered[places] - first]
        return torch.from_numpy(found)

    def _read(self, start: int, stop: int) -> Array:
        """Rows from ``start`` to before ``stop``."""
        values = (stop - start) * math.prod(self.shape[1:])
        place = self._offset + start * self.row_bytes
        try:
            read = np.fromfile(self.path, self.numpy_dtype, values, offset=place) if values else np.empty(0)
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; run again to make it anew") from None
        if len(read) < values:
            raise UserError(f"{self.path} is cut short; delete it, and run again to make it anew")
        return read.astype(self.numpy_dtype, copy=False).reshape(stop - start, *self.shape[1:])


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        reader = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    return shape, fortran, dtype
