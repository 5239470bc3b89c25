"""The flow prior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.spline import SplineNormal, coupling_splines


class Flow(nn.Module):
    """``z = m + s f(e)``, e ~ N(0, I), with f a learned coupling spline flow (Durkan et al. 2019).

    Starts as N(0, I). Draws and densities cost the same few network passes.

    Args:
        dim: M, the number of latent dimensions.
        num_transforms: coupling layers.
        hidden: widths of the network of each layer.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, dim: int, num_transforms: int = 4, hidden: Sequence[int] = (64,)) -> None:
        super().__init__()
        self.flow = coupling_splines(dim, 0, num_transforms, hidden)
        self.register_buffer("loc", torch.zeros(dim), persistent=False)
        self.register_buffer("scale", torch.ones(dim), persistent=False)

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[M]``."""
        return SplineNormal(self.flow(None), self.loc, self.scale)
