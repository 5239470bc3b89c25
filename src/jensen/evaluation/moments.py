"""Mean and standard deviation of a posterior, whether or not it knows them."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

DRAWS = 256
"""Draws from which the moments of a posterior without formulae (a flow) are estimated."""


@torch.no_grad()
def moments(q: Distribution, draws: int = DRAWS) -> tuple[Tensor, Tensor]:
    """E[z] and the standard deviation of each dimension of z under ``q``, both ``[B, M]``.

    Exact where ``q`` offers them; else from ``draws`` samples off torch's global generator.
    """
    try:
        return q.mean, q.stddev
    except (NotImplementedError, AttributeError):
        z = q.sample((draws,))
        return z.mean(0), z.std(0)


def diagonal_fit(q: Distribution, draws: int = DRAWS) -> Distribution:
    """The diagonal normal with the moments of ``q``, batch shape ``[B]``: a start whose density is cheap."""
    mean, spread = moments(q, draws)
    return Independent(Normal(mean, spread, validate_args=False), 1, validate_args=False)
