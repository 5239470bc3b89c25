"""The posterior that is a product of the prior and one normal factor for each observed value."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from jensen.checks import check_count
from jensen.distributions.limits import limited
from jensen.families.arguments import shapes

LARGEST = 100.0
"""Soft limit of the entries of b: an expert knows its direction to 1/100 of the prior's spread."""
FARTHEST = 1000.0
"""Soft limit of t."""


class Experts(nn.Module):
    """N(L^-1 h, L^-1) over M latents, ``L = I + sum_c b_c b_c'`` and ``h = d + sum_c t_c b_c``.

    A product of experts (Hinton 2002): of N(0, I) and of the factors ``exp(-(b_c' z - t_c)^2 / 2)``. With a
    linear decoder, ``x_c = w_c' z + mu_c + psi_c^(1/2) e``, it is the exact posterior if
    ``b_c = w_c psi_c^(-1/2)`` and ``t_c = (x_c - mu_c) psi_c^(-1/2)``, and ``b_c = 0`` where a cell is
    missing: exact for each of the 2^C patterns of missing cells.

    Args:
        dim: M, the number of latent dimensions.
        count: how many experts; raw outputs of any other number of experts will do as well.
    """

    extra_repr = shapes
    any_outputs = True

    def __init__(self, dim: int, count: int | None = None) -> None:
        super().__init__()
        check_count("the dim of Experts", dim)
        self.event_shape = (dim,)
        self.dim = dim
        self.num_outputs = dim + (dim if count is None else count) * (dim + 1)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, M + R (M + 1)]``: d, then R times (b, t) -> batch shape ``[*batch]``."""
        d, experts = raw[..., : self.dim], raw[..., self.dim :].unflatten(-1, (-1, self.dim + 1))
        b, t = limited(experts[..., :-1], LARGEST), limited(experts[..., -1:], FARTHEST)
        identity = torch.eye(self.dim, dtype=raw.dtype, device=raw.device)
        # cholesky_ex: without its check, which would wait for the device at every step. Of the precision with
        # its rows and columns reversed: the inverse of that factor, reversed again, is lower triangular, as
        # the covariance's factor has to be.
        root = torch.linalg.cholesky_ex((identity + b.mT @ b).flip(-2, -1)).L
        inverse = torch.linalg.solve_triangular(root, identity, upper=False)
        scale_tril = inverse.flip(-2, -1).mT
        h = d.unsqueeze(-1) + b.mT @ t
        loc = (scale_tril @ (scale_tril.mT @ h)).squeeze(-1)
        return MultivariateNormal(loc, scale_tril=scale_tril, validate_args=False)
