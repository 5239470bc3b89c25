"""A data set as given: its rows, its splits, and how it is found by name or by file."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.data import arrays
from jensen.data.arrays import Array, image_layout
from jensen.data.images.decode import ImageOptions
from jensen.data.labels import Labelled, Labels
from jensen.data.raw import About, Raw
from jensen.data.shares import Share
from jensen.data.sources import Reading, name_of, read
from jensen.data.splits import check_fractions, draw_splits
from jensen.data.stored import LARGE, Stored
from jensen.data.stream import RowStream
from jensen.data.tables.schema import Schema
from jensen.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset(About):
    """Rows exactly as stored, and which of them train, validate and test.

    Attributes:
        name: the name or path as given to ``load``.
        x: ``[N, *event]``, in the dtype it is stored in; on disk where it is larger than `LARGE`.
        labels: ``[N]`` int64, used to colour plots, or None.
        splits: "train", "validation" and "test" -> int64 row numbers into ``x``, ascending; by a rule where
            they are too many to list.
        value_range: the grey range; the black and the white of an image.
        digest: SHA-256 over dtype, shape and bytes of ``x``.
        is_binary: all values are 0 or 1.
        grey_range: of data drawn to 0 and 1 by ``binarize_static``, the range that they had before.
        given: where labels are given to a model, how rows carry them (see `give_labels`); else None.
        contexts: the numbers of those labels, ``[N, C]`` int64; else None.
    """

    name: str
    x: Tensor | Stored
    labels: Tensor | None
    splits: Mapping[str, Tensor | Share]
    value_range: tuple[float, float]
    digest: str
    is_binary: bool
    grey_range: tuple[float, float] | None = None
    given: Labels | None = None
    contexts: Tensor | None = None

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

    def label_name(self, number: int) -> str:
        """What a label stands for: the name of a class, or its number."""
        if not self.classes:
            return str(number)
        return (self.classes[number] if number >= 0 else "") or "no label"

    @property
    def source(self) -> Tensor | Stored | Labelled:
        """The rows that a model is trained on and asked about: ``x``, with the labels that are given."""
        if self.given is None or self.contexts is None:
            return self.x
        return Labelled(self.x, self.contexts, max(map(len, self.given.levels.values())) - 1)

    def rows(self, split: str) -> Tensor:
        """The rows of a split, as stored, all in memory: ``[n, *event]``, or with their labels (`source`)."""
        return self.source[self.numbers(split)[:]]

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
        return RowStream(self.source, self.numbers(split), seed, epoch_rows)

    def thinned(self, split: str, most: int) -> "Dataset":
        """The same data; where they are on disk, ``most`` rows of a split, evenly spaced, in memory."""
        numbers = self.numbers(split)
        if isinstance(self.x, Tensor) or len(numbers) <= most:
            return self
        some = numbers[torch.arange(most) * len(numbers) // most]
        labels, contexts = (None if each is None else each[some] for each in (self.labels, self.contexts))
        return replace(
            self,
            x=self.x[some],
            labels=labels,
            contexts=contexts,
            splits={split: torch.arange(most)},
            names=(),
            columns={},
        )


def digest_rows(x: Tensor | Stored) -> str:
    """SHA-256 over dtype, shape and bytes, in hexadecimal."""
    dtype = str(x.dtype).removeprefix("torch.")
    digest = hashlib.sha256(f"{dtype} {tuple(x.shape)} ".encode())
    for rows in arrays.chunks(x):
        digest.update(np.ascontiguousarray(x[rows].numpy()).reshape(-1).data)
    return digest.hexdigest()


def describe(dataset: Dataset) -> dict[str, Any]:
    """What is recorded of the data: enough to recognise them, and their splits, again."""
    splits = hashlib.sha256()
    for name in sorted(dataset.splits):
        rows = dataset.splits[name]
        listed = rows.rule.encode() if isinstance(rows, Share) else rows.numpy().tobytes()
        splits.update(name.encode() + listed)
    return {
        "name": dataset.name,
        "shape": list(dataset.x.shape),
        "dtype": str(dataset.x.dtype).removeprefix("torch."),
        "value_range": list(dataset.value_range),
        "splits": {name: len(rows) for name, rows in dataset.splits.items()},
        "digest": hashlib.sha256((dataset.digest + splits.hexdigest()).encode()).hexdigest(),
    }


def load(
    source: Any,
    data_dir: Path | None = None,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    schema: Schema | Path | None = None,
    on_choice: Callable[[str], None] = lambda said: None,
    images: ImageOptions | None = None,
) -> Dataset:
    """The data set of a name, a file, a folder or a Python object (see `jensen.data.sources`).

    Published splits are kept. What is not published is drawn by ``seed`` from the rows for training
    (from all rows, where no split is published): ``test_fraction`` and ``validation_fraction`` of them.

    Raises:
        UserError: no such data, unusable values, fractions that leave a split empty.
    """
    check_fractions(seed, validation_fraction, test_fraction)
    raw = read(source, Reading(data_dir, schema, images=images or ImageOptions(), on_choice=on_choice))
    name = name_of(source)
    return _dataset(name, raw, draw_splits(name, raw, seed, validation_fraction, test_fraction))


def load_rows(
    source: Any,
    data_dir: Path | None = None,
    *,
    schema: Schema | None = None,
    strict: bool = False,
    images: ImageOptions | None = None,
    on_choice: Callable[[str], None] = lambda said: None,
) -> Dataset:
    """All rows of a source as one split, "all": for use with a trained model, so one row is enough.

    Args:
        source: as for `load`.
        data_dir: folder of the named data sets.
        schema: that of the table that the model was trained on; the rows are read as its columns.
        strict: refuse cells that training could not have had (see `jensen.data.tables.odd`).
        images: how images become rows of the shape that the model was trained on.
        on_choice: told of what was done to the rows.

    Raises:
        UserError: no such data, or unusable values.
    """
    raw = read(source, Reading(data_dir, schema, strict, images or ImageOptions(), on_choice))
    return _dataset(name_of(source), raw, {"all": _all_rows(raw.x)})


def _dataset(source: str, raw: Raw, splits: dict[str, Array | Share]) -> Dataset:
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
        **{field.name: getattr(raw, field.name) for field in fields(About)},
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
