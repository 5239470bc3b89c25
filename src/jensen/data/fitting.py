"""Choosing the preparation of a data set: which domain its values fit, and its shift and scale."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from jensen.data.arrays import CHUNK, Array, chunks
from jensen.data.binarized import binarize_static, black_and_white
from jensen.data.dataset import Dataset
from jensen.data.domains import check_domain
from jensen.data.labelling import give_known_labels
from jensen.data.preparation import Preparation
from jensen.data.seeds import ONE_DRAW, generator
from jensen.data.shares import Share, draw_distinct
from jensen.data.stored import Stored
from jensen.data.tables.marginals import fit_marginals
from jensen.data.tables.schema import Schema
from jensen.errors import UserError

SCALINGS = ("auto", "none", "standard", "per-dimension")
SAMPLE = 1 << 19
"""Training rows to which the columns of a table larger than memory are fitted."""


def fit_preparation(
    dataset: Dataset,
    *,
    support: str = "real",
    binarize: str = "none",
    scaling: str = "auto",
) -> Preparation:
    """The preparation of a data set, with statistics of its training split only.

    Whole numbers of the grey range 0..255 that get a density are dequantized.

    Args:
        dataset: the data as given.
        support: where the likelihood lives (see ``SUPPORTS``); data outside it are refused.
        binarize: "none", "dynamic" or "static" (see ``Preparation``).
        scaling: "standard" (one mean and one standard deviation), "per-dimension" (one of each per entry
            of the event; a constant entry gets scale 1), "none", or "auto": standard for images,
            per-dimension for flat rows.

    Raises:
        UserError: an unknown choice, or data outside the likelihood's domain.
    """
    if dataset.schema is not None and support == "table":
        return _table(dataset, dataset.schema)
    if scaling not in SCALINGS:
        raise UserError(f"scaling is {scaling!r}; give one of {', '.join(SCALINGS)}")
    if support != "binary" and binarize != "none":
        raise UserError(
            f"--binarize {binarize} makes zeros and ones, which need --likelihood bernoulli; "
            "use that likelihood, or --binarize none"
        )
    check_domain(dataset.x, support, binarize, dataset.value_range, name=dataset.name)
    grey = dataset.x.dtype == torch.uint8 and dataset.value_range == (0.0, 255.0)
    dequantize = grey and support in ("real", "unit")
    if support == "unit":
        shift, scale = _unit_range(dataset, dequantize)
    else:
        if support not in ("real", "grid"):
            scaling = "none"
        elif scaling == "auto":
            scaling = "standard" if dataset.is_image else "per-dimension"
        shift, scale = _statistics(dataset, scaling, dequantize)
    grey_range = dataset.grey_range or dataset.value_range
    return Preparation(
        binarize=binarize,
        dequantize=dequantize,
        shift=shift,
        scale=scale,
        value_range=_levels(dataset) if support in ("grid", "categories") else grey_range,
        stored_dtype=dataset.x.dtype,
        support=support,
        labels=dataset.given,
        pictured=_pictured(dataset) if support in ("real", "count") else None,
    )


def _table(dataset: Dataset, schema: Schema) -> Preparation:
    """The preparation of a table: its marginals in the training split."""
    return Preparation(
        binarize="none",
        dequantize=False,
        shift=torch.tensor(0.0, dtype=torch.float64),
        scale=torch.tensor(1.0, dtype=torch.float64),
        value_range=dataset.value_range,
        stored_dtype=dataset.x.dtype,
        support="table",
        marginals=fit_marginals(schema, _for_marginals(dataset).numpy()),
    )


def _for_marginals(dataset: Dataset) -> Tensor:
    """The training rows, or `SAMPLE` of them where they are on disk, drawn alike at every call."""
    if isinstance(dataset.x, Tensor):
        return dataset.rows("train")
    numbers = dataset.numbers("train")
    some = draw_distinct(len(numbers), SAMPLE, generator("marginals"))
    return dataset.x[numbers[some.sort().values]]


def match_preparation(dataset: Dataset, preparation: Preparation, seed: int = ONE_DRAW) -> Dataset:
    """Other rows than those fitted, ready for a preparation: checked, and drawn once where it is static.

    Grey values are read in the range of the data that were fitted. Rows of 0 and 1, such as a
    run's own samples, are black and white. For a preparation that takes labels, the rows carry theirs.

    Raises:
        UserError: values outside the domain of the preparation's likelihood, or labels that it lacks.
    """
    grey_range = preparation.value_range
    if preparation.marginals is not None:
        return dataset
    support, binarize = preparation.support, preparation.binarize
    check_domain(dataset.x, support, binarize, grey_range, name=dataset.name, trained=True)
    if preparation.binarize == "static" and not dataset.is_binary:
        dataset = binarize_static(replace(dataset, value_range=grey_range), seed)
    if preparation.binarize == "dynamic" and dataset.is_binary and grey_range != dataset.value_range:
        dataset = black_and_white(dataset, preparation)
    return dataset if preparation.labels is None else give_known_labels(dataset, preparation.labels)


def _levels(dataset: Dataset) -> tuple[float, float]:
    """The range of the levels of discrete data: the grey range of images, else 0 to the largest value."""
    if dataset.value_range[1] > 1:
        return dataset.value_range
    return 0.0, max(1.0, *(float(dataset.x[rows].max()) for rows in chunks(dataset.x)))


def _pictured(dataset: Dataset) -> tuple[float, float] | None:
    """The smallest and the largest value of the training images; None where black and white are known."""
    if not dataset.is_image or dataset.is_binary or dataset.value_range != (0.0, 1.0):
        return None
    low, high = math.inf, -math.inf
    for piece in _pieces(dataset.x, dataset.numbers("train")):
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    return (low, high) if low < high else None


def _pieces(x: Tensor | Stored, rows: Tensor | Share) -> Iterator[Array]:
    """``x[rows]`` as float64, about `CHUNK` values at a time."""
    for numbers in rows.split(max(1, CHUNK // math.prod(x.shape[1:]))):
        yield x[numbers].numpy().astype(np.float64)


def _unit_range(dataset: Dataset, dequantize: bool) -> tuple[Tensor, Tensor]:
    """Shift and scale that bring the grey range (8-bit values with their noise: 0 to 256) to [0, 1]."""
    low, high = dataset.value_range
    span = high - low + (1 if dequantize else 0)
    return torch.tensor(low, dtype=torch.float64), torch.tensor(span, dtype=torch.float64)


def _statistics(dataset: Dataset, scaling: str, dequantize: bool) -> tuple[Tensor, Tensor]:
    """Shift and scale, float64: mean and standard deviation over the training split of stored (+ u)."""
    event_shape = dataset.event_shape if scaling == "per-dimension" else ()
    shift, scale = np.zeros(event_shape), np.ones(event_shape)
    if scaling != "none":
        mean, deviation, constant = _moments(
            dataset.x, dataset.numbers("train"), per_dimension=bool(event_shape)
        )
        if dequantize:  # u has mean 1/2 and variance 1/12
            mean, deviation = mean + 0.5, np.sqrt(deviation**2 + 1 / 12)
        shift, scale = mean, np.where(constant | (deviation == 0), 1.0, deviation)
    return torch.as_tensor(shift, dtype=torch.float64), torch.as_tensor(scale, dtype=torch.float64)


def _moments(x: Tensor | Stored, rows: Tensor | Share, *, per_dimension: bool) -> tuple[Array, Array, Array]:
    """Mean, standard deviation and "is constant" of ``x[rows]``, float64, ``()`` or event-shaped.

    Two passes, on differences: exact for a constant, and no square overflows or vanishes.
    """
    axes = (0,) if per_dimension else tuple(range(len(x.shape)))
    count = len(rows) if per_dimension else len(rows) * math.prod(x.shape[1:])
    origin = x[rows[:1]].numpy()[0].astype(np.float64)
    origin = origin if per_dimension else origin.flat[0]
    total = low = high = np.zeros(origin.shape)
    for piece in _pieces(x, rows):
        difference = piece - origin
        total = total + difference.sum(axes)
        low, high = np.minimum(low, difference.min(axes)), np.maximum(high, difference.max(axes))
    mean, constant = origin + total / count, low == high
    spread = np.where(constant, 1.0, high - low)
    squares = np.zeros(origin.shape)
    for piece in _pieces(x, rows):
        squares = squares + (((piece - mean) / spread) ** 2).sum(axes)
    return mean, spread * np.sqrt(squares / count), constant
