"""Gradients of bounded length."""

import torch
from torch import Tensor, nn

from jensen.training.plan import Plan

Gradients = tuple[Tensor | None, ...]
"""One for each parameter, of its shape; None for a parameter that the bound does not depend on."""
SHARE = 0.1
"""What each step leaves in the running norm."""


class Clip(nn.Module):
    """Gradients no longer than a given norm, and no longer than a multiple of those before.

    ``g min(1, c / |g|, r n / |g|)``, all parameters' gradients as one vector, with c the plan's ``grad_clip``
    (Pascanu, Mikolov & Bengio 2013, algorithm 1), r its ``grad_clip_ratio`` and n the running norm of what
    came out before, ``n <- n + SHARE (|g| - n)``, in the first step its own.

    Adam remembers the square of a gradient for a thousand steps (b2 = 0.999). A gradient a hundred times as
    long as the others, as of one batch that a convolutional decoder is far from, makes all steps after it
    so much shorter: training all but stops (benchmarks/gradient_spikes.py).
    """

    norm: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.most, self.ratio = plan.grad_clip, plan.grad_clip_ratio
        self.register_buffer("norm", torch.zeros(()))

    def forward(self, gradients: Gradients) -> Gradients:
        """The gradients, scaled down where they are too long; ``norm`` changes in place."""
        if not self.most and not self.ratio:
            return gradients
        norm = torch.cat([g.flatten() for g in gradients if g is not None]).norm()  # few kernels, on a GPU
        factor = torch.ones_like(norm)
        if self.most:
            factor = (self.most / (norm + 1e-6)).clamp(max=1.0)
        if self.ratio:
            usual = torch.where(self.norm > 0, self.norm, norm)
            factor = torch.minimum(factor, self.ratio * usual / (norm + 1e-12))
            self.norm.copy_(usual + SHARE * (norm * factor - usual))
        return tuple(None if g is None else g * factor for g in gradients)
