"""Convolutional networks: a stage for each width, and each stage halves the image, or doubles it."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from jensen.networks.activations import activation_named
from jensen.networks.inputs import Beside
from jensen.networks.pictures import FromPlanes, Picture, ToPlanes

SMALLEST_SIDE = 2
"""No stage makes an image smaller than this."""
START = 0.1
"""How far from their biases encoder and decoder start, as a share of the variance-keeping scale.

What a decoder says of an image before it has learned anything should not depend on the latents much. (From
0.05 to 0.2 it makes no difference that seeds do not make, too; at 1 ten epochs of 4,000 images of
Fashion-MNIST end 50 to 160 nats behind.) Nor should an encoder be far from the prior: Adam's first steps move
thousands of weights the same way, and at 1 they take posteriors of some images to standard deviations of
100,000, in some seeds.
"""
DENSE = 256
"""Units between the last stage's planes and the outputs, or between the latents and the first stage's."""

Affine = TypeVar("Affine", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
Finish = Callable[[int, str], nn.Module]
"""What follows the convolution of a stage: ``(width, activation) -> module`` that keeps the shape."""


def activate(width: int, activation: str) -> nn.Module:
    """The plain stage: an activation, and nothing more."""
    return activation_named(activation)()


def default_widths(size: tuple[int, int]) -> tuple[int, ...]:
    """Widths 32, 64, 128, 256, 256, ...: so many stages that the shorter side ends between 4 and 7."""
    stages = max(1, int(math.log2(min(size) / 4)))
    return tuple(min(32 << stage, 256) for stage in range(stages))


def most_stages(size: tuple[int, int]) -> int:
    """How many times an image of H x W can be halved, see `SMALLEST_SIDE`."""
    return max(0, int(math.log2(min(size) / SMALLEST_SIDE)))


def conv_encoder(
    picture: Picture,
    widths: Sequence[int],
    outputs: int,
    activation: str = "silu",
    *,
    planes: int = 1,
    beside: int = 0,
    finish: Finish = activate,
) -> nn.Sequential | Beside:
    """Images ``[N, *event]`` -> ``[N, outputs]``, by strided convolutions and two dense layers.

    A stage is a 4x4 convolution of stride 2, ``n -> floor(n / 2)``, and an activation. There is no
    normalization: what is computed of a datum depends on that datum alone.

    Args:
        picture: how an image lies in its tensor.
        widths: planes of each stage.
        outputs: numbers a datum.
        activation: one of `ACTIVATIONS`.
        planes: numbers that stand for an entry of the image, as the last axis of the input where not 1.
        beside: numbers of a context ``[N, beside]`` that the dense layers take beside the last stage's; the
            network is then a function of the image and the context.
        finish: what follows each convolution (see `jensen.networks.resnet`).

    Raises:
        ValueError: more stages than the image can be halved, or no such activation.
    """
    sizes = _sizes(picture, widths)
    trunk: list[nn.Module] = [ToPlanes(picture)]
    for before, after in itertools.pairwise([picture.channels * planes, *widths]):
        trunk += [_scaled(nn.Conv2d(before, after, 4, 2, 1), 16 * before), finish(after, activation)]
    flat = widths[-1] * math.prod(sizes[-1])
    trunk.append(nn.Flatten())
    head = [
        _scaled(nn.Linear(flat + beside, DENSE), flat + beside),
        activation_named(activation)(),
        nn.Sequential(nn.Flatten(), _scaled(nn.Linear(DENSE, outputs), DENSE, START)),
    ]
    return Beside(nn.Sequential(*head), *trunk) if beside else nn.Sequential(*trunk, *head)


def conv_decoder(
    picture: Picture,
    widths: Sequence[int],
    inputs: int,
    num_outputs: int,
    activation: str = "silu",
    *,
    interleaved: bool = False,
    finish: Finish = activate,
) -> nn.Sequential:
    """Latents ``[N, inputs]`` -> raw numbers of a family ``[N, num_outputs]``: the encoder, mirrored.

    Args:
        picture: how an image lies in its tensor.
        widths: planes of each stage, the stage nearest to the latents first.
        inputs: latent dimensions.
        num_outputs: the family's raw numbers, the same number for each entry of the image.
        activation: one of `ACTIVATIONS`.
        interleaved: the order in which the family expects them (see `FromPlanes`).
        finish: what follows each convolution but the last.

    Raises:
        ValueError: more stages than the image can be doubled from, raw numbers that do not come out even,
            or no such activation.
    """
    sizes = _sizes(picture, widths)[::-1]
    first = (widths[0], *sizes[0])
    layers: list[nn.Module] = [
        _scaled(nn.Linear(inputs, DENSE), inputs),
        activation_named(activation)(),
        _scaled(nn.Linear(DENSE, math.prod(first)), DENSE),
        _Unflatten(first),
        finish(widths[0], activation),
    ]
    last = picture.channels * picture.parameters_each(num_outputs)
    for stage, (before, after) in enumerate(itertools.pairwise([*widths, last])):
        height, width = sizes[stage + 1]
        doubled = nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=(height % 2, width % 2))
        inner = stage + 1 < len(widths)
        layers.append(_scaled(doubled, 4 * before, 1.0 if inner else START))
        if inner:
            layers.append(finish(after, activation))
    return nn.Sequential(*layers, FromPlanes(picture, interleaved))


class _Unflatten(nn.Module):
    """``[N, W * h * w] -> [N, W, h, w]``, channels-last in memory."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        planes: Tensor = x.unflatten(1, self.shape)
        return planes.contiguous(memory_format=torch.channels_last)


def _sizes(picture: Picture, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width of the image before the first stage, and after each."""
    most = most_stages(picture.size)
    if not 1 <= len(widths) <= most:
        raise ValueError(
            f"{len(widths)} widths; an image of {picture} can be halved {most} times: give 1 to {most}"
        )
    height, width = picture.size
    return [(height >> stage, width >> stage) for stage in range(len(widths) + 1)]


def _scaled(layer: Affine, fan_in: int, by: float = 1.0) -> Affine:
    """``layer`` with ``by`` the weights of variance 2 / fan_in, which keep the signal's (He et al. 2015)."""
    nn.init.normal_(layer.weight, std=by * math.sqrt(2 / fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
