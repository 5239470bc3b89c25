"""The normal distribution with covariance of low rank plus diagonal."""

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

LOG_2PI = math.log(2 * math.pi)


class LowRankNormal(Distribution):
    """``z = m + a (V e + f)``, e ~ N(0, I_r), f ~ N(0, I_M): covariance ``diag(a) (I + V V') diag(a)``.

    With ``u = (z - m)/a``, ``K = I + V' V`` and ``w = K^-1 V' u``:
    ``log p(z) = -(|u - V w|^2 + |w|^2 + M log 2 pi + log det K)/2 - sum log a``. That sum of squares is
    Woodbury's ``u' (I + V V')^-1 u`` without its cancelling difference, on which torch's
    LowRankMultivariateNormal loses digits; and nothing here raises an error on numbers that are not finite.

    Args:
        loc: m, ``[*batch, M]``.
        factors: V, ``[*batch, M, r]``.
        scale: a, ``[*batch, M]``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"loc": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True
    made_of_noise = True

    def __init__(self, loc: Tensor, factors: Tensor, scale: Tensor) -> None:
        self.loc, self.factors, self.scale = loc, factors, scale
        identity = torch.eye(factors.shape[-1], dtype=loc.dtype, device=loc.device)
        self._root = torch.linalg.cholesky_ex(identity + factors.mT @ factors).L
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: None = None) -> "LowRankNormal":
        """The same distributions repeated to ``batch_shape``."""
        shape = Size(batch_shape)
        return LowRankNormal(
            self.loc.expand(shape + self.loc.shape[-1:]),
            self.factors.expand(shape + self.factors.shape[-2:]),
            self.scale.expand(shape + self.scale.shape[-1:]),
        )

    @property
    def mean(self) -> Tensor:
        """m."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """``a_i^2 (1 + |V_i|^2)``."""
        return self.scale.square() * (1 + self.factors.square().sum(-1))

    @property
    def half_log_det(self) -> Tensor:
        """Half the log determinant of the covariance, ``[*batch]``."""
        log_det_root: Tensor = self._root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return log_det_root + self.scale.log().sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """``m + a (V e + f)``."""
        shape = self._extended_shape(sample_shape)
        dtype, device = self.loc.dtype, self.loc.device
        common = torch.randn((*shape[:-1], self.factors.shape[-1], 1), dtype=dtype, device=device)
        own = torch.randn(shape, dtype=dtype, device=device)
        return self.loc + self.scale * ((self.factors @ common).squeeze(-1) + own)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p, nats, ``[*batch]``."""
        u = ((value - self.loc) / self.scale).unsqueeze(-1)
        w = torch.cholesky_solve(self.factors.mT @ u, self._root)
        squares = (u - self.factors @ w).square().sum((-2, -1)) + w.square().sum((-2, -1))
        M = self.loc.shape[-1]
        log_prob: Tensor = -0.5 * (squares + M * LOG_2PI) - self.half_log_det
        return log_prob
