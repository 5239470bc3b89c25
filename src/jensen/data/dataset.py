"""A data set as given: its rows, its splits, and how it is found by name or by file."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.data import arrays
from jensen.data.arrays import Array, image_layout
from jensen.data.images.decode import ImageOptions
from jensen.data.named import Named
from jensen.data.sources import Reading, name_of, read
from jensen.data.tables.schema import Schema
from jensen.errors import UserError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows exactly as stored, and which of them train, validate and test.

    Attributes:
        name: the name or path as given to ``load``.
        x: ``[N, *event]``, in the dtype it is stored in; over a memory-mapped file where it is large.
        labels: ``[N]`` int64, used only to colour plots, or None.
        splits: "train", "validation" and "test" -> int64 row numbers into ``x``, ascending.
        value_range: the grey range; the black and the white of an image.
        digest: SHA-256 over dtype, shape and bytes of ``x``.
        is_binary: all values are 0 or 1.
        schema: what the columns of a table are, whose codes ``x`` then holds; None for arrays.
        grey_range: of data drawn to 0 and 1 by ``binarize_static``, the range that they had before.
        is_count: the values are counts, whose distribution is one of whole numbers.
        names: what to call each row, such as the file of an image; empty where there is nothing.
        notes: what was found and done when the data were read, a sentence each, for the user.
    """

    name: str
    x: Tensor
    labels: Tensor | None
    splits: dict[str, Tensor]
    value_range: tuple[float, float]
    digest: str
    is_binary: bool
    grey_range: tuple[float, float] | None = None
    schema: Schema | None = None
    is_count: bool = False
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one datum."""
        return tuple(self.x.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether one datum is an image: ``[H, W]``, or with 1, 3 or 4 channels first or last."""
        return image_layout(self.event_shape) is not None

    def rows(self, split: str) -> Tensor:
        """The rows ``[n, *event]`` of a split, as stored."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}; the splits are {', '.join(self.splits)}")
        return self.x[self.splits[split]]


def digest_rows(x: Tensor) -> str:
    """SHA-256 over dtype, shape and bytes, in hexadecimal."""
    array = np.ascontiguousarray(x.numpy())
    digest = hashlib.sha256(f"{array.dtype.name} {array.shape} ".encode())
    digest.update(array.reshape(-1).data)
    return digest.hexdigest()


def load(
    source: Any,
    data_dir: Path | None = None,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    schema: Schema | Path | None = None,
    images: ImageOptions | None = None,
) -> Dataset:
    """The data set of a name, a file, a folder or a Python object (see `jensen.data.sources`).

    Published splits are kept. What is not published is drawn by ``seed`` from the rows for training
    (from all rows, where no split is published): ``test_fraction`` and ``validation_fraction`` of them.

    Raises:
        UserError: no such data, unusable values, fractions that leave a split empty.
    """
    _check_options(seed, validation_fraction, test_fraction)
    raw = read(source, Reading(data_dir, schema, images=images or ImageOptions()))
    name = name_of(source)
    return _dataset(name, raw, _split(name, raw, seed, validation_fraction, test_fraction))


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
        strict: refuse categories that the schema lacks; else they are taken as missing.
        images: how images become rows of the shape that the model was trained on.
        on_choice: told of what was done to the rows.

    Raises:
        UserError: no such data, or unusable values.
    """
    raw = read(source, Reading(data_dir, schema, strict, images or ImageOptions(), on_choice))
    return _dataset(name_of(source), raw, {"all": np.arange(len(raw.x), dtype=np.int64)})


def _dataset(source: str, raw: Named, splits: dict[str, Array]) -> Dataset:
    # A copy where the array is a read-only view of a file's bytes: torch tensors are always writable.
    x = torch.from_numpy(raw.x if raw.x.flags.writeable else raw.x.copy())
    binary = raw.schema is None and arrays.is_binary(raw.x)
    return Dataset(
        name=source,
        x=x,
        labels=None if raw.labels is None else torch.from_numpy(raw.labels),
        splits={name: torch.from_numpy(rows) for name, rows in splits.items()},
        value_range=(0.0, 1.0) if binary else raw.value_range,
        digest=digest_rows(x),
        is_binary=binary,
        schema=raw.schema,
        is_count=raw.is_count,
        names=raw.names,
        notes=raw.notes,
    )


def _check_options(seed: int, validation_fraction: float, test_fraction: float) -> None:
    for name, fraction in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:  # also true of NaN
            raise UserError(f"{name} is {fraction}; give a number between 0 and 1, such as 0.1")
    if validation_fraction + test_fraction >= 1:
        raise UserError(
            f"validation_fraction {validation_fraction} and test_fraction {test_fraction} leave nothing "
            "to train on; give two numbers whose sum is below 1, such as 0.1 and 0.1"
        )
    if seed < 0:
        raise UserError(f"seed is {seed}; give a whole number of 0 or more")


def _split(
    source: str, raw: Named, seed: int, validation_fraction: float, test_fraction: float
) -> dict[str, Array]:
    """Published splits, completed from "train" by one permutation of its rows."""
    train = raw.splits["train"]
    drawn = {
        name: _at_least_one(len(train) * fraction)
        for name, fraction in (("test", test_fraction), ("validation", validation_fraction))
        if name not in raw.splits
    }
    if len(train) <= len(drawn):
        raise UserError(
            f"{source} has {len(train)} rows, too few to train, validate and test on; "
            f"give at least {len(drawn) + 1}"
        )
    while sum(drawn.values()) >= len(train):  # rounding up has left no row to train on
        drawn[max(drawn, key=lambda name: drawn[name])] -= 1
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(train)
    splits = dict(raw.splits)
    for name, count in drawn.items():
        splits[name], shuffled = shuffled[:count], shuffled[count:]
    splits["train"] = shuffled
    return {name: np.sort(splits[name]).astype(np.int64) for name in SPLITS}


def _at_least_one(count: float) -> int:
    return max(1, math.floor(count + 0.5))
