"""Optimizers and schedules: how the step size and the weight of the KL move with the epochs."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from jensen.objectives import Bound, beta, elbo_monte_carlo
from jensen.training.plan import Plan

PLATEAU_PATIENCE = 10
"""Epochs without a better validation bound after which ``plateau`` lowers the learning rate."""
PLATEAU_FACTOR = 0.3
"""What ``plateau`` multiplies the learning rate by."""


def build_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), as one fused update.

    On CUDA all its numbers live on the device, so that a step can be captured in a CUDA graph.
    """
    parameters = list(model.parameters())
    on_cuda = any(p.is_cuda for p in parameters)
    lr = torch.tensor(plan.lr, device=parameters[0].device) if on_cuda else plan.lr
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters, lr=lr, weight_decay=plan.weight_decay, fused=True, capturable=on_cuda
        )
    return torch.optim.Adam(parameters, lr=lr, fused=True, capturable=on_cuda)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give the optimizer a learning rate; where a captured step reads it from a tensor, into that tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


@dataclass
class LearningRate:
    """The learning rate of each epoch; its few numbers are part of a checkpoint."""

    plan: Plan
    lowered: int = 0
    """How often ``plateau`` has lowered the rate."""
    waited: int = 0
    """Epochs since the last improvement or lowering."""

    def at(self, epoch: int) -> float:
        """The learning rate of ``epoch``, counted from 0."""
        if self.plan.lr_schedule == "cosine":
            return self.plan.lr * 0.5 * (1 + math.cos(math.pi * epoch / self.plan.epochs))
        return self.plan.lr * PLATEAU_FACTOR**self.lowered

    def observe(self, improved: bool) -> None:
        """Take note of whether the epoch just ended improved the validation bound."""
        if self.plan.lr_schedule != "plateau":
            return
        self.waited = 0 if improved else self.waited + 1
        if self.waited >= PLATEAU_PATIENCE:
            self.lowered += 1
            self.waited = 0


def kl_weight(epoch: int, plan: Plan) -> float:
    """The weight of the KL in ``epoch``, counted from 0: it rises from 0 to 1 over ``kl_warmup`` epochs."""
    return min(1.0, epoch / plan.kl_warmup) if plan.kl_warmup else 1.0


def warmed_up(bound: Bound, weight: Tensor) -> Bound:
    """``log p(x | z) - weight * KL``, the training objective of a run with KL warm-up, for an ELBO.

    Bowman et al. 2016, section 3.1; Sønderby et al. 2016, section 2.3. At weight 1 it is ``bound`` again.

    Args:
        bound: `elbo` or `elbo_monte_carlo`, which say how the KL is computed.
        weight: shape ``[]``; a tensor, so that a compiled step need not change with it.
    """
    if bound is elbo_monte_carlo:
        return replace(bound, integrand=lambda t: t.log_px - weight * (t.log_qz - t.log_pz).sum(-1))
    return beta(weight)
