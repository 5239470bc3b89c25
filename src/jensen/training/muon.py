"""The rule of Muon: a weight matrix moves by the polar factor of its momentum."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from jensen.training.rule import Rule, Slot, Tensors

MOMENTUM = 0.95
ITERATIONS = 3
"""Newton-Schulz iterations. Five are usual; in trials of ten epochs on MNIST three did as well, for less."""
COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Of Jordan et al. (2024): small singular values grow 3.4-fold with each iteration, none leaves (0, 1.3)."""
SCALE = 0.2
"""Adam's usual step, root mean square, in units of its learning rate (Liu et al. 2025, section 2.2)."""


def polar(m: Tensor) -> Tensor:
    """Nearly the polar factor U V' of a matrix U S V', ``[..., m, n]``: singular values near 1, or growing.

    Jordan et al. 2024: ``X <- a X + b (X X') X + c (X X')^2 X`` from X = M / |M|. All these are polynomials
    in X X' times M, so that products are taken on the smaller side and M is multiplied in at the end.
    """
    if m.shape[-2] > m.shape[-1]:
        return polar(m.mT).mT
    a, b, c = COEFFICIENTS
    gram = m @ m.mT
    norm = m.square().sum((-2, -1), keepdim=True).clamp_min(torch.finfo(m.dtype).tiny)
    gram, one = gram / norm, torch.eye(m.shape[-2], dtype=m.dtype, device=m.device)
    factor = one
    for i in range(ITERATIONS):
        grown = a * one + b * gram + c * (gram @ gram)
        factor = grown @ factor if i else grown
        if i + 1 < ITERATIONS:
            gram = grown @ gram @ grown
    return (factor @ m) * norm.rsqrt()


def _remember(gradients: Tensors, slots: Sequence[Slot]) -> None:
    torch._foreach_lerp_([slot[0] for slot in slots], gradients, 1 - MOMENTUM)


def _move(parameters: Tensors, gradients: Tensors, slots: Sequence[Slot], rates: Tensor) -> None:
    for parameter, gradient, slot in zip(parameters, gradients, slots, strict=True):
        ahead = gradient.lerp(slot[0], MOMENTUM).flatten(1)
        size = SCALE * math.sqrt(max(ahead.shape))
        parameter.sub_((rates[0] * size) * polar(ahead).reshape(parameter.shape))


MUON = Rule(("momentum_buffer",), _remember, _move)
"""Jordan et al. 2024, with steps of the size of Adam's (Liu et al. 2025, equation 4).

    M = mu M + (1 - mu) G,   W = W - lr 0.2 sqrt(max(m, n)) polar((1 - mu) G + mu M),   W of shape [m, n]

A direction that gradients seldom take moves as far as one that they always take. For the kernels of a
convolution, m is the number of output channels.
"""


def matrices(model: nn.Module) -> list[Tensor]:
    """The weights of linear layers and convolutions that are learned: what Muon is meant for."""
    kinds = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
    found = (layer.weight for layer in model.modules() if isinstance(layer, kinds))
    return [weight for weight in found if weight.requires_grad]
