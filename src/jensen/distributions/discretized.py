"""The logistic distribution on a grid of levels, for images and other data of few values."""

from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid


class DiscretizedLogistic(Distribution):
    """Probability masses of grid levels under a logistic density (Salimans et al. 2017, eq. 1-2).

    ``P(x) = F(x + h) - F(x - h)`` with ``F(y) = sigmoid((y - m) / s)`` and h half a step; the lowest
    level takes the whole left tail, the highest the right one. With ``b = (x + h - m)/s`` and
    ``a = (x - h - m)/s``, exactly and without cancellation in any tail:
    ``log P(x) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(-(b - a)))``.

    Args:
        loc: m, ``[*batch]``.
        scale: s, broadcastable to ``loc``.
        low: the lowest level, in the units of the data that the model sees.
        high: the highest level.
        step: the distance of two levels.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, low: Tensor, high: Tensor, step: Tensor) -> None:
        self.loc, self.scale = loc, scale.expand(loc.shape)
        self.low, self.high, self.step = low, high, step
        super().__init__(loc.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "DiscretizedLogistic":
        """The same distributions repeated to ``batch_shape``."""
        shape = Size(batch_shape)
        return DiscretizedLogistic(
            self.loc.expand(shape), self.scale.expand(shape), self.low, self.high, self.step
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """log P, nats, ``[*batch]``. Values are taken to lie on the grid."""
        half = self.step / 2
        below = logsigmoid((value + half - self.loc) / self.scale)
        above = logsigmoid((self.loc - value + half) / self.scale)
        width = (-torch.expm1(-self.step / self.scale)).log()
        lowest, highest = value < self.low + half, value > self.high - half
        zero = torch.zeros_like(below)
        return (
            torch.where(highest, zero, below)
            + torch.where(lowest, zero, above)
            + torch.where(lowest | highest, zero, width)
        )

    @property
    def mean(self) -> Tensor:
        """``low + step sum_i P(x >= level_i)``, exactly; level by level, to need little memory."""
        total = torch.zeros_like(self.loc)
        for i in range(int(self._top.max().item())):
            above = torch.sigmoid((self.loc - self.low - (i + 0.5) * self.step) / self.scale)
            total = total + torch.where(i < self._top, above, 0.0)  # dimensions may differ in their levels
        return self.low + self.step * total

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A logistic draw, rounded to the nearest level."""
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        y = self.loc + self.scale * torch.logit(u, eps=torch.finfo(u.dtype).eps)
        level = torch.round((y - self.low) / self.step)
        return self.low + self.step * torch.minimum(level.clamp_min(0), self._top)

    @property
    def _top(self) -> Tensor:
        """The number of the highest level; the lowest is 0."""
        return torch.round((self.high - self.low) / self.step)
