"""The flow posterior: a diagonal normal bent by a spline flow, both conditioned on the datum."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.distributions.limits import bounded_exp, limited
from jensen.distributions.spline import SplineNormal, coupling_splines
from jensen.families.arguments import shapes

LARGEST_CONTEXT = 10.0
"""Soft limit of the numbers that condition the flow."""


class FlowNormal(nn.Module):
    """``z = eta + sigma f(e; c)``, e ~ N(0, I), with a flow f conditioned on c (Rezende & Mohamed 2015).

    f is a coupling spline flow (Durkan et al. 2019). The network gives eta, log sigma and c. f starts as
    the identity, so training starts from the diagonal normal posterior. Mean and standard deviation have
    no closed form: 256 seeded draws give them.

    Args:
        dim: M, the number of latent dimensions.
        context: how many numbers of the network condition the flow.
        num_transforms: coupling layers.
        hidden: widths of the network of each layer.
    """

    extra_repr = shapes

    def __init__(
        self, dim: int, context: int = 16, num_transforms: int = 2, hidden: Sequence[int] = (64,)
    ) -> None:
        super().__init__()
        check_count("the dim of FlowNormal", dim)
        self.event_shape = (dim,)
        self.dim = dim
        self.num_outputs = 2 * dim + context
        self.flow = coupling_splines(dim, context, num_transforms, hidden)

    def forward(self, raw: Tensor) -> Distribution:
        """Raw outputs ``[*batch, 2 M + C]`` (eta, log sigma, c) -> batch shape ``[*batch]``."""
        M = self.dim
        context = limited(raw[..., 2 * M :], LARGEST_CONTEXT)
        return SplineNormal(self.flow(context), raw[..., :M], bounded_exp(raw[..., M : 2 * M]))
