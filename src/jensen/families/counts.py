"""Families of counts 0, 1, 2, ..."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from jensen.distributions import counts
from jensen.distributions.limits import bounded_exp
from jensen.families.scales import Scale, refuse_optimal

LOG_MEAN_LIMITS = (-15.0, 15.0)
"""Soft limits of the log of a mean count: from 3e-7 to 3e6."""


class Poisson(nn.Module):
    """Independent counts, ``log rate = raw`` within `LOG_MEAN_LIMITS`; variance = mean.

    Args:
        event_shape: the shape of one datum.
    """

    has_rsample = False
    support = "count"

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.num_outputs = math.prod(self.event_shape)

    def forward(self, raw: Tensor) -> Distribution:
        """Log rates ``[*batch, D]`` -> a distribution with batch shape ``[*batch]``."""
        rate = bounded_exp(raw.reshape(raw.shape[:-1] + self.event_shape), LOG_MEAN_LIMITS)
        return Independent(counts.Poisson(rate), len(self.event_shape), validate_args=False)


class NegativeBinomial(nn.Module):
    """Independent counts with mean m and variance ``m + m^2 / r``, ``log m = raw``.

    Args:
        event_shape: the shape of one datum.
        inverse_dispersion: a module of `jensen.families.scales` that gives r: learned
            (`PerDimensionScale`), from the network (`NetworkScale`), ...
    """

    has_rsample = False
    support = "count"

    def __init__(self, event_shape: Sequence[int], inverse_dispersion: Scale) -> None:
        super().__init__()
        refuse_optimal(inverse_dispersion, type(self).__name__)
        self.event_shape = tuple(event_shape)
        self.inverse_dispersion = inverse_dispersion
        self.size = math.prod(self.event_shape)
        self.num_outputs = self.size + inverse_dispersion.num_outputs

    def elementwise(self, log_mean: Tensor, dispersion: Tensor) -> counts.NegativeBinomial:
        """The counts of single elements, from raw log means ``[*batch, D]`` and raw dispersions."""
        mean = bounded_exp(log_mean.reshape(log_mean.shape[:-1] + self.event_shape), LOG_MEAN_LIMITS)
        return counts.NegativeBinomial(mean, self.inverse_dispersion.shaped(dispersion, self.event_shape))

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        base = self.elementwise(raw[..., : self.size], raw[..., self.size :])
        return Independent(base, len(self.event_shape), validate_args=False)


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """Negative binomial counts among which some are zero for another reason, as in single-cell data.

    ``p(0) = pi + (1 - pi) f(0)``; the network gives the log-odds of pi after the log means.

    Args:
        event_shape: the shape of one datum.
        inverse_dispersion: a module of `jensen.families.scales`.
    """

    def __init__(self, event_shape: Sequence[int], inverse_dispersion: Scale) -> None:
        super().__init__(event_shape, inverse_dispersion)
        self.num_outputs += self.size

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        counted = self.elementwise(raw[..., : self.size], raw[..., 2 * self.size :])
        odds = raw[..., self.size : 2 * self.size].reshape(raw.shape[:-1] + self.event_shape)
        base = counts.ZeroInflated(counted, odds)
        return Independent(base, len(self.event_shape), validate_args=False)
