"""Schedules: how the learning rate and the weight of the KL move with the epochs."""

import math
from dataclasses import dataclass, replace

from torch import Tensor

from jensen.objectives import Bound, beta, elbo_monte_carlo
from jensen.training.plan import Plan

PLATEAU_PATIENCE = 10
"""Epochs without a better validation bound after which ``plateau`` lowers the learning rate."""
PLATEAU_FACTOR = 0.3
"""What ``plateau`` multiplies the learning rate by."""


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
    if bound == elbo_monte_carlo:
        return replace(bound, integrand=lambda t: t.log_px - weight * (t.log_qz - t.log_pz).sum(-1))
    return beta(weight)
