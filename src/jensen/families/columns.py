"""The product family of a table: one distribution for each column."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.distributions.column_layout import Layout
from jensen.distributions.columns import Columns as ColumnsDistribution
from jensen.distributions.limits import bounded_exp

LOG_SCALE_LIMITS = (-7.0, 3.0)
"""Soft limits of the log scale of a component, in normal scores, whose standard deviation is 1."""


class Columns(nn.Module):
    """Independent columns of a table, each by its type (see `jensen.distributions.columns.Columns`).

    Raw outputs of zero are the columns' marginal distributions: a decoder starts from there.

    Args:
        layout: the columns.
        start: logits ``[W]`` of all classes of all columns, of their marginal distributions.
    """

    has_rsample = False
    support = "table"

    def __init__(self, layout: Layout, start: Tensor) -> None:
        super().__init__()
        self.layout = layout
        self.event_shape = (layout.size,)
        self.shape = (len(layout.numeric), layout.num_components)
        self.num_numbers = self.shape[0] * self.shape[1]
        self.num_outputs = layout.num_classes + 2 * self.num_numbers
        self.start = nn.Buffer(start, persistent=False)
        self.spread = nn.Buffer(_spread(layout.num_components), persistent=False)
        # Together the components begin with variance 1, that of normal scores: a logistic's is (pi s)^2 / 3.
        between = self.spread.square().mean().item()
        self.log_scale = math.log(math.sqrt(3 * (1 - between)) / math.pi)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, num_outputs]`` -> a distribution with batch shape ``[*batch]``."""
        classes = self.layout.num_classes
        logits, loc, scale = raw.split([classes, self.num_numbers, self.num_numbers], -1)
        shape = raw.shape[:-1] + self.shape
        loc = loc.reshape(shape) + self.spread  # components that begin alike would stay alike
        scale = bounded_exp(scale.reshape(shape) + self.log_scale, LOG_SCALE_LIMITS)
        return ColumnsDistribution(self.layout, logits + self.start, loc, scale)


def _spread(count: int) -> Tensor:
    """``count`` standard normal quantiles, equally likely."""
    spread: Tensor = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    return spread
