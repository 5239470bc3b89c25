"""Rows of which some entries are given and the others have a distribution."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from jensen.distributions.moments import center


class Given(Distribution):
    """p(x | z, c) as a distribution of whole rows, each of which carries its c.

    ``log p(row) = base.log_prob(row[modelled])``: the given entries are not modelled and add nothing, so that
    this is log p(x | z, c) and not log p(x, c | z). Draws and means have c in its places.

    Args:
        base: the distribution of the modelled entries, batch shape ``[*batch]``, of any event shape; a row is
            flat.
        context: c, ``[B, Cc]``, where B is the last of ``batch``.
        modelled: the places of the modelled entries in a row, in base's order.
        given: the places of c.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = False

    def __init__(self, base: Distribution, context: Tensor, modelled: Tensor, given: Tensor) -> None:
        self.base, self.context, self.modelled, self.given = base, context, modelled, given
        size = len(modelled) + len(given)
        super().__init__(base.batch_shape, torch.Size([size]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x | z, c) of whole rows ``[..., C]``, nats."""
        found: Tensor = self.base.log_prob(self.entries(value))
        return found

    def entries(self, value: Tensor) -> Tensor:
        """The modelled entries of whole rows ``[..., C]``, in base's event shape."""
        entries: Tensor = value[..., self.modelled].unflatten(-1, self.base.event_shape)
        return entries

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Whole rows, ``[*sample_shape, *batch, C]``: the modelled entries drawn, c in its places."""
        return self.whole(self.base.sample(torch.Size(sample_shape)))

    @property
    def mean(self) -> Tensor:
        """The mean (of classes, the mode) of the modelled entries, and c in its places, ``[*batch, C]``."""
        return self.whole(center(self.base))

    def whole(self, entries: Tensor) -> Tensor:
        """Modelled entries ``[..., B, *event]`` with c in its places, ``[..., B, C]``."""
        entries = entries.flatten(-len(self.base.event_shape))
        row = entries.new_empty(*entries.shape[:-1], len(self.modelled) + len(self.given))
        row[..., self.modelled] = entries
        row[..., self.given] = self.context.to(entries.dtype)
        return row
