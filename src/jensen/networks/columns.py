"""The rows of a table as numbers for a network."""

import math

import torch
from torch import Tensor, nn

FARTHEST = 6.0
"""Normal scores beyond are shown to the network as this: no value, however odd, may drive it anywhere."""


def embedding_width(levels: int) -> int:
    """Numbers that stand for a level among ``levels``: few, and more where there are more to tell apart."""
    return max(2, min(32, round(1.6 * math.sqrt(levels))))


class ColumnInputs(nn.Module):
    """Codes of a table ``[N, C]``, NaN where missing -> numbers for a network ``[N, width]``.

    A numeric column becomes its normal score and an indicator of whether it is there (0 and 0 where it is
    not); a discrete one the embedding of its level, with one more level for a missing cell. So 50,000 levels
    cost a look-up, not a row of 50,000 zeros.

    Args:
        marginals: values -> normal scores (`jensen.distributions.marginals.Marginals`); None where no column
            is numeric.
        numeric: the places of the numeric columns.
        discrete: the places of the discrete columns.
        levels: how many levels each discrete column has.
    """

    numeric: Tensor
    discrete: Tensor
    offsets: Tensor
    sizes: Tensor
    like: Tensor

    def __init__(
        self, marginals: nn.Module | None, numeric: list[int], discrete: list[int], levels: list[int]
    ) -> None:
        super().__init__()
        self.marginals = marginals
        self.register_buffer("numeric", torch.tensor(numeric, dtype=torch.long), persistent=False)
        self.register_buffer("discrete", torch.tensor(discrete, dtype=torch.long), persistent=False)
        rows = torch.tensor([0, *(size + 1 for size in levels)]).cumsum(0)
        self.register_buffer("offsets", rows[:-1], persistent=False)
        self.register_buffer("sizes", torch.tensor(levels, dtype=torch.long), persistent=False)
        columns = embedding_width(max(levels)) if levels else 0
        self.embedding = nn.Embedding(int(rows[-1]), columns) if levels else None
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of the type that the network has
        self.width = 2 * len(numeric) + columns * len(discrete)

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        if self.marginals is not None:
            scores = self.scores(x)
            missing = scores.isnan()
            parts += [scores.masked_fill(missing, 0.0).to(self.like.dtype), (~missing).to(self.like.dtype)]
        if self.embedding is not None:
            codes = x[:, self.discrete]
            codes = torch.where(codes.isnan(), self.sizes, codes).long()
            parts.append(self.embedding(codes + self.offsets).flatten(1))
        return torch.cat(parts, 1)

    def scores(self, x: Tensor) -> Tensor:
        """Normal scores of the numeric columns, ``[N, Cn]`` of float64, NaN where missing."""
        values = x[:, self.numeric]
        if self.marginals is None:
            return values
        missing = values.isnan()
        scores: Tensor = self.marginals(values.masked_fill(missing, 1.0)).clamp(-FARTHEST, FARTHEST)
        return scores.masked_fill(missing, torch.nan)
