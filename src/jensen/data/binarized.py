"""Grey rows as zeros and ones, drawn once; and zeros and ones as the ends of a grey range."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jensen.data.cache import cached
from jensen.data.dataset import Dataset, digest_rows
from jensen.data.domains import check_domain
from jensen.data.npy import NpyFile
from jensen.data.preparation import Preparation
from jensen.data.seeds import ONE_DRAW, generator
from jensen.data.stored import Stored

_STATIC_BLOCK = 1024  # rows per generator of static binarization; changing it changes the drawn data


def binarize_static(dataset: Dataset, seed: int = ONE_DRAW) -> Dataset:
    """The data set with every value drawn once: 1 with probability ``(x - low) / (high - low)``, uint8.

    The draw depends on the seed, the values and their row numbers alone. Rows on disk are drawn to the cache.

    Raises:
        UserError: values outside the grey range; the cache cannot be written.
    """
    key = [dataset.digest, dataset.value_range, seed]
    x, digest = _rewritten(dataset, lambda: _drawn(dataset, seed), "binarized", key)
    return replace(
        dataset,
        x=x,
        value_range=(0.0, 1.0),
        digest=digest,
        is_binary=True,
        grey_range=dataset.value_range,
    )


def _drawn(dataset: Dataset, seed: int) -> Iterator[Tensor]:
    """The rows, block after block, as zeros and ones of uint8."""
    check_domain(dataset.x, "binary", "static", dataset.value_range, name=dataset.name)
    low, high = dataset.value_range
    for number, start in enumerate(range(0, len(dataset.x), _STATIC_BLOCK)):
        rows = dataset.x[start : start + _STATIC_BLOCK]
        probability = (rows.to(torch.float32) - low) / (high - low)
        # A whole block is drawn even where fewer rows are left: further rows would not change these.
        uniform = torch.rand(
            (_STATIC_BLOCK, *dataset.event_shape), generator=generator(seed, "static", number)
        )
        yield (uniform[: len(rows)] < probability).to(torch.uint8)


def _rewritten(
    dataset: Dataset, blocks: Callable[[], Iterator[Tensor]], kind: str, key: list[Any]
) -> tuple[Tensor | Stored, str]:
    """All blocks as one, and their digest; those of rows on disk are in the cache, as this kind and key."""

    def build(folder: Path) -> dict[str, str]:
        with NpyFile(folder / "x.npy") as file:
            for block in blocks():
                file.write(block.numpy())
        return {"digest": digest_rows(Stored(folder / "x.npy"))}

    if isinstance(dataset.x, Stored):
        folder, record = cached(kind, key, build)
        return Stored(folder / "x.npy"), record["digest"]
    x = torch.cat(list(blocks()))
    return x, digest_rows(x)


def black_and_white(dataset: Dataset, preparation: Preparation) -> Dataset:
    """Rows of 0 and 1 in the grey values of a preparation: its draws leave black and white as they are."""
    low, high = preparation.value_range
    pieces = range(0, len(dataset.x), _STATIC_BLOCK)
    x, digest = _rewritten(
        dataset,
        lambda: (
            (dataset.x[i : i + _STATIC_BLOCK] * (high - low) + low).to(preparation.stored_dtype)
            for i in pieces
        ),
        "black-and-white",
        [dataset.digest, low, high, str(preparation.stored_dtype)],
    )
    return replace(dataset, x=x, digest=digest, value_range=(low, high), is_binary=False)
