"""Bidirectional Monte Carlo: log p(x) of simulated data from below and from above."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.checks import check_count
from jensen.data.seeds import derive_seed, seeded
from jensen.evaluation.ais import Start, annealing_path, pilot, sweep
from jensen.evaluation.estimate import Estimate, estimate
from jensen.evaluation.hmc import state_at
from jensen.evaluation.latents import only_group
from jensen.mode import measuring, with_contexts
from jensen.objectives.bounds import PowerMean, log_mean_exp
from jensen.trace import Model, Trace


@dataclass(frozen=True)
class Bidirectional:
    """Stochastic bounds on log p(x), one pair for each of n data simulated from the model."""

    x: Tensor
    """The data, ``[n, *event]``."""
    lower: Tensor
    """Forward annealing, ``[n]``, nats: at most log p(x) in expectation."""
    upper: Tensor
    """Reverse annealing from an exact posterior sample, ``[n]``, nats: at least log p(x) in expectation."""
    acceptance: Tensor
    """Mean acceptance probability of both directions, ``[n]``."""

    @property
    def gap(self) -> Estimate:
        """Mean of upper - lower with its standard error: in expectation more than either's error."""
        return estimate(self.upper - self.lower)

    def to_dict(self) -> dict[str, Any]:
        """``{"lower": {...}, "upper": {...}, "gap": {...}, "n", "acceptance"}``, for JSON."""
        return {
            "lower": estimate(self.lower).to_dict(),
            "upper": estimate(self.upper).to_dict(),
            "gap": self.gap.to_dict(),
            "n": len(self.lower),
            "acceptance": self.acceptance.mean().item(),
        }


def simulate(model: Model, n: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """n data ``[n, *event]`` with the latents ``[n, M]`` they came from: (z, x) ~ p(z) p(x | z).

    Seen from x, its z is one exact draw of p(z | x). The draws come from torch's global generator.

    Raises:
        ValueError: several latent groups.
    """
    with measuring(model):
        template, seen = _read(model, model.sample(n, context=context), context)  # for a datum's shape
        _, p = only_group(seen, "bidirectional Monte Carlo")
        # A trace under the prior in the posterior's place is a draw of the generator.
        as_posterior = p if len(p.batch_shape) else p.expand((n,))
        trace = model.trace(template, 1, context=context, posterior=(as_posterior,))
        return trace.likelihood.sample()[0].to(template.dtype), trace.z[0][0]


def _read(model: Model, x: Tensor, context: Tensor | None) -> tuple[Tensor, Trace]:
    """x in the type that the model takes, and its trace: classes as numbers, unless it looks them up."""
    if not x.is_floating_point():
        own = next((p.dtype for p in getattr(model, "parameters", tuple)()), torch.get_default_dtype())
        try:
            return x.to(own), model.trace(x.to(own), 1, context=context)
        except RuntimeError:  # an embedding has no place 2.0
            pass
    return x, model.trace(x, 1, context=context)


def bidirectional(
    model: Model,
    n: int,
    *,
    num_temperatures: int = 500,
    num_chains: int = 16,
    num_leapfrog: int = 2,
    start: Start = "posterior",
    context: Tensor | None = None,
    block: int = 100,
    seed: int = 0,
    on_move: Callable[[int], None] = lambda rows: None,
) -> Bidirectional:
    """Sandwich log p(x) of data simulated from the model (Grosse, Ancha & Roy 2016; Wu et al. 2017).

    With x ~ p(x) and its exact posterior sample z: K forward chains give ``lower = log mean_k w_k`` and K
    reverse chains from z give ``upper = -log mean_k 1/w_k``. ``E[mean w] = p(x)`` and ``E[mean 1/w] =
    1/p(x)`` exactly, so by Jensen's inequality ``E lower <= log p(x) <= E upper``, and either is on the
    wrong side by b nats with probability at most exp(-b) (Markov). A single pair may be on the wrong side
    by a little; the mean gap bounds the mean error of annealing with these settings *on the model's own
    data*. Real data may be harder.

    Args:
        model: anything with ``trace``, ``log_joint`` and ``sample``; one latent group, real latents.
        n: how many data to simulate.
        num_temperatures: T.
        num_chains: K, in each direction.
        num_leapfrog: leapfrog steps of each transition.
        start: "posterior", "fitted" or "prior", see `annealed_importance_sampling`.
        context: for conditional models, ``[n, ...]``.
        block: data annealed together.
        seed: seed of every draw; torch's global generator is left as it was.
        on_move: told, after each of the `jensen.evaluation.ais.transitions` of two sweeps, of how many data.

    Raises:
        ValueError: as `annealed_importance_sampling`.
    """
    check_count("n", n)
    check_count("num_chains", num_chains)
    parts = []
    with measuring(model), seeded(derive_seed(seed, "bidirectional")):
        x, z = simulate(model, n, context)
        blocks = with_contexts(x.split(block), None if context is None else context.split(block))
        for (x_block, c), z_block in zip(blocks, z.split(block), strict=True):
            path = annealing_path(model, x_block, num_temperatures, num_leapfrog, start, c, None, on_move)
            step_sizes = pilot(path, num_chains)  # never from z, or the reverse chains would not be exact
            forward, accepted = sweep(path, path.draw(num_chains), step_sizes)
            exact = state_at(path.densities, z_block.expand(num_chains, *z_block.shape))
            backward, accepted_too = sweep(path, exact, step_sizes, reverse=True)
            lower, upper = log_mean_exp(forward), PowerMean(-1)(backward)
            parts.append(torch.stack([lower, upper, (accepted + accepted_too) / 2]).cpu())
    lower, upper, acceptance = torch.cat(parts, 1)
    return Bidirectional(x.cpu(), lower, upper, acceptance)
