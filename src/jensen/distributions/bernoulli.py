"""Independent zeros and ones; compiled, they take one exponential for each entry and hardly a logarithm."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.distributions import Bernoulli, Independent

from jensen.distributions.recording import is_recorded

GROUP = 112
"""The most factors of a product: each lies in [1, 2], and 2^112 is well within float32."""


class IndependentBernoulli(Independent[Bernoulli]):
    """``log p(x) = sum_i (x_i l_i - softplus(l_i))`` over an event of any shape, from log-odds l.

    Compiled, a sum of D logarithms becomes one of D / G:
    ``sum_i softplus(l_i) = sum_i max(l_i, 0) + sum_g log prod_{i in g} (1 + exp(-|l_i|))``.
    """

    def __init__(self, logits: Tensor, event_dim: int) -> None:
        super().__init__(Bernoulli(logits=logits, validate_args=False), event_dim, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        by_hand = torch.is_grad_enabled()
        # torch.compile warns of every `Function`, as of this version.
        if not is_recorded() or (by_hand and torch.compiler.is_compiling()):
            plain: Tensor = super().log_prob(value)  # type: ignore[no-untyped-call]
            return plain
        dims = len(self.event_shape)
        logits, value = torch.broadcast_tensors(self.base_dist.logits, value)
        flat = logits.flatten(-dims), value.flatten(-dims)
        log_px: Tensor = _Grouped.apply(*flat) if by_hand else _grouped(*flat)[0]  # type: ignore[no-untyped-call]
        return log_px


def _grouped(logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``log p(x)``, ``[*batch]``, of log-odds and data ``[*batch, D]``; and ``exp(-|l|)``."""
    size = logits.shape[-1]
    group = next(n for n in range(min(size, GROUP), 0, -1) if size % n == 0)
    small = torch.exp(-logits.abs())
    linear = (x * logits - logits.clamp(min=0)).unflatten(-1, (-1, group))
    factors = (1 + small).unflatten(-1, (-1, group))
    return (linear.sum(-1) - factors.prod(-1).log()).sum(-1), small


class _Grouped(Function):
    """`_grouped`, whose gradient ``x - sigmoid(l)`` takes no exponential of its own."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        log_px, small = _grouped(logits, x)
        ctx.save_for_backward(logits, x, small)
        return log_px

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, x, small = ctx.saved_tensors
        (gradient,) = gradients
        if torch.is_grad_enabled():  # differentiated again: `small` was saved without its graph
            small = torch.exp(-logits.abs())
        sigmoid = torch.where(logits >= 0, 1.0, small) / (1 + small)
        gradient = gradient.unsqueeze(-1)
        return gradient * (x - sigmoid), gradient * logits if ctx.needs_input_grad[1] else None
