"""Mean and standard deviation of a posterior, whether or not it knows them."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from jensen.distributions.moments import DRAWS


@torch.no_grad()
def moments(q: Distribution, draws: int = DRAWS) -> tuple[Tensor, Tensor]:
    """E[z] and the standard deviation of each dimension of z under ``q``, both ``[B, M]``.

    Those that ``q`` offers, or where it has none those of ``draws`` samples off torch's global generator.
    """
    try:
        return q.mean, q.stddev
    except NotImplementedError:
        z = q.sample((draws,))
        return z.mean(0), z.std(0)


def diagonal_fit(q: Distribution) -> Distribution:
    """The diagonal normal with the moments of ``q``, batch shape ``[B]``: a start whose density is cheap."""
    mean, spread = moments(q)
    return Independent(Normal(mean, spread, validate_args=False), 1, validate_args=False)
