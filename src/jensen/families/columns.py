"""The product family of a table: one distribution for each column."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.column_layout import Layout
from jensen.distributions.columns import Columns as ColumnsDistribution
from jensen.distributions.limits import bounded_exp
from jensen.distributions.members import Members
from jensen.families.arguments import shapes

RANK = 32
"""Numbers by which a decoder chooses among the members of a group of levels."""
LOG_SCALE_LIMITS = (-7.0, 3.0)
"""Soft limits of the log scale of a component, in normal scores, whose standard deviation is 1."""


class Columns(nn.Module):
    """Independent columns of a table, each by its type (see `jensen.distributions.columns.Columns`).

    Raw outputs of zero give the columns' marginal distributions: a decoder starts there.

    Args:
        layout: the columns.
        start: logits ``[W]`` of all classes of all columns, of their marginal distributions.
        members: for each column of very many levels, whose classes are groups of levels: its place, and log
            P(member | group), ``[G, S]``, of its marginal distribution.
    """

    extra_repr = shapes

    def __init__(self, layout: Layout, start: Tensor, members: Mapping[int, Tensor] | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.event_shape = (layout.size,)
        self.shape = (len(layout.numeric), layout.num_components)
        self.num_numbers = self.shape[0] * self.shape[1]
        self.members = nn.ModuleDict({str(place): _Table(s) for place, s in (members or {}).items()})
        self.num_outputs = layout.num_classes + 2 * self.num_numbers + RANK * len(self.members)
        self.start = nn.Buffer(start, persistent=False)
        self.spread = nn.Buffer(_spread(layout.num_components), persistent=False)
        # Together the components begin with variance 1, that of normal scores.
        between = self.spread.square().mean().item()
        self.log_scale = 0.5 * math.log(1 - between)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        classes = self.layout.num_classes
        queries = [RANK] * len(self.members)
        logits, loc, scale, *query = raw.split([classes, self.num_numbers, self.num_numbers, *queries], -1)
        shape = raw.shape[:-1] + self.shape
        loc = loc.reshape(shape) + self.spread  # components that begin alike would stay alike
        scale = bounded_exp(scale.reshape(shape) + self.log_scale, LOG_SCALE_LIMITS)
        tables = zip(self.members.items(), query, strict=True)
        members = [table(int(place), q) for (place, table), q in tables]
        return ColumnsDistribution(self.layout, logits + self.start, loc, scale, members)


class _Table(nn.Module):
    """What is learned of the members of the groups of one column: a vector for each."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*start.shape, RANK) / math.sqrt(RANK))
        self.start = nn.Buffer(start, persistent=False)

    def forward(self, place: int, query: Tensor) -> Members:
        return Members(place, self.weight, self.start, query)


def _spread(count: int) -> Tensor:
    """``count`` standard normal quantiles, equally likely."""
    spread: Tensor = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    return spread
