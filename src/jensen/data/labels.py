"""Labels as a condition: rows that end in the numbers of their labels, for a model of p(x | labels)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.data.arrays import Array
from jensen.data.stored import Stored
from jensen.data.tables.schema import Column, Schema
from jensen.data.words import few

LABEL = "label"
"""What the label of a row is called, in ``--condition`` and ``--where``."""


@dataclass(frozen=True)
class Labels:
    """Rows ``[..., D + C]``: x, made flat, and the numbers of its C labels.

    Attributes:
        levels: what the numbers of a label stand for, by what the label is called: `LABEL`, or a column that
            came beside the rows.
        event_shape: of x.
    """

    levels: Mapping[str, tuple[str, ...]]
    event_shape: tuple[int, ...]

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x ``[..., *event]`` and the numbers of the labels ``[..., C]``."""
        size = math.prod(self.event_shape)
        return rows[..., :size].unflatten(-1, self.event_shape), rows[..., size:]

    def join(self, x: Tensor, numbers: Tensor) -> Tensor:
        """The inverse of `split`, in the dtype of x."""
        return torch.cat([x.flatten(-len(self.event_shape)), numbers.to(x.dtype)], -1)

    def texts(self, numbers: Tensor) -> dict[str, list[str]]:
        """What label numbers ``[N, C]`` stand for, as columns."""
        return {
            name: [levels[int(number)] for number in numbers[:, place]]
            for place, (name, levels) in enumerate(self.levels.items())
        }

    @property
    def schema(self) -> Schema:
        """The labels as the columns that a condition may name."""
        return Schema(tuple(Column(n, "categorical", "string", levels) for n, levels in self.levels.items()))

    def to_dict(self) -> dict[str, Any]:
        """A record for YAML, in which labels keep their order."""
        columns = [{"name": name, "levels": list(levels)} for name, levels in self.levels.items()]
        return {"columns": columns, "event_shape": list(self.event_shape)}

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "Labels":
        """The inverse of `to_dict`; also of what it was when `LABEL` was the only one, with its "names"."""
        if "names" in record:
            levels = {LABEL: record["names"]}
        else:
            levels = {str(column["name"]): column["levels"] for column in record["columns"]}
        return Labels(
            {name: tuple(map(str, names)) for name, names in levels.items()},
            tuple(int(size) for size in record["event_shape"]),
        )


class Labelled:
    """Rows as stored, made flat, that end in the numbers of their labels: ``[N, D + C]``, joined when read.

    Args:
        x: ``[N, *event]``.
        labels: ``[N, C]`` int64.
        most: the largest number of a label.
    """

    def __init__(self, x: Tensor | Stored, labels: Tensor, most: int) -> None:
        self.x, self.labels = x, labels
        self.shape = (len(x), math.prod(x.shape[1:]) + labels.shape[1])
        self.dtype = _roomy(x.dtype, most)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Rows ``[n, D + C]``: of a slice without a step, or of row numbers in any order."""
        x = self.x[rows].flatten(1).to(self.dtype)
        return torch.cat([x, self.labels[rows].to(self.dtype)], 1)


def _roomy(dtype: torch.dtype, most: int) -> torch.dtype:
    """``dtype``, or one that holds its values and whole numbers up to ``most``."""
    if dtype.is_floating_point:
        return torch.promote_types(dtype, torch.float32)
    return dtype if most <= torch.iinfo(dtype).max else torch.promote_types(dtype, torch.int32)


def numbered(names: Sequence[str]) -> tuple[Array | None, tuple[str, ...]]:
    """Numbers ``[N]`` of names in their order, and the different names; none where no row has one."""
    distinct, numbers = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    if distinct.tolist() == [""]:
        return None, ()
    return numbers.astype(np.int64), tuple(distinct.tolist())


def numbered_levels(column: Any) -> tuple[Array, tuple[str, ...]]:
    """Numbers ``[N]`` of the levels of a column of pandas, -1 where it has none, and the levels as text."""
    categories = column.astype("category").cat
    return categories.codes.to_numpy().astype(np.int64), tuple(map(_text, categories.categories.tolist()))


def _text(level: Any) -> str:
    """A level as text; 1.0 is 1, since a column of whole numbers is one of floats where a cell is missing."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def listed(levels: Sequence[str], name: str = LABEL) -> str:
    """The first levels of a label, for a sentence."""
    return few([level or f"no {name}" for level in levels])
