"""NumPy's files: ``.npy`` and ``.npz`` read, dense or sparse, and ``.npy`` written row by row."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from jensen.data.arrays import Array, check_rows
from jensen.errors import UserError, one_line

LABEL_KEYS = ("y", "labels", "label")
SPARSE_KEYS = {"data", "indices", "indptr", "shape"}
"""Of a sparse matrix, as scipy.sparse.save_npz writes it, or without its `format`: by rows."""
SMALL = (np.uint8, np.int16, np.int32)
"""Types that the whole numbers of a sparse matrix are kept in, the smallest that holds them."""

# What NumPy, zipfile and zlib raise on damaged bytes; RuntimeError is an encrypted archive.
_DAMAGED = (
    ValueError,
    EOFError,
    OSError,
    MemoryError,
    OverflowError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
)


def read_file(path: Path, key: str | None) -> tuple[Array, Array | None]:
    """The rows ``[N, *event]`` of a file, checked, and its labels ``[N]``, whole numbers or texts, if any.

    Raises:
        UserError: the file is missing, damaged, pickled, ambiguous, or what it holds is not rows of
            finite numbers.
    """
    if _magic(path).startswith(b"PK"):
        x, labels = _read_npz(path, key)
    else:
        with _reading(path) as stream:
            x, labels = np.load(stream, allow_pickle=False), None
    return check_rows(x, str(path)), labels


def _magic(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            magic = stream.read(6)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give the path of a .npy or .npz file that exists") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a readable .npy or .npz file") from None
    if magic[:1] == b"\x80":  # how every pickle since protocol 2 begins
        raise _pickled(path)
    if magic != b"\x93NUMPY" and not magic.startswith(b"PK"):
        raise UserError(
            f"{path} is not a NumPy file (damaged, or of another format); write it with np.save or np.savez"
        )
    return magic


def _pickled(path: Path) -> UserError:
    return UserError(
        f"{path} holds pickled objects, which could run code and are never opened; "
        "save numbers instead: np.save(path, array.astype(float))"
    )


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as stream:  # given a path, np.load leaves a damaged archive open
            yield stream
    except _DAMAGED as error:
        if "allow_pickle" in str(error):  # NumPy's words for an array of objects
            raise _pickled(path) from None
        raise UserError(
            f"{path} is damaged or cut short ({one_line(error)}); copy or write it again"
        ) from None


def _read_npz(path: Path, key: str | None) -> tuple[Array, Array | None]:
    with _reading(path) as stream, np.load(stream, allow_pickle=False) as archive:
        names: list[str] = list(archive.files)
        if key is None and set(names) >= SPARSE_KEYS:
            beside = [_beside(archive, name) for name in LABEL_KEYS if name in names]
            return _from_sparse(archive), _first_labels(beside)
        data = [key] if key is not None else [name for name in names if name not in LABEL_KEYS] or names
        if len(data) > 1:  # the names of rows, which jensen writes beside them, are no rows
            data = [name for name in data if not _is_text(archive, name)]
        if len(data) == 1 and data[0] in names:
            x: Array = archive[data[0]]
            beside = [_beside(archive, name) for name in LABEL_KEYS if name in names and name != data[0]]
            fitting = [array for array in beside if array is None or array.size == len(x)]
            # A `y` of another length labels nothing: then it is a second array, and the user must choose.
            if key is not None or len(fitting) == len(beside):
                return x, _first_labels(fitting)
    known = ", ".join(names)
    if key is not None:
        raise UserError(f"{path} has no array {key!r}; it has {known or 'none at all'}: give {path}:KEY")
    if not names:
        raise UserError(f"{path} holds no array at all; write one with np.savez(path, x=array)")
    raise UserError(f"{path} holds several arrays: {known}; name the one to use, as in {path}:{names[0]}")


def _from_sparse(archive: Any) -> Array:
    """The rows ``[N, D]`` of a sparse matrix; whole numbers in the smallest type that holds them."""
    from scipy import sparse

    by_columns = "format" in archive.files and archive["format"].item() in (b"csc", "csc")
    kind = sparse.csc_array if by_columns else sparse.csr_array
    values = archive["data"]
    if values.dtype.kind in "iu" and values.size:
        fitting = (t for t in SMALL if np.iinfo(t).min <= values.min() and values.max() <= np.iinfo(t).max)
        values = values.astype(next(fitting, values.dtype))
    parts = (values, archive["indices"], archive["indptr"])
    matrix = kind(parts, shape=tuple(int(size) for size in archive["shape"]))
    matrix.check_format()  # else a damaged file could write anywhere
    rows: Array = matrix.toarray()
    return rows


def _beside(archive: Any, name: str) -> Array | None:
    with suppress(ValueError):  # an array of objects beside the data is no reason to refuse the data
        array: Array = archive[name]
        return array
    return None


def _is_text(archive: Any, name: str) -> bool:
    array = _beside(archive, name)
    return array is not None and array.dtype.kind == "U"


def _first_labels(arrays: list[Array | None]) -> Array | None:
    """The first of some arrays that is whole numbers or texts, one for each row."""
    for array in arrays:
        if array is not None and array.dtype.kind in "iubfUS":
            flat = array.reshape(-1)
            if flat.dtype.kind == "S":
                flat = np.char.decode(flat, "utf-8", "replace")
            if flat.dtype.kind == "U" or bool((np.isfinite(flat) & (flat == np.floor(flat))).all()):
                return flat if flat.dtype.kind == "U" else flat.astype(np.int64)
    return None


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
