"""Maximum mean discrepancy: do two sets of draws come from one distribution?"""

from dataclasses import dataclass

import torch
from torch import Tensor

BANDWIDTHS = (0.25, 1.0, 4.0)
"""The kernel is the mean of Gaussian kernels with these multiples of the median squared distance: fine and
coarse differences both show, and no one bandwidth need be right."""


@dataclass(frozen=True)
class Discrepancy:
    """A two-sample test."""

    mmd2: float
    """The unbiased estimate of MMD^2; about 0, and as often below as above, when there is no difference."""
    p_value: float
    """The share of relabelled samples with an MMD^2 as large; uniform when there is no difference."""


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2, ``[m, M], [n, M] -> [m, n]``."""
    return (a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2 * a @ b.T).clamp(min=0)


def kernel_matrix(z: Tensor) -> Tensor:
    """mean_c exp(-|z_i - z_j|^2 / (c median)) over the `BANDWIDTHS` c, zero on the diagonal, ``[n, n]``."""
    distances = squared_distances(z, z)
    n = len(z)
    i, j = torch.triu_indices(n, n, 1, device=z.device)
    median = distances[i, j].median()
    if median <= 0:  # more than half of the draws are the same point
        median = torch.ones_like(median)
    kernel = torch.stack([(-distances / (c * median)).exp() for c in BANDWIDTHS]).mean(0)
    return kernel.fill_diagonal_(0)


def mmd_test(a: Tensor, b: Tensor, *, num_permutations: int = 500, generator: torch.Generator) -> Discrepancy:
    """MMD^2 of two samples, unbiased, with a permutation p-value (Gretton et al. 2012, eq. 3).

    ``MMD^2 = mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j)``. The p-value
    counts the observed labelling among the relabellings, ``(1 + #{>= observed}) / (1 + permutations)``:
    it is valid at any number of them, and never 0 (Phipson & Smyth 2010).

    Args:
        a: ``[m, M]``, draws independent of one another and of b's.
        b: ``[n, M]``.
        num_permutations: relabellings drawn.
        generator: what they are drawn from, on the CPU.

    Raises:
        ValueError: fewer than two draws on a side.
    """
    m, n = len(a), len(b)
    if m < 2 or n < 2:
        raise ValueError(f"{m} and {n} draws; MMD^2 needs 2 or more of each")
    kernel = kernel_matrix(torch.cat([a, b]).double())
    first = torch.zeros(num_permutations + 1, m + n, dtype=torch.float64)
    first[0, :m] = 1
    for row in first[1:]:
        row[torch.randperm(m + n, generator=generator)[:m]] = 1
    first = first.to(kernel.device)
    towards = first @ kernel  # [permutations + 1, m + n]: each draw's kernel mass to the first set
    within_a = (towards * first).sum(1)
    between = (towards * (1 - first)).sum(1)
    within_b = kernel.sum() - within_a - 2 * between
    values = within_a / (m * (m - 1)) + within_b / (n * (n - 1)) - 2 * between / (m * n)
    # Relabellings that only swap like for like differ by rounding; they count as equal.
    at_least = int((values[1:] >= values[0] - 1e-12).sum())
    return Discrepancy(values[0].item(), (1 + at_least) / (1 + num_permutations))
