"""The continuous Bernoulli distribution, for data in the unit interval."""

from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

SMALL = 1e-2
"""Below this log-odds the series about 0 replaces formulae that divide by the log-odds."""


class ContinuousBernoulli(Distribution):
    """p(x) = exp(l x) / Z(l) on [0, 1] (Loaiza-Ganem & Cunningham 2019, eq. 6-8, in log-odds l).

    With ``a = |l|`` and ``t = x`` for l < 0, ``1 - x`` otherwise:
    ``log p(x) = -a t - log((1 - exp(-a)) / a)``, where no term overflows or cancels; for a < 0.01
    the series ``log Z = l/2 + l^2/24 - l^4/2880``. torch's own loses digits near l = 0 and is infinite at
    large l.

    Args:
        logits: l, ``[*batch]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self._small = logits.abs() < SMALL
        # A stand-in where the series is used: the branch not taken must have a finite gradient too.
        self._safe = torch.where(self._small, torch.ones_like(logits), logits)
        super().__init__(logits.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "ContinuousBernoulli":
        """The same distributions repeated to ``batch_shape``."""
        return ContinuousBernoulli(self.logits.expand(Size(batch_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        odds, a = self.logits, self._safe.abs()
        distance = torch.where(self._safe < 0, value, 1 - value)
        exact = -a * distance - (-torch.expm1(-a)).log() + a.log()
        series = odds * (value - 0.5) - odds.square() / 24 + odds**4 / 2880
        return torch.where(self._small, series, exact)

    @property
    def mean(self) -> Tensor:
        """``1 / (1 - exp(-l)) - 1 / l``."""
        odds, a = self.logits, self._safe.abs()
        above = -1 / torch.expm1(-a) - 1 / a
        exact = torch.where(self._safe < 0, 1 - above, above)
        return torch.where(self._small, 0.5 + odds / 12 - odds**3 / 720, exact)

    @property
    def variance(self) -> Tensor:
        """``1 / l^2 - 1 / (4 sinh(l / 2)^2)``."""
        odds, a = self.logits, self._safe.abs()
        tail = torch.exp(-a) / torch.expm1(-a).square()
        # The difference of two near 1/l^2 loses digits below 1, so the series reaches further here.
        series = 1 / 12 - odds.square() / 240 + odds**4 / 6048 - odds**6 / 172800
        return torch.where(odds.abs() < 0.5, series, a**-2 - tail)

    def icdf(self, value: Tensor) -> Tensor:
        """The x below which lies probability ``value``: ``log(1 + u (exp(l) - 1)) / l``."""
        odds, a = self.logits, self._safe.abs()
        u = torch.where(self._safe < 0, 1 - value, value)
        above = 1 + torch.log1p((1 - u) * torch.expm1(-a)) / a
        exact = torch.where(self._safe < 0, 1 - above, above)
        spread = value * (1 - value)
        series = value + odds * spread / 2 + odds.square() * spread * (1 - 2 * value) / 6
        return torch.where(self._small, series, exact).clamp(0, 1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The inverse distribution function at uniform noise, differentiable in the log-odds."""
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        margin = torch.finfo(u.dtype).eps
        return self.icdf(u.clamp(margin, 1 - margin))
