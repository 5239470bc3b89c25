"""Optimizers and schedules: how the step size and the weight of the KL move with the epochs."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from jensen.objectives import Bound, beta
from jensen.training.plan import Plan

PLATEAU_PATIENCE = 10
"""Epochs without a better validation bound after which ``plateau`` lowers the learning rate."""
PLATEAU_FACTOR = 0.3
"""What ``plateau`` multiplies the learning rate by."""


def build_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), as one fused update."""
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
    return torch.optim.Adam(model.parameters(), lr=plan.lr, fused=True)


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


def warmed_up(bound: Bound, epoch: int, plan: Plan) -> Bound:
    """The training objective of ``epoch``: ``beta`` with a rising weight during KL warm-up, then ``bound``.

    Bowman et al. 2016, section 3.1; Sønderby et al. 2016, section 2.3.
    """
    if epoch >= plan.kl_warmup:
        return bound
    return beta(epoch / plan.kl_warmup)
