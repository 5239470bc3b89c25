"""Student's t distribution."""

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints


class StudentT(Distribution):
    """Student's t with location, scale and degrees of freedom nu > 2, so that the variance exists.

    ``log p(x) = -(nu + 1)/2 log(1 + y^2 / nu) - log(s sqrt(nu)) - log B(1/2, nu/2)``, ``y = (x - m)/s``.
    Unlike torch's, it validates nothing inside (torch's builds a chi-squared distribution that does).

    Args:
        df: nu, broadcastable to ``loc``.
        loc: m, ``[*batch]``.
        scale: s, broadcastable to ``loc``; the standard deviation is s sqrt(nu / (nu - 2)).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = df, loc, scale
        super().__init__(loc.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "StudentT":
        """The same distributions repeated to ``batch_shape``."""
        shape = Size(batch_shape)
        return StudentT(self.df.expand(shape), self.loc.expand(shape), self.scale.expand(shape))

    @property
    def mean(self) -> Tensor:
        """m, which exists because nu > 1."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """s^2 nu / (nu - 2)."""
        return (self.scale.square() * self.df / (self.df - 2)).expand(self.loc.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``m + s e sqrt(nu / c)``, e ~ N(0, 1), c ~ chi-squared(nu); pathwise in m, s and nu."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        half = torch._standard_gamma(self.df.expand(shape) / 2)
        half = half.clamp_min(torch.finfo(half.dtype).tiny)
        return self.loc + self.scale * noise * (self.df / (2 * half)).sqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        y = (value - self.loc) / self.scale
        log_beta = 0.5 * math.log(math.pi) + torch.lgamma(self.df / 2) - torch.lgamma((self.df + 1) / 2)
        kernel = torch.log1p(y.square() / self.df)
        return -0.5 * (self.df + 1) * kernel - self.scale.log() - 0.5 * self.df.log() - log_beta
