"""Location-scale families: the location from the network, the scale from a module of `scales`."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as TorchLaplace

from jensen.distributions.few_scales import normal
from jensen.distributions.limits import soft_clamp
from jensen.distributions.student_t import StudentT as StudentTDistribution
from jensen.families.arguments import checked_scale, checked_shape, shapes
from jensen.families.scales import OptimalScale, Scale

LOG_EXCESS_LIMITS = (math.log(0.1), math.log(98.0))
"""Soft limits of log(nu - 2): degrees of freedom between 2.1 (very heavy tails, with a variance) and 100
(all but normal)."""


class _Refitted(Independent[Distribution]):
    """A distribution whose log_prob is taken at the scale that suits the data best (see `OptimalScale`)."""

    def __init__(self, base: Distribution, event_dim: int, refit: Callable[[Tensor], Distribution]) -> None:
        super().__init__(base, event_dim, validate_args=False)
        self.refit = refit

    def log_prob(self, value: Tensor) -> Tensor:
        return self.refit(value).log_prob(value)


class LocationScale(nn.Module):
    """What Normal, Laplace and StudentT share: independent dimensions ``x_i = mu_i + sigma_i e_i``.

    Args:
        event_shape: the shape of one datum, for example ``[28, 28]``, or ``[M]`` for latents.
        scale: a module of `jensen.families.scales`.

    Raises:
        ValueError: ``event_shape`` is a number, ``scale`` no module of that kind, or an `OptimalScale` with a
            family whose best scale has no formula.
    """

    extra_repr = shapes
    power: ClassVar[int] = 0
    """The best common scale is ``(mean |x - mu|^power)^(1/power)``; 0 where it has no formula."""

    def __init__(self, event_shape: Sequence[int], scale: Scale) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.scale = checked_scale(scale, type(self).__name__, optimal=self.power > 0)
        self.size = math.prod(self.event_shape)
        self.num_outputs = self.size + scale.num_outputs

    def elementwise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """The distribution of single elements with this location and scale."""
        raise NotImplementedError

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        loc = raw[..., : self.size].reshape(raw.shape[:-1] + self.event_shape)
        base = self.elementwise(loc, self.scale.shaped(raw[..., self.size :], self.event_shape))
        if self.training and isinstance(self.scale, OptimalScale):
            return _Refitted(base, len(self.event_shape), partial(self._refit, self.scale, loc))
        return Independent(base, len(self.event_shape), validate_args=False)

    def _refit(self, scale: OptimalScale, loc: Tensor, x: Tensor) -> Distribution:
        """The distribution at the scale that is best for data ``x``."""
        base = self.elementwise(loc, scale.fit(x - loc, self.power))
        return Independent(base, len(self.event_shape), validate_args=False)


class Normal(LocationScale):
    """N(mu, diag sigma^2) over an event of any shape.

    With ``FixedScale(1)`` it is the decoder N(mu, I_D) of the mathematics, with ``SharedScale()`` a
    decoder with one learned variance, with ``NetworkScale(M)`` the diagonal encoder
    N(eta(x), Sigma(x)).

    Args:
        event_shape: the shape of one datum, for example ``[28, 28]``, or ``[M]`` for latents.
        scale: a module of `jensen.families.scales`; it gives the standard deviation.
    """

    power = 2

    def elementwise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """``log p(x) = -(x - mu)^2 / (2 sigma^2) - log sigma - log(2 pi)/2``."""
        return normal(loc, scale)

    def inverse(self, q: Distribution) -> Tensor:
        """The raw outputs ``[*batch, num_outputs]`` at which `forward` gives ``q``, within its limits.

        Raises:
            NotImplementedError: the scale is no network's, so that raw outputs do not decide it.
        """
        flat = -len(self.event_shape)
        base = q.base_dist  # type: ignore[attr-defined]
        return torch.cat([base.loc.flatten(flat), self.scale.inverse(base.scale.flatten(flat))], -1)


class Laplace(LocationScale):
    """``log p(x) = -|x - mu| / b - log(2 b)`` in each dimension: the median, and heavier tails.

    Args:
        event_shape: the shape of one datum.
        scale: a module of `jensen.families.scales`; it gives b, the standard deviation / sqrt(2).
    """

    power = 1

    def elementwise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """``log p(x) = -|x - mu| / b - log(2 b)``."""
        return TorchLaplace(loc, scale, validate_args=False)


class StudentT(LocationScale):
    """Student's t in each dimension, with learned degrees of freedom nu shared by all: outliers cost little.

    nu lies between 2.1 and 100 (`LOG_EXCESS_LIMITS`), so that mean and variance exist; it starts at 9.5.

    Args:
        event_shape: the shape of one datum.
        scale: a module of `jensen.families.scales`; it gives s, the standard deviation
            / sqrt(nu / (nu - 2)).
    """

    def __init__(self, event_shape: Sequence[int], scale: Scale) -> None:
        super().__init__(event_shape, scale)
        self.log_excess = nn.Parameter(torch.tensor(math.log(8.0)))

    @property
    def degrees_of_freedom(self) -> Tensor:
        """nu, shape ``[]``."""
        return 2 + soft_clamp(self.log_excess, *LOG_EXCESS_LIMITS).exp()

    def elementwise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """See `jensen.distributions.student_t.StudentT`."""
        return StudentTDistribution(self.degrees_of_freedom, loc, scale)
