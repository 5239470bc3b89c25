"""Writing ``.npy`` files row by row, where it is not known beforehand how many rows there will be."""

import os
from pathlib import Path
from types import TracebackType

import numpy as np

from jensen.data.arrays import Array


class NpyFile:
    """A ``.npy`` file ``[N, *event]`` that rows are written to in pieces; its header is right at the end."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed when the block ends)
        self._header: dict[str, object] = {}

    def write(self, x: Array) -> None:
        """Write rows ``[n, *event]``, all of one dtype and event."""
        if not self._header:
            self._header = {"descr": np.lib.format.dtype_to_descr(x.dtype), "fortran_order": False}
            self._write_header(x.shape[1:])
        self._file.write(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
        self.rows += len(x)
        self._event = x.shape[1:]

    def __enter__(self) -> "NpyFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._header and error is None:
            self._file.seek(0)
            self._write_header(self._event)
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()

    def _write_header(self, event: tuple[int, ...]) -> None:
        """NumPy leaves room in a header, so that the number of rows may grow in its place."""
        header = {**self._header, "shape": (self.rows, *event)}
        np.lib.format.write_array_header_1_0(self._file, header)
