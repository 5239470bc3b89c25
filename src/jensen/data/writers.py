"""Writing rows as a table, an array file or a picture, by suffix."""

import csv
import io
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jensen.data.arrays import Array, image_layout, place_names
from jensen.data.grid import image_grid
from jensen.data.npy import NpyFile
from jensen.data.words import count
from jensen.errors import UserError
from jensen.files import atomic, check_folder

Texts = Mapping[str, Sequence[str]]
"""Columns of text beside the numbers, by their names."""
Write = Callable[[Array, Texts], object]
Range = tuple[float, float] | None
PIECE = 1 << 16
"""Rows that are written at a time."""
_QUOTED = re.compile(r'[,"\r\n]')
"""What makes pyarrow quote all texts, where none needs it otherwise."""


def write_rows(
    path: str | Path,
    x: Array,
    names: Sequence[str] | None = None,
    *,
    value_range: tuple[float, float] | None = None,
) -> None:
    """Write rows ``[N, *event]`` as ``.csv``, ``.parquet``, ``.npy``, ``.npz`` (array "x") or ``.png``.

    Tables have one column per entry of the event, ``names`` or as in `place_names`; numbers read back equal.
    A picture is a grid of the rows, small ones enlarged, ``value_range`` (for uint8 0..255, else 0..1) from
    black to white.

    Raises:
        UserError: another suffix, a picture of what is no image, a wrong number of names, no such folder.
    """
    with row_writer(path, names, value_range=value_range) as write:
        write(x)


@contextmanager
def row_writer(
    path: str | Path, names: Sequence[str] | None = None, *, value_range: tuple[float, float] | None = None
) -> Iterator[Callable[..., None]]:
    """Yield a function that takes rows ``[n, *event]`` piece by piece, for `write_rows`.

    Beside them it takes columns of text, ``{name: n texts}``, the same ones with every piece: a table begins
    with them, an ``.npz`` has an array of each (of one that is called "x" too, the array "x_"), and ``.npy``
    and ``.png`` go without.

    Of ``.csv``, ``.parquet`` and ``.npy`` no more than `PIECE` rows are held in memory. The file is there,
    whole, when the block ends.

    Raises:
        UserError: as for `write_rows`; what is wrong with the rows, with their first piece.
    """
    path = Path(path)
    held: list[tuple[Array, Texts]] = []
    _check_place(path)
    writer = WRITERS[path.suffix.lower()]
    with atomic(path) as temporary, writer(temporary, names, value_range) as write:

        def take(x: Array, texts: Texts | None = None) -> None:
            _check_rows(path, x, names)
            held.append((x, texts or {}))
            if sum(len(x) for x, _ in held) >= PIECE:
                flush()

        def flush() -> None:
            if held:
                write(*_joined(held))
                held.clear()

        yield take
        flush()


def _check_rows(path: Path, x: Array, names: Sequence[str] | None) -> None:
    """Refuse rows that cannot be written to ``path``, or not under these names."""
    if x.ndim == 0:
        raise UserError(f"cannot write {path}: a single number is no row; give an array of shape [N, ...]")
    check_suffix(path, x.shape[1:])
    width = math.prod(x.shape[1:])
    if names is not None and len(names) != width:
        given = f"{count(len(names), 'name')} for {count(width, 'column')}"
        raise UserError(f"cannot write {path}: {given}; give one per column")


def _joined(pieces: Sequence[tuple[Array, Texts]]) -> tuple[Array, Texts]:
    """Pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    texts = {name: [text for _, some in pieces for text in some[name]] for name in pieces[0][1]}
    return np.concatenate([x for x, _ in pieces]), texts


def check_suffix(path: str | Path, event_shape: Sequence[int]) -> None:
    """Refuse a path that ``write_rows`` could not write: for use before the work that makes the rows.

    Raises:
        UserError: an unknown suffix, a picture of what is no image, or no such folder.
    """
    path, shape = Path(path), tuple(event_shape)
    if image_layout(shape) is not None:
        _check_place(path)
        return
    others = [other for other in WRITERS if other != ".png"]
    if path.suffix.lower() == ".png":
        raise UserError(
            f"cannot write {path}: rows of shape {shape} make no picture; end it in {', '.join(others)}"
        )
    _check_place(path, others)


def _check_place(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Refuse another suffix than ``suffixes`` (left out: all that can be written), or no folder."""
    suffixes = suffixes or list(WRITERS)
    if path.suffix.lower() not in suffixes:
        raise UserError(
            f"cannot write {path}: its suffix is {path.suffix!r}; end it in {', '.join(suffixes)}"
        )
    check_folder(path)


def _table(x: Array, names: Sequence[str] | None, texts: Texts) -> Any:
    import pyarrow as pa

    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    # pyarrow's CSV writer knows no half floats, and True is no number.
    flat = flat.astype({"bool": np.uint8, "float16": np.float32}.get(flat.dtype.name, flat.dtype), copy=False)
    columns = [_cells(np.ascontiguousarray(column)) for column in flat.T]
    named = [*texts, *(names or place_names(x.shape[1:]))]
    return pa.Table.from_arrays([*(pa.array(cells) for cells in texts.values()), *columns], names=named)


def _cells(values: Array) -> Any:
    """A column ``[N]`` for pyarrow, without its search for pandas, whose import takes half a second."""
    import pyarrow as pa

    if values.dtype.kind not in "iuf" or not values.dtype.isnative:
        return pa.array(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


@contextmanager
def _csv(path: Path, names: Sequence[str] | None, value_range: Range) -> Iterator[Write]:
    from pyarrow.csv import WriteOptions, write_csv

    with open(path, "wb") as stream:

        def write(x: Array, texts: Texts) -> None:
            table = _table(x, names, texts)
            if not stream.tell():
                header = io.StringIO()  # by Python's writer, which quotes only the names that need it
                csv.writer(header, lineterminator="\n").writerow(table.column_names)
                stream.write(header.getvalue().encode())
            quoted = any(_QUOTED.search(cell) for some in texts.values() for cell in some)
            options = WriteOptions(include_header=False, quoting_style="needed" if quoted else "none")
            write_csv(table, stream, options)

        yield write


@contextmanager
def _parquet(path: Path, names: Sequence[str] | None, value_range: Range) -> Iterator[Write]:
    from pyarrow.parquet import ParquetWriter

    with ExitStack() as stack:
        opened: list[Any] = []

        def write(x: Array, texts: Texts) -> None:
            table = _table(x, names, texts)
            if not opened:
                opened.append(stack.enter_context(ParquetWriter(path, table.schema)))
            opened[0].write_table(table)

        yield write


@contextmanager
def _npy(path: Path, names: Sequence[str] | None, value_range: Range) -> Iterator[Write]:
    with NpyFile(path) as file:
        yield lambda x, texts: file.write(x)


@contextmanager
def _npz(path: Path, names: Sequence[str] | None, value_range: Range) -> Iterator[Write]:
    parts: list[tuple[Array, Texts]] = []
    yield lambda x, texts: parts.append((x, texts))
    x, beside = _joined(parts)
    # By hand: np.savez takes names as keywords, and a column may be called like one of its parameters.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        named = {f"{name}_" if name.rstrip("_") == "x" else name: cells for name, cells in beside.items()}
        for name, cells in {**named, "x": x}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(cells), allow_pickle=False)


@contextmanager
def _png(path: Path, names: Sequence[str] | None, value_range: Range) -> Iterator[Write]:
    from PIL import Image

    parts: list[Array] = []
    yield lambda x, texts: parts.append(x)
    x = np.concatenate(parts)
    picture = image_grid(x, value_range or ((0.0, 255.0) if x.dtype == np.uint8 else (0.0, 1.0)))
    Image.fromarray(picture).save(path, format="PNG")


WRITERS: dict[str, Callable[[Path, Sequence[str] | None, Range], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".npy": _npy,
    ".npz": _npz,
    ".png": _png,
}
