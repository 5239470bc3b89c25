"""Counts given their total."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints


class Exposed(Distribution):
    """Independent counts with means that are shares of the datum's own total N: ``m_d = N rho_d``.

    ``log p(x | N) = sum_d log f(x_d | N rho_d)`` at ``N = sum_d x_d`` (Lopez et al. 2018, with N, the library
    size or exposure, as observed). It is conditional on N and says nothing of how likely that total is.
    A draw takes its total from ``totals``, and the mean is that at their median.

    Args:
        shares: rho, ``[*batch, D]``.
        counts: means ``[*batch, D]`` -> the distribution f of each count.
        totals: totals that data have, equally likely, ascending, ``[Q]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"shares": constraints.simplex}
    support = constraints.independent(constraints.nonnegative_integer, 1)
    has_rsample = False

    def __init__(self, shares: Tensor, counts: Callable[[Tensor], Distribution], totals: Tensor) -> None:
        self.shares, self.counts, self.totals = shares, counts, totals
        super().__init__(shares.shape[:-1], shares.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x | N), nats, ``[*batch]``."""
        return self.log_prob_of_columns(value).sum(-1)

    def log_prob_of_columns(self, value: Tensor) -> Tensor:
        """log f of each count, ``[*batch, D]``, nats."""
        total = value.sum(-1, keepdim=True).clamp_min(1)  # a row of zeros has means too
        return self.counts(self.shares * total).log_prob(value)

    @property
    def mean(self) -> Tensor:
        """Of a datum with the median total, ``[*batch, D]``."""
        return self.counts(self.shares * self.totals[len(self.totals) // 2]).mean

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Counts, as floating-point numbers."""
        shape = Size(sample_shape) + self.batch_shape
        which = torch.randint(len(self.totals), (*shape, 1), device=self.totals.device)
        return self.counts(self.shares * self.totals[which]).sample()
