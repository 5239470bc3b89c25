"""Residual networks for images: convolutional ones with a residual block after every stage."""

from functools import partial

from torch import Tensor, nn

from jensen.networks.activations import activation_named
from jensen.networks.conv import conv_decoder, conv_encoder
from jensen.networks.linear_part import starts_at_zero


class Residual(nn.Module):
    """``x + conv(a(conv(a(x))))``, pre-activation (He et al. 2016), and the identity when training starts.

    The second convolution starts at zero, in place of normalization (Zhang, Dauphin & Ma 2019).

    Args:
        width: planes, as many out as in.
        activation: one of `ACTIVATIONS`.

    Raises:
        ValueError: it is none of them.
    """

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        last = nn.Conv2d(width, width, 3, padding=1)
        activate = activation_named(activation)
        branch = nn.Sequential(activate(), nn.Conv2d(width, width, 3, padding=1), activate(), last)
        self.branch = starts_at_zero(branch)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.branch(x)
        return changed


def residual_stage(width: int, activation: str) -> nn.Module:
    """What follows each convolution of a residual network: a block, and an activation."""
    return nn.Sequential(Residual(width, activation), activation_named(activation)())


resnet_encoder = partial(conv_encoder, finish=residual_stage)
"""`conv_encoder` with a residual block in every stage."""

resnet_decoder = partial(conv_decoder, finish=residual_stage)
"""`conv_decoder` with a residual block in every stage."""
