"""The categorical family, for data of class indices."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent

from jensen.families.arguments import checked_shape, shapes


class Categorical(nn.Module):
    """Independent class indices 0, ..., C - 1: ``log P(x_i = c) = l_ic - log sum_c exp(l_ic)``.

    Class indices have no mean; show the mode (see `jensen.distributions.center`).

    Args:
        event_shape: the shape of one datum, ``[D]`` for D variables.
        num_classes: C, the same for every variable; variables with fewer classes leave some unused.
    """

    extra_repr = shapes
    interleaved = True

    def __init__(self, event_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; a categorical variable has at least 2 classes")
        self.event_shape = checked_shape(event_shape, type(self).__name__)
        self.num_classes = num_classes
        self.num_outputs = math.prod(self.event_shape) * num_classes

    def marginal(self, rows: Tensor) -> Tensor:
        """The log shares ``[D * C]`` of classes in each element of ``[N, *event]``, where training starts.

        From ``(n + 1/2) / (N + C/2)`` (Krichevsky & Trofimov 1981), which is not 0.
        """
        classes = rows.flatten(1).long()
        places = torch.arange(classes.shape[1], device=rows.device) * self.num_classes
        counts = torch.bincount((classes + places).flatten(), minlength=len(places) * self.num_classes)
        shares = (counts + 0.5).double() / (len(rows) + self.num_classes / 2)
        return shares.log()

    def forward(self, raw: Tensor) -> Distribution:
        """Logits ``[*batch, D * C]`` -> a distribution with batch shape ``[*batch]``."""
        logits = raw.reshape(*raw.shape[:-1], *self.event_shape, self.num_classes)
        return Independent(
            TorchCategorical(logits=logits, validate_args=False), len(self.event_shape), validate_args=False
        )
