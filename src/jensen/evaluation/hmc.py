"""Hamiltonian Monte Carlo over latents: many chains of many data in lockstep, as tensors ``[K, B, M]``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, VonMises, constraints

from jensen.checks import named

Density = Callable[[Tensor], Tensor]
"""An unnormalised log density of latents, ``[K, B, M] -> [K, B]``, nats; autograd differentiates it."""

TARGET_ACCEPTANCE = 0.65
"""The acceptance rate at which HMC travels farthest per gradient (Beskos et al. 2013, section 4)."""
JITTER = 0.3
"""Each trajectory's step size is the tuned one times a uniform draw from [1 - JITTER, 1 + JITTER], lest a
trajectory of a whole period bring every chain back to where it was (Neal 2011, section 5.4.2.2)."""
FAR = 1e6
"""A trajectory that takes a latent beyond this, or meets a value that is not finite, is rejected. That is
a property of the path, the same both ways, so the transition stays reversible."""


@dataclass(frozen=True)
class State:
    """Where the chains stand, with what the next transition needs of J log densities there."""

    z: Tensor
    """``[K, B, M]``."""
    logs: Tensor
    """The J log densities at z, ``[J, K, B]``, nats."""
    gradients: Tensor
    """Their gradients in z, ``[J, K, B, M]``."""


def state_at(densities: Sequence[Density], z: Tensor) -> State:
    """Evaluate every density and its gradient at ``z`` ``[K, B, M]``."""
    logs, gradients = [], []
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        for density in densities:
            value = density(z)
            (gradient,) = torch.autograd.grad(value.sum(), z)
            logs.append(value.detach())
            gradients.append(gradient)
    return State(z.detach(), torch.stack(logs), torch.stack(gradients))


def transition(
    densities: Sequence[Density],
    weights: Tensor,
    state: State,
    step_size: Tensor,
    scale: Tensor,
    num_leapfrog: int,
) -> tuple[State, Tensor]:
    """One HMC transition that leaves ``pi(z) = exp sum_j weights_j log_j(z)`` invariant (Neal 2011, 5.3.2).

    With velocities v ~ N(0, I) in units of ``scale``, ``num_leapfrog`` times:
    ``v += e/2 s grad log pi(z); z += e s v; v += e/2 s grad log pi(z)``; then accepted with probability
    ``min(1, exp(H - H'))``, ``H = |v|^2/2 - log pi(z)``.

    Args:
        densities: the J log densities.
        weights: their weights, ``[J]``.
        state: the chains, evaluated at the same densities.
        step_size: e of each datum, ``[B]``.
        scale: s, a guess at the standard deviation of each latent (diagonal preconditioner), ``[B, M]``.
        num_leapfrog: leapfrog steps, each one gradient of every density.

    Returns:
        The new state, and the acceptance probabilities ``[K, B]``. Draws come from torch's global
        generator.
    """
    K, B = state.z.shape[:2]
    jitter = 1 + JITTER * (2 * torch.rand(K, B, dtype=scale.dtype, device=scale.device) - 1)
    step = (step_size.to(scale.dtype) * jitter).unsqueeze(-1) * scale  # [K, B, M]
    start_v = v = torch.randn_like(state.z)
    lost = torch.zeros(K, B, dtype=torch.bool, device=scale.device)
    end = state
    for _ in range(num_leapfrog):
        v = v + step / 2 * torch.tensordot(weights, end.gradients, 1)
        z = end.z + step * v
        lost |= ~(z.abs() < FAR).all(-1)  # NaN compares false, so it counts as far
        # A lost chain's z is set back, so that no model is ever asked about NaN.
        end = state_at(densities, torch.where(lost.unsqueeze(-1), state.z, z))
        v = v + step / 2 * torch.tensordot(weights, end.gradients, 1)
        lost |= ~(end.logs.isfinite().all(0) & v.isfinite().all(-1))
    gained = torch.tensordot(weights, end.logs - state.logs, 1)
    log_ratio = gained - (v.square() - start_v.square()).sum(-1) / 2
    probability = torch.where(lost, 0.0, log_ratio.clamp(max=0).exp())
    accept = torch.rand_like(probability) < probability
    return _choose(accept, end, state), probability


def _choose(accept: Tensor, new: State, old: State) -> State:
    """The new state where ``accept`` ``[K, B]``, else the old one."""
    rows = accept.unsqueeze(-1)
    return State(
        torch.where(rows, new.z, old.z),
        torch.where(accept, new.logs, old.logs),
        torch.where(rows, new.gradients, old.gradients),
    )


def tuned(step_size: Tensor, probability: Tensor, rate: float) -> Tensor:
    """The step size ``[B]`` after a transition with acceptance probabilities ``[K, B]``.

    ``log e += rate (mean_k acceptance - TARGET_ACCEPTANCE)`` (Robbins & Monro 1951). Chains whose step
    size is tuned as they run are not Markov; tune on other chains, and freeze.
    """
    return step_size * (rate * (probability.double().mean(0) - TARGET_ACCEPTANCE)).exp()


def check_latents(*distributions: Distribution) -> None:
    """Refuse latents where chains cannot go: on anything but the whole space.

    A distribution's ``support`` says where. Only that of torch's von Mises, a density on a circle, is all
    reals.

    Raises:
        ValueError: which distribution is bounded, or on a circle.
    """
    for d in distributions:
        try:
            support: Any = d.support
        except NotImplementedError:
            continue  # a flow may not say; flows live on the whole space
        while hasattr(support, "base_constraint"):
            support = support.base_constraint
        if isinstance(_innermost(d), VonMises) or not isinstance(support, type(constraints.real)):
            raise ValueError(
                f"{named(d)} latents are not real vectors, which annealing needs; use IWAE instead"
            )


def _innermost(d: Distribution) -> Distribution:
    """What stands in an `Independent`, or a mixture's components."""
    while isinstance(d, Independent | MixtureSameFamily):
        d = d.base_dist if isinstance(d, Independent) else d.component_distribution
    return d
