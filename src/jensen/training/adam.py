"""The rule of Adam, as tensor operations that a graph can hold, and eagerly in one pass over all weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jensen.training.rule import Rule, Slot, Tensors

B1, B2, EPS = 0.9, 0.999, 1e-8
"""The constants of Kingma & Ba (2015), section 2."""


def _remember(gradients: Tensors, slots: Sequence[Slot]) -> None:
    firsts, seconds = _moments(slots)
    torch._foreach_lerp_(firsts, gradients, 1 - B1)
    torch._foreach_mul_(seconds, B2)
    torch._foreach_addcmul_(seconds, gradients, gradients, 1 - B2)


def _move(parameters: Tensors, gradients: Tensors, slots: Sequence[Slot], rates: Tensor) -> None:
    firsts, seconds = _moments(slots)
    _, size, scale = rates[:3].unbind()
    below = torch._foreach_mul(torch._foreach_sqrt(seconds), scale)
    below = torch._foreach_add(below, EPS)
    torch._foreach_sub_(parameters, torch._foreach_div(torch._foreach_mul(firsts, size), below))


def _moments(slots: Sequence[Slot]) -> tuple[list[Tensor], list[Tensor]]:
    return [slot[0] for slot in slots], [slot[1] for slot in slots]


ADAM = Rule(("exp_avg", "exp_avg_sq"), _remember, _move)
"""Kingma & Ba 2015, algorithm 1.

    m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
    w = w - lr / (1 - b1^t)  m / (sqrt(v / (1 - b2^t)) + eps)
"""


def adam_at_once(
    moved: Sequence[tuple[Tensor, Tensor, Slot]], count: Tensor, lr: Tensor, decay: float
) -> None:
    """`ADAM` for many ``(parameter, gradient, slot)`` in one pass of torch's own, at step ``count``."""
    parameters, gradients, slots = zip(*moved, strict=True)
    firsts, seconds = _moments(slots)
    update: Callable[..., None] = torch._fused_adamw_ if decay else torch._fused_adam_
    update(
        list(parameters),
        list(gradients),
        firsts,
        seconds,
        [],
        [count] * len(firsts),
        lr=lr.float() if lr.is_cuda else lr.item(),
        beta1=B1,
        beta2=B2,
        weight_decay=decay,
        eps=EPS,
        amsgrad=False,
        maximize=False,
    )
