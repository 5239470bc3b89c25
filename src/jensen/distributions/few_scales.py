"""Normals of which many share a scale."""

import math
from typing import Any

from torch import Tensor
from torch.distributions import Normal


class FewScalesNormal(Normal):
    """``log p(x) = -(x - mu)^2 / (2 sigma^2) - log sigma - log(2 pi)/2``, sigma of fewer numbers than mu.

    The numbers are those of torch's Normal, bit for bit. It broadcasts sigma first, and squares it and takes
    its logarithm for each element of mu: a decoder of many dimensions spends more on that than on its
    network.

    Args:
        loc: mu, ``[*batch, *event]``.
        scale: sigma, broadcastable to that.
    """

    made_of_noise = True

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.few = scale
        super().__init__(loc, scale, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "FewScalesNormal":
        """The same distribution of a larger batch."""
        return FewScalesNormal(self.loc.expand(batch_shape), self.few)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x), nats, ``[*batch, *event]``."""
        squares = -((value - self.loc) ** 2) / (2 * self.few**2)
        return squares - self.few.log() - math.log(math.sqrt(2 * math.pi))


def normal(loc: Tensor, scale: Tensor) -> Normal:
    """N(mu, sigma^2) of each element of ``loc``, by the shorter way where a scale serves several of them."""
    if scale.numel() < loc.numel():
        return FewScalesNormal(loc, scale)
    return Normal(loc, scale, validate_args=False)
