"""The Bernoulli families: data of zeros and ones, and data between zero and one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from jensen.distributions.bernoulli import IndependentBernoulli
from jensen.distributions.continuous_bernoulli import ContinuousBernoulli as ContinuousDistribution
from jensen.families.arguments import checked_shape, shapes

STEEPEST = 100.0
"""The largest |l| that training starts from: there the mean is a hundredth from 0 or 1."""
HALVINGS = 40
"""Of an interval of 200: down to 2e-10."""


class _LogOdds(nn.Module):
    """What both share: the network gives one number, the log-odds, for each element of the event."""

    extra_repr = shapes

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.num_outputs = math.prod(self.event_shape)

    def logits(self, raw: Tensor) -> Tensor:
        """``[*batch, D] -> [*batch, *event]``."""
        return raw.reshape(raw.shape[:-1] + self.event_shape)


class Bernoulli(_LogOdds):
    """Independent zeros and ones, with log-odds from the network: ``log p(1) - log p(0) = raw``.

    log p(x | z) = sum_i (x_i l_i - softplus(l_i)), finite with a finite gradient at any log-odds l.
    x is not checked, since a check would wait for a GPU at each step. For pixels up to 255 the "bound" is
    many thousand nats above 0, and no log-probability; the command line refuses such data.

    Args:
        event_shape: the shape of one datum, for example ``[28, 28]``.
    """

    def forward(self, raw: Tensor) -> Distribution:
        """Log-odds ``[*batch, D]`` -> a distribution with batch shape ``[*batch]``."""
        return IndependentBernoulli(self.logits(raw), len(self.event_shape))

    def marginal(self, rows: Tensor) -> Tensor:
        """The log-odds ``[D]`` of a 1 in each element of rows ``[N, *event]``, where training starts.

        From ``(n + 1/2) / (N + 1)`` (Krichevsky & Trofimov 1981), which is neither 0 nor 1.
        """
        ones = rows.flatten(1).sum(0, dtype=torch.float64)
        return torch.log((ones + 0.5) / (len(rows) - ones + 0.5))


class ContinuousBernoulli(_LogOdds):
    """Independent numbers in [0, 1] with density proportional to exp(l x), l from the network.

    x is not checked: outside [0, 1] the value is no log-density. The command line refuses such data.

    Unlike a Bernoulli likelihood of grey values, it is a density, and its values are comparable
    (Loaiza-Ganem & Cunningham 2019).

    Args:
        event_shape: the shape of one datum, for example ``[28, 28]``.
    """

    def marginal(self, rows: Tensor) -> Tensor:
        """l ``[D]`` at which means are those of each element of rows ``[N, *event]``, where training starts.

        Within +/- `STEEPEST`, by halving intervals: the mean grows with l.
        """
        mean = rows.flatten(1).mean(0, dtype=torch.float64)
        low, high = torch.full_like(mean, -STEEPEST), torch.full_like(mean, STEEPEST)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = ContinuousDistribution(middle).mean < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def forward(self, raw: Tensor) -> Distribution:
        """l ``[*batch, D]`` -> a distribution with batch shape ``[*batch]``."""
        base = ContinuousDistribution(self.logits(raw))
        return Independent(base, len(self.event_shape), validate_args=False)
