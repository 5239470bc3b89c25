"""Independent zeros and ones: one exponential for each entry, and hardly a logarithm, where compiled."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent

GROUP = 100
"""Factors of a product at most: each lies in [1, 2], and 2^100 is well within float32."""


class IndependentBernoulli(Independent[Bernoulli]):
    """``log p(x) = sum_i (x_i l_i - softplus(l_i))`` over an event of any shape, from log-odds l.

    Compiled and without gradient, as in evaluation, the sum of D logarithms becomes that of D / G ones:
    ``sum_i softplus(l_i) = sum_i max(l_i, 0) + sum_g log prod_{i in g} (1 + exp(-|l_i|))``.
    """

    def __init__(self, logits: Tensor, event_dim: int) -> None:
        super().__init__(Bernoulli(logits=logits, validate_args=False), event_dim, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not torch.compiler.is_compiling():
            plain: Tensor = super().log_prob(value)  # type: ignore[no-untyped-call]
            return plain
        dims = len(self.event_shape)
        logits = self.base_dist.logits.flatten(-dims)
        size = logits.shape[-1]
        group = next(n for n in range(min(size, GROUP), 0, -1) if size % n == 0)
        factors = (1 + torch.exp(-logits.abs())).unflatten(-1, (size // group, group))
        linear = value.flatten(-dims) * logits - logits.clamp(min=0)
        grouped: Tensor = linear.sum(-1) - factors.prod(-1).log().sum(-1)
        return grouped
