"""Discretized logistic families, for images and other data on a grid of levels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily

from jensen.distributions.discretized import DiscretizedLogistic as GridDistribution
from jensen.distributions.limits import bounded_exp
from jensen.families.arguments import checked_scale, checked_shape, shapes
from jensen.families.scales import Scale


class _Grid(nn.Module):
    """The levels ``low, low + step, ..., high`` in the units of the data that the model sees.

    Numbers, or tensors of the event's shape where each dimension was scaled on its own.
    """

    low: Tensor
    high: Tensor
    step: Tensor

    def __init__(self, low: float | Tensor, high: float | Tensor, step: float | Tensor) -> None:
        super().__init__()
        for name, value in (("low", low), ("high", high), ("step", step)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.get_default_dtype()).clone())
        if not bool(((self.step > 0) & (self.high > self.low)).all()):
            raise ValueError(
                f"the grid has low {low}, high {high}, step {step}; need low < high and step > 0"
            )

    def limits(self, extra_dims: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """low, high, step, with trailing dimensions of size 1 added to those that are not numbers."""

        def pad(t: Tensor) -> Tensor:
            return t.reshape(t.shape + (1,) * extra_dims) if t.dim() else t

        return pad(self.low), pad(self.high), pad(self.step)


class DiscretizedLogistic(nn.Module):
    """Independent grid levels with logistic masses (Salimans et al. 2017, eq. 1-2, one component).

    Args:
        event_shape: the shape of one datum, for example ``[28, 28]``.
        scale: a module of `jensen.families.scales`; it gives the logistic scale s.
        low: the lowest level, in the units of the data that the model sees.
        high: the highest level.
        step: the distance of two levels: for 8-bit images scaled by ``(x - m) / s`` the grid is
            ``low = -m / s, high = (255 - m) / s, step = 1 / s``.
    """

    extra_repr = shapes

    def __init__(
        self,
        event_shape: Sequence[int],
        scale: Scale,
        low: float | Tensor,
        high: float | Tensor,
        step: float | Tensor,
    ) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.size = math.prod(self.event_shape)
        self.scale = checked_scale(scale, type(self).__name__)
        self.grid = _Grid(low, high, step)
        self.num_outputs = self.size + scale.num_outputs

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        loc = raw[..., : self.size].reshape(raw.shape[:-1] + self.event_shape)
        sigma = self.scale.shaped(raw[..., self.size :], self.event_shape)
        base = GridDistribution(loc, sigma, *self.grid.limits())
        return Independent(base, len(self.event_shape), validate_args=False)


class MixtureOfDiscretizedLogistics(nn.Module):
    """A mixture of C logistics on the grid for each element (Salimans et al. 2017, eq. 1-2).

    The network gives weight, location and log scale of each component. Elements are independent given
    the latents: the paper's linear dependence of an image's colour channels on each other is left out.

    Args:
        event_shape: the shape of one datum.
        num_components: C.
        low: the lowest level, in the units of the data that the model sees.
        high: the highest level.
        step: the distance of two levels.
    """

    extra_repr = shapes
    interleaved = True
    positions: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        num_components: int,
        low: float | Tensor,
        high: float | Tensor,
        step: float | Tensor,
    ) -> None:
        super().__init__()
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.num_components = num_components
        self.grid = _Grid(low, high, step)
        self.num_outputs = 3 * num_components * math.prod(self.event_shape)
        # Components that start alike stay alike; these start evenly spread over the grid.
        positions = (torch.arange(num_components) + 0.5) / num_components
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        shape = (*raw.shape[:-1], *self.event_shape, self.num_components, 3)
        logits, shift, log_scale = raw.reshape(shape).unbind(-1)
        low, high, step = self.grid.limits(1)
        loc = shift + low + (high - low) * self.positions
        components = GridDistribution(loc, bounded_exp(log_scale), low, high, step)
        weights = Categorical(logits=logits, validate_args=False)
        mixture = MixtureSameFamily(weights, components, validate_args=False)
        return Independent(mixture, len(self.event_shape), validate_args=False)
