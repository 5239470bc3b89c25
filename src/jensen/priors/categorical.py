"""Uniform priors over categorical latents, exact and relaxed."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.one_hot import OneHot, RelaxedOneHot


class Categorical(nn.Module):
    """p(z): G variables, each uniform over C classes, as one flat one-hot vector ``[G * C]``.

    Args:
        num_variables: G.
        num_classes: C.
    """

    logits: Tensor

    def __init__(self, num_variables: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(num_variables, num_classes), persistent=False)

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[G * C]``."""
        return OneHot(self.logits)


class RelaxedCategorical(Categorical):
    """The uniform concrete density on the simplex: the prior of a `GumbelSoftmax` posterior.

    Args:
        num_variables: G.
        num_classes: C.
        temperature: t of the prior, usually that of the posterior.
    """

    def __init__(self, num_variables: int, num_classes: int, temperature: float = 2 / 3) -> None:
        super().__init__(num_variables, num_classes)
        self.temperature = temperature

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[G * C]``."""
        return RelaxedOneHot(self.logits, self.temperature)
