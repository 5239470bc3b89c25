"""Mixture priors: of learned normals, and of the encoder's own posteriors (VampPrior)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from jensen.distributions.limits import bounded_exp


class Mixture(nn.Module):
    """``p(z) = sum_c w_c N(z; m_c, diag s_c^2)`` with learned weights, means and standard deviations.

    Starts near N(0, I): means drawn from N(0, I/2), variances 1/2, equal weights.

    Args:
        dim: M, the number of latent dimensions.
        num_components: C.
    """

    def __init__(self, dim: int, num_components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_components))
        self.loc = nn.Parameter(torch.randn(num_components, dim) * math.sqrt(0.5))
        self.log_scale = nn.Parameter(torch.full((num_components, dim), math.log(0.5) / 2))

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[M]``."""
        parts = Normal(self.loc, bounded_exp(self.log_scale), validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            Independent(parts, 1, validate_args=False),
            validate_args=False,
        )


class VampPrior(nn.Module):
    """``p(z) = (1/C) sum_c q(z | u_c)``: the aggregate posterior of C learned pseudo-inputs.

    Tomczak & Welling 2018, eq. 9. The encoder stays the model's: its parameters are trained through
    the prior too, but are registered, moved and saved with the encoder alone.

    Args:
        encoder: ``forward(x, context) -> Distribution`` over z, the model's own encoder, with a density.
            Here the context is None.
        pseudo_inputs: C data rows to start from, ``[C, *event]``, in the model's domain.
    """

    def __init__(self, encoder: Any, pseudo_inputs: Tensor) -> None:
        super().__init__()
        # In a tuple, where nn.Module does not look for submodules.
        self._encoder = (encoder,)
        self.pseudo_inputs = nn.Parameter(pseudo_inputs.detach().clone())

    def forward(self) -> Distribution:
        """The prior, batch shape ``[]``, event shape ``[M]``."""
        components: Distribution = self._encoder[0](self.pseudo_inputs, None)
        equal = torch.zeros_like(self.pseudo_inputs.flatten(1)[:, 0].detach())
        weights = Categorical(logits=equal, validate_args=False)
        return MixtureSameFamily(weights, components, validate_args=False)
