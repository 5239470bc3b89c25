"""The standard normal prior."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from jensen.checks import check_count


class StandardNormal(nn.Module):
    """p(z) = N(0, I_M).

    Args:
        dim: M, the number of latent dimensions.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_count("the dim of StandardNormal", dim)
        # Buffers, not constants: they follow the model to its device and precision.
        self.register_buffer("loc", torch.zeros(dim), persistent=False)
        self.register_buffer("scale", torch.ones(dim), persistent=False)

    def extra_repr(self) -> str:
        return f"dim={len(self.loc)}"

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[M]``."""
        return Independent(Normal(self.loc, self.scale, validate_args=False), 1, validate_args=False)
