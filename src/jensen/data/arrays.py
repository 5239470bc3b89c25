"""Reading ``.npy`` and ``.npz`` files, dense or sparse, and refusing what cannot be data."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from jensen.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]


class Rows(Protocol):
    """What has rows and gives slices of them: an array, a tensor, rows on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, *event)``."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


LABEL_KEYS = ("y", "labels", "label")
SPARSE_KEYS = {"data", "indices", "indptr", "shape"}
"""Of a sparse matrix, as scipy.sparse.save_npz writes it, or without its `format`: by rows."""
SMALL = (np.uint8, np.int16, np.int32)
"""Types that the whole numbers of a sparse matrix are kept in, the smallest that holds them."""
CHUNK = 1 << 22  # values examined at a time, so that a check never copies a whole data set

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


def parse_source(source: str) -> tuple[Path, str | None] | None:
    """``FILE.npy``, ``FILE.npz`` or ``FILE.npz:key`` -> ``(path, key)``; None for anything else."""
    lower = source.lower()
    if lower.endswith((".npy", ".npz")):
        return Path(source).expanduser(), None
    end = lower.rfind(".npz:") + len(".npz")
    if end >= len(".npz"):
        return Path(source[:end]).expanduser(), source[end + 1 :]
    return None


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


def check_rows(x: Array, name: str) -> Array:
    """``x`` contiguous and in native byte order, bool as uint8; refused unless it is rows of finite numbers.

    Raises:
        UserError: the dtype is not real numbers, there are fewer than two axes, no values, or a NaN.
    """
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise UserError(
            f"{name} holds values of dtype {x.dtype}, but data are real numbers "
            "(bool, integers, float16/32/64): convert them, as in np.save(path, array.astype(float))"
        )
    check_layout(x.shape, name)
    x = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
    if x.dtype.kind == "f":
        check_finite(x, name)
    return x


def check_layout(shape: tuple[int, ...], name: str) -> None:
    """Refuse the shape of an array that is not rows with something in them.

    Raises:
        UserError: there are fewer than two axes, or no values.
    """
    if len(shape) < 2:
        raise UserError(
            f"{name} holds an array of shape {shape}, but data are rows, of shape [N, D] or [N, H, W]; "
            "reshape it, as in array.reshape(-1, 1) for rows of one number"
        )
    if 0 in shape:
        raise UserError(
            f"{name} holds an empty array of shape {shape}; give at least 3 rows of at least 1 value"
        )


def image_layout(event_shape: tuple[int, ...]) -> str | None:
    """``HW``, ``CHW`` or ``HWC`` for the shape of an image, None for any other."""
    if len(event_shape) == 2:
        return "HW"
    if len(event_shape) == 3 and event_shape[0] in (1, 3, 4):
        return "CHW"
    if len(event_shape) == 3 and event_shape[2] in (1, 3, 4):
        return "HWC"
    return None


def image_range(dtype: "np.dtype[Any]", event_shape: tuple[int, ...]) -> tuple[float, float]:
    """Black and white of rows of a dtype: 0 and 255 where they are 8-bit images, else 0 and 1."""
    return (0.0, 255.0) if dtype == np.uint8 and image_layout(event_shape) is not None else (0.0, 1.0)


def is_binary(x: Rows) -> bool:
    """Whether all values are 0 or 1."""
    return all(bool(((x[rows] == 0) | (x[rows] == 1)).all()) for rows in chunks(x))


def chunks(x: Rows) -> Iterator[slice]:
    """Consecutive slices of rows, each of about ``CHUNK`` values or of one row."""
    step = max(1, CHUNK // math.prod(x.shape[1:]))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def first_place(mask: Array, start: int = 0) -> tuple[tuple[int, ...], str]:
    """The index of the first True, and in words: ``row 3, column 5`` or, for images, ``row 3, index (2, 4)``.

    ``start`` is the row number of the mask's first row, for the words.
    """
    index = tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))
    row, *rest = index
    return index, f"row {start + row}, " + (f"column {rest[0]}" if len(rest) == 1 else f"index {tuple(rest)}")


def check_finite(x: Rows, name: str) -> None:
    """Refuse rows with a NaN or an infinite value.

    Raises:
        UserError: how many there are, and where the first is.
    """
    nans = infinities = 0
    first = ""
    for rows in chunks(x):
        values = np.asarray(x[rows])
        unusable = ~np.isfinite(values)
        if unusable.any():
            nan_here = int(np.isnan(values).sum())
            nans += nan_here
            infinities += int(unusable.sum()) - nan_here
            first = first or first_place(unusable, rows.start)[1]
    if first:
        raise UserError(
            f"{name} holds {nans} NaN and {infinities} infinite values, the first at {first}; "
            "data must be finite: remove those rows or impute the values"
        )


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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged or cut short ({reason}); copy or write it again") from None


def _read_npz(path: Path, key: str | None) -> tuple[Array, Array | None]:
    with _reading(path) as stream, np.load(stream, allow_pickle=False) as archive:
        names: list[str] = list(archive.files)
        if key is None and set(names) >= SPARSE_KEYS:
            beside = [_beside(archive, name) for name in LABEL_KEYS if name in names]
            return _from_sparse(archive), _first_labels(beside)
        data = [key] if key is not None else [name for name in names if name not in LABEL_KEYS] or names
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
    from scipy import sparse  # type: ignore[import-untyped]

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


def _first_labels(arrays: list[Array | None]) -> Array | None:
    """The first of some arrays that is whole numbers or texts, one for each row."""
    for array in arrays:
        if array is not None and array.dtype.kind in "iubfUS":
            flat = array.reshape(-1)
            if flat.dtype.kind == "S":
                flat = np.char.decode(flat, "utf-8", "replace")
            if flat.dtype.kind == "U" or bool((flat == np.floor(flat)).all()):
                return flat if flat.dtype.kind == "U" else flat.astype(np.int64)
    return None
