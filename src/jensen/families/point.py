"""The point-mass family: the encoder of a vanilla autoencoder."""

from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.distributions.delta import Delta
from jensen.families.arguments import shapes


class PointMass(nn.Module):
    """z = raw with probability one. For the reconstruction bound only: there is no density.

    Args:
        dim: M, the number of latent dimensions.
    """

    extra_repr = shapes

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_count("the dim of PointMass", dim)
        self.event_shape = (dim,)
        self.num_outputs = dim

    def forward(self, raw: Tensor) -> Distribution:
        """Points ``[*batch, M]`` -> a distribution with batch shape ``[*batch]``."""
        return Delta(raw)
