"""Annealed importance sampling: log p(x) from chains that walk from q(z | x), or the prior, to p(x, z)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution

from jensen.checks import check_count
from jensen.data.seeds import derive_seed, seeded
from jensen.distributions.moments import diagonal_fit, moments
from jensen.evaluation.estimate import effective_sample_size
from jensen.evaluation.hmc import Density, State, check_latents, state_at, transition, tuned
from jensen.evaluation.latents import only_group
from jensen.mode import measuring
from jensen.objectives.bounds import log_mean_exp
from jensen.trace import Model

Start = Literal["posterior", "fitted", "prior"]
"""Where the path begins: q(z | x); the diagonal normal with its moments, for posteriors whose density is
costly (flows); or p(z)."""
SHARPNESS = 4.0
"""The schedule's sigmoid runs from -4 to 4 (Wu et al. 2017, appendix)."""
FIRST_STEP = 0.5
"""Step size that tuning starts from, in units of the scale; a normal density is unstable beyond 2."""
WARM_UP, WARM_UP_RATE = 15, 0.5
"""Transitions at the start distribution, where a pilot run learns a first step size, and how fast."""
PILOT_STRIDE, PILOT_RATE = 4, 0.2
"""The pilot run visits one temperature in so many, and tunes at this rate."""
SMALLEST_SPREAD = 1e-4
"""A posterior narrower than this fraction of the prior (a point mass) tells nothing of p(z | x)'s spread."""


@dataclass(frozen=True)
class Annealed:
    """What K annealed chains say of log p(x), for each datum."""

    log_px: Tensor
    """``log mean_k w_k``, ``[B]``, nats: a lower bound on log p(x) in expectation."""
    log_w: Tensor
    """The chains' log importance weights, ``[K, B]``, float64."""
    acceptance: Tensor
    """Mean acceptance probability of the transitions, ``[B]``."""

    @property
    def effective_sample_size(self) -> Tensor:
        """Of the chains' weights, ``[B]``, between 1 and K."""
        return effective_sample_size(self.log_w)


@dataclass(frozen=True)
class Path:
    """The densities on the way, ``log f_t = (1 - t) log q0(z) + t log p(x, z)``, and how to move on them."""

    start: Distribution
    """q0, batch shape ``[B]`` or ``[]``."""
    densities: tuple[Density, Density]
    """log q0 and log p(x, .)."""
    precisions: tuple[Tensor, Tensor]
    """A guess at the precision of each latent at either end, ``[B, M]``."""
    betas: Tensor
    """0 = t_0 < ... < t_T = 1, ``[T + 1]``, float64."""
    num_leapfrog: int
    on_move: Callable[[int], None]
    """Told of how many data after each transition, for progress."""

    def weights(self, beta: Tensor) -> Tensor:
        """The weights of the two densities at ``beta``, ``[2]``."""
        return torch.stack([1 - beta, beta]).to(self.precisions[0])

    def move(self, beta: Tensor, state: State, step_size: Tensor) -> tuple[State, Tensor]:
        """One transition that leaves f_beta invariant; acceptance probabilities ``[K, B]``."""
        w = self.weights(beta)
        scale = (w[0] * self.precisions[0] + w[1] * self.precisions[1]).rsqrt()  # exact between normals
        moved = transition(self.densities, w, state, step_size, scale, self.num_leapfrog)
        self.on_move(len(scale))
        return moved

    def draw(self, num_chains: int) -> State:
        """K exact draws from q0 for each datum."""
        B = self.precisions[0].shape[0]
        shape = (num_chains,) if len(self.start.batch_shape) else (num_chains, B)
        with torch.no_grad():
            z = self.start.sample(shape)
        return state_at(self.densities, z)


def sigmoid_schedule(num_temperatures: int) -> Tensor:
    """T + 1 inverse temperatures from 0 to 1, densest at both ends (Wu et al. 2017), ``[T + 1]``, float64.

    ``t_i`` is the logistic sigmoid at equal steps from -SHARPNESS to SHARPNESS, scaled to [0, 1].
    """
    s = torch.linspace(-SHARPNESS, SHARPNESS, num_temperatures + 1, dtype=torch.float64).sigmoid()
    return (s - s[0]) / (s[-1] - s[0])


def transitions(num_temperatures: int, sweeps: int = 1) -> int:
    """How many transitions of its chains a datum costs: those of the `pilot`, then of each `sweep`."""
    T = num_temperatures
    return WARM_UP + len(range(1, T, PILOT_STRIDE)) + sweeps * (T - 1)


def annealing_path(
    model: Model,
    x: Tensor,
    num_temperatures: int,
    num_leapfrog: int,
    start: Start,
    context: Tensor | None,
    posterior: tuple[Distribution, ...] | None,
    on_move: Callable[[int], None],
) -> Path:
    """The path for ``x`` ``[B, *event]``.

    Raises:
        ValueError: several latent groups, latents that are not plain real vectors, or counts below one.
    """
    check_count("num_temperatures", num_temperatures)
    check_count("num_leapfrog", num_leapfrog)
    if start not in get_args(Start):
        raise ValueError(f"start is {start!r}; it must be one of {', '.join(get_args(Start))}")
    trace = model.trace(x, 1, context=context, posterior=posterior)
    (q, p), B = only_group(trace, "annealing"), len(x)
    check_latents(q, p)
    q = diagonal_fit(q) if start == "fitted" else q
    wide, narrow = (moments(d)[1].expand(B, -1) for d in (p, q))
    point = ~(narrow > SMALLEST_SPREAD * wide)
    if start != "prior" and point.any():
        raise ValueError("the posterior is a point mass, which has no density; use start='prior'")
    narrow = torch.where(point, wide, narrow)
    q0 = p if start == "prior" else q
    return Path(
        start=q0,
        densities=(q0.log_prob, lambda z: model.log_joint(x, (z,), context=context)),
        precisions=((wide if start == "prior" else narrow) ** -2, narrow**-2),
        betas=sigmoid_schedule(num_temperatures).to(x.device),
        num_leapfrog=num_leapfrog,
        on_move=on_move,
    )


def pilot(path: Path, num_chains: int) -> Tensor:
    """Step sizes for the path's T - 1 transitions, ``[T - 1, B]``, from chains that serve nothing else.

    The chains of the estimate then run with step sizes fixed before their first draw, so that every
    transition is an exact HMC transition and the estimate's expectation is exact. Tuning the chains as
    they run (Wu et al. 2017) spares these draws, and gives that up.
    """
    state = path.draw(num_chains)
    step = torch.full_like(path.precisions[0][:, 0], FIRST_STEP, dtype=torch.float64)
    for _ in range(WARM_UP):
        state, probability = path.move(path.betas[0], state, step)
        step = tuned(step, probability, WARM_UP_RATE)
    steps = [step]
    for beta in path.betas[1:-1:PILOT_STRIDE]:
        state, probability = path.move(beta, state, step)
        step = tuned(step, probability, PILOT_RATE)
        steps.append(step)
    return torch.stack(steps[1:] or steps).repeat_interleave(PILOT_STRIDE, 0)[: len(path.betas) - 2]


def sweep(path: Path, state: State, step_sizes: Tensor, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """Walk the path from ``state``, forwards from q0 or ``reverse`` from p(z | x) (Neal 2001, eq. 3-11).

    ``log w = sum_i (t_{i+1} - t_i) (log p(x, z_i) - log q0(z_i))``, where z_i follows from z_{i-1} by a
    transition that leaves f_{t_i} invariant. HMC is reversible, so the same transitions in the opposite
    order make the reverse chain, and its weight is the same sum.

    Returns:
        Log weights ``[K, B]``, float64, and the mean acceptance probability ``[B]``.
    """
    betas, step_sizes = (path.betas.flip(0), step_sizes.flip(0)) if reverse else (path.betas, step_sizes)
    widths = betas.diff().abs()
    total = torch.zeros(state.z.shape[1], dtype=torch.float64, device=betas.device)
    log_w = widths[0] * (state.logs[1] - state.logs[0]).double()
    for beta, width, step_size in zip(betas[1:-1], widths[1:], step_sizes, strict=True):
        state, probability = path.move(beta, state, step_size)
        log_w = log_w + width * (state.logs[1] - state.logs[0]).double()
        total = total + probability.double().mean(0)
    return log_w, total / len(step_sizes) if len(step_sizes) else torch.full_like(total, math.nan)


def annealed_importance_sampling(
    model: Model,
    x: Tensor,
    *,
    num_temperatures: int = 500,
    num_chains: int = 16,
    num_leapfrog: int = 2,
    start: Start = "posterior",
    context: Tensor | None = None,
    posterior: tuple[Distribution, ...] | None = None,
    seed: int = 0,
    on_move: Callable[[int], None] = lambda rows: None,
) -> Annealed:
    """log p(x) of each datum by annealed importance sampling (Neal 2001; Wu et al. 2017 for decoders).

    ``E[mean_k w_k] = p(x)`` exactly, so ``log mean_k w_k`` is a lower bound on log p(x) in expectation,
    and exceeds log p(x) by b nats with probability at most exp(-b). Its slack falls as 1 / T and as 1 / K;
    at T = 1 it is IWAE. Cost: about ``1.25 K T num_leapfrog`` gradients of log p(x, z) a datum.

    Args:
        model: anything with ``trace`` and ``log_joint``; one latent group. p(z), and the q(z | x) to start
            from, must be densities on all of R^M: chains walk everywhere, and know no bounds and no circles.
        x: prepared data, ``[B, *event]``; memory is that of decoding ``[K, B]`` latents.
        num_temperatures: T, the increments of inverse temperature.
        num_chains: K.
        num_leapfrog: leapfrog steps of each HMC transition. At equal cost, 2 with many temperatures did
            better on MNIST than 5 with fewer.
        start: "posterior": from q(z | x); "fitted": from the diagonal normal with its moments, for flows,
            whose own density is costly; "prior": from p(z), which needs more temperatures, and takes nothing
            from the encoder but the scale of its steps.
        context: for conditional models.
        posterior: q(z | x) to use in place of the model's own.
        seed: seed of every draw; torch's global generator is left as it was. Give every block of data its
            own (`jensen.data.seeds.derive_seed`), lest their errors be the same.
        on_move: told of B after each of the `transitions`, for progress.

    Raises:
        ValueError: several latent groups, latents that are not real vectors, a point posterior to start
            from, or counts below one.
    """
    check_count("num_chains", num_chains)
    with measuring(model), seeded(derive_seed(seed, "annealing")):
        path = annealing_path(model, x, num_temperatures, num_leapfrog, start, context, posterior, on_move)
        step_sizes = pilot(path, num_chains)
        log_w, acceptance = sweep(path, path.draw(num_chains), step_sizes)
    return Annealed(log_mean_exp(log_w), log_w, acceptance)
