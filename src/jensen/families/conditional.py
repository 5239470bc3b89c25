"""A conditional distribution: a network followed by a family."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.checks import takes_two


class Conditional(nn.Module):
    """p(y | x) as a module: ``forward(x)`` returns a `torch.distributions.Distribution` over y.

    The network maps ``[N, *event of x] -> [N, raw outputs]`` and knows no probability; the family
    maps raw outputs to a distribution. Leading dimensions (``[K, B]`` for a decoder) are flattened
    before the network and restored after it, so any `nn.Module` made for batches fits in.

    Args:
        network: any module, ``[N, *event] -> [N, ...]`` with ``family.num_outputs`` numbers a row.
        family: a module ``[*batch, num_outputs] -> Distribution`` (see `jensen.families`).
        event_dim: how many trailing dimensions of the input make one datum (1 for latent vectors,
            2 for ``[H, W]`` images).
        reads: for p(y | x, c), the module that makes numbers of contexts ``[B, ...]``, once for all samples;
            the network takes them beside its input, ``network(x, c)``. None: it takes contexts as they are.

    Raises:
        ValueError: ``family`` is a class or a distribution.
    """

    def __init__(
        self, network: nn.Module, family: nn.Module, event_dim: int = 1, reads: nn.Module | None = None
    ) -> None:
        super().__init__()
        if isinstance(family, type | Distribution):
            raise ValueError(
                f"family is {family!r}; give a family, a module that makes distributions of raw outputs, "
                "such as jensen.families.Normal([D], SharedScale())"
            )
        self.network = network
        self.family = family
        self.event_dim = event_dim
        self.reads = reads

    def raw(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The network's numbers at ``x`` ``[*batch, *event]``, for the family: ``[*batch, num_outputs]``.

        Raises:
            ValueError: the network gives another number of them than the family takes, or takes no context.
        """
        split = x.dim() - self.event_dim
        batch, event = x.shape[:split], x.shape[split:]
        flat = x.reshape(-1, *event)
        inputs = (flat,) if context is None else (flat, self._read(context, batch))
        try:
            raw: Tensor = self.network(*inputs)
        except TypeError as error:
            if context is None or takes_two(self.network):
                raise
            raise ValueError(
                f"the network, {type(self.network).__name__}, takes no context; give one that is called with "
                "its input and a context, as jensen.networks.Beside(network) of one that takes both in a row"
            ) from error
        raw = raw.reshape(*batch, -1 if len(raw) else math.prod(raw.shape[1:]))  # of no rows, -1 says nothing
        takes = raw.shape[-1] if getattr(self.family, "any_outputs", False) else self.family.num_outputs
        if raw.shape[-1] != takes:
            raise ValueError(
                f"the network gives {raw.shape[-1]} numbers for each datum, and {type(self.family).__name__} "
                f"takes {takes}; give the network's last layer family.num_outputs = {takes} outputs"
            )
        return raw

    def _read(self, context: Tensor, batch: torch.Size) -> Tensor:
        """Contexts ``[B, ...]`` as the network takes them, one for each of the flattened ``batch``."""
        read: Tensor = context if self.reads is None else self.reads(context)
        return read.expand(*batch, *read.shape[1:]).reshape(-1, *read.shape[1:])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """The distribution at ``x`` ``[*batch, *event]``, with batch shape ``[*batch]``."""
        distribution: Distribution = self.family(self.raw(x, context))
        return distribution
