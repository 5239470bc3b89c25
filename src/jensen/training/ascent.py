"""Adam steps of an inner maximisation: for any family, on its raw outputs."""

from dataclasses import replace

import torch
from torch import Tensor

from jensen.distributions.shared_noise import share_noise
from jensen.trace import Model
from jensen.training.start import Family

BETAS = (0.5, 0.8)
"""Adam's memories of gradient and squared gradient: short, since gradients shrink by orders of magnitude on
the way from the prior, and a step divided by the memory of the large ones goes nowhere. On binarized MNIST
(M = 50), 50 steps from the prior end 0.1 nats below the maximum; with (0.9, 0.99) they end 11 below."""
CUT = 0.3
"""What the step size of a datum without a significant gain is multiplied by."""


class AdamSteps:
    """Adam (Kingma & Ba 2015), one for each datum, on the raw outputs ``[B, P]`` of its posterior.

    Every operation is elementwise, so that a datum's steps depend on its own gradients (`ascent`) alone.

    Args:
        model: anything with ``trace``.
        x: prepared data, ``[B, *event]``.
        context: for conditional models.
        family: the posterior family.
        num_samples: K, draws a step.
    """

    def __init__(
        self, model: Model, x: Tensor, context: Tensor | None, family: Family, num_samples: int
    ) -> None:
        self.model, self.x, self.context, self.family = model, x, context, family
        self.num_samples = num_samples
        self.slope = self.square = torch.zeros(())
        self.rate = torch.ones(())
        self.time = 0

    def step(self, raw: Tensor, lr: float) -> Tensor:
        """The raw outputs one step uphill."""
        with torch.enable_grad():
            leaf = raw.clone().requires_grad_()
            surrogate = ascent(self.model, self.x, self.family, leaf, self.num_samples, context=self.context)
            (slope,) = torch.autograd.grad(surrogate.sum(), leaf)
        return self.moved(raw, slope, lr)

    def moved(self, raw: Tensor, slope: Tensor, lr: float) -> Tensor:
        """Adam's update of ``raw`` by a gradient."""
        slope = slope.nan_to_num(0.0, 0.0, 0.0)  # one bad draw must not poison the averages
        self.time += 1
        self.slope = BETAS[0] * self.slope + (1 - BETAS[0]) * slope
        self.square = BETAS[1] * self.square + (1 - BETAS[1]) * slope.square()
        mean = self.slope / (1 - BETAS[0] ** self.time)
        root = (self.square / (1 - BETAS[1] ** self.time)).sqrt()
        return raw + lr * self.rate * mean / (root + 1e-8)

    def judged(self, gained: Tensor, lost: Tensor) -> None:
        """A datum that did not gain goes on with smaller steps; one that lost forgets where it was driven."""
        self.rate = torch.where(gained[:, None], self.rate, CUT * self.rate)
        self.slope = torch.where(lost[:, None], 0.0, self.slope)


def ascent(
    model: Model,
    x: Tensor,
    family: Family,
    raw: Tensor,
    num_samples: int,
    *,
    context: Tensor | None = None,
) -> Tensor:
    """A surrogate ``[B]`` whose gradient with respect to ``raw`` is, in expectation, the ELBO's.

    Pathwise where the family allows it, with the score's term left out:
    ``mean_k d/dw [log p(x, z_k) - log q_v(z_k)]`` at v = w, held fixed, with ``z_k = f_w(eps_k)`` (Roeder,
    Wu & Duvenaud 2017, section 3). Elsewhere the score function with leave-one-out baselines,
    ``1/(K-1) sum_k (log w_k - mean_l log w_l) d/dw log q_w(z_k)`` (Kool et al. 2019).
    Either has no variance where q is the exact posterior: log w is the same at every z there.
    """
    trace = model.trace(x, num_samples, context=context, posterior=(share_noise(family(raw)),))
    log_w = replace(trace, posterior=(family(raw.detach()),)).log_w
    if all(trace.pathwise):
        return log_w.mean(0)
    centred = (log_w - log_w.mean(0)).detach()
    return (centred * trace.log_qz.sum(-1)).sum(0) / (num_samples - 1)
