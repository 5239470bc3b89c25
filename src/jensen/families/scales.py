"""Where a location-scale family takes its scale (and a count family its dispersion) from.

Every learned scale works on log sigma between soft limits, so that sigma is positive and finite, with a
finite gradient, whatever the network says. docs/decoder-variance.md compares them.
"""

import math

import torch
from torch import Tensor, nn

from jensen.checks import check_count
from jensen.distributions.limits import LOG_SCALE_LIMITS, bounded_exp, bounded_log


def _positive(sigma: float) -> float:
    """``sigma`` if it is a positive finite number.

    Raises:
        ValueError: it is not.
    """
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"sigma is {sigma}; it must be a positive finite number")
    return float(sigma)


class Scale(nn.Module):
    """A positive number, or one for each element, from raw network outputs or from parameters."""

    num_outputs: int = 0
    """Raw numbers a datum that it needs from the network."""

    def forward(self, raw: Tensor) -> Tensor:
        """The scale, ``[]``, ``[D]`` or ``[*batch, D]``, from ``raw`` ``[*batch, num_outputs]``."""
        raise NotImplementedError

    def inverse(self, sigma: Tensor) -> Tensor:
        """The raw numbers ``[*batch, num_outputs]`` that give ``sigma``; of scales that a network gives."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """How many dimensions it is for, or its one sigma as it is now."""
        if self.num_outputs:
            return f"num_dimensions={self.num_outputs}"
        sigma = self(torch.empty(0))
        return f"num_dimensions={len(sigma)}" if sigma.dim() else f"sigma={sigma.item():.4g}"

    def shaped(self, raw: Tensor, event_shape: tuple[int, ...]) -> Tensor:
        """The scale broadcastable to ``[*batch, *event]``."""
        sigma: Tensor = self(raw)
        return sigma.reshape(sigma.shape[:-1] + event_shape) if sigma.dim() else sigma


class FixedScale(Scale):
    """sigma is a given number: 1 for the unit-variance decoder N(mu, I) of the mathematics."""

    sigma: Tensor

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("sigma", torch.tensor(_positive(sigma)))

    def forward(self, raw: Tensor) -> Tensor:
        """sigma, shape ``[]``."""
        return self.sigma


class SharedScale(Scale):
    """One learned sigma for all dimensions and all data, from its start value on."""

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(_positive(sigma))))

    def forward(self, raw: Tensor) -> Tensor:
        """sigma, shape ``[]``."""
        return bounded_exp(self.log_sigma)


class PerDimensionScale(Scale):
    """One learned sigma for each dimension, the same for all data.

    Args:
        num_dimensions: D, the number of elements of the event.
        sigma: where training starts.
    """

    def __init__(self, num_dimensions: int, sigma: float = 1.0) -> None:
        super().__init__()
        check_count("num_dimensions of PerDimensionScale", num_dimensions)
        self.log_sigma = nn.Parameter(torch.full((num_dimensions,), math.log(_positive(sigma))))

    def forward(self, raw: Tensor) -> Tensor:
        """sigma, ``[D]``."""
        return bounded_exp(self.log_sigma)


class NetworkScale(Scale):
    """The network gives log sigma of each dimension of each datum.

    Args:
        num_dimensions: D, the number of elements of the event.
    """

    def __init__(self, num_dimensions: int) -> None:
        super().__init__()
        check_count(f"num_dimensions of {type(self).__name__}", num_dimensions)
        self.num_outputs = num_dimensions

    def forward(self, raw: Tensor) -> Tensor:
        """sigma from ``raw`` log sigma, ``[*batch, D]``."""
        return bounded_exp(raw)

    def inverse(self, sigma: Tensor) -> Tensor:
        """log sigma, ``[*batch, D]``."""
        return bounded_log(sigma)


class NetworkVariance(NetworkScale):
    """The network gives the log variance of each dimension of each datum: the choice for a decoder.

    ``sigma = exp(raw / 2)``. As a decoder's scale it trains more steadily than `NetworkScale`, because log
    sigma moves half as far a step (measured: docs/decoder-variance.md).

    Args:
        num_dimensions: D, the number of elements of the event.
    """

    def forward(self, raw: Tensor) -> Tensor:
        """sigma from ``raw`` log sigma^2, ``[*batch, D]``."""
        return bounded_exp(raw / 2)

    def inverse(self, sigma: Tensor) -> Tensor:
        """log sigma^2, ``[*batch, D]``."""
        return 2 * bounded_log(sigma)


class OptimalScale(Scale):
    """The best single sigma in closed form (sigma-VAE: Rybkin, Daniilidis & Levine 2021, eq. 4-5).

    In training mode the family computes ``sigma*^2 = mean (x - mu)^2`` over the batch, its samples and
    dimensions, at every evaluation of log p(x | z), with gradients through it. A sigma that depends on
    x is no density, so those values are no bound on log p(x); they differ from one by what fitting one
    number to a batch gains. In evaluation mode sigma is a fixed number, an average over the latest
    training batches, and the density is an honest one. Evaluations without gradients, which are no part
    of a step of training, add nothing to the average.

    ``sigma*^2`` is floored softly, by adding ``exp(2 * LOG_SCALE_LIMITS[0])``: finite at residual zero.
    """

    sigma: Tensor
    num_batches: Tensor

    def __init__(self, memory: int = 10) -> None:
        """``memory`` is how many batches the running average reaches back, about."""
        super().__init__()
        self.memory = memory
        self.register_buffer("sigma", torch.tensor(1.0))
        self.register_buffer("num_batches", torch.tensor(0.0))

    def forward(self, raw: Tensor) -> Tensor:
        """The remembered sigma, shape ``[]``."""
        return self.sigma.clone()  # a copy: the buffer changes in place while graphs still need its value

    def fit(self, residual: Tensor, power: int) -> Tensor:
        """The maximum-likelihood scale ``(mean |residual|^p)^(1/p)``; with gradients on, it is remembered.

        Args:
            residual: ``x - mu``, any shape.
            power: p, 2 for the normal and 1 for the Laplace family.
        """
        floor = math.exp(power * LOG_SCALE_LIMITS[0])
        best = (residual.abs().pow(power).mean() + floor) ** (1 / power)
        if torch.is_grad_enabled():
            self._remember(best.detach(), power)
        return best

    @torch.no_grad()
    def _remember(self, best: Tensor, power: int) -> None:
        """Take the scale of one more batch into the running average."""
        self.num_batches.add_(1)
        weight = (1 / self.num_batches).clamp_min(1 / self.memory)  # a plain mean at first
        average = self.sigma**power * (1 - weight) + best**power * weight
        self.sigma.copy_(average ** (1 / power))
