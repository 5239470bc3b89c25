"""Factor analysis: the linear-Gaussian model of incomplete rows, fitted in closed-form steps."""

from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 60
"""Steps of EM. Each raises the likelihood; what they leave undone is left to gradient steps."""
LEAST_NOISE = 1e-3
"""The smallest noise variance, as a share of the column's variance: without it, a column that is a perfect
copy of another would be a singularity."""


class Factors(NamedTuple):
    """``u = mean + W z + sqrt(psi) e``, z ~ N(0, I_M), e ~ N(0, I_C)."""

    mean: Tensor
    """``[C]``"""
    loadings: Tensor
    """W, ``[C, M]``"""
    noise: Tensor
    """psi, ``[C]``"""


def posterior(factors: Factors, u: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[N, M]`` and covariance ``[N, M, M]`` of z given the observed cells of rows ``[N, C]``.

    ``S = (I + sum_c w_c w_c' / psi_c)^-1``, ``m = S sum_c w_c (u_c - mean_c) / psi_c``, over the observed
    cells c (Bishop 2006, section 12.2).
    """
    there = ~u.isnan()
    W, precision = factors.loadings, there / factors.noise
    # Sums over c are products of matrices: squares w_c w_c' laid out flat, [C, M * M].
    squares = (W[:, :, None] * W[:, None, :]).flatten(1)
    total = torch.eye(W.shape[1], dtype=u.dtype) + (precision @ squares).unflatten(1, W.shape[1:] * 2)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(total))
    h = (torch.where(there, u - factors.mean, 0.0) * precision) @ W
    return (covariance @ h[..., None])[..., 0], covariance


def fit_factors(u: Tensor, dim: int, steps: int = STEPS) -> Factors:
    """Maximum likelihood of the observed cells by EM (Rubin & Thayer 1982), from principal components.

    Args:
        u: rows ``[N, C]``, NaN where a cell is missing.
        dim: M.
        steps: of EM.
    """
    u = u.double()
    there = ~u.isnan()
    count = there.sum(0).clamp_min(1)
    mean = torch.where(there, u, 0.0).sum(0) / count
    rows = torch.where(there, u - mean, 0.0)
    variance = (rows.square().sum(0) / count).clamp_min(1e-12)
    least = LEAST_NOISE * variance
    _, s, axes = torch.linalg.svd(rows / len(rows) ** 0.5, full_matrices=False)
    W = torch.zeros(u.shape[1], dim, dtype=u.dtype)
    W[:, : len(s)] = (0.9 * axes.mT * s)[:, :dim]  # not all of the variance: noise of zero would stay zero
    noise = torch.maximum(variance - W.square().sum(1), 0.05 * variance)
    for _ in range(steps):
        z, covariance = posterior(Factors(mean, W, noise), u)
        second = covariance + z[:, :, None] * z[:, None, :]
        moments = (there.double().mT @ second.flatten(1)).unflatten(1, (dim, dim))
        cross = rows.mT @ z
        jitter = 1e-9 * torch.eye(dim, dtype=u.dtype)  # for a column without any observed cell
        W = torch.linalg.solve(moments + jitter, cross[..., None])[..., 0]
        noise = torch.maximum((rows.square().sum(0) - (W * cross).sum(1)) / count, least)
    return Factors(mean, W, noise)
