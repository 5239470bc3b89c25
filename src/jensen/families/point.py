"""The point-mass family: the encoder of a vanilla autoencoder."""

from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.delta import Delta


class PointMass(nn.Module):
    """z = raw with probability one. For the reconstruction bound only: there is no density.

    Args:
        dim: M, the number of latent dimensions.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.event_shape = (dim,)
        self.num_outputs = dim

    def forward(self, raw: Tensor) -> Distribution:
        """Points ``[*batch, M]`` -> a distribution with batch shape ``[*batch]``."""
        return Delta(raw)
