"""Networks with a linear part of their own, from which what is not linear is learned."""

import torch
from torch import Tensor, nn

from jensen.networks.columns import ColumnInputs

NO_OPINION = -4.0
"""Log precision, at the start, of what a network adds to each latent: next to the prior's 1, nothing."""


class Skip(nn.Module):
    """``network(x) + linear(x)``, of which the network starts at zero (Zhang et al. 2019, Fixup).

    Args:
        network: ends in a linear layer.
        linear: of the same sizes.
    """

    def __init__(self, network: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.network = starts_at_zero(network)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x) + self.linear(x)
        return out


class CellExperts(nn.Module):
    """Codes of a table ``[N, C]`` -> the raw numbers of `jensen.families.experts.Experts`.

    Each numeric cell that is there is an expert on z, ``b_c = v_c exp(g_c / 2)`` and
    ``t_c = (a_c u_c - o_c) exp(g_c / 2)`` with u its normal score and v, a, o parameters. A network that sees
    all cells, and starts at zero, gives g (bounded), the shift d, and the precisions ``exp(s - 4)`` of M more
    experts, one for each latent. So it starts as the exact posterior of a linear model, whatever is missing.

    Args:
        inputs: codes -> numbers for the network.
        network: numbers -> d, s and g, ``[N, 2 M + Cn]`` for Cn numeric columns.
        dim: M.
    """

    def __init__(self, inputs: ColumnInputs, network: nn.Module, dim: int) -> None:
        super().__init__()
        self.inputs, self.dim = inputs, dim
        self.network = starts_at_zero(network)
        numeric = len(inputs.numeric)
        self.direction = nn.Parameter(torch.zeros(numeric, dim))
        self.slope = nn.Parameter(torch.ones(numeric))
        self.offset = nn.Parameter(torch.zeros(numeric))

    def forward(self, x: Tensor) -> Tensor:
        numbers = self.inputs(x)
        count, M = len(self.slope), self.dim
        scores, there = numbers[:, :count], numbers[:, count : 2 * count]
        d, s, g = self.network(numbers).split([M, M, count], 1)
        weight = there * (2 * torch.tanh(g / 2)).exp()  # from e^-2 to e^2
        b = weight[..., None] * self.direction
        t = weight * (self.slope * scores - self.offset)
        own = ((NO_OPINION + s.clamp(max=8.0)) / 2).exp()
        experts = torch.cat([b, t[..., None]], -1).flatten(1)
        axes = torch.cat([torch.diag_embed(own), torch.zeros_like(own)[..., None]], -1).flatten(1)
        return torch.cat([d, experts, axes], 1)


def starts_at_zero(network: nn.Module) -> nn.Module:
    """The network, whose last layer now gives zero."""
    for parameter in [*network.modules()][-1].parameters():
        nn.init.zeros_(parameter)
    return network
