"""Labels as a condition: rows that end in the number of their label, for a model of p(x | label)."""

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
    """Rows ``[..., D + 1]``: x, made flat, and the number of its label.

    Attributes:
        names: of the labels, by their numbers.
        event_shape: of x.
    """

    names: tuple[str, ...]
    event_shape: tuple[int, ...]

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x ``[..., *event]`` and the numbers of the labels ``[..., 1]``."""
        return rows[..., :-1].unflatten(-1, self.event_shape), rows[..., -1:]

    def join(self, x: Tensor, numbers: Tensor) -> Tensor:
        """The inverse of `split`, in the dtype of x."""
        return torch.cat([x.flatten(-len(self.event_shape)), numbers.to(x.dtype)], -1)

    def texts(self, numbers: Tensor) -> list[str]:
        """The names of label numbers ``[N]``."""
        return [self.names[int(number)] for number in numbers]

    @property
    def schema(self) -> Schema:
        """The label as the one column that a condition may name."""
        return Schema((Column(LABEL, "categorical", "string", self.names),))

    def to_dict(self) -> dict[str, Any]:
        """A record for YAML."""
        return {"names": list(self.names), "event_shape": list(self.event_shape)}

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "Labels":
        """The inverse of `to_dict`."""
        return Labels(tuple(map(str, record["names"])), tuple(int(size) for size in record["event_shape"]))


class Labelled:
    """Rows as stored, made flat, that end in the number of their label: ``[N, D + 1]``, joined when read.

    Args:
        x: ``[N, *event]``.
        labels: ``[N]`` int64.
        most: the largest number of a label.
    """

    def __init__(self, x: Tensor | Stored, labels: Tensor, most: int) -> None:
        self.x, self.labels = x, labels
        self.shape = (len(x), math.prod(x.shape[1:]) + 1)
        self.dtype = _roomy(x.dtype, most)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Rows ``[n, D + 1]``: of a slice without a step, or of row numbers in any order."""
        x = self.x[rows].flatten(1).to(self.dtype)
        return torch.cat([x, self.labels[rows, None].to(self.dtype)], 1)


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


def listed(names: Sequence[str]) -> str:
    """The first labels, for a sentence."""
    return few([name or "no label" for name in names])
