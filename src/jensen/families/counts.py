"""Families of counts 0, 1, 2, ...

x is not checked, since a check would wait for a GPU at each step. For fractions or negative numbers the
values are no log-probabilities; the command line refuses such data.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from jensen.distributions import counts, exposure
from jensen.distributions.limits import bounded_exp
from jensen.families.arguments import checked_scale, checked_shape, shapes
from jensen.families.scales import Scale

LOG_MEAN_LIMITS = (-15.0, 15.0)
"""Soft limits of the log of a mean count: from 3e-7 to 3e6."""
FLOOR = 1e-6
"""The part of a total that is spread evenly, whatever the network says."""
TOTALS = 100
"""Quantiles of the totals that are kept, for draws."""


class Poisson(nn.Module):
    """Independent counts, ``log rate = raw`` within `LOG_MEAN_LIMITS`; variance = mean.

    Data must be whole numbers from 0 on, which nothing checks here (see the module).

    Args:
        event_shape: the shape of one datum.
    """

    extra_repr = shapes

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.num_outputs = math.prod(self.event_shape)

    def elementwise(self, raw: Tensor, mean: Tensor | None = None) -> Distribution:
        """The counts of single elements, ``[*batch, *event]``; a ``mean`` replaces exp(raw)."""
        return counts.Poisson(_mean(raw, self.event_shape) if mean is None else mean)

    def marginal(self, rows: Tensor) -> Tensor:
        """The log means ``[D]`` of counts ``[N, *event]``, where training starts."""
        return _log_means(rows)

    def forward(self, raw: Tensor) -> Distribution:
        """Log rates ``[*batch, D]`` -> a distribution with batch shape ``[*batch]``."""
        return Independent(self.elementwise(raw), len(self.event_shape), validate_args=False)


class NegativeBinomial(nn.Module):
    """Independent counts with mean m and variance ``m + m^2 / r``, ``log m = raw``.

    Data must be whole numbers from 0 on, which nothing checks here (see the module).

    Args:
        event_shape: the shape of one datum.
        inverse_dispersion: a module of `jensen.families.scales` that gives r: learned
            (`PerDimensionScale`), from the network (`NetworkScale`), ...
    """

    extra_repr = shapes

    def __init__(self, event_shape: Sequence[int], inverse_dispersion: Scale) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.inverse_dispersion = checked_scale(inverse_dispersion, type(self).__name__)
        self.size = math.prod(self.event_shape)
        self.num_outputs = self.size + inverse_dispersion.num_outputs

    def elementwise(self, raw: Tensor, mean: Tensor | None = None) -> Distribution:
        """The counts of single elements, ``[*batch, *event]``; a ``mean`` replaces exp(raw)."""
        mean = _mean(raw[..., : self.size], self.event_shape) if mean is None else mean
        dispersion = raw[..., self.num_outputs - self.inverse_dispersion.num_outputs :]
        return counts.NegativeBinomial(mean, self.inverse_dispersion.shaped(dispersion, self.event_shape))

    def marginal(self, rows: Tensor) -> Tensor:
        """The log means ``[D]`` of counts ``[N, *event]``, where training starts."""
        return _log_means(rows)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        return Independent(self.elementwise(raw), len(self.event_shape), validate_args=False)


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

    def elementwise(self, raw: Tensor, mean: Tensor | None = None) -> Distribution:
        """The counts of single elements, ``[*batch, *event]``; a ``mean`` replaces exp(raw)."""
        odds = raw[..., self.size : 2 * self.size].reshape(raw.shape[:-1] + self.event_shape)
        return counts.ZeroInflated(super().elementwise(raw, mean), odds)

    def marginal(self, rows: Tensor) -> Tensor:
        """The log means ``[D]`` at which those of all counts ``[N, *event]`` are the rows', with pi = 1/2."""
        return _log_means(rows) + math.log(2)


class Exposed(nn.Module):
    """Counts whose means are shares of the datum's own total (`jensen.distributions.exposure.Exposed`).

    ``rho = (1 - e) softmax(raw) + e / D`` of a family's raw log means, e = `FLOOR`: no share is so small that
    a count would be impossible.

    Args:
        family: `Poisson`, `NegativeBinomial` or `ZeroInflatedNegativeBinomial` of one dimension ``[D]``.
        rows: counts ``[N, D]``, whose totals draws take and the weights keep. None where they will be loaded.
    """

    extra_repr = shapes
    totals: Tensor

    def __init__(self, family: Poisson | NegativeBinomial, rows: Tensor | None = None) -> None:
        super().__init__()
        self.family = family
        self.event_shape = family.event_shape
        self.num_outputs = family.num_outputs
        probabilities = (torch.arange(TOTALS, dtype=torch.float64) + 0.5) / TOTALS
        some = torch.ones(1, 1) if rows is None else rows
        totals = some.sum(1, dtype=torch.float64).quantile(probabilities)
        self.register_buffer("totals", totals.round().clamp_min(1).float())

    def marginal(self, rows: Tensor) -> Tensor:
        """The log shares ``[D]`` of all counts ``[N, D]`` together, where training starts."""
        counts = rows.sum(0, dtype=torch.float64) + 0.5
        return (counts / counts.sum()).log()

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        size = self.event_shape[0]
        shares = (1 - FLOOR) * raw[..., :size].softmax(-1) + FLOOR / size
        return exposure.Exposed(shares, lambda mean: self.family.elementwise(raw, mean), self.totals)


def _log_means(rows: Tensor) -> Tensor:
    """Of half a count more than there are, so that none is -inf: ``[N, *event] -> [D]``."""
    return ((rows.flatten(1).sum(0, dtype=torch.float64) + 0.5) / len(rows)).log()


def _mean(raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    """Means ``[*batch, *event]`` from their raw logs ``[*batch, D]``."""
    return bounded_exp(raw.reshape(raw.shape[:-1] + event_shape), LOG_MEAN_LIMITS)
