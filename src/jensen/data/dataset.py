"""A data set as given: its rows, its splits, and how it is found by name or by file."""

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jensen.data import arrays
from jensen.data.arrays import Array
from jensen.data.named import NAMED, Named
from jensen.data.shares import Share
from jensen.data.splits import check_fractions, draw_splits
from jensen.data.stored import LARGE, Stored
from jensen.data.stream import RowStream
from jensen.data.tables.schema import Schema
from jensen.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows exactly as stored, and which of them train, validate and test.

    Attributes:
        name: the name or path as given to ``load``.
        x: ``[N, *event]``, in the dtype it is stored in; on disk where it is larger than `LARGE`.
        labels: ``[N]`` int64, used only to colour plots, or None.
        splits: "train", "validation" and "test" -> int64 row numbers into ``x``, ascending; by a rule where
            they are too many to list.
        value_range: the grey range; the black and the white of an image.
        digest: SHA-256 over dtype, shape and bytes of ``x``.
        is_binary: all values are 0 or 1.
        schema: what the columns of a table are, whose codes ``x`` then holds; None for arrays.
        grey_range: of data drawn to 0 and 1 by ``binarize_static``, the range that they had before.
    """

    name: str
    x: Tensor | Stored
    labels: Tensor | None
    splits: Mapping[str, Tensor | Share]
    value_range: tuple[float, float]
    digest: str
    is_binary: bool
    grey_range: tuple[float, float] | None = None
    schema: Schema | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one datum."""
        return tuple(self.x.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether one datum is an image: ``[H, W]``, or with 1, 3 or 4 channels first or last."""
        return image_layout(self.event_shape) is not None

    def numbers(self, split: str) -> Tensor | Share:
        """The row numbers of a split.

        Raises:
            UserError: there is no such split.
        """
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}; the splits are {', '.join(self.splits)}")
        return self.splits[split]

    def rows(self, split: str) -> Tensor:
        """The rows ``[n, *event]`` of a split, as stored, all in memory."""
        return self.x[self.numbers(split)[:]]

    def stream(self, split: str, seed: int = 0, epoch_rows: int | None = None) -> Tensor | RowStream:
        """The rows of a split for training: all at once, or as a stream where they are on disk.

        Args:
            split: which.
            seed: of a stream's order.
            epoch_rows: rows of an epoch, at most; None for all.
        """
        few = epoch_rows is None or epoch_rows >= len(self.numbers(split))
        if isinstance(self.x, Tensor) and few:
            return self.rows(split)
        return RowStream(self.x, self.numbers(split), seed, epoch_rows)

    def thinned(self, split: str, most: int) -> "Dataset":
        """The same data; where they are on disk, ``most`` rows of a split, evenly spaced, in memory."""
        numbers = self.numbers(split)
        if isinstance(self.x, Tensor) or len(numbers) <= most:
            return self
        some = numbers[torch.arange(most) * len(numbers) // most]
        return replace(self, x=self.x[some], splits={split: torch.arange(most)})


def image_layout(event_shape: tuple[int, ...]) -> str | None:
    """``HW``, ``CHW`` or ``HWC`` for the shape of an image, None for any other."""
    if len(event_shape) == 2:
        return "HW"
    if len(event_shape) == 3 and event_shape[0] in (1, 3, 4):
        return "CHW"
    if len(event_shape) == 3 and event_shape[2] in (1, 3, 4):
        return "HWC"
    return None


def digest_rows(x: Tensor | Stored) -> str:
    """SHA-256 over dtype, shape and bytes, in hexadecimal."""
    dtype = str(x.dtype).removeprefix("torch.")
    digest = hashlib.sha256(f"{dtype} {tuple(x.shape)} ".encode())
    for rows in arrays.chunks(x):
        digest.update(np.ascontiguousarray(x[rows].numpy()).reshape(-1).data)
    return digest.hexdigest()


def load(
    source: str,
    data_dir: Path | None = None,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    schema: Schema | Path | None = None,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Dataset:
    """The data set of a name, a ``.npy`` or ``.npz`` file or one array in it (``FILE.npz:key``), or a table.

    Published splits are kept. What is not published is drawn by ``seed`` from the rows for training
    (from all rows, where no split is published): ``test_fraction`` and ``validation_fraction`` of them.

    Raises:
        UserError: no such set or file, unusable values, fractions that leave a split empty.
    """
    source = str(source)
    check_fractions(seed, validation_fraction, test_fraction)
    raw = _read(source, data_dir, schema, on_choice=on_choice)
    return _dataset(source, raw, draw_splits(source, raw, seed, validation_fraction, test_fraction))


def load_rows(
    source: str,
    data_dir: Path | None = None,
    *,
    schema: Schema | None = None,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Dataset:
    """All rows of a source as one split, "all": for use with a trained model, so one row is enough.

    Args:
        source: a name or a file.
        data_dir: folder of the named data sets.
        schema: that of the table that the model was trained on; the rows are read as its columns.
        strict: refuse categories that the schema lacks; else they are taken as missing.
        on_choice: told of what was done to the rows.

    Raises:
        UserError: no such set or file, or unusable values.
    """
    source = str(source)
    raw = _read(source, data_dir, schema, strict, on_choice)
    return _dataset(source, raw, {"all": _all_rows(raw.x)})


def _dataset(source: str, raw: Named, splits: dict[str, Array | Share]) -> Dataset:
    x = _rows_of(raw.x)
    binary = raw.schema is None and arrays.is_binary(x)
    return Dataset(
        name=source,
        x=x,
        labels=None if raw.labels is None else torch.from_numpy(raw.labels),
        splits={
            name: rows if isinstance(rows, Share) else torch.from_numpy(rows) for name, rows in splits.items()
        },
        value_range=(0.0, 1.0) if binary else raw.value_range,
        digest=raw.digest or digest_rows(x),
        is_binary=binary,
        schema=raw.schema,
    )


def _rows_of(x: Array | Stored) -> Tensor | Stored:
    """An array as a tensor; a mapped file that is large as rows on disk."""
    if isinstance(x, Stored):
        return x
    if isinstance(x, np.memmap) and x.filename and x.nbytes >= LARGE:
        whole = Stored(Path(x.filename))
        if whole.shape == x.shape:
            return whole
    # A copy where the array is a read-only view of a file's bytes: torch tensors are always writable.
    return torch.from_numpy(x if x.flags.writeable else x.copy())


def _all_rows(x: Array | Stored) -> Array | Share:
    """The numbers of all rows."""
    return Share(len(x)) if isinstance(x, Stored) else np.arange(len(x), dtype=np.int64)


def absolute(source: str) -> str:
    """The source as it can be found from any folder: a file's path made absolute, other names as they are."""
    parsed = None if source in NAMED else arrays.parse_source(source)
    if parsed is None:
        table = None if source in NAMED else _table(source)
        return source if table is None else str(table.resolve())
    path, key = parsed
    return f"{path.resolve()}:{key}" if key is not None else str(path.resolve())


def _table(source: str) -> Path | None:
    from jensen.data.tables.read import table_source  # pyarrow is slow to import

    return table_source(source)


def _read(
    source: str,
    data_dir: Path | None,
    schema: Schema | Path | None = None,
    strict: bool = False,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Named:
    if source in NAMED:
        return NAMED[source](data_dir)
    parsed = arrays.parse_source(source)
    table = _table(source) if parsed is None else None
    if table is not None:
        from jensen.data.tables.source import read_like, read_named

        if isinstance(schema, Schema):
            return read_like(table, schema, strict=strict, on_choice=on_choice)
        return read_named(table, schema, on_choice)
    if parsed is None:
        close = difflib.get_close_matches(source.lower().replace("_", "-"), NAMED, n=1, cutoff=0.5)
        nearest = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(
            f"unknown data set {source!r}{nearest}; give {', '.join(NAMED)}, "
            "or a file: a table (.csv, .tsv, .parquet, .arrow), .npy or .npz (FILE.npz:key for one of "
            "several)"
        )
    x, labels = arrays.read_file(*parsed)
    picture = x.dtype == np.uint8 and image_layout(x.shape[1:]) is not None
    return Named(x, labels, {"train": np.arange(len(x))}, (0.0, 255.0) if picture else (0.0, 1.0))
