"""A model of a table that starts at its linear special case, factor analysis, and its exact posterior."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from jensen.config.networks import encoder_network
from jensen.config.settings import Settings
from jensen.distributions.factor_analysis import fit_factors
from jensen.distributions.limits import unlimited
from jensen.families.columns import Columns
from jensen.families.experts import LARGEST
from jensen.networks import CellExperts, Skip
from jensen.networks.columns import ColumnInputs

Part = TypeVar("Part", bound=nn.Module)
FACTOR_ROWS = 4096
"""Training rows, at most, that the factors are fitted to."""


def expert_encoder(s: Settings, inputs: nn.Module | None, shape: Sequence[int]) -> CellExperts:
    """The network before `jensen.families.Experts`: an expert for each numeric cell, and an mlp beside."""
    assert isinstance(inputs, ColumnInputs)  # `jensen.config.rules` lets tables through alone
    outputs = 2 * s.latent_dim + len(inputs.numeric)
    return CellExperts(inputs, encoder_network(s, shape, shape, outputs), s.latent_dim)


def with_linear_part(network: nn.Module, inputs: int, outputs: int) -> Skip:
    """The decoder's network with a linear map beside it, which is zero."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return Skip(network, linear)


def start_at_factors(encoder: nn.Module, decoder: nn.Module, given: Sequence[int], rows: Tensor) -> None:
    """Fit factor analysis to the normal scores of the numeric columns, and start there.

    Afterwards p(x | z) has its loadings and its noise, and q(z | x) is its exact posterior.

    Args:
        encoder: has a `CellExperts`.
        decoder: has a `Skip`, and the family `Columns`.
        given: the places of columns that are given and not modelled.
        rows: prepared training rows ``[N, C]``, NaN where a cell is missing.
    """
    experts, skip, family = _the(CellExperts, encoder), _the(Skip, decoder), _the(Columns, decoder)
    kept = torch.tensor([place not in given for place in experts.inputs.numeric.tolist()])
    if not kept.any():
        return
    mean, loadings, noise = (
        v.float() for v in fit_factors(experts.inputs.scores(rows)[:, kept], experts.dim)
    )
    deviation = noise.sqrt()
    with torch.no_grad():
        for parameter in (experts.direction, experts.slope, experts.offset):
            parameter.zero_()
        experts.direction[kept] = unlimited(loadings / deviation[:, None], LARGEST)
        experts.slope[kept], experts.offset[kept] = 1 / deviation, mean / deviation
        components, first = family.shape[1], family.layout.num_classes
        loc = slice(first, first + family.num_numbers)
        scale = slice(loc.stop, loc.stop + family.num_numbers)
        skip.linear.weight[loc, : experts.dim] = loadings.repeat_interleave(components, 0)
        skip.linear.bias[loc] = (mean[:, None] + (deviation[:, None] - 1) * family.spread).flatten()
        skip.linear.bias[scale] = deviation.log().repeat_interleave(components)


def _the(kind: type[Part], module: nn.Module) -> Part:
    """The one part of this kind that a module has."""
    return next(part for part in module.modules() if isinstance(part, kind))
