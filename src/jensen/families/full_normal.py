"""Normal posteriors with correlated dimensions: full and low-rank covariance."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from jensen.checks import check_count
from jensen.distributions.limits import bounded_exp, bounded_log, limited, unlimited
from jensen.distributions.low_rank import LowRankNormal as LowRankDistribution
from jensen.families.arguments import shapes

JITTER = 1e-4
"""What is added to the unit diagonal of a correlation matrix: it bounds how singular one can be."""

LARGEST = 100.0
"""Soft limit of a raw off-diagonal number; with it a correlation reaches 0.9999."""


def _softly_limited(raw: Tensor, size: int) -> Tensor:
    """``raw`` kept within `LARGEST`, and divided by sqrt(size) so that a row of them is of order one."""
    return limited(raw, LARGEST) / math.sqrt(size)


class FullNormal(nn.Module):
    """N(eta, Sigma) over M latents with any covariance: Sigma = S R S, z = eta + S T e with T T' = R.

    S is the diagonal of standard deviations, `bounded_exp` of the network's outputs. R is a
    correlation matrix, ``R = (C C' + j I) / (1 + j)`` with j = `JITTER` and C lower triangular with rows
    ``(n_i1, ..., n_ii-1, 1, 0, ...)`` scaled to length one. Sigma is positive definite at any network
    output: the eigenvalues of R lie in [j / (1 + j), M], so ``cond(Sigma) <= (max s / min s)^2 M (1 + j)/j``.

    Args:
        dim: M, the number of latent dimensions.
    """

    extra_repr = shapes
    below: Tensor
    identity: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_count("the dim of FullNormal", dim)
        self.event_shape = (dim,)
        self.dim = dim
        self.num_outputs = dim * (dim + 3) // 2
        rows, columns = torch.tril_indices(dim, dim, -1)
        self.register_buffer("below", rows * dim + columns, persistent=False)
        self.register_buffer("identity", torch.eye(dim), persistent=False)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, M (M + 3) / 2]`` (eta, log s, off-diagonals) -> batch shape ``[*batch]``."""
        M = self.dim
        loc, scale = raw[..., :M], bounded_exp(raw[..., M : 2 * M])
        numbers = _softly_limited(raw[..., 2 * M :], M)
        flat = torch.zeros_like(raw[..., :1]).expand(*raw.shape[:-1], M * M)
        index = self.below.expand_as(numbers)
        rows = flat.scatter(-1, index, numbers).unflatten(-1, (M, M)) + self.identity
        rows = rows / rows.square().sum(-1, keepdim=True).sqrt()
        correlation = (rows @ rows.mT + JITTER * self.identity) / (1 + JITTER)
        # cholesky_ex: without its check, which would wait for the device at every step; a matrix that is
        # not finite gives a factor that is not, and the training loop names it.
        root = torch.linalg.cholesky_ex(correlation).L
        return MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * root, validate_args=False)

    def inverse(self, q: MultivariateNormal) -> Tensor:
        """The raw outputs at which `forward` gives ``q``, or what comes nearest within its limits."""
        M = self.dim
        rows = q.scale_tril / q.stddev.unsqueeze(-1)
        within, failed = torch.linalg.cholesky_ex((1 + JITTER) * rows @ rows.mT - JITTER * self.identity)
        C = torch.where(failed[..., None, None] > 0, rows, within)  # a correlation nearer to 1 than there is
        numbers = (C / C.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)).flatten(-2)[..., self.below]
        raw = unlimited(numbers * math.sqrt(M), LARGEST)
        return torch.cat([q.loc, bounded_log(q.stddev), raw], -1)


class LowRankNormal(nn.Module):
    """N(eta, diag(a) (I + V V') diag(a)) over M latents, V of rank r: r M numbers, not M^2 / 2.

    From standard deviations s (`bounded_exp`) and factors V, limited softly: with
    ``a_i = s_i / sqrt(1 + |V_i|^2)``, s are exactly the standard deviations, and
    ``cond(Sigma) <= (max a / min a)^2 (1 + |V|^2)``, ``|V|^2 <= M LARGEST^2``.

    Args:
        dim: M, the number of latent dimensions.
        rank: r, from 1 to M.
    """

    extra_repr = shapes

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        check_count("the dim of LowRankNormal", dim)
        if not 1 <= rank <= dim:
            raise ValueError(f"rank is {rank}; it must lie between 1 and the {dim} latent dimensions")
        self.event_shape = (dim,)
        self.dim, self.rank = dim, rank
        self.num_outputs = dim * (2 + rank)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, M (2 + r)]`` (eta, log s, V) -> batch shape ``[*batch]``."""
        M = self.dim
        loc, scale = raw[..., :M], bounded_exp(raw[..., M : 2 * M])
        factors = _softly_limited(raw[..., 2 * M :].unflatten(-1, (M, self.rank)), self.rank)
        own = scale / (1 + factors.square().sum(-1)).sqrt()
        return LowRankDistribution(loc, factors, own)
